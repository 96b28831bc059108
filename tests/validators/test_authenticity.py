"""What every provider asks before it looks at a body: method, address, signature."""

import hashlib
import hmac
from base64 import b64encode
from functools import partial
from typing import Any

import pytest
from deliveries import PARAMS, SECRET, SIGNATURES, find_validator, load, make, parse, request, sign

from sloth_ci.errors import (
    AddressRefused,
    BadBody,
    ConfigInvalid,
    MethodRefused,
    SignatureRefused,
)
from sloth_ci.validators import BUILT_IN
from sloth_ci.validators.signatures import check_signature

SAMPLE = load("github", "push-two-commits")
SIGNED = {**SAMPLE.headers, **sign("github", SAMPLE.body)}
RIGHT = sign("github", SAMPLE.body)["X-Hub-Signature-256"]
HEX = RIGHT.removeprefix("sha256=")
SHA1 = hmac.new(SECRET.encode(), SAMPLE.body, hashlib.sha1).hexdigest()

MINIMAL: dict[str, dict[str, Any]] = {"generic": {"header": "X-Signature"}}

each_provider = pytest.mark.parametrize("provider", BUILT_IN)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post", ""])
@each_provider
def test_only_post_is_answered(provider: str, method: str) -> None:
    validator = make(provider, secret=SECRET, **MINIMAL.get(provider, {}))
    with pytest.raises(MethodRefused) as refused:
        validator.validate(request(method=method))
    assert (refused.value.status, refused.value.headers) == (405, {"Allow": "POST"})


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param("", id="empty"),
        pytest.param("sha256=", id="a prefix alone"),
        pytest.param(HEX, id="without its prefix"),
        pytest.param("sha1=" + HEX, id="with another prefix"),
        pytest.param(RIGHT[:-1], id="a digit short"),
        pytest.param(RIGHT + "0", id="a digit long"),
        pytest.param("sha256=" + "0" * 64, id="of zeros"),
        pytest.param("sha256=" + "zz" * 32, id="not hexadecimal"),
        pytest.param(f"{RIGHT}, {RIGHT}", id="sent twice"),
        pytest.param(f"sha256=0, {RIGHT}", id="sent twice, the second right"),
        pytest.param(f" {RIGHT}", id="after a blank"),
        pytest.param("sha256=" + "é" * 64, id="not ASCII"),
        pytest.param("sha256=" + "\udcff" * 64, id="of lone surrogates"),
        pytest.param("sha256=" + "a" * 1_000_000, id="a megabyte long"),
        pytest.param(f"sha256={HEX[:32]} {HEX[32:]}", id="with a blank inside"),
        pytest.param("sha1=" + SHA1, id="right, but of SHA-1"),
    ],
)
def test_a_signature_is_refused_that_is(signature: str) -> None:
    headers = {**SAMPLE.headers, "X-Hub-Signature-256": signature}
    with pytest.raises(SignatureRefused) as refused:
        make("github", secret=SECRET).validate(request(SAMPLE.body, headers))
    assert refused.value.status == 403
    assert ("missing" if not signature else "wrong") in refused.value.message
    assert HEX not in refused.value.message


def test_a_signature_in_capitals_is_the_same() -> None:
    headers = {**SAMPLE.headers, "X-Hub-Signature-256": "sha256=" + HEX.upper()}
    assert make("github", secret=SECRET).validate(request(SAMPLE.body, headers)).params


def test_githubs_old_signature_does_not_count() -> None:
    headers = {**SAMPLE.headers, "X-Hub-Signature": "sha1=" + SHA1}
    with pytest.raises(SignatureRefused, match="X-Hub-Signature-256 is missing"):
        make("github", secret=SECRET).validate(request(SAMPLE.body, headers))


def test_the_signature_is_looked_at_before_the_body() -> None:
    with pytest.raises(SignatureRefused):
        make("github", secret=SECRET).validate(request(b"\xff not JSON", {}))
    with pytest.raises(BadBody):
        make("github").validate(request(b"\xff not JSON", {}))


@pytest.mark.parametrize("known", [[SECRET], ["new", SECRET], [SECRET, "new"], ["a", SECRET, "b"]])
def test_any_of_several_secrets_will_do(known: list[str]) -> None:
    assert make("github", secret=known).validate(request(SAMPLE.body, SIGNED)).params


def test_none_of_several_secrets_is_none() -> None:
    with pytest.raises(SignatureRefused):
        make("github", secret=["new", "newer"]).validate(request(SAMPLE.body, SIGNED))


def test_a_secret_is_asked_for_though_unsigned_ones_are_allowed() -> None:
    with pytest.raises(SignatureRefused):
        make("github", secret=SECRET, allow_unsigned=True).validate(
            request(SAMPLE.body, SAMPLE.headers)
        )


