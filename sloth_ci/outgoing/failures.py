"""What goes wrong when something is sent, and how often it is tried."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Event, Timer
from typing import TypeVar

#: Seconds that a busy server's Retry-After is obeyed for.
MAX_PATIENCE = 60.0

Result = TypeVar("Result")


class SendFailed(Exception):
    """Something could not be sent; the text says why."""

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        temporary: bool = True,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(reason)
        #: What was answered; None when nothing was.
        self.status = status
        #: Whether it may work when it is tried again as it is.
        self.temporary = temporary
        #: Seconds that the other side wants to be left alone.
        self.retry_after = retry_after

    def masked(self, mask: Callable[[str], str]) -> "SendFailed":
        """The same, with `mask` applied to its text: whoever answers may repeat our secrets."""
        return SendFailed(
            mask(str(self)),
            status=self.status,
            temporary=self.temporary,
            retry_after=self.retry_after,
        )


def try_again(
    send: Callable[[], Result], *, pauses: Sequence[float], ended: Event | None = None
) -> Result:
    """What `send` gives; tried once more after each pause, in seconds, while that may help.

    Raises SendFailed: the last one, at once when `ended` is set.
    """
    ended = ended or Event()
    for pause in pauses:
        try:
            return send()
        except SendFailed as error:
            wait = max(pause, min(error.retry_after, MAX_PATIENCE))
            if not error.temporary or ended.wait(wait):
                raise
    return send()


@contextmanager
def cut_after(seconds: float, find_socket: Callable[[], socket.socket | None]) -> Iterator[None]:
    """Cut the connection after that time: a socket's own timeout begins anew with each byte."""

    def cut() -> None:
        if (found := find_socket()) is not None:
            with suppress(OSError):
                # TLS has a `shutdown` of its own, which may not be called from another thread.
                socket.socket.shutdown(found, socket.SHUT_RDWR)

    timer = Timer(max(0.0, seconds), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
