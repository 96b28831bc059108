"""Somebody who asks the API a simple question again and again while other things go on."""

from threading import Event, Thread
from time import monotonic
from types import TracebackType
from typing import Self

from bench.figures import percentile
from bench.peers import Old, Ours

#: Seconds between an answer and the next question.
PACE = 0.02


class Asking:
    """As a context it asks until it is left."""

    def __init__(self, server: Ours | Old) -> None:
        self._server = server
        self._ended = Event()
        self._delays: list[float] = []
        self._thread = Thread(target=self._ask)

    @property
    def p99(self) -> float:
        """Milliseconds that one in a hundred answers took, or more."""
        return percentile(self._delays, 0.99)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _ask(self) -> None:
        while not (self._delays and self._ended.wait(PACE)):
            began = monotonic()
            self._server.call("version")
            self._delays.append((monotonic() - began) * 1e3)
