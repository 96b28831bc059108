"""The ledger: what was sent is kept, without secrets, without end, and in nobody's way."""

import json
from threading import Event

import pytest

from sloth_ci.builds import BuildStatus
from sloth_ci.masking import Mask
from sloth_ci.request import Rule
from sloth_ci.store import Accepted, Cause, NewDelivery, Sent, ledger
from tests.store.conftest import Shelf

RULES = (Rule("branch", "main", "dev", holds=False),)


def sent(body: bytes = b"{}", *secrets: str) -> Sent:
    headers = {"x-github-event": "push", "x-note": f"so {' '.join(secrets)} it is"}
    return Sent(headers, body, RULES, Mask(secrets))


def new(
    delivery_id: str | None = None,
    *,
    reason: str = "",
    what: Sent | None = None,
    replay_of: int | None = None,
) -> NewDelivery:
    return NewDelivery(
        delivery_id, "push", "192.0.2.1", reason, replay_of=replay_of, sent=what or sent()
    )


def accept(shelf: Shelf, app_id: int, delivery: NewDelivery) -> Accepted:
    return shelf.store.accept(
        app_id=app_id,
        listen_point="web",
        cause=Cause.PUSH,
        params=() if delivery.reason else ({},),
        total=1,
        delivery=delivery,
    )


def refuse(shelf: Shelf, app_id: int, body: bytes = b"{}") -> None:
    delivery = new(reason="It is wrong.", what=sent(body))
    shelf.store.note_delivery(app_id, delivery, status=403, code="signature_refused")


def test_an_accepted_one_is_kept_with_what_was_sent_and_its_builds(shelf: Shelf) -> None:
    web = shelf.add_app()
    accepted = accept(shelf, web, new("guid", what=sent(b'{"ref": "main"}')))
    shelf.store.flush()
    assert accepted.delivery is not None
    found = shelf.store.delivery(accepted.delivery)
    assert found is not None
    assert (found.status, found.code, found.event, found.delivery_id) == (202, "", "push", "guid")
    assert (found.body, found.body_size, found.is_whole) == (b'{"ref": "main"}', 15, True)
    assert found.headers["x-github-event"] == "push"
    assert found.rules == RULES
    assert found.builds == accepted.builds
    build = shelf.store.find_build(accepted.builds[0])
    assert build is not None
    assert build.delivery_id == found.id


def test_the_listing_has_the_verdicts_and_leaves_the_rest_out(shelf: Shelf) -> None:
    web, api = shelf.add_app("web"), shelf.add_app("api")
    first = accept(shelf, web, new())
    shelf.store.flush()
    refuse(shelf, web)
    refuse(shelf, api)
    shelf.store.flush()
    listed = shelf.store.deliveries(most=10)
    assert [(one.listen_point, one.status) for one in listed] == [
        ("api", 403),
        ("web", 403),
        ("web", 202),
    ]
    assert [(one.body, dict(one.headers), one.rules) for one in listed] == [(None, {}, RULES)] * 3
    assert [one.status for one in shelf.store.deliveries(app_id=web, most=10)] == [403, 202]
    assert listed[-1].builds == first.builds
    assert shelf.store.deliveries(before=listed[1].id, most=10) == listed[2:]


def test_no_secret_is_kept_in_any_form(shelf: Shelf) -> None:
    web = shelf.add_app()
    secret = "hunter2-hunter2"
    body = json.dumps({"secret": secret, "ref": "main"}).encode() + b"\xff\xfe"
    accepted = accept(shelf, web, new(what=sent(body, secret)))
    rules = (Rule("branch", f"not {secret}", f"a {secret}", holds=True),)
    refused = new(reason="No.", what=Sent({secret: secret}, b"", rules, Mask((secret,))))
    shelf.store.note_delivery(web, refused, status=403, code="x")
    shelf.store.flush()
    found = shelf.store.delivery(accepted.delivery or 0)
    assert found is not None
    assert found.body == body.replace(secret.encode(), b"***")
    shelf.store.close()
    for file in shelf.path.parent.iterdir():
        assert secret.encode() not in file.read_bytes()
    shelf.store = type(shelf.store)(shelf.path)


