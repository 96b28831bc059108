"""Bodies of every kind: what is no payload is told so, and is never an unexpected error."""

import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from deliveries import (
    BROKEN,
    PARAMS,
    SECRET,
    Broken,
    assert_sound,
    judge,
    load,
    make,
    request,
    sign,
)
from hypothesis import given
from hypothesis import strategies as st

from sloth_ci.errors import BadBody, BadPayload, BadRequest, Refused
from sloth_ci.validators import BUILT_IN
from sloth_ci.validators.payload import MAX_DEPTH, read_json

SAMPLE = load("github", "push-two-commits")
FORM = {**SAMPLE.headers, "Content-Type": "application/x-www-form-urlencoded"}
HEADERS = {
    "X-GitHub-Event": "push",
    "X-Event-Key": "repo:push",
    "X-Gitlab-Event": "Push Hook",
    "X-Gitea-Event": "push",
    "X-Forgejo-Event": "push",
    "X-Gogs-Event": "push",
}
SERVER = {**HEADERS, "X-Event-Key": "repo:refs_changed"}


def headers_of(provider: str) -> dict[str, str]:
    return SERVER if provider == "bitbucket_server" else HEADERS


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.why)
@pytest.mark.parametrize("provider", BUILT_IN)
def test_a_body_is_refused_that_is(provider: str, broken: Broken) -> None:
    with pytest.raises(BadRequest) as refused:
        make(provider).validate(request(broken.body, headers_of(provider)))
    assert refused.value.status == 400
    assert len(refused.value.message) < 300


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.why)
def test_a_form_is_refused_whose_payload_is(broken: Broken) -> None:
    with pytest.raises(BadRequest):
        make("github").validate(request(b"payload=" + quote(broken.body).encode(), FORM))


def test_the_depth_is_counted_outside_of_texts_only() -> None:
    brackets = json.dumps({"a": "[{" * 500 + '\\"[' * 500, "b[{": [1]})
    assert read_json(request(brackets), provider="x").has("b[{")


@pytest.mark.parametrize(("depth", "taken"), [(MAX_DEPTH, True), (MAX_DEPTH + 1, False)])
def test_the_depth_has_a_limit(depth: int, taken: bool) -> None:
    body = b'{"a":' * depth + b"1" + b"}" * depth
    if taken:
        assert read_json(request(body), provider="x").has("a")
        return
    with pytest.raises(BadBody, match="more than 100 levels"):
        read_json(request(body), provider="x")


@given(st.text(alphabet='{}[]"\\\\ab', max_size=40))
def test_brackets_in_a_text_are_text(text: str) -> None:
    body = {"text": text * 20, "list": [text, [text]]}
    payload = read_json(request(body), provider="x")
    assert payload.optional_text("text") == text * 20
    assert payload.optional_text("list.1.0") == text


def test_numbers_of_any_size_do_no_harm() -> None:
    body = b'{"ref": "refs/heads/main", "a": ' + b"9" * 10_000 + b', "b": 1e999999999}'
    with pytest.raises(BadPayload, match="'after'"):
        make("github", events=["push"]).validate(
            request(body[:-1] + b', "repository": {"full_name": "a/b"}}', SAMPLE.headers)
        )


def test_a_large_body_is_read_within_the_tests_deadline() -> None:
    data = {**SAMPLE.data, "spam": [{"text": 'a "quoted" \\ text', "list": [1, [2]]}] * 100_000}
    body = json.dumps(data).encode()
    assert make("github").validate(request(body, SAMPLE.headers)).params
    assert len(body) > 5_000_000


def test_a_form_is_read_like_the_json_in_it() -> None:
    body = urlencode({"payload": SAMPLE.body.decode()}).encode()
    assert (
        make("github").validate(request(body, FORM)).params
        == make("github").validate(request(SAMPLE.body, SAMPLE.headers)).params
    )


