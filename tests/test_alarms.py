"""Alarms go off at their moments, whatever the clock does."""

from queue import SimpleQueue
from threading import Event, Thread
from time import time

import pytest

from sloth_ci.alarms import Alarms

PATIENCE = 45


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_what_is_due_is_called_in_order_of_the_moments() -> None:
    clock, called = Clock(), SimpleQueue[str]()
    alarms = Alarms(clock=clock)
    alarms.set(3_000, lambda: called.put("late"))
    alarms.set(2_000, lambda: called.put("early"))

    clock.now = 4_000
    alarms.look()

    assert [called.get(timeout=PATIENCE) for _ in range(2)] == ["early", "late"]
    alarms.close()


def test_a_moment_that_has_passed_is_due_at_once() -> None:
    called = Event()

    Alarms().set(time() - 10, called.set)

    assert called.wait(PATIENCE)


def test_a_clock_that_is_set_back_makes_it_wait() -> None:
    clock, called = Clock(), SimpleQueue[str]()
    alarms = Alarms(clock=clock)
    alarms.set(2_000, lambda: called.put("there"))
    clock.now = 10
    alarms.look()
    alarms.set(5, lambda: called.put("sooner"))

    assert called.get(timeout=PATIENCE) == "sooner"
    assert called.empty()
    clock.now = 2_000
    alarms.look()
    assert called.get(timeout=PATIENCE) == "there"
    alarms.close()


def test_what_was_taken_back_is_not_called() -> None:
    clock, called = Clock(), SimpleQueue[str]()
    alarms = Alarms(clock=clock)
    take_back = alarms.set(2_000, lambda: called.put("taken back"))
    alarms.set(2_001, lambda: called.put("the other"))

    take_back()
    clock.now = 3_000
    alarms.look()

    assert called.get(timeout=PATIENCE) == "the other"
    assert called.empty()
    alarms.close()


def test_a_call_that_fails_keeps_no_other_from_being_made(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, called = Clock(), Event()
    alarms = Alarms(clock=clock)
    alarms.set(2_000, lambda: 1 / 0)
    alarms.set(2_001, called.set)

    clock.now = 3_000
    alarms.look()

    assert called.wait(PATIENCE)
    assert "ZeroDivisionError" in caplog.text
    alarms.close()


def test_once_closed_it_calls_nothing_and_has_no_thread() -> None:
    clock, called = Clock(), SimpleQueue[str]()
    alarms = Alarms(clock=clock)
    alarms.set(2_000, lambda: called.put("too late"))

    alarms.close()
    clock.now = 3_000
    alarms.look()

    assert called.empty()


def test_a_call_that_would_end_the_thread_keeps_no_other_from_being_made() -> None:
    def end() -> None:
        raise SystemExit("enough")

    alarms, called = Alarms(), Event()
    alarms.set(0, end)
    alarms.set(1, called.set)
    assert called.wait(PATIENCE)
    alarms.close()


def test_a_thread_that_is_not_given_is_told_and_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    alarms, called = Alarms(), Event()
    with monkeypatch.context() as patched:
        patched.setattr(Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            alarms.set(0, lambda: None)
    alarms.set(0, called.set)
    assert called.wait(PATIENCE)
    alarms.close()


def test_once_closed_it_takes_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Thread] = []
    alarms = Alarms()
    alarms.close()
    monkeypatch.setattr(Thread, "start", lambda thread: started.insert(0, thread))
    alarms.set(0, lambda: None)()
    assert started == []
