"""Backup, restore, and a file that vanishes under the server."""

import os
import shutil
from pathlib import Path
from stat import S_IMODE
from time import time_ns

import pytest

from sloth_ci.errors import DatabaseRefused, DatabaseUnavailable
from sloth_ci.store import Cause, Origin, Store, backup, check, connections, restore
from sloth_ci.store.connections import FileWatch
from tests.calls import wait_until


def add_app(store: Store, name: str) -> int:
    return store.add_app(listen_point=name, origin=Origin.API, config="", file=None)


def names(path: Path) -> list[str]:
    store = Store(path)
    found = [app.listen_point for app in store.apps()]
    store.close()
    return found


def test_a_backup_of_a_database_in_use_holds_everything_accepted_before(tmp_path: Path) -> None:
    store = Store(tmp_path / "sloth.db")
    app_id = add_app(store, "web")
    store.accept(app_id=app_id, listen_point="web", cause=Cause.TRIGGER, params=({},), total=1)
    backup(tmp_path / "sloth.db", tmp_path / "copy.db")
    add_app(store, "later")
    store.close()
    check(tmp_path / "copy.db")
    assert S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    copy = Store(tmp_path / "copy.db")
    assert [app.listen_point for app in copy.apps()] == ["web"]
    assert copy.waiting_apps() == [app_id]
    copy.close()


def test_a_backup_overwrites_nothing(tmp_path: Path) -> None:
    Store(tmp_path / "sloth.db").close()
    (tmp_path / "copy.db").write_text("precious")
    with pytest.raises(DatabaseRefused, match="never overwrites"):
        backup(tmp_path / "sloth.db", tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "precious"


def test_a_backup_leaves_another_unfinished_one_alone(tmp_path: Path) -> None:
    Store(tmp_path / "sloth.db").close()
    (tmp_path / "copy.db.unfinished").write_text("precious")
    with pytest.raises(DatabaseRefused, match="unfinished"):
        backup(tmp_path / "sloth.db", tmp_path / "copy.db")
    assert (tmp_path / "copy.db.unfinished").read_text() == "precious"


def test_without_a_database_there_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefused, match="no such file"):
        backup(tmp_path / "sloth.db", tmp_path / "copy.db")
    assert list(tmp_path.iterdir()) == []


def test_a_restore_puts_the_copy_in_place_and_the_old_one_aside(tmp_path: Path) -> None:
    path = tmp_path / "sloth.db"
    store = Store(path)
    add_app(store, "old")
    backup(path, tmp_path / "copy.db")
    add_app(store, "new")
    store.close()
    aside = restore(tmp_path / "copy.db", path)
    assert names(path) == ["old"]
    assert aside is not None
    assert names(aside) == ["old", "new"]


def test_a_log_left_without_its_database_does_not_change_the_restored_one(tmp_path: Path) -> None:
    path, log = tmp_path / "sloth.db", tmp_path / "sloth.db-wal"
    Store(path).close()
    store = Store(path)
    backup(path, tmp_path / "copy.db")
    add_app(store, "later")
    shutil.copy(log, tmp_path / "log")
    store.close()
    path.unlink()
    shutil.copy(tmp_path / "log", log)
    aside = restore(tmp_path / "copy.db", path)
    assert names(path) == []
    assert aside
    assert Path(f"{aside}-wal").read_bytes() == (tmp_path / "log").read_bytes()


def test_a_restore_under_a_running_server_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "sloth.db")
    add_app(store, "web")
    backup(tmp_path / "sloth.db", tmp_path / "copy.db")
    with pytest.raises(DatabaseRefused, match="another server"):
        restore(tmp_path / "copy.db", tmp_path / "sloth.db")
    store.close()


def test_a_damaged_copy_is_not_restored(tmp_path: Path) -> None:
    path = tmp_path / "sloth.db"
    store = Store(path)
    for number in range(300):
        add_app(store, f"app{number}")
    store.close()
    backup(path, tmp_path / "copy.db")
    content = bytearray((tmp_path / "copy.db").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8192] = b"\xaa" * 8192
    (tmp_path / "copy.db").write_bytes(content)
    with pytest.raises(DatabaseRefused):
        restore(tmp_path / "copy.db", path)
    assert len(names(path)) == 300


@pytest.mark.parametrize("loss", ["delete", "empty"])
def test_a_lost_database_is_not_replaced_by_an_empty_one(tmp_path: Path, loss: str) -> None:
    path = tmp_path / "sloth.db"
    Store(path).close()
    if loss == "delete":
        path.unlink()
    else:
        path.write_bytes(b"")
    with pytest.raises(DatabaseRefused, match="deleted or emptied"):
        Store(path)
    (tmp_path / "sloth.db.lock").unlink()
    Store(path).close()