def test_the_signature_of_a_form_covers_the_form() -> None:
    body = urlencode({"payload": SAMPLE.body.decode()}).encode()
    validator = make("github", secret=SECRET)
    assert validator.validate(request(body, {**FORM, **sign("github", body)})).params
    with pytest.raises(Refused):
        validator.validate(request(body, {**FORM, **sign("github", SAMPLE.body)}))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"payload",
        b"other={}",
        b"payload={}&payload={}",
        b"payload=%ff",
        b"\xff",
        b"&" * 5_000,
        b"a=&" * 5_000,
    ],
)
@pytest.mark.parametrize("provider", ["github", "gitea", "forgejo", "gogs"])
def test_a_bad_form_is_refused(provider: str, body: bytes) -> None:
    headers = {**HEADERS, "Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    with pytest.raises(BadRequest):
        make(provider).validate(request(body, headers))


@pytest.mark.parametrize("name", ["X-GitHub-Event", "X-GitHub-Delivery"])
@pytest.mark.parametrize(
    "value",
    ["push, push", "é", "\n", "a" * 1_000, "\x00", "pu\tsh", " push"],
    ids=["twice", "not ASCII", "a newline", "long", "NUL", "a tab", "after a blank"],
)
def test_a_strange_header_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(BadPayload, match=name):
        make("github").validate(request(SAMPLE.body, {**SAMPLE.headers, name: value}))


@pytest.mark.parametrize("header", ["X-GitHub-Event", "X-Event-Key", "X-Gitlab-Event"])
def test_the_events_header_must_be_there(header: str) -> None:
    provider = {"X-GitHub-Event": "github", "X-Event-Key": "bitbucket"}.get(header, "gitlab")
    with pytest.raises(BadPayload, match=f"'{header}' must be an event's name, not nothing"):
        make(provider).validate(request(SAMPLE.body))


@pytest.mark.parametrize("field", ["ref", "head_commit.message", "repository.full_name"])
@pytest.mark.parametrize("value", ["a\0b", "a\ud800b"], ids=["NUL", "a lone surrogate"])
def test_a_text_that_no_environment_can_carry_is_refused(field: str, value: str) -> None:
    data = SAMPLE.data
    owner = data
    *way, last = field.split(".")
    for step in way:
        owner = owner[step]
    owner[last] = value
    with pytest.raises(BadPayload, match=field.split(".")[-1]):
        make("github").validate(request(data, SAMPLE.headers))


def test_a_long_message_is_cut_and_a_long_ref_refused() -> None:
    data = SAMPLE.data
    data["head_commit"]["message"] = "🦥" * 100_000
    verdict = make("github").validate(request(data, SAMPLE.headers))
    assert_sound(verdict)
    assert verdict.params[0]["message"].startswith("🦥" * 1_000)
    data["ref"] = "refs/heads/" + "a" * 100_000
    with pytest.raises(BadPayload, match="'ref' must be at most"):
        make("github").validate(request(data, SAMPLE.headers))


headers = st.dictionaries(
    st.sampled_from(
        [
            *(name.lower() for name in HEADERS),
            *("x-github-delivery", "content-type", "webhook-id", "webhook-timestamp"),
            *("webhook-signature", "x-hub-signature-256", "x-hub-signature", "x-gitlab-token"),
            *("x-gitea-signature", "x-forgejo-signature", "x-sloth-signature", "x-signature"),
        ]
    ),
    st.text()
    | st.sampled_from(["push", "repo:push", "Push Hook", "application/x-www-form-urlencoded"]),
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
keys = st.sampled_from(
    ["ref", "after", "repository", "full_name", "push", "changes", "new", "project", "payload"]
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(keys | st.text(), inner), max_leaves=20
)
bodies = st.binary() | st.dictionaries(keys, values).map(lambda data: json.dumps(data).encode())


@given(provider=st.sampled_from(BUILT_IN), proved=st.booleans(), headers=headers, body=bodies)
def test_whatever_comes_is_judged_or_refused(
    provider: str, proved: bool, headers: dict[str, str], body: bytes
) -> None:
    options: dict[str, Any] = {"secret": SECRET, "allow_unsigned": True} if proved else {}
    if provider == "generic":
        options.update(header="X-Signature", params={"ref": "push.ref?", "commit": "after?"})
    outcome = judge(make(provider, **options), request(body, headers))
    assert_sound(outcome, names=set() if provider == "dummy" else PARAMS)
