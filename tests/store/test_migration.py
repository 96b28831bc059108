"""A database of an older release becomes one of this release, with all it held."""

import json
import sqlite3
from pathlib import Path

import pytest

from sloth_ci.builds import BuildStatus
from sloth_ci.store import Cause, Store, check
from sloth_ci.store.schema import APPLICATION_ID, MIGRATIONS

CONFIG = "listen_point: web\nactions: [echo hi]\n"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file as version 1 left it: an app, one that was removed, builds, deliveries, records."""
    path = tmp_path / "old.db"
    database = sqlite3.connect(path)
    database.executescript(MIGRATIONS[0])
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    database.execute("PRAGMA user_version = 1")
    database.executescript(
        f"""
        INSERT INTO apps VALUES (1, 'web', 'api', '{CONFIG}', NULL, 1);
        INSERT INTO apps VALUES (2, 'gone', NULL, NULL, NULL, 0);
        INSERT INTO deliveries VALUES (1, 1, 100.0, 'guid', 'push', '192.0.2.1', '');
        INSERT INTO deliveries VALUES (2, 1, 101.0, NULL, 'ping', '192.0.2.1', 'Nothing to do.');
        UPDATE queue SET waiting = 1;
        """
    )
    insert = (
        "INSERT INTO builds (id, app, delivery, cause, status, params, total, completed, queued,"
        " started, finished, queued_record, first_record, last_record)"
        " VALUES (?, 1, ?, 'push', ?, ?, 2, ?, 100.0, ?, ?, ?, ?, ?)"
    )
    pushed = json.dumps({"branch": "main", "commit": "c0ffee", "odd": "\ud800"})
    database.execute(insert, (1, 1, "complete", pushed, 2, 101.0, 102.0, 1, 2, 4))
    database.execute(
        insert, (2, None, "running", '{"branch": "\\ud800"}', 1, 103.0, None, 5, 6, None)
    )
    database.execute(insert, (3, None, "queued", "{}", 0, None, None, 7, None, None))
    record = "INSERT INTO records VALUES (?, 1, ?, ?, ?, NULL, ?, ?)"
    for row in (
        (1, 1, 2, 10, 100.0, "Triggered, actions in queue: 2"),
        (2, 1, 1, 20, 101.0, "Executing action: echo hi"),
        (3, 1, 1, 10, 101.0, "hi"),
        (4, 1, 2, 20, 102.0, "Complete (2/2)"),
        (5, 2, 2, 10, 103.0, "Triggered, actions in queue: 2"),
        (6, 2, 1, 40, 103.0, "Execution failed: Exit code: 1"),
        (7, 3, 2, 10, 103.0, "Triggered, actions in queue: 2"),
    ):
        database.execute(record, row)
    database.commit()
    database.close()
    return path


def test_what_it_held_is_there_as_before(old: Path) -> None:
    store = Store(old)
    build = store.find_build(1)
    assert build is not None
    assert (build.status, build.cause, build.completed) == (BuildStatus.COMPLETE, Cause.PUSH, 2)
    assert [app.listen_point for app in store.apps()] == ["web"]
    assert len(store.logs(app_id=1, level=1, skip=0, most=10)) == 7
    assert [one.message for one in store.logs(app_id=1, level=40, skip=0, most=10)] == [
        "Execution failed: Exit code: 1"
    ]
    assert store.recover() == ((2, 1),)
    claimed = store.claim(1)
    assert claimed is not None
    assert claimed.id == 3
    store.close()
    check(old)


def test_builds_know_their_branches_and_commits_then(old: Path) -> None:
    store = Store(old)
    first, second, third = sorted(store.builds(most=10), key=lambda one: one.id)
    assert (first.branch, first.commit_id) == ("main", "c0ffee")
    assert (second.branch, second.commit_id) == ("\\ud800", "")
    assert (third.branch, third.actor, third.reason, third.config_id) == ("", "", "", None)
    assert [one.id for one in store.builds(branch="main", most=10)] == [1]
    store.close()


def test_a_waiting_build_runs_with_the_config_that_the_app_has(old: Path) -> None:
    store = Store(old)
    [app] = store.apps()
    claimed = store.claim(app.id)
    assert claimed is not None
    assert claimed.config_id == app.config_id
    assert claimed.config_id is not None
    assert store.config(claimed.config_id) == CONFIG
    store.close()


def test_deliveries_are_the_same_ones_and_say_how_they_were_answered(old: Path) -> None:
    store = Store(old, clock=lambda: 200.0)
    ping, push = store.deliveries(most=10)
    assert (push.status, push.builds, push.delivery_id) == (202, (1,), "guid")
    assert (ping.status, ping.reason) == (200, "Nothing to do.")
    assert (push.rules, push.headers, push.body, push.is_whole) == ((), {}, None, False)
    store.close()


def test_it_is_migrated_once(old: Path) -> None:
    Store(old).close()
    store = Store(old)
    assert store.pauses() == []
    assert len(store.builds(most=10)) == 3
    store.close()


def test_a_new_file_has_the_same_tables_as_a_migrated_one(old: Path, tmp_path: Path) -> None:
    Store(old).close()
    Store(tmp_path / "new.db").close()

    def tables(path: Path) -> list[tuple[str, str]]:
        database = sqlite3.connect(path)
        found = database.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()
        database.close()
        return found

    assert tables(old) == tables(tmp_path / "new.db")
