"""Masking: no secret is left in what a person reads, however it was written."""

import base64
import json
import string
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sloth_ci.masking import MIN_LENGTH, SHOWN, Mask, escape_controls

# Without '*': a secret made of the mask's own sign may come about by masking another.
LETTERS = st.characters(codec="utf-8", exclude_characters="*")
SECRETS = st.text(LETTERS, min_size=MIN_LENGTH, max_size=30).filter(
    lambda secret: len(secret.strip()) >= MIN_LENGTH
)
AROUND = st.text(st.sampled_from("xyz .:/="), max_size=5)

WAYS = {
    "plain": lambda secret: secret,
    "for a URL": lambda secret: quote(secret, safe=""),
    "for a URL's path": quote,
    "for a URL in lower case": lambda secret: _lower(quote(secret, safe="")),
    "for a form": quote_plus,
    "as JSON": lambda secret: json.dumps(secret)[1:-1],
    "as JSON with its own letters": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    "as JSON with slashes escaped": lambda secret: json.dumps(secret)[1:-1].replace("/", "\\/"),
}


def _lower(encoded: str) -> str:
    return "".join(
        letter.lower() if encoded[max(0, at - 2) : at].find("%") >= 0 else letter
        for at, letter in enumerate(encoded)
    )


@pytest.mark.parametrize("write", WAYS.values(), ids=WAYS.keys())
@given(secret=SECRETS, before=AROUND, after=AROUND)
def test_a_secret_is_masked(write, secret: str, before: str, after: str) -> None:  # type: ignore[no-untyped-def]
    masked = Mask([secret])(f"{before}{write(secret)}{after}")
    assert SHOWN in masked
    assert write(secret) not in masked
    assert secret not in masked


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@given(secret=SECRETS, before=st.binary(max_size=9), after=st.binary(max_size=9))
def test_a_secret_is_masked_in_base64_wherever_it_begins(  # type: ignore[no-untyped-def]
    encode, secret: str, before: bytes, after: bytes
) -> None:
    raw = secret.encode()
    encoded = encode(before + raw + after).decode()
    first = -(-len(before) * 8 // 6)
    certain = encoded[first : (len(before) + len(raw)) * 8 // 6]
    masked = Mask([secret])(encoded)
    assert SHOWN in masked
    assert certain not in masked


@pytest.mark.parametrize("width", [64, 76], ids=["PEM", "MIME"])
def test_a_long_secret_is_masked_in_base64_that_goes_over_lines(width: int) -> None:
    secret = "-----BEGIN KEY-----\n" + "\n".join(f"{n:064x}" for n in range(20))
    encoded = base64.b64encode(f"{secret}\n".encode()).decode()
    lines = [encoded[at : at + width] for at in range(0, len(encoded), width)]

    masked = [Mask([secret])(line) for line in lines]

    assert {line[:3] for line in masked} == {"***"}
    assert max(map(len, masked)) < 10


def test_basic_auth_keeps_nothing_of_the_password() -> None:
    for user in ("max", "eva1", "carol"):
        header = base64.b64encode(f"{user}:swordfish!".encode()).decode()
        masked = Mask(["swordfish!"])(f"Authorization: Basic {header}")
        assert masked.endswith(SHOWN)


@given(st.lists(SECRETS, max_size=5), st.text(LETTERS, max_size=60))
def test_no_secret_is_left(secrets: list[str], text: str) -> None:
    masked = Mask(secrets)(f"{text}{''.join(secrets)}{text}")
    assert not [secret for secret in secrets if secret in masked]


@given(st.text(LETTERS, max_size=60))
def test_a_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert Mask()(text) == text
    assert Mask(["\U0001f9a5\U0001f9a5sloth\U0001f9a5\U0001f9a5"])(text) == text


def test_each_line_of_a_secret_is_masked() -> None:
    mask = Mask(["-----BEGIN KEY-----\n  aaaabbbb\r\nccccdddd\n-----END KEY-----\n"])
    for line in ("-----BEGIN KEY-----", "aaaabbbb", "  ccccdddd", "-----END KEY-----"):
        assert mask(line).strip() == SHOWN


@pytest.mark.parametrize("end", ["\n", "\r\n", "\\n", "%0A", "%0a"])
def test_a_secret_of_several_lines_is_masked_whole(end: str) -> None:
    assert Mask(["aaaa\nbbbb"])(f"x aaaa{end}bbbb y") == f"x {SHOWN} y"


def test_the_longest_secret_goes_first() -> None:
    assert Mask(["sword", "swordfish", "fish"])("a swordfish!") == f"a {SHOWN}!"


def test_a_short_value_is_no_secret() -> None:
    assert Mask(["yes", "", " a "])("yes, a fish") == "yes, a fish"


def test_the_end_of_a_line_is_no_part_of_a_secret() -> None:
    assert Mask(["swordfish\n"])("a swordfish here") == f"a {SHOWN} here"


def test_a_secret_is_no_regular_expression() -> None:
    assert Mask(["a.c|(d"])("abc|(d a.c|(d") == f"abc|(d {SHOWN}"


def test_half_a_surrogate_pair_in_a_secret_does_no_harm() -> None:
    assert Mask(["pass\udcffword"])("a pass\udcffword") == f"a {SHOWN}"


@given(st.text())
def test_what_is_escaped_is_printable(text: str) -> None:
    assert escape_controls(text).isprintable()


@given(st.text(string.ascii_letters + string.punctuation + " éß中🦥"))
def test_printable_text_is_not_escaped(text: str) -> None:
    assert escape_controls(text) == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a\nb", "a\\nb"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202eexe", "\\u202eexe"),
        ("\u2028", "\\u2028"),
        ("\udcff", "\\udcff"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_a_control_character_is_written_out(text: str, escaped: str) -> None:
    assert escape_controls(text) == escaped
