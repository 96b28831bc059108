"""Webhooks: what is sent, how it is proved, and that it arrives in the end, once and in order."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from logging import ERROR, WARNING
from pathlib import Path
from typing import Any

import pytest
import sloth_ci_extensions.webhooks as module
from sloth_ci_extensions.webhooks import Webhooks
from sloth_ci_extensions.webhooks import courier as couriers
from sloth_ci_extensions.webhooks.messages import make_message, read_key
from sloth_ci_extensions.webhooks.options import EVENTS, WebhooksOptions

from sloth_ci.builds import BuildStatus
from sloth_ci.errors import ConfigInvalid
from sloth_ci.outgoing import SendFailed
from sloth_ci.request import Request
from sloth_ci.store.outbox import OutboxState
from sloth_ci.validators.signatures import check_standard_webhook, read_signing_key
from tests.calls import wait_until
from tests.extensions.manuals import options_in
from tests.extensions.scenes import Scene, read_options
from tests.sinks import Came, Sink, open_sink

TOKEN = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "just some text"


@pytest.fixture
def sink() -> Iterator[Sink]:
    with open_sink() as opened:
        yield opened


class Stage(Scene):
    """A scene with webhooks in it."""

    def __init__(self, folder: Path, sink: Sink) -> None:
        super().__init__(folder)
        self.sink = sink
        self.opened: list[Webhooks] = []

    def open(self, *, name: str = "tell", path: str = "/hook", **options: Any) -> Webhooks:
        """Webhooks to the sink, opened."""
        given = {"url": f"{self.sink.url}{path}", "secret": TOKEN, "private": "true", **options}
        made = Webhooks(
            WebhooksOptions.model_validate(given), self.context(name=name), clock=self.clock
        )
        # The courier's own clock is this one's too.
        couriers.find_courier(self.store)._clock = self.clock
        made.open()
        self.opened.append(made)
        return made

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and the courier look at the clock."""
        self.now += seconds
        couriers.find_courier(self.store).wake()

    def entries(self, name: str = "tell") -> list[tuple[str, str, int]]:
        """Kind, state and number of tries of all entries, the oldest first."""
        found = self.store.outbox.log(app_id=self.app_id, extension=name, most=1000)
        return [(one.kind, one.state.value, one.attempts) for one in reversed(found)]

    def wait_for_entries(self, *wanted: tuple[str, str, int]) -> None:
        """Return once the entries are these."""
        wait_until(lambda: self.entries() == list(wanted))

    def close(self) -> None:
        """End all of it."""
        for one in self.opened:
            one._is_app_gone = False
            one.close()
        self.store.close()


@pytest.fixture
def stage(tmp_path: Path, sink: Sink) -> Iterator[Stage]:
    made = Stage(tmp_path, sink)
    yield made
    made.close()


def as_request(came: Came) -> Request:
    return Request("POST", came.path, "", came.headers, "127.0.0.1", came.body)


def test_an_event_is_an_envelope_with_the_builds_facts(stage: Stage) -> None:
    stage.open().build_finished(stage.build())

    (came,) = stage.sink.wait_for(1)
    assert (came.method, came.path) == ("POST", "/hook")
    assert came.headers["content-type"] == "application/json"
    value = came.value
    assert value.pop("id") == came.headers["webhook-id"]
    assert datetime.fromisoformat(value.pop("created_at")).timestamp() == stage.now
    assert value == {
        "type": "build.finished",
        "data": {
            "listen_point": "web",
            "id": 17,
            "status": "complete",
            "message": "Complete (2/2)",
            "cause": "push",
            "params": {"branch": "main"},
            "total": 2,
            "completed": 2,
            "queued": stage.now - 65,
            "started": stage.now - 63,
            "finished": stage.now,
            "url": "https://ci.example.org/-/builds/17",
        },
    }


