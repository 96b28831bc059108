"""Extensions come, change and go with their apps; what can't be made refuses its config."""

import sys
from collections.abc import Callable
from logging import ERROR, INFO
from pathlib import Path
from threading import Event

import pytest

from sloth_ci.bed import Bed
from sloth_ci.errors import ConfigInvalid
from sloth_ci.records import LogRecord
from tests.extensions.probe import DEEDS, EVENTS, MADE

APP = """\
listen_point: web
actions: [echo hi]
extensions:
  first: {module: probe, word: one}
  second: {module: probe, word: two}
"""
PATIENCE = 45


def happened(*names: str) -> list[tuple[str, str]]:
    """What happened to those extensions, or to all, without what was asked of them."""
    return [(name, what) for name, what, _about in EVENTS if not names or name in names]


def log(bed: Bed, listen_point: str = "web", level: int = INFO) -> list[str]:
    store = bed._store
    store.flush()
    app_id = store.find_app_id(listen_point)
    assert app_id is not None
    records: list[LogRecord] = store.logs(app_id=app_id, level=level, skip=0, most=100)
    return [record.message for record in reversed(records)]


def problems(error: ConfigInvalid) -> list[tuple[int, str]]:
    return [(found["line"], found["problem"]) for found in error.details["problems"]]


def test_an_apps_extensions_are_made_and_opened_in_the_order_of_the_config(bed: Bed) -> None:
    bed.create(APP)
    assert happened() == [
        ("first", "made"),
        ("second", "made"),
        ("first", "opened"),
        ("second", "opened"),
        ("first", "app_added"),
        ("second", "app_added"),
    ]


def test_the_same_module_declared_twice_is_two_extensions(bed: Bed) -> None:
    bed.create(APP)
    assert MADE["first"].options.word == "one"
    assert MADE["second"].options.word == "two"


def test_a_new_app_has_its_id_once_it_is_open(bed: Bed) -> None:
    app = bed.create(APP)
    assert ("first", "made", None) in EVENTS
    assert ("first", "opened", app.id) in EVENTS
    assert MADE["first"].context.app_id == app.id
    assert MADE["first"].context.listen_point == "web"


def test_a_removed_app_is_told_of_and_its_extensions_end_the_last_first(bed: Bed) -> None:
    bed.create(APP)
    EVENTS.clear()
    bed.remove("web")
    assert happened() == [
        ("first", "app_removed"),
        ("second", "app_removed"),
        ("second", "closed"),
        ("first", "closed"),
    ]


def test_an_updated_app_has_new_extensions_and_the_old_ones_end_before(bed: Bed) -> None:
    bed.create(APP)
    old = MADE["first"]
    EVENTS.clear()
    bed.update("web", APP.replace("word: one", "word: other"))
    assert MADE["first"] is not old
    assert MADE["first"].options.word == "other"
    assert happened("first") == [
        ("first", "made"),
        ("first", "closed"),
        ("first", "opened"),
        ("first", "app_updated"),
    ]


def test_an_update_that_is_refused_leaves_the_old_ones_as_they_are(bed: Bed) -> None:
    bed.create(APP)
    EVENTS.clear()
    with pytest.raises(ConfigInvalid):
        bed.update("web", APP.replace("word: two", "refuse: no"))
    assert ("first", "closed") not in happened()
    assert bed.find("web").extensions.find_page("/-/one") is not None


def test_they_are_there_again_after_a_restart_once_all_apps_are(
    make_bed: Callable[..., Bed],
) -> None:
    bed = make_bed()
    bed.create(APP)
    bed.create(APP.replace("web", "another"))
    EVENTS.clear()
    DEEDS["opened"] = lambda probe, _about: probe.note("sees", list(probe.context.apps()))
    make_bed()
    assert [about for _name, what, about in EVENTS if what == "sees"] == [["another", "web"]] * 4


