"""Every hook, by its name: when it comes, and what it brings."""

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from dataclasses import replace
from inspect import getmembers, isroutine, signature
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sloth_ci_extensions import badge

from sloth_ci.bed import Bed
from sloth_ci.builds import BuildStatus, Outcome, OutcomeStatus
from sloth_ci.errors import ConfigInvalid, SignatureRefused
from sloth_ci.extension.finding import find_extension, known_modules
from sloth_ci.hooks import AppEvent, BuildEvent, DeliveryEvent, DeliveryVerdict, Specs, Unprepared
from sloth_ci.request import Request
from tests.calls import wait_until
from tests.conftest import Runs
from tests.extensions.probe import DEEDS, EVENTS, KeySection
from tests.extensions.test_lives import APP, PATIENCE, log

HOOKS = {name: method for name, method in getmembers(Specs, isroutine) if name[0] != "_"}
PAGE = Path(__file__).parent.parent.parent / "docs" / "extensions.md"
ALL = "extensions: {all: {module: probe}}"
PUSHED = """\
listen_point: web
actions: [echo hi, echo there]
params: {branch: main}
provider:
  generic:
    secret: swordfish
    header: X-Signature
    prefix: sha256=
    delivery_header: X-Delivery
    params: {ref: ref}
    branches: [main]
extensions: {first: {module: probe, secret: swordfish}}
"""


def told(what: str, name: str = "first") -> list[Any]:
    """All that the extension of that name was told in that hook."""
    return [about for teller, told, about in EVENTS if (teller, told) == (name, what)]


def order_of(extension: str) -> list[str]:
    return [what for name, what, _about in EVENTS if name == extension]


def order() -> list[str]:
    return order_of("first")


# Of apps


def test_app_added(make_bed: Callable[..., Bed]) -> None:
    bed = make_bed(ALL)
    app = bed.create(APP)
    event = AppEvent(app.id, "web", None, {})
    assert told("app_added") == told("app_added", "all") == [event]
    EVENTS.clear()
    make_bed(ALL)
    again = replace(event, at_start=True)
    assert told("app_added") == told("app_added", "all") == [again]


def test_app_updated(make_bed: Callable[..., Bed], tmp_path: Path) -> None:
    bed = make_bed(ALL)
    app = bed.create(APP)
    (tmp_path / "web.yml").write_text(APP)
    bed.bind("web", str(tmp_path / "web.yml"))
    event = AppEvent(app.id, "web", str(tmp_path / "web.yml"), {})
    assert told("app_updated") == told("app_updated", "all") == [event]
    bed.update("web")
    assert told("app_updated", "all") == [event, event]


def test_app_removed(make_bed: Callable[..., Bed]) -> None:
    bed = make_bed(ALL)
    app = bed.create(APP)
    bed.remove("web")
    event = AppEvent(app.id, "web", None, {})
    assert told("app_removed") == told("app_removed", "all") == [event]


def test_app_keys(make_bed: Callable[..., Bed]) -> None:
    bed = make_bed(ALL)
    app = bed.create("listen_point: web\nprobe_key: {colour: red}")
    assert app.config.further == {"probe_key": KeySection(colour="red")}
    assert told("app_added", "all")[0].further == app.config.further
    assert bed.create("listen_point: other").config.further == {}


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (
            "listen_point: web\nprobe_kay: {}",
            2,
            "unknown key 'probe_kay'. Did you mean 'probe_key'?",
        ),
        (
            "listen_point: web\nprobe_key: {colour: x, size: 1}",
            2,
            "unknown key 'probe_key.size'. Known keys: colour",
        ),
        ("listen_point: web\nprobe_key:", 2, "the key 'probe_key.colour' is missing"),
    ],
)
def test_what_is_wrong_under_a_further_key_is_told_with_its_line(
    make_bed: Callable[..., Bed], text: str, line: int, problem: str
) -> None:
    bed = make_bed(ALL)
    with pytest.raises(ConfigInvalid) as caught:
        bed.create(text)
    (found,) = caught.value.details["problems"]
    assert (found["line"], found["problem"][: len(problem)]) == (line, problem)


