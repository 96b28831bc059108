"""Following what happens: server-sent events, over broken connections, none lost and none twice.

Format: WHATWG HTML, "Server-sent events"; of it what the server's `follow` writes.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any

from sloth_ci.errors import ServerUnreachable, Unavailable, UnexpectedAnswer

#: Seconds before the next try; the last one stays.
PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)
#: States kept at most.
MANY = 10_000


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    #: `log` with a record, `status` with a build, or `end` with the build that was followed.
    name: str
    data: Mapping[str, Any]
    #: Of a record: the place to go on from.
    id: int | None = None


#: Opens a stream behind that record and gives its pieces as they come.
Open = Callable[[int | None], Iterable[bytes]]


class Follower:
    """Goes on with a stream whenever it breaks; gives up after `patience` seconds in vain."""

    def __init__(self, open_stream: Open, *, url: str, after: int | None, patience: float) -> None:
        self._open = open_stream
        self._url = url
        self._after = after
        self._patience = patience
        #: States of builds as they were told; a new connection begins with all of them.
        self._told: dict[int, Mapping[str, Any]] = {}
        self._failures = 0
        self._since = 0.0

    def events(self) -> Iterator[Event]:
        """The events, in order.

        Raises ServerUnreachable or Unavailable when patience is over, and what else the first
        answer of a connection tells.
        """
        while True:
            try:
                for event in read_events(self._receive(), url=self._url):
                    if not self._is_new(event):
                        continue
                    yield event
                    if event.name == "end":
                        return
                self._pause(ServerUnreachable(url=self._url, reason="the connection ended"))
            except (ServerUnreachable, Unavailable) as error:
                self._pause(error)

    def _receive(self) -> Iterator[bytes]:
        for piece in self._open(self._after):
            self._failures = 0
            yield piece

    def _is_new(self, event: Event) -> bool:
        if event.id is not None:
            if self._after is not None and event.id <= self._after:
                return False
            self._after = event.id
            return True
        if event.name != "status":
            return True
        build = event.data["id"]
        is_new = self._told.get(build) != event.data
        if len(self._told) > MANY:
            self._told.clear()
        self._told[build] = event.data
        return is_new

    def _pause(self, error: ServerUnreachable | Unavailable) -> None:
        if not self._failures:
            self._since = monotonic()
        if monotonic() - self._since >= self._patience:
            raise error
        sleep(PAUSES[min(self._failures, len(PAUSES) - 1)])
        self._failures += 1


def read_events(pieces: Iterable[bytes], *, url: str) -> Iterator[Event]:
    """The whole events in these pieces; what is cut off at the end is left out.

    Raises UnexpectedAnswer when they are no events of ours.
    """
    fields: dict[str, str] = {}
    for line in _read_lines(pieces):
        name, _, value = line.partition(":")
        if line:
            fields[name] = value.removeprefix(" ")
            continue
        if "data" in fields:
            try:
                number = int(fields["id"]) if "id" in fields else None
                yield Event(fields.get("event", "message"), json.loads(fields["data"]), number)
            except ValueError as error:
                raise UnexpectedAnswer(url=url, reason="its events can't be read") from error
        fields = {}


def _read_lines(pieces: Iterable[bytes]) -> Iterator[str]:
    begun = b""
    for piece in pieces:
        *lines, begun = (begun + piece).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
