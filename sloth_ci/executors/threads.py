"""The executor of the server: each build runs in one of a few threads."""

from collections import deque
from collections.abc import Callable
from functools import partial
from threading import Condition, Event, RLock, Thread
from time import monotonic

from sloth_ci.builds import BuildStatus, Halt
from sloth_ci.errors import DatabaseUnavailable
from sloth_ci.executors.run import BuildRun, Written
from sloth_ci.executors.worker import Worker
from sloth_ci.journal import SERVER_LOG
from sloth_ci.store import Claimed

#: How long a thread without work waits for more before it ends, in seconds; the last one stays.
LINGER = 2.0
#: Pause after trouble with the store or the system, in seconds.
RETRY_DELAY = 1.0


class ThreadSeat:
    """A thread that is kept for the next build of one app; either verb ends that, and is a must."""

    __slots__ = ("_app_id", "_give_back", "_worker")

    def __init__(self, app_id: int, worker: Worker, give_back: Callable[[], None]) -> None:
        self._app_id = app_id
        self._worker = worker
        self._give_back = give_back

    def start(self, claimed: Claimed) -> None:
        """Run this build of the app there; returns at once."""
        self._worker.call(self._app_id, claimed)

    def give_up(self) -> None:
        """Let go of it; an app that was woken meanwhile is seen to."""
        self._give_back()


