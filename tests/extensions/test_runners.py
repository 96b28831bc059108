"""Runners and `git` in a real server: an app's config, a trigger, and what the log says."""

import json
import os
import re
import signal
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.calls import Api, wait_until
from tests.conftest import RunningServer
from tests.shell.conftest import Witness, witness

from .engine import Engine, check_that_it_can_run, serve
from .sshd import Sshd, start_sshd
from .test_git import Repository

__all__ = ["witness"]

Launch = Callable[..., RunningServer]


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    started = start_sshd(tmp_path / "sshd")
    yield started
    started.stop()


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    check_that_it_can_run()
    made = Engine(tmp_path_factory.mktemp("e") / "s", images={"alpine"})
    end = serve(made)
    yield made
    end()


def create(api: Api, text: str) -> str:
    """Create an app of an indented config."""
    return api.create(textwrap.dedent(text))


def test_git_and_a_wrapper_make_a_build_of_a_push(launch: Launch, tmp_path: Path) -> None:
    check_that_it_can_run()
    (tmp_path / "far").mkdir()
    repository = Repository(tmp_path / "far")
    server = launch()
    api = Api(server.url, server.login)
    jail = f"bwrap --ro-bind / / --dev /dev --proc /proc --bind {tmp_path} {tmp_path} --unshare-pid"
    create(
        api,
        f"""
        listen_point: team/web
        work_dir: {tmp_path}
        actions:
          - pwd && cat file
          - test $(ls -d /proc/[0-9]* | wc -l) -lt 20 && echo jailed {{branch}}
        extensions:
          checkout: {{module: git, url: {repository.bare}}}
          jail: {{module: wrap_exec, command: {json.dumps(jail)}}}
        """,
    )
    first = api.trigger("team/web", branch="main")
    assert api.wait_for_build("team/web", first)["message"] == "Complete (2/2)"

    log = api.logs("team/web")
    assert str(tmp_path / "workspaces" / "team+web") in log
    assert "one" in log
    assert "jailed main" in log

    commit = repository.push("two")
    second = api.trigger("team/web", branch="main", commit=commit)
    api.wait_for_build("team/web", second)
    assert "two" in api.logs("team/web")

    third = api.trigger("team/web", branch="--upload-pack=evil")
    assert api.wait_for_build("team/web", third)["message"] == "Failed (0/2)"
    assert any("can't be the name of a branch" in line for line in api.logs("team/web"))


class TestSsh:
    def config(self, sshd: Sshd, folder: Path, action: str) -> str:
        return f"""
        listen_point: deploy
        actions: [{json.dumps(action)}]
        extensions:
          machines:
            module: ssh_exec
            hosts: {sshd.host}
            key: {sshd.key}
            host_keys: "{sshd.host_key}"
            dir: {folder}
        """

    def test_an_action_runs_on_another_machine(
        self, launch: Launch, sshd: Sshd, tmp_path: Path
    ) -> None:
        server = launch()
        api = Api(server.url, server.login)
        create(api, self.config(sshd, tmp_path, "pwd; echo over ssh: {x}; exit 5"))
        build = api.trigger("deploy", x="$(id)")

        assert api.wait_for_build("deploy", build)["message"] == "Failed (0/1)"
        log = api.logs("deploy")
        assert str(tmp_path) in log
        assert "over ssh: $(id)" in log
        assert f"Execution failed: {sshd.host}: exit code 5" in log

    @pytest.mark.parametrize("way", ["cancel", "stop", "kill"])
    def test_it_ends_there_however_it_ends_here(
        self, launch: Launch, sshd: Sshd, tmp_path: Path, witness: Witness, way: str
    ) -> None:
        server = launch(config="stop_grace: 0.1")
        api = Api(server.url, server.login)
        create(api, self.config(sshd, tmp_path, "sleep 1000 > witness & echo ready; wait"))
        build = api.trigger("deploy")
        wait_until(lambda: "ready" in api.logs("deploy"))
        assert witness.alive()

        if way == "cancel":
            assert api("cancel", build=build).status < 300
            assert api.wait_for_build("deploy", build)["message"] == "Cancelled (0/1)"
        else:
            server.signal(signal.SIGTERM if way == "stop" else signal.SIGKILL)
            server.wait()
        witness.wait_until_gone()

    def test_options_that_are_of_no_use_refuse_the_app_with_the_line(
        self, launch: Launch, tmp_path: Path
    ) -> None:
        server = launch()
        api = Api(server.url, server.login)
        text = "listen_point: a\nextensions:\n  m: {module: ssh_exec, hosts: web, kye: x}\n"
        reply = api("create", config_string=text)
        assert reply.status == 500
        message = reply.value["error"]["message"]
        assert "line 3" in message
        assert "Did you mean 'key'?" in message

        text = (
            f"listen_point: a\nextensions:\n  m: {{module: ssh_exec, hosts: web, key: {tmp_path}}}"
        )
        message = api("create", config_string=text).value["error"]["message"]
        assert re.search(r"line 3.*'key' can't be read", message)


class TestDocker:
    def config(self, engine: Engine, folder: Path, *actions: str) -> str:
        return f"""
        listen_point: boxed
        work_dir: {folder}
        actions: {json.dumps(actions)}
        extensions:
          box: {{module: docker_exec, image: alpine, mount: /mnt, engine: "{engine.url}"}}
        """

    def test_actions_run_in_one_container(
        self, launch: Launch, engine: Engine, tmp_path: Path
    ) -> None:
        server = launch()
        api = Api(server.url, server.login)
        create(api, self.config(engine, tmp_path, "pwd; echo {x} > /dev/shm/x", "cat /dev/shm/x"))
        build = api.trigger("boxed", x="$(id)")

        assert api.wait_for_build("boxed", build)["message"] == "Complete (2/2)"
        assert {"/mnt", "$(id)"} <= set(api.logs("boxed"))
        wait_until(lambda: not engine.containers)

    def test_what_a_killed_server_left_is_removed_by_the_next(
        self, launch: Launch, engine: Engine, tmp_path: Path
    ) -> None:
        os.mkdir(tmp_path / "work")  # noqa: PTH102
        server = launch()
        api = Api(server.url, server.login)
        create(api, self.config(engine, tmp_path / "work", "echo ready; sleep 1000"))
        api.trigger("boxed")
        wait_until(lambda: "ready" in api.logs("boxed"))
        server.signal(signal.SIGKILL)
        server.wait()
        assert len(engine.containers) == 1

        launch()
        wait_until(lambda: not engine.containers)
