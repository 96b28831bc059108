"""What was sent, made small enough to be kept: bodies compressed, secrets taken out."""

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sloth_ci.request import Rule
from sloth_ci.store.rows import Sent, make_storable

#: Characters of a header's value, and of one side of a rule, that are kept.
MAX_TEXT = 500
#: Bytes behind the cut in which the rest of a secret is looked for that lies across it.
_MARGIN = 16_000
#: The fastest; bodies are mostly JSON and get five times as small with it.
_LEVEL = 1


@dataclass(frozen=True, slots=True)
class Packed:
    """What was sent, as it stands in the database."""

    rules: str
    headers: str
    body: bytes
    body_size: int


def pack(sent: Sent, *, most: int) -> Packed:
    """What is kept of it: of the body, `most` bytes."""
    return Packed(
        rules=json.dumps([_clean_rule(rule, sent.mask) for rule in sent.rules]),
        headers=json.dumps(_clean_headers(sent.headers, sent.mask)),
        body=zlib.compress(_cut(sent.body, sent.mask, most), _LEVEL),
        body_size=len(sent.body),
    )


def unpack(body: bytes) -> bytes:
    """The body, as far as it was kept."""
    return zlib.decompress(body)


def _clean_rule(rule: Rule, mask: Callable[[str], str]) -> dict[str, object]:
    return {
        "rule": rule.rule,
        "wanted": _clean(rule.wanted, mask),
        "seen": _clean(rule.seen, mask),
        "holds": rule.holds,
    }


def _clean_headers(headers: Mapping[str, str], mask: Callable[[str], str]) -> dict[str, str]:
    return {_clean(name, mask): _clean(value, mask) for name, value in headers.items()}


def _clean(text: str, mask: Callable[[str], str]) -> str:
    return make_storable(mask(text)[:MAX_TEXT])


def _cut(body: bytes, mask: Callable[[str], str], most: int) -> bytes:
    """The body's beginning, masked before it is cut: half of a secret is known by no mask."""
    wide = body[: most + _MARGIN]
    masked = _mask_bytes(wide, mask)
    return masked[: most if len(wide) == len(body) else min(most, len(masked) - _MARGIN)]


def _mask_bytes(body: bytes, mask: Callable[[str], str]) -> bytes:
    # Whatever bytes there are, they come back as they were, but for the secrets.
    text = body.decode("utf-8", "surrogateescape")
    masked = mask(text)
    return body if masked == text else masked.encode("utf-8", "surrogateescape")