class ThreadExecutor:
    """Runs builds in threads of the server: at most `max_builds`, one of them also when idle.

    An app is either idle, in the line of apps with work, or served by one thread. `wake` during
    service is remembered, so no wake-up is lost. Apps take turns: after each build its app goes
    to the line's end, and the thread goes on with who stands first, whose build is claimed in the
    commit of that build's end. Nobody stands in line while a thread is idle.

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
        #: Who serves each app, or is kept for it; a thread has two while a build's end is written.
        self._serving: dict[int, Worker] = {}
        #: Threads that wait to be called, the longest waiting first.
        self._idle: list[Worker] = []
        self._threads = 0
        self._stopping = False
        self._stop_ordered = Event()
        Thread(target=self._start_threads, name="executor-starter", daemon=True).start()

    def wake(self, app_id: int) -> None:
        """Say that the app may have a waiting build; returns at once."""
        with self._changed:
            if app_id in self._serving:
                self._woken_in_service.add(app_id)
            elif app_id not in self._known and not self._stopping:
                self._line_up(app_id)
                self._share_out()

    def reserve(self, app_id: int) -> ThreadSeat | None:
        """A place for a build of the app that is going to be claimed; None when it can't be had.

        It can where no build runs or waits that this one would have to wait for.
        """
        with self._changed:
            if self._stopping or app_id in self._known or not self._idle:
                return None
            worker = self._idle[-1]
            try:
                worker.equip()
            except OSError:
                return None  # whoever tries next says so, and waits
            self._idle.pop()
            self._begin_service(app_id, worker)
            return ThreadSeat(app_id, worker, partial(self._give_back, app_id, worker))

    def halt(self, app_id: int, build_id: int, status: BuildStatus, reason: str = "") -> None:
        """End that build of the app, if it runs, with that status; returns at once."""
        with self._changed:
            worker = self._serving.get(app_id)
            if worker and worker.halt:
                worker.halt.order_for(build_id, status, reason)

    def stop(self, grace: float) -> None:
        """Start no more builds, give the running ones `grace` seconds, then interrupt them."""
        deadline = monotonic() + grace
        with self._changed:
            self._stopping = True
            self._stop_ordered.set()
            self._line.clear()
            while self._idle:
                self._idle.pop().call(None)
            self._changed.notify_all()
            self._lacking.notify_all()
            while self._serving and monotonic() < deadline:
                self._changed.wait(deadline - monotonic())
            self.interrupt()
            while self._threads:
                self._changed.wait()

    def interrupt(self) -> None:
        """Interrupt what runs now; a `stop` that waits goes on at once."""
        with self._changed:
            for worker in self._serving.values():
                if worker.halt:
                    worker.halt.order(BuildStatus.INTERRUPTED)

    # Who stands in line

    def _line_up(self, app_id: int) -> None:
        self._known.add(app_id)
        self._line.append(app_id)

    def _share_out(self) -> None:
        """Let idle threads serve who stands in line, and more be started for the rest."""
        while self._line and self._idle:
            worker = self._idle.pop()
            worker.call(self._take_first(worker))
        if self._lacks_threads():
            self._lacking.notify()

    def _take_first(self, worker: Worker) -> int:
        app_id = self._line.popleft()
        self._begin_service(app_id, worker)
        return app_id

    def _begin_service(self, app_id: int, worker: Worker) -> None:
        self._known.add(app_id)
        self._serving[app_id] = worker

    def _leave(self, app_id: int, *, more: bool) -> None:
        """End an app's service; it lines up again when there is, or may be, more to do."""
        del self._serving[app_id]
        self._known.discard(app_id)
        woken = app_id in self._woken_in_service
        self._woken_in_service.discard(app_id)
        if (more or woken) and not self._stopping:
            self._line_up(app_id)
        self._changed.notify_all()

    # Threads

    def _lacks_threads(self) -> bool:
        # The one that stays is there from the start, for the first build of all.
        return not self._threads or (bool(self._line) and self._threads < self._max_builds)

    def _start_threads(self) -> None:
        with self._changed:
            while not self._stopping:
                if not self._lacks_threads():
                    self._lacking.wait()
                elif not self._start_thread():
                    self._lacking.wait(RETRY_DELAY)

    def _start_thread(self) -> bool:
        worker = Worker()
        try:
            Thread(target=self._work, args=(worker,), name="executor", daemon=True).start()
        except (RuntimeError, MemoryError) as error:
            SERVER_LOG.error("No thread for a build: %s", error)
            return False
        self._threads += 1
        self._idle.append(worker)
        self._share_out()
        return True

    def _work(self, worker: Worker) -> None:
        while (app_id := self._wait_for_app(worker)) is not None:
            following: int | None = app_id
            while following is not None:
                following = self._serve(worker, following)

    def _wait_for_app(self, worker: Worker) -> int | None:
        """The app to serve; None when the thread is to end."""
        while not worker.wait(LINGER):
            with self._changed:
                # Who was taken out just now is called, however late.
                if worker in self._idle and len(self._idle) > 1:
                    self._idle.remove(worker)
                    worker.call(None)
        if worker.app_id is None:
            self._end_thread(worker)
        return worker.app_id

    def _end_thread(self, worker: Worker) -> None:
        worker.close()
        with self._changed:
            self._threads -= 1
            # Who was lined up since this one let go found it counted still.
            self._share_out()
            self._changed.notify_all()

    def _rest(self, worker: Worker) -> int | None:
        """The app that the thread serves now; None when it becomes idle, or is to end."""
        if self._line:
            return self._take_first(worker)
        if self._stopping:
            worker.call(None)
        else:
            self._idle.append(worker)
        return None

    def _give_back(self, app_id: int, worker: Worker) -> None:
        with self._changed:
            self._leave(app_id, more=False)
            following = self._rest(worker)
            if following is not None:
                worker.call(following)

    # Services

    def _serve(self, worker: Worker, app_id: int) -> int | None:
        """Run the app's next build; gives the app that the thread serves then at once."""
        written, more = None, True
        try:
            claimed = worker.claimed or self._claim(worker, app_id)
            if claimed is None or worker.halt is None:
                more = False
            else:
                choose = partial(self._choose, worker, app_id)
                written = self._build_run.run(app_id, claimed, worker.halt, choose)
        except Exception as error:  # noqa: BLE001  the store's trouble must not end the executor
            trace = None if isinstance(error, DatabaseUnavailable) else error
            message = "The next build of app %s could not be taken: %s"
            SERVER_LOG.error(message, app_id, error, exc_info=trace)
            self._stop_ordered.wait(RETRY_DELAY)
        return self._end_service(worker, app_id, written, more=more)

    def _claim(self, worker: Worker, app_id: int) -> Claimed | None:
        halt = self._equip(worker)
        return self._build_run.claim(app_id, halt) if halt else None

    def _equip(self, worker: Worker) -> Halt | None:
        """An order's means of delivery, once a build can be started; None once none is to be."""
        with self._changed:
            while not self._stopping:
                try:
                    return worker.equip()
                except OSError as error:
                    SERVER_LOG.error("A build can't be started: %s", error)
                    self._changed.wait(RETRY_DELAY)
        return None

    def _choose(self, worker: Worker, app_id: int) -> int | None:
        """The app whose build the thread goes on with, to be claimed with the end of this one."""
        if worker.following is not None:
            # The end could not be written: others may be quicker than the next try.
            with self._changed:
                self._drop_following(worker, app_id, more=True)
                self._share_out()
            return None
        if not worker.can_go_on():
            return None
        with self._changed:
            if self._stopping:
                return None
            worker.following = self._take_first(worker) if self._line else app_id
            # The claim will find what any earlier wake-up was for.
            self._woken_in_service.discard(worker.following)
            return worker.following

    def _end_service(
        self, worker: Worker, app_id: int, written: Written | None, *, more: bool
    ) -> int | None:
        asked = following = written.app_id if written else None
        with self._changed:
            worker.claimed = written.claimed if written else None
            if asked is not None and worker.claimed is not None:
                worker.following = None
                if asked != app_id:
                    self._leave(app_id, more=True)
            else:
                self._drop_following(worker, app_id, more=asked is None)
                self._leave(app_id, more=more and asked != app_id)
                following = self._rest(worker)
            self._share_out()
            return following

    def _drop_following(self, worker: Worker, app_id: int, *, more: bool) -> None:
        """Let the chosen app go, which may have more to do."""
        chosen, worker.following = worker.following, None
        if chosen is not None and chosen != app_id:
            self._leave(chosen, more=more)