def test_its_signature_holds_by_standard_webhooks(stage: Stage) -> None:
    stage.open().build_finished(stage.build())

    (came,) = stage.sink.wait_for(1)
    check_standard_webhook(as_request(came), keys=[read_signing_key(TOKEN)], now=stage.now)
    assert came.headers["webhook-timestamp"] == str(int(stage.now))


def test_while_the_secret_is_changed_both_sign(stage: Stage) -> None:
    stage.open(secret=[OTHER, TOKEN]).build_finished(stage.build())

    (came,) = stage.sink.wait_for(1)
    assert len(came.headers["webhook-signature"].split(" ")) == 2
    for key in (OTHER.encode(), read_signing_key(TOKEN)):
        check_standard_webhook(as_request(came), keys=[key], now=stage.now)


def test_the_published_example_of_standard_webhooks_comes_out() -> None:
    folder = Path(__file__).parents[1] / "payloads" / "standard-webhooks"
    vector = json.loads((folder / "vector-library.headers.json").read_text())
    wanted, body = vector["headers"], (folder / "vector-library.json").read_bytes()
    made = make_message(mark="", kind="", created=0, data="")
    message = type(made)(wanted["webhook-id"], body)

    headers = message.headers(
        keys=[read_key(vector["secret"])], now=float(wanted["webhook-timestamp"])
    )

    assert headers["webhook-signature"] == wanted["webhook-signature"]


def test_each_hook_tells_its_event(stage: Stage) -> None:
    webhooks = stage.open()
    webhooks.app_added(stage.app())
    webhooks.app_updated(stage.app())
    webhooks.build_queued(stage.build(BuildStatus.QUEUED))
    webhooks.build_started(stage.build(BuildStatus.RUNNING))
    webhooks.build_finished(stage.build())
    webhooks.app_removed(stage.app())

    came = stage.sink.wait_for(6)
    told = [one.value["type"] for one in came]
    assert told == ["app.created", "app.updated", *EVENTS[:3], "app.removed"]
    assert came[0].value["data"] == {"listen_point": "web"}
    assert [one.value["data"].get("status") for one in came[2:5]] == [
        "queued",
        "running",
        "complete",
    ]
    assert len({one.headers["webhook-id"] for one in came}) == 6


def test_an_app_that_a_start_takes_up_was_not_created(stage: Stage) -> None:
    webhooks = stage.open()
    webhooks.app_added(stage.app(at_start=True))
    webhooks.app_updated(stage.app())

    assert stage.sink.wait_for(1)[0].value["type"] == "app.updated"


def test_only_chosen_events_are_sent(stage: Stage) -> None:
    webhooks = stage.open(events=["build.finished"])
    webhooks.build_queued(stage.build(BuildStatus.QUEUED))
    webhooks.app_updated(stage.app())
    webhooks.build_finished(stage.build())

    stage.wait_for_entries(("build.finished", "delivered", 1))


def test_it_is_tried_again_with_the_same_id_and_body_and_a_new_timestamp(stage: Stage) -> None:
    stage.sink.answers = [503]
    stage.open().build_finished(stage.build())
    stage.wait_for_entries(("build.finished", "waiting", 1))

    stage.pass_time(couriers.PAUSES[0] * 1.2)

    stage.wait_for_entries(("build.finished", "delivered", 2))
    first, second = stage.sink.wait_for(2)
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    check_standard_webhook(as_request(second), keys=[read_signing_key(TOKEN)], now=stage.now)
    assert [level for level, _text in stage.log] == [WARNING]


def test_nothing_is_tried_before_its_time(stage: Stage) -> None:
    stage.sink.answers = [503]
    stage.open().build_finished(stage.build())
    stage.wait_for_entries(("build.finished", "waiting", 1))

    stage.pass_time(couriers.PAUSES[0] * 0.9)
    other = stage.open(name="other", path="/other")
    other.build_finished(stage.build())
    stage.sink.wait_for(2)

    assert [one.path for one in stage.sink.came] == ["/hook", "/other"]
    assert stage.entries() == [("build.finished", "waiting", 1)]


