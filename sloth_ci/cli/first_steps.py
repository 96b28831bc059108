"""`sci init`: a folder with a server's config and one app, both ready to start."""

import os
from pathlib import Path
from secrets import token_urlsafe

from sloth_ci.errors import SlothError

_SAMPLES = Path(__file__).parent.parent / "samples"
#: What stands in the sample where the new password comes.
_BLANK = "{password}"


class ThereAlready(SlothError):
    """{file} is there already, and 'sci init' overwrites nothing. Name another folder."""


def write_samples(folder: Path) -> tuple[Path, ...]:
    """Write server.yml with a password of its own and apps/sample.yml; gives their paths.

    Raises ThereAlready, and OSError when the folder can't be written; then nothing was changed
    but for folders made.
    """
    server, app = folder / "server.yml", folder / "apps" / "sample.yml"
    for file in (server, app):
        if file.exists() or file.is_symlink():
            raise ThereAlready(file=file)
    app.parent.mkdir(parents=True, exist_ok=True)
    text = (_SAMPLES / "server.yml").read_text(encoding="utf-8")
    _write_new(server, text.replace(_BLANK, token_urlsafe(18)), mode=0o600)
    _write_new(app, (_SAMPLES / "app.yml").read_text(encoding="utf-8"), mode=0o644)
    return server, app


def _write_new(file: Path, text: str, *, mode: int) -> None:
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise ThereAlready(file=file) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as target:
        target.write(text)