def test_two_extensions_can_not_add_the_same_key(make_bed: Callable[..., Bed]) -> None:
    with pytest.raises(ConfigInvalid, match="'probe_key' is a key of another extension already"):
        make_bed("extensions: {a: {module: probe}, b: {module: probe, word: b}}")


def test_app_info(bed: Bed) -> None:
    app = bed.create(APP)
    assert app.extensions.info() == {"first": {"word": "one"}, "second": {"word": "two"}}


# Of deliveries


def push(bed: Bed, branch: str, delivery: str, secret: bytes = b"swordfish") -> None:
    raw = json.dumps({"ref": f"refs/heads/{branch}"}).encode()
    headers = {
        "content-type": "application/json",
        "x-signature": f"sha256={hmac.new(secret, raw, hashlib.sha256).hexdigest()}",
        "x-delivery": delivery,
    }
    bed.find("web").receive(Request("POST", "/web", "", headers, "192.0.2.1", raw))


def test_delivery_received(bed: Bed) -> None:
    app = bed.create(PUSHED)
    push(bed, "main", "1")
    push(bed, "main", "1")
    push(bed, "other", "2")
    with pytest.raises(SignatureRefused):
        push(bed, "main", "3", secret=b"another")
    events: list[DeliveryEvent] = told("delivery_received")
    assert [event.verdict for event in events] == [
        DeliveryVerdict.ACCEPTED,
        DeliveryVerdict.REPEATED,
        DeliveryVerdict.IGNORED,
        DeliveryVerdict.REFUSED,
    ]
    assert {(event.app_id, event.listen_point, event.address) for event in events} == {
        (app.id, "web", "192.0.2.1")
    }
    assert len(events[0].builds) == 1
    assert events[1].builds == events[0].builds
    assert events[0].reason == ""
    assert "other" in events[2].reason
    assert "signature" in events[3].reason


# Of builds


def test_build_queued(bed: Bed) -> None:
    app = bed.create(PUSHED)
    build_id = app.trigger({"word": "a swordfish"})
    ((event),) = told("build_queued")
    assert isinstance(event, BuildEvent)
    assert (event.id, event.app_id, event.listen_point) == (build_id, app.id, "web")
    assert (event.status, event.message) == (
        BuildStatus.QUEUED,
        "Triggered, actions in queue: 2",
    )
    assert (event.cause, event.params) == ("trigger", {"word": "a ***"})
    assert (event.total, event.completed, event.started, event.finished) == (2, 0, None, None)


def test_build_started(bed: Bed) -> None:
    build_id = bed.create(PUSHED).trigger({})
    (event,) = told("build_started")
    assert (event.id, event.status) == (build_id, BuildStatus.RUNNING)
    assert event.started >= event.queued


def test_build_finished(bed: Bed) -> None:
    build_id = bed.create(PUSHED).trigger({})
    (event,) = told("build_finished")
    assert (event.id, event.status) == (build_id, BuildStatus.COMPLETE)
    assert (event.message, event.completed) == ("Complete (2/2)", 2)
    assert event.finished >= event.started
    build = bed._store.find_build(build_id)
    assert build is not None
    assert build.status is BuildStatus.COMPLETE


def test_the_hooks_of_a_build_come_in_order(bed: Bed) -> None:
    bed.create(PUSHED).trigger({})
    assert [what for what in order() if "build" in what or "action" in what] == [
        "build_queued",
        "build_started",
        "prepare_build",
        "run_action",
        "action_finished",
        "run_action",
        "action_finished",
        "build_finished",
    ]


def test_the_server_is_told_of_builds_of_apps_without_extensions(
    make_bed: Callable[..., Bed],
) -> None:
    bed = make_bed(ALL)
    build_id = bed.create("listen_point: web\nactions: [echo]").trigger({})
    assert [event.id for event in told("build_finished", "all")] == [build_id]


