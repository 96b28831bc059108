"""Badges: what they show of the last build, to whom, and what browsers may keep."""

import json
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest
from sloth_ci_extensions._badge_picture import STYLES, Look, draw
from sloth_ci_extensions.badge import LOOKS, NEVER

from sloth_ci.app import App
from sloth_ci.bed import Bed
from sloth_ci.builds import BuildStatus, Outcome, OutcomeStatus, Result
from sloth_ci.errors import ConfigInvalid, PathNotFound
from sloth_ci.hooks import Page
from sloth_ci.request import Reply, Request
from sloth_ci.store import Cause

SVG = "{http://www.w3.org/2000/svg}"
WORDS = {
    BuildStatus.QUEUED: "queued",
    BuildStatus.RUNNING: "running",
    BuildStatus.COMPLETE: "passed",
    BuildStatus.PARTIAL: "partial",
    BuildStatus.FAILED: "failed",
    BuildStatus.TIMED_OUT: "failed",
    BuildStatus.CANCELLED: "cancelled",
    BuildStatus.INTERRUPTED: "cancelled",
}


def app_config(options: str = "", name: str = "web") -> str:
    return f"listen_point: {name}\nactions: [x]\nextensions: {{mark: {{module: badge{options}}}}}"


def page(app: App, path: str) -> Page:
    found = app.extensions.find_page(path)
    assert found is not None
    return found


def ask(page: Page, path: str = "/web/-/badge.svg", **headers: str) -> Reply:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return page.answer(Request("GET", path, "", sent, "192.0.2.1", b""))


def texts(reply: Reply) -> list[str]:
    root = ElementTree.fromstring(reply.body)
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def end_with(bed: Bed, app: App, status: BuildStatus, **params: str) -> None:
    """Let the app have a newest build of that status."""
    accepted = bed._store.accept(
        app_id=app.id, listen_point=app.listen_point, cause=Cause.TRIGGER, params=[params], total=1
    )
    if status is BuildStatus.QUEUED:
        return
    while (claimed := bed._store.claim(app.id)) and claimed.id != accepted.builds[0]:
        pass
    if status.final:
        bed._store.finish(
            app_id=app.id, build_id=accepted.builds[0], result=Result(status, 0), total=1
        )


def test_an_app_that_was_never_built_says_so(bed: Bed) -> None:
    app = bed.create(app_config())
    assert texts(ask(page(app, "/-/badge.svg"))) == ["build", "never"]


@pytest.mark.parametrize("status", BuildStatus)
def test_the_badge_tells_the_state_of_the_last_build(bed: Bed, status: BuildStatus) -> None:
    app = bed.create(app_config())
    end_with(bed, app, BuildStatus.COMPLETE)
    end_with(bed, app, status)
    assert texts(ask(page(app, "/-/badge.svg"))) == ["build", WORDS[status]]


def test_a_running_build_is_seen_while_it_runs(make_bed: Callable[..., Bed]) -> None:
    bed, seen = make_bed(), []
    app = bed.create(app_config())

    def look(*_given: Any) -> Outcome:
        seen.append(texts(ask(page(app, "/-/badge.svg")))[1])
        return Outcome(OutcomeStatus.COMPLETED)

    bed._run_action = look
    app.trigger({})
    assert seen == ["running"]
    assert texts(ask(page(app, "/-/badge.svg"))) == ["build", "passed"]


def test_the_label_is_the_configs(bed: Bed) -> None:
    app = bed.create(app_config(", label: 'a <b> & \"c\"'"))
    reply = ask(page(app, "/-/badge.svg"))
    assert texts(reply)[0] == 'a <b> & "c"'
    root = ElementTree.fromstring(reply.body)
    assert root.attrib["aria-label"] == 'a <b> & "c": never'
    title = root.find(f"{SVG}title")
    assert title is not None
    assert title.text == 'a <b> & "c": never'


def test_a_badge_of_a_branch_tells_of_that_branch_only(bed: Bed) -> None:
    app = bed.create(app_config(", branch: main"))
    end_with(bed, app, BuildStatus.FAILED, branch="main")
    end_with(bed, app, BuildStatus.COMPLETE, branch="other")
    assert texts(ask(page(app, "/-/badge.svg"))) == ["build", "failed"]


def test_the_json_is_that_of_shields_endpoints(bed: Bed) -> None:
    app = bed.create(app_config(", label: tests, style: for-the-badge"))
    end_with(bed, app, BuildStatus.FAILED)
    reply = ask(page(app, "/-/badge.json"))
    assert reply.headers["Content-Type"] == "application/json"
    assert json.loads(reply.body) == {
        "schemaVersion": 1,
        "label": "tests",
        "message": "failed",
        "color": "red",
        "isError": True,
        "style": "for-the-badge",
    }


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("look", [NEVER, *LOOKS.values()], ids=lambda look: look.word)
def test_every_picture_is_well_formed_and_its_boxes_fit(style: str, look: Look) -> None:
    root = ElementTree.fromstring(draw("a label", look, style))
    boxes = [box for box in root.iter(f"{SVG}rect") if box.attrib["fill"].startswith("#4")][:1]
    boxes += [box for box in root.iter(f"{SVG}rect") if box.attrib["fill"] == look.colour]
    assert sum(int(box.attrib["width"]) for box in boxes) == int(root.attrib["width"])
    for text, box in zip(root.iter(f"{SVG}text"), boxes, strict=True):
        assert int(text.attrib["textLength"]) < int(box.attrib["width"])


