"""Executors: each queued build runs once, in order, within the limit, and none is forgotten."""

import os
import resource
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from select import select
from threading import Event, Lock, Thread, get_ident
from time import monotonic
from typing import Any

import pytest

from sloth_ci.builds import (
    Action,
    Build,
    BuildJournal,
    BuildStatus,
    Halt,
    Outcome,
    OutcomeStatus,
)
from sloth_ci.errors import DatabaseUnavailable
from sloth_ci.executors import (
    BuildRun,
    Executor,
    ImmediateExecutor,
    Ready,
    Seat,
    ThreadExecutor,
    Written,
    run,
    threads,
    worker,
)
from sloth_ci.executors.run import Choose, choose_nobody
from sloth_ci.hooks import NO_HOOKS, Hooks
from sloth_ci.journal import Journal
from sloth_ci.store import Cause, Claimed, Origin, Store
from sloth_ci.template import compile_template
from tests.calls import wait_until

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
        self.hooks = NO_HOOKS
        self.close: Callable[[], None] | None = None

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
        ready = Ready(build, self.run_action, self.hooks)
        return ready.closing(self.close) if self.close else ready

    def take(self, app_id: int) -> Claimed:
        """A build that is accepted and claimed at once."""
        accepted = self.store.accept(
            app_id=app_id,
            listen_point="web",
            cause=Cause.TRIGGER,
            params=({},),
            total=1,
            begin=True,
        )
        assert accepted.claimed is not None
        return accepted.claimed

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


@pytest.fixture
def stage(store: Store) -> Stage:
    return Stage(store)