def test_a_body_comes_back_byte_for_byte(shelf: Shelf) -> None:
    web = shelf.add_app()
    body = bytes(range(256)) * 20 + "ünïcode \U0001f9a5".encode()
    accepted = accept(shelf, web, new(what=sent(body)))
    shelf.store.flush()
    found = shelf.store.delivery(accepted.delivery or 0)
    assert found is not None
    assert found.body == body


def test_of_a_large_body_the_beginning_is_kept_and_its_size_told(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "MAX_BODY", 1_000)
    monkeypatch.setattr(ledger, "MAX_SPARE_BODY", 100)
    web = shelf.add_app()
    accept(shelf, web, new(what=sent(b"x" * 5_000)))
    shelf.store.flush()
    refuse(shelf, web, b"y" * 5_000)
    shelf.store.flush()
    refused, accepted = (shelf.store.delivery(one.id) for one in shelf.store.deliveries(most=2))
    assert accepted is not None
    assert refused is not None
    assert (accepted.body, accepted.body_size) == (b"x" * 1_000, 5_000)
    assert (refused.body, refused.body_size) == (b"y" * 100, 5_000)
    assert not accepted.is_whole


def test_a_flood_of_refused_ones_leaves_the_newest_of_each_app(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "SPARE_OF_APP", 5)
    monkeypatch.setattr(ledger, "_REST", 0)
    monkeypatch.setattr(ledger, "_DELAY", 0)
    web, api = shelf.add_app("web"), shelf.add_app("api")
    accepted = accept(shelf, web, new())
    refuse(shelf, api)
    for number in range(60):
        refuse(shelf, web, str(number).encode())
        if number % 10 == 9:
            shelf.store.flush()
    left = shelf.store.deliveries(app_id=web, most=100)
    bodies = [found.body for one in left if (found := shelf.store.delivery(one.id))]
    assert bodies[:5] == [b"59", b"58", b"57", b"56", b"55"]
    assert [one.id for one in left[5:]] == [accepted.delivery]
    assert len(shelf.store.deliveries(app_id=api, most=100)) == 1


def test_many_apps_together_have_an_end_too(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "SPARE", 7)
    for number in range(10):
        refuse(shelf, shelf.add_app(f"app{number}"))
    shelf.store.flush()
    assert len(shelf.store.deliveries(most=100)) == 7


