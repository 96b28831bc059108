"""The server's life by `sci`: from an empty folder to a server that is gone again."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sloth_ci import __version__
from tests.calls import Api, send, wait_until
from tests.cli.conftest import Person
from tests.conftest import PATIENCE, RunningServer

Launch = Callable[..., RunningServer]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@pytest.fixture
def owner(person: Person) -> Iterator[Person]:
    """Somebody with a config of their own in the folder; what they start ends with the test."""
    port = free_port()
    (person.folder / "server.yml").write_text(
        f"port: {port}\napi_auth: {{login: me, password: mine}}\n"
    )
    yield person
    person.sci("stop")


def url_of(person: Person) -> str:
    found = re.search(r"port: (\d+)", (person.folder / "server.yml").read_text())
    assert found
    return f"http://127.0.0.1:{found[1]}"


def person_of(server: RunningServer) -> Person:
    """Somebody in the folder of a server that was launched on any port, who names it by --url."""
    return Person(
        server.folder,
        {
            "SLOTH_URL": server.url,
            "SLOTH_LOGIN": server.login[0],
            "SLOTH_PASSWORD": server.login[1],
        },
    )


@pytest.mark.parametrize("words", [(), ("ci",)], ids=["here", "in another folder"])
def test_what_init_writes_starts_as_it_is(person: Person, words: tuple[str, ...]) -> None:
    done = person.sci("init", *words)
    assert (done.code, done.err) == (0, "")
    folder = person.folder.joinpath(*words)
    config = folder / "server.yml"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    # Only the port differs from what was written: the tests' machine may use 8080 itself.
    text = config.read_text()
    assert text.count("port: 8080") == 1
    config.write_text(text.replace("port: 8080", f"port: {free_port()}"))
    there = Person(folder)
    try:
        assert there.sci("start", "-d").code == 0
        assert there.sci("list").said == (0, "sample\n", "")
        assert there.sci("trigger", "sample", "-w").code == 0
    finally:
        assert there.sci("stop").code == 0


def test_init_gives_each_server_a_password_of_its_own(person: Person) -> None:
    person.sci("init", "one")
    person.sci("init", "two")

    passwords = [
        re.findall(
            r'^  password: "(.+)"$', (person.folder / name / "server.yml").read_text(), re.MULTILINE
        )
        for name in ("one", "two")
    ]
    assert [len(found) for found in passwords] == [1, 1]
    assert passwords[0] != passwords[1]
    assert len(passwords[0][0]) >= 24


@pytest.mark.parametrize("name", ["server.yml", "apps/sample.yml"])
def test_init_overwrites_nothing(person: Person, name: str) -> None:
    file = person.folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("mine")

    assert person.sci("init").said == (
        1,
        "",
        f"sci: {name} is there already, and 'sci init' overwrites nothing. Name another folder.\n",
    )
    assert [one.name for one in person.folder.rglob("*") if one.is_file()] == [file.name]
    assert file.read_text() == "mine"


def test_a_server_in_the_background_runs_until_it_is_stopped(owner: Person) -> None:
    url = url_of(owner)

    started = owner.sci("start", "--daemon")
    assert started.said == (0, f"Sloth CI {__version__} listens on {url}\n", "")
    for word in ("status", "stat", "st"):
        assert owner.sci(word).said == (
            0,
            f"Sloth CI {__version__} runs at {url}: 0 apps, none building.\n",
            "",
        )
    assert owner.sci("stop").said == (0, f"The server at {url} stopped.\n", "")

    gone = f"sci: No Sloth CI server answers at {url}: connection refused.\n"
    assert owner.sci("status").said == (3, "", gone)
    assert owner.sci("stop").said == (3, "", gone)


def test_the_config_may_want_the_background(owner: Person) -> None:
    config = owner.folder / "server.yml"
    config.write_text(config.read_text() + "daemon: true\n")

    assert owner.sci("start").code == 0
    assert owner.sci("status").code == 0


def test_a_server_in_the_foreground_ends_with_ctrl_c(owner: Person) -> None:
    process = owner.begin("start")
    assert process.stderr
    while "listens on" not in (line := process.stderr.readline()):
        assert line, "it ended too early"

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)

    assert process.returncode == 0


@pytest.mark.parametrize("words", [("start",), ("start", "-d")], ids=["in front", "behind"])
def test_a_taken_port_is_told_in_one_line(owner: Person, words: tuple[str, ...]) -> None:
    host, port = "127.0.0.1", int(url_of(owner).rpartition(":")[2])
    with socket.create_server((host, port)):
        done = owner.sci(*words)

    assert (done.code, done.out) == (1, "")
    assert f"Can't listen on {host}:{port}: " in done.err
    assert done.err.splitlines()[-1].startswith("sci: ")
    assert "Traceback" not in done.err


def test_a_broken_config_is_told_with_its_line(owner: Person) -> None:
    (owner.folder / "server.yml").write_text("prot: 8080\n")

    for words in (("start",), ("start", "-d")):
        done = owner.sci(*words)
        assert (done.code, done.out) == (1, "")
        assert "line 1, column 1: unknown key 'prot'. Did you mean 'port'?" in done.err
        assert done.err.count("\n") == 1


def test_restart_returns_when_the_new_server_answers(launch: Launch) -> None:
    server = launch()
    config = server.folder / "server.yml"
    old, new = server.login, ("second", "another")
    logins = ", ".join(f"{{login: {name}, password: {word}}}" for name, word in (old, new))
    config.write_text(re.sub("api_auth: .*", f"api_auth: [{logins}]", config.read_text()))
    assert send(server.url, path="/?action=version", login=new).status == 401

    done = person_of(server).sci("restart")

    assert done.said == (0, f"The server at {server.url} restarted.\n", "")
    assert send(server.url, path="/?action=version", login=new).status == 200


def test_restart_is_done_even_if_the_new_server_wants_another_login(launch: Launch) -> None:
    server = launch()
    config = server.folder / "server.yml"
    config.write_text(config.read_text().replace("password: ", "password: not-"))

    assert person_of(server).sci("restart").code == 0


def test_restart_waits_for_the_build_that_runs_and_says_so(launch: Launch) -> None:
    server = launch()
    api = Api(server.url, server.login)
    go = server.folder / "go"
    api.create(
        f"{{listen_point: web, actions: ['echo begun; while [ ! -e {go} ]; do sleep 0.02; done']}}"
    )
    api.trigger("web")
    wait_until(lambda: "begun" in api.logs("web"))

    process = person_of(server).begin("restart")
    assert process.stderr
    line = process.stderr.readline()
    assert line == "sci: waiting for running builds to end before the restart\n"
    assert process.poll() is None
    go.touch()
    shown, _errors = process.communicate(timeout=PATIENCE)

    assert (process.returncode, shown) == (0, f"The server at {server.url} restarted.\n")
    assert api.history("web")[0] == "Complete (1/1)"


def test_status_counts_the_apps_that_build(launch: Launch) -> None:
    server = launch()
    api = Api(server.url, server.login)
    api.create("{listen_point: web, actions: ['sleep 60']}")
    api.create("{listen_point: docs, actions: ['true']}")
    api.trigger("web")

    assert person_of(server).sci("status").out.endswith(": 2 apps, 1 building.\n")
    assert json.loads(person_of(server).sci("status", "--json").out) == {
        "running": True,
        "url": server.url,
        "version": __version__,
        "apps": 2,
        "apps_building": 1,
    }
    api("remove", listen_point="web")


def test_json_of_status_says_that_nobody_is_there(owner: Person) -> None:
    done = owner.sci("status", "--json")

    assert done.code == 3
    assert json.loads(done.out) == {"running": False, "url": url_of(owner)}


def test_version_is_told_of_both_sides(user: Person, api: Api) -> None:
    assert user.sci("version").said == (
        0,
        f"sci {__version__}\nserver {__version__} at {api.url}\n",
        "",
    )
    assert json.loads(user.sci("version", "--json").out) == {
        "client": __version__,
        "server": __version__,
        "url": api.url,
    }


def test_the_sample_config_of_the_repository_starts_as_it_is(person: Person) -> None:
    root = Path(__file__).parent.parent.parent
    text = (root / "server.yml").read_text()
    assert text.count("port: 8080") == 1
    (person.folder / "sloth_ci").symlink_to(root / "sloth_ci")
    (person.folder / "server.yml").write_text(text.replace("8080", str(free_port())))
    try:
        assert person.sci("start", "-d").code == 0
        assert person.sci("trigger", "sample", "-w").code == 0
    finally:
        assert person.sci("stop").code == 0


def test_a_server_in_the_background_holds_no_terminal_and_no_pipe(owner: Person) -> None:
    # `begin` gives pipes; they would stay open as long as the server had them.
    process = owner.begin("start", "-d")
    shown, errors = process.communicate(timeout=PATIENCE)

    assert (process.returncode, errors) == (0, "")
    assert "listens on" in shown
    assert send(url_of(owner), path="/?action=version", login=("me", "mine")).status == 200


def test_modules_in_the_current_folder_are_not_taken_for_the_servers(owner: Person) -> None:
    (owner.folder / "cherrypy.py").write_text("raise SystemExit('not me')\n")

    assert owner.sci("start", "-d").code == 0


def test_help_is_there_without_the_servers_libraries() -> None:
    program = (
        "import sys; from sloth_ci.cli import main; code = main(['--help']);"
        "print(code, sorted({'cherrypy', 'pydantic', 'argon2', 'sqlite3'} & set(sys.modules)))"
    )
    # Measuring coverage would load libraries of its own.
    unmeasured = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=unmeasured,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert done.stdout.splitlines()[-1] == "0 []"
