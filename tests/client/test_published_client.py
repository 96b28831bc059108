"""A client as those published with 1.x: a form by POST, True or a value, errors by status.

It knows these statuses and nothing of ours: 200, 201, 202, 204 are success; an answer with a body
is JSON; a param that is None is not sent.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest

from sloth_ci import __version__
from tests.calls import Reply, send, wait_until
from tests.conftest import RunningServer

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class OldClient:
    """What a 1.3 client asks, and how it reads the answer."""

    def __init__(self, server: RunningServer, method: str = "POST") -> None:
        self._server = server
        self._method = method

    def __call__(self, action: str, **params: Any) -> tuple[int, Any]:
        reply = self._send({"action": action, **params})
        if reply.status >= 400:
            return reply.status, reply.body.decode().strip()
        return reply.status, reply.value if reply.body else None

    def _send(self, params: dict[str, Any]) -> Reply:
        sent = {name: value for name, value in params.items() if value is not None}
        form = urlencode(sent, doseq=True)
        if self._method == "GET":
            return send(self._server.url, path=f"/?{form}", login=self._server.login)
        return send(
            self._server.url,
            method="POST",
            login=self._server.login,
            headers=FORM,
            body=form.encode(),
        )


@pytest.fixture(params=["POST", "GET"], ids=["by POST", "by GET"])
def old(request: pytest.FixtureRequest, shared_server: RunningServer) -> OldClient:
    return OldClient(shared_server, request.param)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config file of an app that no other test knows."""
    file = tmp_path / "app.yml"
    file.write_text(f"listen_point: old/{uuid4().hex}\nactions: ['echo {{word}}']\n")
    return file


def create(old: OldClient, config: Path) -> str:
    status, name = old("create", config_string=config.read_text())
    assert status == 201
    return str(name)


def test_an_app_lives_from_its_creation_to_its_removal(old: OldClient, config: Path) -> None:
    name = create(old, config)

    assert old("bind", listen_point=name, config_file=str(config)) == (200, None)
    assert old("trigger", listen_point=name, word="spam") == (202, None)
    wait_until(lambda: old("info", listen_points=[name])[1][0]["last_build_status_level"] == 20)
    assert old("remove", listen_point=name) == (204, None)
    assert old("info", listen_points=[name])[0] == 404


def test_info_has_the_keys_of_every_published_version(old: OldClient, config: Path) -> None:
    name = create(old, config)

    status, (app,) = old("info", listen_points=[name])

    assert status == 200
    assert app["listen_point"] == name
    assert app["config_file"] is None
    assert app["last_build_status"] == app["last_build_status_message"] == "Never triggered"
    assert app["last_build_status_level"] == app["last_build_timestamp"] == 0


def test_no_listen_points_mean_every_app(old: OldClient, config: Path) -> None:
    name = create(old, config)

    status, apps = old("info", listen_points=[])

    assert status == 200
    assert name in [app["listen_point"] for app in apps]


def test_logs_and_history_are_lists_of_records(old: OldClient, config: Path) -> None:
    name = create(old, config)
    old("trigger", listen_point=name, word="spam")

    def builds() -> list[dict[str, Any]]:
        status, records = old(
            "history", listen_point=name, from_page=None, to_page=None, per_page=None
        )
        assert status == 200
        found: list[dict[str, Any]] = records
        return found

    wait_until(lambda: builds()[0]["message"] == "Complete (1/1)")
    assert [one["logger_name"] for one in builds()] == [f"{name}.build"] * 2
    status, records = old(
        "logs", listen_point=name, from_page="1", to_page="2", per_page="5", level="10"
    )
    assert status == 200
    keys = {"timestamp", "logger_name", "level_name", "level_number", "message"}
    assert all(keys <= set(one) for one in records)
    assert "spam" in [one["message"] for one in records]


@pytest.mark.parametrize(
    ("ask", "status"),
    [
        (lambda old: old("bind", listen_point="old/none", config_file="/none.yml"), 404),
        (lambda old: old("remove", listen_point="old/none"), 404),
        (lambda old: old("trigger", listen_point="old/none", a="b"), 404),
        (lambda old: old("info", listen_points=["old/none"]), 404),
        (lambda old: old("create", config_string="listen_point: ["), 500),
        (lambda old: old("create"), 400),
    ],
    ids=["bind", "remove", "trigger", "info", "a broken config", "no config"],
)
def test_errors_have_the_status_it_waits_for_in(
    old: OldClient, ask: Callable[[OldClient], tuple[int, Any]], status: int
) -> None:
    got, text = ask(old)

    assert got == status
    assert text


def test_a_taken_listen_point_is_409(old: OldClient, config: Path) -> None:
    name = create(old, config)

    status, text = old("create", config_string=config.read_text())

    assert status == 409
    assert name in text


def test_the_version_is_a_text(old: OldClient) -> None:
    assert old("version") == (200, __version__)


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_restart_and_stop_are_taken_without_a_word(
    launch: Callable[..., RunningServer], method: str
) -> None:
    server = launch()
    old = OldClient(server, method)

    assert old("restart") == (202, None)
    wait_until(lambda: (server.folder / "screen.txt").read_text().count("listens on") == 2)
    assert old("stop") == (202, None)
    assert server.wait() == 0
