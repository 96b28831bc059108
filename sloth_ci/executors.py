"""Executors decide when and where a build runs; `builds.run_build` is what they run."""

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Condition, Event, RLock, Thread
from time import monotonic, sleep
from typing import Protocol

from sloth_ci.builds import Build, BuildJournal, BuildStatus, Halt, Result, RunAction, run_build
from sloth_ci.errors import DatabaseUnavailable, SlothError
from sloth_ci.hooks import NO_HOOKS, Hooks, Unprepared
from sloth_ci.journal import SERVER_LOG, Journal
from sloth_ci.store import Claimed, Store

#: How long a thread without work waits for more before it ends, in seconds.
LINGER = 2.0
#: Pause after trouble with the store, in seconds.
RETRY_DELAY = 1.0
#: Descriptors that must be free before a build is taken; the start of an action needs about ten.
DESCRIPTORS = 16


#: Gives the build that is to run, or raises Unprepared.
Prepare = Callable[[Build, Halt, BuildJournal], Build]


def _do_nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Ready:
    """A build that can be run, and who is told of that."""

    build: Build
    run_action: RunAction
    hooks: Hooks = NO_HOOKS
    #: None where nothing is to be done before the first action.
    prepare: Prepare | None = None
    #: Lets go of what was made for this build alone.
    close: Callable[[], None] = _do_nothing

    def closing(self, close: Callable[[], None]) -> "Ready":
        """The same, with something to let go of when it has ended."""
        return replace(self, close=close)


#: The build that a claim stands for; None when the app is gone meanwhile.
MakeBuild = Callable[[int, Claimed], Ready | None]


class Executor(Protocol):
    """Runs the queued builds of apps: those of one app in order, one at a time."""

    def wake(self, app_id: int) -> None:
        """Say that the app may have a waiting build; returns at once."""

    def halt(self, app_id: int, build_id: int, status: BuildStatus, reason: str = "") -> None:
        """End that build of the app, if it runs, with that status; returns at once."""

    def stop(self, grace: float) -> None:
        """Start no more builds, give the running ones `grace` seconds, then interrupt them."""


class BuildRun:
    """Takes one build from the queue, runs it and writes its end: what every executor does."""

    def __init__(self, store: Store, journal: Journal, make_build: MakeBuild) -> None:
        self._store = store
        self._journal = journal
        self._make_build = make_build

    def run_next(self, app_id: int, halt: Halt) -> bool:
        """Run the app's oldest waiting build; False when none waits, or may start."""
        if halt.status:
            return False
        claimed = self._store.claim(app_id)
        if claimed is None:
            return False
        halt.begin(claimed.id)
        try:
            made = self._make_build(app_id, claimed)
        except Exception as error:  # noqa: BLE001  what is claimed must come to an end
            SERVER_LOG.exception("Build %s could not be prepared", claimed.id)
            reason = error.message if isinstance(error, SlothError) else "The server's own fault"
            result = Result(BuildStatus.FAILED, 0, reason)
            self._finish(app_id, claimed.id, result, claimed.total, halt)
            return True
        if made is None:
            result = Result(BuildStatus.CANCELLED, 0, "The app was removed")
            self._finish(app_id, claimed.id, result, claimed.total, halt)
            return True
        try:
            self._see_through(made, halt)
        finally:
            made.close()
        return True

    def _see_through(self, ready: Ready, halt: Halt) -> None:
        build, hooks = ready.build, ready.hooks
        if hooks:
            self._journal.build_started(build.id, hooks=hooks, mask=build.mask)
        result = self._run(ready, halt)
        written = self._finish(build.app_id, build.id, result, len(build.actions), halt)
        if hooks and written:
            self._journal.build_finished(build.id, hooks=hooks, mask=build.mask)

    def _finish(self, app_id: int, build_id: int, result: Result, total: int, halt: Halt) -> bool:
        """Write the build's end; False when the next start has to, as the server is ending."""
        while True:
            try:
                self._store.finish(app_id=app_id, build_id=build_id, result=result, total=total)
            except DatabaseUnavailable as error:
                SERVER_LOG.error("The end of build %s is not written yet: %s", build_id, error)
                if halt.status is BuildStatus.INTERRUPTED:
                    return False  # the next start finds it running, and says interrupted
                sleep(RETRY_DELAY)
            else:
                return True

    def _run(self, ready: Ready, halt: Halt) -> Result:
        build, journal = ready.build, self._journal
        try:
            if ready.prepare:
                build = ready.prepare(build, halt, journal)
            return run_build(build, run_action=ready.run_action, journal=journal, halt=halt)
        except Unprepared as reason:
            journal.unprepared(build, str(reason))
            text = halt.reason or build.mask(str(reason))
            return Result(halt.status or BuildStatus.FAILED, 0, text)
        except Exception:  # noqa: BLE001  one build's trouble must not end the executor
            self._journal.build_broken(build)
            return Result(BuildStatus.FAILED, 0, "The server's own fault")


