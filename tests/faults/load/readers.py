"""Readers, quick and slow ones, while the server writes as fast as it can."""

import base64
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit

from tests.calls import wait_until
from tests.conftest import LOGIN
from tests.faults import Finding, Scale, experiment, found
from tests.faults.durability.stage import Stage, pause
from tests.faults.load.measures import MEGABYTE, WAL_MOST, Watch

#: Records in one answer, the most that there are.
PAGE = 10_000
#: Lines that the build would print if it were let.
LINES = 100_000_000


@experiment(
    "18",
    title="Log pages at full write speed",
    criterion="one client asks for 10,000 records all the time, another takes minutes over one"
    " answer, while a build prints as fast as it can: write-ahead log ≤ 64 MiB, every page whole",
)
def read_while_writing(scale: Scale, folder: Path) -> Finding:
    """Let a build print, one client read quickly and one slowly; watch the log grow."""
    duration = scale.pick(short=3, full=90)
    with Stage(folder) as stage:
        stage.api.create(
            f"listen_point: web\nactions: ['seq {LINES}']\nmax_output: {LINES * MEGABYTE}"
        )
        stage.api.trigger("web")
        ended = Event()
        pages: list[int] = []
        wait_until(lambda: _records(stage) > PAGE)
        slow = SlowReader(stage.running.url, ended)
        threads = [Thread(target=_read, args=(stage, ended, pages)), Thread(target=slow.run)]
        before = _records(stage)
        with Watch(stage.pid, folder, interval=0.02) as watch:
            for thread in threads:
                thread.start()
            pause(duration)
            ended.set()
            for thread in threads:
                thread.join()
        written = _records(stage) - before
        stage.api("remove", listen_point="web")
    whole = [size for size in pages if size == PAGE]
    return found(
        watch.log <= WAL_MOST and bool(whole) and min(pages) > 0 and slow.taken > 0,
        f"{duration} s, {written / duration:,.0f} records a second: {len(pages)} pages,"
        f" {len(whole)} of them of {PAGE:,} records; the slow client took {slow.taken:,} bytes"
        f" and was cut off {slow.cuts} times;"
        f" write-ahead log at most {watch.log / MEGABYTE:.1f} MB",
    )


def _read(stage: Stage, ended: Event, pages: list[int]) -> None:
    """Ask for the newest records again and again; what each answer holds goes to `pages`."""
    with stage.line() as line:
        while not ended.is_set():
            reply = line.call("logs", listen_point="web", level="1", per_page=str(PAGE))
            pages.append(len(reply.value) if reply.status == 200 else 0)


def _records(stage: Stage) -> int:
    return int(stage.rows("SELECT coalesce(max(id), 0) FROM records")[0][0])


class SlowReader:
    """A client that takes a large answer a little at a time, and asks again when it was cut off."""

    def __init__(self, url: str, ended: Event) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._ended = ended
        #: Bytes.
        self.taken = 0
        self.cuts = 0

    def run(self) -> None:
        """Ask and read, until the end."""
        while not self._ended.is_set():
            with closing(self._ask()) as connection, suppress(ConnectionError, TimeoutError):
                for size in self._take(connection):
                    self.taken += size
            self.cuts += not self._ended.is_set()

    def _ask(self) -> socket.socket:
        connection = socket.socket()
        # The answer must not fit into what the system takes on the client's behalf.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.settimeout(30)
        connection.connect(self._address)
        connection.sendall(_request(f"action=logs&listen_point=web&level=1&per_page={PAGE}"))
        return connection

    def _take(self, connection: socket.socket) -> Iterator[int]:
        while not self._ended.wait(0.05):
            size = len(connection.recv(1_000))
            if not size:
                return
            yield size


def _request(query: str) -> bytes:
    login = base64.b64encode(":".join(LOGIN).encode()).decode()
    head = f"GET /?{query} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {login}\r\n\r\n"
    return head.encode()
