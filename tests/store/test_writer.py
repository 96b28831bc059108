"""The writer: commits in groups, keeps order, survives trouble."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from sloth_ci.errors import DatabaseUnavailable, SlothError
from sloth_ci.store.writer import MAX_WAITING_ROWS, Writer

SCHEMA = """
CREATE TABLE records
    (id INTEGER PRIMARY KEY, app, build, logger, level, stream, timestamp, message);
CREATE TABLE builds (id INTEGER PRIMARY KEY, completed);
"""


class Broken(SlothError):
    """It broke."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "w.db"
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA)
    connection.close()
    return path


@pytest.fixture
def writer(path: Path) -> Iterator[Writer]:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0.05)
    connection.execute("PRAGMA journal_mode = WAL")
    writer = Writer(connection)
    yield writer
    writer.close()


def row(message: str) -> tuple[object, ...]:
    return (1, None, 0, 20, None, 1.0, message)


def written(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    found = [one for (one,) in connection.execute("SELECT message FROM records ORDER BY id")]
    connection.close()
    return found


def test_a_change_is_committed_when_run_returns(writer: Writer, path: Path) -> None:
    writer.run(lambda db: db.execute("INSERT INTO builds VALUES (1, 0)"))
    other = sqlite3.connect(path)
    assert other.execute("SELECT count(*) FROM builds").fetchone() == (1,)
    other.close()


def test_rows_appended_before_a_change_stand_before_it(writer: Writer, path: Path) -> None:
    for number in range(1500):
        writer.append(row(str(number)))
    writer.run(lambda db: db.execute("INSERT INTO records (app, message) VALUES (1, 'end')"))
    assert written(path) == [*map(str, range(1500)), "end"]


def test_appended_rows_are_written_without_any_change(writer: Writer, path: Path) -> None:
    writer.append(row("alone"))
    for _ in range(1000):
        if written(path):
            break
        Event().wait(0.01)
    assert written(path) == ["alone"]


def test_what_a_change_raises_reaches_its_caller_and_leaves_nothing(
    writer: Writer, path: Path
) -> None:
    def break_off(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO builds VALUES (7, 0)")
        raise Broken

    with pytest.raises(Broken):
        writer.run(break_off)
    assert writer.run(lambda db: db.execute("SELECT * FROM builds").fetchall()) == []


def test_a_fault_in_one_change_does_not_touch_the_others(writer: Writer) -> None:
    started, go = Event(), Event()

    def hold(_db: sqlite3.Connection) -> None:
        started.set()
        go.wait(10)

    def fault(_db: sqlite3.Connection) -> None:
        raise ZeroDivisionError

    outcomes: list[object] = []

    def run(change) -> None:
        try:
            outcomes.append(writer.run(change))
        except ZeroDivisionError as error:
            outcomes.append(type(error))

    first = Thread(target=run, args=[hold])
    first.start()
    started.wait(10)
    rest = [Thread(target=run, args=[change]) for change in (fault, lambda _db: "fine")]
    for thread in rest:
        thread.start()
    go.set()
    for thread in (first, *rest):
        thread.join()
    assert {str(one) for one in outcomes} == {"None", "fine", "<class 'ZeroDivisionError'>"}


def test_a_locked_database_refuses_changes_but_loses_no_rows(writer: Writer, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writer.append(row("kept"))
    with pytest.raises(DatabaseUnavailable, match="locked"):
        writer.run(lambda db: db.execute("INSERT INTO builds VALUES (1, 0)"))
    other.execute("ROLLBACK")
    other.close()
    writer.run(lambda db: db.execute("INSERT INTO builds VALUES (2, 0)"))
    assert written(path) == ["kept"]
    assert writer.run(lambda db: db.execute("SELECT id FROM builds").fetchall()) == [(2,)]


def test_a_full_disk_refuses_changes_and_works_again_after(writer: Writer, path: Path) -> None:
    writer.run(lambda db: db.execute("INSERT INTO builds VALUES (1, 0)"))
    writer._connection.execute("PRAGMA max_page_count = 4")
    with pytest.raises(DatabaseUnavailable, match="full"):
        writer.run(
            lambda db: db.execute("INSERT INTO records (message) VALUES (?)", ("x" * 100_000,))
        )
    writer._connection.execute("PRAGMA max_page_count = 100000")
    writer.run(lambda db: db.execute("INSERT INTO builds VALUES (2, 0)"))
    assert writer.run(lambda db: db.execute("SELECT id FROM builds").fetchall()) == [(1,), (2,)]


def test_whoever_writes_too_fast_waits_and_nothing_is_lost(writer: Writer, path: Path) -> None:
    for number in range(MAX_WAITING_ROWS * 2):
        writer.append(row(str(number)))
        assert len(writer._rows) <= MAX_WAITING_ROWS
    writer.flush()
    assert len(written(path)) == MAX_WAITING_ROWS * 2


def test_progress_is_written_with_the_next_commit(writer: Writer) -> None:
    writer.run(lambda db: db.execute("INSERT INTO builds VALUES (1, 0)"))
    writer.progress(1, 3)
    writer.flush()
    assert writer.run(lambda db: db.execute("SELECT completed FROM builds").fetchone()) == (3,)


def test_closing_writes_what_waits(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    writer = Writer(connection)
    writer.append(row("last"))
    writer.close()
    assert written(path) == ["last"]


def test_rows_have_times_in_their_order_unless_the_clock_was_set_back(
    writer: Writer, path: Path
) -> None:
    for moment in (5000.0, 5000.5, 5000.4, 5000.6, 1000.0, 1000.1):
        writer.append((1, None, 0, 20, None, moment, ""))
    writer.flush()
    connection = sqlite3.connect(path)
    found = [one for (one,) in connection.execute("SELECT timestamp FROM records ORDER BY id")]
    connection.close()
    assert found == [5000.0, 5000.5, 5000.5, 5000.6, 1000.0, 1000.1]