def test_the_pauses_grow_and_then_it_is_given_up_and_said_so(stage: Stage) -> None:
    stage.sink.answers = [500] * 8
    stage.open().build_finished(stage.build())
    for tries, pause in enumerate(couriers.PAUSES, 1):
        stage.wait_for_entries(("build.finished", "waiting", tries))
        (entry,) = stage.store.outbox.heads()
        assert pause <= entry.due - stage.now <= pause * 1.2
        stage.pass_time(pause * 1.2)

    stage.wait_for_entries(("build.finished", "given_up", 8))
    wait_until(lambda: len(stage.log) == 2)
    level, text = stage.log[1]
    assert level == ERROR
    assert "build.finished is given up after 8 tries" in text
    assert "answered 500" in text


def test_an_endpoint_that_asks_for_it_is_left_alone_longer(stage: Stage) -> None:
    stage.sink.answers, stage.sink.headers = [429], {"Retry-After": "100"}
    stage.open().build_finished(stage.build())

    stage.wait_for_entries(("build.finished", "waiting", 1))
    assert stage.store.outbox.heads()[0].due == stage.now + 100


def test_order_is_kept_behind_one_that_does_not_arrive(stage: Stage) -> None:
    stage.sink.answers = [500]
    webhooks = stage.open()
    for number in range(1, 6):
        webhooks.build_finished(stage.build(id=number))
    wait_until(lambda: stage.entries()[:1] == [("build.finished", "waiting", 1)])

    stage.pass_time(10)

    came = stage.sink.wait_for(6)
    assert [one.value["data"]["id"] for one in came] == [1, 1, 2, 3, 4, 5]


def test_an_endpoint_in_trouble_holds_up_no_other(stage: Stage) -> None:
    stage.sink.answers = [500]
    stage.open().build_finished(stage.build(id=1))
    stage.sink.wait_for(1)
    stage.open(name="other", path="/other").build_finished(stage.build(id=2))

    assert stage.sink.wait_for(2)[1].path == "/other"


def test_what_waits_outlives_the_server(stage: Stage) -> None:
    stage.sink.answers = [500]
    webhooks = stage.open()
    webhooks.build_finished(stage.build(id=1))
    webhooks.build_finished(stage.build(id=2))
    wait_until(lambda: stage.entries()[:1] == [("build.finished", "waiting", 1)])
    webhooks.close()
    before = stage.sink.came[0].headers["webhook-id"]

    stage.reopen()
    stage.now += 10
    stage.open()

    came = stage.sink.wait_for(3)
    assert [one.value["data"]["id"] for one in came] == [1, 1, 2]
    assert came[1].headers["webhook-id"] == before


def test_nothing_is_sent_once_it_is_closed(stage: Stage) -> None:
    stage.sink.answers = [500]
    webhooks = stage.open()
    webhooks.build_finished(stage.build())
    stage.wait_for_entries(("build.finished", "waiting", 1))
    webhooks.close()

    stage.pass_time(100)
    stage.open(name="other", path="/other").build_finished(stage.build())
    stage.sink.wait_for(2)

    assert [one.path for one in stage.sink.came] == ["/hook", "/other"]


def test_the_removal_of_an_app_is_told_after_it_is_gone(stage: Stage) -> None:
    stage.sink.answers = [500]
    webhooks = stage.open()
    webhooks.app_removed(stage.app())
    webhooks.close()
    stage.wait_for_entries(("app.removed", "waiting", 1))

    stage.pass_time(10)

    assert stage.sink.wait_for(2)[1].value["type"] == "app.removed"