def test_the_styles_look_different() -> None:
    assert len({draw("build", NEVER, style) for style in STYLES}) == len(STYLES)
    assert ">BUILD<" in draw("build", NEVER, "for-the-badge")
    assert "<script" not in draw("<script>", NEVER, "flat")


def test_a_longer_text_has_a_wider_box() -> None:
    widths = [
        int(ElementTree.fromstring(draw(label, NEVER, "flat")).attrib["width"])
        for label in ("i", "w", "ww", "建置")
    ]
    assert widths == sorted(set(widths))


def test_who_has_the_newest_badge_gets_word_that_it_is(bed: Bed) -> None:
    app = bed.create(app_config())
    found = page(app, "/-/badge.svg")
    tag = ask(found).headers["ETag"]
    for sent in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        reply = ask(found, if_none_match=sent)
        assert (reply.status, reply.body, reply.headers["ETag"]) == (304, b"", tag)
    end_with(bed, app, BuildStatus.COMPLETE)
    again = ask(found, if_none_match=tag)
    assert again.status == 200
    assert again.headers["ETag"] != tag


@pytest.mark.parametrize(
    ("options", "header"),
    [
        ("", "public, no-cache"),
        (", max_age: 60", "public, max-age=60"),
        (", open: false", "private, no-cache"),
        (", open: false, max_age: 5", "private, max-age=5"),
    ],
)
def test_how_long_it_may_be_kept_is_as_configured(bed: Bed, options: str, header: str) -> None:
    reply = ask(page(bed.create(app_config(options)), "/-/badge.svg"))
    assert reply.headers["Cache-Control"] == header


def test_it_is_open_unless_the_config_says_otherwise(bed: Bed) -> None:
    assert page(bed.create(app_config()), "/-/badge.svg").open
    assert not page(bed.create(app_config(", open: false", "other")), "/-/badge.svg").open


def test_two_badges_of_an_app_have_pages_of_their_own(bed: Bed) -> None:
    app = bed.create(
        "listen_point: web\nextensions:\n  a: {module: badge}\n"
        "  b: {module: badge, page: main, label: main}"
    )
    assert texts(ask(page(app, "/-/main.svg")))[0] == "main"
    assert texts(ask(page(app, "/-/badge.svg")))[0] == "build"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (", style: round", "'extensions.mark.style' must be one of flat, flat-square, for-the-ba"),
        (", page: ../x", "'extensions.mark.page' must be letters, digits, - and _, not '../x'"),
        (", label: ''", "'extensions.mark.label' must be text, not an empty text"),
        (", lable: x", "unknown key 'extensions.mark.lable'. Did you mean 'label'?"),
    ],
)
def test_bad_options_refuse_the_app(bed: Bed, options: str, problem: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        bed.create(app_config(options))
    assert caught.value.details["problems"][0]["problem"].startswith(problem)


def of_server(bed: Bed, path: str) -> Reply:
    found = bed.extensions.find_page(path)
    assert found is not None
    return ask(found, path)


SERVER = "extensions: {badges: {module: badge, label: ci, style: flat-square}}"


def test_the_server_shows_badges_of_apps_that_want_one(make_bed: Callable[..., Bed]) -> None:
    bed = make_bed(SERVER)
    app = bed.create("listen_point: team/web\nactions: [x]\nbadge: {}")
    end_with(bed, app, BuildStatus.COMPLETE)
    assert texts(of_server(bed, "/-/badge/team/web.svg")) == ["ci", "passed"]
    assert json.loads(of_server(bed, "/-/badge/team/web.json").body)["style"] == "flat-square"


def test_an_app_says_what_is_different_about_its_badge(make_bed: Callable[..., Bed]) -> None:
    bed = make_bed(SERVER)
    bed.create("listen_point: web\nbadge: {label: mine, style: flat}")
    value = json.loads(of_server(bed, "/-/badge/web.json").body)
    assert (value["label"], value["style"]) == ("mine", "flat")


def test_an_app_that_changes_its_mind_has_none_any_more(make_bed: Callable[..., Bed]) -> None:
    bed = make_bed(SERVER)
    bed.create("listen_point: web\nbadge:")
    bed.update("web", "listen_point: web\nbadge: {label: new}")
    assert texts(of_server(bed, "/-/badge/web.svg"))[0] == "new"
    bed.update("web", "listen_point: web")
    with pytest.raises(PathNotFound):
        of_server(bed, "/-/badge/web.svg")


def test_a_removed_app_has_none_any_more(make_bed: Callable[..., Bed]) -> None:
    bed = make_bed(SERVER)
    bed.create("listen_point: web\nbadge: {}")
    bed.remove("web")
    with pytest.raises(PathNotFound):
        of_server(bed, "/-/badge/web.svg")


@pytest.mark.parametrize("name", ["web.png", "web", "other.svg", ".svg", "", "web/.svg"])
def test_what_is_no_badge_is_not_found(make_bed: Callable[..., Bed], name: str) -> None:
    bed = make_bed(SERVER)
    bed.create("listen_point: web\nbadge: {}")
    with pytest.raises(PathNotFound):
        of_server(bed, f"/-/badge/{name}")


def test_the_badges_of_apps_are_there_after_a_restart(make_bed: Callable[..., Bed]) -> None:
    make_bed(SERVER).create("listen_point: web\nbadge: {}")
    assert texts(of_server(make_bed(SERVER), "/-/badge/web.svg")) == ["ci", "never"]


def test_without_the_extension_the_key_is_none(bed: Bed) -> None:
    with pytest.raises(ConfigInvalid, match="unknown key 'badge'"):
        bed.create("listen_point: web\nbadge: {}")
