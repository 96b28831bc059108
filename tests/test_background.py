"""The background: work is done in order, failures are told of, and nobody waits for what hangs."""

import logging
from collections.abc import Iterator
from threading import Event, Thread, current_thread

import pytest

from sloth_ci import background as room
from sloth_ci.background import Background

PATIENCE = 45


@pytest.fixture
def release() -> Iterator[Event]:
    """What hangs in these tests waits for this, at the test's end at last."""
    event = Event()
    yield event
    event.set()


def complain(_reason: str) -> None:
    raise AssertionError("nothing went wrong")


def test_work_of_one_line_is_done_in_order() -> None:
    background, done = Background(), []
    line = background.line(complain)
    for number in range(200):
        line.add(lambda number=number: done.append(number))
    background.close(PATIENCE)
    assert done == list(range(200))


def test_a_line_that_hangs_holds_up_no_other(release: Event) -> None:
    background, done = Background(), Event()
    background.line(complain).add(lambda: release.wait(PATIENCE))
    background.line(complain).add(done.set)
    assert done.wait(PATIENCE)
    release.set()
    background.close(PATIENCE)


def test_only_so_many_lines_are_worked_on_at_the_same_time(release: Event) -> None:
    background, started, done = Background(threads=2), [Event(), Event()], []
    for event in started:
        background.line(complain).add(lambda event=event: (event.set(), release.wait(PATIENCE)))
    assert all(event.wait(PATIENCE) for event in started)
    background.line(complain).add(lambda: done.append(1))
    assert done == []
    release.set()
    background.close(PATIENCE)
    assert done == [1]


def test_adding_work_waits_for_nothing(release: Event) -> None:
    background = Background(threads=1)
    line = background.line(complain)
    line.add(lambda: release.wait(PATIENCE))
    doers = []
    line.add(lambda: doers.append(current_thread()))
    release.set()
    background.close(PATIENCE)
    assert doers
    assert doers != [current_thread()]


def test_work_that_fails_is_told_of_and_the_next_is_done() -> None:
    background, told, done = Background(), [], []
    line = background.line(told.append)
    line.add(lambda: 1 / 0)
    line.add(exit_now)
    line.add(lambda: done.append(1))
    background.close(PATIENCE)
    assert told == [
        "work in the background failed: ZeroDivisionError: division by zero",
        "work in the background failed: SystemExit: enough",
    ]
    assert done == [1]


def exit_now() -> None:
    raise SystemExit("enough")


def test_of_too_much_work_the_last_is_dropped_and_that_is_said_once(
    release: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MOST", 3)
    background, told, done, started = Background(), [], [], Event()
    line = background.line(told.append)
    line.add(lambda: (started.set(), release.wait(PATIENCE)))
    assert started.wait(PATIENCE)
    for number in range(6):
        line.add(lambda number=number: done.append(number))
    release.set()
    background.close(PATIENCE)
    assert done == [0, 1, 2]
    assert told == ["more than 3 pieces of work wait, so further ones are dropped"]


def test_closing_gives_up_what_hangs_and_says_so(
    release: Event, caplog: pytest.LogCaptureFixture
) -> None:
    background, started, done = Background(), Event(), []
    line = background.line(complain)
    line.add(lambda: (started.set(), release.wait(PATIENCE)))
    line.add(lambda: done.append(1))
    assert started.wait(PATIENCE)
    logging.getLogger("sloth_ci").addHandler(caplog.handler)
    try:
        background.close(0.05)
    finally:
        logging.getLogger("sloth_ci").removeHandler(caplog.handler)
    assert done == []
    assert "Gave up work in the background: 1 pieces that hang, 1 that wait" in caplog.text


def test_threads_end_when_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LINGER", 0.01)
    background, threads, done = Background(), [], Event()
    background.line(complain).add(lambda: (threads.append(current_thread()), done.set()))
    assert done.wait(PATIENCE)
    threads[0].join(PATIENCE)
    assert not threads[0].is_alive()
    again = Event()
    background.line(complain).add(again.set)
    assert again.wait(PATIENCE)
    background.close(PATIENCE)


def test_a_thread_that_is_not_given_is_asked_for_again_with_the_next_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    background, done = Background(), []
    line = background.line(complain)
    with monkeypatch.context() as patched:
        patched.setattr(Thread, "start", refuse)
        line.add(lambda: done.append(1))
    line.add(lambda: done.append(2))
    background.close(PATIENCE)
    assert done == [1, 2]


def test_one_line_asks_for_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Thread] = []
    background = Background()
    line = background.line(complain)
    with monkeypatch.context() as patched:
        patched.setattr(Thread, "start", lambda thread: started.insert(0, thread))
        for _ in range(10):
            line.add(lambda: None)
    assert len(started) == 1
