"""The writer: commits in groups, keeps order, survives trouble."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from time import monotonic

import pytest

from sloth_ci.errors import DatabaseUnavailable, SlothError
from sloth_ci.store import backlog
from sloth_ci.store import writer as writer_module
from sloth_ci.store.writer import Writer
from tests.calls import wait_until

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


def open_writer(path: Path) -> Writer:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    return Writer(connection)


@pytest.fixture
def writer(path: Path) -> Iterator[Writer]:
    writer = open_writer(path)
    yield writer
    writer.close()


def row(message: str, build: int | None = None) -> tuple[object, ...]:
    return (1, build, 0, 20, None, 1.0, message)


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


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "PATIENCE", 0.3)
    monkeypatch.setattr(writer_module, "LOCK_WAIT", 0.05)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


def insert(number: int) -> Callable[[sqlite3.Connection], object]:
    return lambda db: db.execute("INSERT INTO builds VALUES (?, 0)", (number,)) and None


@pytest.mark.usefixtures("short_patience")
def test_a_locked_database_refuses_changes_but_loses_no_rows(path: Path) -> None:
    writer = open_writer(path)
    with locked(path):
        writer.append(row("kept"))
        with pytest.raises(DatabaseUnavailable, match="locked"):
            writer.run(insert(1))
    writer.run(insert(2))
    assert written(path) == ["kept"]
    assert writer.run(lambda db: db.execute("SELECT id FROM builds").fetchall()) == [(2,)]
    writer.close()


def test_a_change_waits_for_a_lock_that_is_soon_gone(writer: Writer, path: Path) -> None:
    with locked(path):
        waiting = Thread(target=writer.run, args=[insert(1)])
        waiting.start()
        wait_until(lambda: writer._backlog.has_changes)
    waiting.join()
    assert writer.run(lambda db: db.execute("SELECT id FROM builds").fetchall()) == [(1,)]


@pytest.mark.usefixtures("short_patience")
def test_a_change_that_was_refused_is_never_made_later(path: Path) -> None:
    writer = open_writer(path)
    with locked(path):
        for number in range(2):
            with pytest.raises(DatabaseUnavailable):
                writer.run(insert(number))
    assert not writer._backlog.has_changes
    assert writer.run(lambda db: db.execute("SELECT id FROM builds").fetchall()) == []
    writer.close()


@pytest.mark.usefixtures("short_patience")
def test_what_memory_can_not_hold_is_lost_and_counted_where_it_is_missing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "LIMIT", 10 * (backlog.ROW_WEIGHT + 1))
    writer = open_writer(path)
    with locked(path):
        for number in range(8):
            writer.append(row(str(number)))
        wait_until(lambda: writer._trouble)
        for number in range(8, 17):
            writer.append(row(str(number % 10), build=1))
    writer.flush()
    writer.append(row("on", build=1))
    writer.flush()
    assert written(path) == [
        *map(str, range(10)),
        "[7 lines of the log were lost here: the database could not be written]",
        "on",
    ]
    writer.close()


@pytest.mark.usefixtures("short_patience")
def test_what_is_offered_never_waits_for_room(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "LIMIT", 1)
    monkeypatch.setattr(backlog, "PATIENCE", 1000)
    writer = open_writer(path)
    with locked(path):
        for number in range(3):
            writer.offer(row(str(number)))
        wait_until(lambda: writer._trouble)
        writer.offer(row("3"))
    writer.flush()
    assert written(path)[0] == "0"
    assert "lost here" in written(path)[-1]
    writer.close()


@pytest.mark.usefixtures("short_patience")
def test_the_end_does_not_wait_for_a_lock_and_says_what_was_lost(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = open_writer(path)
    with locked(path):
        writer.append(row("lost"))
        writer.close()
    assert "1 lines of apps' logs could not be written: database is locked" in caplog.text


def test_a_row_that_no_database_takes_does_not_stop_the_rest(writer: Writer, path: Path) -> None:
    writer.append(row("half a character: \ud800"))
    wait_until(lambda: writer._trouble)
    writer.append(row("next"))
    writer.run(insert(1))
    assert written(path) == ["next"]


def test_a_change_that_breaks_a_rule_of_the_database_is_alone_with_it(writer: Writer) -> None:
    writer.run(insert(1))
    with pytest.raises(sqlite3.IntegrityError):
        writer.run(insert(1))
    writer.run(insert(2))
    assert not writer._trouble


def test_rows_are_not_tried_without_pause_while_the_disk_is_full(
    writer: Writer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.run(insert(1))
    writer._connection.execute("PRAGMA max_page_count = 4")
    tries: list[float] = []
    begin = writer._begin
    monkeypatch.setattr(writer, "_begin", lambda: (tries.append(monotonic()), begin()))
    for number in range(5000):
        writer.append(row(str(number)))
    wait_until(lambda: len(tries) >= 3)
    pauses = [later - earlier for earlier, later in pairwise(tries[:3])]
    assert min(pauses) >= backlog.RETRY_DELAY / 2
    writer._connection.execute("PRAGMA max_page_count = 100000")
    writer.flush()
    assert len(written(path)) == 5000


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


def test_whoever_writes_too_fast_waits_and_nothing_is_lost(
    writer: Writer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "LIMIT", 1000 * backlog.ROW_WEIGHT)
    for number in range(20_000):
        writer.append(row(str(number)))
        assert writer._backlog.count_rows() <= 1000
    writer.flush()
    assert written(path) == [str(number) for number in range(20_000)]


def test_a_note_is_made_without_anybody_waiting_for_it(writer: Writer) -> None:
    made = Event()
    writer.note(lambda _db, _record: made.set())
    assert made.wait(20)


def test_a_note_gets_the_id_of_the_record_that_stands_behind_it(writer: Writer, path: Path) -> None:
    numbers: list[int] = []
    for number in range(5_000):
        if number % 1_000 == 700:
            writer.note(lambda _db, record: numbers.append(record))
        writer.append(row(str(number)))
    writer.flush()
    writer.note(lambda _db, record: numbers.append(record))
    writer.flush()
    assert numbers == [701, 1_701, 2_701, 3_701, 4_701, 5_001]


def test_a_note_of_a_lost_commit_is_made_again_in_its_place(
    writer: Writer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "RETRY_DELAY", 0.01)
    numbers: list[int] = []

    def note(_db: sqlite3.Connection, record: int) -> None:
        numbers.append(record)
        if len(numbers) == 1:
            raise sqlite3.OperationalError("disk I/O error")

    writer.append(row("before"))
    writer.note(note)
    writer.append(row("behind"))
    with suppress(DatabaseUnavailable):
        writer.flush()
    writer.flush()
    assert written(path) == ["before", "behind"]
    assert numbers == [2, 2]


def test_subscribers_are_told_after_each_commit_until_they_leave(writer: Writer) -> None:
    told: list[int] = []
    leave = writer.subscribe(lambda: told.append(1))
    writer.flush()
    writer.flush()
    wait_until(lambda: len(told) == 2)
    leave()
    writer.flush()
    assert len(told) == 2


def test_a_subscriber_that_fails_holds_up_nobody(
    writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    told = Event()

    def fail() -> None:
        raise ZeroDivisionError

    writer.subscribe(fail)
    writer.subscribe(told.set)
    writer.flush()
    assert told.wait(20)
    assert "follower" in caplog.text


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


class FailingOnce:
    """A connection whose next commit can't be synced; remembers what it was told."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._fails = True
        self.told: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def execute(self, sql: str, *values: object) -> sqlite3.Cursor:
        self.told.append(sql)
        if sql == "COMMIT" and self._fails:
            self._fails = False
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        return self._connection.execute(sql, *values)


def test_after_a_failed_sync_all_is_written_once_more_before_a_change_counts(
    writer: Writer,
) -> None:
    writer.flush()
    failing = FailingOnce(writer._connection)
    writer._connection = failing  # type: ignore[assignment]
    with pytest.raises(DatabaseUnavailable, match="disk I/O error"):
        writer.run(insert(1))
    failing.told.clear()
    writer.run(insert(2))
    assert failing.told[0] == "PRAGMA wal_checkpoint(RESTART)"
    assert writer.run(lambda db: db.execute("SELECT id FROM builds").fetchall()) == [(2,)]
    assert failing.told.count("PRAGMA wal_checkpoint(RESTART)") == 1


def test_an_error_log_that_fails_does_not_stop_the_writing(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_values: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(writer_module.LOG, "error", fail)
    writer._connection = FailingOnce(writer._connection)  # type: ignore[assignment]
    with pytest.raises(DatabaseUnavailable):
        writer.run(insert(1))
    writer.run(insert(2))
    writer.flush()
