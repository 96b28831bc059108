"""What an action prints: bytes of two streams become readable lines, no more than a build may keep.

The first three quarters of a build's `max_output` are passed on as they arrive. Of more, each
action keeps its last bytes in a ring, an even share of the last quarter, and passes them on when
it ends. So memory stays flat whatever an action prints, and the end, where the error is, shows.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from sloth_ci.builds import Build
from sloth_ci.records import Stream

#: Bytes of one line that are kept.
LINE_LIMIT = 65_536
#: What keeping a line costs beside its bytes: a flood of empty lines is a flood of records.
LINE_COST = 64

#: A secret that lies across the cut is masked whole when it is no longer than this.
_MARGIN = 4_096
_CHUNK_SIZE = 65_536
_CHUNK_COST = 256


class Lines(Protocol):
    """Where lines go that something printed; every journal of builds is one."""

    def output(self, build: Build, stream: Stream, line: str) -> None:
        """A line was printed."""


@dataclass(slots=True)
class Allowance:
    """What the actions of one build may still print, in bytes."""

    head: int
    tail: int

    @classmethod
    def of(cls, build: Build) -> "Allowance":
        """The allowance of a build that has printed nothing."""
        tail = build.max_output // 4
        return cls(head=build.max_output - tail, tail=tail)


class Output:
    """What one action prints, or one of its `parts` at a time, on its way to the journal."""

    def __init__(
        self,
        build: Build,
        *,
        position: int,
        allowance: Allowance,
        journal: Lines,
        parts: int = 1,
    ) -> None:
        self._build = build
        self._journal = journal
        self._allowance = allowance
        self._share = allowance.tail // max(1, len(build.actions) - position) // parts
        self._lines = {stream: _Line() for stream in Stream}
        self._tail: _Tail | None = None
        #: Bytes that came.
        self.size = 0

    @property
    def overflows(self) -> bool:
        """Whether there is more than may be kept of it."""
        return self._tail is not None

    def take(self, stream: Stream, chunk: bytes) -> None:
        """Pass on the lines that the chunk completes."""
        self.size += len(chunk)
        if self._tail:
            self._tail.add(stream, chunk)
            return
        line = self._lines[stream]
        *ends, rest = chunk.split(b"\n")
        for number, end in enumerate(ends, start=1):
            if not line.kept and self._keep_short(stream, end):
                continue
            line.add(end)
            if not self._keep(stream, line):
                line.kept += b"\n"
                self._begin_tail().add(stream, b"\n".join([*ends[number:], rest]))
                return
            line.clear()
        line.add(rest)

    def close(self) -> None:
        """Pass on what waits: lines without an end, and the tail of a flood."""
        for stream, line in self._lines.items():
            if (line.kept or line.cut) and not self._keep(stream, line):
                self._begin_tail()
            line.clear()
        if self._tail:
            self._pass_on_tail(self._tail)
            self._tail = None

    def _keep_short(self, stream: Stream, line: bytes) -> bool:
        """Pass on a whole line that came in one piece, as nearly all do."""
        cost = len(line) + LINE_COST
        if len(line) > LINE_LIMIT or cost > self._allowance.head:
            return False
        self._allowance.head -= cost
        text = self._build.mask(_decode(line.removesuffix(b"\r")))
        self._journal.output(self._build, stream, text)
        return True

    def _keep(self, stream: Stream, line: "_Line") -> bool:
        if line.cost > self._allowance.head:
            return False
        self._allowance.head -= line.cost
        self._pass_on(stream, line)
        return True

    def _begin_tail(self) -> "_Tail":
        # The lines from here on belong to the tail, so that none of them jumps the gap.
        self._allowance.head = 0
        self._tail = _Tail(self._share)
        for stream, line in self._lines.items():
            self._tail.left_bytes += line.cut
            self._tail.add(stream, line.kept)
            line.clear()
        return self._tail

    def _pass_on_tail(self, tail: "_Tail") -> None:
        lines = tail.end()
        if tail.left_bytes:
            notice = (
                f"[{tail.left_bytes} bytes ({tail.left_lines} lines) of output left out here: "
                f"'max_output' of a build is {self._build.max_output} bytes]"
            )
            self._journal.output(self._build, Stream.STDERR, notice)
        for stream, line in lines:
            self._allowance.tail -= line.cost
            self._pass_on(stream, line)

    def _pass_on(self, stream: Stream, line: "_Line") -> None:
        self._journal.output(self._build, stream, line.read(self._build))


class _Line:
    """The bytes of one line so far."""

    __slots__ = ("cut", "kept")

    def __init__(self) -> None:
        self.kept = b""
        self.cut = 0

    @property
    def cost(self) -> int:
        return min(len(self.kept), LINE_LIMIT) + LINE_COST

    def add(self, piece: bytes) -> None:
        room = LINE_LIMIT + _MARGIN - len(self.kept)
        if len(piece) <= room:
            self.kept = self.kept + piece if self.kept else piece
            return
        self.kept += piece[:room]
        self.cut += len(piece) - room

    def clear(self) -> None:
        self.kept = b""
        self.cut = 0

    def read(self, build: Build) -> str:
        kept = self.kept.removesuffix(b"\r") if not self.cut else self.kept
        text = build.mask(_decode(kept))
        over = len(kept) + self.cut - LINE_LIMIT
        if over <= 0:
            return text
        margin = len(_decode(kept[LINE_LIMIT:]))
        return f"{text[: max(0, len(text) - margin)]} [{over} more bytes of this line cut]"


class _Chunk:
    """Bytes that came from one stream in a row."""

    __slots__ = ("content", "cost", "ends", "stream")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.content = bytearray()
        self.ends = 0
        self.cost = _CHUNK_COST

    def extend(self, piece: bytes) -> int:
        """Take the piece too, and say what that costs."""
        ends = piece.count(b"\n")
        cost = len(piece) + ends * LINE_COST
        self.content += piece
        self.ends += ends
        self.cost += cost
        return cost


class _Tail:
    """The last bytes of both streams, in the order they came."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._ring_size = max(size, 2 * _CHUNK_SIZE)
        self._cost = 0
        self._chunks: deque[_Chunk] = deque()
        self._broken = dict.fromkeys(Stream, False)
        self.left_bytes = 0
        self.left_lines = 0

    def add(self, stream: Stream, piece: bytes) -> None:
        if not piece:
            return
        last = self._chunks[-1] if self._chunks else None
        if last is None or last.stream is not stream or len(last.content) >= _CHUNK_SIZE:
            last = _Chunk(stream)
            self._chunks.append(last)
            self._cost += last.cost
        self._cost += last.extend(piece)
        while self._cost - self._chunks[0].cost > self._ring_size:
            self._drop()

    def end(self) -> list[tuple[Stream, _Line]]:
        """The last whole lines that fit into the size, the oldest first."""
        fitting: deque[tuple[Stream, _Line]] = deque()
        cost = 0
        for stream, line in self._read_lines():
            fitting.append((stream, line))
            cost += line.cost
            while cost > self._size:
                _, gone = fitting.popleft()
                cost -= gone.cost
                self.left_lines += 1
                self.left_bytes += len(gone.kept) + gone.cut + 1
        return list(fitting)

    def _drop(self) -> None:
        gone = self._chunks.popleft()
        self._cost -= gone.cost
        self.left_bytes += len(gone.content)
        self.left_lines += gone.ends
        self._broken[gone.stream] = not gone.content.endswith(b"\n")

    def _read_lines(self) -> Iterator[tuple[Stream, _Line]]:
        lines = {stream: _Line() for stream in Stream}
        while self._chunks:
            chunk = self._chunks.popleft()
            stream = chunk.stream
            *ends, rest = bytes(chunk.content).split(b"\n")
            for end in ends:
                lines[stream].add(end)
                if self._whole(stream, lines[stream]):
                    yield stream, lines[stream]
                lines[stream] = _Line()
                self._broken[stream] = False
            lines[stream].add(rest)
        for stream, line in lines.items():
            if (line.kept or line.cut) and self._whole(stream, line):
                yield stream, line

    def _whole(self, stream: Stream, line: _Line) -> bool:
        """Whether the line's start is here too; one without is left out."""
        if not self._broken[stream]:
            return True
        self.left_lines += 1
        self.left_bytes += len(line.kept) + line.cut + 1
        return False


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").replace("\0", "\ufffd")
