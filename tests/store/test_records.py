"""Log records in pages: every filter, both directions, and work that is bounded."""

from collections.abc import Iterable
from logging import DEBUG, ERROR, INFO, WARNING
from typing import Any

import pytest

from sloth_ci.builds import BuildStatus
from sloth_ci.records import LEVEL_NAMES, Logger, LogRecord, Stream
from sloth_ci.store import records as room
from tests.store.conftest import Shelf


def say(
    shelf: Shelf,
    app_id: int,
    message: str,
    *,
    level: int = DEBUG,
    build_id: int | None = None,
    stream: Stream | None = None,
    at: float = 1.0,
) -> None:
    record = LogRecord(app_id, Logger.EXEC, level, message, at, build_id, stream)
    shelf.store.write(record)


def read(shelf: Shelf, **wanted: Any) -> list[str]:
    """The messages of all pages, one after the other."""
    found: list[str] = []
    onwards = "after" if wanted.get("oldest_first") else "before"
    while True:
        page = shelf.store.records(**{"most": 3, **wanted})
        assert len(page.records) <= wanted.get("most", 3)
        found += [one.message for one in page.records]
        if page.cursor is None:
            return found
        wanted[onwards] = page.cursor


@pytest.fixture
def web(shelf: Shelf) -> int:
    """An app with records of every level, among those of another one."""
    web, other = shelf.add_app(), shelf.add_app("other")
    for number, level in enumerate([DEBUG, INFO, WARNING, ERROR] * 3):
        say(shelf, web, f"web {number}", level=level, at=float(number))
        say(shelf, other, f"other {number}", level=level, at=float(number))
    shelf.store.flush()
    return web


LEVELS = [DEBUG, INFO, WARNING, ERROR] * 3


@pytest.mark.parametrize("level", [1, 10, 11, 20, 25, 30, 40, 41, 50, 60])
@pytest.mark.parametrize("oldest_first", [False, True])
def test_a_walk_over_all_pages_gives_each_record_once_in_order(
    shelf: Shelf, web: int, level: int, *, oldest_first: bool
) -> None:
    wanted = [number for number, one in enumerate(LEVELS) if one >= level]
    of_app = [f"web {number}" for number in wanted]
    of_all = [f"{name} {number}" for number in wanted for name in ("web", "other")]
    if not oldest_first:
        of_app.reverse()
        of_all.reverse()
    assert read(shelf, app_id=web, level=level, oldest_first=oldest_first) == of_app
    assert read(shelf, level=level, oldest_first=oldest_first) == of_all


@pytest.mark.parametrize("level", [1, 20, 30, 40, 50])
def test_a_page_by_number_holds_what_is_there_by_cursor(shelf: Shelf, web: int, level: int) -> None:
    by_cursor = read(shelf, app_id=web, level=level)
    by_number = shelf.store.logs(app_id=web, level=level, skip=1, most=4)
    assert [one.message for one in by_number] == by_cursor[1:5]


def test_after_and_before_are_the_ends_of_what_is_given(shelf: Shelf, web: int) -> None:
    ids = [one.id or 0 for one in shelf.store.records(app_id=web, most=100).records]
    between = read(shelf, app_id=web, after=ids[-3], before=ids[2])
    assert between == [f"web {number}" for number in range(8, 2, -1)]


def test_times_are_ends_too_and_the_later_one_is_not_within(shelf: Shelf, web: int) -> None:
    assert read(shelf, app_id=web, since=3.0, until=6.0) == ["web 5", "web 4", "web 3"]
    assert read(shelf, app_id=web, since=3.0, until=6.0, level=30) == ["web 3"]
    assert read(shelf, since=99.0) == []
    assert read(shelf, until=0.0) == []


def test_times_before_a_clock_was_set_back_are_not_shown_as_later_ones(shelf: Shelf) -> None:
    web = shelf.add_app()
    for moment in (10.0, 11.0, 12.0, 3.0, 4.0, 5.0):
        say(shelf, web, f"at {moment:g}", at=moment)
    shelf.store.flush()
    assert "at 3" not in read(shelf, since=10.0)
    assert "at 12" not in read(shelf, until=6.0)


