"""GitLab: its token, its signing token, and what it tells."""

import hmac
from base64 import b64encode
from typing import Any

import pytest
from deliveries import SECRET, load, make, request, send
from hypothesis import given
from hypothesis import strategies as st

from sloth_ci.errors import ConfigInvalid, SignatureRefused
from sloth_ci.validators.gitlab import VALIDATOR

PUSH = load("gitlab", "push")
MERGE_REQUEST = load("gitlab", "merge-request-create")
VECTOR = load("standard-webhooks", "vector-library")
KEY = bytes(range(32))
TOKEN = "whsec_" + b64encode(KEY).decode()
NOW = 1_700_000_000


def signed(
    *, at: float = NOW, body: bytes = PUSH.body, key: bytes = KEY, sent_as: str = "{}"
) -> dict[str, str]:
    content = f"msg_1.{at}.".encode() + body
    signature = "v1," + b64encode(hmac.digest(key, content, "sha256")).decode()
    return {
        **PUSH.headers,
        "webhook-id": "msg_1",
        "webhook-timestamp": str(at),
        "webhook-signature": sent_as.format(signature),
    }


def test_a_push_gives_its_branch_and_commit() -> None:
    [params] = send(PUSH, owner="gitlab-org", repo="hello-world").params
    assert params["branch"] == "master"
    assert params["commit"] == "2adc9465c4edfc33834e173fe89436a7cb899a1d"
    assert params["before"] == "9217710ce8c7e1eae7a5d1c45f6e43e1c769f866"
    assert params["author"] == "Sid Sijbrandij"
    assert params["message"] == "added readme\n"
    assert params["event"] == "Push Hook"


def test_the_owner_holds_the_groups_above() -> None:
    [params] = send(load("gitlab", "push-subgroup"), owner="group1/group2/group3").params
    assert (params["owner"], params["repo"]) == ("group1/group2/group3", "grp2repo")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("branch-delete", "was deleted"),
        ("tag-delete", "'refs/tags/v1.0.0' was deleted"),
        ("tag-create", "lists none in 'tags'"),
        ("merge-request-create", "The event is 'Merge Request Hook'; this app builds on push."),
        ("system-push", "The event is 'System Hook'"),
        ("job", "The event is 'Job Hook'"),
        ("pipeline", "The event is 'Pipeline Hook'"),
    ],
)
def test_there_is_nothing_to_do_for(name: str, said: str) -> None:
    verdict = send(load("gitlab", name))
    assert verdict.params == ()
    assert said in verdict.reason


@pytest.mark.parametrize("events", [["push"], ["Tag Push Hook"], ["tag_push"], ["tag push hook"]])
def test_a_tag_is_a_push_too(events: list[str]) -> None:
    [params] = send(load("gitlab", "tag-create"), tags=["v1.*"], events=events).params
    assert (params["tag"], params["branch"], params["before"]) == ("v1.0.0", "", "")


@pytest.mark.parametrize("event", ["Merge Request Hook", "merge_request", "merge_request.open"])
def test_a_merge_request_gives_its_source(event: str) -> None:
    [params] = send(MERGE_REQUEST, events=[event]).params
    assert params["branch"] == "feature"
    assert params["commit"] == "c4c79227ed610f1151f05bbc5be33b4f340d39c8"
    assert params["message"] == "update readme"


def test_a_merge_request_from_a_fork_is_never_built() -> None:
    data = MERGE_REQUEST.data
    data["object_attributes"]["source_project_id"] = 7
    assert "forks are never built" in send(MERGE_REQUEST, data, events=["merge_request"]).reason


@pytest.mark.parametrize(
    ("change", "built"),
    [
        ({"action": "reopen"}, True),
        ({"action": "update", "oldrev": "a" * 40}, True),
        ({"action": "update"}, False),
        ({"action": "merge"}, False),
        ({"action": "approved"}, False),
    ],
    ids=str,
)
def test_new_commits_of_a_merge_request_are_built(change: dict[str, Any], built: bool) -> None:
    data = MERGE_REQUEST.data
    data["object_attributes"].update(change)
    verdict = send(MERGE_REQUEST, data, events=["merge_request"])
    assert bool(verdict.params) == built
    assert not built or verdict.params[0]["before"] == change.get("oldrev", "")


def test_the_merge_can_be_listed_by_itself() -> None:
    merged = load("gitlab", "merge-request-merge")
    assert send(merged, events=["merge_request.merge"]).params
    assert not send(merged, events=["merge_request"]).params


def test_a_release_gives_its_tag() -> None:
    [params] = send(load("gitlab", "release"), events=["release"], tags=["*"]).params
    assert (params["tag"], params["commit"]) == ("v1.1", "ee0a3fb31ac16e11b9dbb596ad16d4af654d08f8")


def test_a_system_hook_is_read_as_what_it_tells_of() -> None:
    [params] = send(load("gitlab", "system-push"), events=["System Hook"]).params
    assert (params["owner"], params["repo"], params["branch"]) == ("mike", "diaspora", "master")


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({"Idempotency-Key": "a"}, "a"),
        ({"webhook-id": "b"}, "b"),
        ({"Idempotency-Key": "a", "webhook-id": "b"}, "b"),
        ({"X-Gitlab-Event-UUID": "c", "X-Gitlab-Webhook-UUID": "d"}, None),
    ],
    ids=str,
)
def test_the_delivery_id_is_one_that_retries_share(
    headers: dict[str, str], found: str | None
) -> None:
    verdict = make("gitlab").validate(request(PUSH.body, {**PUSH.headers, **headers}))
    assert verdict.delivery_id == found


