"""`restart`, `stop`, and what is still there afterwards."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.api import Api, Way, assert_empty, wait_until


def log_of(api: Api) -> str:
    """The server's own log."""
    assert api.process
    return str((api.process.folder / "sloth_error.log").read_text())


def restart(api: Api, way: Way = Way.GET) -> None:
    """Ask for a restart and wait for it."""
    starts = log_of(api).count("listens on")
    assert_empty(api.call("restart", way), 202)
    wait_until(lambda: log_of(api).count("listens on") > starts, "the restart")


def test_restart_answers_202_with_empty_content_and_the_servers_log_tells_of_it(
    launch_own: Callable[..., Api],
) -> None:
    api = launch_own()
    assert log_of(api).count("listens on") == 1
    for way in (Way.GET, Way.FORM):
        restart(api, way)
        assert api.call("version").status == 200
    assert log_of(api).count("listens on") == 3


@pytest.mark.parametrize("way", [Way.GET, Way.FORM], ids=lambda way: way.value)
def test_stop_answers_202_with_empty_content_and_the_servers_log_tells_of_it(
    launch_own: Callable[..., Api], way: Way
) -> None:
    api = launch_own()
    assert_empty(api.call("stop", way), 202)
    assert api.process
    assert api.process.wait() == 0
    assert "Stopped" in log_of(api)
    with pytest.raises(ConnectionRefusedError):
        api.call("version")


def test_apps_their_logs_and_their_history_outlive_a_restart(
    launch_own: Callable[..., Api], tmp_path: Path
) -> None:
    api = launch_own()
    made = api.create("made", "params: {a: b}\nactions:\n  - echo {a}\n")
    assert made.status == 201
    api.build("made")
    file = tmp_path / "bound.yml"
    file.write_text("listen_point: bound\nactions: [echo old]\n")
    assert api.create("bound", "actions: [echo old]\n").status == 201
    assert_empty(api.call("bind", listen_point="bound", config_file=str(file)), 200)
    logs, history = api.records("logs", "made"), api.records("history", "made")
    info = api.info("made")
    file.write_text("listen_point: bound\nactions: [echo new]\n")

    restart(api)

    assert api.call("list").json == ["bound", "made"]
    assert api.info("made") == info
    assert api.info("bound")["config_file"] == str(file)
    assert api.records("history", "made") == history
    assert api.records("logs", "made")[-len(logs) :] == logs
    assert api.build("made")["message"] == "Complete (1/1)"
    api.build("bound")
    assert api.printed("bound") == ["new"]


def test_the_last_good_config_stays_in_force_when_the_file_is_broken(
    launch_own: Callable[..., Api], tmp_path: Path
) -> None:
    api, file = launch_own(), tmp_path / "bound.yml"
    config = "listen_point: bound\nactions: [echo good]\n"
    file.write_text(config)
    assert api.call("create", config_string=config).status == 201
    assert_empty(api.call("bind", listen_point="bound", config_file=str(file)), 200)
    file.write_text("listen_point: [")
    restart(api)
    api.build("bound")
    assert api.printed("bound") == ["good"]


def test_a_running_build_is_interrupted_and_a_waiting_one_runs_when_the_server_is_back(
    launch_own: Callable[..., Api], tmp_path: Path
) -> None:
    api, go = launch_own(), tmp_path / "go"
    config = f"""\
    actions:
      - echo {{n}}
      - until [ -e {go} ]; do sleep 0.02; done
    """
    assert api.create("mine", config).status == 201
    running, waiting = (api.trigger("mine", n=number) for number in "12")
    wait_until(
        lambda: any("until" in one["message"] for one in api.records("logs", "mine")),
        "the build's second action",
    )
    assert api.process
    api.process.signal(signal.SIGKILL)
    api.process.wait()
    go.touch()

    again = launch_own()

    end = again.wait_for_end("mine", running)
    assert (end["message"], end["level_number"]) == ("Interrupted (1/2)", 30)
    assert again.wait_for_end("mine", waiting)["message"] == "Complete (2/2)"
    assert again.printed("mine").count("2") == 1
    statuses = [one["build"] for one in again.records("history", "mine", level=20)]
    assert sorted(statuses) == [running, waiting]


def test_a_build_that_outlasts_the_grace_of_a_restart_is_interrupted(
    launch_own: Callable[..., Api], tmp_path: Path
) -> None:
    api, begun = launch_own(config="stop_grace: 0.1\n"), tmp_path / "begun"
    assert api.create("mine", f"actions:\n  - touch {begun}; sleep 60\n").status == 201
    build = api.trigger("mine")
    wait_until(begun.exists, "the build's action")
    restart(api)
    assert api.wait_for_end("mine", build)["message"] == "Interrupted (0/1)"
