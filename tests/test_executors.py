"""Executors: each queued build runs once, in order, within the limit, and none is forgotten."""

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from select import select
from threading import Event, Lock, Thread
from time import monotonic

import pytest

from sloth_ci import executors
from sloth_ci.builds import (
    Action,
    Build,
    BuildJournal,
    BuildStatus,
    Halt,
    Outcome,
    OutcomeStatus,
)
from sloth_ci.executors import BuildRun, Executor, ImmediateExecutor, Ready, ThreadExecutor
from sloth_ci.journal import Journal
from sloth_ci.store import Cause, Claimed, Origin, Store
from sloth_ci.template import compile_template

DONE = Outcome(OutcomeStatus.COMPLETED)
PATIENCE = 45


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "sloth.db")
    yield store
    store.close()


class Stage:
    """Apps with one action each, whose runs the test controls."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ran: list[int] = []
        self.running = 0
        self.most_running = 0
        self.act: Callable[[Build, Halt], Outcome] = lambda _build, _halt: DONE
        self.lock = Lock()
        self.build_run = BuildRun(store, Journal(store), self.make_build)
        self.gone: set[int] = set()
        self.unprepared: set[int] = set()

    def add_app(self, name: str = "web") -> int:
        return self.store.add_app(listen_point=name, origin=Origin.API, config="", file=None)

    def queue(self, app_id: int) -> int:
        return self.store.accept(
            app_id=app_id, listen_point="web", cause=Cause.TRIGGER, params=({},), total=1
        ).builds[0]

    def make_build(self, app_id: int, claimed: Claimed):
        if app_id in self.gone:
            return None
        if claimed.id in self.unprepared:
            raise ZeroDivisionError
        actions = (Action(compile_template("true")),)
        build = Build(claimed.id, app_id, f"app{app_id}", actions, claimed.params)
        return Ready(build, self.run_action)

    def run_action(
        self,
        build: Build,
        position: int,
        deadline: float | None,
        halt: Halt,
        journal: BuildJournal,
    ) -> Outcome:
        with self.lock:
            self.ran.append(build.id)
            self.running += 1
            self.most_running = max(self.running, self.most_running)
        try:
            return self.act(build, halt)
        finally:
            with self.lock:
                self.running -= 1

    def status(self, build_id: int) -> BuildStatus:
        build = self.store.find_build(build_id)
        assert build is not None
        return build.status

    def wait_until_final(self, *build_ids: int) -> None:
        deadline = monotonic() + PATIENCE
        while not all(self.status(one).final for one in build_ids):
            assert monotonic() < deadline, [self.status(one) for one in build_ids]
            Event().wait(0.005)


class Line(BuildRun):
    """Builds that are over as soon as they are taken."""

    def __init__(self, most: int) -> None:
        self.waiting: deque[int] = deque()
        self.left = most
        #: Called when a look found nothing, and when the last one was taken.
        self.on_nothing: Callable[[], None] = lambda: None
        self.on_end: Callable[[], None] = lambda: None

    def run_next(self, app_id: int, halt: Halt) -> bool:
        if not self.waiting:
            self.on_nothing()
            return False
        self.waiting.popleft()
        self.left -= 1
        if not self.left:
            self.on_end()
        return True


def poll(halt: Halt) -> bool:
    """Whether the order comes in time."""
    return bool(select([halt], [], [], PATIENCE)[0])


@pytest.fixture
def stage(store: Store) -> Stage:
    return Stage(store)


class ExecutorContract:
    """What holds for every executor."""

    @pytest.fixture
    def executor(self, stage: Stage) -> Executor:
        raise NotImplementedError

    def test_builds_of_an_app_run_once_each_in_order(self, executor, stage: Stage) -> None:
        app_id = stage.add_app()
        builds = []
        for _ in range(20):
            builds.append(stage.queue(app_id))
            executor.wake(app_id)
        stage.wait_until_final(*builds)
        assert stage.ran == builds
        assert {stage.status(one) for one in builds} == {BuildStatus.COMPLETE}

    def test_waking_an_app_without_work_does_nothing(self, executor, stage: Stage) -> None:
        app_id = stage.add_app()
        executor.wake(app_id)
        executor.wake(app_id)
        build = stage.queue(app_id)
        executor.wake(app_id)
        stage.wait_until_final(build)
        assert stage.ran == [build]

    def test_a_fault_of_the_server_fails_the_build_and_the_next_one_runs(
        self, executor, stage: Stage
    ) -> None:
        app_id = stage.add_app()
        first, second = stage.queue(app_id), stage.queue(app_id)

        def act(build: Build, _halt: Halt) -> Outcome:
            if build.id == first:
                raise ZeroDivisionError
            return DONE

        stage.act = act
        executor.wake(app_id)
        stage.wait_until_final(first, second)
        assert stage.status(first) is BuildStatus.FAILED
        assert stage.status(second) is BuildStatus.COMPLETE

    def test_a_build_of_an_app_that_is_gone_is_cancelled(self, executor, stage: Stage) -> None:
        app_id = stage.add_app()
        build = stage.queue(app_id)
        stage.gone.add(app_id)
        executor.wake(app_id)
        stage.wait_until_final(build)
        assert stage.status(build) is BuildStatus.CANCELLED
        assert stage.ran == []

    def test_a_build_that_can_not_be_prepared_fails_and_the_next_one_runs(
        self, executor, stage: Stage
    ) -> None:
        app_id = stage.add_app()
        first, second = stage.queue(app_id), stage.queue(app_id)
        stage.unprepared.add(first)
        executor.wake(app_id)
        stage.wait_until_final(first, second)
        assert stage.status(first) is BuildStatus.FAILED
        assert stage.status(second) is BuildStatus.COMPLETE

    def test_after_the_stop_nothing_starts_and_what_waits_stays(
        self, executor, stage: Stage
    ) -> None:
        app_id = stage.add_app()
        executor.stop(grace=1)
        build = stage.queue(app_id)
        executor.wake(app_id)
        assert stage.status(build) is BuildStatus.QUEUED


class TestImmediateExecutor(ExecutorContract):
    """The contract, run in the caller's thread."""

    @pytest.fixture
    def executor(self, stage: Stage) -> Executor:
        return ImmediateExecutor(stage.build_run)


