"""The page about the API: its tables against the code, its examples against a running server."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sloth_ci import errors
from sloth_ci.api import ACTIONS, ApiAction, Kind
from sloth_ci.errors import ServerUnreachable, SlothError, UnexpectedAnswer
from sloth_ci.web import wire
from tests.calls import Api, Reply
from tests.conftest import LOGIN, RunningServer
from tests.docs.pages import Fence, Part, find_part, parts_below, quoted, read_page

PAGE = "docs/api.md"
#: Where the page says that its server is.
URL, FOLDER, LOGIN_SHOWN = "http://localhost:8080/", "/srv/ci", "sloth:slow-but-steady"
EXPLAINED = {part.names[0]: part for part in parts_below(PAGE, "Actions")}


def codes() -> dict[str, int]:
    """Every error that a server can send, with its status."""
    found = {
        thing.code: thing.status
        for thing in vars(errors).values()
        if isinstance(thing, type) and issubclass(thing, SlothError)
    }
    for client_side in (ServerUnreachable, UnexpectedAnswer):
        del found[client_side.code]
    return found


def test_every_action_has_a_heading_and_there_is_no_other() -> None:
    assert set(EXPLAINED) == set(ACTIONS)


def test_the_overview_lists_every_action_and_what_changes_something() -> None:
    rows = find_part(PAGE, "Actions").table("Action")

    assert [quoted(row[0])[0] for row in rows] == list(EXPLAINED)
    assert {quoted(row[0])[0]: row[2] for row in rows} == {
        name: "yes" if action.changes_state else "no" for name, action in ACTIONS.items()
    }


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_the_parameters_of_an_action_are_those_it_takes(action: ApiAction) -> None:
    rows = EXPLAINED[action.name].table("Parameter")
    shown = [(*quoted(row[0]), row[1], row[2]) for row in rows if quoted(row[0])]

    assert shown == [
        (one.name, "yes" if one.required else "no", "" if one.default is None else str(one.default))
        for one in action.parameters
    ]
    assert any(row[0] == "any other" for row in rows) == action.open


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_the_status_of_an_actions_success_is_told(action: ApiAction) -> None:
    text = "\n".join(EXPLAINED[action.name].paragraphs)
    told = re.findall(r"^Status \*\*(\d+)\*\*", text, re.MULTILINE)

    assert told == [str(action.status)]


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_an_action_that_takes_none_says_so(action: ApiAction) -> None:
    says_so = any("It takes no parameters." in text for text in EXPLAINED[action.name].paragraphs)

    assert says_so == (not action.parameters)


def test_the_table_of_errors_has_every_code_with_its_status_and_no_other() -> None:
    rows = find_part(PAGE, "Errors").table("Code")
    refused_before_us = {code: int(status) for status, code in wire._CODES.items()}
    refused_before_us["bad_request"] = 400

    assert {quoted(row[0])[0]: int(row[1]) for row in rows} == refused_before_us | codes()


def test_client_side_errors_are_told_apart() -> None:
    text = " ".join(find_part(PAGE, "Errors").paragraphs)

    assert f"`{ServerUnreachable.code}`" in text
    assert f"`{UnexpectedAnswer.code}`" in text


# Errors, provoked


@dataclass(frozen=True)
class Scene:
    """A server, and a folder on its machine."""

    api: Api
    folder: Path

    def create(self, listen_point: str, more: str = "") -> None:
        made = self.api("create", config_string=f"listen_point: {listen_point}\n{more}")
        assert made.status == 201, made.body

    def bound(self, listen_point: str) -> Path:
        file = self.folder / f"{listen_point}.yml"
        file.write_text(f"listen_point: {listen_point}\n")
        self.create(listen_point)
        assert self.api("bind", listen_point=listen_point, config_file=str(file)).status == 200
        return file


def bind(scene: Scene, file: Any, text: str = "listen_point: b\nactions: [ls]\n") -> Reply:
    scene.create("b")
    (scene.folder / "b.yml").write_text(text)
    return scene.api("bind", listen_point="b", config_file=str(file))


def update(scene: Scene, text: str | None) -> Reply:
    file = scene.bound("u")
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    return scene.api("update", listen_point="u")


def create_twice(scene: Scene) -> Reply:
    scene.create("twice")
    return scene.api("create", config_string="listen_point: twice")


def update_to_a_mistake(scene: Scene) -> Reply:
    scene.create("u")
    return scene.api("update", listen_point="u", config_string="listen_point: u\nacions: []")


def trigger_with_a_bad_name(scene: Scene) -> Reply:
    scene.create("t")
    return scene.api("trigger", **{"listen_point": "t", "not-a-name": "x"})


def overfill(scene: Scene) -> Reply:
    """Trigger until no more builds may wait; the running one is ended with the server."""
    scene.create("q", "actions: [sleep 600]")
    replies = [scene.api("trigger", listen_point="q") for _attempt in range(4)]
    return replies[-1]


def trigger_while_stopping(scene: Scene) -> Reply:
    scene.create("s", "actions: [sleep 600]")
    scene.api("trigger", listen_point="s")
    scene.api("stop")
    for _attempt in range(2000):
        reply = scene.api("trigger", listen_point="s")
        if reply.status != 202 and reply.value["error"]["code"] == "stopping":
            return reply
    return reply


def nowhere(action: str, **params: str) -> Callable[[Scene], Reply]:
    return lambda scene: scene.api(action, **{"listen_point": "nowhere", **params})


PROVOKED: dict[tuple[str, str], Callable[[Scene], Reply]] = {
    ("create", "missing_param"): lambda scene: scene.api("create"),
    ("create", "listen_point_taken"): create_twice,
    ("create", "config_invalid"): lambda scene: scene.api("create", config_string="- x"),
    ("bind", "missing_param"): lambda scene: scene.api("bind", listen_point="b"),
    ("bind", "app_not_found"): nowhere("bind", config_file="/x.yml"),
    ("bind", "config_file_not_found"): lambda scene: bind(scene, scene.folder / "none.yml"),
    ("bind", "config_mismatch"): lambda scene: bind(scene, scene.folder / "b.yml"),
    ("bind", "config_unreadable"): lambda scene: bind(scene, "b.yml"),
    ("update", "missing_param"): lambda scene: scene.api("update"),
    ("update", "app_not_found"): nowhere("update"),
    ("update", "config_file_not_found"): lambda scene: update(scene, None),
    ("update", "config_unreadable"): lambda scene: update(scene, "- x"),
    ("update", "config_mismatch"): lambda scene: update(scene, "listen_point: other"),
    ("update", "config_invalid"): update_to_a_mistake,
    ("remove", "missing_param"): lambda scene: scene.api("remove"),
    ("remove", "app_not_found"): nowhere("remove"),
    ("trigger", "missing_param"): lambda scene: scene.api("trigger"),
    ("trigger", "bad_param"): trigger_with_a_bad_name,
    ("trigger", "app_not_found"): nowhere("trigger"),
    ("trigger", "queue_full"): overfill,
    ("trigger", "unavailable"): overfill,
    ("trigger", "stopping"): trigger_while_stopping,
    ("info", "app_not_found"): lambda scene: scene.api("info", listen_points="nowhere"),
    ("logs", "missing_param"): lambda scene: scene.api("logs"),
    ("logs", "bad_param"): lambda scene: scene.api("logs", listen_point="x", per_page="0"),
    ("logs", "app_not_found"): nowhere("logs"),
    ("logs", "database_off"): nowhere("logs"),
    ("history", "missing_param"): lambda scene: scene.api("history"),
    ("history", "bad_param"): lambda scene: scene.api("history", listen_point="x", level="-"),
    ("history", "app_not_found"): nowhere("history"),
    ("history", "database_off"): nowhere("history"),
}
#: Errors that take a server of another config than the usual one.
CONFIGS = {
    "database_off": "paths: {db: null}",
    "queue_full": "max_queue: 1\nstop_grace: 0.1",
    "unavailable": "max_queue_total: 1\nstop_grace: 0.1",
    "stopping": "stop_grace: 5",
}
LISTED = [
    (action, *quoted(row[0]), int(row[1]))
    for action, part in EXPLAINED.items()
    for row in part.table("Error")
]


def test_every_listed_error_of_an_action_is_provoked_below() -> None:
    assert {(action, code) for action, code, _status in LISTED} == set(PROVOKED)


@pytest.mark.parametrize(
    ("action", "code", "status"),
    [one for one in LISTED if one[1] not in CONFIGS],
    ids=str,
)
def test_an_action_answers_with_the_error_and_status_that_are_listed(
    action: str, code: str, status: int, usual: Scene
) -> None:
    assert_error(PROVOKED[action, code](usual), code, status)


@pytest.mark.parametrize(
    ("action", "code", "status"),
    [one for one in LISTED if one[1] in CONFIGS],
    ids=str,
)
def test_a_server_in_trouble_answers_with_the_error_and_status_that_are_listed(
    action: str, code: str, status: int, launch: Callable[..., RunningServer], tmp_path: Path
) -> None:
    server = launch(config=CONFIGS[code])

    assert_error(PROVOKED[action, code](Scene(Api(server.url, LOGIN), tmp_path)), code, status)


@pytest.fixture
def usual(shared_server: RunningServer, tmp_path: Path) -> Iterator[Scene]:
    """A server without apps of ours, before and after."""
    api = Api(shared_server.url, LOGIN)
    before = set(api("list").value)
    yield Scene(api, tmp_path)
    for listen_point in set(api("list").value) - before:
        api("remove", listen_point=listen_point)


def assert_error(reply: Reply, code: str, status: int) -> None:
    assert (reply.value["error"]["code"], reply.status) == (code, status)


# Examples, run in the page's order against one server


@dataclass(frozen=True)
class Example:
    """A command of the page, and what it is said to answer."""

    command: str
    answer: Fence | None


def examples(part: Part) -> Iterator[Example]:
    for number, fence in enumerate(part.fences):
        if fence.info == "console":
            after = part.fences[number + 1] if number + 1 < len(part.fences) else None
            answer = after if after and after.info in ("json", "http") else None
            for line in fence.text.splitlines():
                yield Example(line.removeprefix("$ "), answer)


@dataclass(frozen=True)
class Stage:
    """The server of the page's examples."""

    server: RunningServer
    folder: Path

    def run(self, command: str) -> str:
        """What the command prints; a real curl, at the server's real place."""
        there = command.replace(URL, f"{self.server.url}/").replace(FOLDER, str(self.folder))
        words = shlex.split(there)
        assert words[0] == "curl"
        done = subprocess.run(
            ["curl", "-s", *words[1:]], capture_output=True, text=True, timeout=20, check=True
        )
        return done.stdout

    def wait_for_build(self) -> None:
        """Return when no build is on its way."""
        api = Api(self.server.url, LOGIN)
        for _attempt in range(2000):
            if api("history", listen_point="web", per_page="1").value[0]["level_number"] > 10:
                return
        raise AssertionError("the build does not end")

    def as_shown(self, text: str) -> Any:
        """A JSON value with the page's folder, and without times and record ids."""
        return json.loads(
            text.replace(str(self.folder), FOLDER),
            object_hook=lambda found: {
                name: "varies" if name in ("timestamp", "last_build_timestamp", "id") else value
                for name, value in found.items()
            },
        )


