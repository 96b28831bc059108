"""`docker_exec`: actions in a container, tried with an engine made for tests."""

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sloth_ci_extensions.docker_exec as module
from pydantic import ValidationError

from sloth_ci.builds import Build, BuildStatus, Halt, Limits, Outcome, OutcomeStatus
from sloth_ci.records import Stream
from sloth_ci.trial import Trial, build_event
from tests.shell.conftest import Bench, Recorder, Witness, witness

from .engine import Engine, check_that_it_can_run, serve
from .manuals import options_in, read_options

__all__ = ["witness"]

#: A folder that is on every machine, and so in the test's containers.
MOUNT = "/mnt"


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    check_that_it_can_run()
    made = Engine(tmp_path_factory.mktemp("e") / "s", images={"alpine"})
    end = serve(made)
    yield made
    made.busy.set()
    end()


class Boxed:
    """A bench whose actions run in containers, build after build."""

    def __init__(self, folder: Path, trial: Trial, engine: Engine) -> None:
        self.bench = Bench(folder)
        self.engine = engine
        self.trial = trial
        self.extension = self.declare()

    def declare(self, **options: Any) -> module.DockerExec:
        said = {"image": "alpine", "engine": self.engine.url, "mount": MOUNT, **options}
        said = {name: value for name, value in said.items() if value is not None}
        read = read_options(module, said, self.bench.folder)
        self.extension = module.DockerExec(read, self.trial.context, grace=0.5)
        self.bench.runner = self.extension.run_action
        return self.extension

    def run(self, text: str, *, within: float | None = 20.0, **options: Any) -> Outcome:
        """A build of one action."""
        return self.bench.run(self.bench.build(text, **options), within=within)

    def run_all(self, build: Build) -> list[Outcome]:
        """All actions of a build."""
        return [self.bench.run(build, position=at) for at in range(len(build.actions))]

    @property
    def texts(self) -> list[str]:
        return self.bench.journal.texts


@pytest.fixture
def boxed(tmp_path: Path, engine: Engine) -> Iterator[Boxed]:
    with Trial(base_dir=tmp_path) as trial:
        made = Boxed(tmp_path, trial, engine)
        yield made
        made.extension.close()
        made.bench.halt.close()


