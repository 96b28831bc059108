"""Requests that we send: bounded in time and size, and to nobody inside unless that is allowed.

A name is looked up once, each address it stands for is checked, and the connection goes to one of
these very addresses, whatever the name stands for a moment later; TLS and the Host header keep the
name. Redirects are not followed: they would lead past the check, and take secrets along.
"""

import json
import ssl
from collections.abc import Mapping, Sequence
from functools import cache
from http.client import HTTPException
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlencode

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ReadTimeoutError,
)

from sloth_ci import __version__
from sloth_ci.masking import escape_controls
from sloth_ci.outgoing.failures import SendFailed, cut_after, try_again
from sloth_ci.outgoing.targets import (
    LookUp,
    Target,
    find_addresses,
    is_inside,
    look_up,
    read_target,
)
from sloth_ci.request import Reply

__all__ = [
    "Outgoing",
    "SendFailed",
    "Target",
    "cut_after",
    "find_addresses",
    "is_inside",
    "read_target",
    "trust",
    "try_again",
]

#: Seconds that a whole exchange may take, from the look-up of the name to the answer's last byte.
TIMEOUT = 10.0
#: Bytes of an answer that are read; the rest of it is left alone.
MAX_ANSWER = 64_000
#: Characters of an answer that an error's sentence quotes.
_QUOTED = 200
_LATE = (ReadTimeoutError, ConnectTimeoutError, TimeoutError)
#: Statuses beside 5xx that may be better next time.
_TEMPORARY = frozenset({408, 425, 429})


class Outgoing:
    """Sends requests by HTTP and HTTPS.

    `private` allows targets inside of a network, `timeout` is in seconds for one whole exchange,
    and `ca_file` has authorities to trust instead of the system's, in PEM form. Raises ValueError
    when that file can't be used.
    """

    def __init__(
        self,
        *,
        private: bool = False,
        timeout: float = TIMEOUT,
        ca_file: Path | None = None,
        look_up: LookUp = look_up,
    ) -> None:
        self._private = private
        self._timeout = timeout
        self._look_up = look_up
        self._tls = trust(ca_file) if ca_file else None

    def send(
        self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str]
    ) -> Reply:
        """Send one request and give its answer, of status 2xx, with at most MAX_ANSWER bytes.

        Raises SendFailed.
        """
        target = _read_target(url)
        deadline = monotonic() + self._timeout
        addresses = find_addresses(
            target.host,
            target.port,
            private=self._private,
            timeout=self._timeout,
            look_up=self._look_up,
        )
        sent = {"Host": target.authority, "User-Agent": f"Sloth-CI/{__version__}", **headers}
        connection = self._connect(target, addresses, deadline)
        try:
            with cut_after(deadline - monotonic(), lambda: connection.sock):
                connection.request(
                    method, target.path, body=body or None, headers=sent, preload_content=False
                )
                reply = _read(connection)
            # A head that was cut off reads like one that ended.
            if monotonic() >= deadline:
                raise TimeoutError
        except (HTTPError, HTTPException, OSError) as error:
            raise self._failure(target, error, deadline) from error
        finally:
            connection.close()
        return _check(target, reply)

    def send_json(
        self, url: str, value: Any, *, method: str = "POST", headers: Mapping[str, str]
    ) -> Reply:
        """As `send`, with a JSON value as the body."""
        given = {"Content-Type": "application/json", **headers}
        return self.send(method, url, body=json.dumps(value).encode(), headers=given)

    def send_form(
        self, url: str, values: Mapping[str, str], *, headers: Mapping[str, str]
    ) -> Reply:
        """As `send`, by POST with a form as the body."""
        given = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        return self.send("POST", url, body=urlencode(values).encode(), headers=given)

    def _connect(
        self, target: Target, addresses: Sequence[str], deadline: float
    ) -> HTTPConnection | HTTPSConnection:
        """A connection to the first of the addresses that takes one."""
        trouble: Exception | None = None
        for address in addresses:
            if (left := deadline - monotonic()) <= 0:
                break
            connection = self._make(target, address, left)
            try:
                with cut_after(left, lambda found=connection: found.sock):  # type: ignore[misc]
                    connection.connect()
            except (HTTPError, OSError) as error:
                connection.close()
                trouble = error
                continue
            if deadline > monotonic():
                return connection
            connection.close()
        raise self._failure(target, trouble or TimeoutError(), deadline) from trouble

    def _make(
        self, target: Target, address: str, seconds: float
    ) -> HTTPConnection | HTTPSConnection:
        if target.scheme == "http":
            return HTTPConnection(address, target.port, timeout=seconds)
        return HTTPSConnection(
            address,
            target.port,
            timeout=seconds,
            ssl_context=self._tls or trust(None),
            server_hostname=target.host,
        )

    def _failure(self, target: Target, error: Exception, deadline: float) -> SendFailed:
        cause = error.__cause__ if isinstance(error, NewConnectionError) else error
        if isinstance(cause, _LATE) or monotonic() >= deadline:
            return SendFailed(f"{target} gave no whole answer within {self._timeout:g} s")
        if isinstance(error, ssl.SSLCertVerificationError):
            reason = error.verify_message or str(error)
            return SendFailed(f"{target} has a certificate that is not trusted: {reason}")
        if isinstance(error, ssl.SSLError):
            return SendFailed(f"{target} speaks no TLS that we understand: {error.reason}")
        if isinstance(cause, ConnectionRefusedError):
            return SendFailed(f"{target} takes no connection")
        if isinstance(cause, OSError) and cause.strerror:
            return SendFailed(f"{target} can't be reached: {cause.strerror}")
        return SendFailed(f"{target} broke the connection before a whole answer")


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """What decides whom TLS believes: the authorities in that file, or the system's.

    Raises ValueError when the file has none, or can't be read.
    """
    if ca_file is None:
        return _trust_system()
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        reason = "it holds no certificate in PEM form"
        if not isinstance(error, ssl.SSLError):
            reason = error.strerror or str(error)
        raise ValueError(f"the ca_file {ca_file} can't be used: {reason}") from error


@cache
def _trust_system() -> ssl.SSLContext:
    """Made once: it takes milliseconds, and memory."""
    return ssl.create_default_context()


def _read_target(url: str) -> Target:
    try:
        return read_target(url)
    except ValueError as error:
        raise SendFailed(f"the address {error}", temporary=False) from error


def _read(connection: HTTPConnection) -> Reply:
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.headers.items()}
    body = response.read(MAX_ANSWER, decode_content=False)
    return Reply(response.status, body, headers)


def _check(target: Target, reply: Reply) -> Reply:
    """The answer, if it says that all is well."""
    status = reply.status
    if 200 <= status < 300:
        return reply
    if 300 <= status < 400:
        raise SendFailed(
            f"{target} answered {status} and points elsewhere; write down the final address,"
            " as redirects are not followed",
            status=status,
            temporary=False,
        )
    words = " ".join(reply.body.decode(errors="replace").split())
    quoted = escape_controls(words)[:_QUOTED]
    wait = reply.headers.get("retry-after", "")
    raise SendFailed(
        f"{target} answered {status}" + (f": {quoted}" if quoted else ""),
        status=status,
        temporary=status >= 500 or status in _TEMPORARY,
        retry_after=float(wait) if wait.isascii() and wait.isdecimal() and len(wait) < 8 else 0.0,
    )
