"""A store of its own for each test, whose time stands still."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sloth_ci.builds import BuildStatus, Result
from sloth_ci.store import Cause, Origin, Store


class Clock:
    """Time that stands still until it is told."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Shelf:
    """A store, and short forms of what tests do with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        self.store = Store(path, clock=self.clock, max_queue=50, max_queue_total=80)

    def reopen(self) -> Store:
        """Close it and open it again."""
        self.store.close()
        self.store = Store(self.path, clock=self.clock)
        return self.store

    def add_app(self, name: str = "web", config: str = "listen_point: x") -> int:
        return self.store.add_app(listen_point=name, origin=Origin.API, config=config, file=None)

    def queue(self, app_id: int, params: dict[str, str] | None = None, actor: str = "") -> int:
        return self.store.accept(
            app_id=app_id,
            listen_point="web",
            cause=Cause.TRIGGER,
            params=(params or {},),
            total=2,
            actor=actor,
        ).builds[0]

    def build(
        self,
        app_id: int,
        status: BuildStatus = BuildStatus.COMPLETE,
        params: dict[str, str] | None = None,
    ) -> int:
        """A whole build, one second long."""
        build_id = self.queue(app_id, params)
        claimed = self.store.claim(app_id)
        assert claimed is not None
        self.clock.now += 1
        self.finish(app_id, claimed.id, status)
        return build_id

    def finish(self, app_id: int, build_id: int, status: BuildStatus, reason: str = "") -> None:
        self.store.finish(
            app_id=app_id, build_id=build_id, result=Result(status, 1, reason), total=2
        )

    def status(self, build_id: int) -> BuildStatus:
        build = self.store.find_build(build_id)
        assert build is not None
        return build.status


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    shelf = Shelf(tmp_path / "sloth.db")
    yield shelf
    shelf.store.close()
