"""What arrives over HTTP and what is answered, as plain data: all that rooms see of the web."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request with its raw body."""

    method: str
    path: str
    #: Without the leading `?`, still percent-encoded.
    query: str
    #: Names in lower case; a header sent twice is joined with a comma.
    headers: Mapping[str, str]
    #: The sender's IP address, after `trusted_proxies` were taken into account.
    address: str
    body: bytes

    def header(self, name: str) -> str:
        """The header's value, '' when it was not sent; the name's case doesn't matter."""
        return self.headers.get(name.lower(), "")


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that a delivery was held against."""

    #: Such as `signature` or `branch`.
    rule: str
    wanted: str
    #: Never a secret.
    seen: str
    holds: bool
