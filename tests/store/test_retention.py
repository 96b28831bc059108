"""What the store forgets, what it keeps, and that nobody waits for it."""

import sqlite3
from collections.abc import Callable, Iterator
from logging import DEBUG, INFO
from pathlib import Path

import pytest

from sloth_ci.builds import BuildStatus, Result
from sloth_ci.records import Logger, LogRecord
from sloth_ci.store import Cause, Keep, NewDelivery, Origin, Store

DAY = 24 * 3600.0


class Clock:
    """Time that stands still until it is told."""

    now = 1_000 * DAY

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_store(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Store]]:
    stores: list[Store] = []

    def open_one(**limits: float) -> Store:
        keep = Keep(**limits)  # type: ignore[arg-type]
        stores.append(Store(tmp_path / "sloth.db", clock=clock, keep=keep))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


def add_app(store: Store, name: str = "web") -> int:
    return store.add_app(listen_point=name, origin=Origin.API, config="", file=None)


def build(
    store: Store, app_id: int, status: BuildStatus = BuildStatus.COMPLETE, lines: int = 3
) -> int:
    """One whole build with its records."""
    build_id = store.accept(
        app_id=app_id, listen_point="web", cause=Cause.TRIGGER, params=({},), total=1
    ).builds[0]
    store.claim(app_id)
    for number in range(lines):
        store.write(LogRecord(app_id, Logger.EXEC, DEBUG, f"line {number}", 1.0, build_id))
    store.finish(app_id=app_id, build_id=build_id, result=Result(status, 1), total=1)
    return build_id


def pages(path: Path) -> int:
    """The size of the database, in pages."""
    connection = sqlite3.connect(path)
    count: int = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.close()
    return count


def kept(store: Store, app_id: int) -> list[int]:
    """The builds that still have a line in the log or the history."""
    records = store.logs(app_id=app_id, level=1, skip=0, most=100_000)
    return sorted({record.build_id for record in records if record.build_id})


def test_complete_builds_are_forgotten_after_their_days_and_others_later(
    open_store: Callable[..., Store], clock: Clock
) -> None:
    store = open_store(days=10)
    app_id = add_app(store)
    good, bad = build(store, app_id), build(store, app_id, BuildStatus.FAILED)
    clock.now += 9 * DAY
    young = build(store, app_id)
    assert store.sweep() == 0
    clock.now += 2 * DAY
    assert store.sweep() == 1
    assert kept(store, app_id) == [bad, young]
    assert store.find_build(good) is None
    clock.now += 30 * DAY
    assert store.sweep() == 2
    assert kept(store, app_id) == []


def test_each_app_keeps_its_newest_builds(open_store: Callable[..., Store]) -> None:
    store = open_store(builds=2)
    one, other = add_app(store), add_app(store, "other")
    good = [build(store, one) for _ in range(4)]
    bad = [build(store, one, BuildStatus.FAILED) for _ in range(3)]
    alone = build(store, other)
    assert store.sweep() == 3
    assert kept(store, one) == [*good[2:], *bad[1:]]
    assert kept(store, other) == [alone]


def test_the_file_stays_below_its_size_and_gives_pages_back(
    open_store: Callable[..., Store], tmp_path: Path
) -> None:
    store = open_store(size=400_000)
    app_id = add_app(store)
    builds = [build(store, app_id, lines=3_000) for _ in range(10)]
    bad = build(store, app_id, BuildStatus.FAILED)
    before = pages(tmp_path / "sloth.db")
    assert store.sweep() > 0
    left = kept(store, app_id)
    assert bad in left
    assert builds[0] not in left
    assert builds[-1] in left
    assert pages(tmp_path / "sloth.db") < before / 2


