"""One action on one host: from the connection to its exit code, or to its end by force."""

import select
import socket
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from secrets import token_hex
from threading import Lock
from time import monotonic

import paramiko

from sloth_ci.builds import BuildStatus
from sloth_ci.records import Stream
from sloth_ci.shell import Breaker, Order, Output

from ._ssh_host import Access, Host, NotConnected
from ._ssh_script import command_for, write_script

_READ_SIZE = 65_536
#: Seconds between looks at what no descriptor tells of: the exit code.
_LOOK = 0.1
#: Seconds of silence after the exit code, for output of what lives on with the output in its hand.
_SILENCE = 0.3
#: Seconds to wait, after grace and KILL, for the host to say that all has ended.
_CONFIRMATION = 5.0
#: Seconds between TERM and KILL for what a stopping server interrupts.
_INTERRUPTED_GRACE = 1.0

_LOST = "the connection was lost while the action ran"


@dataclass(frozen=True, slots=True)
class Ended:
    """How an action ended on a host."""

    host: Host
    exit_code: int | None = None
    #: Why there is no exit code, '' when there is one or the action was broken off.
    trouble: str = ""
    #: Whether something may still run there.
    unsure: bool = False


class Session:
    """Runs one action on one host."""

    def __init__(
        self,
        host: Host,
        order: Order,
        output: Output,
        *,
        lock: Lock,
        folder: str | None,
        grace: float,
    ) -> None:
        self._host = host
        self._order = order
        self._output = output
        self._lock = lock
        self._folder = folder
        self._grace = grace

    def run(self, access: Access) -> Ended:
        """See the action through; what the journal raises is passed on."""
        connection: list[socket.socket] = []

        def note(opened: socket.socket) -> None:
            connection.append(opened)
            if self._order.over():
                # The breaker may have come just before there was anything to break.
                _shut(connection)

        try:
            with (
                Breaker(self._order, lambda: _shut(connection)) as breaker,
                access.connect(self._host, opened=note) as transport,
            ):
                breaker.dismiss()
                return self._run_on(transport)
        except NotConnected as error:
            if self._order.over():
                return Ended(self._host)
            return Ended(self._host, trouble=str(error))

    def _run_on(self, transport: paramiko.Transport) -> Ended:
        script = write_script(
            self._order.text,
            environment=self._order.environment,
            token=token_hex(16),
            folder=self._folder,
            detach=self._order.detach,
        ).encode()
        try:
            channel = transport.open_session()
            channel.exec_command(command_for(script))
        except (OSError, EOFError, paramiko.SSHException) as error:
            return Ended(self._host, trouble=f"no command could be started: {error}")
        with channel:
            # Where the login shell runs no commands, nobody reads the script, and says so.
            with suppress(OSError):
                channel.sendall(script)
            return self._follow(channel)

    def _follow(self, channel: paramiko.Channel) -> Ended:
        over = self._pass_on(channel, until=self._order.deadline, heed_halt=True)
        if over:
            self._break_off(channel)
        with self._lock:
            self._output.close()
        if over:
            return Ended(self._host, unsure=not channel.exit_status_ready())
        code = channel.recv_exit_status()
        if code < 0:
            return Ended(
                self._host, trouble="the connection was lost while the action ran", unsure=True
            )
        return Ended(self._host, exit_code=code)

    def _break_off(self, channel: paramiko.Channel) -> None:
        """Have the other side end all of the action, and wait for the news of it."""
        grace = self._grace
        if self._order.halt.status is BuildStatus.INTERRUPTED:
            grace = min(grace, _INTERRUPTED_GRACE)
        with suppress(OSError):
            channel.sendall(f"{ceil(grace * 10)}\n".encode())
            channel.shutdown_write()
        self._pass_on(channel, until=monotonic() + grace + _CONFIRMATION, heed_halt=False)

    def _pass_on(self, channel: paramiko.Channel, *, until: float | None, heed_halt: bool) -> bool:
        """Pass output on until the action has ended (False), or its time is over (True)."""
        poll = select.poll()
        poll.register(channel.fileno(), select.POLLIN)
        if heed_halt:
            poll.register(self._order.halt.fileno(), select.POLLIN)
        silent_since, listening = monotonic(), True
        while True:
            if self._read(channel):
                silent_since = monotonic()
            elif channel.exit_status_ready() and (
                channel.eof_received or channel.closed or monotonic() - silent_since > _SILENCE
            ):
                return False
            elif listening and (channel.eof_received or channel.closed):
                # What has ended is always readable.
                poll.unregister(channel.fileno())
                listening = False
            if (until is not None and monotonic() >= until) or (
                heed_halt and self._order.halt.status
            ):
                return True
            left = _LOOK if until is None else min(_LOOK, max(0.0, until - monotonic()))
            poll.poll(ceil(left * 1000))

    def _read(self, channel: paramiko.Channel) -> bool:
        """Pass on what is there; whether there was anything."""
        found = False
        for stream, ready, receive in (
            (Stream.STDOUT, channel.recv_ready, channel.recv),
            (Stream.STDERR, channel.recv_stderr_ready, channel.recv_stderr),
        ):
            while ready() and (chunk := receive(_READ_SIZE)):
                found = True
                with self._lock:
                    self._output.take(stream, chunk)
        return found


def _shut(connection: list[socket.socket]) -> None:
    for one in connection:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