def test_a_build_cut_off_by_the_servers_end_is_told_of_at_the_next_start(
    make_bed: Callable[..., Bed],
) -> None:
    bed = make_bed(ALL)
    app = bed.create(PUSHED)
    bed.executor.stop(0)
    build_id = app.trigger({})
    bed._store.claim(app.id)
    EVENTS.clear()
    make_bed(ALL)
    for name in ("first", "all"):
        (event,) = told("build_finished", name)
        assert (event.id, event.status) == (build_id, BuildStatus.INTERRUPTED)


def test_a_waiting_build_that_is_cancelled_is_told_of(bed: Bed) -> None:
    app = bed.create(PUSHED)
    bed.executor.stop(0)
    build_id = app.trigger({})
    bed.cancel(build_id, actor="eva")
    (event,) = told("build_finished")
    assert (event.id, event.status) == (build_id, BuildStatus.CANCELLED)


def test_what_waits_when_its_app_is_removed_is_told_of(make_bed: Callable[..., Bed]) -> None:
    bed = make_bed(ALL)
    app = bed.create(PUSHED)
    bed.executor.stop(0)
    build_id = app.trigger({})
    bed.remove("web")
    for name in ("first", "all"):
        (event,) = told("build_finished", name)
        assert (event.id, event.status) == (build_id, BuildStatus.CANCELLED)


