"""Secrets out of texts: what a person reads shows `***` in their place."""

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

#: Shorter values are no secrets and would mask half of an ordinary log.
MIN_LENGTH = 4
SHOWN = "***"


class Mask:
    """Replaces known secrets, in plain, URL, base64 and JSON form."""

    __slots__ = ("_pattern",)

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, text: str) -> str:
        """The text without any secret in it."""
        return self._pattern.sub(SHOWN, text) if self._pattern else text


def _forms(secret: str) -> Iterable[str]:
    for part in {secret, *secret.splitlines()}:
        if len(part) < MIN_LENGTH:
            continue
        yield part
        yield quote(part, safe="")
        yield quote_plus(part)
        yield json.dumps(part)[1:-1]
        raw = part.encode("utf-8", "surrogateescape")
        yield base64.b64encode(raw).decode().rstrip("=")
        yield base64.urlsafe_b64encode(raw).decode().rstrip("=")