def test_what_waits_or_runs_is_never_forgotten(
    open_store: Callable[..., Store], clock: Clock
) -> None:
    store = open_store(days=1, builds=1, size=1)
    app_id = add_app(store)
    running, waiting = (
        store.accept(
            app_id=app_id, listen_point="web", cause=Cause.TRIGGER, params=({}, {}), total=1
        )
    ).builds
    store.claim(app_id)
    clock.now += 1000 * DAY
    assert store.sweep() == 0
    assert kept(store, app_id) == [running, waiting]


def test_records_of_no_build_are_forgotten_too(
    open_store: Callable[..., Store], clock: Clock
) -> None:
    store = open_store(days=10)
    app_id = add_app(store)
    for day in (0, 9):
        store.write(LogRecord(app_id, Logger.APP, INFO, f"day {day}", clock.now + day * DAY))
    store.flush()
    clock.now += 11 * DAY
    store.sweep()
    left = store.logs(app_id=app_id, level=1, skip=0, most=10)
    assert [record.message for record in left] == ["day 9"]


def test_a_delivery_is_known_for_a_week_even_if_builds_are_forgotten_sooner(
    open_store: Callable[..., Store], clock: Clock
) -> None:
    store = open_store(days=1)
    app_id = add_app(store)
    push = NewDelivery(delivery_id="guid", event="push", address="192.0.2.1")

    def deliver() -> bool:
        return store.accept(
            app_id=app_id,
            listen_point="web",
            cause=Cause.PUSH,
            params=({},),
            total=1,
            delivery=push,
        ).repeated

    assert not deliver()
    claimed = store.claim(app_id)
    assert claimed
    store.finish(
        app_id=app_id, build_id=claimed.id, result=Result(BuildStatus.COMPLETE, 1), total=1
    )
    clock.now += 6 * DAY
    assert store.sweep() == 1
    assert deliver()


def test_a_forgotten_build_takes_its_actions_along(
    open_store: Callable[..., Store], clock: Clock
) -> None:
    store = open_store(days=10)
    app_id = add_app(store)
    build_id = store.accept(
        app_id=app_id, listen_point="web", cause=Cause.TRIGGER, params=({},), total=1
    ).builds[0]
    store.claim(app_id)
    store.note_action(build_id=build_id, position=0, command="make", started=1.0)
    result = Result(BuildStatus.COMPLETE, 1)
    store.finish(app_id=app_id, build_id=build_id, result=result, total=1)
    assert len(store.actions(build_id)) == 1
    clock.now += 11 * DAY
    assert store.sweep() == 1
    assert store.actions(build_id) == []


def test_a_config_is_forgotten_with_the_last_build_that_had_it(
    open_store: Callable[..., Store], clock: Clock
) -> None:
    store = open_store(builds=1)
    app_id = store.add_app(listen_point="web", origin=Origin.API, config="a: 1", file=None)
    configs = []
    for number in (1, 2, 3):
        store.set_app(app_id=app_id, origin=Origin.API, config=f"a: {number}", file=None)
        built = store.find_build(build(store, app_id))
        assert built is not None
        configs.append(built.config_id or 0)
    assert store.sweep() == 2
    assert [store.config(one) for one in configs] == [None, None, "a: 3"]
    store.set_app(app_id=app_id, origin=Origin.API, config="a: 4", file=None)
    build(store, app_id)
    assert store.sweep() == 1
    assert [store.config(one) for one in configs] == [None] * 3
    assert store.config(store.app(app_id).config_id or 0) == "a: 4"


def test_the_config_of_a_waiting_rerun_is_kept(open_store: Callable[..., Store]) -> None:
    store = open_store(builds=1)
    app_id = store.add_app(listen_point="web", origin=Origin.API, config="a: 1", file=None)
    first = store.find_build(build(store, app_id))
    assert first is not None
    assert first.config_id is not None
    store.set_app(app_id=app_id, origin=Origin.API, config="a: 2", file=None)
    build(store, app_id)
    store.rerun(first.id, total=1, config_id=first.config_id)
    assert store.sweep() == 1
    assert store.config(first.config_id) == "a: 1"