def test_410_ends_it_until_the_url_changes(stage: Stage) -> None:
    stage.sink.answers = [500, 410]
    webhooks = stage.open()
    webhooks.build_finished(stage.build(id=1))
    webhooks.build_finished(stage.build(id=2))
    wait_until(lambda: stage.entries()[:1] == [("build.finished", "waiting", 1)])
    stage.pass_time(10)
    stage.wait_for_entries(("build.finished", "given_up", 2), ("build.finished", "given_up", 0))

    webhooks.build_finished(stage.build(id=3))
    webhooks.close()
    again = stage.open()
    again.build_finished(stage.build(id=4))
    assert len(stage.entries()) == 2
    assert any("410" in text and "2 events are given up" in text for _, text in stage.log)

    stage.open(path="/new").build_finished(stage.build(id=5))
    assert stage.sink.wait_for(3)[2].path == "/new"


def test_a_test_that_succeeds_begins_it_again(stage: Stage) -> None:
    stage.sink.answers = [410]
    webhooks = stage.open()
    webhooks.build_finished(stage.build(id=1))
    stage.wait_for_entries(("build.finished", "given_up", 1))

    assert webhooks.test() == 200
    webhooks.build_finished(stage.build(id=2))

    stage.sink.wait_for(3)
    assert [one.value["type"] for one in stage.sink.came[1:]] == ["webhook.test", "build.finished"]


def test_a_test_that_fails_says_why_without_secrets(stage: Stage) -> None:
    stage.sink.answers, stage.sink.body = [401], f"no {TOKEN}".encode()
    stage.secrets = (TOKEN,)

    with pytest.raises(SendFailed, match=r"answered 401: no \*\*\*"):
        stage.open().test()


def test_private_targets_are_refused_unless_allowed(stage: Stage) -> None:
    stage.open(private="false").build_finished(stage.build())

    stage.wait_for_entries(("build.finished", "waiting", 1))
    (entry,) = stage.store.outbox.heads()
    assert "inside of a network" in entry.answer
    assert stage.sink.came == []


def test_trouble_of_our_own_is_a_try_in_vain(stage: Stage, monkeypatch: Any) -> None:
    def fail(*_values: Any, **_named: Any) -> None:
        raise ZeroDivisionError("oops")

    webhooks = stage.open()
    monkeypatch.setattr(webhooks, "deliver", fail)
    webhooks.build_finished(stage.build())

    stage.wait_for_entries(("build.finished", "waiting", 1))
    assert "ZeroDivisionError: oops" in stage.log[0][1]


def test_no_thread_stays_while_nothing_waits(stage: Stage) -> None:
    stage.open().build_finished(stage.build())
    stage.wait_for_entries(("build.finished", "delivered", 1))

    wait_until(lambda: not couriers.find_courier(stage.store)._works)


def test_the_log_of_deliveries_keeps_the_newest(stage: Stage, monkeypatch: Any) -> None:
    monkeypatch.setattr("sloth_ci.store.outbox.KEPT", 3)
    webhooks = stage.open()
    for number in range(6):
        webhooks.build_finished(stage.build(id=number))
    stage.sink.wait_for(6)

    wait_until(lambda: len(stage.entries()) == 3)


def test_where_too_many_wait_the_oldest_is_given_up(stage: Stage, monkeypatch: Any) -> None:
    monkeypatch.setattr("sloth_ci.store.outbox.MOST_WAITING", 2)
    stage.sink.answers = [500]
    webhooks = stage.open()
    webhooks.build_finished(stage.build(id=1))
    stage.wait_for_entries(("build.finished", "waiting", 1))
    for number in (2, 3):
        webhooks.build_finished(stage.build(id=number))

    wait_until(lambda: stage.sink.wait_for(3))
    assert [one.value["data"]["id"] for one in stage.sink.came] == [1, 2, 3]
    assert (WARNING, "too many events wait: the oldest one is given up") in stage.log
    assert stage.entries()[0] == ("build.finished", "given_up", 1)


