"""Builds: how one runs, how it ends, and what its records say."""

import os
import select
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from logging import DEBUG, ERROR, INFO, WARNING
from threading import Barrier, Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sloth_ci.builds import (
    Action,
    Build,
    BuildStatus,
    Halt,
    Outcome,
    OutcomeStatus,
    Result,
    run_build,
)
from sloth_ci.records import Logger, Stream
from sloth_ci.template import compile_template

OK = Outcome(OutcomeStatus.COMPLETED, exit_code=0)
BAD = Outcome(OutcomeStatus.FAILED, "exit code 1", exit_code=1)
LATE = Outcome(OutcomeStatus.TIMED_OUT, "timed out", signal=15)
HALTED = Outcome(OutcomeStatus.HALTED, "halted", signal=15)

COMPLETE, PARTIAL, FAILED = BuildStatus.COMPLETE, BuildStatus.PARTIAL, BuildStatus.FAILED
TIMED_OUT, CANCELLED = BuildStatus.TIMED_OUT, BuildStatus.CANCELLED
INTERRUPTED = BuildStatus.INTERRUPTED


@dataclass
class Notes:
    """A journal that only remembers."""

    facts: list[tuple[Any, ...]] = field(default_factory=list)

    def action_started(self, build: Build, position: int) -> None:
        self.facts.append(("started", position))

    def output(self, build: Build, stream: Stream, line: str) -> None:
        self.facts.append(("output", line))

    def action_finished(self, build: Build, position: int, outcome: Outcome) -> None:
        self.facts.append(("finished", position, outcome.status))

    def progress(self, build: Build, completed: int) -> None:
        self.facts.append(("progress", completed))


@dataclass
class Script:
    """Runs actions by giving these outcomes; `during` is done in the action of that position."""

    outcomes: tuple[Outcome, ...]
    #: Seconds that each action takes.
    seconds: float = 1
    during: dict[int, Callable[[], None]] = field(default_factory=dict)
    time: float = 1000
    deadlines: list[float | None] = field(default_factory=list)

    def __call__(
        self, build: Build, position: int, deadline: float | None, halt: Halt, journal: Any
    ) -> Outcome:
        self.deadlines.append(deadline)
        self.during.get(position, lambda: None)()
        outcome = self.outcomes[position]
        if outcome is LATE and deadline is not None:
            self.time = deadline
        else:
            self.time += self.seconds
        return outcome

    def now(self) -> float:
        return self.time


def make_build(total: int, *, critical: tuple[int, ...] = (), **fields: Any) -> Build:
    template = compile_template("true")
    actions = tuple(Action(template, critical=at in critical) for at in range(total))
    return Build(id=1, app_id=1, listen_point="web", actions=actions, params={}, **fields)


def run(build: Build, script: Script, *, halt: Halt | None = None) -> tuple[Result, Notes]:
    notes, order = Notes(), halt or Halt()
    try:
        result = run_build(build, run_action=script, journal=notes, halt=order, now=script.now)
    finally:
        order.close()
    return result, notes


