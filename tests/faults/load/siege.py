"""Everything that strangers and builds can do to a server, all at once."""

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from itertools import cycle
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from sloth_ci.shell.output import LINE_COST
from tests.faults import Finding, Scale, experiment, found
from tests.faults.durability.stage import SIGNED, Stage
from tests.faults.load.measures import MEGABYTE, Calls, Watch, within
from tests.hostile.clients import Drip, DrippingClients

#: Bytes of output that are kept of a build, what keeping its lines costs included.
KEPT = 16 * MEGABYTE
RATE = 10

_GIANT = b"POST /web HTTP/1.1\r\nHost: localhost\r\n"
_CHUNK = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
#: How a request begins, what follows again and again, and how often.
GIANTS = {
    "30 MB announced": (_GIANT + b"Content-Length: 30000000\r\n\r\n", b"x" * 65_536, 460),
    "30 MB in chunks": (_GIANT + b"Transfer-Encoding: chunked\r\n\r\n", _CHUNK, 460),
    "a length that lies": (_GIANT + b"Content-Length: 1000000\r\n\r\n", b"x" * 1_000, 10),
    "a head without end": (_GIANT, b"X-Long: " + b"x" * 1_000 + b"\r\n", 500),
}
_POST = b"POST /web HTTP/1.1\r\nHost: localhost\r\n"
#: Requests that HTTP does not know.
TRICKS = (
    _POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    _POST + b"Content-Length: -1\r\n\r\n",
    _POST + b"Content-Length: +2\r\n\r\n{}",
    _POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    _POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    _POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    _POST + b"Content-Length : 2\r\n\r\n{}",
    _POST + b" Folded: x\r\n\r\n",
    _POST + b"X-Nothing\r\n\r\n",
    _POST + b"X-Zero: \0\r\n\r\n",
    b"POST /web HTTP/1.1\r\n\r\n",
    b"POST /web HTTP/9.9\r\nHost: localhost\r\n\r\n",
    b"POST /web\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"POST http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
)


@experiment(
    "28",
    title="Dripping clients, giant bodies, broken HTTP and endless output together",
    criterion="for 60 s, with 10 good deliveries a second: 100 % of them accepted, p99 < 1 s;"
    " no hostile request taken, memory growth < 100 MB, endless output cut to 16 MB",
)
def withstand_siege(scale: Scale, folder: Path) -> Finding:
    """Do all of it at once, and send good deliveries on connections of their own meanwhile."""
    duration = scale.pick(short=3, full=60)
    calls = Calls()
    with Stage(folder) as stage, ExitStack() as hostile:
        stage.api.create(f"listen_point: web\nactions: []\n{SIGNED}")
        stage.api.create(f"listen_point: loud\nactions: ['yes']\ntimeout: {duration}\n")
        stage.api.trigger("loud")
        watch = hostile.enter_context(Watch(stage.pid, folder))
        url = stage.running.url
        drips = [
            hostile.enter_context(DrippingClients(url, scale.pick(short=8, full=50), kind))
            for kind in (Drip.HEAD, Drip.BODY, Drip.LARGE_BODY, Drip.CHUNKS)
        ]
        crowd = hostile.enter_context(Crowd(url, giants=scale.pick(short=4, full=20)))
        until = monotonic() + duration
        for number in range(duration * RATE):
            due = until - duration + number / RATE
            Event().wait(max(0.0, due - monotonic()))
            calls.note(partial(_deliver, stage, str(number)))
        hostile.close()
        stage.settle()
        output = stage.rows(
            "SELECT sum(length(message) + ?) FROM records WHERE stream IS NOT NULL", LINE_COST
        )
    answers = crowd.answers + sum((one.answers for one in drips), Counter[str]())
    taken = sum(count for status, count in answers.items() if status.startswith("2"))
    return found(
        calls.all_are(202)
        and len(calls.times) == duration * RATE
        and not taken
        and crowd.answers.total() > 0
        and watch.growth < 100 * MEGABYTE
        and output[0][0] <= KEPT * 1.01,
        f"{calls.statuses[202]} of {len(calls.times)} good deliveries accepted in {duration} s, p99"
        f" {calls.p99 * 1000:.0f} ms, longest {calls.longest * 1000:.0f} ms; meanwhile"
        f" {sum(one.drops for one in drips):,} bytes dripped over {scale.pick(short=32, full=200)}"
        f" connections, {crowd.giants:,} giant and {crowd.tricks:,} broken requests"
        f" (answered {_list(answers)}), {output[0][0] / MEGABYTE:.1f} MB kept of endless output;"
        f" memory grew by {watch.growth / MEGABYTE:.0f} MB",
        in_time=calls.p99 < within(scale, 1),
    )


def _deliver(stage: Stage, delivery: str) -> int:
    with stage.line() as line:
        return line.deliver("web", delivery).status


def _list(answers: Counter[str]) -> str:
    return ", ".join(f"{status} {count:,} times" for status, count in sorted(answers.items()))


class Crowd:
    """Clients that send giant and broken requests for as long as their block lasts."""

    def __init__(self, url: str, *, giants: int) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._ended = Event()
        kinds = cycle(GIANTS.values())
        self._threads = [
            Thread(target=self._send_giants, args=next(kinds), daemon=True) for _ in range(giants)
        ]
        self._threads.append(Thread(target=self._send_tricks, daemon=True))
        #: Requests sent.
        self.giants = 0
        self.tricks = 0
        #: Their answers' statuses.
        self.answers: Counter[str] = Counter()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _send_giants(self, start: bytes, piece: bytes, times: int) -> None:
        while not self._ended.wait(0.1):
            self._send((start, *(piece for _ in range(times))))
            self.giants += 1

    def _send_tricks(self) -> None:
        tricks = cycle(TRICKS)
        while not self._ended.wait(0.02):
            self._send((next(tricks),))
            self.tricks += 1

    def _send(self, pieces: tuple[bytes, ...]) -> None:
        """Send a request as far as the server lets us, and note its answer."""
        with closing(socket.socket()) as connection:
            connection.settimeout(2)
            try:
                connection.connect(self._address)
                self._push(connection, iter(pieces))
                told = connection.recv(1_000)
            except OSError:
                return  # it was cut off, which is an answer too
        if told:
            self.answers[told[9:12].decode("latin-1")] += 1

    def _push(self, connection: socket.socket, pieces: Iterator[bytes]) -> None:
        for piece in pieces:
            if self._ended.is_set():
                return
            try:
                connection.sendall(piece)
            except OSError:
                return  # refused halfway; why may be there to read
