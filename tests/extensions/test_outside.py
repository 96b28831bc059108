"""A real package of somebody else's: installed, found by its entry points, used in a server."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.calls import Api, send, wait_until
from tests.conftest import PATIENCE, RunningServer, StartFailed, start_server

PACKAGE = Path(__file__).parent / "outside"
APP = """\
listen_point: team/web
actions: ["greet {name}", echo from the shell]
extensions:
  hello: {module: greeter, greeting: Well met}
  again: {module: badge}
"""
SERVER = "extensions: {hall: {module: greeter}}"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the package is installed in, as pip does it."""
    target = tmp_path_factory.mktemp("installed")
    source = tmp_path_factory.mktemp("source") / "package"
    shutil.copytree(PACKAGE, source)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"),
            *("--no-build-isolation", "--disable-pip-version-check", "--target", target, source),
        ],
        check=True,
        timeout=2 * PATIENCE,
    )
    return target


@pytest.fixture(scope="module")
def server(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of its own that has the package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(installed))
        running = start_server(tmp_path_factory.mktemp("server"), config=SERVER)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def api(server: RunningServer) -> Api:
    api = Api(server.url, server.login)
    assert api("create", config_string=APP).status == 201
    return api


def wait_for(api: Api, build_id: str) -> dict[str, Any]:
    return api("build", id=build_id, wait="20").value


def trigger(api: Api, **params: str) -> dict[str, Any]:
    reply = api("trigger", listen_point="team/web", **params)
    assert reply.status == 202
    return wait_for(api, reply.headers["x-build-id"])


def logs(api: Api) -> list[str]:
    records = api("logs", listen_point="team/web", level="10", per_page="200").value
    return [f"{record['logger_name']}: {record['message']}" for record in records]


def test_its_runner_runs_its_actions_and_the_shell_the_others(api: Api) -> None:
    build = trigger(api, name="Eva")
    assert build["message"] == "Complete (2/2)"
    lines = logs(api)
    assert "team/web.exec: Well met, Eva!" in lines
    assert "team/web.exec: from the shell" in lines


def test_it_speaks_in_the_apps_log(api: Api) -> None:
    build = trigger(api, name="Max")
    line = f"team/web: hello: Well met, build {build['id']}: Complete (2/2)"
    wait_until(lambda: line in logs(api))


def test_its_failure_is_named_in_the_apps_log_and_changes_no_build(api: Api) -> None:
    build = trigger(api, name="Max", fail="yes")
    assert build["status"] == "complete"
    reason = "hello build_finished failed: RuntimeError: no greeting today"
    wait_until(lambda: f"team/web: {reason}" in logs(api))


def test_its_page_is_below_its_apps_listen_point(server: RunningServer, api: Api) -> None:
    reply = send(server.url, path="/team/web/-/hello")
    assert (reply.status, reply.body) == (200, b"Well met from team/web")
    assert reply.headers["cache-control"] == "public"


def test_its_page_of_the_server_is_below_the_servers_own_path(
    server: RunningServer, api: Api
) -> None:
    assert send(server.url, path="/-/hello").body == b"Hello from the server"


@pytest.mark.parametrize("path", ["/-/secret", "/team/web/-/secret"])
def test_a_page_that_is_not_open_wants_a_login(server: RunningServer, api: Api, path: str) -> None:
    assert send(server.url, path=path).status == 401
    assert send(server.url, path=path, login=("sloth", "wrong")).status == 401
    assert send(server.url, path=path, login=server.login).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_a_page_answers_get_and_head_only(server: RunningServer, api: Api, method: str) -> None:
    reply = send(server.url, method=method, path="/team/web/-/hello")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")


def test_head_has_the_length_and_no_body(server: RunningServer, api: Api) -> None:
    reply = send(server.url, method="HEAD", path="/team/web/-/hello")
    assert (reply.status, reply.body, reply.headers["content-length"]) == (200, b"", "22")


