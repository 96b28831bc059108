"""Deliveries over the API: what came, why what came of it, and once more."""

import base64
import json
from contextlib import suppress
from typing import Any

import pytest

from sloth_ci.errors import (
    AppNotFound,
    BadPayload,
    BadRequest,
    DeliveryNotFound,
    DeliveryNotReplayable,
    NoProvider,
    SignatureRefused,
    SlothError,
)
from sloth_ci.request import Request
from tests.api.conftest import Stage

HOOKED = "provider: {dummy: {allow_unsigned: true, branches: [main]}}\n"


def send(stage: Stage, body: bytes = b'{"branch": "main"}', listen_point: str = "web") -> None:
    """A delivery, kept whole whatever comes of it."""
    request = Request(
        method="POST",
        path=f"/{listen_point}",
        query="",
        headers={"content-type": "application/json"},
        address="192.0.2.1",
        body=body,
    )
    with suppress(SlothError):
        stage.server.bed.find(listen_point).receive(request)
    stage.store.flush()


def newest(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = stage.ask("deliveries", per_page=1)["deliveries"][0]
    return found


def test_each_delivery_is_listed_with_its_verdict(stage: Stage) -> None:
    stage.create("echo {branch}", more=HOOKED)
    send(stage)
    send(stage, b'{"branch": "dev"}')
    send(stage, b"no JSON")

    refused, ignored, accepted = stage.ask("deliveries")["deliveries"]

    assert (accepted["verdict"], accepted["status"], accepted["builds"]) == ("accepted", 202, [1])
    assert (ignored["verdict"], ignored["status"], ignored["builds"]) == ("ignored", 200, [])
    assert "'dev'" in ignored["reason"]
    assert (refused["verdict"], refused["status"], refused["code"]) == ("refused", 400, "bad_body")
    assert [one["size"] for one in (accepted, ignored, refused)] == [18, 17, 7]
    assert stage.ask("build", id=1)["delivery"] == accepted["id"]
    assert {one["address"] for one in (accepted, ignored, refused)} == {"192.0.2.1"}


def test_one_delivery_is_told_rule_by_rule_with_its_body(stage: Stage) -> None:
    stage.create("echo {branch}", more=HOOKED)
    send(stage, b'{"branch": "dev"}')

    found = stage.ask("delivery", id=newest(stage)["id"])

    rules = {rule["rule"]: rule for rule in found["rules"]}
    assert (rules["branch"]["wanted"], rules["branch"]["seen"]) == ("main", "dev")
    assert not rules["branch"]["holds"]
    assert json.loads(found["body"]) == {"branch": "dev"}
    assert (found["encoding"], found["truncated"]) == ("text", False)
    assert found["headers"]["content-type"] == "application/json"


def test_a_body_that_is_no_text_is_in_base64(stage: Stage) -> None:
    stage.create("echo hi", more=HOOKED)
    send(stage, b"\xff\x00")

    found = stage.ask("delivery", id=newest(stage)["id"])

    assert (found["encoding"], base64.b64decode(found["body"])) == ("base64", b"\xff\x00")


def test_deliveries_go_on_by_cursor_and_page(stage: Stage) -> None:
    stage.create("echo hi", more=HOOKED)
    for _delivery in range(5):
        send(stage)
    everything = [one["id"] for one in stage.ask("deliveries")["deliveries"]]

    first = stage.ask("deliveries", per_page=2)
    second = stage.ask("deliveries", per_page=2, before=first["next"], listen_point="web")
    by_page = stage.ask("deliveries", from_page=3, per_page=2)

    assert [one["id"] for one in (*first["deliveries"], *second["deliveries"])] == everything[:4]
    assert [one["id"] for one in by_page["deliveries"]] == everything[4:]
    assert by_page["next"] is None
    with pytest.raises(AppNotFound):
        stage.ask("deliveries", listen_point="never")


def test_a_replay_makes_a_build_once_more(stage: Stage) -> None:
    stage.create("echo {branch}", more=HOOKED)
    send(stage)
    delivery = newest(stage)["id"]

    told = stage.ask("replay", id=delivery)
    stage.store.flush()

    assert (told["dry_run"], told["status"], told["builds"]) == (False, 202, [2])
    again = stage.ask("delivery", id=told["replay"])
    assert (again["replay_of"], again["builds"]) == (delivery, [2])
    build = stage.ask("build", id=2)
    assert (build["cause"], build["actor"], build["branch"]) == ("push", "ann", "main")
    assert build["params"] == [{"name": "branch", "value": "main", "origin": "payload"}]


def test_a_dry_run_tells_what_would_run_and_queues_nothing(stage: Stage) -> None:
    stage.create("echo {branch}", more=HOOKED)
    send(stage)

    told = stage.ask("replay", id=newest(stage)["id"], dry_run="true")

    assert (told["dry_run"], told["status"], told["builds"], told["replay"]) == (
        True,
        202,
        [],
        None,
    )
    (previewed,) = told["previews"]
    assert [one["command"] for one in previewed["actions"]] == ["echo main"]
    assert len(stage.ask("builds")["builds"]) == 1
    assert len(stage.ask("deliveries")["deliveries"]) == 1


def test_a_replay_is_held_against_the_config_of_now(stage: Stage) -> None:
    stage.create("echo {branch}", more=HOOKED)
    send(stage, b'{"branch": "dev"}')
    stage.update("echo {branch}", more=HOOKED.replace("main", "dev"))

    assert stage.ask("replay", id=newest(stage)["id"])["builds"] == [1]


def test_what_was_refused_for_its_body_is_told_of_in_a_dry_run(stage: Stage) -> None:
    stage.create("echo hi", more=HOOKED)
    send(stage, b"no JSON")
    delivery = newest(stage)["id"]

    told = stage.ask("replay", id=delivery, dry_run="true")

    assert (told["status"], told["code"], told["previews"]) == (400, "bad_body", [])
    with pytest.raises((BadPayload, BadRequest)):
        stage.ask("replay", id=delivery)


def test_what_nobody_proved_is_not_taken_once_more(stage: Stage) -> None:
    stage.create("echo hi", more="provider: {dummy: {secret: very-secret-word}}\n")
    send(stage)
    delivery = newest(stage)["id"]

    assert newest(stage)["code"] == SignatureRefused.code
    with pytest.raises(DeliveryNotReplayable):
        stage.ask("replay", id=delivery)


def test_without_its_app_or_provider_there_is_no_replay(stage: Stage) -> None:
    stage.create("echo hi", more=HOOKED)
    send(stage)
    delivery = newest(stage)["id"]

    stage.update("echo hi")
    with pytest.raises(NoProvider):
        stage.ask("replay", id=delivery)
    stage.answer("remove", listen_point="web")
    with pytest.raises(AppNotFound):
        stage.ask("replay", id=delivery)
    assert stage.ask("delivery", id=delivery)["listen_point"] == "web"


@pytest.mark.parametrize("action", ["delivery", "replay"])
def test_what_there_is_no_delivery_of_is_404(stage: Stage, action: str) -> None:
    with pytest.raises(DeliveryNotFound):
        stage.ask(action, id=17)
