"""Deliveries: what providers sent, what came of it and why; taken once more, or only as if."""

import base64
from http import HTTPStatus
from typing import Any

from sloth_ci.api.builds import show_preview
from sloth_ci.api.pages import BEFORE, PAGES, cut, read_part
from sloth_ci.api.server import Server
from sloth_ci.api.shapes import find_app_id
from sloth_ci.deliveries import Judgement
from sloth_ci.errors import DeliveryNotFound
from sloth_ci.parameters import Answer, ApiAction, Kind, Parameter
from sloth_ci.request import Rule
from sloth_ci.store import Accepted, StoredDelivery

_ID = Parameter("id", "the delivery's number", kind=Kind.NUMBER, required=True)


def list_deliveries(
    server: Server,
    *,
    listen_point: str | None,
    before: int | None,
    from_page: int,
    to_page: int | None,
    per_page: int,
) -> Answer:
    """Deliveries, the newest first."""
    part = read_part(from_page, to_page, per_page, before)
    app_id = find_app_id(server, listen_point) if listen_point else None
    most = part.skip + part.most + 1
    found = server.store.deliveries(app_id=app_id, before=before, most=most)
    shown, following = cut(found[part.skip :], part.most)
    return Answer({"deliveries": [_show(one) for one in shown], "next": following})


def delivery(server: Server, *, id: int) -> Answer:  # noqa: A002  the parameter's name
    """All that is kept of one delivery."""
    found = _find(server, id)
    return Answer(
        {
            **_show(found),
            "rules": [show_rule(rule) for rule in found.rules],
            "headers": dict(found.headers),
            **_show_body(found.body),
            "truncated": found.body is not None and not found.is_whole,
        }
    )


def replay(server: Server, *, id: int, dry_run: bool, actor: str) -> Answer:  # noqa: A002
    """Take a delivery once more, or tell what would come of it."""
    found = _find(server, id)
    app = server.bed.find(found.listen_point)
    judged = app.judge(found)
    if dry_run:
        previews = [show_preview(app, params) for params in judged.params]
        return Answer(_show_replay(found, judged, None, previews))
    server.bed.check_taking()
    return Answer(_show_replay(found, judged, app.replay(id, actor=actor), []))


def show_rule(rule: Rule) -> dict[str, Any]:
    """One thing that a delivery was held against."""
    return {"rule": rule.rule, "wanted": rule.wanted, "seen": rule.seen, "holds": rule.holds}


def _find(server: Server, delivery_id: int) -> StoredDelivery:
    found = server.store.delivery(delivery_id)
    if found is None:
        raise DeliveryNotFound(id=delivery_id)
    return found


def _show(found: StoredDelivery) -> dict[str, Any]:
    return {
        "id": found.id,
        "listen_point": found.listen_point,
        "received": found.received,
        "method": found.method,
        "address": found.address,
        "event": found.event,
        "delivery_id": found.delivery_id,
        "verdict": _name_verdict(found),
        "status": found.status,
        "code": found.code,
        "reason": found.reason,
        "builds": list(found.builds),
        "replay_of": found.replay_of,
        "size": found.body_size,
    }


def _name_verdict(found: StoredDelivery) -> str:
    if found.code:
        return "refused"
    if found.reason:
        return "ignored"
    # One that came again is answered with what came of it before.
    return "accepted" if found.status == HTTPStatus.ACCEPTED else "repeated"


def _show_body(body: bytes | None) -> dict[str, Any]:
    """A body as text, in base64 where it is none."""
    if body is None:
        return {"body": None, "encoding": "text"}
    try:
        return {"body": body.decode(), "encoding": "text"}
    except UnicodeDecodeError:
        return {"body": base64.b64encode(body).decode(), "encoding": "base64"}


def _show_replay(
    found: StoredDelivery,
    judged: Judgement,
    accepted: Accepted | None,
    previews: list[dict[str, Any]],
) -> dict[str, Any]:
    """What came of a replay; of a dry run, without `accepted`, what would."""
    return {
        "delivery": found.id,
        "dry_run": accepted is None,
        "status": judged.status,
        "code": judged.code,
        "reason": judged.reason,
        "event": judged.event,
        "rules": [show_rule(rule) for rule in judged.rules],
        "replay": accepted.delivery if accepted else None,
        "builds": list(accepted.builds) if accepted else [],
        "previews": previews,
    }


ROWS = (
    ApiAction(
        "deliveries",
        200,
        "List what providers sent, the newest first.",
        list_deliveries,
        (
            Parameter("listen_point", "an app's; those of all apps if not given"),
            BEFORE,
            *PAGES,
        ),
        example={"listen_point": "web"},
    ),
    ApiAction(
        "delivery",
        200,
        "Get one delivery, with what it was held against.",
        delivery,
        (_ID,),
        example={"id": "9"},
    ),
    ApiAction(
        "replay",
        200,
        "Take a delivery once more, or only tell what would come of it.",
        replay,
        (
            _ID,
            Parameter("dry_run", "only tell, and queue no build", kind=Kind.FLAG, default=False),
        ),
        changes_state=True,
        wants_actor=True,
        example={"id": "9", "dry_run": "true"},
    ),
)
