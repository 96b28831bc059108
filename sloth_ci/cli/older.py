"""Following a build on a server that has no `follow` yet, by looking again and again."""

from collections.abc import Iterator
from logging import DEBUG
from time import monotonic, sleep
from typing import Any

from sloth_ci.client import Client, Value
from sloth_ci.errors import (
    AppNotFound,
    DatabaseOff,
    ServerUnreachable,
    SlothError,
    Unavailable,
)
from sloth_ci.render import Record

#: Seconds between two looks: the first while lines come, the last when none has come for a while.
PAUSES = (0.1, 0.2, 0.4, 0.8, 1.0)
#: Seconds a server may be away, as when it restarts.
PATIENCE = 60.0
#: Records asked for in a quiet look, and in one that has to catch up.
FEW, MANY = 50, 1_000


class OutcomeUnknown(SlothError):
    """How the build {build} of '{listen_point}' ended isn't known: without a database the server \
remembers only the newest build."""


def follow(client: Client, listen_point: str, build_id: int) -> Iterator[Record]:
    """The build's log records as they come, in order, none twice; the last one tells its end.

    Raises what `Client.call` raises, and OutcomeUnknown.
    """
    try:
        yield from _follow_logs(client, listen_point, build_id)
    except DatabaseOff:
        yield _wait_for_info(client, listen_point, build_id)
    except AppNotFound:
        ends = [
            record
            for record in client.call("history", listen_point=listen_point, per_page=MANY)
            if record["build"] == build_id and _is_end(record, listen_point)
        ]
        if not ends:
            raise
        yield ends[0]


def _follow_logs(client: Client, listen_point: str, build_id: int) -> Iterator[Record]:
    seen, quiet = 0, 0
    while True:
        came = _look(client, listen_point, build_id, seen)
        for record in came:
            seen = record["id"]
            if record["build"] != build_id:
                continue
            yield record
            if _is_end(record, listen_point):
                return
        quiet = 0 if came else min(quiet + 1, len(PAUSES) - 1)
        sleep(PAUSES[quiet])


def _look(client: Client, listen_point: str, build_id: int, seen: int) -> list[Record]:
    """The app's records since `seen` or since the build was queued, the oldest first.

    Pages shift while records come in, so that some are met twice; none is missed, since a page that
    is asked for later only ever starts earlier in time.
    """
    found: dict[int, Record] = {}
    for page, size in _pages():
        records = _ask(
            client, "logs", listen_point=listen_point, level=1, from_page=page, per_page=size
        )
        found.update((one["id"], one) for one in records if one["id"] > seen)
        reached = any(
            one["id"] <= seen or _is_start(one, listen_point, build_id) for one in records
        )
        if reached or len(records) < size:
            break
    return [found[number] for number in sorted(found)]


def _pages() -> Iterator[tuple[int, int]]:
    yield 1, FEW
    page = 1
    while True:
        yield page, MANY
        page += 1


def _is_start(record: Record, listen_point: str, build_id: int) -> bool:
    return bool(
        record["build"] == build_id
        and record["logger_name"] == f"{listen_point}.build"
        and record["level_number"] == DEBUG
    )


def _is_end(record: Record, listen_point: str) -> bool:
    return bool(record["logger_name"] == f"{listen_point}.build" and record["level_number"] > DEBUG)


def _wait_for_info(client: Client, listen_point: str, build_id: int) -> Record:
    while True:
        (app,) = _ask(client, "info", listen_points=[listen_point])
        if app["last_build_id"] != build_id:
            raise OutcomeUnknown(build=build_id, listen_point=listen_point)
        if app["last_build_status_level"] > DEBUG:
            return {
                "timestamp": app["last_build_timestamp"],
                "logger_name": f"{listen_point}.build",
                "level_number": app["last_build_status_level"],
                "message": app["last_build_status"],
                "build": build_id,
            }
        sleep(PAUSES[-1])


def _ask(client: Client, action: str, **params: Value) -> Any:
    """Ask, and ask again while the server is away or busy with a restart."""
    deadline = monotonic() + PATIENCE
    while True:
        try:
            return client.call(action, **params)
        except (ServerUnreachable, Unavailable):
            if monotonic() > deadline:
                raise
        sleep(PAUSES[-1])
