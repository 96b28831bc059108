"""What an action finds, how it ends, and what is said of it."""

import errno
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from sloth_ci.builds import BuildStatus, Halt, Outcome, OutcomeStatus
from sloth_ci.records import Stream
from sloth_ci.shell import ShellRunner

from .conftest import Bench, Recorder, Witness


class TestEnd:
    def test_exit_code_0_completes(self, bench: Bench) -> None:
        assert bench.run(bench.build("true")) == Outcome(OutcomeStatus.COMPLETED, exit_code=0)

    def test_another_exit_code_fails_and_is_told(self, bench: Bench) -> None:
        outcome = bench.run(bench.build("exit 3"))
        assert outcome == Outcome(OutcomeStatus.FAILED, "Exit code: 3", exit_code=3)

    def test_a_signal_fails_and_is_told_by_name(self, bench: Bench) -> None:
        outcome = bench.run(bench.build("kill -9 $$"))
        reason = "Killed by signal 9 (SIGKILL)"
        assert outcome == Outcome(OutcomeStatus.FAILED, reason, signal=9)

    def test_a_realtime_signal_without_a_name_is_told_too(self, bench: Bench) -> None:
        number = int(signal.SIGRTMIN) + 2
        outcome = bench.run(bench.build(f"kill -{number} $$"))
        assert outcome.reason == f"Killed by signal {number} (SIGRTMIN+2)"

    def test_closed_output_does_not_end_the_action(self, bench: Bench) -> None:
        outcome = bench.run(bench.build("exec >&- 2>&-; mkdir made; exit 4"))
        assert outcome.exit_code == 4
        assert (bench.folder / "made").is_dir()

    def test_without_pidfd_the_end_is_noticed_too(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "pidfd_open", _refuse)
        outcome = bench.run(bench.build("echo one; exit 3"))
        assert outcome.reason == "Exit code: 3"
        assert bench.journal.texts == ["one"]