def test_the_end_of_the_server_closes_all(make_bed: Callable[..., Bed]) -> None:
    bed = make_bed("extensions: {all: {module: probe, word: all}}")
    bed.create(APP)
    EVENTS.clear()
    bed.close()
    assert happened() == [("second", "closed"), ("first", "closed"), ("all", "closed")]


def test_an_app_that_is_refused_leaves_no_trace(bed: Bed) -> None:
    with pytest.raises(ConfigInvalid):
        bed.create(APP.replace("word: two", "refuse: no"))
    assert bed.apps() == []
    assert bed._store.apps() == []


@pytest.mark.parametrize(
    ("entry", "line", "problem"),
    [
        (
            "{module: probee}",
            4,
            "there is no extension 'probee'. Did you mean 'probe'?",
        ),
        ("{module: probe, wrod: x}", 4, "unknown key 'extensions.x.wrod'. Did you mean 'word'?"),
        ("{module: probe, word: ''}", 4, "'extensions.x.word' must be text, not an empty text"),
        ("{module: probe, refuse: must not be}", 4, "'extensions.x' must not be"),
        (
            "{module: misspelt}",
            4,
            "'extensions.x' can't be used: there is no hook 'build_ended'.",
        ),
        (
            "{module: broken}",
            4,
            "'extensions.x' can't be made: ZeroDivisionError: no reason",
        ),
        ("{module: unfit}", 4, "the extension 'unfit' can't be used: tests.extensions.faulty:"),
        (
            "{module: probe_of_server}",
            4,
            "the extension 'probe_of_server' is one of the server: declare it in its config",
        ),
        ("{}", 4, "'extensions.x' must name its module with the key 'module'"),
    ],
    ids=["module", "option", "value", "refused", "hook", "made", "kind", "level", "nameless"],
)
def test_what_can_not_be_used_refuses_the_app_with_its_line(
    bed: Bed, entry: str, line: int, problem: str
) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        bed.create(f"listen_point: web\nactions: []\nextensions:\n  x: {entry}\n")
    ((found_line, found),) = problems(caught.value)
    assert found_line == line
    assert found.startswith(problem)


def test_two_extensions_that_want_the_same_page_refuse_the_app(bed: Bed) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        bed.create(APP.replace("two", "one"))
    assert problems(caught.value) == [
        (5, "'extensions.second' can't show the page 'one': first does")
    ]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("{module: probe, wrod: x}", "unknown key 'extensions.x.wrod'. Did you mean 'word'?"),
        ("{module: probe_of_apps}", "the extension 'probe_of_apps' is one of apps: declare it in"),
        ("{module: probe, refuse: must not be}", "'extensions.x' must not be"),
        ("{module: misspelt}", "'extensions.x' can't be used: there is no hook 'build_ended'"),
    ],
)
def test_what_can_not_be_used_refuses_the_start_of_the_server(
    make_bed: Callable[..., Bed], entry: str, problem: str
) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        make_bed(f"port: 0\nextensions:\n  x: {entry}\n")
    ((line, found),) = problems(caught.value)
    assert line == 3
    assert found.startswith(problem)