@pytest.fixture
def stage(launch: Callable[..., RunningServer], tmp_path: Path) -> Stage:
    assert f"{LOGIN[0]}:{LOGIN[1]}" == LOGIN_SHOWN
    server = launch()
    config = read_page(PAGE)[1].fences[-1]
    assert config.info == "yaml app"
    (tmp_path / "web.yml").write_text(config.text)
    created = Api(server.url, LOGIN)("create", config_string=config.text)
    assert created.status == 201
    return Stage(server, Path(os.path.realpath(tmp_path)))


def test_the_examples_answer_what_the_page_says(stage: Stage) -> None:
    for part in read_page(PAGE):
        shown = list(examples(part))
        assert shown or part.names == [] or part.title not in EXPLAINED
        for example in shown:
            printed = stage.run(example.command)
            if part.names == ["trigger"]:
                stage.wait_for_build()
            if example.answer is None:
                assert json.loads(printed)[0]["listen_point"] == "web"
            elif example.answer.info == "json":
                assert stage.as_shown(printed) == stage.as_shown(example.answer.text), part.title
            else:
                head = printed.replace("\r", "").splitlines()
                missing = [line for line in example.answer.text.splitlines() if line not in head]
                assert missing == [], part.title
        if part.names == ["restart"]:
            stage.run(f"curl --retry 20 --retry-connrefused {URL}")
    assert stage.server.wait() == 0


@pytest.mark.parametrize("name", EXPLAINED)
def test_each_action_has_an_example_that_is_run(name: str) -> None:
    assert any(f"action={name}" in one.command and one.answer for one in examples(EXPLAINED[name]))


def test_numbers_are_the_only_kind_besides_texts() -> None:
    """The page tells of no third kind of parameter; a new one needs words there."""
    assert set(Kind) == {Kind.TEXT, Kind.NUMBER}
