"""Events as the requests that tell of them: their form, and their signature."""

import binascii
import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from json import dumps

_KEY_PREFIX = "whsec_"


@dataclass(frozen=True, slots=True)
class Message:
    """One event, ready to be sent."""

    id: str
    body: bytes

    def headers(self, *, keys: Iterable[bytes], now: float) -> dict[str, str]:
        """What proves who sends it, and when; `now` is in seconds since the epoch.

        Standard Webhooks 1.0: for each key `v1,` and the HMAC-SHA256, in base64, of
        `<id>.<timestamp>.<body>`.
        """
        timestamp = str(int(now))
        content = f"{self.id}.{timestamp}.".encode() + self.body
        signatures = (
            "v1," + b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys
        )
        return {
            "Content-Type": "application/json",
            "webhook-id": self.id,
            "webhook-timestamp": timestamp,
            "webhook-signature": " ".join(signatures),
        }


def make_message(*, mark: str, kind: str, created: float, data: str) -> Message:
    """The message of an event; `data` is JSON, and `mark` is what no other event has.

    Of the same values the same message is made each time it is tried.
    """
    message_id = f"msg_{sha256(mark.encode()).hexdigest()[:32]}"
    moment = datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds")
    head = {"id": message_id, "type": kind, "created_at": moment.replace("+00:00", "Z")}
    return Message(message_id, f'{dumps(head)[:-1]}, "data": {data}}}'.encode())


def read_key(secret: str) -> bytes:
    """The key that a secret stands for: the bytes of `whsec_<base64>`, or those of the text.

    Raises ValueError, with a sentence that does not show the secret.
    """
    if not secret.startswith(_KEY_PREFIX):
        return secret.encode()
    try:
        key = b64decode(secret.removeprefix(_KEY_PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"must have base64 after '{_KEY_PREFIX}'") from error
    if not 24 <= len(key) <= 64:
        raise ValueError(f"must have 24 to 64 bytes in base64 after '{_KEY_PREFIX}'")
    return key
