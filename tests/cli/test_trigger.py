"""`sci trigger`: params arrive as they were typed, and -w ends with the build's own end."""

import json
import re
import signal
from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.calls import Api, wait_until
from tests.cli.conftest import Person
from tests.conftest import PATIENCE, RunningServer

MakeApp = Callable[..., str]
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


def messages(out: str) -> list[str]:
    """The messages of a followed build."""
    first, *lines = out.splitlines()
    assert first.startswith("Build ")
    assert all(re.match(rf"{TIME}  ", line) for line in lines)
    return [line[21:] for line in lines]


@pytest.mark.parametrize("word", ["trigger", "run", "fire"])
def test_trigger_tells_the_builds_id(user: Person, api: Api, app: MakeApp, word: str) -> None:
    name = app("true")

    done = user.sci(word, name)

    (build,) = re.findall(r"\d+", done.out.replace(name, ""))
    assert done.said == (0, f"Build {build} of {name} is queued.\n", "")
    assert api.wait_for_build(name, int(build))


def test_json_of_trigger_has_the_builds_id(user: Person, api: Api, app: MakeApp) -> None:
    name = app("true")

    value = json.loads(user.sci("trigger", name, "--json").out)

    assert api.wait_for_build(name, value["build"])


@pytest.mark.parametrize(
    "words",
    [
        ("-p", "one=a=b", "two= c d "),
        ("-p", "one=a=b", "-p", "two= c d "),
        ("--params", "one=a=b", "two= c d ", "-w"),
    ],
    ids=["after one -p", "after several", "in the long form"],
)
def test_params_arrive_as_they_were_typed(
    user: Person, app: MakeApp, words: tuple[str, ...]
) -> None:
    name = app("echo '<{one}|{two}>'")

    done = user.sci("trigger", name, *words, "-w")

    assert "<a=b| c d >" in messages(done.out)


@pytest.mark.parametrize(
    ("actions", "end", "code"),
    [
        (("true", "echo hi"), "Complete (2/2)", 0),
        (("true", "false"), "Partially complete (1/2)", 1),
        (("!critical exit 3", "true"), "Failed (0/2)", 1),
    ],
    ids=["a complete build", "a partial one", "a failed one"],
)
def test_waiting_ends_with_the_outcome_of(
    user: Person, app: MakeApp, actions: tuple[str, ...], end: str, code: int
) -> None:
    done = user.sci("trigger", app(*actions), "--wait")

    assert messages(done.out)[-1] == end
    assert (done.code, done.err) == (code, "")


def test_waiting_shows_every_line_once_and_in_order(user: Person, app: MakeApp) -> None:
    name = app("seq 3000")

    lines = messages(user.sci("trigger", name, "-w").out)

    assert lines[0] == "Triggered, actions in queue: 1"
    assert lines[1] == "Executing action: seq 3000"
    assert lines[2:-2] == [str(number) for number in range(1, 3001)]
    assert lines[-2:] == ["Finished", "Complete (1/1)"]


def test_waiting_shows_lines_while_the_build_runs(user: Person, app: MakeApp) -> None:
    go = user.folder / "go"
    name = app(f"echo before; while [ ! -e {go} ]; do sleep 0.02; done; echo after")
    process = user.begin("trigger", name, "-w")
    assert process.stdout
    shown: list[str] = []
    while not shown or not shown[-1].endswith("  before\n"):
        shown.append(process.stdout.readline())
        assert shown[-1], "it ended too early"

    go.touch()
    rest, errors = process.communicate(timeout=PATIENCE)

    assert (process.returncode, errors) == (0, "")
    assert "  after\n" in rest


def test_waiting_is_for_that_very_build(user: Person, api: Api, app: MakeApp) -> None:
    name = app("echo {who}; test {who} = mine")
    others = [api.trigger(name, who="theirs") for _ in range(3)]

    done = user.sci("trigger", name, "-w", "-p", "who=mine")

    assert done.code == 0
    assert "mine" in messages(done.out)
    assert "theirs" not in messages(done.out)
    assert all(api.wait_for_build(name, build) for build in others)


def test_waiting_ends_when_the_app_is_removed(user: Person, api: Api, app: MakeApp) -> None:
    name = app("echo begun; sleep 60")
    process = user.begin("trigger", name, "-w")
    wait_until(lambda: "begun" in api.logs(name))

    api("remove", listen_point=name)
    shown, errors = process.communicate(timeout=PATIENCE)

    assert (process.returncode, errors) == (1, "")
    assert messages(shown)[-1] == "Cancelled (0/1)"


def test_json_of_waiting_is_one_value_with_the_end(user: Person, app: MakeApp) -> None:
    done = user.sci("--json", "trigger", "-w", app("false"))

    value = json.loads(done.out)
    assert done.code == 1
    assert value["end"]["message"] == "Failed (0/1)"
    assert value["end"]["build"] == value["build"]


def test_waiting_needs_no_database(person: Person, launch: Callable[..., RunningServer]) -> None:
    server = launch(config="paths: {db: null}")
    Api(server.url, server.login).create("{listen_point: web, actions: ['true', 'false']}")

    config = str(server.folder / "server.yml")
    done = person.sci("-c", config, "--url", server.url, "trigger", "web", "-w")

    assert messages(done.out)[-1] == "Partially complete (1/2)"
    assert (done.code, done.err) == (1, "")


def test_waiting_lasts_over_a_restart_of_the_server(
    person: Person, launch: Callable[..., RunningServer]
) -> None:
    server = launch(config="stop_grace: 0.1")
    api = Api(server.url, server.login)
    api.create("{listen_point: web, actions: ['echo begun; sleep 60']}")
    config = str(server.folder / "server.yml")
    process = person.begin("-c", config, "--url", server.url, "trigger", "web", "-w")
    wait_until(lambda: "begun" in api.logs("web"))

    server.signal(signal.SIGHUP)
    shown, errors = process.communicate(timeout=PATIENCE)

    assert (process.returncode, errors) == (1, "")
    assert messages(shown)[-1] == "Interrupted (0/1)"
    assert all(first != second for first, second in pairwise(messages(shown)))


def test_ctrl_c_leaves_quietly_and_the_build_goes_on(user: Person, api: Api, app: MakeApp) -> None:
    go = user.folder / "go"
    name = app(f"echo begun; while [ ! -e {go} ]; do sleep 0.02; done")
    process = user.begin("trigger", name, "-w")
    assert process.stdout
    while "begun" not in process.stdout.readline():
        pass

    process.send_signal(signal.SIGINT)
    _shown, errors = process.communicate(timeout=PATIENCE)
    go.touch()

    assert (process.returncode, errors) == (130, "")
    wait_until(lambda: "Complete (1/1)" in api.history(name))
