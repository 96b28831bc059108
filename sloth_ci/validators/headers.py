"""Which headers of a delivery are kept: those that say what it is, and none that proves it."""

import re
from collections.abc import Iterable

from sloth_ci.masking import SHOWN
from sloth_ci.request import Request

#: Beside those that the app's validator reads.
KEPT = frozenset(
    {
        "content-type",
        "user-agent",
        "x-event-key",
        "x-hook-uuid",
        "x-request-uuid",
        "x-request-id",
        "x-attempt-number",
        "webhook-id",
        "webhook-timestamp",
    }
)
_KEPT_PREFIXES = ("x-github-", "x-gitlab-", "x-gitea-", "x-forgejo-", "x-gogs-")
_SECRET = re.compile("signature|token|auth|cookie|secret|passw|api-?key|credential")


def choose_headers(
    request: Request, *, read: Iterable[str], proofs: Iterable[str]
) -> dict[str, str]:
    """The headers worth keeping, names in lower case; of one that proves something, that it came.

    `read` are those that the validator reads, `proofs` those that carry what it is proved by.
    """
    secret = {name.lower() for name in proofs}
    kept = KEPT.union(name.lower() for name in read)
    chosen = {}
    for name, value in request.headers.items():
        if name in secret or _SECRET.search(name):
            chosen[name] = SHOWN
        elif value and (name in kept or name.startswith(_KEPT_PREFIXES)):
            chosen[name] = value
    return chosen
