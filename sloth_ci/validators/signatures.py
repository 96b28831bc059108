"""Signatures and tokens of deliveries: one comparison, in constant time, for all providers."""

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable

from sloth_ci.errors import SignatureRefused
from sloth_ci.request import Request

#: Hash algorithms that make a sound HMAC; sha1 is here for providers that know nothing else.
ALGORITHMS = ("sha256", "sha512", "sha384", "sha1")
ENCODINGS = ("hex", "base64")
#: Characters of a header; real ones have less than two hundred.
MAX_HEADER = 4_000
#: Seconds that a signed timestamp may lie in the past or the future.
MAX_AGE = 300
#: Signatures looked at in one header; more than keys are ever changed at the same time.
MAX_SIGNATURES = 20

_KEY_PREFIX = "whsec_"


def check_signature(
    request: Request,
    *,
    header: str,
    secrets: Iterable[str],
    algorithm: str = "sha256",
    encoding: str = "hex",
    prefix: str = "",
) -> None:
    """Refuse the request unless the header carries its raw body's HMAC under one of the secrets.

    The header's value is `prefix` and the HMAC in hex (of either case) or base64 (RFC 2104).
    Raises SignatureRefused, whatever the header holds.
    """
    sent = _read_header(request, header)
    hashes = [hmac.digest(secret.encode(), request.body, algorithm) for secret in secrets]
    if encoding == "hex":
        sent = sent.lower()
        wanted = [prefix.lower() + found.hex() for found in hashes]
    else:
        wanted = [prefix + b64encode(found).decode() for found in hashes]
    if not _is_any(sent, wanted):
        raise SignatureRefused(reason=f"its signature in {header} is wrong")


def check_token(request: Request, *, header: str, secrets: Iterable[str], prefix: str = "") -> None:
    """Refuse the request unless the header carries `prefix` and one of the secrets.

    Raises SignatureRefused, whatever the header holds.
    """
    if not _is_any(_read_header(request, header), [prefix + secret for secret in secrets]):
        raise SignatureRefused(reason=f"its token in {header} is wrong")


def check_standard_webhook(request: Request, *, keys: Iterable[bytes], now: float) -> None:
    """Refuse the request unless one of the keys signed it less than five minutes ago.

    The scheme is Standard Webhooks 1.0: `webhook-signature` is a list, parted by spaces, of
    `v1,<base64 of HMAC-SHA256>` over `<webhook-id>.<webhook-timestamp>.<raw body>`.
    `now` is in seconds since the epoch. Raises SignatureRefused, whatever the headers hold.
    """
    sent = _read_header(request, "webhook-signature")
    webhook_id = _read_header(request, "webhook-id")
    timestamp = _read_header(request, "webhook-timestamp")
    content = f"{webhook_id}.{timestamp}.".encode() + request.body
    wanted = ["v1," + b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys]
    if not any([_is_any(one, wanted) for one in sent.split(" ")[:MAX_SIGNATURES]]):  # noqa: C419
        raise SignatureRefused(reason="its signature in webhook-signature is wrong")
    if not (timestamp.isdecimal() and len(timestamp) < 15):
        raise SignatureRefused(reason="its webhook-timestamp is no number of seconds")
    if abs(now - int(timestamp)) > MAX_AGE:
        raise SignatureRefused(
            reason=f"its webhook-timestamp is more than {MAX_AGE} seconds away from this"
            " server's time; it is an old delivery or one of the clocks is wrong"
        )


def read_signing_key(token: str) -> bytes:
    """The key in a token `whsec_<base64>`.

    Raises ValueError, with a sentence that does not show the token.
    """
    try:
        key = b64decode(token.removeprefix(_KEY_PREFIX).encode(), validate=True)
    except (binascii.Error, UnicodeError) as error:
        raise ValueError(f"must be '{_KEY_PREFIX}' and base64") from error
    if not token.startswith(_KEY_PREFIX) or not 24 <= len(key) <= 64:
        raise ValueError(f"must be '{_KEY_PREFIX}' and 24 to 64 bytes in base64")
    return key


def _read_header(request: Request, name: str) -> str:
    value = request.header(name)
    if not value:
        raise SignatureRefused(reason=f"its header {name} is missing")
    if not value.isascii() or len(value) > MAX_HEADER:
        raise SignatureRefused(reason=f"its header {name} is wrong")
    return value


def _is_any(sent: str, wanted: Iterable[str]) -> bool:
    # All are compared, so that the time tells nothing of which one came near.
    sent_bytes = sent.encode()
    return any([hmac.compare_digest(sent_bytes, one.encode()) for one in wanted])  # noqa: C419
