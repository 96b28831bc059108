"""Schedules: what comes due, in which zone, and what is caught up with."""

from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sloth_ci_extensions.schedule import EXTENSION, Schedule, ScheduleOptions

from sloth_ci.errors import QueueFull
from sloth_ci.extension import Context

BERLIN = ZoneInfo("Europe/Berlin")


class Scene:
    """All that a schedule touches: a clock, alarms, notes, builds."""

    def __init__(self, now: str) -> None:
        self.now = datetime.fromisoformat(now).timestamp()
        self.notes: dict[str, str] = {}
        self.builds: list[tuple[str, Mapping[str, str], str]] = []
        self.log: list[str] = []
        self.alarms: list[tuple[float, Callable[[], None]]] = []
        self.refusal: Exception | None = None

    def schedule(self, **options: Any) -> Schedule:
        """A schedule that was opened."""
        made = Schedule(
            ScheduleOptions.model_validate(options), self._context(), clock=lambda: self.now
        )
        made.open()
        return made

    def remember(self, seconds: float, line: str = "0 * * * *") -> None:
        """There was such a schedule, in UTC, which came due so long ago for the last time."""
        self.notes |= {"last": str(self.now - seconds), "lines": f"{line}\nUTC"}

    def pass_until(self, moment: str) -> None:
        """Let time pass, with everything that comes due meanwhile."""
        end = datetime.fromisoformat(moment).timestamp()
        while self.alarms and min(self.alarms, key=lambda one: one[0])[0] <= end:
            self.alarms.sort(key=lambda one: one[0])
            self.now, call = self.alarms.pop(0)
            call()
        self.now = end

    @property
    def scheduled(self) -> list[str]:
        """The moments that builds were made for."""
        return [params["scheduled"] for _name, params, _actor in self.builds]

    def _context(self) -> Context:
        return Context(
            name="nightly",
            listen_point="web",
            app_id=1,
            base_dir=Path(),
            url="",
            store=None,  # type: ignore[arg-type]
            notes=_Notes(self.notes),
            log=lambda _level, text: self.log.append(text),
            later=lambda work: work(),
            at=self._set,
            trigger=self._trigger,
            apps=lambda: ["web"],
            mask=str,
        )

    def _set(self, moment: float, call: Callable[[], None]) -> Callable[[], None]:
        alarm = (moment, call)
        self.alarms.append(alarm)
        return lambda: self.alarms.remove(alarm)

    def _trigger(self, listen_point: str, params: Mapping[str, str], actor: str) -> int:
        if self.refusal:
            raise self.refusal
        self.builds.append((listen_point, params, actor))
        return len(self.builds)


class _Notes:
    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts

    def get(self, key: str) -> str | None:
        return self._texts.get(key)

    def set(self, key: str, text: str) -> None:
        self._texts[key] = text


def test_a_build_is_made_whenever_the_line_comes_due() -> None:
    scene = Scene("2030-01-31T12:00:00+00:00")
    scene.schedule(cron="0 3 * * *", params={"target": "full"})

    scene.pass_until("2030-02-02T12:00:00+00:00")

    assert scene.builds == [
        ("web", {"scheduled": f"2030-02-0{day}T03:00:00+00:00", "target": "full"}, "nightly")
        for day in (1, 2)
    ]


def test_several_lines_make_one_build_where_they_meet() -> None:
    scene = Scene("2030-01-31T00:30:00+00:00")
    scene.schedule(cron=["0 */2 * * *", "0 */3 * * *"])

    scene.pass_until("2030-01-31T06:30:00+00:00")

    assert [moment[11:13] for moment in scene.scheduled] == ["02", "03", "04", "06"]


def test_the_hours_are_those_of_the_zone() -> None:
    scene = Scene("2030-07-01T00:00:00+00:00")
    scene.schedule(cron="0 3 * * *", zone="Europe/Berlin")

    scene.pass_until("2030-07-01T12:00:00+00:00")

    assert scene.scheduled == ["2030-07-01T03:00:00+02:00"]


