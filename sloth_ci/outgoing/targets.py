"""Where requests go: URLs, and the addresses that names stand for."""

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from queue import Empty, SimpleQueue
from threading import Thread
from urllib.parse import quote, urlsplit

from sloth_ci.outgoing.failures import SendFailed

#: RFC 6052; the last 32 bits are an IPv4 address.
_NAT64 = IPv6Network("64:ff9b::/96")
#: RFC 6890 and 3879; not all versions of Python count them as what they are.
_FURTHER = (IPv4Network("192.0.0.0/24"), IPv6Network("fec0::/10"))

#: The IP addresses that a host name stands for, for a port; raises OSError.
LookUp = Callable[[str, int], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes; as text it is without the path, which may be a secret."""

    scheme: str
    host: str
    port: int
    #: With the query, percent-encoded.
    path: str

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URL and in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.scheme == "https" else 80
        return host if self.port == usual else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def read_target(url: str) -> Target:
    """The target that a URL names.

    Raises ValueError, with a sentence that does not show the URL.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
        host = host if ":" in host else host.encode("idna").decode()
    except ValueError as error:
        raise ValueError("must be a URL such as https://ci.example.org/hook") from error
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise ValueError("must be a URL such as https://ci.example.org/hook")
    if "@" in parts.netloc:
        raise ValueError("must be a URL without a login in it")
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return Target(
        scheme=parts.scheme,
        host=host,
        port=port or (443 if parts.scheme == "https" else 80),
        path=quote(path, safe="/?%:@!$&'()*+,;=~"),
    )


def look_up(host: str, port: int) -> Sequence[str]:
    """The addresses that the system knows for a name."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(one[4][0]) for one in found))


def is_inside(address: str) -> bool:
    """Whether an IP address is not one of the public internet: private, loopback, link-local, …

    An IPv4 address that an IPv6 address carries counts as well.
    """
    return any(map(_is_inside, _carried(ip_address(address))))


def find_addresses(
    host: str, port: int, *, private: bool, timeout: float, look_up: LookUp = look_up
) -> Sequence[str]:
    """The addresses of a host, all of which may be connected to; `private` allows those inside.

    Raises SendFailed.
    """
    addresses = _look_up_within(timeout, host, port, look_up)
    inside = next((address for address in addresses if is_inside(address)), None)
    if inside is not None and not private:
        shown = host if host == inside else f"{host} ({inside})"
        raise SendFailed(
            f"{shown} is an address inside of a network, not of the public internet;"
            " 'private: true' allows it",
            temporary=False,
        )
    return addresses


def _look_up_within(seconds: float, host: str, port: int, look_up: LookUp) -> Sequence[str]:
    """The system's look-up knows no time limit, so it is left behind when it takes too long."""
    answers: SimpleQueue[Sequence[str] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(look_up(host, port))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    Thread(target=ask, name="look-up", daemon=True).start()
    try:
        found = answers.get(timeout=seconds)
    except Empty as error:
        raise SendFailed(f"the name {host} is not found within {seconds:g} s") from error
    if isinstance(found, Exception) or not found:
        raise SendFailed(f"the host name {host} is not known")
    return found


def _is_inside(address: IPv4Address | IPv6Address) -> bool:
    further = any(address in network for network in _FURTHER)
    return further or not address.is_global or address.is_multicast or address.is_reserved


def _carried(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """What packets for the address end up at: itself, and those of IPv4 that it carries."""
    if isinstance(address, IPv4Address):
        yield address
    elif address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address in _NAT64:
        yield IPv4Address(int(address) & 0xFFFFFFFF)
    else:
        yield address
        if address.sixtofour is not None:
            yield address.sixtofour
        yield from address.teredo or ()
