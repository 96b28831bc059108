"""Whom a browser speaks for: other sites' pages may not use the reader's login."""

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from sloth_ci.errors import CrossSiteRefused, HostRefused
from sloth_ci.request import Request

#: In a list of host names: every name of this machine's loopback.
LOOPBACK = "every loopback name"


def own_hosts(configured: Iterable[str], *, bound_to: str) -> tuple[str, ...]:
    """The names by which the server may be called; every name, when there are none.

    On a loopback address nobody calls it by another name but a page whose own name was pointed
    there (DNS rebinding), or a proxy, whose name the config can list.
    """
    names = tuple(host.lower() for host in configured)
    return names or ((LOOPBACK,) if is_loopback(bound_to) else ())


def is_loopback(host: str) -> bool:
    """Whether only this machine is reached by that name or address."""
    name = host.lower().rstrip(".")
    try:
        return name == "localhost" or name.endswith(".localhost") or ip_address(name).is_loopback
    except ValueError:
        return False


def check_host(request: Request, hosts: Iterable[str]) -> None:
    """Raises HostRefused when there are `own_hosts` and the request is for none of them."""
    allowed = tuple(hosts)
    name = _host_name(request.header("host"))
    if not allowed or name in allowed or (LOOPBACK in allowed and is_loopback(name)):
        return
    raise HostRefused(host=name)


def check_origin(request: Request, action: str) -> None:
    """Raises CrossSiteRefused when a page of another site makes the browser send this.

    `Sec-Fetch-Site` is what current browsers tell; `Origin` is the older sign of it.
    """
    site = request.header("sec-fetch-site")
    if site:
        if site not in ("same-origin", "none"):
            raise CrossSiteRefused(site=request.header("origin") or site, action=action)
        return
    origin = request.header("origin")
    if origin and urlsplit(origin).netloc.lower() != request.header("host").lower():
        raise CrossSiteRefused(site=origin, action=action)


def _host_name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