@pytest.mark.parametrize("secret", ["päßwörter", "x" * 5_000, "a\nb", "{secret}"])
def test_a_secret_can_be_any_text(secret: str) -> None:
    headers = {**SAMPLE.headers, **sign("github", SAMPLE.body, secret)}
    assert make("github", secret=secret).validate(request(SAMPLE.body, headers)).params


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8::7", "2001:db8::/32"),
        ("fe80::1%eth0", "fe80::/10"),
    ],
)
def test_a_trusted_address_may_send(address: str, trusted: str) -> None:
    validator = make("github", trusted_ips=["198.51.100.1", trusted])
    assert validator.validate(request(SAMPLE.body, SAMPLE.headers, address=address)).params


@pytest.mark.parametrize(
    "address", ["192.0.3.1", "2001:db8::1", "::ffff:192.0.3.1", "", "unix:", "192.0.2.1, 10.0.0.1"]
)
@each_provider
def test_any_other_address_may_not(provider: str, address: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        make(provider, trusted_ips="192.0.2.0/24").validate(request(address=address))
    assert refused.value.status == 403


def test_address_and_signature_must_both_be_right() -> None:
    validator = make("github", trusted_ips="192.0.2.0/24", secret=SECRET)
    assert validator.validate(request(SAMPLE.body, SIGNED)).params
    with pytest.raises(SignatureRefused):
        validator.validate(request(SAMPLE.body, SAMPLE.headers))
    with pytest.raises(AddressRefused):
        validator.validate(request(SAMPLE.body, SIGNED, address="192.0.3.1"))


def test_a_forwarded_address_in_a_header_does_not_count() -> None:
    headers = {**SAMPLE.headers, "X-Forwarded-For": "192.0.2.1", "X-Real-IP": "192.0.2.1"}
    with pytest.raises(AddressRefused):
        make("github", trusted_ips="192.0.2.1").validate(
            request(SAMPLE.body, headers, address="198.51.100.1")
        )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"allow_unsigned": "false"},
        {"owner": "spam", "branches": ["main"]},
        {"trusted_ips": []},
    ],
    ids=["nothing", "a plain no", "filters only", "no trusted address"],
)
@each_provider
def test_a_provider_that_lets_everybody_in_is_refused(
    provider: str, options: dict[str, Any]
) -> None:
    options = (
        {**options, "params": {"owner": "o", "branch": "b"}} if provider == "generic" else options
    )
    with pytest.raises(ConfigInvalid, match=f"'provider.{provider}' lets everybody start builds"):
        make(provider, **{"allow_unsigned": False, **options})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"secret": ""}, "'provider.github.secret"),
        ({"secret": []}, "'provider.github.secret"),
        ({"secret": ["a", ""]}, "'provider.github.secret"),
        ({"secret": {"env": "NO_SUCH_VARIABLE"}}, "NO_SUCH_VARIABLE, which is not set"),
        ({"trusted_ips": ["192.0.2.0/33"]}, "'provider.github.trusted_ips"),
        ({"trusted_ips": ["192.0.2.1/24"]}, "'provider.github.trusted_ips"),
        ({"secret": "x", "branches": None}, "'provider.github.branches"),
        ({"secret": "x", "repo": "owner/spam"}, "the repository's name alone in 'repo'"),
        ({"secret": "x", "brances": ["main"]}, "Did you mean 'branches'"),
    ],
)
def test_bad_options_fail_when_the_app_is_made(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        make("github", **{"allow_unsigned": False, **options})
    assert said in refused.value.message


def test_the_problem_is_named_with_its_place() -> None:
    with pytest.raises(ConfigInvalid, match="line 3, column 3: 'provider"):
        parse("listen_point: spam\nprovider:\n  github:\n    owner: moigagoo\n")


@each_provider
def test_its_secrets_are_known_to_the_mask(provider: str) -> None:
    validator = make(provider, secret=["old-secret", "new-secret"], **MINIMAL.get(provider, {}))
    assert set(validator.secrets) == {"old-secret", "new-secret"}
    assert "old-secret" not in repr(validator.options)


def test_every_provider_is_there() -> None:
    assert BUILT_IN[0] == "github"
    assert all(find_validator(name).provider for name in BUILT_IN)
    assert {*SIGNATURES, "generic"} == set(BUILT_IN)


@pytest.mark.parametrize("encoding", ["hex", "base64"])
@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
def test_the_shared_check_knows(algorithm: str, encoding: str) -> None:
    digest = hmac.new(b"key", b"body", algorithm).digest()
    sent = digest.hex() if encoding == "hex" else b64encode(digest).decode()
    check = partial(
        check_signature,
        header="S",
        secrets=["key"],
        algorithm=algorithm,
        encoding=encoding,
        prefix="v=",
    )
    check(request(b"body", {"S": f"v={sent}"}))
    for body, header in ((b"bodY", f"v={sent}"), (b"body", sent), (b"body", f"v={sent[:-4]}")):
        with pytest.raises(SignatureRefused):
            check(request(body, {"S": header}))


def test_all_params_are_there_and_are_text() -> None:
    [params] = make("github").validate(request(SAMPLE.body, SAMPLE.headers)).params
    assert set(params) == PARAMS
    assert {type(value) for value in params.values()} == {str}
