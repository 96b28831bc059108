"""Whom a browser speaks for: other sites' pages may not use the reader's login."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from sloth_ci.errors import CrossSiteRefused, HostRefused
from sloth_ci.request import Request


def check_host(request: Request, hosts: Iterable[str]) -> None:
    """Raises HostRefused when the server has a list of host names and this is none of them."""
    allowed = [host.lower() for host in hosts]
    name = _host_name(request.header("host"))
    if allowed and name not in allowed:
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