class TestNotStarted:
    def test_a_placeholder_without_value_starts_nothing(self, bench: Bench) -> None:
        outcome = bench.run(bench.build("touch ran; echo {branch}"))
        assert outcome == Outcome(OutcomeStatus.FAILED, "Missing param: 'branch'")
        assert not (bench.folder / "ran").exists()

    def test_a_value_that_cannot_travel_fails_with_the_reason(self, bench: Bench) -> None:
        outcome = bench.run(bench.build("touch ran; echo {x}", params={"x": "a\0b"}))
        assert outcome.status is OutcomeStatus.FAILED
        assert "NUL" in outcome.reason
        assert not (bench.folder / "ran").exists()

    def test_a_missing_work_dir_is_named(self, bench: Bench) -> None:
        missing = bench.folder / "missing"
        outcome = bench.run(bench.build("true", work_dir=missing))
        assert outcome.status is OutcomeStatus.FAILED
        assert f"work_dir '{missing}' does not exist" in outcome.reason

    def test_a_file_as_work_dir_is_named(self, bench: Bench) -> None:
        file = bench.folder / "file"
        file.touch()
        assert f"'{file}' is no folder" in bench.run(bench.build("true", work_dir=file)).reason

    def test_more_params_than_the_system_takes_fail_with_the_limit(self, bench: Bench) -> None:
        params = {f"x{number}": "v" * 130_000 for number in range(40)}
        outcome = bench.run(bench.build("true", params=params))
        assert outcome.status is OutcomeStatus.FAILED
        assert "E2BIG" in outcome.reason

    def test_an_env_name_no_system_takes_fails(self, bench: Bench) -> None:
        outcome = bench.run(bench.build("true", env={"A=B": "x"}))
        assert outcome.status is OutcomeStatus.FAILED
        assert "'env'" in outcome.reason

    @pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOEXEC])
    def test_a_limit_of_the_system_fails_and_leaks_nothing(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        def fail(*args: object, **options: object) -> None:
            raise OSError(number, os.strerror(number))

        before = _open_descriptors()
        with monkeypatch.context() as patched:
            patched.setattr(subprocess, "Popen", fail)
            outcome = bench.run(bench.build("true"))
        assert outcome.status is OutcomeStatus.FAILED
        assert errno.errorcode[number] in outcome.reason or os.strerror(number) in outcome.reason
        assert _open_descriptors() == before

    def test_a_halted_build_starts_nothing(self, bench: Bench) -> None:
        bench.halt.order(BuildStatus.CANCELLED)
        outcome = bench.run(bench.build("touch ran"))
        assert outcome == Outcome(OutcomeStatus.HALTED, "Cancelled")
        assert not (bench.folder / "ran").exists()


class TestEnvironment:
    def test_only_harmless_names_are_inherited(self, bench: Bench) -> None:
        bench.runner = ShellRunner(
            inherit={
                "HOME": "/h",
                "LANG": "C",
                "LC_ALL": "C",
                "TERM": "xterm",
                "DATABASE_PASSWORD": "hunter2",
                "PATH": os.environ["PATH"],
            }
        )
        bench.run(bench.build("env", params={"branch": "main"}, env={"MINE": "1"}))
        found = dict(line.split("=", 1) for line in bench.journal.texts)
        # These three are the shell's own, or tell an action's processes from others'.
        for name in ("PWD", "_", "SHLVL", "OLDPWD"):
            found.pop(name, None)
        assert found.pop("SLOTH_ACTION")
        assert found == {
            "HOME": "/h",
            "LANG": "C",
            "LC_ALL": "C",
            "PATH": os.environ["PATH"],
            "MINE": "1",
            "SLOTH_PARAM_branch": "main",
            "SLOTH_LISTEN_POINT": "spam/eggs",
            "SLOTH_BUILD": "7",
        }

    def test_there_is_a_path_even_where_the_server_has_none(self, bench: Bench) -> None:
        bench.runner = ShellRunner(inherit={})
        assert bench.run(bench.build("ls /")).status is OutcomeStatus.COMPLETED

    def test_a_server_run_by_an_action_hands_its_marker_down(self, bench: Bench) -> None:
        bench.runner = ShellRunner(inherit={"SLOTH_ACTION": "outer-1."})
        bench.run(bench.build("echo $SLOTH_ACTION"))
        assert bench.journal.texts[0].startswith("outer-1.")
        assert bench.journal.texts[0] != "outer-1."

    def test_line_numbers_are_those_of_the_action(self, bench: Bench) -> None:
        bench.run(bench.build("true\nno-such-command"))
        assert " 2: " in bench.journal.texts[0]

    def test_a_value_is_never_shell_text(self, bench: Bench) -> None:
        bench.run(bench.build("echo {x}", params={"x": "$(touch pwned); `touch pwned`"}))
        assert bench.journal.texts == ["$(touch pwned); `touch pwned`"]
        assert not (bench.folder / "pwned").exists()

    def test_it_runs_in_the_work_dir_with_nothing_to_read(self, bench: Bench) -> None:
        bench.run(bench.build("pwd -P; cat; echo end"))
        assert bench.journal.texts == [str(bench.folder.resolve()), "end"]

    def test_it_leads_a_session_of_its_own(self, bench: Bench) -> None:
        bench.run(bench.build("echo $$; ps -o sid= -p $$ || cut -d' ' -f6 /proc/$$/stat"))
        pid, session = bench.journal.texts
        assert session.strip() == pid

    def test_no_descriptor_of_the_server_is_inherited(self, bench: Bench) -> None:
        read, write = os.pipe()
        os.set_inheritable(write, True)
        target = f"pipe:[{os.fstat(write).st_ino}]"
        try:
            bench.run(bench.build("ls -l /proc/self/fd"))
            assert any("/dev/null" in line for line in bench.journal.texts)
            assert not any(target in line for line in bench.journal.texts)
        finally:
            os.close(read)
            os.close(write)


class TestTime:
    def test_the_deadline_ends_it(self, bench: Bench) -> None:
        outcome = bench.run(bench.build("exec sleep 1000", exec_timeout=0.2), within=0.2)
        expected = Outcome(OutcomeStatus.TIMED_OUT, "Timed out after 0.2 seconds", signal=15)
        assert outcome == expected

    def test_a_deadline_that_is_over_ends_it(self, bench: Bench) -> None:
        assert bench.run(bench.build("sleep 1000"), within=-1).status is OutcomeStatus.TIMED_OUT

    def test_it_may_be_as_long_as_a_config_says(self, bench: Bench) -> None:
        assert bench.run(bench.build("true"), within=9e8).status is OutcomeStatus.COMPLETED

    @pytest.mark.parametrize(
        ("given", "said"),
        [(5, "5 seconds"), (1, "1 second"), (0.5, "0.5 seconds"), (3600.0, "3600 seconds")],
    )
    def test_the_reason_has_the_figure_of_the_config(self, given: float, said: str) -> None:
        from sloth_ci.shell.run import describe_timeout, seconds_given

        seconds = seconds_given(monotonic() + given - 0.01, given)
        assert describe_timeout(seconds) == f"Timed out after {said}"

    def test_a_build_deadline_is_told_by_what_was_left(self) -> None:
        from sloth_ci.shell.run import seconds_given

        assert seconds_given(monotonic() + 3, 10) == pytest.approx(3, abs=0.5)

    def test_the_shell_has_the_grace_to_end_in_order(self, bench: Bench) -> None:
        bench.runner = ShellRunner(grace=20)
        bench.journal = Recorder(_order_on("ready", bench.halt))
        text = "trap 'echo tidied; exit 5' TERM; echo ready; while :; do sleep 0.01; done"
        outcome = bench.run(bench.build(text))
        assert outcome == Outcome(OutcomeStatus.HALTED, "Cancelled", exit_code=5)
        assert bench.journal.of(Stream.STDOUT) == ["ready", "tidied"]

    def test_an_ignored_term_is_followed_by_kill(self, bench: Bench) -> None:
        bench.journal = Recorder(_order_on("ready", bench.halt))
        outcome = bench.run(bench.build("trap '' TERM; echo ready; sleep 1000"))
        assert outcome == Outcome(OutcomeStatus.HALTED, "Cancelled", signal=9)

    def test_an_order_from_another_thread_ends_it(self, bench: Bench) -> None:
        started = threading.Event()
        bench.journal = Recorder(lambda _: started.set())

        def order() -> None:
            assert started.wait(20)
            bench.halt.order(BuildStatus.INTERRUPTED)

        other = threading.Thread(target=order)
        other.start()
        outcome = bench.run(bench.build("echo ready; sleep 1000"), within=None)
        other.join()
        assert outcome.status is OutcomeStatus.HALTED
        assert outcome.reason == "Interrupted"

    def test_a_flood_is_ended_too(self, bench: Bench) -> None:
        outcome = bench.run(bench.build("trap '' TERM; yes", max_output=10_000), within=0.2)
        assert outcome.status is OutcomeStatus.TIMED_OUT
        assert outcome.signal == 9

    def test_without_pidfd_the_deadline_ends_the_group(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "pidfd_open", _refuse)
        outcome = bench.run(bench.build("sleep 1000; true"), within=0.1)
        assert outcome.status is OutcomeStatus.TIMED_OUT


class TestManyAtOnce:
    def test_threads_keep_their_outputs_apart(self, bench: Bench) -> None:
        runner = ShellRunner()
        seen: dict[int, list[str]] = {}

        def run(number: int) -> None:
            halt, journal = Halt(), Recorder()
            for turn in range(10):
                build = bench.build(f"echo {number}-{turn}; sleep 0 & exit {number}")
                outcome = runner(build, 0, monotonic() + 20, halt, journal)
                assert outcome.exit_code == number
            seen[number] = journal.texts
            halt.close()

        threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == {n: [f"{n}-{turn}" for turn in range(10)] for n in range(6)}

    @pytest.mark.usefixtures("subreaper")
    def test_threads_leave_nothing_behind(self, bench: Bench, witness: Witness) -> None:
        runner = ShellRunner(grace=0.2)
        # Each is caught on the way from one session, parent and program to the next.
        texts = [
            "exec 3>witness; setsid sleep 1000 & sleep 1000 & true",
            "exec 3>witness; (setsid sh -c 'sleep 1000 & exit 0' &); true",
        ]

        def run() -> None:
            halt, journal = Halt(), Recorder()
            for turn in range(20):
                runner(bench.build(texts[turn % 2]), 0, monotonic() + 20, halt, journal)
            halt.close()

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not witness.alive()

    @pytest.mark.usefixtures("subreaper")
    def test_descriptors_and_children_are_back_to_the_start(self, bench: Bench) -> None:
        bench.run(bench.build("true"))
        descriptors, children = _open_descriptors(), _children()
        for number in range(50):
            bench.run(bench.build("echo x"))
            bench.run(bench.build("exit 3"))
            bench.run(bench.build("true & setsid true & (true &)"))
            bench.run(bench.build("true", work_dir=Path(f"/missing/{number}")))
        bench.run(bench.build("true"))
        assert _open_descriptors() == descriptors
        assert _children() == children


def _refuse(pid: int) -> int:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _order_on(text: str, halt: Halt) -> Callable[[str], None]:
    def order(line: str) -> None:
        if line == text:
            halt.order(BuildStatus.CANCELLED)

    return order


def _open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _children() -> set[str]:
    return {
        child
        for thread in Path("/proc/self/task").iterdir()
        for child in (thread / "children").read_text().split()
    }
