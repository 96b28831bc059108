"""Schedules in a real server: what comes due is built, and caught up with after a restart."""

import re
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sloth_ci.store import Store
from tests.calls import Api, wait_until
from tests.conftest import LOGIN, RunningServer

Launch = Callable[..., RunningServer]

APP = """\
listen_point: {name}
actions: ["echo due at {{scheduled}} for {{target}}"]
extensions:
  clock:
    module: schedule
    cron: "{cron}"
    catch_up: {catch_up}
    params: {{target: all}}
"""
HOUR = timedelta(hours=1)


def write(*, name: str = "web", cron: str = "@hourly", catch_up: str = "none") -> str:
    return APP.format(name=name, cron=cron, catch_up=catch_up)


def builds(api: Api, name: str) -> list[dict[str, Any]]:
    """The builds of an app, oldest first, once all of them ended."""

    def found() -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = api("builds", listen_point=name).value["builds"]
        return listed[::-1]

    wait_until(lambda: {one["status"] for one in found()} == {"complete"})
    return found()


def scheduled(api: Api, name: str) -> list[str]:
    """The moments in the app's log that it was built for, oldest first."""
    lines = api.logs(name)
    return [found[1] for line in lines if (found := re.fullmatch(r"due at (\S+) for all", line))]


@pytest.fixture
def api(shared_server: RunningServer) -> Api:
    return Api(shared_server.url, LOGIN)


def test_info_tells_when_the_next_build_is_due(api: Api) -> None:
    before = datetime.now(UTC)
    api.create(write(name="schedule/info", cron="30 3 * * *"))

    (info,) = api("info", listen_points="schedule/info").value

    due = datetime.fromtimestamp(info["extensions"]["clock"]["next_run"], UTC)
    assert timedelta() < due - before <= timedelta(days=1)
    assert (due.hour, due.minute, due.second) == (3, 30, 0)


def test_a_line_with_seconds_starts_builds_that_know_their_moment(api: Api) -> None:
    before = datetime.now(UTC)
    api.create(write(name="schedule/seconds", cron="* * * * * *"))

    wait_until(lambda: len(scheduled(api, "schedule/seconds")) >= 2)

    moments = [datetime.fromisoformat(one) for one in scheduled(api, "schedule/seconds")]
    assert moments == sorted(set(moments))
    assert before <= moments[0] <= datetime.now(UTC)
    assert {one.microsecond for one in moments} == {0}
    first = builds(api, "schedule/seconds")[0]
    assert (first["actor"], first["message"]) == ("clock", "Complete (1/1)")
    assert api("remove", listen_point="schedule/seconds").status == 204


def test_a_schedule_that_is_replaced_starts_nothing_any_more(api: Api) -> None:
    name = "schedule/ended"
    api.create(write(name=name, cron="* * * * * *"))
    wait_until(lambda: scheduled(api, name))

    reply = api("update", listen_point=name, config_string=write(name=name, cron="@yearly"))
    assert reply.status == 200
    (info,) = api("info", listen_points=name).value
    due = datetime.fromtimestamp(info["extensions"]["clock"]["next_run"], UTC)
    assert (due.month, due.day, due.hour) == (1, 1, 0)

    # Another one of the same server goes on meanwhile, so that time is sure to have passed.
    api.create(write(name="schedule/witness", cron="* * * * * *"))
    wait_until(lambda: scheduled(api, "schedule/witness"))
    made = len(api("builds", listen_point=name).value["builds"])
    wait_until(lambda: len(scheduled(api, "schedule/witness")) >= 3)
    api("remove", listen_point="schedule/witness")
    assert len(api("builds", listen_point=name).value["builds"]) == made


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["stop", "crash"])
def test_what_was_missed_is_caught_up_with_once_after_a_restart(
    launch: Launch, tmp_path: Path, end: signal.Signals
) -> None:
    # Half an hour ago for the last time, so that nothing comes due meanwhile.
    due = (datetime.now(UTC) - HOUR / 2).replace(second=0, microsecond=0)
    server = launch()
    api = Api(server.url, LOGIN)
    for policy in ("none", "latest", "all"):
        api.create(write(name=policy, cron=f"{due.minute} * * * *", catch_up=policy))
        build = api.trigger(policy, scheduled="by hand", target="one")
        assert api.wait_for_build(policy, build)["message"] == "Complete (1/1)"
    wait_until(lambda: count_notes(tmp_path / "sloth.db") == 2 * 3)
    server.signal(end)
    server.wait()
    pretend_last(tmp_path / "sloth.db", due - 3 * HOUR)

    server = launch()
    api = Api(server.url, LOGIN)

    three = [f"{due - hours * HOUR:%Y-%m-%dT%H:%M:%S}+00:00" for hours in (2, 1, 0)]
    wait_until(lambda: len(scheduled(api, "all")) >= len(three))
    wait_until(lambda: scheduled(api, "latest"))
    assert scheduled(api, "all") == three
    assert scheduled(api, "latest") == three[-1:]
    assert scheduled(api, "none") == []
    told = [line for line in api.logs("latest") if line.startswith("clock: ")]
    assert told == [f"clock: Caught up with what was due at {three[-1]}"]

    server.stop()
    api = Api(launch().url, LOGIN)
    for policy, count in {"none": 1, "latest": 2, "all": 4}.items():
        assert len(builds(api, policy)) == count


def count_notes(database: Path) -> int:
    """How many notes are kept, in a file that a server has open."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM notes").fetchone()
        return int(count)


def pretend_last(database: Path, moment: datetime) -> None:
    """Let it be that long ago that the schedules of all apps came due."""
    with closing(Store(database)) as store:
        for app in store.apps():
            store.set_note(app.id, "clock", "last", str(moment.timestamp()))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("61 * * * *", "bad minute"),
        ("* * *", "wrong number of fields"),
        ("* * * * FUNDAY", "bad day-of-week"),
        ("0 0 31 FEB *", "bad day-of-month"),
        ("@sometimes", "wrong number of fields"),
        ("", "wrong number of fields"),
    ],
)
def test_a_bad_line_refuses_the_app_with_its_place(api: Api, line: str, reason: str) -> None:
    reply = api("create", config_string=write(name="schedule/bad", cron=line))

    assert (reply.status, reply.value["error"]["code"]) == (500, "config_invalid")
    ((problem),) = reply.value["error"]["details"]["problems"]
    assert (problem["line"], problem["column"]) == (6, 5)
    assert f"no cron line: '{line}' ({reason})" in problem["problem"]
    assert api("info", listen_points="schedule/bad").status == 404