ENDS = {
    "no actions": (make_build(0), (), COMPLETE, 0, 0),
    "all complete": (make_build(3), (OK, OK, OK), COMPLETE, 3, 3),
    "one fails": (make_build(3), (OK, BAD, OK), PARTIAL, 2, 3),
    "the last fails": (make_build(2), (OK, BAD), PARTIAL, 1, 2),
    "the first fails": (make_build(2), (BAD, OK), PARTIAL, 1, 2),
    "none completes": (make_build(2), (BAD, BAD), FAILED, 0, 2),
    "a critical one fails first": (make_build(3, critical=(0,)), (BAD, OK, OK), FAILED, 0, 1),
    "a critical one fails later": (make_build(3, critical=(1,)), (OK, BAD, OK), FAILED, 1, 2),
    "the last one is critical and fails": (make_build(2, critical=(1,)), (OK, BAD), FAILED, 1, 2),
    "one before the critical one fails": (
        make_build(3, critical=(2,)),
        (OK, BAD, OK),
        PARTIAL,
        2,
        3,
    ),
    "stop on first fail": (
        make_build(3, stop_on_first_fail=True),
        (OK, BAD, OK),
        FAILED,
        1,
        2,
    ),
    "stop on first fail and none fails": (
        make_build(2, stop_on_first_fail=True),
        (OK, OK),
        COMPLETE,
        2,
        2,
    ),
    "one takes too long": (make_build(3, exec_timeout=5), (OK, LATE, OK), PARTIAL, 2, 3),
    "a critical one takes too long": (
        make_build(3, critical=(1,), exec_timeout=5),
        (OK, LATE, OK),
        TIMED_OUT,
        1,
        2,
    ),
    "stop on first fail and one takes too long": (
        make_build(3, stop_on_first_fail=True, exec_timeout=5),
        (OK, LATE, OK),
        TIMED_OUT,
        1,
        2,
    ),
    "all take too long": (make_build(2, exec_timeout=5), (LATE, LATE), TIMED_OUT, 0, 2),
    "one takes too long and one fails": (
        make_build(2, exec_timeout=5),
        (LATE, BAD),
        FAILED,
        0,
        2,
    ),
    "the build takes too long in an action": (
        make_build(3, timeout=5),
        (OK, LATE, OK),
        TIMED_OUT,
        1,
        2,
    ),
    "the build takes too long in its last action": (
        make_build(2, timeout=5),
        (OK, LATE),
        TIMED_OUT,
        1,
        2,
    ),
    "the build takes too long between actions": (
        make_build(3, timeout=2),
        (OK, OK, OK),
        TIMED_OUT,
        2,
        2,
    ),
    "one fails as the build's time is over": (
        make_build(3, timeout=2),
        (OK, BAD, OK),
        TIMED_OUT,
        1,
        2,
    ),
    "the last one fails as the build's time is over": (
        make_build(2, timeout=2),
        (OK, BAD),
        PARTIAL,
        1,
        2,
    ),
    "the last one completes as the build's time is over": (
        make_build(2, timeout=2),
        (OK, OK),
        COMPLETE,
        2,
        2,
    ),
    "an action's time is over and the build has some left": (
        make_build(2, exec_timeout=1, timeout=60),
        (LATE, OK),
        PARTIAL,
        1,
        2,
    ),
    "it says halted without an order": (make_build(2), (HALTED, OK), PARTIAL, 1, 2),
}


@pytest.mark.parametrize(
    ("build", "outcomes", "status", "completed", "ran"), ENDS.values(), ids=ENDS.keys()
)
def test_a_build_ends(
    build: Build, outcomes: tuple[Outcome, ...], status: BuildStatus, completed: int, ran: int
) -> None:
    script = Script(outcomes)
    result, _ = run(build, script)
    assert result == Result(status, completed)
    assert len(script.deadlines) == ran


@pytest.mark.parametrize("order", [CANCELLED, INTERRUPTED])
def test_a_build_halted_before_it_began_runs_nothing(order: BuildStatus) -> None:
    halt, script = Halt(), Script((OK, OK))
    halt.order(order)
    result, notes = run(make_build(2), script, halt=halt)
    assert result == Result(order, 0)
    assert notes.facts == []


@pytest.mark.parametrize("order", [CANCELLED, INTERRUPTED])
@pytest.mark.parametrize("critical", [(), (1,)], ids=["ordinary", "critical"])
def test_a_build_halted_in_an_action_ends_there(
    order: BuildStatus, critical: tuple[int, ...]
) -> None:
    halt = Halt()
    script = Script((OK, HALTED, OK), during={1: lambda: halt.order(order)})
    result, notes = run(make_build(3, critical=critical), script, halt=halt)
    assert result == Result(order, 1)
    assert notes.facts[-1] == ("finished", 1, OutcomeStatus.HALTED)


@pytest.mark.parametrize("order", [CANCELLED, INTERRUPTED])
@pytest.mark.parametrize(("outcome", "completed"), [(OK, 1), (BAD, 0)], ids=["done", "failed"])
def test_a_build_halted_as_an_action_ends_by_itself_runs_no_further_one(
    order: BuildStatus, outcome: Outcome, completed: int
) -> None:
    halt = Halt()
    script = Script((outcome, OK), during={0: lambda: halt.order(order)})
    result, _ = run(make_build(2), script, halt=halt)
    assert result == Result(order, completed)
    assert len(script.deadlines) == 1


def test_a_halt_that_comes_too_late_changes_nothing() -> None:
    halt = Halt()
    script = Script((OK, OK), during={1: lambda: halt.order(CANCELLED)})
    result, _ = run(make_build(2), script, halt=halt)
    assert result == Result(COMPLETE, 2)


def test_the_journal_is_told_every_step_in_order() -> None:
    _, notes = run(make_build(3), Script((OK, BAD, OK)))
    assert notes.facts == [
        ("started", 0),
        ("progress", 1),
        ("finished", 0, OutcomeStatus.COMPLETED),
        ("started", 1),
        ("finished", 1, OutcomeStatus.FAILED),
        ("started", 2),
        ("progress", 2),
        ("finished", 2, OutcomeStatus.COMPLETED),
    ]