def test_what_comes_too_fast_is_dropped_and_holds_up_nobody(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    web, api = shelf.add_app("web"), shelf.add_app("api")
    go, begun = Event(), Event()

    def stand(entry: ledger.Kept) -> None:
        begun.set()
        assert go.wait(20)

    monkeypatch.setattr(ledger, "_pack", stand)
    refuse(shelf, web)
    assert begun.wait(20)
    for _ in range(10_000):
        refuse(shelf, web, b"x" * 1_000)
    accepted = accept(shelf, api, new())
    refuse(shelf, api)
    kept = shelf.store._ledger
    assert kept._spare_of[web] == ledger._WAITING_OF_APP
    assert kept._spare_of[api] == 1
    go.set()
    shelf.store.flush()
    assert accepted.builds
    assert len(shelf.store.deliveries(app_id=web, most=100)) == 1 + ledger._WAITING_OF_APP


def test_accepted_ones_wait_only_within_so_many_bytes(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = shelf.add_app()
    monkeypatch.setattr(ledger, "_WAITING_BYTES", 5_000)
    go, begun = Event(), Event()
    pack = ledger._pack

    def stand(entry: ledger.Kept):
        begun.set()
        assert go.wait(20)
        return pack(entry)

    monkeypatch.setattr(ledger, "_pack", stand)
    first = accept(shelf, web, new())
    assert begun.wait(20)
    rest = [accept(shelf, web, new(what=sent(b"x" * 1_500))) for _ in range(6)]
    go.set()
    shelf.store.flush()
    kept = [shelf.store.delivery(one.delivery or 0) for one in (first, *rest)]
    assert [one is not None and one.body is not None for one in kept] == [True] * 3 + [False] * 4


def test_authentic_ones_without_builds_lose_what_was_sent_but_are_known_again(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "IGNORED_OF_APP", 3)
    web = shelf.add_app()
    for number in range(6):
        accept(shelf, web, new(f"guid-{number}", reason="Another branch."))
    shelf.store.flush()
    found = [shelf.store.delivery(one.id) for one in shelf.store.deliveries(most=10)]
    assert [one is not None and one.body is not None for one in found] == [True] * 3 + [False] * 3
    assert {one.status for one in shelf.store.deliveries(most=10)} == {200}
    assert accept(shelf, web, new("guid-0", reason="Another branch.")).repeated


def test_the_same_one_again_is_shown_and_makes_nothing(shelf: Shelf) -> None:
    web = shelf.add_app()
    first = accept(shelf, web, new("guid"))
    again = accept(shelf, web, new("guid"))
    shelf.store.flush()
    assert (again.repeated, again.builds, again.delivery) == (True, first.builds, first.delivery)
    shown, _original = shelf.store.deliveries(most=10)
    assert (shown.status, shown.builds, shown.delivery_id) == (200, (), "guid")
    third = accept(shelf, web, new("guid"))
    assert third.delivery == first.delivery


def test_a_replay_is_a_delivery_of_its_own(shelf: Shelf) -> None:
    web = shelf.add_app()
    first = accept(shelf, web, new("guid"))
    replayed = accept(shelf, web, new("guid", replay_of=first.delivery))
    shelf.store.flush()
    assert not replayed.repeated
    assert replayed.builds != first.builds
    found = shelf.store.delivery(replayed.delivery or 0)
    assert found is not None
    assert found.replay_of == first.delivery
    assert accept(shelf, web, new("guid")).builds == first.builds


def test_what_was_sent_goes_with_the_last_of_its_builds(shelf: Shelf) -> None:
    web = shelf.add_app()
    accepted = accept(shelf, web, new("guid"))
    shelf.store.claim(web)
    shelf.finish(web, accepted.builds[0], BuildStatus.COMPLETE)
    shelf.store.flush()
    shelf.clock.now += 91 * 24 * 3600
    accept(shelf, web, new("later"))
    assert shelf.store.sweep() == 1
    assert shelf.store.delivery(accepted.delivery or 0) is None


def test_closing_writes_what_waits(shelf: Shelf) -> None:
    web = shelf.add_app()
    refuse(shelf, web)
    assert [one.status for one in shelf.reopen().deliveries(app_id=web, most=10)] == [403]


def test_where_no_thread_is_to_be_had_it_is_accepted_all_the_same(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_given: object, **_options: object) -> None:
        raise RuntimeError("can't start new thread")

    web = shelf.add_app()
    with monkeypatch.context() as patched:
        patched.setattr(ledger.Thread, "start", refuse)
        assert accept(shelf, web, new("1")).builds
    accepted = accept(shelf, web, new("2"))
    shelf.store.flush()
    assert accepted.delivery is not None
    kept = shelf.store.delivery(accepted.delivery)
    assert kept is not None
    assert kept.body == b"{}"


def test_one_that_can_not_be_kept_keeps_no_later_one_from_it(shelf: Shelf) -> None:
    def fail(_text: str) -> str:
        raise ZeroDivisionError

    web = shelf.add_app()
    accept(shelf, web, new("1", what=Sent({}, b"{}", RULES, fail)))
    shelf.store.flush()
    accepted = accept(shelf, web, new("2"))
    shelf.store.flush()
    assert accepted.delivery is not None
    kept = shelf.store.delivery(accepted.delivery)
    assert kept is not None
    assert kept.body == b"{}"
