"""The generic provider, and the dummy one."""

import hmac
from base64 import b64encode
from typing import Any

import pytest
from deliveries import PARAMS, SECRET, make, request, sign

from sloth_ci.errors import BadPayload, BadRequest, ConfigInvalid, SignatureRefused

BODY: dict[str, Any] = {
    "push": {"changes": [{"new": {"name": "main", "sha": "a" * 40}}], "user.name": "jo"},
    "ref": "refs/heads/feature/login",
    "number": 17,
    "version": 1.10,
    "yes": True,
    "nothing": None,
    "list": [1],
    "owner": "moigagoo",
}
RAW = b'{"version": 1.10, "big": 12345678901234567890123, "e": 1E400}'


def test_params_come_from_paths_in_the_body() -> None:
    paths = {
        "branch": "push.changes.0.new.name",
        "commit": "push.changes.0.new.sha",
        "author": ["push", "user.name"],
        "number": "number",
        "sure": "yes",
        "missing": "no.such.thing?",
        "empty": "nothing?",
        "later": "push.changes.1.new.name?",
    }
    [params] = make("generic", params=paths).validate(request(BODY)).params
    assert set(params) == PARAMS | set(paths)
    assert {name: params[name] for name in paths} == {
        "branch": "main",
        "commit": "a" * 40,
        "author": "jo",
        "number": "17",
        "sure": "true",
        "missing": "",
        "empty": "",
        "later": "",
    }
    assert params["url"] == params["tag"] == ""


