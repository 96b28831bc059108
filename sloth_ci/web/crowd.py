"""Who is who among many: addresses that count as one, and how many connections each may have."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from threading import Lock

#: A household gets at least so many of IPv6's addresses at once.
_HOUSEHOLD = 64


class Crowd:
    """Counts connections, so that nobody can take all of them.

    Connections of `trusted` networks, which are those of proxies, count only in total.
    """

    def __init__(
        self, *, total: int, per_address: int, trusted: Iterable[IPv4Network | IPv6Network] = ()
    ) -> None:
        self._total = total
        self._per_address = per_address
        self._trusted = tuple(trusted)
        self._counts: dict[str, int] = {}
        self._present = 0
        self._lock = Lock()

    def admit(self, address: str) -> bool:
        """Count one more in, unless that were too many."""
        sender = one_sender(address)
        with self._lock:
            count = self._counts.get(sender, 0)
            if self._present >= self._total:
                return False
            if count >= self._per_address and not self._is_trusted(address):
                return False
            self._counts[sender] = count + 1
            self._present += 1
        return True

    def leave(self, address: str) -> None:
        """Count one out."""
        sender = one_sender(address)
        with self._lock:
            self._present -= 1
            self._counts[sender] -= 1
            if not self._counts[sender]:
                del self._counts[sender]

    def _is_trusted(self, address: str) -> bool:
        try:
            sender = ip_address(address)
        except ValueError:
            return False
        return any(sender in network for network in self._trusted)


@lru_cache(maxsize=1_000)
def one_sender(address: str) -> str:
    """The address, or the network of addresses that surely one sender has."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or IPv6Network((found, _HOUSEHOLD), strict=False))
    return address