def test_a_build_has_its_own_records_from_its_queueing_to_its_end(shelf: Shelf) -> None:
    web = shelf.add_app()
    first, second = shelf.queue(web), shelf.queue(web)
    assert read(shelf, build_id=second) == ["Triggered, actions in queue: 2"]
    for build_id in (first, second):
        shelf.store.claim(web)
        say(shelf, web, f"of {build_id}", build_id=build_id, stream=Stream.STDOUT)
        say(shelf, web, "not of a build")
        say(shelf, web, f"error of {build_id}", build_id=build_id, stream=Stream.STDERR)
        shelf.store.flush()
        if build_id == second:
            assert read(shelf, build_id=second, oldest_first=True)[1:] == [
                f"of {second}",
                f"error of {second}",
            ]
        shelf.finish(web, build_id, BuildStatus.PARTIAL)
    assert read(shelf, build_id=first, oldest_first=True, most=2) == [
        "Triggered, actions in queue: 2",
        f"of {first}",
        f"error of {first}",
        "Partially complete (1/2)",
    ]
    assert read(shelf, build_id=second) == [
        "Partially complete (1/2)",
        f"error of {second}",
        f"of {second}",
        "Triggered, actions in queue: 2",
    ]
    assert read(shelf, build_id=first, stream=Stream.STDERR) == [f"error of {first}"]
    assert read(shelf, build_id=first, level=30) == ["Partially complete (1/2)"]
    assert read(shelf, build_id=999) == []


@pytest.mark.parametrize("wanted", ["straße", "STRASSE", "Straße"])
def test_a_search_finds_a_text_in_either_case(shelf: Shelf, web: int, wanted: str) -> None:
    say(shelf, web, "Hauptstraße 5")
    say(shelf, web, "100% of it_em")
    shelf.store.flush()
    assert read(shelf, app_id=web, search=wanted) == ["Hauptstraße 5"]
    assert read(shelf, search="% OF IT_E") == ["100% of it_em"]
    assert read(shelf, search="_ of it") == []


def test_a_search_looks_at_so_many_records_a_call_and_goes_on_from_there(
    shelf: Shelf, web: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MOST_LOOKED_AT", 4)
    page = shelf.store.records(app_id=web, search="web 0", most=3)
    assert page.records == ()
    assert page.cursor is not None
    assert read(shelf, app_id=web, search="web 0") == ["web 0"]
    assert read(shelf, search="web 1", oldest_first=True) == ["web 1", "web 10", "web 11"]


def test_a_search_stops_where_records_are_long(
    shelf: Shelf, web: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MOST_CHARACTERS", 10)
    page = shelf.store.records(app_id=web, search="web 0", most=3)
    assert (page.records, page.cursor is None) == ((), False)
    assert read(shelf, app_id=web, search="web 0") == ["web 0"]


@pytest.mark.parametrize("level", [1, *LEVEL_NAMES])
@pytest.mark.parametrize("of_app", [False, True])
def test_no_page_reads_the_whole_table_or_sorts_it(
    shelf: Shelf,
    monkeypatch: pytest.MonkeyPatch,
    level: int,
    of_app: bool,
) -> None:
    web = shelf.add_app()
    plans: list[str] = []
    reader = shelf.store._reader
    rows = reader.rows

    def explain(sql: str, values: Iterable[object] = ()) -> list[tuple[object, ...]]:
        plans.extend(str(row[3]) for row in rows(f"EXPLAIN QUERY PLAN {sql}", tuple(values)))
        return []

    monkeypatch.setattr(reader, "walk", explain)
    shelf.store.records(app_id=web if of_app else None, level=level, before=5, most=5)
    monkeypatch.setattr(reader, "rows", explain)
    shelf.store.logs(app_id=web, level=level, skip=5, most=5)
    shelf.store.history(app_id=web, level=level, skip=5, most=5)
    assert len(plans) >= 3
    assert not [step for step in plans if "SCAN" in step or "TEMP B-TREE" in step]


def test_the_last_record_is_known(shelf: Shelf) -> None:
    web = shelf.add_app()
    assert shelf.store.last_record_id() == 0
    say(shelf, web, "one")
    shelf.store.flush()
    assert shelf.store.last_record_id() == 1


def test_a_subscriber_finds_what_it_is_told_of(shelf: Shelf) -> None:
    web = shelf.add_app()
    seen: list[int] = []
    leave = shelf.store.subscribe(lambda: seen.append(shelf.store.last_record_id()))
    say(shelf, web, "one")
    shelf.store.flush()
    shelf.store.flush()
    leave()
    assert 1 in seen
