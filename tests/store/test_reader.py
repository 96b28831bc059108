"""Connections that read: one for each thread, and none for threads that are gone."""

import sys
from pathlib import Path
from subprocess import run
from threading import Thread

from sloth_ci.store import Store


def count_descriptors(path: Path) -> int:
    return sum(
        str(one).startswith(str(path)) for one in map(_follow, Path("/proc/self/fd").iterdir())
    )


def _follow(link: Path) -> Path:
    try:
        return link.readlink()
    except FileNotFoundError:
        return link


def test_threads_that_have_ended_keep_no_descriptors(tmp_path: Path) -> None:
    store = Store(tmp_path / "sloth.db")

    def read_in_threads(count: int) -> int:
        for _ in range(count):
            thread = Thread(target=store.apps)
            thread.start()
            thread.join()
        return count_descriptors(tmp_path / "sloth.db")

    try:
        assert read_in_threads(20) == read_in_threads(5)
    finally:
        store.close()


def test_the_store_can_be_closed_while_others_read(tmp_path: Path) -> None:
    """In a process of its own, as what is tried here once ended it."""
    script = """
import sys, threading
import sys
from pathlib import Path
from subprocess import run
from sloth_ci.errors import DatabaseUnavailable
from sloth_ci.store import Store

for turn in range(20):
    store = Store(Path(sys.argv[1]) / f"{turn}.db")
    begun, refused = threading.Semaphore(0), []

    def read():
        try:
            begun.release()
            while True:
                store.apps()
        except DatabaseUnavailable as error:
            refused.append(error)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
        begun.acquire()
    store.close()
    for reader in readers:
        reader.join()
    assert len(refused) == 4, refused
"""
    ended = run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, timeout=50)

    assert (ended.returncode, ended.stderr.decode()) == (0, "")
