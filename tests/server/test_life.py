"""The server's life: start, stop and restart lose nothing and say what they do."""

import signal
import socket
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import psutil
import pytest

from tests.calls import Api, send, wait_until
from tests.conftest import LOGIN, PATIENCE, RunningServer, StartFailed

Launch = Callable[..., RunningServer]


def slow_app(folder: Path, listen_point: str = "slow") -> tuple[str, Path, Path]:
    """An app whose build runs until a file is there: config, sign of its start, sign to go on."""
    started, go = folder / f"{listen_point}-started", folder / f"{listen_point}-go"
    text = f"""
listen_point: {listen_point}
params: {{started: {started}, go: {go}}}
actions:
  - touch {{started}}
  - while [ ! -e {{go}} ]; do sleep 0.02; done; echo went on
"""
    return text, started, go


def api_of(server: RunningServer) -> Api:
    return Api(server.url, LOGIN)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server(launch: Launch, number: int) -> None:
    server = launch()
    server.signal(number)
    assert server.wait() == 0
    assert "Stopped" in (server.folder / "screen.txt").read_text()


def test_the_stop_action_stops_the_server_after_its_answer(launch: Launch) -> None:
    server = launch()
    reply = api_of(server)("stop")
    assert (reply.status, reply.body) == (202, b"")
    assert server.wait() == 0


def test_apps_made_over_the_api_are_there_after_a_restart(launch: Launch) -> None:
    server = launch()
    api = api_of(server)
    api.create("listen_point: kept\nactions: [echo hi]")
    api("restart")
    wait_until(lambda: "Restarting" in (server.folder / "screen.txt").read_text())
    assert api("list").value == ["kept"]
    build = api.trigger("kept")
    assert api.wait_for_build("kept", build)["message"] == "Complete (1/1)"


@pytest.mark.parametrize("how", ["action", "signal"])
def test_no_request_fails_while_the_server_restarts(launch: Launch, how: str) -> None:
    server = launch()
    api = api_of(server)
    api.create("listen_point: web\nactions: ['true']")
    stop, answers, builds = Event(), [], []

    def trigger() -> None:
        while not stop.is_set():
            reply = api("trigger", listen_point="web")
            answers.append(reply.status)
            builds.append(int(reply.headers["x-build-id"]))

    thread = Thread(target=trigger)
    thread.start()
    wait_until(lambda: len(answers) > 5)
    if how == "action":
        assert api("restart").status == 202
    else:
        server.signal(signal.SIGHUP)
    wait_until(lambda: (server.folder / "screen.txt").read_text().count("listens on") == 2)
    before = len(answers)
    wait_until(lambda: len(answers) > before + 5)
    stop.set()
    thread.join()
    assert set(answers) == {202}
    assert len(set(builds)) == len(builds)
    api.wait_for_build("web", builds[-1])
    triggered = [line for line in api.history("web") if line.startswith("Complete")]
    assert len(triggered) == len(builds)


def test_a_stop_lets_the_running_build_end_and_keeps_the_queue(launch: Launch) -> None:
    server = launch()
    api = api_of(server)
    text, started, go = slow_app(server.folder)
    api.create(text)
    first, second = api.trigger("slow"), api.trigger("slow")
    wait_until(started.exists)
    server.signal(signal.SIGTERM)
    wait_until(lambda: "Told to stop" in (server.folder / "screen.txt").read_text())
    refused = api("trigger", listen_point="slow")
    assert refused.value["error"]["code"] == "stopping"
    assert refused.headers["retry-after"]
    assert api("info").status == 200
    go.touch()
    assert server.wait() == 0
    again = launch(folder=server.folder)
    api = api_of(again)
    assert api.wait_for_build("slow", second)["message"] == "Complete (2/2)"
    assert api.history("slow") == [
        "Complete (2/2)",
        "Complete (2/2)",
        "Triggered, actions in queue: 2",
        "Triggered, actions in queue: 2",
    ]
    assert first < second


