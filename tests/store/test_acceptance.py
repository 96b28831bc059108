"""What is accepted in one transaction: each as if it had come alone."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import Any

import pytest

from sloth_ci.builds import BuildStatus
from sloth_ci.errors import QueueFull, Unavailable
from sloth_ci.records import Logger
from sloth_ci.store import Acceptance, Accepted, Cause, NewDelivery, Pending
from sloth_ci.store.backlog import Joint
from tests.store.conftest import Shelf

PATIENCE = 45


def push(app_id: int, name: str = "one", *, builds: int = 1, begin: bool = False) -> Acceptance:
    return Acceptance(
        app_id,
        "web",
        Cause.PUSH,
        tuple({"number": str(number)} for number in range(builds)),
        2,
        delivery=NewDelivery(name, "push", "192.0.2.1"),
        begin=begin,
    )


def trigger(app_id: int, *, begin: bool = False) -> Acceptance:
    return Acceptance(app_id, "web", Cause.TRIGGER, ({"who": "joe"},), 1, begin=begin)


@contextmanager
def held(shelf: Shelf) -> Iterator[None]:
    """While this lasts nothing is written; what comes meanwhile is one group."""
    holds, go = Event(), Event()

    def hold(_db: sqlite3.Connection) -> None:
        holds.set()
        go.wait(PATIENCE)

    holding = shelf.store._writer.start(hold)
    assert holds.wait(PATIENCE)
    try:
        yield
    finally:
        go.set()
        holding.result()


def together(shelf: Shelf, wanted: Sequence[Acceptance]) -> list[Pending[Accepted]]:
    with held(shelf):
        return [shelf.store.accepting(one) for one in wanted]


def test_pushes_of_many_apps_get_ids_in_their_order(shelf: Shelf) -> None:
    apps = [shelf.add_app(f"app{number}") for number in range(30)]
    pending = together(shelf, [push(app_id, builds=2) for app_id in apps])
    builds = [one.result().builds for one in pending]
    assert builds == [(first, first + 1) for first in range(1, 61, 2)]
    for app_id, (first, second) in zip(apps, builds, strict=True):
        found = shelf.store.builds(app_id=app_id, most=10)
        assert [(one.id, one.params) for one in found] == [
            (second, {"number": "1"}),
            (first, {"number": "0"}),
        ]
    assert shelf.store.queue().waiting == 60


def test_each_has_its_delivery_and_its_record(shelf: Shelf) -> None:
    apps = [shelf.add_app("one"), shelf.add_app("two")]
    pending = together(shelf, [push(app_id, "same") for app_id in apps])
    for app_id, one in zip(apps, pending, strict=True):
        accepted = one.result()
        (delivery,) = shelf.store.deliveries(app_id=app_id, most=5)
        assert (delivery.id, delivery.builds) == (accepted.delivery, accepted.builds)
        records = shelf.store.records(build_id=accepted.builds[0], most=5).records
        assert [(one.logger, one.message) for one in records] == [
            (Logger.BUILD, "Triggered, actions in queue: 2")
        ]


def test_the_same_delivery_twice_makes_one_build(shelf: Shelf) -> None:
    app_id = shelf.add_app()
    first, again = together(shelf, [push(app_id), push(app_id)])
    assert first.result() == Accepted((1,), delivery=1)
    assert again.result() == Accepted((1,), repeated=True, delivery=1)
    assert shelf.store.queue().waiting == 1


def test_who_finds_the_queue_full_is_refused_alone(shelf: Shelf) -> None:
    full, other = shelf.add_app("full"), shelf.add_app("other")
    pending = together(
        shelf,
        [push(full, "a", builds=49), push(full, "b", builds=2), push(full, "c"), push(other, "d")],
    )
    assert len(pending[0].result().builds) == 49
    with pytest.raises(QueueFull):
        pending[1].result()
    assert [len(one.result().builds) for one in pending[2:]] == [1, 1]
    # What was refused did not come: it is no repetition when it comes again.
    for _ in range(2):
        claimed = shelf.store.claim(full)
        assert claimed is not None
        shelf.finish(full, claimed.id, BuildStatus.COMPLETE)
    assert not shelf.store.accepting(push(full, "b", builds=2)).result().repeated


def test_the_queue_of_all_apps_is_full_for_all_that_follow(shelf: Shelf) -> None:
    apps = [shelf.add_app(f"app{number}") for number in range(3)]
    pending = together(shelf, [push(app_id, builds=40) for app_id in apps])
    assert [len(one.result().builds) for one in pending[:2]] == [40, 40]
    with pytest.raises(Unavailable):
        pending[2].result()


def test_one_that_can_not_be_made_fails_alone(shelf: Shelf) -> None:
    app_id = shelf.add_app()
    good, bad, also_good = together(
        shelf, [push(app_id, "a"), push(app_id + 1, "b"), push(app_id, "c")]
    )
    assert [one.result().builds for one in (good, also_good)] == [(1,), (2,)]
    with pytest.raises(LookupError):
        bad.result()


def test_a_joint_change_gives_each_its_own(shelf: Shelf) -> None:
    groups: list[list[Any]] = []

    def make_all(_db: sqlite3.Connection, wanted: Sequence[Any]) -> list[Any]:
        groups.append(list(wanted))
        return [ValueError("odd") if one % 2 else one * 10 for one in wanted]

    with held(shelf):
        pending = [shelf.store._writer.start(Joint(make_all, number)) for number in range(4)]
    assert [pending[even].result() for even in (0, 2)] == [0, 20]
    for odd in (1, 3):
        with pytest.raises(ValueError, match="odd"):
            pending[odd].result()
    assert groups == [[0, 1, 2, 3]]


class TestBegin:
    """A build that is claimed with its acceptance."""

    def test_it_runs_with_what_a_claim_gives(self, shelf: Shelf) -> None:
        app_id = shelf.add_app()
        accepted = shelf.store.accepting(trigger(app_id, begin=True)).result()
        queued = shelf.queue(app_id, {"who": "joe"})
        assert accepted.claimed is not None
        stored = shelf.store.find_build(accepted.builds[0])
        assert stored is not None
        assert (stored.status, stored.started) == (BuildStatus.RUNNING, stored.queued)
        assert stored.config_id == accepted.claimed.config_id is not None
        shelf.finish(app_id, stored.id, BuildStatus.COMPLETE)
        claimed = shelf.store.claim(app_id)
        assert claimed is not None
        assert claimed.id == queued
        assert (claimed.params, claimed.config_id, claimed.config_hash) == (
            accepted.claimed.params,
            accepted.claimed.config_id,
            accepted.claimed.config_hash,
        )

    def test_its_history_is_that_of_a_build_that_waited(self, shelf: Shelf) -> None:
        app_id = shelf.add_app()
        accepted = shelf.store.accepting(trigger(app_id, begin=True)).result()
        shelf.finish(app_id, accepted.builds[0], BuildStatus.COMPLETE)
        records = shelf.store.records(build_id=accepted.builds[0], most=5).records
        assert sorted(one.message for one in records) == [
            "Complete (1/2)",
            "Triggered, actions in queue: 1",
        ]
        assert shelf.store.queue().waiting == 0

    def test_only_the_first_of_a_push_begins(self, shelf: Shelf) -> None:
        accepted = shelf.store.accepting(push(shelf.add_app(), builds=3, begin=True)).result()
        assert accepted.claimed is not None
        assert accepted.claimed.id == accepted.builds[0]
        assert [shelf.status(one) for one in accepted.builds] == [
            BuildStatus.RUNNING,
            BuildStatus.QUEUED,
            BuildStatus.QUEUED,
        ]
        assert shelf.store.queue().waiting == 2

    def test_none_begins_before_one_that_waits(self, shelf: Shelf) -> None:
        app_id = shelf.add_app()
        waits, wants = together(shelf, [trigger(app_id), trigger(app_id, begin=True)])
        assert waits.result().claimed is None
        assert wants.result().claimed is None
        assert shelf.store.queue().waiting == 2

    @pytest.mark.parametrize("server", [False, True])
    def test_none_begins_in_a_pause(self, shelf: Shelf, server: bool) -> None:
        app_id = shelf.add_app()
        shelf.store.pause(None if server else app_id, reason="holiday", by="joe")
        accepted = shelf.store.accepting(trigger(app_id, begin=True)).result()
        assert accepted.claimed is None
        assert shelf.status(accepted.builds[0]) is BuildStatus.QUEUED

    def test_one_that_came_before_does_not_begin_again(self, shelf: Shelf) -> None:
        app_id = shelf.add_app()
        shelf.store.accepting(push(app_id, begin=True)).result()
        again = shelf.store.accepting(push(app_id, begin=True)).result()
        assert (again.repeated, again.claimed) == (True, None)
