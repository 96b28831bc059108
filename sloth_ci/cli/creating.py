"""From config files to apps that are bound with them."""

from collections.abc import Iterable
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from sloth_ci.client import Client
from sloth_ci.errors import ConfigFileNotFound, SlothError


class FileUnreadable(SlothError):
    """The file can't be read: {reason}"""


@dataclass(frozen=True, slots=True)
class Created:
    """An app that was made of a file."""

    listen_point: str
    file: str
    #: Not so when the server is on another machine, where that file isn't.
    bound: bool


def create(client: Client, path: str) -> Created:
    """Create an app from that config file and bind it with the file.

    Raises FileUnreadable, and what `Client.call` raises.
    """
    name = client.call("create", config_string=_read(path))
    file = str(Path(path).absolute())
    try:
        client.call("bind", listen_point=name, config_file=file)
    except ConfigFileNotFound:
        return Created(name, file, bound=False)
    return Created(name, file, bound=True)


def unfold(paths: Iterable[str]) -> list[str]:
    """The paths, with globs that the shell left alone replaced by the files they name."""
    return [file for path in paths for file in _match(path)]


def _match(path: str) -> list[str]:
    if Path(path).exists():
        return [path]
    return sorted(glob(path, recursive=True)) or [path]  # noqa: PTH207  absolute ones too


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise FileUnreadable(reason=(error.strerror or str(error)).lower()) from error
    except ValueError as error:
        raise FileUnreadable(reason="it is not UTF-8 text") from error
