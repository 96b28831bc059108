"""Servers on a system that fails when told to: no sync, no writes, no threads, another time."""

import errno
import mmap
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

SOURCE = Path(__file__).with_name("failing_system.c")
NO_COMPILER = "there is no C compiler (cc or gcc)"
#: The order of `struct orders` in the source.
_LAYOUT = struct.Struct("=iiiiq")
_PLACES = {"sync": 0, "write": 4, "thread": 8}
_REFUSALS, _CLOCK = 12, 16


def find_compiler() -> str | None:
    """The C compiler."""
    return shutil.which("cc") or shutil.which("gcc")


class FailingSystem:
    """What servers started within `around` may not do at the moment."""

    def __init__(self, folder: Path) -> None:
        self._library = folder / "failing_system.so"
        self._orders = folder / "orders"
        compiler = find_compiler()
        assert compiler, NO_COMPILER
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(self._library), str(SOURCE)]
        subprocess.run([*command, "-ldl", "-lpthread"], check=True)
        self._orders.write_bytes(bytes(_LAYOUT.size))
        with self._orders.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), _LAYOUT.size)

    @contextmanager
    def around(self) -> Iterator[None]:
        """What is started within is subject to it."""
        places = {"LD_PRELOAD": str(self._library), "FAILING_SYSTEM": str(self._orders)}
        with patch.dict(os.environ, places):
            yield

    @contextmanager
    def refuses(self, what: str, error: int = errno.EIO) -> Iterator[None]:
        """Within, `sync`, `write` or `thread` fails with that errno."""
        struct.pack_into("=i", self._page, _PLACES[what], error)
        try:
            yield
        finally:
            struct.pack_into("=i", self._page, _PLACES[what], 0)

    def shift_clock(self, seconds: int) -> None:
        """From now on the wall clock is so far ahead of the true time."""
        struct.pack_into("=q", self._page, _CLOCK, seconds)

    @property
    def refusals(self) -> int:
        """How often something was refused."""
        return int(struct.unpack_from("=i", self._page, _REFUSALS)[0])
