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
from tests.calls import Api, Reply, send, wait_until
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


def show_default(value: Any) -> str:
    """A default as a request would say it."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


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
        (one.name, "yes" if one.required else "no", show_default(one.default))
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


def preview_with_a_bad_name(scene: Scene) -> Reply:
    scene.create("p")
    return scene.api("preview", **{"listen_point": "p", "not-a-name": "x"})


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


def build_of(scene: Scene, listen_point: str, more: str = "actions: [sleep 600]") -> int:
    scene.create(listen_point, more)
    return scene.api.trigger(listen_point)


def rerun_for_nobody(scene: Scene) -> Reply:
    build = build_of(scene, "gone", "actions: [ls]")
    scene.api("build", id=build, wait="20")
    scene.api("remove", listen_point="gone")
    return scene.api("rerun", build=build)


def rerun_into_a_full_queue(scene: Scene) -> Reply:
    build = build_of(scene, "q")
    replies = [scene.api("rerun", build=build) for _attempt in range(4)]
    return replies[-1]


def rerun_while_stopping(scene: Scene) -> Reply:
    build = build_of(scene, "s")
    scene.api("stop")
    replies: list[Reply] = []

    def is_refused() -> bool:
        replies.append(scene.api("rerun", build=build))
        return replies[-1].status != 202

    wait_until(is_refused)
    return replies[-1]


def receive(scene: Scene, listen_point: str, options: str = "allow_unsigned: true") -> int:
    """The number of a delivery for an app of that name, once all of it is kept."""
    scene.create(listen_point, f"provider: {{dummy: {{{options}}}}}\nactions: [ls]\n")
    send(
        scene.api.url,
        method="POST",
        path=f"/{listen_point}",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=b"branch=main",
    )
    found: list[dict[str, Any]] = []

    def is_kept() -> bool:
        found[:] = scene.api("deliveries", listen_point=listen_point).value["deliveries"]
        return bool(found) and found[0]["size"] is not None

    wait_until(is_kept)
    return int(found[0]["id"])


def replay_without_a_provider(scene: Scene) -> Reply:
    delivery = receive(scene, "alone")
    scene.api("update", listen_point="alone", config_string="listen_point: alone")
    return scene.api("replay", id=delivery)


def replay_what_nobody_signed(scene: Scene) -> Reply:
    return scene.api("replay", id=receive(scene, "signed", "secret: very-secret-word"))


def replay_for_nobody(scene: Scene) -> Reply:
    delivery = receive(scene, "left")
    scene.api("remove", listen_point="left")
    return scene.api("replay", id=delivery)


def wait_too_long(scene: Scene) -> Reply:
    """A build waits behind one that never ends."""
    build_of(scene, "unwell")
    scene.api.trigger("unwell")
    try:
        return scene.api("health", queue_age="0")
    finally:
        scene.api("remove", listen_point="unwell")


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
    ("logs", "build_not_found"): lambda scene: scene.api("logs", build="999999"),
    ("preview", "missing_param"): lambda scene: scene.api("preview"),
    ("preview", "bad_param"): preview_with_a_bad_name,
    ("preview", "app_not_found"): nowhere("preview"),
    ("builds", "bad_param"): lambda scene: scene.api("builds", status="good"),
    ("builds", "app_not_found"): nowhere("builds"),
    ("follow", "bad_param"): lambda scene: scene.api("follow", format="xml"),
    ("follow", "app_not_found"): nowhere("follow"),
    ("follow", "build_not_found"): lambda scene: scene.api("follow", build="999999"),
    ("follow", "unavailable"): lambda scene: scene.api("follow"),
    ("explain", "missing_param"): lambda scene: scene.api("explain"),
    ("explain", "bad_param"): lambda scene: scene.api("explain", build="x"),
    ("explain", "build_not_found"): lambda scene: scene.api("explain", build="999999"),
    ("rerun", "missing_param"): lambda scene: scene.api("rerun"),
    ("rerun", "bad_param"): lambda scene: scene.api("rerun", build="1", config="todays"),
    ("rerun", "build_not_found"): lambda scene: scene.api("rerun", build="999999"),
    ("rerun", "app_not_found"): rerun_for_nobody,
    ("rerun", "queue_full"): rerun_into_a_full_queue,
    ("rerun", "stopping"): rerun_while_stopping,
    ("cancel", "missing_param"): lambda scene: scene.api("cancel"),
    ("cancel", "bad_param"): lambda scene: scene.api("cancel", build="x"),
    ("cancel", "build_not_found"): lambda scene: scene.api("cancel", build="999999"),
    ("pause", "app_not_found"): nowhere("pause"),
    ("resume", "app_not_found"): nowhere("resume"),
    ("deliveries", "bad_param"): lambda scene: scene.api("deliveries", before="x"),
    ("deliveries", "app_not_found"): nowhere("deliveries"),
    ("delivery", "missing_param"): lambda scene: scene.api("delivery"),
    ("delivery", "bad_param"): lambda scene: scene.api("delivery", id="x"),
    ("delivery", "delivery_not_found"): lambda scene: scene.api("delivery", id="999999"),
    ("replay", "missing_param"): lambda scene: scene.api("replay"),
    ("replay", "bad_param"): lambda scene: scene.api("replay", id="1", dry_run="maybe"),
    ("replay", "delivery_not_found"): lambda scene: scene.api("replay", id="999999"),
    ("replay", "app_not_found"): replay_for_nobody,
    ("replay", "no_provider"): replay_without_a_provider,
    ("replay", "delivery_not_replayable"): replay_what_nobody_signed,
    ("stats", "bad_param"): lambda scene: scene.api("stats", since="once"),
    ("stats", "app_not_found"): nowhere("stats"),
    ("export", "bad_param"): lambda scene: scene.api("export", format="xlsx"),
    ("export", "app_not_found"): nowhere("export"),
    ("export", "database_off"): lambda scene: scene.api("export", kind="history"),
    ("health", "bad_param"): lambda scene: scene.api("health", queue_age="x"),
    ("health", "unhealthy"): wait_too_long,
    ("help", "action_not_found"): lambda scene: scene.api("help", name="nonsense"),
    ("build", "missing_param"): lambda scene: scene.api("build"),
    ("build", "bad_param"): lambda scene: scene.api("build", id="first"),
    ("build", "build_not_found"): lambda scene: scene.api("build", id="999999"),
}
#: Errors that take a server of another config than the usual one.
CONFIGS = {
    "database_off": "paths: {db: null}",
    "queue_full": "max_queue: 1\nstop_grace: 0.1",
    "unavailable": "max_queue_total: 1\nstop_grace: 0.1\nmax_followers: 0",
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


def test_the_table_of_kinds_has_each_of_them() -> None:
    rows = find_part(PAGE, "Kinds of parameters").table("Kind")

    assert [quoted(row[0])[0] for row in rows] == [kind.name.lower() for kind in Kind]