def test_a_build_that_two_cancel_at_once_is_told_of_once(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = bed.create(PUSHED)
    bed.executor.stop(0)
    build_id = app.trigger({})
    cancel = bed._store.cancel

    def come_second(build_id: int, *, reason: str) -> BuildStatus:
        monkeypatch.setattr(bed._store, "cancel", cancel)
        bed.cancel(build_id, actor="eva")
        return cancel(build_id, reason=reason)

    monkeypatch.setattr(bed._store, "cancel", come_second)
    assert bed.cancel(build_id, actor="joe") is BuildStatus.CANCELLED
    assert [event.id for event in told("build_finished")] == [build_id]


def test_what_began_just_before_its_app_was_removed_is_left_to_its_run(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = bed.create(PUSHED)
    bed.executor.stop(0)
    app.trigger({})
    waiting = app.trigger({})
    remove = bed._store.remove_app

    def come_late(app_id: int) -> tuple[int, ...]:
        bed._store.claim(app_id)
        return remove(app_id)

    monkeypatch.setattr(bed._store, "remove_app", come_late)
    bed.remove("web")
    assert [event.id for event in told("build_finished")] == [waiting]


def test_a_build_that_is_run_again_after_the_servers_end_is_told_of(
    make_bed: Callable[..., Bed],
) -> None:
    bed = make_bed(ALL)
    app = bed.create(PUSHED + "rerun_interrupted: true\n")
    bed.executor.stop(0)
    build_id = app.trigger({})
    bed._store.claim(app.id)
    EVENTS.clear()
    bed = make_bed(ALL)
    for name in ("first", "all"):
        (event,) = told("build_queued", name)
        assert (event.status, event.cause) == (BuildStatus.QUEUED, "rerun")
        assert [event.id for event in told("build_finished", name)] == [build_id, event.id]


# Of builds with a config that their app had

OLD = """\
listen_point: web
actions: [echo old]
extensions: {before: {module: probe}, quiet: {module: badge, label: build}}
"""
NEW = OLD.replace("before", "after")


def test_a_build_as_it_was_is_run_by_the_old_extensions_and_told_to_those_of_today(
    bed: Bed,
) -> None:
    build_id = bed.create(OLD).trigger({})
    bed.update("web", NEW)
    EVENTS.clear()
    again = bed.rerun_as_it_was(build_id, actor="joe")
    assert [(name, what) for name, what, _about in EVENTS] == [
        ("after", "build_queued"),
        ("before", "made"),
        ("after", "build_started"),
        ("before", "prepare_build"),
        ("before", "run_action"),
        ("after", "action_finished"),
        ("after", "build_finished"),
        ("before", "closed"),
    ]
    (event,) = told("build_finished", "after")
    assert (event.id, event.status) == (again, BuildStatus.COMPLETE)


def test_of_the_old_extensions_only_those_are_made_that_a_build_needs(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_id = bed.create(OLD).trigger({})
    bed.update("web", NEW)

    def refuse(*_given: object) -> None:
        raise ValueError("was not to be made")

    monkeypatch.setattr(badge.EXTENSION, "__init__", refuse)
    again = bed.rerun_as_it_was(build_id, actor="joe")
    build = bed._store.find_build(again)
    assert build is not None
    assert (build.status, build.reason) == (BuildStatus.COMPLETE, "")


def test_a_build_whose_config_went_bad_is_told_of_with_its_end(bed: Bed, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    provider = f"provider: {{dummy: {{secret: {{file: {secret}}}}}}}\n"
    build_id = bed.create(OLD + provider).trigger({})
    bed.update("web", NEW)
    bed.pause("web", reason="", by="")
    again = bed.rerun_as_it_was(build_id, actor="joe")
    secret.unlink()
    EVENTS.clear()
    bed.resume("web")
    assert order_of("after") == ["build_started", "build_finished"]
    (event,) = told("build_finished", "after")
    assert (event.id, event.status) == (again, BuildStatus.FAILED)
    assert any(line.startswith("Not prepared: ") for line in log(bed))


def test_a_build_that_begins_in_the_midst_of_an_update_has_the_extensions_that_come(
    bed: Bed,
) -> None:
    app = bed.create(OLD)
    triggers: list[Thread] = []

    def trigger_meanwhile(_probe: Any, _about: Any) -> None:
        if not triggers:
            triggers.append(Thread(target=app.trigger, args=[{}]))
            triggers[0].start()
            # It is claimed with the new config, whose app is not in its place yet.
            wait_until(lambda: bed._store.queue().running)

    DEEDS["opened"] = trigger_meanwhile
    bed.update("web", NEW)
    triggers[0].join(PATIENCE)
    assert order_of("after").count("made") == 1
    assert order_of("after")[-1] == "build_finished"


@pytest.mark.parametrize("hook", ["build_queued", "build_started", "build_finished"])
def test_one_that_fails_is_in_the_apps_log_and_changes_no_build(bed: Bed, hook: str) -> None:
    app = bed.create(PUSHED)
    DEEDS[hook] = lambda _probe, _about: 1 / 0
    build_id = app.trigger({})
    build = bed._store.find_build(build_id)
    assert build is not None
    assert build.status is BuildStatus.COMPLETE
    assert f"first {hook} failed: ZeroDivisionError: division by zero" in log(bed)


# Of actions


def test_action_finished(bed: Bed, runs: Runs) -> None:
    build_id = bed.create(PUSHED).trigger({})
    events = told("action_finished")
    assert [(event.build_id, event.listen_point, event.position) for event in events] == [
        (build_id, "web", 0),
        (build_id, "web", 1),
    ]
    assert [event.outcome.status for event in events] == [OutcomeStatus.COMPLETED] * 2
    assert all(event.seconds >= 0 for event in events)


def test_what_an_action_tells_has_no_secrets(bed: Bed) -> None:
    DEEDS["run_action"] = lambda _probe, _at: Outcome(OutcomeStatus.FAILED, "swordfish is wrong")
    bed.create(PUSHED).trigger({})
    assert [event.outcome.reason for event in told("action_finished")] == ["*** is wrong"] * 2
    assert log(bed).count("*** is wrong") == 2
    actions = bed._store.actions(told("build_finished")[0].id)
    assert [action.reason for action in actions] == ["*** is wrong"] * 2


def test_run_action(bed: Bed, runs: Runs) -> None:
    failed = Outcome(OutcomeStatus.FAILED, "not here")
    DEEDS["run_action"] = lambda _probe, position: failed if position == 1 else None
    build_id = bed.create(PUSHED).trigger({})
    assert told("run_action") == [0, 1]
    assert len(runs.builds) == 1
    build = bed._store.find_build(build_id)
    assert build is not None
    assert build.status is BuildStatus.PARTIAL


def test_a_runner_that_fails_fails_the_action_and_is_in_the_log(bed: Bed) -> None:
    DEEDS["run_action"] = lambda _probe, _position: 1 / 0
    build_id = bed.create(PUSHED).trigger({})
    build = bed._store.find_build(build_id)
    assert build is not None
    assert build.status is BuildStatus.FAILED
    assert "first failed: ZeroDivisionError: division by zero" in log(bed)


def test_prepare_build(bed: Bed, runs: Runs) -> None:
    DEEDS["prepare_build"] = lambda _probe, build: replace(build, work_dir="/prepared")
    bed.create(PUSHED).trigger({})
    assert [build.work_dir for build in runs.builds] == ["/prepared"] * 2


def test_a_build_that_can_not_be_prepared_fails_and_runs_nothing(bed: Bed, runs: Runs) -> None:
    def refuse(_probe: Any, _build: Any) -> None:
        raise Unprepared("there is no commit swordfish")

    DEEDS["prepare_build"] = refuse
    build_id = bed.create(PUSHED).trigger({})
    build = bed._store.find_build(build_id)
    assert build is not None
    assert (build.status, runs.builds) == (BuildStatus.FAILED, [])
    assert build.reason == "first: there is no commit ***"
    assert "Not prepared: first: there is no commit ***" in log(bed)


# Of the web, with more in test_web.py


def test_pages(bed: Bed) -> None:
    page = bed.create(APP).extensions.find_page("/-/one")
    assert page is not None
    answer = page.answer(Request("GET", "/web/-/one", "", {}, "192.0.2.1", b""))
    assert (answer.status, answer.body) == (200, b"/web/-/one")


def test_api_actions(make_bed: Callable[..., Bed]) -> None:
    bed = make_bed("extensions: {all: {module: probe, word: greet}}")
    action = bed.further_actions(("list",))["greet"]
    assert action.run(None, name="you").value == "greet, you"


def test_api_actions_of_apps_join_when_these_are_made(make_bed: Callable[..., Bed]) -> None:
    bed = make_bed("port: 0")
    actions = bed.further_actions(("list",))
    assert "greet" not in actions
    for listen_point in ("web", "other"):
        extensions = "extensions: {mine: {module: probe, word: greet}}"
        bed.create(f"listen_point: {listen_point}\n{extensions}")
    assert actions["greet"].run(None, name="you").value == "greet, you"


def test_an_action_that_is_there_already_refuses_the_start(make_bed: Callable[..., Bed]) -> None:
    bed = make_bed("port: 0\nextensions: {all: {module: probe, word: list}}")
    with pytest.raises(ConfigInvalid, match="there is an action 'list' already") as caught:
        bed.further_actions(("list",))
    assert caught.value.details["problems"][0]["line"] == 2


# The whole of them


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_has_a_test_of_its_name(name: str) -> None:
    assert f"test_{name}" in globals()


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_is_documented_with_its_arguments(name: str) -> None:
    arguments = [one for one in signature(HOOKS[name]).parameters if one != "self"]
    assert f"\n### `{name}({', '.join(arguments)})`\n" in PAGE.read_text(encoding="utf-8")


def test_the_page_knows_no_other_hooks() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("\n## Hooks\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^### `(\w+)\(", section, re.MULTILINE)) == set(HOOKS)


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_is_used_by_an_extension_that_comes_with_the_server(name: str) -> None:
    users = [
        module
        for module in known_modules()
        if any(
            method == name and getattr(function, "sloth_ci_impl", None)
            for method, function in getmembers(find_extension(module), isroutine)
        )
    ]
    assert users, f"no extension uses {name}: it is to go"
