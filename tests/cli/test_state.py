"""`sci backup`, `sci restore` and `sci hash-password`: the state in one file, and logins."""

import json
import re
from collections.abc import Callable

import pytest

from tests.calls import Api, send
from tests.cli.conftest import Person
from tests.conftest import RunningServer

Launch = Callable[..., RunningServer]


@pytest.fixture
def server(launch: Launch, person: Person) -> RunningServer:
    return launch(person.folder)


@pytest.fixture
def web(server: RunningServer) -> Api:
    """The server's API; its app `web` has one complete build."""
    api = Api(server.url, server.login)
    api.create("listen_point: web\nactions: [echo hello]\n")
    api.wait_for_build("web", api.trigger("web"))
    return api


def stop(server: RunningServer) -> None:
    server.stop()
    assert server.process.returncode == 0


def test_a_backup_is_made_while_builds_run_and_says_what_it_holds(
    web: Api, person: Person, server: RunningServer
) -> None:
    web.create(f"listen_point: long\nactions:\n  - sleep 60\nwork_dir: {person.folder}\n")
    web.trigger("long")

    done = person.sci("backup", "copy.db")

    copy = person.folder / "copy.db"
    assert (done.code, done.err) == (0, "")
    assert re.fullmatch(rf"Saved {copy} \(\d+ kB: 2 apps, 2 builds\)\.\n", done.out)
    assert copy.stat().st_mode & 0o777 == 0o600


def test_a_backup_for_scripts(web: Api, person: Person) -> None:
    value = json.loads(person.sci("backup", "copy.db", "--json").out)

    copy = person.folder / "copy.db"
    assert value == {"file": str(copy), "size": copy.stat().st_size, "apps": 1, "builds": 1}


def test_a_restored_backup_is_the_state_of_the_next_start(
    web: Api, person: Person, server: RunningServer, launch: Launch
) -> None:
    person.sci("backup", "copy.db")
    web.create("listen_point: later\nactions: [echo hello]\n")
    stop(server)

    done = person.sci("restore", "copy.db")

    database, aside = person.folder / "sloth.db", person.folder / "sloth.db.before-restore-1"
    assert (done.code, done.err) == (0, "")
    assert re.fullmatch(
        rf"Restored {database} \(\d+ kB: 1 app, 1 build\)\."
        rf" What was there before is kept as {aside}\.\n",
        done.out,
    )
    again = launch(person.folder)
    api = Api(again.url, again.login)
    assert api("list").value == ["web"]
    assert api.history("web")[0] == "Complete (1/1)"


def test_a_restore_for_scripts(web: Api, person: Person, server: RunningServer) -> None:
    person.sci("backup", "copy.db")
    stop(server)

    first = json.loads(person.sci("restore", "copy.db", "--json").out)
    (person.folder / "sloth.db").unlink()
    second = json.loads(person.sci("restore", "copy.db", "--json").out)

    assert first["kept"] == str(person.folder / "sloth.db.before-restore-1")
    assert (second["kept"], second["apps"], second["builds"]) == (None, 1, 1)
    assert second["file"] == str(person.folder / "sloth.db")


def test_nothing_is_restored_under_a_running_server(web: Api, person: Person) -> None:
    person.sci("backup", "copy.db")

    done = person.sci("restore", "copy.db")

    assert (done.code, done.out) == (1, "")
    assert re.fullmatch(r"sci: The database \S+ can't be used: .*server.*\n", done.err)
    assert web("list").value == ["web"]


def test_a_damaged_backup_is_refused_and_the_state_stays(
    web: Api, person: Person, server: RunningServer
) -> None:
    person.sci("backup", "copy.db")
    stop(server)
    copy, before = person.folder / "copy.db", (person.folder / "sloth.db").read_bytes()
    content = bytearray(copy.read_bytes())
    content[8_192:40_960] = b"\xff" * 32_768
    copy.write_bytes(content)

    done = person.sci("restore", "copy.db")

    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"sci: The database {copy.name} can't be used: ")
    assert done.err.count("\n") == 1
    assert (person.folder / "sloth.db").read_bytes() == before


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_without_a_database_there_is_no_state(person: Person, command: str) -> None:
    (person.folder / "server.yml").write_text("paths: {db: null}\n")

    done = person.sci(command, "copy.db")

    assert (done.code, done.out) == (1, "")
    assert "has no database ('paths: db: null')" in done.err


def test_a_backup_needs_no_secret_of_the_server(person: Person, server: RunningServer) -> None:
    stop(server)
    (person.folder / "server.yml").write_text(
        "api_auth: {login: me, password: {env: NOT_SET_HERE}}\npaths: {db: ./sloth.db}\n"
    )

    assert person.sci("backup", "copy.db").code == 0


def test_before_the_first_start_there_is_nothing_to_save(person: Person) -> None:
    (person.folder / "server.yml").write_text("port: 0\n")

    done = person.sci("backup", "copy.db")

    assert (done.code, done.out) == (1, "")
    assert "there is no such file" in done.err
    assert not (person.folder / "copy.db").exists()


def test_a_hash_lets_its_password_in_and_no_other(person: Person, launch: Launch) -> None:
    typed = {"Password: ": "a: b # ü", "The same again: ": "a: b # ü"}
    hashed = person.type_in_terminal("hash-password", answers=typed).out.splitlines()[-1]
    server = launch(
        person.folder, api_auth=None, config=f"api_auth:\n  login: me\n  password: {hashed}\n"
    )

    assert hashed.startswith("$argon2id$")
    assert send(server.url, path="/?action=list", login=("me", "a: b # ü")).status == 200
    assert send(server.url, path="/?action=list", login=("me", "a: b # u")).status == 401
    env = {"SLOTH_LOGIN": "me", "SLOTH_PASSWORD": "a: b # ü"}
    assert person.sci("list", "--url", server.url, env=env).code == 0


def test_passwords_typed_differently_are_not_hashed(person: Person) -> None:
    typed = {"Password: ": "one", "The same again: ": "two"}

    done = person.type_in_terminal("hash-password", answers=typed)

    assert done.code == 1
    assert "sci: The two passwords are not the same." in done.out
    assert "$argon2" not in done.out
    assert "one" not in done.out.replace("Nothing", "")


def test_a_password_comes_from_a_pipe_too(person: Person) -> None:
    first, second = (person.pipe("a long password\n", "hash-password", "--json") for _ in range(2))

    assert json.loads(first.out)["hash"].startswith("$argon2id$")
    assert first.out != second.out


def test_no_password_is_no_hash(person: Person) -> None:
    done = person.sci("hash-password")

    assert done.said == (
        1,
        "",
        "sci: There is no password: type one, or send one line to stdin.\n",
    )
