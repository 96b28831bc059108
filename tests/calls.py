"""Calls to a running server, for tests: status, headers and body as they came."""

import base64
import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from time import monotonic
from typing import Any
from urllib.parse import urlencode, urlsplit

PATIENCE = 45


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        """The JSON value in the body."""
        return json.loads(self.body)


def send(
    url: str,
    *,
    method: str = "GET",
    path: str = "/",
    login: tuple[str, str] | None = None,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    source: str = "",
) -> Reply:
    """Send one request on a connection of its own, from the address `source` if that matters."""
    parts = urlsplit(url)
    assert parts.hostname
    connection = http.client.HTTPConnection(
        parts.hostname,
        parts.port,
        timeout=PATIENCE,
        source_address=(source, 0) if source else None,
    )
    sent = dict(headers or {})
    if login:
        sent["Authorization"] = "Basic " + base64.b64encode(":".join(login).encode()).decode()
    try:
        connection.request(method, path, body=body or None, headers=sent)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, found, response.read())
    finally:
        connection.close()


class Api:
    """The API of a running server, called by POST form."""

    def __init__(self, url: str, login: tuple[str, str] | None) -> None:
        self.url = url
        self.login = login

    def __call__(self, action: str, **params: Any) -> Reply:
        """Call an action."""
        return send(
            self.url,
            method="POST",
            login=self.login,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode({"action": action, **params}, doseq=True).encode(),
        )

    def create(self, config: str) -> str:
        """Create an app and give its listen point."""
        reply = self("create", config_string=config)
        assert reply.status == 201, reply.body
        return str(reply.value)

    def trigger(self, listen_point: str, **params: str) -> int:
        """Trigger a build and give its id."""
        reply = self("trigger", listen_point=listen_point, **params)
        assert reply.status == 202, reply.body
        return int(reply.headers["x-build-id"])

    def history(self, listen_point: str) -> list[str]:
        """The messages of the history, newest first."""
        value = self("history", listen_point=listen_point, per_page=1000).value
        return [record["message"] for record in value]

    def logs(self, listen_point: str) -> list[str]:
        """The messages of the whole log, oldest first."""
        value = self("logs", listen_point=listen_point, level=1, per_page=5000).value
        return [record["message"] for record in reversed(value)]

    def wait_for_build(self, listen_point: str, build_id: int) -> dict[str, Any]:
        """The final history record of a build."""
        found: list[dict[str, Any]] = []

        def is_final() -> bool:
            value = self("history", listen_point=listen_point, per_page=1000).value
            found[:] = [
                one for one in value if one["build"] == build_id and one["level_number"] > 10
            ]
            return bool(found)

        wait_until(is_final)
        return found[0]


def wait_until(condition: Callable[[], Any], *, patience: float = PATIENCE) -> None:
    """Return once the condition holds; fail when it doesn't in time."""
    deadline = monotonic() + patience
    while not condition():
        assert monotonic() < deadline, "it never came true"
        Event().wait(0.02)
