"""The server itself over the API: pauses, state, health."""

from typing import Any

import pytest

from sloth_ci.api import operations
from sloth_ci.errors import AppNotFound, DatabaseUnavailable, Unhealthy
from tests.api.conftest import Stage
from tests.api.test_builds import queue


def test_a_pause_is_told_everywhere_with_its_reason_and_whose_it_is(stage: Stage) -> None:
    stage.create("echo hi")
    told = stage.ask("pause", listen_point="web", reason="moving house")

    paused = told["paused"]
    assert told == {
        "listen_point": "web",
        "paused": {"reason": "moving house", "by": "ann", "since": paused["since"]},
    }
    assert stage.ask("info")[0]["paused"] == paused
    assert stage.ask("preview", listen_point="web")["paused"] == paused
    assert stage.ask("status")["paused_apps"] == ["web"]
    assert stage.ask("status")["paused"] is None


def test_builds_of_a_paused_app_wait_until_it_is_resumed(stage: Stage) -> None:
    stage.create("echo hi")
    stage.ask("pause", listen_point="web")
    build = stage.run()
    assert stage.ask("build", id=build)["status"] == "queued"

    assert stage.ask("resume", listen_point="web") == {"listen_point": "web", "paused": None}

    assert stage.ask("build", id=build)["status"] == "complete"
    assert stage.ask("info")[0]["paused"] is None


def test_the_server_is_paused_as_a_whole(stage: Stage) -> None:
    stage.create("echo hi")
    told = stage.ask("pause", reason="upgrade")
    build = stage.run()

    assert told["listen_point"] is None
    assert stage.ask("status")["paused"] == told["paused"]
    assert stage.ask("build", id=build)["status"] == "queued"
    assert stage.ask("resume") == {"listen_point": None, "paused": None}
    assert stage.ask("build", id=build)["status"] == "complete"


def test_pausing_and_resuming_twice_is_no_mistake(stage: Stage) -> None:
    stage.create("echo hi")
    for _time in range(2):
        assert stage.ask("pause", listen_point="web")["paused"]["by"] == "ann"
    for _time in range(2):
        assert stage.ask("resume", listen_point="web")["paused"] is None


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_an_unknown_app_can_not_be_paused(stage: Stage, action: str) -> None:
    with pytest.raises(AppNotFound):
        stage.ask(action, listen_point="nowhere")


def test_the_status_tells_what_runs_and_waits(stage: Stage) -> None:
    stage.create("echo hi")
    stage.run()
    running, waiting = queue(stage), queue(stage)
    stage.store.claim(stage.server.bed.find("web").id)

    told = stage.ask("status")

    assert [one["id"] for one in told["running"]] == [running]
    assert told["running"][0]["usual_duration"] > 0
    assert (told["waiting"], told["apps"]) == (1, 1)
    assert told["oldest_waiting"] == stage.ask("build", id=waiting)["queued"]
    assert told["uptime"] >= 0
    assert told["database"]["builds"] == 3
    assert told["database"]["bytes"] + told["database"]["wal_bytes"] > 0
    assert told["last_record"] == stage.store.last_record_id()


def test_a_healthy_server_says_so(stage: Stage) -> None:
    told = stage.ask("health")

    assert told["healthy"]
    assert {name: check["ok"] for name, check in told["checks"].items()} == {
        "database": True,
        "disk": True,
        "queue": True,
    }


def unwell(stage: Stage, **params: Any) -> dict[str, Any]:
    """The checks of a server that is not well."""
    with pytest.raises(Unhealthy) as caught:
        stage.ask("health", **params)
    assert caught.value.status == 503
    checks: dict[str, Any] = caught.value.details["checks"]
    bad = [check["message"] for check in checks.values() if not check["ok"]]
    assert bad
    for message in bad:
        assert message in caught.value.message
    return checks


def test_a_disk_that_is_nearly_full_is_no_health(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "LEAST_FREE", 10**18)

    assert not unwell(stage)["disk"]["ok"]


def test_a_database_that_can_not_be_written_is_no_health(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_store: object) -> None:
        raise DatabaseUnavailable(reason="the disk is full")

    checks = None
    with monkeypatch.context() as patch:
        patch.setattr(type(stage.store), "check_writing", fail)
        with pytest.raises(Unhealthy) as caught:
            operations.health(stage.server, queue_age=60)
        checks = caught.value.details["checks"]
    assert "the disk is full" in checks["database"]["message"]


def test_a_build_that_waits_too_long_is_no_health_unless_it_is_to_wait(stage: Stage) -> None:
    stage.create("echo hi")
    queue(stage)

    checks = unwell(stage, queue_age=0)
    assert (checks["queue"]["waiting"], checks["queue"]["age"] > 0) == (1, True)
    assert stage.ask("health")["healthy"]
    stage.store.pause(None, reason="", by="")
    assert stage.ask("health", queue_age=0)["healthy"]
