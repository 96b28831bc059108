"""Deliveries: a table of them, all about one, and what came of taking one again."""

from collections.abc import Iterable, Iterator
from logging import DEBUG, ERROR, INFO, WARNING

from sloth_ci.render.builds import show_pairs, show_preview
from sloth_ci.render.painter import Painter, Record
from sloth_ci.render.texts import printable, show_size, show_time

_VERDICT_LEVELS = {"accepted": INFO, "ignored": DEBUG, "repeated": DEBUG, "refused": ERROR}


def show_deliveries(painter: Painter, deliveries: Iterable[Record]) -> str:
    """A table of deliveries."""
    rows = [
        [
            str(one["id"]),
            printable(one["listen_point"]),
            show_time(one["received"]),
            printable(one["event"]),
            painter.paint(one["verdict"], _VERDICT_LEVELS.get(one["verdict"], WARNING)),
            str(one["status"]),
            _numbers(one["builds"]),
            printable(one["reason"]),
        ]
        for one in deliveries
    ]
    heads = ["Delivery", "App", "Received", "Event", "Verdict", "Status", "Builds", "Reason"]
    return painter.table(rows, heads)


def show_delivery(painter: Painter, delivery: Record) -> str:
    """All about one delivery: each rule, the headers that were kept, and the body."""
    verdict = painter.paint(delivery["verdict"], _VERDICT_LEVELS.get(delivery["verdict"], WARNING))
    title = printable(f"Delivery {delivery['id']} for {delivery['listen_point']}")
    parts = [
        f"{title}: {verdict}",
        show_pairs(_facts(delivery)),
        show_rules(painter, delivery["rules"]),
    ]
    if delivery["headers"]:
        rows = [[printable(name), printable(value)] for name, value in delivery["headers"].items()]
        parts.append(painter.table(rows, ["Header", "Value"]))
    parts.append(_show_body(delivery))
    return "\n\n".join(part for part in parts if part)


def show_rules(painter: Painter, rules: Iterable[Record]) -> str:
    """A table of what was wanted and what was seen."""
    rows = [
        [
            printable(one["rule"]),
            painter.paint("holds", INFO) if one["holds"] else painter.paint("fails", ERROR),
            printable(one["wanted"]),
            printable(one["seen"]),
        ]
        for one in rules
    ]
    return painter.table(rows, ["Rule", "", "Wanted", "Seen"]) if rows else ""


def show_replay(painter: Painter, answer: Record) -> str:
    """What came, or would come, of a delivery taken again."""
    parts = [_sentence(answer), show_rules(painter, answer["rules"])]
    parts += [show_preview(painter, one) for one in answer["previews"]]
    return "\n\n".join(part for part in parts if part)


def _sentence(answer: Record) -> str:
    number, reason = answer["delivery"], printable(answer["reason"])
    if answer["dry_run"]:
        made = len(answer["previews"])
        would = f"would make {made or 'no'} build{'' if made == 1 else 's'}"
        return f"Delivery {number} {would}{f': {reason}' if reason else '.'}"
    if answer["builds"]:
        return f"Delivery {number} made {_numbers(answer['builds'], word='build ')}."
    return f"Delivery {number} made no build{f': {reason}' if reason else '.'}"


def _facts(delivery: Record) -> Iterator[tuple[str, str]]:
    yield "Received", f"{show_time(delivery['received'])} from {printable(delivery['address'])}"
    yield "Event", printable(delivery["event"])
    yield "Its id", printable(delivery["delivery_id"] or "")
    yield "Answer", printable(f"{delivery['status']} {delivery['code']}")
    yield "Reason", printable(delivery["reason"])
    yield "Builds", _numbers(delivery["builds"])
    yield "Repeats", f"delivery {delivery['replay_of']}" if delivery["replay_of"] else ""
    yield "Size", "" if delivery["size"] is None else show_size(delivery["size"])


def _show_body(delivery: Record) -> str:
    if delivery["body"] is None:
        return ""
    if delivery["encoding"] != "text":
        return "The body is no text; --json has it in base64."
    lines = [printable(line) for line in delivery["body"].splitlines()]
    cut = ["... the rest was not kept"] if delivery["truncated"] else []
    return "\n".join([*lines, *cut])


def _numbers(builds: Iterable[int], word: str = "") -> str:
    return ", ".join(f"{word}{number}" for number in builds)