class Claims:
    """How the store's builds are claimed; `on_finish` may look and raise before, `after` after."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        self.alone: list[int] = []
        #: The app whose build was asked for with each end.
        self.with_ends: list[int | None] = []
        self.on_finish: Callable[[int | None], None] = lambda _then_claim: None
        self.after: Callable[[Claimed | None], None] = lambda _claimed: None
        claim, finish = stage.store.claim, stage.store.finish

        def note_claim(app_id: int) -> Claimed | None:
            self.alone.append(app_id)
            return claim(app_id)

        def note_finish(*, then_claim: int | None = None, **end: Any) -> Claimed | None:
            self.with_ends.append(then_claim)
            self.on_finish(then_claim)
            claimed = finish(**end, then_claim=then_claim)
            self.after(claimed)
            return claimed

        monkeypatch.setattr(stage.store, "claim", note_claim)
        monkeypatch.setattr(stage.store, "finish", note_finish)


@pytest.fixture
def claims(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Claims:
    return Claims(stage, monkeypatch)


class Line(BuildRun):
    """Builds that are over as soon as they are taken."""

    def __init__(self, most: int) -> None:
        self.waiting: deque[int] = deque()
        self.left = most
        #: Called when a look found nothing, and when the last one was taken.
        self.on_nothing: Callable[[], None] = lambda: None
        self.on_end: Callable[[], None] = lambda: None

    def claim(self, app_id: int, halt: Halt) -> Claimed | None:
        if not self.waiting:
            self.on_nothing()
            return None
        self.left -= 1
        if not self.left:
            self.on_end()
        return Claimed(self.waiting.popleft(), {}, Cause.TRIGGER, 1, None, "")

    def run(
        self, app_id: int, claimed: Claimed, halt: Halt, choose: Choose = choose_nobody
    ) -> Written:
        following = choose()
        return Written(following, following and self.claim(following, halt))


def poll(halt: Halt) -> bool:
    """Whether the order comes in time."""
    return bool(select([halt], [], [], PATIENCE)[0])


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
        monkeypatch.setattr(threads, "RETRY_DELAY", 0.01)
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
            monkeypatch.setattr(threads, "Thread", refusal)
            # The thread that is always there is taken.
            stage.act = lambda _build, _halt: (given.wait(PATIENCE), DONE)[1]
            busy = stage.add_app("busy")
            stage.queue(busy)
            executor.wake(busy)
        else:
            refusal = refuse_until_given(Halt, OSError(24, "Too many open files"))
            monkeypatch.setattr(worker, "Halt", refusal)
        app_id = stage.add_app()
        build = stage.queue(app_id)
        executor.wake(app_id)
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
        assert executor._stop_ordered.wait(PATIENCE)
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


class TestClaimWithAnEnd:
    """The end of a build and the claim of the next one are one change of the store."""

    @pytest.fixture
    def executor(self, stage: Stage, claims: Claims) -> Iterator[ThreadExecutor]:
        executor = ThreadExecutor(stage.build_run, max_builds=1)
        yield executor
        executor.stop(grace=0)

    def test_only_the_first_build_is_claimed_by_itself(
        self, executor: ThreadExecutor, stage: Stage, claims: Claims
    ) -> None:
        app_id = stage.add_app()
        builds = [stage.queue(app_id) for _ in range(3)]
        executor.wake(app_id)
        stage.wait_until_final(*builds)
        assert claims.alone == [app_id]
        assert claims.with_ends == [app_id] * 3

    def test_the_app_that_stands_first_in_line_is_next(
        self, executor: ThreadExecutor, stage: Stage, claims: Claims
    ) -> None:
        one, two = stage.add_app("one"), stage.add_app("two")
        lined_up = Event()

        def act(_build: Build, _halt: Halt) -> Outcome:
            lined_up.wait(PATIENCE)
            return DONE

        stage.act = act
        builds = [stage.queue(app_id) for app_id in (one, one, two, two)]
        executor.wake(one)
        executor.wake(two)
        lined_up.set()
        stage.wait_until_final(*builds)
        assert stage.ran == [builds[0], builds[2], builds[1], builds[3]]
        assert claims.with_ends[:3] == [two, one, two]

    def test_a_wake_up_while_nothing_was_found_is_not_lost(self) -> None:
        line, looked, go, ran = Line(2), Event(), Event(), Event()
        line.on_end = ran.set

        def hold_up() -> None:
            looked.set()
            go.wait(PATIENCE)

        line.on_nothing = hold_up
        line.waiting.append(1)
        executor = ThreadExecutor(line, max_builds=1)
        executor.wake(1)
        assert looked.wait(PATIENCE)
        line.waiting.append(2)
        executor.wake(1)
        go.set()
        assert ran.wait(PATIENCE)
        executor.stop(grace=0)

    def test_who_hears_of_an_end_is_told_before_the_next_build_is_claimed(
        self, executor: ThreadExecutor, stage: Stage, claims: Claims
    ) -> None:
        app_id = stage.add_app()
        first, second = stage.queue(app_id), stage.queue(app_id)
        found: list[BuildStatus] = []
        stage.hooks = Hooks(
            {"build_finished": [("slow", lambda _event: found.append(stage.status(second)))]},
            complain=lambda _name, _trouble: None,
            beyond=None,
        )
        executor.wake(app_id)
        stage.wait_until_final(first, second)
        assert found[0] is BuildStatus.QUEUED
        assert claims.with_ends == [None, None]

    def test_what_is_closed_with_a_build_holds_up_no_claimed_one(
        self, executor: ThreadExecutor, stage: Stage
    ) -> None:
        app_id = stage.add_app()
        first, second = stage.queue(app_id), stage.queue(app_id)
        found: list[BuildStatus] = []
        stage.close = lambda: found.append(stage.status(second))
        executor.wake(app_id)
        stage.wait_until_final(first, second)
        assert found[0] is BuildStatus.QUEUED

    @pytest.mark.parametrize(
        "error", [ZeroDivisionError(), DatabaseUnavailable(reason="it is busy")]
    )
    def test_an_end_is_written_whatever_becomes_of_the_claim(
        self,
        executor: ThreadExecutor,
        stage: Stage,
        claims: Claims,
        monkeypatch: pytest.MonkeyPatch,
        error: Exception,
    ) -> None:
        monkeypatch.setattr(run, "RETRY_DELAY", 0.01)
        app_id = stage.add_app()

        def fail_once(then_claim: int | None) -> None:
            if len(claims.with_ends) == 1:
                raise error

        claims.on_finish = fail_once
        builds = [stage.queue(app_id) for _ in range(2)]
        executor.wake(app_id)
        stage.wait_until_final(*builds)
        assert stage.ran == builds
        assert claims.with_ends == [app_id, None, app_id]

    def test_while_an_end_can_not_be_written_another_thread_serves_who_was_next(
        self, stage: Stage, claims: Claims, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(run, "RETRY_DELAY", 0.01)
        executor = ThreadExecutor(stage.build_run, max_builds=2)
        apps = [stage.add_app(name) for name in ("stuck", "busy", "next")]
        stuck, busy, following = (stage.queue(app_id) for app_id in apps)
        lined_up, failed = Event(), Event()
        stuck_in: list[int] = []

        def act(build: Build, _halt: Halt) -> Outcome:
            if build.id == stuck:
                stuck_in.append(get_ident())
            assert (failed if build.id == busy else lined_up).wait(PATIENCE)
            return DONE

        def fail_until_the_next_ran(_then_claim: int | None) -> None:
            if get_ident() in stuck_in and not stage.status(following).final:
                failed.set()
                raise DatabaseUnavailable(reason="it is busy")

        stage.act = act
        claims.on_finish = fail_until_the_next_ran
        for app_id in apps:
            executor.wake(app_id)
        lined_up.set()
        stage.wait_until_final(stuck, busy, following)
        executor.stop(grace=1)

    def test_a_stop_ends_though_the_end_of_a_cancelled_build_can_not_be_written(
        self, stage: Stage, claims: Claims, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(run, "RETRY_DELAY", 0.01)
        executor = ThreadExecutor(stage.build_run, max_builds=1)
        app_id = stage.add_app()
        build, failed = stage.queue(app_id), Event()

        def act(build: Build, halt: Halt) -> Outcome:
            executor.halt(app_id, build.id, BuildStatus.CANCELLED)
            assert poll(halt)
            return Outcome(OutcomeStatus.HALTED)

        def fail(_then_claim: int | None) -> None:
            failed.set()
            raise DatabaseUnavailable(reason="the disk is full")

        stage.act = act
        claims.on_finish = fail
        executor.wake(app_id)
        assert failed.wait(PATIENCE)
        stop = Thread(target=executor.stop, args=[0.01], daemon=True)
        stop.start()
        stop.join(PATIENCE)
        assert not stop.is_alive()
        assert stage.status(build) is BuildStatus.RUNNING  # the next start says interrupted

    @pytest.mark.parametrize("other", [False, True])
    def test_nothing_is_claimed_with_an_end_that_is_written_after_the_stop(
        self, stage: Stage, claims: Claims, monkeypatch: pytest.MonkeyPatch, other: bool
    ) -> None:
        monkeypatch.setattr(run, "RETRY_DELAY", 0.01)
        executor = ThreadExecutor(stage.build_run, max_builds=1)
        app_id = stage.add_app()
        next_app = stage.add_app("other") if other else app_id
        running, waiting = stage.queue(app_id), stage.queue(next_app)
        began, ended = Event(), Event()

        def act(_build: Build, _halt: Halt) -> Outcome:
            executor.wake(next_app)
            return DONE

        def fail_until_stopped(_then_claim: int | None) -> None:
            began.set()
            if not executor._stop_ordered.wait(PATIENCE) or len(claims.with_ends) == 1:
                raise DatabaseUnavailable(reason="it is busy")

        stage.act = act
        claims.on_finish = fail_until_stopped
        executor.wake(app_id)
        assert began.wait(PATIENCE)
        stop = Thread(target=lambda: (executor.stop(PATIENCE), ended.set()))
        stop.start()
        assert ended.wait(PATIENCE)
        assert claims.with_ends == [next_app, None]
        assert stage.status(running) is BuildStatus.COMPLETE
        assert stage.status(waiting) is BuildStatus.QUEUED

    @pytest.mark.parametrize("wanted", [True, False])
    def test_a_halt_before_the_run_ends_the_build_it_names_and_no_other(
        self, executor: ThreadExecutor, stage: Stage, claims: Claims, wanted: bool
    ) -> None:
        one, two = stage.add_app("one"), stage.add_app("two")
        first, following = stage.queue(one), stage.queue(two)
        named = following if wanted else first

        def halt(claimed: Claimed | None) -> None:
            # It runs for everybody, and its own thread doesn't know yet.
            executor.halt(two, named, BuildStatus.CANCELLED)
            executor.halt(one, named, BuildStatus.CANCELLED)

        def act(build: Build, _halt: Halt) -> Outcome:
            if build.id == first:
                executor.wake(two)
            return DONE

        stage.act = act
        claims.after = halt
        executor.wake(one)
        stage.wait_until_final(first, following)
        assert claims.with_ends[0] == two
        assert stage.status(first) is BuildStatus.COMPLETE
        assert (stage.status(following) is BuildStatus.CANCELLED) is wanted

    def test_an_order_for_one_build_leaves_the_next_one_alone(
        self, executor: ThreadExecutor, stage: Stage, claims: Claims
    ) -> None:
        app_id = stage.add_app()
        builds = [stage.queue(app_id) for _ in range(2)]

        def act(build: Build, halt: Halt) -> Outcome:
            if build.id == builds[1]:
                assert not halt.status
                return DONE
            executor.halt(app_id, build.id, BuildStatus.CANCELLED)
            assert poll(halt)
            return Outcome(OutcomeStatus.HALTED)

        stage.act = act
        executor.wake(app_id)
        stage.wait_until_final(*builds)
        assert stage.status(builds[0]) is BuildStatus.CANCELLED
        assert stage.status(builds[1]) is BuildStatus.COMPLETE


class TestSeats:
    """A build that is claimed as it is accepted runs at once, and is never left behind."""

    @pytest.fixture
    def executor(self, stage: Stage) -> Iterator[ThreadExecutor]:
        executor = ThreadExecutor(stage.build_run, max_builds=2)
        yield executor
        executor.stop(grace=0)

    def reserve(self, executor: ThreadExecutor, app_id: int) -> Seat:
        deadline = monotonic() + PATIENCE
        while (seat := executor.reserve(app_id)) is None:
            assert monotonic() < deadline
            Event().wait(0.005)
        return seat

    def test_a_build_that_was_claimed_runs_in_its_seat(
        self, executor: ThreadExecutor, stage: Stage, claims: Claims
    ) -> None:
        app_id = stage.add_app()
        for _ in range(3):
            seat = self.reserve(executor, app_id)
            claimed = stage.take(app_id)
            seat.start(claimed)
            stage.wait_until_final(claimed.id)
            assert stage.status(claimed.id) is BuildStatus.COMPLETE
        assert len(stage.ran) == 3
        assert claims.alone == []

    def test_what_was_queued_meanwhile_runs_behind_it(
        self, executor: ThreadExecutor, stage: Stage
    ) -> None:
        app_id = stage.add_app()
        seat = self.reserve(executor, app_id)
        claimed = stage.take(app_id)
        behind = stage.queue(app_id)
        executor.wake(app_id)
        seat.start(claimed)
        stage.wait_until_final(claimed.id, behind)
        assert stage.ran == [claimed.id, behind]

    def test_an_app_has_one_seat_and_none_while_a_build_runs(
        self, executor: ThreadExecutor, stage: Stage
    ) -> None:
        app_id = stage.add_app()
        began, go = Event(), Event()

        def act(_build: Build, _halt: Halt) -> Outcome:
            began.set()
            go.wait(PATIENCE)
            return DONE

        stage.act = act
        seat = self.reserve(executor, app_id)
        assert executor.reserve(app_id) is None
        claimed = stage.take(app_id)
        seat.start(claimed)
        assert began.wait(PATIENCE)
        assert executor.reserve(app_id) is None
        go.set()
        stage.wait_until_final(claimed.id)

    def test_without_an_idle_thread_there_is_no_seat(
        self, executor: ThreadExecutor, stage: Stage
    ) -> None:
        app_id, other = stage.add_app(), stage.add_app("other")
        seat = self.reserve(executor, app_id)
        assert executor.reserve(other) is None
        seat.give_up()

    def test_without_descriptors_there_is_no_seat(
        self, executor: ThreadExecutor, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app_id = stage.add_app()
        self.reserve(executor, app_id).give_up()

        def refuse() -> None:
            raise OSError(24, "Too many open files")

        with monkeypatch.context() as patch:
            patch.setattr(worker, "check_descriptors", refuse)
            assert executor.reserve(app_id) is None
        self.reserve(executor, app_id).give_up()

    def test_a_seat_that_is_given_up_is_free_again(
        self, executor: ThreadExecutor, stage: Stage
    ) -> None:
        app_id = stage.add_app()
        self.reserve(executor, app_id).give_up()
        seat = executor.reserve(app_id)
        assert seat is not None
        seat.give_up()

    def test_a_wake_up_while_a_seat_was_kept_is_not_lost(
        self, executor: ThreadExecutor, stage: Stage
    ) -> None:
        app_id = stage.add_app()
        seat = self.reserve(executor, app_id)
        build = stage.queue(app_id)
        executor.wake(app_id)
        assert stage.status(build) is BuildStatus.QUEUED
        seat.give_up()
        stage.wait_until_final(build)
        assert stage.ran == [build]

    def test_who_waited_for_the_thread_of_a_seat_is_seen_to(self, stage: Stage) -> None:
        executor = ThreadExecutor(stage.build_run, max_builds=1)
        app_id, other = stage.add_app(), stage.add_app("other")
        seat = self.reserve(executor, app_id)
        build = stage.queue(other)
        executor.wake(other)
        seat.give_up()
        stage.wait_until_final(build)
        executor.stop(grace=0)

    def test_a_halt_before_the_start_ends_the_build(
        self, executor: ThreadExecutor, stage: Stage
    ) -> None:
        app_id = stage.add_app()
        seat = self.reserve(executor, app_id)
        claimed = stage.take(app_id)
        executor.halt(app_id, claimed.id, BuildStatus.CANCELLED, "Cancelled by joe")
        seat.start(claimed)
        stage.wait_until_final(claimed.id)
        assert stage.status(claimed.id) is BuildStatus.CANCELLED
        assert stage.ran == []

    @pytest.mark.parametrize(
        ("grace", "status"), [(PATIENCE, BuildStatus.COMPLETE), (0, BuildStatus.INTERRUPTED)]
    )
    def test_the_stop_waits_for_a_seat(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, grace: float, status: BuildStatus
    ) -> None:
        executor = ThreadExecutor(stage.build_run, max_builds=2)
        app_id, other = stage.add_app(), stage.add_app("other")
        seat = self.reserve(executor, app_id)
        interrupted = Event()
        interrupt = executor.interrupt
        monkeypatch.setattr(executor, "interrupt", lambda: (interrupt(), interrupted.set()))
        stop = Thread(target=executor.stop, args=[grace])
        stop.start()
        assert (executor._stop_ordered if grace else interrupted).wait(PATIENCE)
        assert executor.reserve(other) is None
        claimed = stage.take(app_id)
        assert stop.is_alive()
        seat.start(claimed)
        stop.join(PATIENCE)
        assert not stop.is_alive()
        assert stage.status(claimed.id) is status

    def test_the_stop_ends_when_a_seat_is_given_up(self, stage: Stage) -> None:
        executor = ThreadExecutor(stage.build_run, max_builds=2)
        seat = self.reserve(executor, stage.add_app())
        stop = Thread(target=executor.stop, args=[PATIENCE])
        stop.start()
        assert executor._stop_ordered.wait(PATIENCE)
        seat.give_up()
        stop.join(PATIENCE)
        assert not stop.is_alive()

    def test_of_all_idle_threads_one_stays(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(threads, "LINGER", 0.05)
        executor = ThreadExecutor(stage.build_run, max_builds=3)
        full = Event()

        def act(_build: Build, _halt: Halt) -> Outcome:
            if stage.running == 3:
                full.set()
            full.wait(PATIENCE)
            return DONE

        stage.act = act
        apps = [stage.add_app(f"app{number}") for number in range(3)]
        builds = [stage.queue(app_id) for app_id in apps]
        for app_id in apps:
            executor.wake(app_id)
        stage.wait_until_final(*builds)
        wait_until(lambda: executor._threads == 1)
        looks: list[float] = []
        wait = worker.Worker.wait

        def note(self: worker.Worker, seconds: float) -> bool:
            looks.append(seconds)
            return wait(self, seconds)

        monkeypatch.setattr(worker.Worker, "wait", note)
        wait_until(lambda: len(looks) > 2)
        assert executor._threads == 1
        seat = executor.reserve(apps[0])
        assert seat is not None
        seat.give_up()
        executor.stop(grace=0)
        assert executor._threads == 0

    def test_who_comes_while_a_thread_ends_gets_another_one(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(threads, "LINGER", 0.05)
        executor = ThreadExecutor(stage.build_run, max_builds=2)
        both, ending, go = Event(), Event(), Event()
        close = worker.Worker.close

        def close_slowly(self: worker.Worker) -> None:
            ending.set()
            go.wait(PATIENCE)
            close(self)

        def act(_build: Build, _halt: Halt) -> Outcome:
            if stage.running == 2:
                both.set()
            both.wait(PATIENCE)
            return DONE

        stage.act = act
        monkeypatch.setattr(worker.Worker, "close", close_slowly)
        apps = [stage.add_app(f"app{number}") for number in range(2)]
        first = [stage.queue(app_id) for app_id in apps]
        for app_id in apps:
            executor.wake(app_id)
        stage.wait_until_final(*first)
        assert ending.wait(PATIENCE)
        both.clear()
        second = [stage.queue(app_id) for app_id in apps]
        for app_id in apps:
            executor.wake(app_id)
        go.set()
        stage.wait_until_final(*second)
        executor.stop(grace=0)

    def test_the_thread_of_a_place_that_was_given_up_is_one_too_many(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(threads, "LINGER", 0.05)
        executor = ThreadExecutor(stage.build_run, max_builds=3)
        wait_until(lambda: executor._idle)
        seat = executor.reserve(stage.add_app("reserved"))
        assert seat is not None
        build = stage.queue(app_id := stage.add_app())
        executor.wake(app_id)
        stage.wait_until_final(build)
        wait_until(lambda: executor._idle)
        seat.give_up()
        wait_until(lambda: executor._threads == 1)
        executor.stop(grace=0)


@pytest.mark.parametrize("told", [True, False])
def test_a_build_needs_some_descriptors_whether_the_system_counts_them_or_not(
    monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not told:
        monkeypatch.setattr(worker, "_count_descriptors", lambda: 0)
    worker.check_descriptors()
    free = os.dup(0)
    os.close(free)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, limits[1]))
        with pytest.raises(OSError, match="Too many open files"):
            worker.check_descriptors()
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 100, limits[1]))
        worker.check_descriptors()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
