"""WSGI to `Request`, `Reply` to WSGI, errors to replies: the one renderer."""

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from ipaddress import ip_address
from time import time
from typing import Any, TypeVar

from sloth_ci.config import ServerConfig
from sloth_ci.errors import BadBody, BadRequest, BodyTooLarge, EncodingRefused, SlothError
from sloth_ci.parameters import Stream
from sloth_ci.request import Reply, Request
from sloth_ci.web.head import Head

Given = TypeVar("Given")
Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]
#: Answers a request; raises SlothError for a refusal.
Respond = Callable[[Environ], Reply]

#: Where an environ has what takes an answer's stream and sends it behind the answer's head.
FOLLOW = "sloth_ci.follow"

ERROR_LOG = logging.getLogger("sloth_ci.web")
ACCESS_LOG = logging.getLogger("sloth_ci.access")

#: Proxies that a request came through at most; what it says of others is not looked at.
MOST_HOPS = 50
#: What the answers say that made them.
SERVER_NAME = "Sloth CI"

_OWN_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class LiveReply(Reply):
    """An HTTP answer whose body is a stream."""

    stream: Stream = field(kw_only=True)


def live_reply(status: int, stream: Stream, headers: Mapping[str, str] | None = None) -> LiveReply:
    """An answer that goes on."""
    # Proxies such as nginx would collect it first.
    own = {"Content-Type": stream.content_type, "X-Accel-Buffering": "no"}
    return LiveReply(status, b"", {**own, **(headers or {})}, stream=stream)


def json_reply(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Reply:
    """An answer that holds a JSON value."""
    body = json.dumps(value, separators=(", ", ": ")).encode()
    return Reply(status, body, {"Content-Type": "application/json", **(headers or {})})


def render_error(error: SlothError) -> Reply:
    """An error as its answer."""
    value = {"code": error.code, "message": error.message, "details": error.details}
    return json_reply(error.status, {"error": value}, error.headers)


def render_raw(reply: Reply, *, closes: bool) -> bytes:
    """An answer with a body as its bytes; with `closes` it says that the connection ends."""
    head = [
        f"HTTP/1.1 {_STATUS_LINES[reply.status]}",
        *(f"{name}: {value}" for name, value in {**_OWN_HEADERS, **reply.headers}.items()),
        f"Content-Length: {len(reply.body)}",
        f"Date: {_date(int(time()))}",
        f"Server: {SERVER_NAME}",
        *(("Connection: close",) if closes else ()),
        "",
        "",
    ]
    return "\r\n".join(head).encode("latin-1") + reply.body


def render_refusal(error: SlothError) -> bytes:
    """An error as the bytes of its answer, after which the connection ends."""
    return render_raw(render_error(error), closes=True)


def note_refusal(address: str, error: SlothError) -> None:
    """Write down that something was refused before it was a request."""
    ACCESS_LOG.info('%s "-" %s "%s"', address, error.status, error.code)


def answer(environ: Environ, start_response: StartResponse, respond: Respond) -> Iterable[bytes]:
    """Answer a WSGI request with what `respond` gives or raises."""
    method = environ["REQUEST_METHOD"]

    def give() -> Reply:
        reply = respond(environ)
        if isinstance(reply, LiveReply) and method != "HEAD":
            environ[FOLLOW](reply.stream)
        return reply

    reply = reply_to(give, method=method)
    headers = list({**_OWN_HEADERS, **reply.headers}.items())
    if reply.status not in _WITHOUT_BODY and not isinstance(reply, LiveReply):
        headers.append(("Content-Length", str(len(reply.body))))
    note_access(
        reply,
        address=environ["REMOTE_ADDR"],
        method=method,
        path=environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""),
        agent=environ.get("HTTP_USER_AGENT", "-"),
    )
    start_response(_STATUS_LINES[reply.status], headers)
    return [reply.body] if method != "HEAD" else []


def reply_to(give: Callable[[], Given], *, method: str) -> Given | Reply:
    """What this gives, or what it raises as an answer."""
    try:
        return give()
    except SlothError as error:
        return render_error(error)
    # The edge: a fault, be it an extension's sys.exit, must end in an answer, and in the log.
    except (Exception, SystemExit, KeyboardInterrupt):  # noqa: BLE001
        ERROR_LOG.exception("A request failed: %s", method)
        return render_error(SlothError())


def note_access(reply: Reply, *, address: str, method: str, path: str, agent: str) -> None:
    """Write down that a request was answered."""
    if ACCESS_LOG.isEnabledFor(logging.INFO):
        ACCESS_LOG.info(
            '%s "%s %s" %s %s "%s"', address, method, path, reply.status, len(reply.body), agent
        )


def make_request(head: Head, address: str, config: ServerConfig) -> Request:
    """The request of a head that the vestibule has read, without its body."""
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1")
        for name, value in head.headers.items()
    }
    headers.setdefault("content-type", "")
    return Request(
        method=head.method.decode("latin-1"),
        path=head.path.decode("latin-1"),
        query=head.query.decode("latin-1"),
        headers=headers,
        address=_sender(address, headers, config),
        body=b"",
    )


def read_head(environ: Environ, config: ServerConfig) -> Request:
    """The request without its body, which is not read yet."""
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    headers["content-type"] = environ.get("CONTENT_TYPE", "")
    return Request(
        method=environ["REQUEST_METHOD"],
        path=environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""),
        query=environ.get("QUERY_STRING", ""),
        headers=headers,
        address=_sender(environ["REMOTE_ADDR"], headers, config),
        body=b"",
    )


def read_body(environ: Environ, *, limit: int) -> bytes:
    """The request's whole body.

    Raises BodyTooLarge, BadBody, EncodingRefused or RequestTimeout.
    """
    encoding = environ.get("HTTP_CONTENT_ENCODING", "identity")
    if encoding.lower() != "identity":
        raise EncodingRefused(encoding=encoding)
    announced = environ.get("CONTENT_LENGTH") or ""
    if announced and not announced.isdecimal():
        raise BadRequest(reason="its Content-Length is no number")
    if announced and int(announced) > limit:
        raise BodyTooLarge(limit=limit)
    try:
        body: bytes = environ["wsgi.input"].read(limit + 1)
    except (OSError, ValueError) as error:
        raise BadBody(wanted="whole", reason="it broke off") from error
    if len(body) > limit:
        raise BodyTooLarge(limit=limit)
    if announced and len(body) < int(announced):
        raise BadBody(wanted="whole", reason=f"{len(body)} of {announced} bytes came")
    return body


def _sender(address: str, headers: Mapping[str, str], config: ServerConfig) -> str:
    """Who sent it: the last address in X-Forwarded-For that no trusted proxy of ours has."""
    if not config.trusted_proxies or not _is_trusted(address, config):
        return address
    for hop in reversed(headers.get("x-forwarded-for", "").rsplit(",", MOST_HOPS)[-MOST_HOPS:]):
        try:
            address = str(ip_address(hop.strip()))
        except ValueError:
            return address
        if not _is_trusted(address, config):
            return address
    return address


def _is_trusted(address: str, config: ServerConfig) -> bool:
    return any(ip_address(address) in network for network in config.trusted_proxies)


@lru_cache(maxsize=4)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
