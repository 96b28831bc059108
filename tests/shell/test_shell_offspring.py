"""Whatever an action starts ends with it, wherever it hides; nothing else does."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import pytest

from sloth_ci.builds import BuildStatus, OutcomeStatus

from .conftest import PATIENCE, Bench, Recorder, Witness

#: Each leaves one process behind that holds the witness, and says so in the fifo `ready`.
HIDING = {
    "a background child": "(echo >ready; exec sleep 1000) 3>witness &",
    "one that ignores TERM": "(trap '' TERM; echo >ready; exec sleep 1000) 3>witness &",
    "one without our pipes": "(echo >ready; exec sleep 1000) 3>witness >/dev/null 2>&1 &",
    "one that is stopped": "(sh -c 'echo >ready; kill -STOP $$; sleep 1000') 3>witness &",
    "one without environment": "env -i sh -c 'echo >ready; exec sleep 1000' 3>witness &",
    "one in another session": "setsid sh -c 'echo >ready; exec sleep 1000' 3>witness &",
    "a double fork": "( (echo >ready; exec sleep 1000) 3>witness & )",
    "a double fork in another session": (
        "setsid sh -c '(echo >ready; exec sleep 1000) 3>witness &' & "
    ),
    "one with a name like no other": (
        "cp $(command -v sleep) ') Z 1 (' && (echo >ready; exec './) Z 1 (' 1000) 3>witness &"
    ),
}
#: Out of the shell's sight for good without a subreaper.
LOST_ALONE = {"one in another session", "a double fork in another session"}


@pytest.fixture(autouse=True)
def ready(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ready")


@pytest.mark.parametrize("text", HIDING.values(), ids=list(HIDING))
@pytest.mark.usefixtures("subreaper")
class TestWithSubreaper:
    def test_it_ends_with_the_shell(self, bench: Bench, witness: Witness, text: str) -> None:
        outcome = bench.run(bench.build(f"{text}\nread _ <ready; echo done"))
        assert outcome.status is OutcomeStatus.COMPLETED
        assert bench.journal.texts == ["done"]
        assert not witness.alive()

    def test_it_ends_with_a_halt(self, bench: Bench, witness: Witness, text: str) -> None:
        _halt_on_ready(bench)
        outcome = bench.run(bench.build(f"{text}\nread _ <ready; echo ready; sleep 1000"))
        assert outcome.status is OutcomeStatus.HALTED
        assert not witness.alive()


@pytest.mark.parametrize("text", HIDING.values(), ids=list(HIDING))
class TestWithoutSubreaper:
    def test_it_ends_with_a_halt(self, bench: Bench, witness: Witness, text: str) -> None:
        _halt_on_ready(bench)
        outcome = bench.run(bench.build(f"{text}\nread _ <ready; echo ready; sleep 1000"))
        assert outcome.status is OutcomeStatus.HALTED
        assert not witness.alive()


@pytest.mark.parametrize(
    "text", [HIDING[name] for name in HIDING if name not in LOST_ALONE], ids=str
)
def test_without_subreaper_the_session_ends_with_the_shell(
    bench: Bench, witness: Witness, text: str
) -> None:
    outcome = bench.run(bench.build(f"{text}\nread _ <ready; echo done"))
    assert outcome.status is OutcomeStatus.COMPLETED
    assert not witness.alive()


def test_without_pidfd_the_group_ends_with_the_shell(
    bench: Bench, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(pid: int) -> int:
        raise OSError(38, "none")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    bench.run(bench.build(f"{HIDING['a background child']}\nread _ <ready"))
    witness.wait_until_gone()


@pytest.mark.usefixtures("subreaper")
class TestLeftovers:
    def test_it_is_asked_by_term_first(self, bench: Bench, witness: Witness) -> None:
        text = (
            "(trap 'echo tidied; exit' TERM; echo >ready; while :; do sleep 0.01; done)"
            " 3>witness &\nread _ <ready; echo done"
        )
        bench.run(bench.build(text))
        assert bench.journal.texts[0] == "done"
        assert "tidied" in bench.journal.texts
        assert not witness.alive()

    def test_a_hundred_of_them_end(self, bench: Bench, witness: Witness) -> None:
        text = "exec 3>witness; for i in $(seq 100); do sleep 1000 & done; setsid sleep 1000 & true"
        bench.run(bench.build(text))
        assert not witness.alive()

    def test_a_flooding_one_does_not_hold_the_end_up(self, bench: Bench, witness: Witness) -> None:
        text = "(trap '' TERM; echo >ready; exec yes) 3>witness &\nread _ <ready"
        outcome = bench.run(bench.build(text, max_output=10_000))
        assert outcome.status is OutcomeStatus.COMPLETED
        assert not witness.alive()

    def test_a_failing_journal_leaves_nothing(self, bench: Bench, witness: Witness) -> None:
        def fail(line: str) -> None:
            raise RuntimeError(line)

        bench.journal = Recorder(fail)
        text = f"{HIDING['one in another session']}\nread _ <ready; echo oops; sleep 1000"
        with pytest.raises(RuntimeError, match="oops"):
            bench.run(bench.build(text))
        witness.wait_until_gone()


@pytest.mark.usefixtures("subreaper")
class TestDetach:
    @pytest.mark.parametrize(
        "hiding", ["one without our pipes", "one in another session", "a background child"]
    )
    def test_it_lives_on(self, bench: Bench, witness: Witness, hiding: str) -> None:
        text = f"{HIDING[hiding]}\necho $! >pid; read _ <ready; echo done"
        outcome = bench.run(bench.build(text, detach=True))
        pid = int((bench.folder / "pid").read_text())
        try:
            assert outcome.status is OutcomeStatus.COMPLETED
            assert bench.journal.texts == ["done"]
            assert bench.run(bench.build("true")).status is OutcomeStatus.COMPLETED
            assert witness.alive(), "the end of another action ended it"
        finally:
            os.kill(pid, signal.SIGKILL)
        witness.wait_until_gone()
        _run_until(bench, lambda: not Path(f"/proc/{pid}").exists())

    def test_a_timeout_ends_it_all_the_same(self, bench: Bench, witness: Witness) -> None:
        _halt_on_ready(bench)
        text = f"{HIDING['a background child']}\nread _ <ready; echo ready; sleep 1000"
        bench.run(bench.build(text, detach=True))
        assert not witness.alive()


@pytest.mark.usefixtures("subreaper")
class TestOthers:
    @pytest.mark.parametrize("own_session", [False, True])
    def test_a_child_of_other_code_is_left_to_its_owner(
        self, bench: Bench, own_session: bool
    ) -> None:
        ended = subprocess.Popen(["/bin/sh", "-c", "exit 3"], start_new_session=own_session)
        living = subprocess.Popen(["sleep", "1000"], start_new_session=own_session)
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        try:
            bench.run(bench.build("sleep 1000 & setsid sleep 1000 & true"))
            assert living.poll() is None
            assert ended.wait() == 3
        finally:
            living.kill()
            living.wait()

    def test_an_orphan_that_nothing_but_its_birthmark_tells_is_reaped(self, bench: Bench) -> None:
        bench.run(bench.build("true"))
        before = _children_of_main()
        bench.run(bench.build("env -i setsid sh -c '(exit 5) & exit 0'"))
        _run_until(bench, lambda: _children_of_main() == before)

    def test_concurrent_actions_keep_their_own(self, bench: Bench, witness: Witness) -> None:
        """The end of one action, in this journal, leaves the other's processes alone."""
        other = Bench(bench.folder)
        alive: list[bool] = []

        def end_another(line: str) -> None:
            other.run(other.build("sleep 1000 & true"))
            alive.append(witness.alive())

        bench.journal = Recorder(end_another)
        text = f"{HIDING['a double fork in another session']}\nread _ <ready; echo ready"
        bench.run(bench.build(text))
        other.halt.close()
        assert alive == [True]
        assert not witness.alive()


def test_the_search_for_it_leaves_no_process_id_in_the_interpreter(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[str] = []
    monkeypatch.setattr(sys, "intern", lambda text: kept.append(text) or text)
    bench.run(bench.build("sleep 1000 &"))
    assert not [text for text in kept if text.isdecimal()]


def test_become_subreaper_is_said_to_work_here() -> None:
    script = "from sloth_ci.shell import become_subreaper; print(become_subreaper())"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert told.stdout.strip() == str(sys.platform == "linux")


def _run_until(bench: Bench, reaped: Callable[[], bool]) -> None:
    """Run actions until the end of one reaps what has ended; a zombie is none at once."""
    end = monotonic() + PATIENCE
    while not reaped():
        assert monotonic() < end, "a zombie stays"
        bench.run(bench.build("true"))


def _halt_on_ready(bench: Bench) -> None:
    bench.journal = Recorder(
        lambda line: bench.halt.order(BuildStatus.CANCELLED) if line == "ready" else None
    )


def _children_of_main() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()