def test_what_falls_into_the_missing_hour_runs_right_after_it() -> None:
    scene = Scene("2030-03-30T12:00:00+01:00")
    scene.schedule(cron="30 2 * * *", zone="Europe/Berlin")

    scene.pass_until("2030-04-01T00:00:00+02:00")

    assert scene.scheduled == ["2030-03-31T03:00:00+02:00"]


def test_what_falls_into_the_doubled_hour_runs_once() -> None:
    scene = Scene("2030-10-26T12:00:00+02:00")
    scene.schedule(cron="30 2 * * *", zone="Europe/Berlin")

    scene.pass_until("2030-10-28T00:00:00+01:00")

    assert scene.scheduled == ["2030-10-27T02:30:00+02:00"]


@pytest.mark.parametrize(
    ("catch_up", "hours"), [("none", []), ("latest", ["14"]), ("all", ["12", "13", "14"])]
)
def test_what_was_missed_is_caught_up_with_as_wanted(catch_up: str, hours: list[str]) -> None:
    before = Scene("2030-01-01T10:30:00+00:00")
    first = before.schedule(cron="@hourly", catch_up=catch_up)
    before.pass_until("2030-01-01T11:30:00+00:00")
    first.close()
    after = Scene("2030-01-01T14:10:00+00:00")
    after.notes = before.notes

    after.schedule(cron="@hourly", catch_up=catch_up)

    assert [moment[11:13] for moment in after.scheduled] == hours


def test_nothing_is_caught_up_with_twice() -> None:
    scene = Scene("2030-01-01T14:10:00+00:00")
    scene.remember(7200)
    scene.schedule(cron="@hourly", catch_up="all").close()
    made = len(scene.builds)

    scene.schedule(cron="@hourly", catch_up="all")

    assert (made, len(scene.builds)) == (2, 2)


def test_a_new_schedule_has_nothing_to_catch_up_with() -> None:
    scene = Scene("2030-01-01T14:10:00+00:00")

    scene.schedule(cron="@hourly", catch_up="all")

    assert scene.builds == []


@pytest.mark.parametrize(
    "options",
    [{"cron": "*/5 * * * *"}, {"cron": "@hourly", "zone": "Europe/Berlin"}, {"cron": ["@daily"]}],
)
def test_a_changed_schedule_has_missed_nothing(options: dict[str, Any]) -> None:
    scene = Scene("2030-01-01T14:10:00+00:00")
    scene.schedule(cron="@hourly", catch_up="all").close()
    scene.now += 7200

    scene.schedule(**options, catch_up="all").close()

    assert scene.builds == []
    scene.now += 24 * 3600
    scene.schedule(**options, catch_up="latest")
    assert len(scene.builds) == 1


def test_a_clock_that_was_set_back_makes_no_build_of_the_past() -> None:
    scene = Scene("2030-01-01T14:10:00+00:00")
    scene.remember(-7200)

    scene.schedule(cron="@hourly", catch_up="all")
    assert scene.builds == []
    scene.pass_until("2030-01-01T15:30:00+00:00")

    assert scene.scheduled == ["2030-01-01T15:00:00+00:00"]


def test_a_clock_that_is_set_back_while_it_waits_builds_each_moment_once() -> None:
    scene = Scene("2030-01-01T14:10:00+00:00")
    scene.schedule(cron="@hourly")
    scene.pass_until("2030-01-01T15:30:00+00:00")
    scene.now = datetime.fromisoformat("2030-01-01T14:30:00+00:00").timestamp()

    scene.pass_until("2030-01-01T16:30:00+00:00")

    assert [moment[11:13] for moment in scene.scheduled] == ["15", "16"]


def test_many_missed_ones_are_bounded_and_the_newest_count() -> None:
    scene = Scene("2030-02-01T00:00:30+00:00")
    scene.remember(7 * 24 * 3600, "* * * * *")

    scene.schedule(cron="* * * * *", catch_up="all")

    assert len(scene.builds) == 100
    assert scene.scheduled[-1] == "2030-02-01T00:00:00+00:00"


