"""`bind`: tie an app to the file its config came from."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.api import Api, Way, assert_empty, assert_error

#: Stands in files only; no answer may hold it.
MARKER = "hush-4711-not-for-callers"


@pytest.fixture
def config_file(folder: Path, listen_point: str) -> str:
    """A file with the config of an app without anything."""
    path = folder / "app.yml"
    path.write_text(f"listen_point: {listen_point}\n")
    return str(path)


def test_answers_200_with_empty_content(
    api: Api, way: Way, make_app: Callable[..., str], config_file: str
) -> None:
    listen_point = make_app()
    reply = api.call("bind", way, listen_point=listen_point, config_file=config_file)
    assert_empty(reply, 200)
    assert api.info(listen_point)["config_file"] == config_file


def test_an_app_can_be_bound_again_with_another_file(
    api: Api, make_app: Callable[..., str], config_file: str
) -> None:
    listen_point = make_app()
    other = Path(config_file).with_name("other.yml")
    other.write_text(Path(config_file).read_text())
    for file in (config_file, str(other)):
        assert_empty(api.call("bind", listen_point=listen_point, config_file=file), 200)
    assert api.info(listen_point)["config_file"] == str(other)


def test_comments_and_the_order_of_keys_make_no_different_config(
    api: Api, make_app: Callable[..., str], folder: Path
) -> None:
    listen_point = make_app("actions:\n  - echo 1\nparams:\n  a: b\n")
    file = folder / "same.yml"
    file.write_text(
        f"# the same\nparams: {{a: b}}\nactions: [echo 1]\nlisten_point: {listen_point}\n"
    )
    assert_empty(api.call("bind", listen_point=listen_point, config_file=str(file)), 200)


def test_no_app_on_the_listen_point_is_404_and_names_the_listen_point(
    api: Api, way: Way, listen_point: str, config_file: str
) -> None:
    reply = api.call("bind", way, listen_point=listen_point, config_file=config_file)
    assert listen_point in assert_error(reply, "app_not_found", status=404)["message"]


def test_no_file_on_the_path_is_404_and_names_the_path(
    api: Api, way: Way, make_app: Callable[..., str], folder: Path
) -> None:
    listen_point, missing = make_app(), str(folder / "missing.yml")
    reply = api.call("bind", way, listen_point=listen_point, config_file=missing)
    assert missing in assert_error(reply, "config_file_not_found", status=404)["message"]
    assert api.info(listen_point)["config_file"] is None


def test_a_config_different_from_the_apps_is_500_and_binds_nothing(
    api: Api, way: Way, make_app: Callable[..., str], config_file: str
) -> None:
    listen_point = make_app("actions:\n  - echo this\n")
    reply = api.call("bind", way, listen_point=listen_point, config_file=config_file)
    error = assert_error(reply, "config_mismatch", status=500)
    assert config_file in error["message"]
    assert listen_point in error["message"]
    assert api.info(listen_point)["config_file"] is None


def test_a_relative_path_is_refused_as_it_must_be_absolute(
    api: Api, make_app: Callable[..., str]
) -> None:
    listen_point = make_app()
    reply = api.call("bind", listen_point=listen_point, config_file="app.yml")
    assert "absolute" in assert_error(reply, "config_unreadable", status=500)["message"]
    assert api.info(listen_point)["config_file"] is None


@pytest.mark.parametrize(
    "content",
    [
        f"{MARKER}\n",
        f"root:x:0:0:{MARKER}:/root:/bin/sh\n",
        f"- {MARKER}\n",
        f"{MARKER}: [\n",
        f"listen_point: {MARKER}\n{MARKER}: {MARKER}\n",
        f"listen_point: '{MARKER}\n",
        f"listen_point: !{MARKER} x\n",
        f"listen_point: a\nlisten_point: {MARKER}\n",
        f"listen_point: a\nprovider: {MARKER}\n",
        f"listen_point: a\nactions: {MARKER}\n",
        f"listen_point: a\nparams: {{secret: {MARKER}}}\n",
        f"listen_point: a\nenv: {{secret: {{file: {MARKER}}}}}\n",
        f"listen_point: a\nactions: ['sh -c \"{{{MARKER.replace('-', '_')}}}\"']\n",
        f"\xff\xfe{MARKER}",
    ],
    ids=[
        "a text",
        "a line of passwd",
        "a list",
        "broken YAML",
        "an unknown key",
        "an open quote",
        "an unknown tag",
        "a key that stands twice",
        "an unknown provider",
        "actions that are no list",
        "another config",
        "a value from outside",
        "a placeholder in an interpreter's text",
        "no UTF-8",
    ],
)
def test_the_content_of_a_file_never_appears_in_an_answer(
    api: Api, make_app: Callable[..., str], folder: Path, content: str
) -> None:
    listen_point, file = make_app(), folder / "content.yml"
    file.write_bytes(content.encode("latin-1"))
    reply = api.call("bind", listen_point=listen_point, config_file=str(file))
    assert reply.status == 500, reply.text
    error = assert_error(reply, reply.json["error"]["code"], status=500)
    assert error["code"] in ("config_unreadable", "config_mismatch")
    assert MARKER not in reply.text
    assert MARKER.replace("-", "_") not in reply.text
    assert api.info(listen_point)["config_file"] is None


@pytest.mark.parametrize("missing", ["listen_point", "config_file"])
def test_a_missing_parameter_is_400_and_named(api: Api, way: Way, missing: str) -> None:
    given = {"listen_point": "x", "config_file": "/x.yml"}
    del given[missing]
    error = assert_error(api.call("bind", way, **given), "missing_param", status=400)
    assert f"'{missing}'" in error["message"]


def test_a_bound_app_goes_on_building(api: Api, make_app: Callable[..., str], folder: Path) -> None:
    config = "actions: [cat here.txt]\n"
    listen_point, file = make_app(config), folder / "app.yml"
    file.write_text(f"listen_point: {listen_point}\n{config}")
    (folder / "here.txt").write_text("beside the config file\n")
    assert_empty(api.call("bind", listen_point=listen_point, config_file=str(file)), 200)
    assert api.build(listen_point)["message"] == "Complete (1/1)"
    assert api.printed(listen_point) == ["beside the config file"]
