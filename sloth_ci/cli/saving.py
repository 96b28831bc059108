"""Answers that are files: to stdout, or to a file that is there only when it is whole."""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from sloth_ci.errors import SlothError


class FileThere(SlothError):
    """There is a file {file} already; nothing was written. Choose another name, or remove it."""


def save(pieces: Iterable[bytes], file: str) -> None:
    """Write the pieces to a new file, or to stdout when its name is ''.

    Raises FileThere, and what the pieces raise; a file that is not whole doesn't stay.
    """
    if not file:
        sys.stdout.flush()
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise FileThere(file=file) from error
    try:
        with os.fdopen(descriptor, "wb") as target:
            target.writelines(pieces)
    except BaseException:
        with suppress(OSError):
            Path(file).unlink()
        raise
