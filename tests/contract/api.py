"""The API as a stranger calls it, and what every test asserts of its replies."""

import json
import textwrap
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from time import monotonic, sleep
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from tests.contract.wire import Headers, Reply, exchange

#: Seconds after which a thing that should have happened won't happen any more.
PATIENCE = 45
#: Seconds between two looks at it.
INTERVAL = 0.02

#: All that the contract knows of; a server may have more.
ACTIONS = (
    "bind",
    "create",
    "remove",
    "trigger",
    "info",
    "logs",
    "history",
    "restart",
    "stop",
    "list",
    "version",
)

Found = TypeVar("Found")
#: A list stands for a parameter given several times.
Params = Mapping[str, str | int | list[str]]


class Way(Enum):
    """How parameters travel."""

    GET = "GET"
    FORM = "POST of a form"
    MULTIPART = "POST of multipart data"
    JSON = "POST of JSON"


class Process(Protocol):
    """The server's process, where it is ours."""

    folder: Any

    def signal(self, number: int) -> None:
        """Send the process a signal."""

    def wait(self) -> int:
        """The exit code, once it ended."""


@dataclass(frozen=True, slots=True)
class Api:
    """A server's API."""

    url: str
    login: tuple[str, str] | None
    process: Process | None = None

    @property
    def is_near(self) -> bool:
        """Whether the server is on this machine."""
        return urlsplit(self.url).hostname in ("127.0.0.1", "::1", "localhost")

    def call(self, action: str, way: Way = Way.GET, **params: str | int | list[str]) -> Reply:
        """Ask for an action."""
        return self.ask({"action": action, **params}, way)

    def ask(self, params: Params, way: Way = Way.GET, *, headers: Headers = ()) -> Reply:
        """Send these parameters, `action` among them or not."""
        headers = [*self.authorization, *headers]
        if way is Way.GET:
            target = f"/?{urlencode(params, doseq=True)}"
            return exchange(self.url, target=target, headers=headers)
        kind, body = encode(params, way)
        headers.append(("Content-Type", kind))
        return exchange(self.url, method="POST", headers=headers, body=body)

    @property
    def authorization(self) -> list[tuple[str, str]]:
        """The header that lets us in."""
        return [] if self.login is None else [basic(*self.login)]

    def create(self, listen_point: str, config: str = "") -> Reply:
        """Create an app of these lines of YAML."""
        text = f"listen_point: {listen_point}\n{textwrap.dedent(config)}"
        return self.call("create", config_string=text)

    def info(self, listen_point: str) -> dict[str, Any]:
        """What `info` tells of one app."""
        (one,) = self.call("info", listen_points=listen_point).json
        return dict(one)

    def records(self, action: str, listen_point: str, **params: int) -> list[dict[str, Any]]:
        """Up to 500 records of `logs` or `history`, the newest first."""
        wanted: Params = {
            "action": action,
            "listen_point": listen_point,
            "per_page": 500,
            "level": 1,
        }
        reply = self.ask({**wanted, **params})
        assert reply.status == 200, reply.text
        return list(reply.json)

    def trigger(self, listen_point: str, **params: str) -> int:
        """Queue a build and give its id."""
        reply = self.ask({"action": "trigger", "listen_point": listen_point, **params})
        assert reply.status == 202, reply.text
        return int(reply.headers["X-Build-Id"])

    def build(self, listen_point: str, **params: str) -> dict[str, Any]:
        """Trigger a build, wait for its end, and give the history record of that."""
        return self.wait_for_end(listen_point, self.trigger(listen_point, **params))

    def wait_for_end(self, listen_point: str, build: int) -> dict[str, Any]:
        """The history record that ends the build, once it is there."""

        def find_end() -> dict[str, Any] | None:
            records = self.records("history", listen_point, level=20)
            return next((one for one in records if one["build"] == build), None)

        return wait_until(find_end, f"the end of build {build}")

    def printed(self, listen_point: str) -> list[str]:
        """The lines that the app's actions printed, the oldest first."""
        records = self.records("logs", listen_point)
        return [one["message"] for one in reversed(records) if "stream" in one]


def basic(name: str, password: str) -> tuple[str, str]:
    """The header of HTTP basic auth."""
    return "Authorization", "Basic " + b64encode(f"{name}:{password}".encode()).decode()


def encode(params: Params, way: Way) -> tuple[str, bytes]:
    """The parameters as a body, and its content type."""
    if way is Way.JSON:
        return "application/json", json.dumps(params).encode()
    if way is Way.FORM:
        return "application/x-www-form-urlencoded", urlencode(params, doseq=True).encode()
    boundary = uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in _pairs(params)
    ]
    return (
        f"multipart/form-data; boundary={boundary}",
        f"{''.join(parts)}--{boundary}--\r\n".encode(),
    )


def assert_empty(reply: Reply, status: int) -> None:
    """The reply has that status and not one byte of content."""
    assert (reply.status, reply.body) == (status, b""), reply.text
    assert "Content-Type" not in reply.headers


def assert_error(reply: Reply, code: str, *, status: int) -> dict[str, Any]:
    """The reply is that error in the one shape that all errors have; gives what it tells."""
    assert reply.status == status, reply.text
    assert set(reply.json) == {"error"}, reply.text
    error = reply.json["error"]
    assert set(error) == {"code", "message", "details"}, reply.text
    assert error["code"] == code, reply.text
    assert isinstance(error["details"], dict)
    assert error["message"].strip(), "an error says what was wrong"
    assert "Traceback" not in reply.text
    assert "<html" not in reply.text.lower()
    assert "site-packages" not in reply.text
    return dict(error)


def wait_until(condition: Callable[[], Found | None], what: str) -> Found:
    """What the condition gives, as soon as it gives anything true; fails when time is up."""
    deadline = monotonic() + PATIENCE
    while not (found := condition()):
        assert monotonic() < deadline, f"{what} did not come about in {PATIENCE} s"
        sleep(INTERVAL)
    return found


def _pairs(params: Params) -> Iterator[tuple[str, str]]:
    for name, value in params.items():
        for one in value if isinstance(value, list) else [value]:
            yield name, str(one)
