"""What an image is built from, and a checksum of all of it."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from stat import S_IMODE

from docker.utils.build import exclude_paths

_READ_SIZE = 65_536
_SHOWN_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to build an image."""

    dockerfile: Path
    #: The folder whose files may be copied; None for none.
    context: Path | None
    arguments: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Changes with everything that the image is made of."""
        found = sha256(self.dockerfile.read_bytes())
        for name, value in sorted(self.arguments.items()):
            found.update(f"\0{name}={value}".encode())
        for name in sorted(self._files()):
            found.update(b"\0" + _describe(Path(str(self.context)) / name, name))
        return found.hexdigest()[:_SHOWN_DIGITS]

    def _files(self) -> Iterable[str]:
        if self.context is None:
            return ()
        ignored = self.context / ".dockerignore"
        lines = ignored.read_text().splitlines() if ignored.is_file() else []
        patterns = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        name = os.path.relpath(self.dockerfile, self.context)
        files: Iterable[str] = exclude_paths(str(self.context), patterns, dockerfile=name)
        return files


def _describe(path: Path, name: str) -> bytes:
    """What of a file goes into an image."""
    seen = path.lstat()
    head = f"{name}\0{S_IMODE(seen.st_mode):o}\0".encode(errors="surrogateescape")
    if path.is_symlink():
        return head + os.fsencode(os.readlink(path))  # noqa: PTH115  bytes are wanted
    if not path.is_file():
        return head
    with path.open("rb") as file:
        found = sha256()
        while chunk := file.read(_READ_SIZE):
            found.update(chunk)
    return head + found.digest()
