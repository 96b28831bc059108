"""T29: symbolic links planted where the server writes: none is followed."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from sloth_ci.cli.first_steps import ThereAlready, write_samples
from sloth_ci.errors import DatabaseRefused
from sloth_ci.store import Store, backup, restore
from tests.calls import Api
from tests.conftest import LOGIN, RunningServer, StartFailed

PRECIOUS = b"what the link leads to"
#: What a database consists of while it is used.
DATABASE = ("sloth.db", "sloth.db-wal", "sloth.db-shm", "sloth.db.lock")


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A file elsewhere, of somebody else."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    file = elsewhere / "precious"
    file.write_bytes(PRECIOUS)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the server writes."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def plant(at: Path, *, target: Path) -> None:
    """Plant a link there."""
    at.symlink_to(target)


def assert_untouched(precious: Path) -> None:
    """The file holds what it held, and nothing is new beside it."""
    assert precious.read_bytes() == PRECIOUS
    assert list(precious.parent.iterdir()) == [precious]


@pytest.mark.parametrize("target", ["precious", "new"])
@pytest.mark.parametrize("name", DATABASE)
def test_a_new_database_is_not_written_through_a_link(
    name: str, target: str, folder: Path, precious: Path
) -> None:
    plant(folder / name, target=precious.with_name(target))
    with suppress(DatabaseRefused):  # a log without a database is deleted, which is as good
        Store(folder / "sloth.db").close()
    assert_untouched(precious)


@pytest.mark.parametrize("target", ["precious", "new"])
@pytest.mark.parametrize("name", DATABASE)
def test_a_database_is_not_written_through_a_link(
    name: str, target: str, database: Path, precious: Path
) -> None:
    (database.parent / name).unlink(missing_ok=True)
    plant(database.parent / name, target=precious.with_name(target))
    with pytest.raises(DatabaseRefused):
        Store(database)
    assert_untouched(precious)


def test_a_server_says_in_one_line_that_it_does_not_start_on_a_link(
    folder: Path, precious: Path, launch: Callable[..., RunningServer]
) -> None:
    plant(folder / "sloth.db", target=precious)
    with pytest.raises(StartFailed) as failed:
        launch(folder)
    assert failed.value.line.startswith("error: The database ")
    assert failed.value.line.count("\n") == 1
    assert_untouched(precious)


@pytest.mark.parametrize("name", ["sloth_access.log", "sloth_error.log"])
def test_a_server_does_not_write_through_a_link_in_the_place_of(
    name: str, folder: Path, precious: Path, launch: Callable[..., RunningServer]
) -> None:
    plant(folder / name, target=precious)
    with pytest.raises(StartFailed) as failed:
        launch(folder)
    assert name in failed.value.line
    assert_untouched(precious)


@pytest.mark.parametrize("name", ["server.yml", "apps/sample.yml"])
@pytest.mark.parametrize("target", ["precious", "new"])
def test_the_first_configs_are_not_written_through_a_link(
    name: str, target: str, folder: Path, precious: Path
) -> None:
    (folder / "apps").mkdir()
    plant(folder / name, target=precious.with_name(target))
    with pytest.raises(ThereAlready):
        write_samples(folder)
    assert_untouched(precious)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database that nobody uses now."""
    file = tmp_path / "database" / "sloth.db"
    file.parent.mkdir()
    Store(file).close()
    return file


@pytest.mark.parametrize("target", ["precious", "new"])
@pytest.mark.parametrize("name", ["copy.db", "copy.db.unfinished"])
def test_a_backup_is_not_written_through_a_link(
    name: str, target: str, database: Path, folder: Path, precious: Path
) -> None:
    plant(folder / name, target=precious.with_name(target))
    with pytest.raises(DatabaseRefused):
        backup(database, folder / "copy.db")
    assert_untouched(precious)
    assert (folder / name).readlink() == precious.with_name(target)


@pytest.mark.parametrize("name", ["sloth.db", "sloth.db-wal", "sloth.db-shm"])
def test_a_restore_puts_links_aside_and_writes_through_none(
    name: str, database: Path, folder: Path, precious: Path
) -> None:
    plant(folder / name, target=precious)
    restore(database, folder / "sloth.db")
    assert_untouched(precious)
    Store(folder / "sloth.db").close()
    assert_untouched(precious)


def test_a_restore_does_not_write_through_a_link_in_the_place_of_the_lock(
    database: Path, folder: Path, precious: Path
) -> None:
    plant(folder / "sloth.db.lock", target=precious)
    with pytest.raises(DatabaseRefused):
        restore(database, folder / "sloth.db")
    assert_untouched(precious)


def test_a_deleted_database_is_not_put_back_through_a_link(
    folder: Path, precious: Path, launch: Callable[..., RunningServer]
) -> None:
    server = launch(folder)
    api = Api(server.url, LOGIN)
    api.create("listen_point: web\nactions: []")
    plant(folder / "sloth.db.unfinished", target=precious)
    (folder / "sloth.db").unlink()
    api.wait_for_build("web", api.trigger("web"))
    assert_untouched(precious)
    assert not (folder / "sloth.db").is_symlink()