def test_numbers_stay_as_they_were_written() -> None:
    paths = {"version": "version", "big": "big", "e": "e"}
    [params] = make("generic", params=paths).validate(request(RAW)).params
    assert [params[name] for name in paths] == ["1.10", "12345678901234567890123", "1E400"]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("no.such.thing", "no.such.thing"),
        ("nothing", "nothing"),
        ("push", "push"),
        ("list", "list"),
        ("list?", "list"),
        ("list.1", "list.1"),
        ("list.x", "list"),
        ("list.-1", "list"),
        ("list.99999999999999999999", "list.99999999999999999999"),
        ("ref.x", "ref"),
        ("number.0.x?", "number"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused_by_name(path: str, field: str) -> None:
    with pytest.raises(BadPayload) as refused:
        make("generic", params={"spam": path}).validate(request(BODY))
    assert refused.value.details["field"] == field


@pytest.mark.parametrize(
    ("ref", "branch", "tag"),
    [
        ("refs/heads/feature/login", "feature/login", ""),
        ("refs/tags/v1", "", "v1"),
        ("main", "", ""),
    ],
)
def test_a_ref_gives_branch_and_tag(ref: str, branch: str, tag: str) -> None:
    validator = make("generic", params={"ref": "ref"}, tags=["*"])
    [params] = validator.validate(request({"ref": ref})).params
    assert (params["ref"], params["branch"], params["tag"]) == (ref, branch, tag)


@pytest.mark.parametrize(
    ("options", "body", "said"),
    [
        ({"branches": ["main"]}, {"branch": "other"}, "The branch is 'other'"),
        ({"branches": ["main"]}, {}, "no branch and no tag"),
        ({"branches": ["main"]}, {"ref": "refs/heads/other"}, "The branch is 'other'"),
        ({"branches": ["main"]}, {"branch": "main"}, ""),
        ({}, {"tag": "v1"}, "lists none in 'tags'"),
        ({"tags": ["v*"]}, {"tag": "v1"}, ""),
        ({"owner": "moigagoo"}, {"owner": "mallory"}, "owner is 'mallory'"),
        ({"repo": "spam"}, {"repo": "SPAM"}, ""),
        ({"repo": "spam"}, {"repo": "ham"}, "repository is 'ham'"),
        ({"events": ["push"]}, {"event": "pull"}, "The event is 'pull'"),
        ({"events": ["push"]}, {"event": "push"}, ""),
        ({"events": ["push"]}, {}, "The event is ''"),
        ({}, {"branch": "main", "commit": "0" * 40}, "was deleted"),
    ],
    ids=str,
)
def test_filters_look_at_params(options: dict[str, Any], body: dict[str, str], said: str) -> None:
    names = ("branch", "ref", "tag", "owner", "repo", "event", "commit")
    validator = make("generic", params={name: f"{name}?" for name in names}, **options)
    verdict = validator.validate(request(body))
    assert bool(verdict.params) == (not said)
    assert said in verdict.reason


@pytest.mark.parametrize("name", ["ref", "branch", "tag", "commit"])
def test_a_name_is_refused_that_starts_with_a_dash(name: str) -> None:
    with pytest.raises(BadPayload, match=f"'{name}' must be a name that does not start with '-'"):
        make("generic", params={name: "x"}, tags="*" if name in ("tag", "ref") else []).validate(
            request({"x": "--help"})
        )


def test_event_and_delivery_come_from_headers() -> None:
    validator = make("generic", event_header="X-Event", delivery_header="X-Id", events=["push"])
    verdict = validator.validate(request({}, {"X-Event": "push", "x-id": "17"}))
    assert (verdict.event, verdict.delivery_id) == ("push", "17")
    assert verdict.params[0]["event"] == "push"
    assert verdict.params[0]["delivery"] == "17"
    assert validator.validate(request({}, {"X-Event": "pull"})).reason


def test_event_and_delivery_come_from_the_body() -> None:
    validator = make("generic", params={"event": "type", "delivery": "id"})
    verdict = validator.validate(request({"type": "user.created", "id": "msg_1"}))
    assert (verdict.event, verdict.delivery_id) == ("user.created", "msg_1")


@pytest.mark.parametrize("value", ["a b", "é", "x" * 201])
def test_a_delivery_id_is_short_and_printable(value: str) -> None:
    with pytest.raises(BadPayload, match="'delivery'"):
        make("generic", params={"delivery": "id"}).validate(request({"id": value}))


def test_a_form_is_read_by_its_fields() -> None:
    validator = make("generic", params={"branch": "branch_name"})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    [params] = validator.validate(request(b"branch_name=feature%2Flogin", headers)).params
    assert params["branch"] == "feature/login"


@pytest.mark.parametrize("prefix", ["", "sha512=", "HMAC "])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
def test_a_signature_is_as_the_config_says(algorithm: str, encoding: str, prefix: str) -> None:
    digest = hmac.digest(SECRET.encode(), RAW, algorithm)
    sent = prefix + (digest.hex() if encoding == "hex" else b64encode(digest).decode())
    validator = make(
        "generic",
        secret=["new", SECRET],
        header="X-Sig",
        algorithm=algorithm,
        encoding=encoding,
        prefix=prefix,
    )
    assert validator.validate(request(RAW, {"X-Sig": sent})).params
    for wrong in ("", sent[:-1], sent + "=", "x" + sent, f"{sent}, {sent}"):
        with pytest.raises(SignatureRefused):
            validator.validate(request(RAW, {"X-Sig": wrong}))
    with pytest.raises(SignatureRefused):
        validator.validate(request(RAW + b" ", {"X-Sig": sent}))


def test_a_token_is_compared_with_its_prefix() -> None:
    validator = make(
        "generic", scheme="token", secret=SECRET, header="Authorization", prefix="Bearer "
    )
    assert validator.validate(request(RAW, {"Authorization": f"Bearer {SECRET}"})).params
    for wrong in ("", "Bearer ", SECRET, f"bearer {SECRET}", f"Bearer {SECRET}x", "Bearer é"):
        with pytest.raises(SignatureRefused):
            validator.validate(request(RAW, {"Authorization": wrong}))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"secret": "x"}, "needs 'header'"),
        ({"secret": "x", "scheme": "token"}, "needs 'header'"),
        ({"scheme": "md5"}, "must be one of hmac, token, standard_webhooks, not 'md5'"),
        ({"algorithm": "md5"}, "must be one of sha256, sha512, sha384, sha1, not 'md5'"),
        ({"encoding": "base32"}, "must be one of hex, base64"),
        ({"header": "X Signature"}, "must be the name of a header"),
        ({"header": ""}, "must be the name of a header"),
        ({"secret": "x", "scheme": "standard_webhooks"}, "can't be a signing key"),
        ({"secret": "ü", "scheme": "token", "header": "X"}, "of ASCII characters"),
        ({"params": {"a b": "x"}}, "has the name 'a b'"),
        ({"params": {"a": ""}}, "has no path for 'a'"),
        ({"params": {"a": "b..c"}}, "has no path for 'a'"),
        ({"params": {"a": "?"}}, "has no path for 'a'"),
        ({"params": {"a": []}}, "has no path for 'a'"),
        ({"params": {"a": {"b": "c"}}}, "has no path for 'a'"),
        ({"params": ["a"]}, "must be a mapping of params to their paths"),
        ({"branches": ["main"]}, "has 'branches', which needs 'branch' in 'params'"),
        ({"tags": ["v*"]}, "has 'tags', which needs 'tag' in 'params'"),
        ({"owner": "x"}, "has 'owner', which needs 'owner' in 'params'"),
        ({"repo": "x"}, "has 'repo', which needs 'repo' in 'params'"),
        ({"events": ["push"]}, "has 'events', which needs 'event' in 'params'"),
    ],
    ids=str,
)
def test_bad_options_fail_when_the_app_is_made(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        make("generic", **{"allow_unsigned": True, **options})
    assert said in refused.value.message


def test_the_dummy_takes_top_level_texts() -> None:
    body = {"greeting": "hello", "branch": "main", "n": 7, "deep": {"a": "b"}, "a-b": "x", "é": "y"}
    verdict = make("dummy").validate(request(body))
    assert verdict.params == ({"greeting": "hello", "branch": "main"},)
    assert (verdict.event, verdict.delivery_id) == ("", None)


def test_the_dummy_takes_form_fields() -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = "greeting=héllo+there&branch=feature%2Fa&1x=no"
    [params] = make("dummy").validate(request(body, headers)).params
    assert params == {"greeting": "héllo there", "branch": "feature/a"}


def test_the_dummy_filters_branches() -> None:
    validator = make("dummy", branches=["main"])
    assert validator.validate(request({"branch": "main"})).params
    assert validator.validate(request({})).params
    assert "The branch is 'other'" in validator.validate(request({"branch": "other"})).reason


@pytest.mark.parametrize(
    "body",
    [{"branch": "-x"}, {"commit": "--help"}, {"a": "\0"}, {"a": "\ud800"}, {"a": "x" * 9_000}],
)
def test_the_dummy_refuses_what_no_build_can_take(body: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        make("dummy").validate(request(body))


def test_the_dummy_asks_for_a_signature_when_it_has_a_secret() -> None:
    validator = make("dummy", secret=SECRET)
    assert validator.validate(request(RAW, sign("dummy", RAW))).params
    with pytest.raises(SignatureRefused):
        validator.validate(request(RAW))
