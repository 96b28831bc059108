"""Hosts of SSH: their addresses, the keys they are known by, and connections to them."""

import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko
from paramiko.hostkeys import HostKeyEntry

_ADDRESS = re.compile(
    r"(?:(?P<user>[^@:\s]+)@)?(?:\[(?P<ipv6>[0-9A-Fa-f:.%\w]+)\]|(?P<name>[A-Za-z0-9_][\w.-]*))"
    r"(?::(?P<port>[0-9]{1,5}))?",
    re.ASCII,
)
_PORT = 22
#: The connection is given up after so many keepalives without an answer.
_SILENT_KEEPALIVES = 3


class NotConnected(Exception):
    """There is no connection; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Host:
    """Where to log in."""

    #: As the config has it, for the log.
    text: str
    name: str
    port: int
    user: str | None

    @property
    def known_as(self) -> str:
        """Its name in a file of known hosts."""
        return self.name if self.port == _PORT else f"[{self.name}]:{self.port}"


def read_hosts(value: Any) -> tuple[Host, ...]:
    """One host or a list of them: `web1`, `ci@web1`, `ci@web1:2222`, `ci@[2001:db8::1]:2222`."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts:
        raise ValueError("must be a host such as ci@web1:22, or a list of hosts")
    hosts = tuple(_read_host(text) for text in texts)
    names = [host.text for host in hosts]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"has the host '{double}' twice")
    return hosts


def read_host_keys(value: Any) -> tuple[HostKeyEntry, ...]:
    """Lines as in a file of known hosts: `web1 ssh-ed25519 AAAA…`."""
    lines = [value] if isinstance(value, str) else value
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise ValueError("must be a list of lines such as 'web1 ssh-ed25519 AAAA…'")
    return tuple(_read_host_key(line) for line in lines)


def read_private_key(path: Path, passphrase: str | None) -> paramiko.PKey:
    """The private key in a file; raises ValueError with a sentence when there is none to be had."""
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key_file(str(path), password=passphrase)
        except OSError as error:
            raise ValueError(f"'key' can't be read: {path}: {error.strerror}") from error
        except paramiko.PasswordRequiredException as error:
            raise ValueError(
                f"'key' is encrypted: {path}; give its passphrase with 'passphrase'"
            ) from error
        except (paramiko.SSHException, ValueError):
            continue
    reason = " with that passphrase" if passphrase else ""
    raise ValueError(f"'key' can't be read as a private key{reason}: {path}")


@dataclass(frozen=True, slots=True)
class Access:
    """How to get in, and whom to believe."""

    user: str | None
    password: str | None
    key: paramiko.PKey | None
    agent: bool
    known_hosts: Path
    host_keys: Sequence[HostKeyEntry]
    #: The line that an unknown host was accepted with, if it was.
    accepted: Callable[[Host], str | None]
    #: Takes a host nobody knows, by the line to be known by next time; None to refuse it.
    accept: Callable[[Host, str], None] | None
    #: Seconds.
    timeout: float
    keepalive: float

    @contextmanager
    def connect(
        self, host: Host, *, opened: Callable[[socket.socket], None]
    ) -> Iterator[paramiko.Transport]:
        """A connection that is logged in; raises NotConnected.

        `opened` gets the socket as soon as there is one; to shut that down breaks everything off.
        """
        with paramiko.SSHClient() as client:
            with _telling(host, self):
                client.set_missing_host_key_policy(_Unknown(host, self.accept))
                self._tell_known(host, client.get_host_keys())
                connection = self._open(host)
                opened(connection)
                client.connect(
                    host.name,
                    host.port,
                    username=host.user or self.user,
                    password=self.password,
                    pkey=self.key,
                    allow_agent=self.agent,
                    look_for_keys=False,
                    sock=connection,
                    timeout=self.timeout,
                    banner_timeout=self.timeout,
                    auth_timeout=self.timeout,
                    channel_timeout=self.timeout,
                )
            transport = client.get_transport()
            if transport is None:
                raise NotConnected("the connection was closed at once")
            transport.set_keepalive(max(1, round(self.keepalive)))
            yield transport

    def _tell_known(self, host: Host, known: paramiko.HostKeys) -> None:
        if self.known_hosts.is_file():
            known.load(str(self.known_hosts))
        for entry in self.host_keys:
            _add(known, entry)
        line = self.accepted(host)
        if line is not None and known.lookup(host.known_as) is None:
            _add(known, _read_host_key(line))

    def _open(self, host: Host) -> socket.socket:
        connection = socket.create_connection((host.name, host.port), timeout=self.timeout)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Else a line that was cut is noticed only after a quarter of an hour: tcp(7).
            patience = round(self.keepalive * _SILENT_KEEPALIVES * 1000)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience)
        return connection


@contextmanager
def _telling(host: Host, access: Access) -> Iterator[None]:
    """What goes wrong, as a sentence that says what to do."""
    try:
        yield
    except paramiko.BadHostKeyException as error:
        raise NotConnected(
            "its host key is not the one that is known: "
            f"{error.key.fingerprint} came, {error.expected_key.fingerprint} was expected. "
            "If the host was set up anew, put this in the place of its old line: "
            f"{_line(host, error.key)}"
        ) from error
    except paramiko.AuthenticationException as error:
        given = {"key": access.key, "agent": access.agent, "password": access.password}
        ways = " or ".join(way for way, value in given.items() if value)
        user = host.user or access.user or "the server's own user"
        raise NotConnected(f"the login as {user} by {ways} was refused") from error
    except socket.gaierror as error:
        raise NotConnected(f"the name '{host.name}' can't be resolved: {error.strerror}") from error
    except TimeoutError as error:
        raise NotConnected(f"no answer within {access.timeout:g} seconds") from error
    except (OSError, EOFError, paramiko.SSHException) as error:
        reason = getattr(error, "strerror", None) or str(error) or "the connection was closed"
        raise NotConnected(f"can't connect to port {host.port}: {reason}") from error


class _Unknown(paramiko.MissingHostKeyPolicy):
    """What to do with a host that nobody knows."""

    def __init__(self, host: Host, accept: Callable[[Host, str], None] | None) -> None:
        self._host = host
        self._accept = accept

    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        line = _line(self._host, key)
        if self._accept is None:
            raise NotConnected(
                f"its host key {key.fingerprint} is not known. If that is the right one, add this"
                f" line to 'host_keys' or to the file of 'known_hosts': {line}"
            )
        self._accept(self._host, line)


def _add(known: paramiko.HostKeys, entry: HostKeyEntry) -> None:
    for name in entry.hostnames or ():
        known.add(name, entry.key.get_name(), entry.key)


def _line(host: Host, key: paramiko.PKey) -> str:
    return f"{host.known_as} {key.get_name()} {key.get_base64()}"


def _read_host(text: Any) -> Host:
    match = _ADDRESS.fullmatch(text) if isinstance(text, str) else None
    port = int(match["port"] or _PORT) if match else 0
    if match is None or not 0 < port < 65_536:
        raise ValueError(f"has a host that can't be read: '{text}'; write it as ci@web1:22")
    return Host(text, match["ipv6"] or match["name"], port, match["user"])


def _read_host_key(line: str) -> HostKeyEntry:
    try:
        entry = HostKeyEntry.from_line(" ".join(line.split()))
    except (paramiko.SSHException, ValueError) as error:
        raise ValueError(f"has a line that holds no host key: '{line[:60]}'") from error
    if entry is None or entry.key is None:
        raise ValueError(f"has a line that is not as 'web1 ssh-ed25519 AAAA…': '{line[:60]}'")
    return entry