class TestThreadExecutor(ExecutorContract):
    """The contract, and what only threads can promise."""

    @pytest.fixture
    def executor(self, stage: Stage) -> Iterator[ThreadExecutor]:
        executor = ThreadExecutor(stage.build_run, max_builds=3)
        yield executor
        executor.stop(grace=0)

    def test_never_more_builds_run_than_the_limit(
        self, executor: ThreadExecutor, stage: Stage
    ) -> None:
        full, go = Event(), Event()

        def act(_build: Build, _halt: Halt) -> Outcome:
            if stage.running == 3:
                full.set()
            go.wait(PATIENCE)
            return DONE

        stage.act = act
        apps = [stage.add_app(f"app{number}") for number in range(9)]
        builds = [stage.queue(app_id) for app_id in apps]
        for app_id in apps:
            executor.wake(app_id)
        assert full.wait(PATIENCE)
        go.set()
        stage.wait_until_final(*builds)
        assert stage.most_running == 3

    def test_one_app_never_runs_two_builds_at_once(
        self, executor: ThreadExecutor, stage: Stage
    ) -> None:
        app_id = stage.add_app()
        builds = [stage.queue(app_id) for _ in range(10)]
        for _ in builds:
            executor.wake(app_id)
        stage.wait_until_final(*builds)
        assert stage.most_running == 1

    def test_apps_take_turns(self, stage: Stage) -> None:
        executor = ThreadExecutor(stage.build_run, max_builds=1)
        started, go = Event(), Event()

        def act(_build: Build, _halt: Halt) -> Outcome:
            started.set()
            go.wait(PATIENCE)
            return DONE

        stage.act = act
        busy, quiet = stage.add_app("busy"), stage.add_app("quiet")
        first = [stage.queue(busy) for _ in range(3)]
        executor.wake(busy)
        assert started.wait(PATIENCE)
        late = stage.queue(quiet)
        executor.wake(quiet)
        go.set()
        stage.wait_until_final(*first, late)
        assert stage.ran == [first[0], late, *first[1:]]
        executor.stop(grace=0)

    @pytest.mark.parametrize("missing", ["thread", "descriptor"])
    def test_what_the_system_does_not_give_now_is_asked_for_again(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, missing: str
    ) -> None:
        monkeypatch.setattr(executors, "RETRY_DELAY", 0.01)
        executor = ThreadExecutor(stage.build_run, max_builds=2)
        refused, given = Event(), Event()

        def refuse_until_given(real: Callable[..., object], error: Exception):
            def give(*arguments: object, **options: object) -> object:
                if given.is_set():
                    return real(*arguments, **options)
                refused.set()
                raise error

            return give

        if missing == "thread":
            refusal = refuse_until_given(Thread, RuntimeError("can't start new thread"))
            monkeypatch.setattr(executors, "Thread", refusal)
        else:
            refusal = refuse_until_given(Halt, OSError(24, "Too many open files"))
            monkeypatch.setattr(executors, "Halt", refusal)
        build = stage.queue(stage.add_app())
        executor.wake(1)
        assert refused.wait(PATIENCE)
        assert stage.status(build) is BuildStatus.QUEUED
        given.set()
        stage.wait_until_final(build)
        executor.stop(grace=1)

    def test_a_wake_up_during_service_is_not_lost(self) -> None:
        line, looked, go, ran = Line(1), Event(), Event(), Event()
        line.on_end = ran.set

        def hold_up() -> None:
            looked.set()
            go.wait(PATIENCE)

        line.on_nothing = hold_up
        executor = ThreadExecutor(line, max_builds=1)
        executor.wake(1)
        assert looked.wait(PATIENCE)
        line.waiting.append(1)
        executor.wake(1)
        go.set()
        assert ran.wait(PATIENCE)
        executor.stop(grace=0)

    def test_however_wake_ups_and_services_meet_everything_runs(self) -> None:
        """A queue without a disk, so that they meet as often as can be."""
        line, all_ran = Line(4 * 1_000), Event()
        line.on_end = all_ran.set
        executor = ThreadExecutor(line, max_builds=3)

        def trigger() -> None:
            for _ in range(1_000):
                line.waiting.append(1)
                executor.wake(1)

        threads = [Thread(target=trigger) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all_ran.wait(PATIENCE), f"{len(line.waiting)} builds wait"
        executor.stop(grace=0)

    def test_a_halt_ends_the_running_build_with_the_given_status(
        self, executor: ThreadExecutor, stage: Stage
    ) -> None:
        started = Event()

        def act(_build: Build, halt: Halt) -> Outcome:
            started.set()
            assert poll(halt)
            return Outcome(OutcomeStatus.HALTED)

        stage.act = act
        app_id = stage.add_app()
        build = stage.queue(app_id)
        executor.wake(app_id)
        assert started.wait(PATIENCE)
        executor.halt(app_id, build, BuildStatus.CANCELLED, "Cancelled by joe")
        stage.wait_until_final(build)
        stored = stage.store.find_build(build)
        assert stored is not None
        assert (stored.status, stored.reason) == (BuildStatus.CANCELLED, "Cancelled by joe")

    def test_a_halt_between_the_claim_and_the_run_ends_the_build_it_names(
        self, executor: ThreadExecutor, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app_id = stage.add_app()
        build, following = stage.queue(app_id), stage.queue(app_id)
        claim = stage.store.claim

        def claim_slowly(app_id: int) -> Claimed | None:
            claimed = claim(app_id)
            if claimed and claimed.id == build:
                # It runs for everybody, and its own thread doesn't know yet.
                executor.halt(app_id, build, BuildStatus.CANCELLED)
            return claimed

        monkeypatch.setattr(stage.store, "claim", claim_slowly)
        executor.wake(app_id)
        stage.wait_until_final(build, following)
        assert stage.status(build) is BuildStatus.CANCELLED
        assert stage.status(following) is BuildStatus.COMPLETE
        assert stage.ran == [following]

    def test_a_halt_that_comes_late_never_ends_the_following_build(
        self, executor: ThreadExecutor, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app_id = stage.add_app()
        build = stage.queue(app_id)
        executor.wake(app_id)
        stage.wait_until_final(build)
        following = stage.queue(app_id)
        claim = stage.store.claim

        def claim_slowly(app_id: int) -> Claimed | None:
            executor.halt(app_id, build, BuildStatus.CANCELLED)
            claimed = claim(app_id)
            executor.halt(app_id, build, BuildStatus.CANCELLED)
            return claimed

        def act(_build: Build, _halt: Halt) -> Outcome:
            executor.halt(app_id, build, BuildStatus.CANCELLED)
            return DONE

        stage.act = act
        monkeypatch.setattr(stage.store, "claim", claim_slowly)
        executor.wake(app_id)
        stage.wait_until_final(following)
        assert stage.status(following) is BuildStatus.COMPLETE

    def test_builds_of_a_paused_app_wait_until_it_goes_on(
        self, executor: ThreadExecutor, stage: Stage
    ) -> None:
        paused, other = stage.add_app("paused"), stage.add_app("other")
        stage.store.pause(paused, reason="holiday", by="joe")
        waiting = stage.queue(paused)
        executor.wake(paused)
        running = stage.queue(other)
        executor.wake(other)
        stage.wait_until_final(running)
        assert stage.status(waiting) is BuildStatus.QUEUED
        stage.store.resume(paused)
        executor.wake(paused)
        stage.wait_until_final(waiting)
        assert stage.ran == [running, waiting]

    def test_the_stop_waits_for_what_runs_within_its_grace(self, stage: Stage) -> None:
        executor = ThreadExecutor(stage.build_run, max_builds=2)
        started, go = Event(), Event()

        def act(_build: Build, _halt: Halt) -> Outcome:
            started.set()
            go.wait(PATIENCE)
            return DONE

        stage.act = act
        app_id = stage.add_app()
        running, waiting = stage.queue(app_id), stage.queue(app_id)
        executor.wake(app_id)
        assert started.wait(PATIENCE)
        stop = Thread(target=executor.stop, args=[PATIENCE])
        stop.start()
        go.set()
        stop.join(PATIENCE)
        assert not stop.is_alive()
        assert stage.status(running) is BuildStatus.COMPLETE
        assert stage.status(waiting) is BuildStatus.QUEUED

    def test_the_stop_interrupts_what_outlasts_its_grace(self, stage: Stage) -> None:
        executor = ThreadExecutor(stage.build_run, max_builds=2)
        started = Event()

        def act(_build: Build, halt: Halt) -> Outcome:
            started.set()
            while halt.status is None:
                Event().wait(0.005)
            return Outcome(OutcomeStatus.HALTED)

        stage.act = act
        app_id = stage.add_app()
        build = stage.queue(app_id)
        executor.wake(app_id)
        assert started.wait(PATIENCE)
        executor.stop(grace=0.01)
        assert stage.status(build) is BuildStatus.INTERRUPTED