@pytest.mark.parametrize("path", ["/-/hello", "/team/web/-/hello"])
def test_a_page_is_refused_to_another_host_name(server: RunningServer, api: Api, path: str) -> None:
    reply = send(server.url, path=path, headers={"Host": "evil.example"})
    assert (reply.status, reply.value["error"]["code"]) == (403, "host_refused")


@pytest.mark.parametrize(
    "path", ["/-/other", "/-/", "/-", "/hello", "/team/web/-/other", "/team/web/hello"]
)
def test_where_no_page_is_there_is_nothing(server: RunningServer, api: Api, path: str) -> None:
    reply = send(server.url, path=path, login=server.login)
    assert (reply.status, reply.value["error"]["code"]) == (404, "path_not_found")


def test_a_page_that_fails_is_a_plain_fault_and_named_in_the_log(
    server: RunningServer, api: Api
) -> None:
    reply = send(server.url, path="/team/web/-/broken")
    assert (reply.status, reply.value["error"]["code"]) == (500, "server_error")
    assert b"division" not in reply.body
    line = "hello can't show broken: ZeroDivisionError: division by zero"
    wait_until(lambda: f"team/web: {line}" in logs(api))


def test_its_action_is_one_of_the_api(api: Api) -> None:
    assert api("greet", name="you").value == "Hello, you!"
    assert api("greet").value["error"]["code"] == "missing_param"
    assert "Did you mean 'greet'?" in api("great").value["error"]["message"]


def test_its_action_wants_the_login_of_all_others(server: RunningServer, api: Api) -> None:
    assert send(server.url, path="/?action=greet&name=you").status == 401


def test_the_apis_help_knows_its_action(api: Api) -> None:
    assert "greet" in str(api("help").value)


def test_its_info_is_with_its_app(api: Api) -> None:
    (app,) = api("info", listen_points="team/web").value
    assert app["extensions"].keys() == {"hello"}


def test_a_bound_app_that_names_it_wrongly_is_told_the_right_name(api: Api) -> None:
    reply = api("create", config_string="listen_point: x\nextensions: {a: {module: greter}}")
    assert reply.status == 500
    assert "line 2, column 18: there is no extension 'greter'" in reply.value["error"]["message"]
    assert "Did you mean 'greeter'?" in reply.value["error"]["message"]


def test_a_server_that_has_it_not_refuses_to_start(tmp_path: Path) -> None:
    with pytest.raises(StartFailed) as caught:
        start_server(tmp_path, config=SERVER)
    assert "there is no extension 'greeter'" in caught.value.line


def sci(server: RunningServer, installed: Path, *words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "sloth_ci", *words],
        cwd=server.folder,
        env={
            **os.environ,
            "PYTHONPATH": str(installed),
            "SLOTH_URL": server.url,
            "SLOTH_LOGIN": server.login[0],
            "SLOTH_PASSWORD": server.login[1],
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return done.returncode, done.stdout, done.stderr


def test_its_command_is_one_of_sci(server: RunningServer, installed: Path) -> None:
    assert sci(server, installed, "greet", "you") == (0, "Hello, you!\n", "")
    assert sci(server, installed, "greet", "nobody") == (1, "Hello, nobody!\n", "")


def test_its_command_asks_the_server_that_is_meant(server: RunningServer, installed: Path) -> None:
    code, out, err = sci(server, installed, "greet", "-s", "you", "--json")
    assert (code, json.loads(out), err) == (0, {"greeting": "Hello, you!"}, "")


def test_its_command_is_in_the_help_and_has_its_own(server: RunningServer, installed: Path) -> None:
    assert "Greet somebody." in sci(server, installed, "--help")[1]
    assert "whom to greet" in sci(server, installed, "greet", "--help")[1]


def test_its_command_used_wrongly_is_told_in_one_line(
    server: RunningServer, installed: Path
) -> None:
    code, out, err = sci(server, installed, "greet")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "NAME" in err
    code, _out, err = sci(server, installed, "gret", "you")
    assert (code, err) == (2, "sci: there is no command 'gret'. Did you mean 'greet'?\n")
