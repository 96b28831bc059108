"""A build that is accepted takes its place in the executor with it, and never keeps it in vain."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sloth_ci.bed import Bed
from sloth_ci.builds import BuildStatus
from sloth_ci.errors import BadParam, DatabaseUnavailable, QueueFull
from sloth_ci.executors import Seat
from sloth_ci.hooks import Hooks
from sloth_ci.journal import Journal
from sloth_ci.shell import ShellRunner
from sloth_ci.store import Accepted, Cause, Claimed, NewDelivery, Store

CONFIG = "listen_point: web\nactions: ['true']"


class Place(Seat):
    """Notes what becomes of it."""

    def __init__(self) -> None:
        self.ends: list[Claimed | None] = []

    def start(self, claimed: Claimed) -> None:
        self.ends.append(claimed)

    def give_up(self) -> None:
        self.ends.append(None)


class Places:
    """An executor that runs nothing."""

    def __init__(self) -> None:
        self.given: list[Place] = []
        self.woken: list[int] = []
        self.has_room = True

    def wake(self, app_id: int) -> None:
        self.woken.append(app_id)

    def reserve(self, _app_id: int) -> Seat | None:
        if not self.has_room:
            return None
        self.given.append(Place())
        return self.given[-1]

    def halt(self, app_id: int, build_id: int, status: BuildStatus, reason: str = "") -> None:
        """Nothing runs."""

    def stop(self, grace: float) -> None:
        """Nothing runs."""


class Stage:
    """An app whose builds nobody runs."""

    def __init__(self, folder: Path) -> None:
        self.places = Places()
        self.store = Store(folder / "sloth.db", max_queue=3)
        self.bed = Bed(
            store=self.store,
            journal=Journal(self.store),
            base_dir=folder,
            run_action=ShellRunner(),
            make_executor=lambda _run: self.places,
        )
        self.app = self.bed.create(CONFIG)

    def push(self, name: str) -> Accepted:
        delivery = NewDelivery(name, "push", "192.0.2.1")
        return self.app._accepting(Cause.PUSH, ({},), delivery, actor="").result()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.store.close()


def test_the_first_build_starts_in_the_place_that_was_kept(stage: Stage) -> None:
    build_id = stage.app.trigger({})
    (place,) = stage.places.given
    (claimed,) = place.ends
    assert claimed is not None
    assert claimed.id == build_id
    assert stage.places.woken == []


def test_one_that_has_to_wait_gives_the_place_back(stage: Stage) -> None:
    stage.places.has_room = False
    stage.app.trigger({})
    stage.places.has_room = True
    stage.app.trigger({})
    assert [place.ends for place in stage.places.given] == [[None]]
    assert stage.places.woken == [stage.app.id, stage.app.id]


def test_a_pause_gives_the_place_back(stage: Stage) -> None:
    stage.store.pause(stage.app.id, reason="holiday", by="joe")
    stage.app.trigger({})
    assert [place.ends for place in stage.places.given] == [[None]]


def test_without_a_place_the_executor_is_woken(stage: Stage) -> None:
    stage.places.has_room = False
    stage.app.trigger({})
    assert stage.places.woken == [stage.app.id]


def test_no_place_is_asked_for_where_extensions_are_told_first(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hooks, "__bool__", lambda _hooks: True)
    stage.app.trigger({})
    assert stage.places.given == []
    assert stage.places.woken == [stage.app.id]


def test_a_param_that_can_not_be_asks_for_no_place(stage: Stage) -> None:
    with pytest.raises(BadParam):
        stage.app.trigger({"a": "\0"})
    assert stage.places.given == []


def test_a_full_queue_gives_the_place_back(stage: Stage) -> None:
    stage.places.has_room = False
    for _ in range(3):
        stage.app.trigger({})
    stage.places.has_room = True
    with pytest.raises(QueueFull):
        stage.app.trigger({})
    assert [place.ends for place in stage.places.given] == [[None]]


def test_a_delivery_that_came_before_gives_the_place_back(stage: Stage) -> None:
    first = stage.push("one")
    again = stage.push("one")
    assert again.builds == first.builds
    assert again.repeated
    assert [len(place.ends) for place in stage.places.given] == [1, 1]
    assert stage.places.given[1].ends == [None]
    assert stage.places.woken == []


def test_a_fault_in_the_store_gives_the_place_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(type(stage.store), "_accept_all", fail)
    with pytest.raises(ZeroDivisionError):
        stage.app.trigger({})
    assert [place.ends for place in stage.places.given] == [[None]]


def test_a_closed_store_gives_the_place_back(stage: Stage) -> None:
    stage.store.flush()
    stage.store._writer.close()
    with pytest.raises(DatabaseUnavailable):
        stage.app.trigger({})
    assert [place.ends for place in stage.places.given] == [[None]]
