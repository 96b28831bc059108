"""Deliveries on their way through an app: what is kept of them, why, and how they come again."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from sloth_ci.app import App
from sloth_ci.bed import Bed
from sloth_ci.builds import BuildStatus
from sloth_ci.errors import (
    BadPayload,
    BodyTooLarge,
    DeliveryNotFound,
    DeliveryNotReplayable,
    NoProvider,
    QueueFull,
    SignatureRefused,
    SlothError,
)
from sloth_ci.executors import ImmediateExecutor
from sloth_ci.journal import Journal
from sloth_ci.masking import SHOWN
from sloth_ci.request import Request, Rule
from sloth_ci.store import Cause, Store, StoredDelivery, ledger
from sloth_ci.validators import Verdict
from sloth_ci.validators.dummy import DummyValidator
from tests.conftest import Runs
from tests.validators.deliveries import SECRET, load, load_all, make, request, sign

PUSH = load("github", "push-two-commits")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "sloth.db", max_queue=3)
    yield store
    store.close()


@pytest.fixture
def bed(tmp_path: Path, runs: Runs, store: Store) -> Iterator[Bed]:
    bed = Bed(
        store=store,
        journal=Journal(store),
        base_dir=tmp_path,
        run_action=runs,
        make_executor=ImmediateExecutor,
    )
    yield bed
    bed.close()


def config(**options: object) -> str:
    return json.dumps(
        {
            "listen_point": "web",
            "provider": {"github": {"secret": SECRET, **options}},
            "actions": ["echo {branch}"],
        }
    )


def signed(body: bytes = PUSH.body, **headers: str) -> Request:
    return request(body, {**PUSH.headers, **sign("github", body), **headers})


def newest(store: Store) -> StoredDelivery:
    store.flush()
    found = store.delivery(store.deliveries(most=1)[0].id)
    assert found is not None
    return found


def names(rules: tuple[Rule, ...]) -> list[tuple[str, bool]]:
    return [(rule.rule, rule.holds) for rule in rules]


class TestLedger:
    def test_an_accepted_push_tells_every_rule_that_it_was_held_against(
        self, bed: Bed, store: Store
    ) -> None:
        app = bed.create(config(owner=PUSH.data["repository"]["owner"]["login"], branches="*"))
        accepted = app.receive(signed())
        found = newest(store)
        assert names(found.rules) == [
            ("method", True),
            ("address", True),
            ("signature", True),
            ("event", True),
            ("owner", True),
            ("branch", True),
        ]
        assert (found.status, found.builds, found.body) == (202, accepted.builds, PUSH.body)
        [build] = store.builds(most=5)
        assert (build.actor, build.delivery_id) == ("github 192.0.2.1", found.id)

    def test_one_without_builds_names_the_rule_that_kept_it_out(
        self, bed: Bed, store: Store
    ) -> None:
        app = bed.create(config(branches=["release/*", "stable"]))
        app.receive(signed())
        found = newest(store)
        [rule] = [rule for rule in found.rules if not rule.holds]
        assert (rule.rule, rule.wanted) == ("branch", "release/*, stable")
        assert found.status == 200
        assert rule.seen in found.reason

    def test_a_refused_one_is_kept_with_its_error(self, bed: Bed, store: Store) -> None:
        app = bed.create(config())
        with pytest.raises(SignatureRefused):
            app.receive(request(PUSH.body, {**PUSH.headers, "X-Hub-Signature-256": "sha256=00"}))
        found = newest(store)
        assert (found.status, found.code) == (403, "signature_refused")
        assert names(found.rules) == [("method", True), ("address", True), ("signature", False)]
        assert found.rules[-1].seen == "its signature in X-Hub-Signature-256 is wrong"
        assert (found.body, found.builds) == (PUSH.body, ())

    @pytest.mark.parametrize(
        ("broken", "code", "rule"),
        [
            ({"method": "GET"}, "method_refused", "method"),
            ({"address": "203.0.113.9"}, "address_refused", "address"),
            ({"body": b"{"}, "bad_body", "payload"),
        ],
        ids=str,
    )
    def test_what_was_wrong_is_the_last_rule(
        self, bed: Bed, store: Store, broken: Mapping[str, object], code: str, rule: str
    ) -> None:
        app = bed.create(config(trusted_ips=["192.0.2.0/24"]))
        body = broken.get("body", PUSH.body)
        assert isinstance(body, bytes)
        with pytest.raises(SlothError):
            app.receive(replace(signed(body), **broken))
        found = newest(store)
        assert found.code == code
        assert (found.rules[-1].rule, found.rules[-1].holds) == (rule, False)

    def test_what_a_full_queue_refuses_is_kept_too(self, bed: Bed, store: Store) -> None:
        app = bed.create(config())
        store.pause(None, reason="", by="")
        for _ in range(3):
            app.trigger({})
        with pytest.raises(QueueFull):
            app.receive(signed())
        found = newest(store)
        assert (found.status, found.code) == (503, "queue_full")
        assert all(rule.holds for rule in found.rules)

    def test_what_never_came_whole_is_kept_without_a_body(self, bed: Bed, store: Store) -> None:
        app = bed.create(config())
        app.refuse(replace(signed(), body=b""), BodyTooLarge(limit=5))
        found = newest(store)
        assert (found.status, found.code, found.body) == (413, "body_too_large", b"")

    def test_an_app_without_provider_keeps_what_it_refuses(self, bed: Bed, store: Store) -> None:
        app = bed.create("listen_point: web\nactions: [echo hi]\n")
        with pytest.raises(NoProvider):
            app.receive(signed())
        assert newest(store).code == "no_provider"

    def test_the_verdict_of_a_validator_from_elsewhere_is_a_rule(
        self, bed: Bed, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        verdict = Verdict("", None, (), "Not on Sundays.")
        monkeypatch.setattr(DummyValidator, "judge", lambda *_: verdict)
        app = bed.create("listen_point: web\nprovider: {dummy: {allow_unsigned: true}}")
        app.receive(request())
        rule = newest(store).rules[-1]
        assert (rule.rule, rule.seen, rule.holds) == ("verdict", "Not on Sundays.", False)

    @pytest.mark.parametrize("error", [ZeroDivisionError("1/0"), SystemExit("enough")], ids=repr)
    def test_one_whose_validator_fails_is_kept_and_judged_with_that(
        self,
        bed: Bed,
        store: Store,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        error: BaseException,
    ) -> None:
        def fail(_validator: object, _request: Request) -> Verdict:
            raise error

        monkeypatch.setattr(DummyValidator, "judge", fail)
        app = bed.create("listen_point: web\nprovider: {dummy: {allow_unsigned: true}}")
        with pytest.raises(SlothError):
            app.receive(request())
        kept = newest(store)
        assert (kept.status, kept.code) == (500, "server_error")
        assert "The validator DummyValidator failed" in caplog.text
        judged = app.judge(kept)
        assert (judged.status, judged.code) == (500, "server_error")


class TestSecrets:
    def test_of_headers_that_prove_something_it_is_told_that_they_came(
        self, bed: Bed, store: Store
    ) -> None:
        app = bed.create(config())
        app.receive(
            signed(
                **{
                    "Authorization": "Basic hunter2hunter2",
                    "Cookie": "hunter2hunter2",
                    "X-Gitlab-Token": "hunter2hunter2",
                    "X-Api-Key": "hunter2hunter2",
                    "X-Forwarded-For": "198.51.100.7",
                }
            )
        )
        headers = newest(store).headers
        for name in ("authorization", "cookie", "x-gitlab-token", "x-api-key"):
            assert headers[name] == SHOWN
        assert headers["x-hub-signature-256"] == SHOWN
        assert headers["x-github-event"] == "push"
        assert headers["content-type"] == PUSH.headers["Content-Type"]
        assert "x-forwarded-for" not in headers

    def test_the_header_of_a_generic_token_is_not_kept_whatever_its_name(
        self, bed: Bed, store: Store
    ) -> None:
        options = {
            "scheme": "token",
            "secret": SECRET,
            "header": "X-Spam",
            "event_header": "X-Kind",
        }
        app = bed.create(json.dumps({"listen_point": "web", "provider": {"generic": options}}))
        app.receive(request(b"{}", {"X-Spam": SECRET, "X-Kind": "deploy", "X-Other": "1"}))
        assert dict(newest(store).headers) == {"x-spam": SHOWN, "x-kind": "deploy"}

    def test_a_secret_in_a_body_or_in_a_refusal_is_masked(self, bed: Bed, store: Store) -> None:
        app = bed.create(config())
        body = json.dumps({**PUSH.data, "secret": SECRET, "ref": f"-{SECRET}"}).encode()
        with pytest.raises(BadPayload):
            app.receive(signed(body))
        found = newest(store)
        assert found.body is not None
        assert SECRET.encode() not in found.body
        assert SECRET not in found.reason
        assert not [rule for rule in found.rules if SECRET in rule.seen + rule.wanted]


class TestReplay:
    def test_it_builds_again_what_was_built_before(
        self, bed: Bed, store: Store, runs: Runs
    ) -> None:
        app = bed.create(config())
        first = app.receive(signed())
        store.flush()
        replayed = app.replay(first.delivery or 0, actor="joe")
        assert not replayed.repeated
        assert runs.builds[0].params == runs.builds[1].params
        build = store.find_build(replayed.builds[0])
        assert build is not None
        assert (build.cause, build.actor, build.status) == (
            Cause.PUSH,
            "joe",
            BuildStatus.COMPLETE,
        )
        found = newest(store)
        assert (found.replay_of, found.id) == (first.delivery, replayed.delivery)
        again = app.replay(found.id, actor="joe")
        assert again.builds

    def test_it_is_held_against_todays_rules(self, bed: Bed, store: Store) -> None:
        app = bed.create(config(branches="stable"))
        ignored = app.receive(signed())
        store.flush()
        app = bed.update("web", config())
        replayed = app.replay(ignored.delivery or 0, actor="joe")
        assert len(replayed.builds) == 1

    def test_what_was_not_proved_is_never_taken_again(self, bed: Bed, store: Store) -> None:
        app = bed.create(config())
        with pytest.raises(SignatureRefused):
            app.receive(request(PUSH.body, PUSH.headers))
        with pytest.raises(DeliveryNotReplayable, match="proved"):
            app.replay(newest(store).id, actor="joe")
        app.refuse(signed(), BodyTooLarge(limit=1))
        with pytest.raises(DeliveryNotReplayable, match="proved"):
            app.replay(newest(store).id, actor="joe")
        assert store.builds(most=1) == []

    def test_what_is_not_kept_whole_is_not_taken_again(
        self, bed: Bed, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ledger, "MAX_BODY", 100)
        app = bed.create(config())
        app.receive(signed())
        with pytest.raises(DeliveryNotReplayable, match=f"100 of {len(PUSH.body)} bytes"):
            app.replay(newest(store).id, actor="joe")

    def test_another_apps_deliveries_are_not_there(self, bed: Bed, store: Store) -> None:
        app = bed.create(config())
        other = bed.create(config().replace("web", "other", 1))
        accepted = app.receive(signed())
        store.flush()
        for delivery_id in (accepted.delivery or 0, 999):
            with pytest.raises(DeliveryNotFound):
                other.replay(delivery_id, actor="joe")

    @pytest.mark.parametrize("sample", load_all(), ids=lambda one: f"{one.provider}-{one.name}")
    def test_every_recorded_delivery_gives_the_same_verdict_again(
        self, sample, bed: Bed, store: Store
    ) -> None:
        """What is kept is all that a validator looks at, but for what proves it."""
        options = {"allow_unsigned": True, "tags": "*", "events": sorted({"push", sample.event})}
        app = bed.create(
            json.dumps({"listen_point": "web", "provider": {sample.provider: options}})
        )
        delivery = request(sample.body, sample.headers)
        try:
            verdict = make(sample.provider, **options).validate(delivery)
        except SlothError:
            return
        app.receive(delivery)
        judged = app.judge(newest(store))
        assert judged.params == verdict.params
        assert (judged.event, judged.reason) == (verdict.event, verdict.reason)


class TestJudge:
    @pytest.fixture
    def ignored(self, bed: Bed, store: Store) -> tuple[App, StoredDelivery]:
        app = bed.create(config(branches="stable"))
        app.receive(signed())
        return app, newest(store)

    def test_it_tells_what_would_come_of_it_and_does_nothing(
        self, ignored: tuple[App, StoredDelivery], bed: Bed, store: Store
    ) -> None:
        app, delivery = ignored
        before = app.judge(delivery)
        assert (before.status, before.params, before.reason) == (200, (), delivery.reason)
        app = bed.update("web", config())
        after = app.judge(delivery)
        assert (after.status, after.code, after.event) == (202, "", "push")
        assert len(after.params) == 1
        assert all(rule.holds for rule in after.rules)
        assert len(store.deliveries(most=10)) == 1
        assert store.builds(most=1) == []

    def test_a_refusal_is_foreseen(self, ignored: tuple[App, StoredDelivery], bed: Bed) -> None:
        _app, delivery = ignored
        app = bed.update("web", config(trusted_ips="203.0.113.0/24"))
        judged = app.judge(delivery)
        assert (judged.status, judged.code) == (403, "address_refused")
        assert names(judged.rules)[-1] == ("address", False)

    def test_what_was_not_proved_is_refused_again(self, bed: Bed, store: Store) -> None:
        app = bed.create(config())
        with pytest.raises(SignatureRefused):
            app.receive(request(PUSH.body, PUSH.headers))
        judged = app.judge(newest(store))
        assert (judged.status, judged.code, judged.params) == (403, "signature_refused", ())
        assert "missing" in judged.reason

    def test_an_app_without_provider_judges_nothing(
        self, ignored: tuple[App, StoredDelivery], bed: Bed
    ) -> None:
        app = bed.update("web", "listen_point: web\nactions: [echo hi]\n")
        with pytest.raises(NoProvider):
            app.judge(ignored[1])
