"""Connections that read: one for each thread, and none for threads that are gone."""

from pathlib import Path
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
