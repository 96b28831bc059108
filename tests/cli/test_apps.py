"""Commands about apps: each says what the server says, in a sentence or a table."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from tests.calls import Api
from tests.cli.conftest import Person

MakeApp = Callable[..., str]
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


def write_app(folder: Path, *actions: str, name: str = "") -> tuple[str, Path]:
    """A config file of an app with a listen point of its own."""
    name = name or f"cli-{uuid4().hex[:12]}"
    file = folder / f"{name}.yml"
    file.write_text(f"listen_point: {name}\nactions:\n" + "".join(f"  - {a}\n" for a in actions))
    return name, file


def built(api: Api, app: MakeApp, *actions: str) -> tuple[str, int]:
    """An app with one build that has ended."""
    name = app(*actions)
    build = api.trigger(name)
    api.wait_for_build(name, build)
    return name, build


@pytest.mark.parametrize("word", ["create", "add"])
def test_create_makes_an_app_and_binds_it_with_its_file(user: Person, api: Api, word: str) -> None:
    name, file = write_app(user.folder, "echo hi")

    assert user.sci(word, file.name).said == (0, f"Created {name}, bound with {file}.\n", "")
    assert api("info", listen_points=name).value[0]["config_file"] == str(file)


def test_create_takes_globs_that_the_shell_left_alone(user: Person) -> None:
    apps = user.folder / "apps"
    apps.mkdir()
    names = sorted(write_app(apps, "echo hi")[0] for _ in range(2))

    done = user.sci("create", "apps/*.yml")

    assert done.out.splitlines() == [
        f"Created {name}, bound with {apps / name}.yml." for name in names
    ]


def test_a_bad_file_is_named_with_its_line_and_keeps_the_others_from_nothing(user: Person) -> None:
    name, good = write_app(user.folder, "echo hi")
    (user.folder / "bad.yml").write_text("listen_point: bad\nactins: []\n")

    done = user.sci("create", "bad.yml", "none.yml", good.name)

    assert (done.code, done.out) == (1, f"Created {name}, bound with {good}.\n")
    first, second = done.err.splitlines()
    assert first.startswith("sci: bad.yml: line 2, column 1: unknown key 'actins'.")
    assert "Did you mean 'actions'?" in first
    assert second == "sci: none.yml: The file can't be read: no such file or directory"


def test_create_says_that_a_listen_point_is_taken(user: Person) -> None:
    name, file = write_app(user.folder, "echo hi")
    user.sci("create", file.name)

    assert user.sci("create", file.name).said == (
        1,
        "",
        f"sci: {file.name}: The listen point '{name}' is taken. Remove its app first, or choose"
        " another.\n",
    )


def test_json_of_create_tells_of_each_app(user: Person) -> None:
    name, file = write_app(user.folder, "echo hi")

    done = user.sci("create", "--json", file.name)

    assert json.loads(done.out) == [{"listen_point": name, "config_file": str(file)}]


@pytest.mark.parametrize("word", ["remove", "rm", "del"])
def test_remove_removes_apps_and_tells_of_those_that_are_not_there(
    user: Person, api: Api, app: MakeApp, word: str
) -> None:
    name = app("echo hi")

    done = user.sci(word, "cli-nowhere-at-all", name)

    assert (done.code, done.out) == (1, f"Removed {name}.\n")
    assert done.err.startswith("sci: cli-nowhere-at-all: No app listens on 'cli-nowhere-at-all'.")
    assert done.err.count("\n") == 1
    assert name not in api("list").value


@pytest.mark.parametrize("word", ["reload", "update", "up"])
def test_reload_reads_the_file_again(user: Person, api: Api, word: str) -> None:
    name, file = write_app(user.folder, "echo old")
    user.sci("create", file.name)
    write_app(user.folder, "echo new", name=name)

    assert user.sci(word, name).said == (0, f"Updated {name}.\n", "")

    api.wait_for_build(name, api.trigger(name))
    assert "new" in api.logs(name)


def test_reload_without_names_reloads_every_bound_app(user: Person, app: MakeApp) -> None:
    unbound = app("echo hi")
    names = [write_app(user.folder, "echo hi")[0] for _ in range(2)]
    user.sci("create", *(f"{name}.yml" for name in names))

    reloaded = json.loads(user.sci("--json", "reload").out)

    assert set(names) <= set(reloaded)
    assert unbound not in reloaded


def test_a_broken_file_leaves_the_app_as_it_is(user: Person, api: Api) -> None:
    name, file = write_app(user.folder, "echo old")
    user.sci("create", file.name)
    file.write_text("listen_point: [")

    done = user.sci("reload", name)

    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"sci: {name}: {file}: it is no valid app config")
    api.wait_for_build(name, api.trigger(name))
    assert "old" in api.logs(name)


def test_bind_takes_a_path_relative_to_where_one_is(user: Person, api: Api) -> None:
    name, file = write_app(user.folder, "echo hi")
    api.create(file.read_text())

    assert user.sci("bind", name, file.name).said == (0, f"Bound {name} with {file}.\n", "")
    assert api("info", listen_points=name).value[0]["config_file"] == str(file)


def test_bind_with_a_file_that_is_not_there_is_refused(user: Person, app: MakeApp) -> None:
    name = app("echo hi")
    file = user.folder / "none.yml"

    assert user.sci("bind", name, "none.yml").said == (
        1,
        "",
        f"sci: There is no config file '{file}' on the server.\n",
    )


@pytest.mark.parametrize("word", ["list", "ls"])
def test_list_prints_one_listen_point_a_line(user: Person, app: MakeApp, word: str) -> None:
    names = {app("echo hi"), app("echo hi")}

    done = user.sci(word)

    assert names <= set(done.out.splitlines())
    assert (done.code, done.err) == (0, "")


def test_info_is_a_table(user: Person, api: Api, app: MakeApp) -> None:
    never = app("echo hi")
    name, _build = built(api, app, "echo hi")

    done = user.sci("info", never, name)

    heads, rule, first, second = done.out.splitlines()
    columns = ["Listen Point", "Config File", "Last Build Status", "Last Build Timestamp"]
    assert re.split(r" {2,}", heads) == columns
    assert set(rule) == {"-", " "}
    assert re.fullmatch(rf"{name} +- +Complete \(1/1\) +{TIME}", first)
    assert re.fullmatch(rf"{never} +- +Never triggered +never", second)


def test_logs_are_a_table_the_newest_first(user: Person, api: Api, app: MakeApp) -> None:
    name, _build = built(api, app, "echo hi")

    for word in ("logs", "lg"):
        heads, _rule, *rows = user.sci(word, name).out.splitlines()
        assert re.split(r" {2,}", heads) == ["Timestamp", "Message", "Level"]
        assert re.fullmatch(rf"{TIME}  Complete \(1/1\) +INFO", rows[0])
        assert re.fullmatch(rf"{TIME}  Listening on {name} +INFO", rows[-1])


@pytest.mark.parametrize("level", ["debug", "DEBUG", "10"])
def test_a_level_is_given_by_name_or_number(
    user: Person, api: Api, app: MakeApp, level: str
) -> None:
    name, _build = built(api, app, "echo hi")

    assert re.search(r"^.{19}  hi +DEBUG$", user.sci("logs", name, "-l", level).out, re.MULTILINE)
    assert "DEBUG" not in user.sci("logs", name).out


@pytest.mark.parametrize("word", ["history", "hist"])
def test_history_is_a_table_with_the_builds(
    user: Person, api: Api, app: MakeApp, word: str
) -> None:
    name, build = built(api, app, "true", "false")

    heads, _rule, last, first = user.sci(word, name).out.splitlines()

    assert re.split(r" {2,}", heads) == ["Timestamp", "Status", "Build"]
    assert re.fullmatch(rf"{TIME}  Partially complete \(1/2\) +{build}", last)
    assert re.fullmatch(rf"{TIME}  Triggered, actions in queue: 2 +{build}", first)


def test_one_page_is_shown_unless_the_last_one_is_named(user: Person, app: MakeApp) -> None:
    name = app("true")
    for _ in range(3):
        assert user.sci("trigger", name, "--wait").code == 0

    def pages(*words: str) -> list[str]:
        value = json.loads(user.sci("history", name, "-l", "info", "--json", *words).out)
        return [record["build"] for record in value]

    newest_first = pages()
    assert len(newest_first) == 3
    assert pages("-p", "1", "-f", "2") == newest_first[1:2]
    assert pages("--per-page", "1", "--from-page", "2", "--to-page", "3") == newest_first[1:]
    assert pages("-p", "1", "-t", "2") == newest_first[:2]


def test_verbose_tables_have_more_columns(user: Person, api: Api, app: MakeApp) -> None:
    name, build = built(api, app, "echo hi")

    heads, _rule, row, *_rows = user.sci("logs", name, "-v").out.splitlines()
    assert heads.split()[-3:] == ["Level", "Logger", "Build"]
    assert row.split()[-3:] == ["INFO", f"{name}.build", str(build)]
    heads, _rule, row, *_rows = user.sci("history", name, "-v").out.splitlines()
    assert heads.split()[-2:] == ["Build", "Level"]
    assert row.split()[-2:] == [str(build), "INFO"]


@pytest.mark.parametrize("words", [("info",), ("logs",), ("history",), ("list",)])
def test_json_is_what_the_api_answers(
    user: Person, api: Api, app: MakeApp, words: tuple[str, ...]
) -> None:
    name, _build = built(api, app, "echo hi")
    param = {"info": "listen_points", "list": ""}.get(words[0], "listen_point")

    done = user.sci("--json", *words, *([name] if param else []))

    wanted = api(words[0], **({param: name} if param else {})).value
    if words[0] == "list":  # other tests make apps of their own meanwhile
        assert name in json.loads(done.out)
    else:
        assert json.loads(done.out) == wanted


def test_an_unknown_app_is_one_line(user: Person) -> None:
    for command in ("trigger", "logs", "history", "info"):
        done = user.sci(command, "cli-nowhere-at-all")
        assert (done.code, done.out) == (1, "")
        assert re.fullmatch(r"sci: No app listens on 'cli-nowhere-at-all'\..*\n", done.err)
