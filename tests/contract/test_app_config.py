"""The app config, as far as it shows by HTTP."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.api import Api, assert_empty, assert_error, wait_until


@pytest.mark.parametrize("alias", ["id", "name"])
def test_listen_point_has_aliases(api: Api, listen_point: str, alias: str) -> None:
    reply = api.call("create", config_string=f"{alias}: {listen_point}")
    assert (reply.status, reply.json) == (201, listen_point)


@pytest.mark.parametrize(
    "bad",
    ["", ".", "..", "a/../b", "a/./b", "/a", "a/", "a//b", "-/a", "-", "a b", "ä", "a?b", "a%2fb"],
)
def test_what_is_no_listen_point_is_refused(api: Api, bad: str) -> None:
    reply = api.call("create", config_string=f"listen_point: '{bad}'")
    assert "listen_point" in assert_error(reply, "config_invalid", status=500)["message"]


@pytest.mark.parametrize("end", ["", "/a/b", ".x_y~z-0", "/-", "...", "/a.yml"])
def test_segments_of_the_allowed_characters_are_a_listen_point(
    api: Api, listen_point: str, end: str
) -> None:
    assert api.create(listen_point + end).status == 201


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("actions: echo 1", ["line 2", "'actions'", "list"]),
        ("actions:\n  - echo 1\n  - ''", ["line 4", "'actions"]),
        ("actions:\n  - echo 1\n  -", ["line 4", "'actions"]),
        ("actions:\n  - [echo]", ["line 3"]),
        ("actions:\n  - !critcal echo 1", ["line 3", "!critical"]),
        ("params: {}\naction: [echo 1]", ["line 3", "'action'", "'actions'"]),
        ("exec_timout: 1", ["line 2", "'exec_timout'", "'exec_timeout'"]),
        ("exec_timeout: soon", ["line 2", "exec_timeout", "'soon'"]),
        ("timeout: -1", ["line 2", "timeout", "'-1'"]),
        ("stop_on_first_fail: perhaps", ["line 2", "true or false"]),
        ("params: [a]", ["line 2", "params", "mapping"]),
        ("params: {a: [b]}", ["params", "list"]),
        ("env: {'a b': c}", ["line 2", "env", "a b"]),
        ("params: {a: {env: CONTRACT_NOT_SET}}", ["CONTRACT_NOT_SET"]),
        ("params: {a: {file: /contract/not/there}}", ["/contract/not/there"]),
        ("provider: nobody", ["line 2", "nobody"]),
        ("provider: {githb: {secret: x}}", ["line 2", "'github'"]),
        ("provider: {github: {owner: x}}", ["secret"]),
        ("listen_point: again", ["line 2", "twice"]),
    ],
)
def test_a_wrong_config_is_refused_with_line_number_and_the_nearest_known_key(
    api: Api, listen_point: str, lines: str, words: list[str]
) -> None:
    message = assert_error(api.create(listen_point, lines), "config_invalid", status=500)["message"]
    for word in words:
        assert word in message


def test_secrets_in_a_refused_config_are_not_repeated(api: Api, listen_point: str) -> None:
    config = "provider: {github: {secret: [hush-4711, ''], owner: x}}"
    reply = api.create(listen_point, config)
    assert_error(reply, "config_invalid", status=500)
    assert "hush-4711" not in reply.text


def test_what_an_action_started_ends_with_it(
    api: Api, make_app: Callable[..., str], folder: Path
) -> None:
    pid = folder / "pid"
    listen_point = make_app(
        f"""\
        exec_timeout: 10
        actions:
          - sleep 60 & echo $! > {pid}
          - while kill -0 $(cat {pid}); do sleep 0.02; done
        """
    )
    assert api.build(listen_point)["message"] == "Complete (2/2)"


def test_a_detached_actions_background_processes_may_live_on(
    api: Api, make_app: Callable[..., str], folder: Path
) -> None:
    go, lives = folder / "go", folder / "lives"
    listen_point = make_app(
        f"""\
        actions:
          - !detach (n=0; until [ -e {go} ] || [ $n = 900 ]; do sleep 0.02; n=$((n + 1)); done;
            touch {lives}) > /dev/null 2>&1 &
        """
    )
    assert api.build(listen_point)["message"] == "Complete (1/1)"
    assert not lives.exists()
    go.touch()
    wait_until(lives.exists, "the sign of the background process")


def test_work_dir_is_where_actions_run(
    api: Api, make_app: Callable[..., str], folder: Path
) -> None:
    listen_point = make_app(f"work_dir: {folder}\nactions: [pwd]")
    api.build(listen_point)
    assert api.printed(listen_point) == [str(folder)]


def test_a_tilde_in_work_dir_is_the_home_folder(api: Api, make_app: Callable[..., str]) -> None:
    listen_point = make_app("work_dir: '~'\nactions: ['[ \"$PWD\" -ef \"$HOME\" ] && echo home']")
    api.build(listen_point)
    assert api.printed(listen_point) == ["home"]


def test_a_relative_work_dir_counts_from_the_config_file(
    api: Api, make_app: Callable[..., str], folder: Path
) -> None:
    config = "work_dir: below\nactions: [pwd]\n"
    listen_point, file = make_app(config), folder / "app.yml"
    file.write_text(f"listen_point: {listen_point}\n{config}")
    (folder / "below").mkdir()
    assert_empty(api.call("bind", listen_point=listen_point, config_file=str(file)), 200)
    api.build(listen_point)
    assert api.printed(listen_point) == [str(folder / "below")]


def test_a_relative_work_dir_without_a_file_counts_from_the_server_config(
    launch_own: Callable[..., Api], tmp_path: Path
) -> None:
    api = launch_own()
    (tmp_path / "below").mkdir()
    assert api.create("mine", "work_dir: below\nactions: [pwd]").status == 201
    api.build("mine")
    assert api.printed("mine") == [str(tmp_path / "below")]


def test_a_missing_work_dir_fails_the_actions_and_the_log_tells(
    api: Api, make_app: Callable[..., str]
) -> None:
    listen_point = make_app("work_dir: /contract/not/there\nactions: [pwd]")
    assert api.build(listen_point)["message"] == "Failed (0/1)"
    errors = [one["message"] for one in api.records("logs", listen_point, level=40)]
    assert any("/contract/not/there" in message for message in errors)


def test_exec_timeout_is_seconds_for_one_action(api: Api, make_app: Callable[..., str]) -> None:
    listen_point = make_app("exec_timeout: 0.2\nactions: [sleep 30, echo next]")
    assert api.build(listen_point)["message"] == "Partially complete (1/2)"
    assert api.printed(listen_point) == ["next"]
    errors = [one["message"] for one in api.records("logs", listen_point, level=40)]
    assert any("0.2 seconds" in message for message in errors)


def test_env_is_given_to_every_action(api: Api, make_app: Callable[..., str]) -> None:
    listen_point = make_app("env: {COLOR: green}\nactions: [echo $COLOR, 'echo ${COLOR}er']")
    api.build(listen_point)
    assert api.printed(listen_point) == ["green", "greener"]


def test_a_value_may_come_from_a_file(api: Api, make_app: Callable[..., str], folder: Path) -> None:
    (folder / "value").write_text("from the file\n")
    source = f"{{file: {folder / 'value'}}}"
    listen_point = make_app(f'env: {{A: {source}}}\nactions: [\'test "$A" = "from the file"\']')
    assert api.build(listen_point)["message"] == "Complete (1/1)"


def test_a_value_may_come_from_the_servers_environment(
    launch_own: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTRACT_SECRET", "hush-4711")
    api = launch_own()
    config = "params: {a: {env: CONTRACT_SECRET}}\nactions: ['test {a} = hush-4711']"
    assert api.create("mine", config).status == 201
    assert api.build("mine")["message"] == "Complete (1/1)"