class TestAction:
    def test_it_runs_in_the_container_in_the_mounted_work_dir(self, boxed: Boxed) -> None:
        outcome = boxed.run("pwd; touch made; echo $(($(ls -d /proc/[0-9]* | wc -l) < 20))")

        assert outcome == Outcome(OutcomeStatus.COMPLETED, exit_code=0)
        assert boxed.texts == [MOUNT, "1"]
        assert (boxed.bench.folder / "made").exists()

    def test_both_streams_come_apart_with_the_exit_code(self, boxed: Boxed) -> None:
        outcome = boxed.run("echo out; echo err >&2; exit 3")

        assert outcome == Outcome(OutcomeStatus.FAILED, "Exit code: 3", exit_code=3)
        assert boxed.bench.journal.of(Stream.STDOUT) == ["out"]
        assert boxed.bench.journal.of(Stream.STDERR) == ["err"]

    def test_values_are_words_and_never_run(self, boxed: Boxed) -> None:
        value = "a 'b' \"c\" $(touch pwned) `touch pwned`\n; touch pwned \\ é"
        boxed.run("echo {x}; echo '{x}' \"$EXTRA\"", params={"x": value}, env={"EXTRA": "more"})

        assert "\n".join(boxed.texts) == f"{value}\n{value} more"
        assert not (boxed.bench.folder / "pwned").exists()

    def test_nothing_of_this_machines_environment_goes_along(
        self, boxed: Boxed, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LANG", "xx_XX")
        boxed.run('echo "$LANG|$SLOTH_BUILD|$SLOTH_LISTEN_POINT"')
        assert boxed.texts == ["|7|spam/eggs"]

    def test_big_output_is_cut_and_its_end_kept(self, boxed: Boxed) -> None:
        boxed.run("yes 123456789 | head -c 5000000; echo end", max_output=100_000)
        assert boxed.texts[-1] == "end"
        assert any("left out here" in line for line in boxed.texts)

    def test_all_of_large_output_arrives(self, boxed: Boxed) -> None:
        boxed.run("seq 100000")
        assert boxed.texts == [str(number) for number in range(1, 100_001)]

    def test_binary_output_is_made_readable(self, boxed: Boxed) -> None:
        boxed.run(r"printf 'a\377b\n'")
        assert boxed.texts == ["a�b"]

    def test_closed_output_does_not_end_it(self, boxed: Boxed) -> None:
        assert boxed.run("exec >&- 2>&-; sleep 0.3; touch made; exit 4").exit_code == 4
        assert (boxed.bench.folder / "made").exists()

    def test_it_has_nothing_to_read(self, boxed: Boxed) -> None:
        assert boxed.run("cat; echo done").status is OutcomeStatus.COMPLETED
        assert boxed.texts == ["done"]

    def test_a_placeholder_without_value_asks_the_engine_nothing(
        self, boxed: Boxed, engine: Engine
    ) -> None:
        assert boxed.run("echo {branch}").reason == "Missing param: 'branch'"
        assert engine.asked == []

    @pytest.mark.parametrize("key", ["limits", "user"])
    def test_what_holds_on_this_machine_only_is_refused(self, boxed: Boxed, key: str) -> None:
        given: dict[str, Any] = {"limits": Limits(cpu=1)} if key == "limits" else {"user": "root"}
        outcome = boxed.run("true", **given)
        assert f"'{key}'" in outcome.reason
        assert "in a container" in outcome.reason

    def test_a_work_dir_that_is_not_there_is_named(self, boxed: Boxed, tmp_path: Path) -> None:
        outcome = boxed.run("true", work_dir=tmp_path / "gone")
        assert f"'{tmp_path / 'gone'}' does not exist" in outcome.reason


class TestContainer:
    def test_a_builds_actions_share_one_which_goes_with_the_last(
        self, boxed: Boxed, engine: Engine
    ) -> None:
        build = boxed.bench.build("echo one > /dev/shm/x", "cat /dev/shm/x")
        assert boxed.bench.run(build).status is OutcomeStatus.COMPLETED
        assert len(engine.containers) == 1
        assert boxed.bench.run(build, position=1).status is OutcomeStatus.COMPLETED

        assert boxed.texts == ["one"]
        assert engine.count("POST /containers/create") == 1
        assert engine.containers == {}

    def test_the_next_build_has_another(self, boxed: Boxed, engine: Engine) -> None:
        boxed.run("touch /dev/shm/left")
        assert boxed.run("ls /dev/shm/left").status is OutcomeStatus.FAILED
        assert engine.count("POST /containers/create") == 2

    def test_it_goes_when_the_build_ends_early(self, boxed: Boxed, engine: Engine) -> None:
        build = boxed.bench.build("exit 1", "true")
        boxed.bench.run(replace(build, stop_on_first_fail=True))
        assert engine.containers == {}

    def test_it_goes_when_the_build_is_over_whatever_was_said_before(
        self, boxed: Boxed, engine: Engine
    ) -> None:
        build = boxed.bench.build("true", "true")
        boxed.bench.run(build)
        assert len(engine.containers) == 1
        boxed.extension.build_finished(replace(build_event(BuildStatus.CANCELLED), id=build.id))
        assert engine.containers == {}

    def test_it_is_as_the_options_say(self, boxed: Boxed, engine: Engine, tmp_path: Path) -> None:
        boxed.declare(
            memory="512M", cpus="1.5", network="none", user="1000:1000",
            volumes=[f"{tmp_path}:/srv:ro"],
        )  # fmt: skip
        boxed.run("true")
        (body,) = engine.bodies

        assert body["User"] == "1000:1000"
        assert body["WorkingDir"] == MOUNT
        assert body["HostConfig"]["Memory"] == 512_000_000
        assert body["HostConfig"]["NanoCpus"] == 1_500_000_000
        assert body["HostConfig"]["NetworkMode"] == "none"
        assert body["HostConfig"]["Binds"] == [f"{tmp_path}:{MOUNT}", f"{tmp_path}:/srv:ro"]
        assert body["Labels"]["sloth-ci.listen_point"] == "spam/eggs"

    def test_what_an_action_leaves_behind_ends_with_it(
        self, boxed: Boxed, witness: Witness
    ) -> None:
        build = boxed.bench.build("setsid sleep 1000 > witness & echo done", "true")
        assert boxed.bench.run(build).status is OutcomeStatus.COMPLETED
        witness.wait_until_gone()

    def test_what_a_detached_one_leaves_behind_ends_with_the_build(
        self, boxed: Boxed, witness: Witness
    ) -> None:
        build = boxed.bench.build("sleep 1000 > witness &", "true", detach=True)
        assert boxed.bench.run(build).status is OutcomeStatus.COMPLETED
        assert witness.alive()
        boxed.bench.run(build, position=1)
        witness.wait_until_gone()

    def test_leftovers_of_an_earlier_life_are_removed_at_the_start(
        self, boxed: Boxed, engine: Engine
    ) -> None:
        build = boxed.bench.build("true", "true")
        boxed.bench.run(build)
        (ours,) = engine.containers.values()
        labels = {**ours.body["Labels"], "sloth-ci.life": "1_1"}
        left = replace(ours, body={**ours.body, "Labels": labels})
        foreign = replace(ours, body={**ours.body, "Labels": {"sloth-ci": "somebody-elses"}})
        engine.containers |= {
            "left": replace(left, jail=None), "foreign": replace(foreign, jail=None)
        }  # fmt: skip
        boxed.extension.open()
        assert sorted(engine.containers) == ["c1", "foreign"]

    def test_a_container_that_cannot_start_is_no_leftover(
        self, boxed: Boxed, engine: Engine
    ) -> None:
        boxed.declare(network="nowhere")
        outcome = boxed.run("true")
        assert outcome.reason == (
            "Docker can't start a container of alpine: network nowhere not found"
        )
        assert engine.containers == {}


class TestEndByForce:
    def test_a_timeout_ends_everything(
        self, boxed: Boxed, engine: Engine, witness: Witness
    ) -> None:
        text = "(setsid sleep 1000 > witness) & trap '' TERM; while :; do sleep 1; done"
        outcome = boxed.run(text, within=1, exec_timeout=1)

        assert outcome == Outcome(OutcomeStatus.TIMED_OUT, "Timed out after 1 second")
        witness.wait_until_gone()
        assert engine.containers == {}

    @pytest.mark.parametrize("status", [BuildStatus.CANCELLED, BuildStatus.INTERRUPTED])
    def test_an_order_ends_everything(
        self, boxed: Boxed, engine: Engine, witness: Witness, status: BuildStatus
    ) -> None:
        boxed.bench.journal = Recorder(_ordering(boxed.bench, status))
        outcome = boxed.run("sleep 1000 > witness & echo ready; wait")

        assert outcome == Outcome(OutcomeStatus.HALTED, status.value.capitalize())
        witness.wait_until_gone()
        assert engine.containers == {}

    def test_term_comes_first(self, boxed: Boxed) -> None:
        boxed.bench.journal = Recorder(_ordering(boxed.bench, BuildStatus.CANCELLED))
        boxed.run("trap 'echo bye; exit' TERM; echo ready; sleep 1000 & wait")
        assert boxed.texts == ["ready", "bye"]

    def test_the_action_after_a_timeout_has_a_new_container(
        self, boxed: Boxed, engine: Engine
    ) -> None:
        build = boxed.bench.build("sleep 1000", "echo again")
        assert boxed.bench.run(build, within=1).status is OutcomeStatus.TIMED_OUT
        assert boxed.bench.run(build, position=1).status is OutcomeStatus.COMPLETED
        assert engine.count("POST /containers/create") == 2

    @pytest.mark.parametrize("way", ["pull", "build"])
    def test_cancelling_ends_the_wait_for_an_image(
        self, boxed: Boxed, engine: Engine, way: str
    ) -> None:
        engine.slow = True
        (boxed.bench.folder / "Dockerfile").write_text("FROM x")
        boxed.declare(
            **({"image": "other"} if way == "pull" else {"image": None, "dockerfile": "Dockerfile"})
        )
        boxed.bench.journal = Recorder(
            lambda line: (
                boxed.bench.halt.order(BuildStatus.CANCELLED)
                if line.startswith(("latest: Pulling", "Step"))
                else None
            )
        )
        assert boxed.run("true", within=None) == Outcome(OutcomeStatus.HALTED, "Cancelled")


class TestImages:
    def test_a_missing_one_is_pulled_once_and_its_progress_told(
        self, boxed: Boxed, engine: Engine
    ) -> None:
        boxed.declare(image="python:3.12")
        assert boxed.run("true").status is OutcomeStatus.COMPLETED
        assert boxed.texts == [
            "Pulling python:3.12", "3.12: Pulling from python", "a1: Pull complete",
            "Status: Downloaded newer image for python:3.12",
        ]  # fmt: skip
        boxed.run("true")
        assert engine.count("POST /images/create") == 1

    def test_always_pulls_what_is_there(self, boxed: Boxed, engine: Engine) -> None:
        boxed.declare(pull="always")
        engine.images.add("alpine:latest")
        boxed.run("true")
        assert engine.count("POST /images/create") == 1

    def test_never_pulls_nothing(self, boxed: Boxed, engine: Engine) -> None:
        boxed.declare(image="other", pull="never")
        reason = boxed.run("true").reason
        assert reason == "Docker can't start a container of other: No such image: other"
        assert engine.count("POST /images/create") == 0

    def test_one_that_is_nowhere_fails_the_action_in_the_engines_words(self, boxed: Boxed) -> None:
        boxed.declare(image="missing")
        reason = boxed.run("true").reason
        assert reason == "Docker can't pull the image missing: pull access denied for missing"

    def test_a_dockerfile_is_built_once_per_change(self, boxed: Boxed, engine: Engine) -> None:
        dockerfile = boxed.bench.folder / "Dockerfile"
        dockerfile.write_text("FROM x")
        boxed.declare(image=None, dockerfile="Dockerfile")
        for _ in range(2):
            assert boxed.run("true").status is OutcomeStatus.COMPLETED
        assert engine.count("POST /build") == 1
        dockerfile.write_text("FROM y")
        boxed.run("true")
        assert engine.count("POST /build") == 2
        assert all(body["Image"].startswith("sloth-ci/spam/eggs:") for body in engine.bodies)
        assert any(line.startswith("Step 1/1") for line in boxed.texts)

    def test_so_are_the_files_it_may_copy(self, boxed: Boxed, engine: Engine) -> None:
        folder = boxed.bench.folder / "ci"
        folder.mkdir()
        (folder / "Dockerfile").write_text("FROM x\nCOPY a /a")
        (folder / ".dockerignore").write_text("# not these\nlogs\n")
        (folder / "a").write_text("1")
        (folder / "logs").write_text("1")
        boxed.declare(image=None, dockerfile="ci/Dockerfile", context="ci")
        boxed.run("true")
        (folder / "logs").write_text("2")
        boxed.run("true")
        assert engine.count("POST /build") == 1
        assert engine.contexts[0] == [".dockerignore", "Dockerfile", "a"]
        (folder / "a").write_text("2")
        boxed.run("true")
        assert engine.count("POST /build") == 2

    def test_a_build_that_fails_fails_the_action(self, boxed: Boxed) -> None:
        (boxed.bench.folder / "Dockerfile").write_text("FROM x\nRUN false")
        boxed.declare(image=None, dockerfile="Dockerfile")
        outcome = boxed.run("true")
        assert outcome == Outcome(OutcomeStatus.FAILED, "returned a non-zero code: 1")

    def test_a_dockerfile_that_is_not_there_is_named(self, boxed: Boxed) -> None:
        boxed.declare(image=None, dockerfile="Dockerfile")
        assert "Dockerfile" in boxed.run("true").reason

    def test_a_link_out_of_the_work_dir_is_not_followed(self, boxed: Boxed, engine: Engine) -> None:
        (boxed.bench.folder / "Dockerfile").symlink_to("/etc/passwd")
        boxed.declare(image=None, dockerfile="Dockerfile")
        assert "leads out of the work_dir" in boxed.run("true").reason
        assert engine.count("POST /build") == 0


class TestEngine:
    def test_none_fails_the_action_and_is_named(self, boxed: Boxed, tmp_path: Path) -> None:
        boxed.declare(engine=f"unix://{tmp_path}/none")
        outcome = boxed.run("true")
        assert outcome.status is OutcomeStatus.FAILED
        assert outcome.reason.startswith(f"Docker at unix://{tmp_path}/none can't be reached")

    def test_none_at_the_start_is_logged_and_no_more(self, boxed: Boxed, tmp_path: Path) -> None:
        boxed.declare(engine=f"unix://{tmp_path}/none").open()
        assert "can't be reached" in boxed.trial.log[0][1]

    def test_one_that_dies_meanwhile_fails_the_action(self, boxed: Boxed, engine: Engine) -> None:
        build = boxed.bench.build("true", "true")
        boxed.bench.run(build)
        engine.stop()
        engine.containers.clear()
        engine.execs.clear()
        assert boxed.bench.run(build, position=1).status is OutcomeStatus.FAILED

    def test_several_builds_at_a_time_have_a_container_each(
        self, boxed: Boxed, engine: Engine
    ) -> None:
        os.mkfifo(boxed.bench.folder / "meeting")
        got: list[Outcome] = []

        def run(number: int, text: str) -> None:
            build = replace(boxed.bench.build(text), id=number)
            halt = Halt()
            got.append(boxed.extension.run_action(build, 0, None, halt, Recorder()))
            halt.close()

        threads = [
            threading.Thread(target=run, args=(number, text))
            for number, text in enumerate(("echo x > meeting", "cat meeting"), start=20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert [outcome.status for outcome in got] == [OutcomeStatus.COMPLETED] * 2
        assert engine.count("POST /containers/create") == 2


class TestOptions:
    @pytest.mark.parametrize(
        ("said", "sentence"),
        [
            ({}, "either an 'image' or a 'dockerfile'"),
            ({"image": "x", "dockerfile": "y"}, "either an 'image' or a 'dockerfile'"),
            ({"image": "x", "context": "."}, "which are for a 'dockerfile'"),
            ({"image": "x", "mount": "work"}, "a folder in the container"),
            ({"image": "x", "volumes": ["/a"]}, "is not as /here:/there"),
            ({"image": "x", "volumes": ["/a:b"]}, "is not as /here:/there"),
            ({"image": "x", "cpus": "0"}, "a number of processors"),
            ({"image": "x", "memory": "much"}, "a size"),
            ({"image": "x", "pull": "often"}, "missing, always, never"),
            ({"image": "x", "engine": "ssh://host"}, "unix:///var/run/docker.sock"),
        ],
        ids=str,
    )
    def test_bad_ones_are_refused(
        self, tmp_path: Path, said: dict[str, Any], sentence: str
    ) -> None:
        with pytest.raises(ValidationError, match=sentence):
            read_options(module, said, tmp_path)

    def test_the_manual_loads(self, tmp_path: Path) -> None:
        first, full = options_in(module, base_dir=tmp_path)
        assert (first.image, first.mount, first.pull) == ("python:3.12-slim", "/work", "missing")
        assert (full.memory, full.cpus, full.network) == (512_000_000, 1.5, "none")


def _ordering(bench: Bench, status: BuildStatus) -> Callable[[str], None]:
    def heed(line: str) -> None:
        if line == "ready":
            bench.halt.order(status)

    return heed