@pytest.mark.parametrize(
    ("limits", "deadlines"),
    [
        ({}, [None, None, None]),
        ({"exec_timeout": 5}, [1005, 1006, 1007]),
        ({"timeout": 7}, [1007, 1007, 1007]),
        ({"exec_timeout": 5, "timeout": 6}, [1005, 1006, 1006]),
    ],
    ids=["no limit", "a limit for an action", "a limit for the build", "both"],
)
def test_an_action_gets_the_earlier_deadline(
    limits: dict[str, float], deadlines: list[float | None]
) -> None:
    script = Script((OK, OK, OK))
    run(make_build(3, **limits), script)
    assert script.deadlines == deadlines


@given(
    st.lists(st.tuples(st.sampled_from([OK, BAD, LATE]), st.booleans()), max_size=6),
    st.booleans(),
    st.sampled_from([None, 2.5, 100.0]),
)
def test_an_end_fits_what_completed(
    actions: list[tuple[Outcome, bool]], stop: bool, timeout: float | None
) -> None:
    build = make_build(
        len(actions),
        critical=tuple(at for at, (_, critical) in enumerate(actions) if critical),
        stop_on_first_fail=stop,
        exec_timeout=5,
        timeout=timeout,
    )
    result, notes = run(build, Script(tuple(outcome for outcome, _ in actions)))
    assert result.status.final
    assert result.completed == len([fact for fact in notes.facts if fact[0] == "progress"])
    assert (result.status is COMPLETE) is (result.completed == len(actions))
    if result.status is PARTIAL:
        assert 0 < result.completed < len(actions)


def test_a_halt_stands_as_it_was_first_given() -> None:
    halt = Halt()
    assert halt.status is None
    halt.order(CANCELLED)
    halt.order(INTERRUPTED)
    assert halt.status is CANCELLED
    halt.close()


def test_a_halt_wakes_who_polls_for_it() -> None:
    halt = Halt()
    poll = select.poll()
    poll.register(halt.fileno(), select.POLLIN)
    assert poll.poll(0) == []
    halt.order(CANCELLED)
    assert poll.poll(0) == [(halt.fileno(), select.POLLIN)]
    halt.close()


def test_a_closed_halt_gives_its_descriptors_back_and_takes_orders() -> None:
    halt = Halt()
    descriptor = halt.fileno()
    halt.close()
    halt.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    halt.order(INTERRUPTED)
    assert (halt.status, halt.fileno()) == (INTERRUPTED, -1)


def test_of_many_orders_at_once_one_stands() -> None:
    halt, line = Halt(), Barrier(8)

    def give(status: BuildStatus) -> None:
        line.wait(10)
        halt.order(status)

    threads = [Thread(target=give, args=([CANCELLED, INTERRUPTED][at % 2],)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert halt.status in (CANCELLED, INTERRUPTED)
    assert os.read(halt.fileno(), 10) == b"."
    halt.close()


@pytest.mark.parametrize(
    ("status", "sentence", "level"),
    [
        (BuildStatus.QUEUED, "Triggered, actions in queue: 3", DEBUG),
        (BuildStatus.RUNNING, "Triggered, actions in queue: 3", DEBUG),
        (COMPLETE, "Complete (2/3)", INFO),
        (PARTIAL, "Partially complete (2/3)", WARNING),
        (FAILED, "Failed (2/3)", ERROR),
        (TIMED_OUT, "Timed out (2/3)", ERROR),
        (CANCELLED, "Cancelled (2/3)", WARNING),
        (INTERRUPTED, "Interrupted (2/3)", WARNING),
    ],
)
def test_a_status_has_its_published_sentence_and_level(
    status: BuildStatus, sentence: str, level: int
) -> None:
    assert status.describe(completed=2, total=3) == sentence
    assert status.level == level
    assert status.final is (level != DEBUG)


@pytest.mark.parametrize(
    ("outcome", "started"),
    [
        (OK, True),
        (BAD, True),
        (LATE, True),
        (HALTED, True),
        (replace(BAD, exit_code=None), False),
        (replace(BAD, exit_code=None, signal=9), True),
    ],
)
def test_an_outcome_tells_whether_a_process_ran(outcome: Outcome, started: bool) -> None:
    assert outcome.started is started


def test_loggers_have_their_published_names() -> None:
    assert [logger.name_for("team/web") for logger in Logger] == [
        "team/web",
        "team/web.exec",
        "team/web.build",
    ]
