"""The store: what goes in comes out, whole or not at all, and in order."""

import sqlite3
import sys
from collections.abc import Iterator
from logging import DEBUG, ERROR, INFO, WARNING
from pathlib import Path
from stat import S_IMODE
from threading import Thread

import pytest

from sloth_ci.builds import BuildStatus, Result
from sloth_ci.errors import (
    DatabaseRefused,
    DatabaseUnavailable,
    ListenPointTaken,
    QueueFull,
    Unavailable,
)
from sloth_ci.records import Logger, LogRecord, Stream
from sloth_ci.store import Cause, NewDelivery, Origin, Store


class Clock:
    """Time that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    store = Store(tmp_path / "sloth.db", clock=clock, max_queue=5, max_queue_total=8)
    yield store
    store.close()


def add(store: Store, listen_point: str = "web") -> int:
    return store.add_app(
        listen_point=listen_point, origin=Origin.API, config="listen_point: x", file=None
    )


def queue(store: Store, app_id: int, *params: dict[str, str], delivery: NewDelivery | None = None):
    return store.accept(
        app_id=app_id,
        listen_point="web",
        cause=Cause.TRIGGER,
        params=params or ({},),
        total=2,
        delivery=delivery,
    )


def push(delivery_id: str | None, reason: str = "") -> NewDelivery:
    return NewDelivery(delivery_id=delivery_id, event="push", address="192.0.2.1", reason=reason)


def messages(store: Store, app_id: int, level: int = 1) -> list[str]:
    return [one.message for one in store.history(app_id=app_id, level=level, skip=0, most=100)]


def test_apps_are_there_after_the_store_was_closed(tmp_path: Path) -> None:
    store = Store(tmp_path / "sloth.db")
    app_id = add(store)
    store.close()
    again = Store(tmp_path / "sloth.db")
    assert [(app.id, app.listen_point) for app in again.apps()] == [(app_id, "web")]
    again.close()


def test_a_taken_listen_point_is_refused_and_the_app_stays(store: Store) -> None:
    add(store)
    with pytest.raises(ListenPointTaken):
        add(store)
    assert len(store.apps()) == 1


def test_a_removed_listen_point_keeps_its_history_for_the_next_app(store: Store) -> None:
    app_id = add(store)
    queue(store, app_id)
    store.remove_app(app_id)
    assert store.apps() == []
    assert store.find_app_id("web") == app_id
    assert messages(store, app_id) == ["Cancelled (0/2)", "Triggered, actions in queue: 2"]
    assert add(store) == app_id
    assert store.claim(app_id) is None


def test_builds_are_claimed_in_the_order_they_came_each_once(store: Store) -> None:
    app_id = add(store)
    first = queue(store, app_id, {"n": "1"}, {"n": "2"}).builds
    second = queue(store, app_id, {"n": "3"}).builds
    claimed = [store.claim(app_id) for _ in range(4)]
    assert [one and (one.id, one.params["n"]) for one in claimed] == [
        (first[0], "1"),
        (first[1], "2"),
        (second[0], "3"),
        None,
    ]


def test_params_come_back_byte_for_byte(store: Store) -> None:
    app_id = add(store)
    hostile = {"x": "$(id)\n'\"\\\x1b[2J\U0001f9a5", "y": ""}
    queue(store, app_id, hostile)
    claimed = store.claim(app_id)
    assert claimed is not None
    assert claimed.params == hostile


def test_the_same_delivery_gives_the_same_builds_and_queues_nothing(store: Store) -> None:
    app_id = add(store)
    first = queue(store, app_id, {"b": "1"}, {"b": "2"}, delivery=push("guid"))
    again = queue(store, app_id, {"b": "1"}, {"b": "2"}, delivery=push("guid"))
    assert again.repeated
    assert again.builds == first.builds
    assert len(messages(store, app_id)) == 2


def test_the_same_delivery_id_of_another_app_is_another_delivery(store: Store) -> None:
    one, other = add(store), add(store, "other")
    assert not queue(store, one, delivery=push("guid")).repeated
    assert not queue(store, other, delivery=push("guid")).repeated


def test_a_delivery_id_is_forgotten_after_seven_days(store: Store, clock: Clock) -> None:
    app_id = add(store)
    queue(store, app_id, delivery=push("guid"))
    clock.now += 7 * 24 * 3600 - 1
    assert queue(store, app_id, delivery=push("guid")).repeated
    clock.now += 2
    assert not queue(store, app_id, delivery=push("guid")).repeated


def test_deliveries_without_an_id_are_never_the_same(store: Store) -> None:
    app_id = add(store)
    assert not queue(store, app_id, delivery=push(None)).repeated
    assert not queue(store, app_id, delivery=push(None)).repeated


def test_the_same_delivery_sent_from_many_threads_queues_one_build(store: Store) -> None:
    app_id = add(store)
    answers: list[tuple[int, ...]] = []

    def deliver() -> None:
        answers.append(queue(store, app_id, delivery=push("guid")).builds)

    threads = [Thread(target=deliver) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20
    assert len(set(answers)) == 1


def test_a_commit_leaves_no_name_in_the_interpreter(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    app_id = add(store)
    kept: list[str] = []
    monkeypatch.setattr(sys, "intern", lambda text: kept.append(text) or text)
    queue(store, app_id)
    assert not [text for text in kept if ".db" in text]


def test_a_full_queue_takes_all_builds_of_a_push_or_none(store: Store) -> None:
    app_id = add(store)
    queue(store, app_id, *[{}] * 4)
    with pytest.raises(QueueFull, match="5 builds"):
        queue(store, app_id, {}, {}, delivery=push("guid"))
    assert len(messages(store, app_id)) == 4
    assert not queue(store, app_id, delivery=push("guid")).repeated


def test_the_queue_of_all_apps_has_a_limit_too(store: Store) -> None:
    queue(store, add(store), *[{}] * 5)
    other = add(store, "other")
    queue(store, other, *[{}] * 3)
    with pytest.raises(Unavailable, match="8 builds wait"):
        queue(store, other)
    assert store.claim(other)
    queue(store, other)


def test_a_finished_build_says_so_in_the_history_behind_its_records(store: Store) -> None:
    app_id = add(store)
    build_id = queue(store, app_id).builds[0]
    store.claim(app_id)
    store.write(LogRecord(app_id, Logger.EXEC, DEBUG, "hi", 1.0, build_id, Stream.STDOUT))
    result = Result(BuildStatus.PARTIAL, 1)
    store.finish(app_id=app_id, build_id=build_id, result=result, total=2)
    newest = store.logs(app_id=app_id, level=1, skip=0, most=2)
    assert [(one.message, one.level) for one in newest] == [
        ("Partially complete (1/2)", WARNING),
        ("hi", DEBUG),
    ]
    assert newest[1].stream is Stream.STDOUT
    last = store.last_build(app_id)
    assert last is not None
    assert last.listen_point == "web"
    assert (last.status, last.completed) == (BuildStatus.PARTIAL, 1)


def test_what_ran_when_the_server_died_is_interrupted_with_what_had_completed(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "sloth.db")
    app_id = add(store)
    running, waiting = queue(store, app_id, {}, {}).builds
    store.claim(app_id)
    store.note_progress(build_id=running, completed=1)
    store.close()
    again = Store(tmp_path / "sloth.db")
    assert again.recover() == ((running, app_id),)
    assert messages(again, app_id)[0] == "Interrupted (1/2)"
    assert again.waiting_apps() == [app_id]
    claimed = again.claim(app_id)
    assert claimed is not None
    assert claimed.id == waiting
    again.close()


def test_a_build_can_be_queued_again_with_its_params(store: Store) -> None:
    app_id = add(store)
    build_id = queue(store, app_id, {"a": "b"}).builds[0]
    store.claim(app_id)
    again = store.requeue(build_id=build_id, total=2)
    claimed = store.claim(app_id)
    assert claimed is not None
    assert (claimed.id, claimed.params, claimed.cause) == (again, {"a": "b"}, Cause.RERUN)


@pytest.mark.parametrize("level", [1, 10, 11, 20, 30, 40, 41, 50, 51])
def test_logs_of_a_level_are_the_same_as_all_logs_filtered(store: Store, level: int) -> None:
    app_id = add(store)
    for number in range(60):
        kind = (DEBUG, INFO, WARNING, ERROR)[number % 4]
        store.write(LogRecord(app_id, Logger.APP, kind, str(number), float(number)))
    store.flush()
    every = store.logs(app_id=app_id, level=1, skip=0, most=1000)
    wanted = [one for one in every if one.level >= level]
    assert store.logs(app_id=app_id, level=level, skip=0, most=1000) == wanted
    assert store.logs(app_id=app_id, level=level, skip=7, most=5) == wanted[7:12]
    assert [one.id for one in every] == sorted((one.id for one in every), reverse=True)


def test_a_file_of_somebody_else_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE build_history (x)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(DatabaseRefused, match="something else"):
        Store(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"not a database at all, just text", b"\0" * 5000])
def test_garbage_is_refused_and_left_as_it_was(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sloth.db"
    path.write_bytes(content)
    with pytest.raises(DatabaseRefused):
        Store(path)
    assert path.read_bytes() == content


def test_a_database_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sloth.db"
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(DatabaseRefused, match="newer release"):
        Store(path)


def test_a_second_server_on_the_same_file_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefused, match="another server"):
        Store(tmp_path / "sloth.db")


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefused, match="No such file"):
        Store(tmp_path / "no" / "sloth.db")


def test_nobody_else_may_read_the_file(store: Store, tmp_path: Path) -> None:
    for file in tmp_path.glob("sloth.db*"):
        assert S_IMODE(file.stat().st_mode) == 0o600, file


def test_without_a_path_builds_run_but_no_log_is_kept() -> None:
    store = Store()
    app_id = add(store)
    build_id = queue(store, app_id).builds[0]
    assert store.claim(app_id)
    store.write(LogRecord(app_id, Logger.APP, INFO, "hello", 1.0))
    result = Result(BuildStatus.COMPLETE, 2)
    store.finish(app_id=app_id, build_id=build_id, result=result, total=2)
    last = store.last_build(app_id)
    assert last is not None
    assert last.status is BuildStatus.COMPLETE
    assert not store.keeps_records
    assert store.logs(app_id=app_id, level=20, skip=0, most=9)[0].message == "Complete (2/2)"
    store.close()


def test_a_closed_store_takes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "sloth.db")
    app_id = add(store)
    store.close()
    with pytest.raises(DatabaseUnavailable):
        store.claim(app_id)


def test_half_a_character_is_spelt_out_and_the_rest_goes_on(store: Store) -> None:
    app_id = add(store)
    queue(store, app_id, delivery=NewDelivery("\ud800", "push", "::1", reason="branch \udc00"))
    assert queue(store, app_id, delivery=NewDelivery("\ud800", "push", "::1")).repeated
    store.write(LogRecord(app_id, Logger.APP, INFO, "branch \ud800 refused", 1.0))
    store.flush()
    found = store.logs(app_id=app_id, level=INFO, skip=0, most=10)
    assert [record.message for record in found] == ["branch \\ud800 refused"]


def test_no_build_ends_before_it_begins_when_the_clock_is_set_back(
    store: Store, clock: Clock
) -> None:
    app_id = add(store)
    (build_id,) = queue(store, app_id).builds
    clock.now -= 3600
    store.claim(app_id)
    clock.now -= 3600
    result = Result(BuildStatus.COMPLETE, 2)
    store.finish(app_id=app_id, build_id=build_id, result=result, total=2)
    build = store.find_build(build_id)
    assert build
    assert build.queued == build.started == build.finished == 1_000_000
