"""A client of the API, in which a refusal is the same error the server raised."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote, unquote, urlencode

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
from sloth_ci.client.addresses import BadCertificate, BadUrl, split, trust
from sloth_ci.client.following import Event, Follower
from sloth_ci.errors import ServerUnreachable, SlothError, UnexpectedAnswer, from_answer

__all__ = ["BadCertificate", "BadUrl", "Client", "Event", "Value"]

#: What changes nothing, so that it may be asked again when the connection broke.
READING = frozenset(
    {
        *("info", "list", "logs", "history", "version", "builds", "build", "explain", "preview"),
        *("deliveries", "delivery", "stats", "export", "health", "status", "follow"),
        *("help", "openapi"),
    }
)
ATTEMPTS = 3
#: Bytes of a stream taken at a time, at most.
PIECE = 65_536
#: Log records asked for at a time.
RECORDS = 1_000
#: Seconds after which a silent stream is taken for a dead one; the server speaks each 15 s.
SILENCE = 45.0
#: Seconds for which a follower looks for a server that is away, as when it restarts.
PATIENCE = 60.0
#: Seconds until a connection must be there; the answer itself may take the client's `timeout`.
CONNECT_TIMEOUT = 10.0

#: None is left out; a sequence is the parameter given as often.
Value = str | int | Sequence[str] | None


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
        parts = split(url)
        trusted = trust(ca_file, certificate) if parts.scheme == "https" else {}
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
        self._connect = partial(
            urllib3.connection_from_url,
            f"{parts.scheme}://{address}",
            maxsize=1,
            block=True,
            **trusted,
        )
        self._pool = self._connect(timeout=self._limit(timeout))
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

    def preview(self, listen_point: str, params: Mapping[str, str]) -> Any:
        """What a build with these params would run; raises the same as `call`."""
        pairs = [("action", "preview"), ("listen_point", listen_point), *params.items()]
        return self._read(self._ask("preview", pairs))

    def rerun(self, build_id: int, *, config: str) -> int:
        """Queue that build again, with the config `stored` with it or the `current` one.

        Gives the new build's id; raises the same as `call`.
        """
        return int(self.call("rerun", build=build_id, config=config)["build"])

    def deliver(self, listen_point: str, *, body: bytes, headers: Mapping[str, str]) -> Any:
        """Send an app what its provider would send, without a login, and give the answer's value.

        Raises the same as `call`.
        """
        path = f"{self._path.rstrip('/')}/{quote(listen_point, errors='surrogateescape')}"
        own = {name: self._headers[name] for name in ("Host",) if name in self._headers}
        try:
            response = self._pool.request(
                "POST",
                path,
                body=body,
                headers={"User-Agent": self._headers["User-Agent"], **own, **headers},
                redirect=False,
                retries=False,
            )
        except HTTPError as error:
            raise self._unreachable(error) from error
        return self._read(response)

    def records(self, params: Mapping[str, Value]) -> Iterator[Mapping[str, Any]]:
        """All log records that these parameters of `logs` let through, the oldest first.

        Asks for more as they are wanted; raises the same as `call`.
        """
        place = "0"
        while place:
            asked = {"action": "logs", **params, "per_page": RECORDS, "after": place}
            response = self._ask("logs", list(_pairs(asked)))
            yield from self._read(response)
            place = response.headers.get("X-Next", "")

    def follow(
        self,
        *,
        build: int | None = None,
        listen_point: str | None = None,
        after: int | None = None,
        level: int | None = None,
        patience: float = PATIENCE,
    ) -> Iterator[Event]:
        """What happens to a build, to its end, or to an app, or to all of them, for ever.

        A build's records come from its first one on, others from now on; with `after`, those behind
        the record of that id. A connection that breaks is made again: no record is lost and none
        comes twice. Raises the same as `call`, after `patience` seconds in vain.
        """
        place = after
        if after is None and build is None:
            place = self.call("status")["last_record"]
        kept = {"build": build, "listen_point": listen_point, "level": level}
        follower = Follower(
            lambda place: self.download("follow", **kept, after=place),
            url=self.url,
            after=place,
            patience=patience,
        )
        return follower.events()

    def download(self, action: str, /, **params: Value) -> Iterator[bytes]:
        """The answer of an action that streams, in pieces, each as soon as it comes.

        Raises the same as `call`; after the first piece, ServerUnreachable when it breaks off.
        """
        pairs = [("action", action), *_pairs(params)]
        with self._connect(timeout=self._limit(SILENCE)) as pool:
            response = self._ask(action, pairs, pool=pool, preload_content=False)
            if response.status >= 300:
                self._read(response)
            try:
                while piece := response.read1(PIECE):
                    yield piece
            except HTTPError as error:
                reason = "the connection broke before the answer's end"
                raise ServerUnreachable(url=self.url, reason=reason) from error
            finally:
                response.close()

    def _limit(self, silence: float) -> urllib3.Timeout:
        return urllib3.Timeout(connect=min(self._timeout, CONNECT_TIMEOUT), read=silence)

    def _ask(
        self,
        action: str,
        pairs: list[tuple[str, str]],
        *,
        pool: urllib3.HTTPConnectionPool | None = None,
        preload_content: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        body = urlencode(pairs, errors="surrogateescape")
        attempts = ATTEMPTS if action in READING else 1
        while True:
            attempts -= 1
            try:
                return (pool or self._pool).request(
                    "POST",
                    self._path,
                    body=body,
                    headers=self._headers,
                    redirect=False,
                    retries=False,
                    preload_content=preload_content,
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


def _pairs(params: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    for name, value in params.items():
        if value is None:
            continue
        if isinstance(value, str | int):
            yield name, str(value)
            continue
        for one in value:
            yield name, one