# Options


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"secret: {TOKEN}", "'extensions.tell.url' is missing"),
        ("url: https://example.org/", "'extensions.tell.secret' is missing"),
        (f"url: ftp://example.org/\nsecret: {TOKEN}", "has a 'url' that can't be used: it must be"),
        ("url: https://example.org/\nsecret: whsec_!!!", "must have base64 after 'whsec_'"),
        ("url: https://example.org/\nsecret: whsec_YWJj", "24 to 64 bytes in base64"),
        (
            "url: https://example.org/\nsecret: abc\nevents: [build.finish]",
            "unknown event 'build.finish'. Did you mean 'build.finished'",
        ),
        ("url: https://example.org/\nsecret: abc\nevents: []", "must be a list of events"),
        ("url: https://example.org/\nsecret: abc\nscret: abc", "unknown key"),
    ],
)
def test_bad_options_are_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        read_options(Webhooks, text)

    assert reason in str(refused.value)
    assert "whsec_YWJj" not in str(refused.value)


def test_a_ca_file_that_is_none_is_refused(stage: Stage) -> None:
    with pytest.raises(ValueError, match="No such file"):
        stage.open(ca_file="none.pem")


def test_the_manuals_config_works(stage: Stage) -> None:
    (options,) = options_in(module, base_dir=Path())

    made = Webhooks(options, stage.context())
    assert options.events == {"build.finished", "app.removed"}
    assert made.options.private is False


def test_the_manual_names_every_option_and_event() -> None:
    assert module.__doc__
    assert [
        one for one in (*WebhooksOptions.model_fields, *EVENTS) if one not in module.__doc__
    ] == []


# The API


@pytest.fixture
def ask(stage: Stage) -> Callable[..., Any]:
    """Calls an action of the extension's with what it needs of a server."""

    class Extensions:
        def pick(self, _kind: Any, name: str | None) -> list[Webhooks]:
            return [one for one in stage.opened if name in (None, one.context.name)]

    class Place:
        extensions = Extensions()

        def find(self, listen_point: str) -> "Place":
            assert listen_point == "web"
            return self

    class Server:
        bed = Place()

    def call(action: str, **arguments: Any) -> Any:
        found = next(one for one in module.ACTIONS if one.name == action)
        return found.run(Server(), **arguments).value

    return call


def test_the_log_tells_what_became_of_each(stage: Stage, ask: Callable[..., Any]) -> None:
    stage.sink.answers = [200, 500]
    webhooks = stage.open()
    webhooks.build_started(stage.build(BuildStatus.RUNNING))
    webhooks.build_finished(stage.build())
    stage.wait_for_entries(("build.started", "delivered", 1), ("build.finished", "waiting", 1))

    newer, older = ask("webhook_log", listen_point="web", name=None, per_page=50)

    assert (older["type"], older["state"], older["answer"]) == ("build.started", "delivered", "200")
    assert older["next_try"] is None
    assert (newer["type"], newer["state"], newer["attempts"]) == ("build.finished", "waiting", 1)
    assert newer["next_try"] > newer["created"]
    assert "answered 500" in newer["answer"]
    assert json.loads(json.dumps(newer)) == newer


def test_a_test_is_sent_at_once_and_told(stage: Stage, ask: Callable[..., Any]) -> None:
    stage.open()
    stage.open(name="other", path="/other")
    stage.sink.answers = [200, 404]

    good, bad = ask("webhook_test", listen_point="web", name=None)

    assert (good["name"], good["delivered"], good["status"]) == ("tell", True, 200)
    assert (bad["name"], bad["delivered"], bad["status"]) == ("other", False, 404)
    assert "answered 404" in bad["problem"]
    assert stage.sink.came[0].value["data"] == {"listen_point": "web", "extension": "tell"}
    assert stage.entries() == []


def test_the_states_are_told_by_their_names() -> None:
    assert [state.value for state in OutboxState] == ["waiting", "delivered", "given_up"]