@pytest.mark.parametrize(("catch_up", "count"), [("latest", 1), ("all", 100)])
def test_years_of_every_second_are_not_gone_through(catch_up: str, count: int) -> None:
    scene = Scene("2030-02-01T00:00:30+00:00")
    scene.remember(5 * 365 * 24 * 3600, "* * * * * *")

    scene.schedule(cron="* * * * * *", catch_up=catch_up)

    assert len(scene.builds) == count
    assert scene.scheduled[-1] == "2030-02-01T00:00:30+00:00"


def test_rare_ones_are_found_however_long_ago_they_were_due() -> None:
    scene = Scene("2030-02-01T00:00:30+00:00")
    scene.remember(4 * 365 * 24 * 3600, "0 0 1 1 *")

    scene.schedule(cron="@yearly", catch_up="all")

    assert [moment[:4] for moment in scene.scheduled] == ["2027", "2028", "2029", "2030"]


def test_one_that_is_closed_while_it_comes_due_does_not_come_due_again() -> None:
    scene = Scene("2030-01-01T10:30:00+00:00")
    schedule = scene.schedule(cron="@hourly")
    _moment, come_due = scene.alarms[0]
    schedule.close()

    come_due()

    assert scene.alarms == []
    assert scene.scheduled == ["2030-01-01T11:00:00+00:00"]


def test_after_a_long_sleep_of_the_machine_there_is_one_build() -> None:
    scene = Scene("2030-01-01T10:30:00+00:00")
    scene.schedule(cron="@hourly")
    scene.now += 10 * 3600
    _moment, call = scene.alarms.pop()

    call()

    assert scene.scheduled == ["2030-01-01T11:00:00+00:00"]
    assert [datetime.fromtimestamp(moment, BERLIN).hour for moment, _call in scene.alarms] == [22]


def test_info_tells_the_next_moment() -> None:
    scene = Scene("2030-01-31T12:00:00+00:00")
    schedule = scene.schedule(cron="0 3 * * *")

    assert schedule.app_info() == {
        "next_run": datetime.fromisoformat("2030-02-01T03:00:00+00:00").timestamp()
    }


def test_a_refused_build_is_told_of_and_the_next_one_comes() -> None:
    scene = Scene("2030-01-31T12:00:00+00:00")
    scene.schedule(cron="0 3 * * *")
    scene.refusal = QueueFull(listen_point="web", limit=10)
    scene.pass_until("2030-02-01T04:00:00+00:00")
    scene.refusal = None

    scene.pass_until("2030-02-02T04:00:00+00:00")

    assert scene.scheduled == ["2030-02-02T03:00:00+00:00"]
    assert ["2030-02-01T03:00:00+00:00 is not built" in text for text in scene.log] == [True]


def test_a_closed_schedule_waits_for_nothing() -> None:
    scene = Scene("2030-01-31T12:00:00+00:00")

    scene.schedule(cron="0 3 * * *").close()

    assert scene.alarms == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"cron": "61 * * * *"}, "bad minute"),
        ({"cron": "* * *"}, "wrong number of fields"),
        ({"cron": "0 0 31 2 *"}, "day"),
        ({"cron": []}, "must be a cron line"),
        ({"cron": ["@hourly", "@never"]}, "no cron line: '@never'"),
        ({"cron": "@hourly", "zone": "Europe/Nowhere"}, "must be the name of a time zone"),
        ({"cron": "@hourly", "catch_up": "some"}, "must be one of none, latest, all"),
    ],
)
def test_a_bad_option_is_refused_with_what_is_wanted(
    options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        ScheduleOptions.model_validate(options)


def test_the_usual_words_stand_for_their_lines() -> None:
    scene = Scene("2030-01-30T12:00:00+00:00")
    schedule = scene.schedule(cron="@Monthly")
    after = datetime.fromisoformat("2030-01-30T12:00:00+00:00")

    moments = [moment.isoformat() for moment in islice(schedule.moments(after), 2)]

    assert moments == ["2030-02-01T00:00:00+00:00", "2030-03-01T00:00:00+00:00"]


def test_the_module_gives_its_extension() -> None:
    assert EXTENSION is Schedule
