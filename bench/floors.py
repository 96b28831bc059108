"""What bounds everybody here: the framework's answer, the disk's sync, a process's start."""

import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from time import monotonic

from bench.contestant import free_port, wait_until
from bench.load import Load, Request, press

ANSWER = "cheroot answering alone"
SYNC = "SQLite syncing groups of 10 rows"

_SERVE = """
import sys
from cheroot.wsgi import Server
def app(environ, start_response):
    environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("202 Accepted", [("Content-Length", "2")])
    return [b"{}"]
Server(("127.0.0.1", int(sys.argv[1])), app, numthreads=20).start()
"""


def answer_rate(request: Request, folder: Path, *, seconds: float) -> Load:
    """Requests that cheroot reads and answers, with nothing done in between."""
    port = free_port()
    with _running([sys.executable, "-c", _SERVE, str(port)]):
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _listens(port), pause=0.01)
        return press(url, request, paths=["/"], seconds=seconds, folder=folder)


def sync_rate(folder: Path, *, seconds: float) -> float:
    """Rows of 500 bytes a second that SQLite has synced, ten in a transaction."""
    with closing(sqlite3.connect(folder / "floor.db", isolation_level=None)) as database:
        database.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
            "CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT)"
        )
        rows = [("x" * 500,)] * 10
        count, began = 0, monotonic()
        while monotonic() < began + seconds:
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO rows (text) VALUES (?)", rows)
            database.execute("COMMIT")
            count += len(rows)
        return count / (monotonic() - began)


def spawn_rate(command: list[str], *, threads: int, seconds: float) -> float:
    """Processes a second that Python starts and reaps."""
    counts = [0] * threads
    began = monotonic()

    def spawn(number: int) -> None:
        while monotonic() < began + seconds:
            subprocess.run(command, stdin=subprocess.DEVNULL, check=True)
            counts[number] += 1

    started = [Thread(target=spawn, args=(number,)) for number in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return sum(counts) / (monotonic() - began)


@contextmanager
def _running(command: list[str]) -> Iterator[None]:
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
