"""What people order: builds cancelled or run again, apps paused."""

from abc import ABC, abstractmethod

from sloth_ci.app import App
from sloth_ci.builds import BuildStatus
from sloth_ci.errors import BuildNotFound
from sloth_ci.executors import Executor
from sloth_ci.journal import Journal
from sloth_ci.store import Store, StoredBuild


class Orders(ABC):
    """The part of a bed that does what people order."""

    _store: Store
    _journal: Journal
    _by_id: dict[int, App]
    executor: Executor

    @abstractmethod
    def find(self, listen_point: str) -> App:
        """The app of that listen point; raises AppNotFound."""

    @abstractmethod
    def check_taking(self) -> None:
        """Raises Stopping once the server takes no new builds."""

    @abstractmethod
    def _count_actions(self, app: App, config: str) -> int:
        """How many actions a build with that config has; raises ConfigInvalid."""

    def cancel(self, build_id: int, *, actor: str) -> BuildStatus:
        """Cancel a build: at once when it waits; what runs is ended soon.

        Gives its status: RUNNING while it ends, and a final one as it is. Raises BuildNotFound.
        """
        build = self._find_build(build_id)
        reason = f"Cancelled by {actor}" if actor else ""
        was = self._store.cancel(build_id, reason=reason)
        if was is BuildStatus.RUNNING:
            self.executor.halt(build.app_id, build_id, BuildStatus.CANCELLED, reason)
        if was is not BuildStatus.QUEUED:
            return was
        app = self._by_id.get(build.app_id)
        if app is not None and app.hooks:
            self._journal.build_finished(build_id, hooks=app.hooks, mask=app.mask)
        return BuildStatus.CANCELLED

    def rerun_as_it_was(self, build_id: int, *, actor: str) -> int:
        """Queue a build with the params and the config of another; gives its id.

        One that never ran, or is older than such things are kept, had no config: it runs with
        today's. Raises BuildNotFound, AppNotFound, ConfigInvalid, or what `Store.accept` raises.
        """
        build = self._find_build(build_id)
        text = None if build.config_id is None else self._store.config(build.config_id)
        if build.config_id is None or text is None:
            return self._rerun(build, actor=actor)
        total = self._count_actions(self.find(build.listen_point), text)
        return self._rerun(build, actor=actor, config_id=build.config_id, total=total)

    def rerun_with_todays_config(self, build_id: int, *, actor: str) -> int:
        """Queue a build with the params of another and what its app's config says by then.

        Gives its id. Raises BuildNotFound, AppNotFound, or what `Store.accept` raises.
        """
        return self._rerun(self._find_build(build_id), actor=actor)

    def pause(self, listen_point: str | None, *, reason: str, by: str) -> None:
        """Start no build of the app, or of any app with None, until `resume`, over restarts.

        What runs goes on, and builds go on being queued. Raises AppNotFound.
        """
        app_id = None if listen_point is None else self.find(listen_point).id
        self._store.pause(app_id, reason=reason, by=by)

    def resume(self, listen_point: str | None) -> None:
        """End the pause of the app, or the server's own; what waits starts.

        Raises AppNotFound.
        """
        app_id = None if listen_point is None else self.find(listen_point).id
        self._store.resume(app_id)
        for waiting in self._store.waiting_apps() if app_id is None else [app_id]:
            self.executor.wake(waiting)

    def _find_build(self, build_id: int) -> StoredBuild:
        build = self._store.find_build(build_id)
        if build is None:
            raise BuildNotFound(id=build_id)
        return build

    def _rerun(
        self,
        build: StoredBuild,
        *,
        actor: str,
        config_id: int | None = None,
        total: int | None = None,
    ) -> int:
        self.check_taking()
        app = self.find(build.listen_point)
        again = self._store.rerun(
            build.id,
            total=len(app.config.actions) if total is None else total,
            config_id=config_id,
            actor=actor,
        )
        if app.hooks:
            self._journal.build_queued(again, hooks=app.hooks, mask=app.mask)
        self.executor.wake(app.id)
        return again
