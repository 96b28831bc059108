"""What the API can be asked about webhooks."""

from collections.abc import Iterable
from time import monotonic
from typing import Any

from sloth_ci.outgoing import SendFailed
from sloth_ci.parameters import Answer, Kind, Parameter
from sloth_ci.store.outbox import OutboxEntry, OutboxState

from .courier import Endpoint

WHERE = (
    Parameter("listen_point", "The app; without it, the server's own webhooks."),
    Parameter("name", "The extension's name in the config; without it, all of them."),
)
MOST = Parameter("per_page", "How many.", Kind.NUMBER, default=50, most=1_000)


def show_log(endpoints: Iterable[Endpoint], *, most: int) -> Answer:
    """What was sent to endpoints, newest first, and what came of it."""
    entries = [
        (endpoint.key[1], entry) for endpoint in endpoints for entry in endpoint.entries(most=most)
    ]
    entries.sort(key=lambda pair: pair[1].id, reverse=True)
    return Answer([_show(name, entry) for name, entry in entries[:most]])


def send_test(endpoints: Iterable[Endpoint]) -> Answer:
    """Send a test event to each endpoint, and tell what came of it."""
    return Answer([_test(endpoint) for endpoint in endpoints])


def _test(endpoint: Endpoint) -> dict[str, Any]:
    begin = monotonic()
    status: int | None = None
    try:
        status, problem = endpoint.test(), None
    except SendFailed as error:
        status, problem = error.status, str(error)
    return {
        "name": endpoint.key[1],
        "delivered": problem is None,
        "status": status,
        "problem": problem,
        "seconds": round(monotonic() - begin, 3),
    }


def _show(name: str, entry: OutboxEntry) -> dict[str, Any]:
    waits = entry.state is OutboxState.WAITING
    return {
        "id": entry.id,
        "name": name,
        "type": entry.kind,
        "created": entry.created,
        "state": entry.state,
        "attempts": entry.attempts,
        "last_try": None if waits else entry.due,
        "next_try": entry.due if waits else None,
        "answer": entry.answer,
    }
