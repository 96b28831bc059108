"""T9: no tag of YAML makes the server run anything, whichever way the text comes in."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from tests.calls import Api
from tests.conftest import RunningServer, StartFailed

RUN = "touch {marker}"
TEXTS = {
    "object/apply": "!!python/object/apply:os.system ['{run}']",
    "object/apply of a call": "!!python/object/apply:subprocess.call [['touch', '{marker}']]",
    "object/new": "!!python/object/new:os.system ['{run}']",
    "object/new with state": "!!python/object/new:type {{args: [x, []], state: {{x: '{run}'}}}}",
    "name": "!!python/name:os.system",
    "module": "!!python/module:os",
    "object": "!!python/object:sloth_ci.request.Request {{method: x}}",
    "tuple": "!!python/tuple [a, b]",
    "bytes": "!!python/bytes aGVsbG8=",
    "the long form": "!<tag:yaml.org,2002:python/object/apply:os.system> ['{run}']",
    "a handle": "!<tag:yaml.org,2002:python/name:os.system> x",
    "ruby": "!ruby/object:Gem::Installer {{i: x}}",
    "a class of ours": "!!sloth_ci.builds.Build {{}}",
    "an unknown tag": "!include /etc/passwd",
    "environment": "!env PATH",
}
FORMS = {
    "the whole": "{value}",
    "a value": "listen_point: {name}\nactions: {value}\n",
    "an action": "listen_point: {name}\nactions:\n  - {value}\n",
    "a key": "listen_point: {name}\n? {value}\n: x\n",
    "behind an anchor": "listen_point: {name}\nparams: &a {{x: {value}}}\nenv: *a\n",
    "merged": "listen_point: {name}\nparams:\n  <<: {value}\n",
}


def write(form: str, text: str, marker: Path, name: str) -> str:
    value = text.format(run=RUN.format(marker=marker), marker=marker)
    return form.format(value=value, name=name)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_nothing_runs_that_comes_over_the_api(
    shared_server: RunningServer, tmp_path: Path, form: str
) -> None:
    api = Api(shared_server.url, shared_server.login)
    name = api.create(f"listen_point: t9-{uuid4().hex}\nactions: [true]\n")
    file, marker = tmp_path / "app.yml", tmp_path / "marker"
    for tag, text in TEXTS.items():
        config = write(form, text, marker, name)
        file.write_text(config)

        replies = (
            api("create", config_string=config),
            api("bind", listen_point=name, config_file=str(file)),
            api("update", listen_point=name, config_string=config),
        )

        for reply in replies:
            assert reply.status == 500, tag
            assert reply.value["error"]["code"] in ("config_invalid", "config_unreadable"), tag
        assert not marker.exists(), tag


@pytest.mark.parametrize("tag", ["object/apply", "name", "the long form"])
def test_nothing_runs_that_is_in_the_servers_config(
    launch: Callable[..., RunningServer], tmp_path: Path, tag: str
) -> None:
    value = TEXTS[tag].format(run=RUN.format(marker=tmp_path / "marker"), marker="")

    with pytest.raises(StartFailed) as failed:
        launch(config=f"daemon: {value}\n")

    assert "not known here" in failed.value.line
    assert not (tmp_path / "marker").exists()


def test_a_config_file_with_code_keeps_no_other_from_its_app(
    launch: Callable[..., RunningServer], tmp_path: Path
) -> None:
    for number, text in enumerate(TEXTS.values()):
        config = write(FORMS["a value"], text, tmp_path / "marker", f"app-{number}")
        (tmp_path / f"{number}-bad.app.yml").write_text(config)
    (tmp_path / "good.app.yml").write_text("listen_point: good\nactions: [true]\n")

    server = launch(config="paths: {configs: ['*.app.yml']}\n")

    assert Api(server.url, server.login)("list").value == ["good"]
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("tag", TEXTS)
def test_the_tag_is_named(shared_server: RunningServer, tag: str) -> None:
    text = TEXTS[tag].format(run="true", marker="")

    reply = Api(shared_server.url, shared_server.login)(
        "create", config_string=f"listen_point: web\nactions: {text}\n"
    )

    assert reply.value["error"]["message"].startswith("line 2, column 10: the tag '!")
    assert "not known here" in reply.value["error"]["message"]