class ThreadExecutor:
    """Runs builds in threads of the server: at most `max_builds` at a time, none when idle.

    An app is either idle, in the line of apps with work, or served by one thread. `wake` during
    service is remembered, so no wake-up is lost. Apps take turns: after each build its app goes
    to the line's end.

    One thread more is always there and starts the others, so that a system that gives no thread
    now keeps nobody waiting, and is asked again.
    """

    def __init__(self, build_run: BuildRun, *, max_builds: int) -> None:
        self._build_run = build_run
        self._max_builds = max_builds
        lock = RLock()
        self._changed = Condition(lock)
        self._lacking = Condition(lock)
        self._line: deque[int] = deque()
        #: Every app in the line or in service.
        self._known: set[int] = set()
        self._woken_in_service: set[int] = set()
        self._running: dict[int, Halt] = {}
        self._threads = 0
        self._idle = 0
        self._stopping = False
        self._stop_ordered = Event()
        Thread(target=self._start_threads, name="executor-starter", daemon=True).start()

    def wake(self, app_id: int) -> None:
        """Say that the app may have a waiting build; returns at once."""
        with self._changed:
            if app_id in self._running:
                self._woken_in_service.add(app_id)
                return
            if app_id in self._known or self._stopping:
                return
            self._line_up(app_id)

    def halt(self, app_id: int, build_id: int, status: BuildStatus, reason: str = "") -> None:
        """End that build of the app, if it runs, with that status; returns at once."""
        with self._changed:
            if app_id in self._running:
                self._running[app_id].order_for(build_id, status, reason)

    def stop(self, grace: float) -> None:
        """Start no more builds, give the running ones `grace` seconds, then interrupt them."""
        deadline = monotonic() + grace
        with self._changed:
            self._stopping = True
            self._stop_ordered.set()
            self._line.clear()
            self._changed.notify_all()
            self._lacking.notify_all()
            while self._running and monotonic() < deadline:
                self._changed.wait(deadline - monotonic())
            self.interrupt()
            while self._threads:
                self._changed.wait()

    def interrupt(self) -> None:
        """Interrupt what runs now; a `stop` that waits goes on at once."""
        with self._changed:
            for halt in self._running.values():
                halt.order(BuildStatus.INTERRUPTED)

    def _line_up(self, app_id: int) -> None:
        self._known.add(app_id)
        self._line.append(app_id)
        if self._lacks_threads():
            self._lacking.notify()
        else:
            self._changed.notify()

    def _lacks_threads(self) -> bool:
        return self._idle < len(self._line) and self._threads < self._max_builds

    def _start_threads(self) -> None:
        with self._changed:
            while not self._stopping:
                if not self._lacks_threads():
                    self._lacking.wait()
                elif not self._start_thread():
                    self._lacking.wait(RETRY_DELAY)

    def _start_thread(self) -> bool:
        self._threads += 1
        self._idle += 1
        try:
            Thread(target=self._work, name="executor", daemon=True).start()
        except (RuntimeError, MemoryError) as error:
            self._threads -= 1
            self._idle -= 1
            SERVER_LOG.error("No thread for a build: %s", error)
            return False
        return True

    def _work(self) -> None:
        while (service := self._next_service()) is not None:
            app_id, halt = service
            more = self._serve(app_id, halt)
            halt.close()
            self._end_service(app_id, more=more)

    def _next_service(self) -> tuple[int, Halt] | None:
        with self._changed:
            deadline = monotonic() + LINGER
            while not self._stopping and (self._line or monotonic() < deadline):
                if not self._line:
                    self._changed.wait(deadline - monotonic())
                elif halt := _make_halt():
                    self._idle -= 1
                    app_id = self._line.popleft()
                    self._running[app_id] = halt
                    return app_id, halt
                else:
                    self._changed.wait(RETRY_DELAY)
            self._idle -= 1
            self._threads -= 1
            self._changed.notify_all()
            return None

    def _serve(self, app_id: int, halt: Halt) -> bool:
        try:
            return self._build_run.run_next(app_id, halt)
        except DatabaseUnavailable as error:
            SERVER_LOG.error("The next build of app %s could not be taken: %s", app_id, error)
            self._stop_ordered.wait(RETRY_DELAY)
            return True
        except Exception:  # noqa: BLE001  the store's trouble must not end the executor
            SERVER_LOG.exception("The next build of app %s could not be taken", app_id)
            self._stop_ordered.wait(RETRY_DELAY)
            return True

    def _end_service(self, app_id: int, *, more: bool) -> None:
        with self._changed:
            del self._running[app_id]
            self._known.discard(app_id)
            self._idle += 1
            woken = app_id in self._woken_in_service
            self._woken_in_service.discard(app_id)
            if (more or woken) and not self._stopping:
                self._line_up(app_id)
            self._changed.notify_all()


def _make_halt() -> Halt | None:
    """An order's means of delivery; None while the system gives too few descriptors for a build."""
    try:
        _check_descriptors()
        return Halt()
    except OSError as error:
        SERVER_LOG.error("A build can't be started: %s", error)
        return None


def _check_descriptors() -> None:
    """Raises OSError when an action could not be started now, and so its build would fail."""
    opened = [os.open(os.devnull, os.O_RDONLY)]
    try:
        # Copies of one are as good as files, and cost far less.
        while len(opened) < DESCRIPTORS:
            opened.append(os.dup(opened[0]))
    finally:
        for descriptor in opened:
            os.close(descriptor)


class ImmediateExecutor:
    """Runs each build at once, in the caller's thread: for tests and tools."""

    def __init__(self, build_run: BuildRun) -> None:
        self._build_run = build_run
        self._stopping = False

    def wake(self, app_id: int) -> None:
        """Run everything that waits for the app, and return then."""
        halt = Halt()
        try:
            while not self._stopping and self._build_run.run_next(app_id, halt):
                pass
        finally:
            halt.close()

    def halt(self, app_id: int, build_id: int, status: BuildStatus, reason: str = "") -> None:
        """Nothing runs when this can be called."""

    def stop(self, grace: float) -> None:
        """Start no more builds."""
        self._stopping = True
