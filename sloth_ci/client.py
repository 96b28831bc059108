"""A client of the API, in which a refusal is the same error the server raised."""

import hashlib
import json
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlencode, urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
)

from sloth_ci import __version__
from sloth_ci.errors import ServerUnreachable, SlothError, UnexpectedAnswer, from_answer

#: What changes nothing, so that it may be asked again when the connection broke.
READING = frozenset({"info", "list", "logs", "history", "version"})
ATTEMPTS = 3
#: Seconds until a connection must be there; the answer itself may take the client's `timeout`.
CONNECT_TIMEOUT = 10.0

#: None is left out; a sequence is the parameter given as often.
Value = str | int | Sequence[str] | None


class BadUrl(SlothError):
    """The server's address must be a URL such as http://127.0.0.1:8080, not '{url}'."""


class BadCertificate(SlothError):
    """The file '{file}' has no certificate in PEM form, or can't be read."""


class Client:
    """Asks one server; a login in the URL counts when no other is given.

    `host` is sent as the Host header where the server knows itself by another name than the URL's;
    `timeout` is in seconds. For HTTPS, `ca_file` has the authorities to trust instead of the
    system's, and `certificate` is a file with the server's own, which is trusted by itself,
    whatever name it is made out to; both are in PEM form.
    """

    def __init__(
        self,
        url: str,
        login: str = "",
        password: str = "",
        timeout: float = 30.0,
        *,
        host: str = "",
        ca_file: str = "",
        certificate: str = "",
    ) -> None:
        parts = _split(url)
        trust = _trust(ca_file, certificate) if parts.scheme == "https" else {}
        self._path = parts.path or "/"
        address = parts.netloc.rpartition("@")[2]
        #: The server's address, without a login.
        self.url = f"{parts.scheme}://{address}{parts.path.rstrip('/')}"
        self._headers = {
            "User-Agent": f"sci/{__version__}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        if host:
            self._headers["Host"] = host
        if login or parts.username:
            own = (unquote(parts.username or ""), unquote(parts.password or ""))
            name, secret = (login, password) if login else own
            encoded = b64encode(f"{name}:{secret}".encode("utf-8", "surrogateescape")).decode()
            self._headers["Authorization"] = f"Basic {encoded}"
        self._timeout = timeout
        self._pool = urllib3.connection_from_url(
            f"{parts.scheme}://{address}",
            timeout=urllib3.Timeout(connect=min(timeout, CONNECT_TIMEOUT), read=timeout),
            maxsize=1,
            block=True,
            **trust,
        )
        self._pool.ConnectionCls = _counted(self._pool.ConnectionCls, self._count_connection)
        #: How many connections were made so far; one lives as long as the server keeps it.
        self.connections = 0

    @property
    def has_login(self) -> bool:
        """Whether requests carry a user name and password."""
        return "Authorization" in self._headers

    def call(self, action: str, /, **params: Value) -> Any:
        """Ask for an action of the API and give its value, None when there is none.

        Raises the error that the server's answer tells of, ServerUnreachable when nobody answers,
        and UnexpectedAnswer when something else than a Sloth CI server does.
        """
        return self._read(self._ask(action, [("action", action), *_pairs(params)]))

    def trigger(self, listen_point: str, params: Mapping[str, str]) -> int:
        """Queue a build with these params and give its id.

        Raises the same as `call`.
        """
        pairs = [("action", "trigger"), ("listen_point", listen_point), *params.items()]
        response = self._ask("trigger", pairs)
        self._read(response)
        build_id = response.headers.get("X-Build-Id", "")
        if not build_id.isdecimal():
            raise UnexpectedAnswer(url=self.url, reason="it took the build but gave no X-Build-Id")
        return int(build_id)

    def _ask(self, action: str, pairs: list[tuple[str, str]]) -> urllib3.BaseHTTPResponse:
        body = urlencode(pairs, errors="surrogateescape")
        attempts = ATTEMPTS if action in READING else 1
        while True:
            attempts -= 1
            try:
                return self._pool.request(
                    "POST",
                    self._path,
                    body=body,
                    headers=self._headers,
                    redirect=False,
                    retries=False,
                )
            except ProtocolError as error:
                if not attempts:
                    raise self._unreachable(error) from error
            except HTTPError as error:
                raise self._unreachable(error) from error

    def _count_connection(self) -> None:
        self.connections += 1

    def _unreachable(self, error: HTTPError) -> SlothError:
        if isinstance(error, NameResolutionError):
            return ServerUnreachable(url=self.url, reason="the host name is not known")
        if isinstance(error, NewConnectionError):
            reason = getattr(error.__cause__, "strerror", None) or str(error)
            return ServerUnreachable(url=self.url, reason=reason.lower())
        if isinstance(error, ConnectTimeoutError | ReadTimeoutError):
            return ServerUnreachable(url=self.url, reason=f"nothing came for {self._timeout:g} s")
        if isinstance(error, ProtocolError):
            return ServerUnreachable(url=self.url, reason="the connection broke before an answer")
        return UnexpectedAnswer(url=self.url, reason=str(error))

    def _read(self, response: urllib3.BaseHTTPResponse) -> Any:
        status = response.status
        if not response.data:
            if status < 300:
                return None
            raise self._unexpected(response)
        try:
            value = json.loads(response.data)
        except (ValueError, RecursionError) as error:
            raise self._unexpected(response) from error
        if status < 300:
            return value
        match value:
            case {"error": {"code": str(code), "message": str(message), "details": dict(details)}}:
                raise from_answer(code, message, details)
        raise self._unexpected(response)

    def _unexpected(self, response: urllib3.BaseHTTPResponse) -> UnexpectedAnswer:
        kind = response.headers.get("Content-Type", "no content type")
        return UnexpectedAnswer(url=self.url, reason=f"it answers {response.status} with {kind}")


def _counted(connection: Any, count: Callable[[], None]) -> Any:
    """The kind of connection that tells when it is made; the pool makes dropped ones again."""

    class Counted(connection):  # type: ignore[misc]  # it is HTTP's or HTTPS's
        def connect(self) -> None:
            super().connect()
            count()

    return Counted


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError as error:
        raise BadUrl(url=url) from error
    if not usable or parts.query or parts.fragment:
        raise BadUrl(url=url)
    return parts


def _trust(ca_file: str, certificate: str) -> dict[str, str]:
    """What makes urllib3 believe that it talks to the right server."""
    if not certificate:
        return {"ca_certs": ca_file} if ca_file else {}
    try:
        # The first in the file is the server's own.
        text = Path(certificate).read_text(encoding="ascii")
        first = text[text.index(ssl.PEM_HEADER) :].partition(ssl.PEM_FOOTER)
        data = ssl.PEM_cert_to_DER_cert("".join(first[:2]))
    except (OSError, ValueError) as error:
        raise BadCertificate(file=certificate) from error
    return {"assert_fingerprint": hashlib.sha256(data).hexdigest(), "cert_reqs": "CERT_NONE"}


def _pairs(params: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    for name, value in params.items():
        if value is None:
            continue
        if isinstance(value, str | int):
            yield name, str(value)
            continue
        for one in value:
            yield name, one
