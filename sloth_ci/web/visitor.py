"""What the vestibule knows of a connection."""

import socket
from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from sloth_ci.errors import SlothError
from sloth_ci.web.head import Head
from sloth_ci.web.inbox import Inbox, Outbox


class Stage(Enum):
    """What the vestibule waits for."""

    GREETING = auto()  # the TLS handshake
    ARRIVING = auto()  # a whole request
    IDLE = auto()  # the first byte of another request
    LEAVING = auto()  # the end of a client that was refused


class Visitor(Protocol):
    """A connection. At every moment it belongs to the vestibule's selector or to one thread."""

    socket: socket.socket
    rfile: Inbox
    wfile: Outbox
    stage: Stage
    #: When patience ends, by the monotonic clock; while a request arrives, the inbox knows.
    deadline: float
    #: The request's head, once it has arrived.
    head: Head | None
    #: The go-ahead for its body was sent.
    went_ahead: bool
    #: It belongs to the selector.
    waiting: bool
    #: It has one of the seats for large bodies.
    seated: bool
    #: The other side's address.
    remote_addr: str
    #: What is left to do until its request is answered, where that has begun.
    rest: Callable[[], None] | None

    def greet(self) -> int:
        """Go on with the handshake.

        Gives the selector event to wait for, 0 when it is done. Raises OSError.
        """

    def read_head(self) -> Head | None:
        """The head, None while it isn't whole.

        Raises BadRequest or HeadTooLarge.
        """

    def tell(self, error: SlothError) -> None:
        """Send why the request is refused, if that can be done at once."""

    def end_sending(self) -> None:
        """Let the client see the end of what it gets.

        Raises OSError.
        """

    def close(self) -> None:
        """End the connection after an answer."""

    def cut(self) -> None:
        """End the connection now."""