def test_what_outlasts_the_grace_is_interrupted_with_all_it_started(launch: Launch) -> None:
    server = launch(config="stop_grace: 0.2")
    api = api_of(server)
    text, started, _go = slow_app(server.folder)
    api.create(text)
    api.trigger("slow")
    wait_until(started.exists)
    children = psutil.Process(server.process.pid).children(recursive=True)
    assert children
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert not any(child.is_running() for child in children)
    again = launch(folder=server.folder)
    assert api_of(again).history("slow")[0] == "Interrupted (1/2)"


def test_a_second_signal_ends_the_grace(launch: Launch) -> None:
    server = launch(config="stop_grace: 1000")
    api = api_of(server)
    text, started, _go = slow_app(server.folder)
    api.create(text)
    api.trigger("slow")
    wait_until(started.exists)
    server.signal(signal.SIGTERM)
    wait_until(lambda: "Told to stop" in (server.folder / "screen.txt").read_text())
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


def test_builds_of_a_killed_server_are_interrupted_and_waiting_ones_run(launch: Launch) -> None:
    server = launch()
    api = api_of(server)
    text, started, go = slow_app(server.folder)
    api.create(text)
    running, waiting = api.trigger("slow"), api.trigger("slow")
    wait_until(lambda: started.exists() and "Finished" in api.logs("slow"))
    server.signal(signal.SIGKILL)
    server.wait()
    go.touch()
    again = api_of(launch(folder=server.folder))
    assert again.wait_for_build("slow", running)["message"] == "Interrupted (1/2)"
    assert again.wait_for_build("slow", waiting)["message"] == "Complete (2/2)"


def test_builds_die_with_a_killed_server(launch: Launch) -> None:
    server = launch()
    api = api_of(server)
    text, _started, _go = slow_app(server.folder)
    api.create(text.replace("- while", "- setsid sleep 1000 & while"))
    api.trigger("slow")
    wait_until(lambda: "Executing action: setsid" in "".join(api.logs("slow")))
    children = psutil.Process(server.process.pid).children(recursive=True)
    assert any("sleep" in child.name() for child in children)
    server.signal(signal.SIGKILL)
    server.wait()
    psutil.wait_procs(children, timeout=PATIENCE)
    assert [child for child in children if child.is_running()] == []


def test_what_a_killed_server_and_its_guardian_left_is_ended_at_the_next_start(
    launch: Launch,
) -> None:
    server = launch()
    api = api_of(server)
    text, started, _go = slow_app(server.folder)
    api.create(text)
    api.trigger("slow")
    wait_until(lambda: started.exists() and "Finished" in api.logs("slow"))
    children = psutil.Process(server.process.pid).children(recursive=True)
    guardian = next(child for child in children if "sloth_ci.server" in " ".join(child.cmdline()))
    left = [child for child in children if child != guardian]
    guardian.kill()
    server.signal(signal.SIGKILL)
    server.wait()
    assert any(child.is_running() for child in left)
    launch(folder=server.folder)
    psutil.wait_procs(left, timeout=PATIENCE)
    assert [child for child in left if child.is_running()] == []
    assert "Ended" in (server.folder / "screen.txt").read_text()


def test_what_an_action_detached_outlives_even_a_killed_server(launch: Launch) -> None:
    server = launch()
    api = api_of(server)
    pid_file = server.folder / "pid"
    api.create(f"listen_point: web\nactions: [!detach 'sleep 1000 & echo $! > {pid_file}']\n")
    api.wait_for_build("web", api.trigger("web"))
    detached = psutil.Process(int(pid_file.read_text()))
    server.signal(signal.SIGKILL)
    server.wait()
    launch(folder=server.folder)
    assert detached.is_running()
    detached.kill()


def test_an_interrupted_build_runs_again_where_the_app_wants_it(launch: Launch) -> None:
    server = launch()
    api = api_of(server)
    text, started, go = slow_app(server.folder)
    api.create(text + "rerun_interrupted: true\n")
    running = api.trigger("slow")
    wait_until(started.exists)
    server.signal(signal.SIGKILL)
    server.wait()
    go.touch()
    again = api_of(launch(folder=server.folder))
    again.wait_for_build("slow", running + 1)
    assert again.history("slow")[0] == "Complete (2/2)"


