"""The next server on the same database: what the last one left is not what it runs itself."""

import subprocess
from collections.abc import Callable, Iterator

import pytest

from sloth_ci.builds import BuildStatus, Outcome, OutcomeStatus
from sloth_ci.shell import ShellRunner, end_leftovers
from sloth_ci.shell.offspring import own_life
from tests.shell.conftest import PATIENCE, Bench, Recorder

Start = Callable[[str], "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process that carries a marker, as an action's would."""
    started: list[subprocess.Popen[bytes]] = []

    def start_marked(marker: str) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            ["sleep", "1000"], env={"SLOTH_ACTION": marker}, start_new_session=True
        )
        started.append(process)
        return process

    yield start_marked
    for process in started:
        process.kill()
        process.wait()


def test_a_late_guardian_spares_what_the_next_server_started(start: Start) -> None:
    dead, living = start("a-database-1_1-7."), start("a-database-2_1-7.")
    assert end_leftovers("a-database", life="1_1") == 1
    assert dead.wait(PATIENCE) == -9
    assert living.poll() is None


def test_the_next_server_ends_what_any_one_before_it_left(start: Start) -> None:
    left = [start("b-database-1_1-7."), start("outer-1_1-1.b-database-2_1-7.")]
    assert end_leftovers("b-database") == 2
    assert [process.wait(PATIENCE) for process in left] == [-9, -9]


def test_an_action_carries_the_life_of_its_server(bench: Bench) -> None:
    bench.runner = ShellRunner(token="c-database")
    bench.run(bench.build("echo $SLOTH_ACTION"))
    assert bench.journal.texts[0].endswith(f"c-database-{own_life()}-1.")


def test_what_a_stopping_server_interrupts_gets_no_long_grace_of_its_own(bench: Bench) -> None:
    bench.runner = ShellRunner(grace=1000)
    bench.journal = Recorder(lambda _line: bench.halt.order(BuildStatus.INTERRUPTED))
    outcome = bench.run(bench.build("trap '' TERM; echo ready; sleep 1000"))
    assert outcome == Outcome(OutcomeStatus.HALTED, "Interrupted", signal=9)