@pytest.mark.parametrize(
    "sent", ["", "x", SECRET + " ", SECRET.upper(), f"{SECRET}, {SECRET}", "é"]
)
def test_a_wrong_token_is_refused(sent: str) -> None:
    headers = {**PUSH.headers, "X-Gitlab-Token": sent}
    with pytest.raises(SignatureRefused, match="wrong" if sent else "missing") as refused:
        make("gitlab", secret=SECRET).validate(request(PUSH.body, headers))
    assert SECRET not in refused.value.message


@pytest.mark.parametrize(
    "sent_as",
    ["{}", "v1,AAAA {}", "{} v1,AAAA", "v1a,AAAA {} v2,BBBB"],
    ids=["alone", "second", "first", "among other kinds"],
)
def test_a_signature_of_the_signing_token_is_taken(sent_as: str) -> None:
    validator = make("gitlab", signing_token=TOKEN, now=NOW)
    assert validator.validate(request(PUSH.body, signed(sent_as=sent_as))).params


@pytest.mark.parametrize(
    "sent_as",
    ["", "v1,", "v2{}", "v1a{}", "x {}x", "{}\t", "v1 , {}x", "é", "v1,AAAA " * 50 + "{}"],
)
def test_any_other_signature_is_refused(sent_as: str) -> None:
    validator = make("gitlab", signing_token=TOKEN, now=NOW)
    with pytest.raises(SignatureRefused):
        validator.validate(request(PUSH.body, signed(sent_as=sent_as)))


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", [None, "", "x", "9" * 5_000, "é"], ids=str)
def test_all_three_headers_are_signed(header: str, value: str | None) -> None:
    headers = signed()
    if value is None:
        del headers[header]
    else:
        headers[header] = value
    with pytest.raises(SignatureRefused):
        make("gitlab", signing_token=TOKEN, now=NOW).validate(request(PUSH.body, headers))


@pytest.mark.parametrize(
    ("age", "taken"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)]
)
def test_a_signature_ages_in_five_minutes(age: int, taken: bool) -> None:
    validator = make("gitlab", signing_token=TOKEN, now=NOW)
    delivery = request(PUSH.body, signed(at=NOW - age))
    if taken:
        assert validator.validate(delivery).params
        return
    with pytest.raises(SignatureRefused, match="more than 300 seconds away"):
        validator.validate(delivery)


@pytest.mark.parametrize("at", ["now", "1e9", "-1", "1_7", "١٢", "9" * 30, "17.5"])
def test_a_timestamp_is_a_whole_number(at: str) -> None:
    headers = signed(at=at)  # type: ignore[arg-type]
    with pytest.raises(SignatureRefused):
        make("gitlab", signing_token=TOKEN, now=NOW).validate(request(PUSH.body, headers))


def test_any_of_several_signing_tokens_will_do() -> None:
    other = "whsec_" + b64encode(b"x" * 24).decode()
    validator = make("gitlab", signing_token=[other, TOKEN], now=NOW)
    assert validator.validate(request(PUSH.body, signed())).params
    assert set(validator.secrets) == {other, TOKEN}


def test_token_and_signature_must_both_be_right() -> None:
    validator = make("gitlab", signing_token=TOKEN, secret=SECRET, now=NOW)
    token = {"X-Gitlab-Token": SECRET}
    assert validator.validate(request(PUSH.body, {**signed(), **token})).params
    for headers in (signed(), {**PUSH.headers, **token}, {**signed(), "X-Gitlab-Token": "x"}):
        with pytest.raises(SignatureRefused):
            validator.validate(request(PUSH.body, headers))


@pytest.mark.parametrize(
    "options",
    [
        {"signing_token": b64encode(KEY).decode()},
        {"signing_token": "whsec_not base64!"},
        {"signing_token": "whsec_" + b64encode(b"short").decode()},
        {"signing_token": "whsec_" + b64encode(b"x" * 65).decode()},
        {"signing_token": "whsec_é"},
        {"secret": "päßwort"},
    ],
    ids=str,
)
def test_a_token_that_can_not_be_one_is_refused_and_not_shown(options: dict[str, str]) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        make("gitlab", **options)
    assert not any(value in refused.value.message for value in options.values())


def test_the_vector_of_the_library_holds() -> None:
    at = int(VECTOR.headers["webhook-timestamp"])
    validator = make(
        "generic", scheme="standard_webhooks", secret=VECTOR.secret, params={"test": "test"}, now=at
    )
    verdict = validator.validate(request(VECTOR.body, VECTOR.headers))
    assert verdict.delivery_id == VECTOR.headers["webhook-id"]
    assert len(verdict.params) == 1
    with pytest.raises(SignatureRefused):
        validator.validate(request(VECTOR.body + b" ", VECTOR.headers))


@given(st.text(), st.text(), st.text())
def test_no_header_ends_in_an_unexpected_error(webhook_id: str, at: str, signature: str) -> None:
    headers = {
        "webhook-id": webhook_id,
        "webhook-timestamp": at,
        "webhook-signature": signature,
    }
    with pytest.raises(SignatureRefused):
        make("gitlab", signing_token=TOKEN, now=NOW).validate(request(b"{}", headers))


def test_the_clock_is_the_systems_when_none_is_given() -> None:
    assert VALIDATOR(make("gitlab").options).now() > NOW
