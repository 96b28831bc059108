"""The config of the server."""

from os import cpu_count
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PlainValidator, PrivateAttr, model_validator

from sloth_ci.config.app import read_extensions
from sloth_ci.config.fields import (
    Flag,
    Networks,
    OptionalText,
    Seconds,
    SecretText,
    Section,
    Size,
    Text,
    Texts,
    whole_number,
)
from sloth_ci.config.parsing import parse_section, read_document
from sloth_ci.errors import ConfigUnreadable

ALIASES = {"auth": "api_auth"}
#: Looked for in this order when no file is named.
DEFAULT_FILES = ("server.yml", "sloth.yml")


class Login(Section):
    """One user of the API; the password in plain or as an argon2 hash."""

    login: Text
    password: SecretText


class Paths(Section):
    """Where the server keeps its files; relative to the config file."""

    db: OptionalText = "sloth.db"
    access_log: OptionalText = "sloth_access.log"
    error_log: OptionalText = "sloth_error.log"
    #: Globs of app config files, read at the start.
    configs: Texts = ()


class ServerConfig(Section):
    """What the server is made of."""

    host: Text = "127.0.0.1"
    port: Annotated[int, PlainValidator(whole_number(0, 65_535))] = 8080
    api_auth: tuple[Login, ...] = ()
    paths: Paths = Field(default_factory=Paths)
    daemon: Flag = False
    extensions: Annotated[dict[str, Any], PlainValidator(read_extensions)] = Field(
        default_factory=dict
    )
    #: Host names the server answers to; all when there are none.
    hosts: Texts = ()
    #: Proxies whose X-Forwarded-For is believed.
    trusted_proxies: Networks = ()
    #: Seconds a running build gets when the server stops.
    stop_grace: Seconds = 30
    #: Builds running at the same time, over all apps.
    max_builds: Annotated[int, PlainValidator(whole_number(1, 10_000))] = 2 * (cpu_count() or 1)
    #: Builds waiting, of one app and of all.
    max_queue: Annotated[int, PlainValidator(whole_number(1, 10_000_000))] = 10_000
    max_queue_total: Annotated[int, PlainValidator(whole_number(1, 10_000_000))] = 100_000
    #: Bytes of a delivery's body, and of an API request's.
    max_delivery: Size = 25_000_000
    max_request: Size = 1_000_000

    _base_dir: Path = PrivateAttr(default_factory=Path)

    @model_validator(mode="before")
    @classmethod
    def _list_logins(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("api_auth"), dict):
            return {**data, "api_auth": [data["api_auth"]]}
        return data

    def model_post_init(self, context: Any) -> None:
        """Remember where relative paths count from."""
        self._base_dir = (context or {}).get("base_dir", Path())

    @property
    def base_dir(self) -> Path:
        """The folder of the config file; relative paths count from here."""
        return self._base_dir

    def path(self, name: str) -> Path:
        """A path of the config, made absolute."""
        return self.base_dir / Path(name).expanduser()


def parse_server(text: str, *, base_dir: Path, file: str | None = None) -> ServerConfig:
    """Check a server's config text.

    Raises ConfigInvalid, which names every problem with its line and column.
    """
    document = read_document(text, file=file, aliases=ALIASES)
    return parse_section(ServerConfig, document, value=document.data, base_dir=base_dir, file=file)


def load_server(file: Path) -> ServerConfig:
    """The config in that file.

    Raises ConfigUnreadable or ConfigInvalid.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigUnreadable(file=str(file), reason=reason) from error
    return parse_server(text, base_dir=file.resolve().parent, file=file.name)