def test_a_file_deleted_under_the_server_is_put_back_with_all_it_held(tmp_path: Path) -> None:
    path = tmp_path / "sloth.db"
    store = Store(path)
    add_app(store, "before")
    for part in tmp_path.glob("sloth.db*"):
        if not part.name.endswith(".lock"):
            part.unlink()
    add_app(store, "after")
    assert [app.listen_point for app in store.apps()] == ["before", "after"]
    store.close()
    assert names(path) == ["before", "after"]


def test_another_file_in_its_place_refuses_changes_until_it_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "sloth.db"
    store = Store(path)
    add_app(store, "before")
    path.unlink()
    path.write_text("something else")
    with pytest.raises(DatabaseUnavailable, match="another file"):
        add_app(store, "refused")
    assert path.read_text() == "something else"
    path.unlink()
    add_app(store, "after")
    store.close()
    assert names(path) == ["before", "after"]


@pytest.mark.parametrize("ending", ["", "-wal", "-shm", "*"])
def test_nothing_is_lost_whichever_of_the_files_is_deleted_under_the_server(
    tmp_path: Path, ending: str
) -> None:
    path = tmp_path / "sloth.db"
    store = Store(path)
    add_app(store, "before")
    assert len(store.apps()) == 1
    for part in tmp_path.glob(f"sloth.db{ending}"):
        part.unlink()
    for number in range(50):
        add_app(store, f"after-{number}")
        assert len(store.apps()) == 2 + number
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for part in tmp_path.glob("sloth.db*"):
        shutil.copy(part, crashed)
    assert len(names(crashed / "sloth.db")) == 51
    store.close()
    assert len(names(path)) == 51
    check(path)


@pytest.mark.parametrize("lost", ["", "-wal", "-shm", ".lock"])
def test_a_file_deleted_from_a_folder_that_was_long_quiet_is_missed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    monkeypatch.setattr(connections, "_TICK", 20_000_000)
    store = Store(tmp_path / "sloth.db")
    wait_until(lambda: time_ns() - tmp_path.stat().st_ctime_ns > connections._TICK)
    add_app(store, "one")
    looks: list[int] = []
    look = FileWatch._look

    def count(watch: FileWatch) -> bool:
        looks.append(1)
        return look(watch)

    monkeypatch.setattr(FileWatch, "_look", count)
    add_app(store, "two")
    assert not looks
    (tmp_path / f"sloth.db{lost}").unlink()
    add_app(store, "three")
    assert looks
    assert (tmp_path / f"sloth.db{lost}").exists()
    store.close()
    assert names(tmp_path / "sloth.db") == ["one", "two", "three"]


def test_a_restored_folder_is_not_taken_for_the_one_that_was_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_TICK", 20_000_000)
    folder = tmp_path / "data"
    folder.mkdir()
    store = Store(folder / "sloth.db")
    wait_until(lambda: time_ns() - folder.stat().st_ctime_ns > connections._TICK)
    add_app(store, "one")
    seen = folder.stat()
    shutil.copy(folder / "sloth.db", tmp_path / "copy.db")
    (tmp_path / "copy.db").rename(folder / "sloth.db")
    os.utime(folder, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    with pytest.raises(DatabaseUnavailable, match="another file is in the place"):
        add_app(store, "two")
    store.close()


def test_a_lock_file_that_was_deleted_still_keeps_a_second_server_off(tmp_path: Path) -> None:
    path = tmp_path / "sloth.db"
    store = Store(path)
    (tmp_path / "sloth.db.lock").unlink()
    add_app(store, "before")
    with pytest.raises(DatabaseRefused, match="another server"):
        Store(path)
    store.close()


@pytest.mark.parametrize("content", [b"", b"no database at all" * 1000])
def test_a_file_written_over_in_place_takes_nothing_more(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sloth.db"
    store = Store(path)
    add_app(store, "before")
    backup(path, tmp_path / "copy.db")
    right = path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(DatabaseUnavailable, match="something else was written"):
        add_app(store, "after")
    path.write_bytes(right)
    with pytest.raises(DatabaseUnavailable, match="something else was written"):
        add_app(store, "after")
    store.close()
    with pytest.raises(DatabaseRefused, match="something else was written"):
        Store(path)
    assert restore(tmp_path / "copy.db", path)
    assert names(path) == ["before"]
