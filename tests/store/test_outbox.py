"""The outbox: what waits is there in order, over restarts, and what is done is forgotten."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sloth_ci.store import Keep, Store
from sloth_ci.store.outbox import OutboxState

DAY = 24 * 3600.0


class Clock:
    """Time that stands still."""

    now = 1_900_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    made = Store(tmp_path / "sloth.db", clock=clock, keep=Keep(days=1))
    yield made
    made.close()


def add(store: Store, *kinds: str, app_id: int = 1, extension: str = "tell") -> None:
    for kind in kinds:
        store.outbox.add(app_id=app_id, extension=extension, kind=kind, body="{}", now=Clock.now)


def kinds(store: Store, *, app_id: int = 1, extension: str = "tell") -> list[tuple[str, str]]:
    found = store.outbox.log(app_id=app_id, extension=extension, most=1000)
    return [(one.kind, one.state.value) for one in found]


def test_the_first_of_each_extension_is_a_head(store: Store) -> None:
    add(store, "a1", "a2")
    add(store, "b1", "b2", extension="other")
    add(store, "c1", app_id=0)

    assert [one.kind for one in store.outbox.heads()] == ["a1", "b1", "c1"]


def test_a_head_that_is_done_makes_room_for_the_next(store: Store) -> None:
    add(store, "a1", "a2")
    (head,) = store.outbox.heads()

    store.outbox.settle(head.id, state=OutboxState.DELIVERED, answer="200", now=5.0)

    (next_one,) = store.outbox.heads()
    assert (next_one.kind, next_one.attempts, next_one.answer) == ("a2", 0, "")
    assert kinds(store) == [("a2", "waiting"), ("a1", "delivered")]
    done = store.outbox.log(app_id=1, extension="tell", most=10)[1]
    assert (done.attempts, done.due, done.answer) == (1, 5.0, "200")


def test_one_that_is_put_off_stays_the_head(store: Store) -> None:
    add(store, "a1", "a2")
    add(store, "b1", extension="other")
    first = store.outbox.heads()[0]

    store.outbox.postpone(first.id, due=Clock.now + 5, answer="no \ud800 answer")

    soon, late = store.outbox.heads()
    assert (soon.kind, late.kind) == ("b1", "a1")
    assert (late.attempts, late.due, late.answer) == (1, Clock.now + 5, "no \\ud800 answer")


def test_what_is_done_stays_done(store: Store) -> None:
    add(store, "a1")
    (head,) = store.outbox.heads()
    store.outbox.settle(head.id, state=OutboxState.GIVEN_UP, answer="gone", now=5.0)

    store.outbox.postpone(head.id, due=9.0, answer="late")
    store.outbox.settle(head.id, state=OutboxState.DELIVERED, answer="200", now=9.0)

    assert kinds(store) == [("a1", "given_up")]


def test_all_of_an_extension_can_be_given_up(store: Store) -> None:
    add(store, "a1", "a2")
    add(store, "b1", extension="other")

    assert store.outbox.give_up(app_id=1, extension="tell", answer="410", now=5.0) == 2
    assert [one.kind for one in store.outbox.heads()] == ["b1"]


def test_it_outlives_the_server(tmp_path: Path) -> None:
    for _ in range(2):
        store = Store(tmp_path / "sloth.db")
        add(store, "a")
        store.close()

    store = Store(tmp_path / "sloth.db")
    assert kinds(store) == [("a", "waiting"), ("a", "waiting")]
    store.close()


def test_what_is_old_is_forgotten_even_if_it_waits(store: Store, clock: Clock) -> None:
    add(store, "a1", "a2")
    store.outbox.settle(
        store.outbox.heads()[0].id, state=OutboxState.DELIVERED, answer="200", now=5.0
    )
    clock.now = Clock.now + 7 * DAY
    store.sweep()
    assert len(kinds(store)) == 2

    clock.now = Clock.now + 9 * DAY
    store.sweep()
    assert kinds(store) == []
