"""`wrap_exec`: the whole action behind a command, in a real jail and behind made-up ones."""

import os
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import sloth_ci_extensions.wrap_exec as module
from pydantic import ValidationError

from sloth_ci.builds import BuildStatus, Limits, Outcome, OutcomeStatus
from sloth_ci.records import Stream
from sloth_ci.shell import ShellRunner
from sloth_ci.trial import Trial
from tests.shell.conftest import Bench, Recorder, Witness, subreaper, witness

from .manuals import options_in, read_options

__all__ = ["subreaper", "witness"]

JAIL = "bwrap --ro-bind / / --dev /dev --proc /proc --unshare-pid"

Wrapped = Callable[..., Bench]


@pytest.fixture
def wrapped(tmp_path: Path) -> Iterator[Wrapped]:
    """A bench whose actions run behind a command."""
    with Trial(base_dir=tmp_path) as trial:
        bench = Bench(tmp_path)
        made = bench.runner

        def make(command: Any, *, runner: ShellRunner = made, **options: str) -> Bench:
            read = read_options(module, {"command": command, **options}, tmp_path)
            object.__setattr__(trial.context, "shell", runner)
            bench.runner = module.WrapExec(read, trial.context).run_action
            return bench

        yield make
        bench.halt.close()


@pytest.fixture
def jailed(wrapped: Wrapped, tmp_path: Path) -> Bench:
    """A bench whose actions run behind bubblewrap; the folder is theirs to write."""
    if which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    tried = subprocess.run([*JAIL.split(), "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"bubblewrap can make no jail here: {tried.stderr.strip()}")
    return wrapped(f"{JAIL} --bind {tmp_path} {tmp_path} --tmpfs /srv")


def script(folder: Path, text: str) -> Path:
    """A program of that shell text."""
    file = folder / "program"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


class TestJail:
    def test_the_whole_action_runs_inside(self, jailed: Bench) -> None:
        # The tmpfs on /srv is the jail's alone.
        outcome = jailed.run(jailed.build("touch /srv/first && touch /srv/second; ls /srv"))

        assert outcome == Outcome(OutcomeStatus.COMPLETED, exit_code=0)
        assert jailed.journal.of(Stream.STDOUT) == ["first", "second"]
        assert not Path("/srv/first").exists()
        assert not Path("/srv/second").exists()

    def test_the_work_dir_and_values_are_those_of_any_action(self, jailed: Bench) -> None:
        build = jailed.build(
            "echo {x} > made; echo '{x}' \"$EXTRA\"; pwd",
            params={"x": "a'b\"; touch pwned #"},
            env={"EXTRA": "more"},
        )
        assert jailed.run(build).status is OutcomeStatus.COMPLETED

        assert jailed.journal.texts == ["a'b\"; touch pwned # more", str(jailed.folder)]
        assert (jailed.folder / "made").read_text() == "a'b\"; touch pwned #\n"
        assert not (jailed.folder / "pwned").exists()

    def test_the_exit_code_and_stderr_come_out(self, jailed: Bench) -> None:
        outcome = jailed.run(jailed.build("echo oops >&2; exit 3"))

        assert outcome == Outcome(OutcomeStatus.FAILED, "Exit code: 3", exit_code=3)
        assert jailed.journal.of(Stream.STDERR) == ["oops"]

    @pytest.mark.usefixtures("subreaper")
    def test_a_timeout_ends_everything_in_the_jail(self, jailed: Bench, witness: Witness) -> None:
        build = jailed.build("(setsid sleep 1000 > witness) & sleep 1000 > witness")
        assert jailed.run(build, within=0.5).status is OutcomeStatus.TIMED_OUT
        witness.wait_until_gone()

    @pytest.mark.usefixtures("subreaper")
    def test_cancelling_ends_everything_in_the_jail(self, jailed: Bench, witness: Witness) -> None:
        def order(line: str) -> None:
            if line == "ready":
                jailed.halt.order(BuildStatus.CANCELLED)

        jailed.journal = Recorder(order)
        outcome = jailed.run(jailed.build("sleep 1000 > witness & echo ready; wait"))

        assert outcome.status is OutcomeStatus.HALTED
        assert outcome.reason == "Cancelled"
        witness.wait_until_gone()

    @pytest.mark.usefixtures("subreaper")
    def test_what_is_left_behind_in_the_jail_ends_with_the_action(
        self, jailed: Bench, witness: Witness
    ) -> None:
        outcome = jailed.run(jailed.build("setsid sleep 1000 > witness & echo done"))

        assert outcome.status is OutcomeStatus.COMPLETED
        witness.wait_until_gone()

    def test_limits_hold_inside(self, jailed: Bench) -> None:
        outcome = jailed.run(
            jailed.build("head -c 3000000 /dev/zero > big", limits=Limits(file_size=1_000_000))
        )
        assert outcome.status is OutcomeStatus.FAILED
        assert (jailed.folder / "big").stat().st_size <= 1_000_000

    def test_a_flood_of_output_is_cut_as_for_any_action(self, jailed: Bench) -> None:
        build = jailed.build("yes | head -c 3000000; echo end", max_output=100_000)
        assert jailed.run(build).status is OutcomeStatus.COMPLETED

        assert jailed.journal.texts[-1] == "end"
        assert any("left out here" in line for line in jailed.journal.of(Stream.STDERR))


class TestCommand:
    def test_it_gets_the_shell_and_the_text_as_arguments(
        self, wrapped: Wrapped, tmp_path: Path
    ) -> None:
        program = script(tmp_path, 'for word in "$@"; do echo "<$word>"; done')
        bench = wrapped([str(program), "two words", "*"], shell="/bin/bash")
        bench.run(bench.build("echo 'a  b' && echo {x}", params={"x": "1"}))

        assert bench.journal.texts == [
            "<two words>", "<*>", "</bin/bash>", "<-c>",
            "<echo 'a  b' && echo \"${SLOTH_PARAM_x}\">",
        ]  # fmt: skip

    def test_a_text_is_split_as_by_a_shell(self, tmp_path: Path) -> None:
        said = {"command": "vzctl exec '10 1' a\\ b"}
        assert read_options(module, said, tmp_path).command == ("vzctl", "exec", "10 1", "a b")

    def test_one_that_is_missing_fails_the_action_and_says_so(self, wrapped: Wrapped) -> None:
        bench = wrapped("no-such-wrapper --")
        outcome = bench.run(bench.build("touch ran"))

        assert outcome.exit_code == 127
        assert "no-such-wrapper" in bench.journal.texts[0]
        assert not (bench.folder / "ran").exists()

    def test_a_placeholder_without_value_starts_nothing(self, wrapped: Wrapped) -> None:
        bench = wrapped("env")
        outcome = bench.run(bench.build("touch ran; echo {branch}"))

        assert outcome == Outcome(OutcomeStatus.FAILED, "Missing param: 'branch'")
        assert not (bench.folder / "ran").exists()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
    def test_it_may_change_the_user(self, wrapped: Wrapped) -> None:
        bench = wrapped("setpriv --reuid 65534 --regid 65534 --clear-groups")
        bench.run(bench.build("id -u && id -u"))
        assert bench.journal.texts == ["65534", "65534"]

    @pytest.mark.parametrize(
        ("command", "sentence"),
        [
            ("", "is empty"),
            ([], "is empty"),
            ("'", "has no closing quotation"),
            ({"a": "b"}, "or a list of its words"),
            (["a", None], "or a list of its words"),
            (["a\0"], "NUL"),
        ],
        ids=["no text", "no words", "an open quote", "a mapping", "an empty word", "a NUL"],
    )
    def test_bad_ones_are_refused(self, tmp_path: Path, command: Any, sentence: str) -> None:
        with pytest.raises(ValidationError, match=sentence):
            read_options(module, {"command": command}, tmp_path)


class TestEmptyEnvironment:
    HOSTILE: Mapping[str, str] = {"x": "a 'b' \"c\" $(touch pwned) `touch pwned`\n; touch pwned"}

    def test_a_command_that_drops_the_environment_loses_the_values(self, wrapped: Wrapped) -> None:
        bench = wrapped("env -i")
        bench.run(bench.build("echo [{x}]", params={"x": "1"}))
        assert bench.journal.texts == ["[]"]

    def test_env_sets_them_inside(self, wrapped: Wrapped) -> None:
        bench = wrapped("env -i", environment="env")
        bench.run(
            bench.build(
                'echo {x}; echo "$EXTRA $SLOTH_BUILD $SLOTH_LISTEN_POINT"',
                params=self.HOSTILE,
                env={"EXTRA": "more"},
            )
        )
        assert "\n".join(bench.journal.texts) == f"{self.HOSTILE['x']}\nmore 7 spam/eggs"
        assert not (bench.folder / "pwned").exists()

    def test_env_sets_only_what_is_the_builds_own(self, wrapped: Wrapped) -> None:
        bench = wrapped("env -i", environment="env")
        bench.run(bench.build("env", params={"x": "1"}))
        names = {line.partition("=")[0] for line in bench.journal.texts}
        assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {
            "SLOTH_PARAM_x", "SLOTH_BUILD", "SLOTH_LISTEN_POINT",
        }  # fmt: skip

    @pytest.mark.parametrize("environment", ["keep", "env"])
    def test_one_that_takes_a_text_gets_it_quoted(
        self, wrapped: Wrapped, tmp_path: Path, environment: str
    ) -> None:
        # As `vzctl exec` does: all words in a row are what a shell reads.
        program = script(tmp_path, 'shift 2; exec /bin/sh -c "$*"')
        bench = wrapped(f"{program} exec 101", takes="text", environment=environment)
        bench.run(bench.build("echo {x} && echo 'b  c'", params=self.HOSTILE))

        assert "\n".join(bench.journal.texts) == f"{self.HOSTILE['x']}\nb  c"
        assert not (bench.folder / "pwned").exists()


def test_the_manual_loads(tmp_path: Path) -> None:
    jail, container = options_in(module, base_dir=tmp_path)

    assert jail.command[0] == "bwrap"
    assert (container.takes, container.environment, container.shell) == ("text", "env", "/bin/bash")
    assert container.command == ("vzctl", "exec", "101")