def test_a_missing_extra_names_the_line_to_run(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cronsim", None)
    monkeypatch.delitem(sys.modules, "sloth_ci_extensions.schedule", raising=False)
    with pytest.raises(ConfigInvalid) as caught:
        bed.create("listen_point: web\nextensions: {x: {module: schedule, cron: '@daily'}}")
    assert problems(caught.value) == [
        (
            2,
            "the extension 'schedule' needs cronsim, which is not installed:"
            " pip install 'sloth-ci[schedule]'",
        )
    ]


def test_one_that_can_not_begin_is_named_and_the_others_do(bed: Bed) -> None:
    DEEDS["opened"] = lambda probe, _about: 1 / 0 if probe.context.name == "first" else None
    bed.create(APP)
    assert ("second", "app_added") in happened()
    assert "first could not begin: ZeroDivisionError: division by zero" in log(bed, level=ERROR)


def test_one_that_can_not_end_is_named_and_the_others_do(bed: Bed) -> None:
    bed.create(APP)
    DEEDS["closed"] = lambda probe, _about: 1 / 0 if probe.context.name == "second" else None
    bed.update("web", APP)
    assert ("first", "closed") in happened()
    assert "second could not end: ZeroDivisionError: division by zero" in log(bed, level=ERROR)


def test_what_an_extension_says_is_in_the_apps_log_with_its_name_and_without_secrets(
    bed: Bed,
) -> None:
    bed.create(APP.replace("word: one", "word: one, secret: swordfish"))
    MADE["first"].context.log(INFO, "the word is swordfish")
    assert "first: the word is ***" in log(bed)


def test_notes_outlive_the_server_and_are_an_extensions_own(make_bed: Callable[..., Bed]) -> None:
    bed = make_bed()
    bed.create(APP)
    MADE["first"].context.notes.set("key", "value")
    bed.create(APP.replace("web", "another").replace("first", "third"))
    make_bed()
    kept = {name: MADE[name].context.notes.get("key") for name in ("first", "second", "third")}
    assert kept == {"first": "value", "second": None, "third": None}


def test_work_for_later_is_done_and_what_it_raises_is_in_the_apps_log(bed: Bed) -> None:
    bed.create(APP)
    done = Event()
    MADE["first"].context.later(exit_now)
    MADE["first"].context.later(done.set)
    assert done.wait(PATIENCE)
    assert "first work in the background failed: SystemExit: enough" in log(bed, level=ERROR)


def exit_now() -> None:
    raise SystemExit("enough")


def test_what_work_raises_is_masked_as_its_own_config_says(bed: Bed) -> None:
    bed.create("listen_point: web\nactions: [echo]\nextensions: {first: {module: probe}}\n")
    bed.update(
        "web",
        "listen_point: web\nactions: [echo]\n"
        "extensions: {first: {module: probe, secret: swordfish}}\n",
    )
    done = Event()

    def fail() -> None:
        raise ValueError("swordfish is wrong")

    MADE["first"].context.later(fail)
    MADE["first"].context.later(done.set)
    assert done.wait(PATIENCE)
    assert log(bed, level=ERROR) == [
        "first work in the background failed: ValueError: *** is wrong"
    ]


def test_a_set_moment_comes(bed: Bed) -> None:
    bed.create(APP)
    come = Event()
    MADE["first"].context.at(0, come.set)
    assert come.wait(PATIENCE)


def test_an_extension_can_trigger_a_build(bed: Bed) -> None:
    bed.create(APP)
    build_id = MADE["first"].context.trigger("web", {"colour": "red"}, "first")
    build = bed._store.find_build(build_id)
    assert build is not None
    assert build.params == {"colour": "red"}


def test_the_server_and_its_apps_know_the_servers_address(make_bed: Callable[..., Bed]) -> None:
    bed = make_bed("url: https://ci.example.org/\nextensions: {all: {module: probe}}")
    bed.create(APP)
    assert MADE["all"].context.url == "https://ci.example.org"
    assert MADE["first"].context.url == "https://ci.example.org"
    assert MADE["all"].context.listen_point == ""


def test_apps_without_extensions_share_one_set_of_nothing(bed: Bed) -> None:
    first, second = (bed.create(f"listen_point: {name}") for name in ("a", "b"))
    assert first.extensions is second.extensions
    assert first.hooks is second.hooks
    assert not first.hooks


def test_apps_without_extensions_share_the_servers_set(make_bed: Callable[..., Bed]) -> None:
    bed = make_bed("extensions: {all: {module: probe}}")
    first, second = (bed.create(f"listen_point: {name}") for name in ("a", "b"))
    assert first.hooks is second.hooks is bed.extensions.hooks


def test_paths_count_from_the_config_file_of_a_bound_app(bed: Bed, tmp_path: Path) -> None:
    bed.create(APP)
    file = tmp_path / "apps" / "web.yml"
    file.parent.mkdir()
    file.write_text(APP)
    bed.bind("web", str(file))
    assert MADE["first"].context.base_dir == file.parent