def test_a_taken_port_is_said_in_one_line(launch: Launch, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartFailed) as failed:
            launch(port=port)
    assert f"Can't listen on 127.0.0.1:{port}" in failed.value.line
    assert "Traceback" not in (tmp_path / "screen.txt").read_text()


def test_without_a_login_the_server_starts_on_loopback_only(launch: Launch) -> None:
    with pytest.raises(StartFailed, match="api_auth"):
        launch(host="0.0.0.0", api_auth=None)


def test_without_a_login_on_loopback_the_api_is_open(tmp_path: Path, launch: Launch) -> None:
    server = launch(config="", api_auth=None)
    assert send(server.url, path="/?action=version").status == 200


def test_a_broken_config_is_said_in_one_line(launch: Launch, tmp_path: Path) -> None:
    with pytest.raises(StartFailed) as failed:
        launch(config="prot: 5")
    assert "server.yml, line 4, column 1: unknown key 'prot'" in failed.value.line
    assert "Traceback" not in (tmp_path / "screen.txt").read_text()


def test_two_servers_never_share_a_database(launch: Launch, tmp_path: Path) -> None:
    launch()
    with pytest.raises(StartFailed, match="another server"):
        launch()


def test_apps_come_from_config_files_and_go_with_them(launch: Launch, tmp_path: Path) -> None:
    apps = tmp_path / "apps"
    apps.mkdir()
    (apps / "one.yml").write_text("listen_point: one\nactions: [echo 1]")
    (apps / "two.yml").write_text("id: two\nactions: [pwd]")
    (apps / "bad.yml").write_text("listen_point: [")
    config = "paths: {configs: ['apps/*.yml']}"
    server = launch(config=config)
    api = api_of(server)
    assert api("list").value == ["one", "two"]
    assert {app["config_file"] for app in api("info").value} == {
        str(apps / "one.yml"),
        str(apps / "two.yml"),
    }
    assert "bad.yml is refused" in (tmp_path / "screen.txt").read_text()
    build = api.trigger("two")
    api.wait_for_build("two", build)
    assert str(apps) in api.logs("two")
    server.stop()
    (apps / "one.yml").unlink()
    (apps / "two.yml").write_text("id: two\nactions: broken")
    api = api_of(launch(config=config))
    assert api("list").value == ["two"]
    assert api.wait_for_build("two", api.trigger("two"))["message"] == "Complete (1/1)"
    assert any("the last good one stays" in line for line in api.logs("two"))


def test_relative_paths_count_from_the_config_file(launch: Launch, tmp_path: Path) -> None:
    launch(config="paths: {db: state.db, access_log: a.log, error_log: e.log}")
    assert {"state.db", "a.log", "e.log"} <= {path.name for path in tmp_path.iterdir()}


def test_the_logs_hold_one_line_a_request_without_control_characters(
    launch: Launch, tmp_path: Path
) -> None:
    server = launch()
    send(server.url, path="/no%0aFAKE%1b%5b2J", headers={"User-Agent": "evil\x1b[31m"})
    server.stop()
    text = (tmp_path / "sloth_access.log").read_text()
    assert "/no\\nFAKE\\x1b[2J" in text
    assert text.count("\n") == 1
    assert "\x1b" not in text


def test_without_a_database_builds_run_and_the_past_is_unknown(launch: Launch) -> None:
    server = launch(config="paths: {db: null}")
    api = api_of(server)
    api.create("listen_point: web\nactions: [echo hi]")
    api.trigger("web")
    wait_until(lambda: api("info").value[0]["last_build_status"] == "Complete (1/1)")
    for action in ("logs", "history"):
        reply = api(action, listen_point="web")
        assert reply.status == 501
        assert reply.value["error"]["code"] == "database_off"
