"""What is taken from the backlog, and in which order."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sloth_ci.errors import DatabaseUnavailable
from sloth_ci.records import Logger
from sloth_ci.store import backlog as rooms
from sloth_ci.store.backlog import MOST_ROWS, Backlog, Group, Row
from tests.calls import wait_until


def row(number: int) -> Row:
    return (1, 1, Logger.EXEC, 10, None, 0.0, str(number))


def fill(backlog: Backlog, count: int) -> None:
    for number in range(count):
        backlog.append(row(number))


def behind(_database: sqlite3.Connection) -> str:
    return "behind"


def ahead(_database: sqlite3.Connection) -> str:
    return "ahead"


def names(group: Group) -> list[Any]:
    return [waiting.change.__name__ for waiting in group.changes]


@pytest.fixture
def backlog() -> Backlog:
    return Backlog()


@pytest.fixture
def both(backlog: Backlog):
    """Two and a half transactions' rows; then a change that waits for them and one that hurries."""
    fill(backlog, 2 * MOST_ROWS + MOST_ROWS // 2)
    with ThreadPoolExecutor() as threads:
        slow = threads.submit(backlog.wait_for, behind)
        quick = threads.submit(lambda: backlog.settle(backlog.hurry(ahead)))
        wait_until(lambda: len(backlog._changes) == 2)
        yield slow, quick
        backlog.end()
        for waiting in backlog.refuse():
            waiting.outcome.set_exception(DatabaseUnavailable(reason="the test is over"))


def test_one_transaction_takes_a_limited_number_of_rows(backlog: Backlog) -> None:
    fill(backlog, MOST_ROWS + 1)
    assert [len(backlog.take(0.0).rows) for _ in range(3)] == [MOST_ROWS, 1, 0]
    assert backlog.count_rows() == 0


def test_rows_left_behind_are_written_at_once(backlog: Backlog) -> None:
    fill(backlog, MOST_ROWS + 1)
    backlog.take(0.0)
    assert backlog._rows_due == 0.0


def test_a_change_that_hurries_is_made_before_rows_that_wait(backlog: Backlog, both) -> None:
    group = backlog.take(0.0)
    assert (len(group.rows), names(group)) == (MOST_ROWS, ["ahead"])
    group.changes[0].outcome.set_result("made")
    assert both[1].result() == "made"


def test_a_change_that_does_not_hurry_is_made_behind_all_earlier_rows(
    backlog: Backlog, both
) -> None:
    backlog.append(row(-1))
    groups = [backlog.take(0.0) for _ in range(3)]
    assert [names(group) for group in groups] == [["ahead"], [], ["behind"]]
    for group in groups:
        for waiting in group.changes:
            waiting.outcome.set_result("made")
    assert both[0].result() == "made"


def test_rows_given_back_are_still_before_the_change(backlog: Backlog, both) -> None:
    hurried = backlog.take(0.0)
    hurried.changes[0].outcome.set_result("made")
    backlog.give_back(hurried)
    groups = [backlog.take(0.0) for _ in range(3)]
    assert [names(group) for group in groups] == [[], [], ["behind"]]
    written = [int(one[rooms.MESSAGE]) for group in groups for one in group.rows]
    assert written == list(range(2 * MOST_ROWS + MOST_ROWS // 2))
    groups[-1].changes[0].outcome.set_result("made")


def test_the_word_for_lost_rows_comes_behind_the_last_one(
    backlog: Backlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(backlog, MOST_ROWS + 1)
    monkeypatch.setattr(rooms, "LIMIT", 0)
    backlog.offer(row(0))
    first, second = backlog.take(0.0), backlog.take(0.0)
    assert [one[rooms.MESSAGE] for one in first.rows] == [str(n) for n in range(MOST_ROWS)]
    assert [one[rooms.MESSAGE] for one in second.rows] == [
        str(MOST_ROWS),
        "[1 lines of the log were lost here: the database could not be written]",
    ]
