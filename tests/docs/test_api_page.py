"""The page about the API: its tables against the code, its errors against a running server."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sloth_ci import errors
from sloth_ci.api import ACTIONS, ApiAction, Kind
from sloth_ci.errors import (
    DatabaseRefused,
    PortTaken,
    ServerUnreachable,
    SlothError,
    StartRefused,
    UnexpectedAnswer,
)
from tests.calls import Api, Reply, wait_until
from tests.conftest import LOGIN, RunningServer
from tests.docs.pages import find_part, parts_below, quoted

PAGE = "docs/api.md"
EXPLAINED = {part.names[0]: part for part in parts_below(PAGE, "Actions")}


def codes() -> dict[str, int]:
    """Every error that a server can send, with its status."""
    found = {
        thing.code: thing.status
        for thing in vars(errors).values()
        if isinstance(thing, type) and issubclass(thing, SlothError)
    }
    never_sent = (ServerUnreachable, UnexpectedAnswer, StartRefused, *StartRefused.__subclasses__())
    for error in never_sent:
        found.pop(error.code, None)
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

    assert {quoted(row[0])[0]: int(row[1]) for row in rows} == codes()


def test_client_side_errors_are_told_apart() -> None:
    text = " ".join(find_part(PAGE, "Errors").paragraphs)

    for error in (ServerUnreachable, UnexpectedAnswer, StartRefused, PortTaken, DatabaseRefused):
        assert f"`{error.code}`" in text


# Errors, provoked


@dataclass(frozen=True)
class Scene:
    """A server, and a folder on its machine."""

    api: Api
    folder: Path

    def create(self, listen_point: str, more: str = "") -> None:
        self.api.create(f"listen_point: {listen_point}\n{more}")

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
    scene.api.trigger("s")
    scene.api("stop")
    replies: list[Reply] = []

    def is_refused() -> bool:
        replies.append(scene.api("trigger", listen_point="s"))
        return replies[-1].status != 202

    wait_until(is_refused)
    return replies[-1]


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
    ("build", "missing_param"): lambda scene: scene.api("build"),
    ("build", "bad_param"): lambda scene: scene.api("build", id="first"),
    ("build", "build_not_found"): lambda scene: scene.api("build", id="999999"),
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


def test_numbers_are_the_only_kind_besides_texts() -> None:
    """The page tells of no third kind of parameter; a new one needs words there."""
    assert set(Kind) == {Kind.TEXT, Kind.NUMBER}
