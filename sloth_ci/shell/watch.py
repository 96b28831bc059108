"""Wait for a shell's output and for other descriptors at once, in the calling thread."""

import os
import select
from array import array
from collections.abc import Iterable
from fcntl import ioctl
from math import ceil
from termios import FIONREAD
from time import monotonic, sleep

from sloth_ci.records import Stream
from sloth_ci.shell.output import Output
from sloth_ci.shell.process import Shell

_READ_SIZE = 65_536
#: Seconds between reads of output that comes faster than it is read and isn't kept: the flood
#: waits (at about 50 MB/s), and not the server's other threads.
_BREATH = 0.001
#: poll(2) counts milliseconds in an int, which holds 24 days; whoever waits longer looks again.
_LONGEST_POLL = 24 * 3600 * 1000


class Watch:
    """One poll set: the shell's two pipes, read as they fill, and what else is waited for."""

    def __init__(self, shell: Shell, output: Output) -> None:
        self._output = output
        self._poll = select.poll()
        self._streams = {shell.stdout: Stream.STDOUT, shell.stderr: Stream.STDERR}
        for descriptor in self._streams:
            self._poll.register(descriptor, select.POLLIN)

    def add(self, descriptor: int) -> None:
        """Wait for this one too."""
        self._poll.register(descriptor, select.POLLIN)

    def drop(self, descriptor: int) -> None:
        """Wait for this one no longer."""
        self._poll.unregister(descriptor)

    def until(self, moment: float | None) -> list[int]:
        """Pass output on until added descriptors are readable; which, or none at the moment."""
        while True:
            ready = []
            for descriptor, event in self._poll.poll(milliseconds_until(moment)):
                stream = self._streams.get(descriptor)
                if stream is None:
                    ready.append(descriptor)
                elif event & select.POLLIN:
                    self._read(descriptor, stream, _READ_SIZE)
                else:
                    self._close(descriptor)
            if ready or (moment is not None and monotonic() >= moment):
                return ready

    def until_all(self, descriptors: Iterable[int], moment: float) -> None:
        """Pass output on until each of these was readable, or the moment has come."""
        waiting = set(descriptors)
        for descriptor in waiting:
            self.add(descriptor)
        while waiting:
            ready = waiting.intersection(self.until(moment))
            for descriptor in ready or waiting:
                self.drop(descriptor)
            waiting = waiting - ready if ready else set()

    def drain(self) -> None:
        """Pass on what is in the pipes now; whoever still holds them is not waited for."""
        for descriptor, stream in list(self._streams.items()):
            waiting = array("i", [0])
            ioctl(descriptor, FIONREAD, waiting)
            left = waiting[0]
            while left > 0:
                left -= self._read(descriptor, stream, min(left, _READ_SIZE))

    def _read(self, descriptor: int, stream: Stream, size: int) -> int:
        chunk = os.read(descriptor, size)
        if chunk:
            self._output.take(stream, chunk)
            if self._output.overflows and len(chunk) == _READ_SIZE:
                sleep(_BREATH)
        else:
            self._close(descriptor)
        return len(chunk) or size

    def _close(self, descriptor: int) -> None:
        # The shell closes the descriptor itself; a pipe at its end is always ready, so forget it.
        self._poll.unregister(descriptor)
        del self._streams[descriptor]


def milliseconds_until(moment: float | None) -> int | None:
    """For `poll`, which then may return before that moment of the monotonic clock."""
    if moment is None:
        return None
    return min(max(0, ceil((moment - monotonic()) * 1000)), _LONGEST_POLL)
