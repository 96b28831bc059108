"""Following builds, live."""

from collections.abc import Iterator
from logging import CRITICAL, DEBUG, INFO

from sloth_ci.cli import older
from sloth_ci.client import Client
from sloth_ci.errors import ActionNotFound, UnexpectedAnswer
from sloth_ci.render import Record


def follow(
    client: Client, listen_point: str, build_id: int, *, level: int | None = None
) -> Iterator[Record]:
    """The build's log records as they come, in order, none twice; the last one tells its end.

    Raises what `Client.follow` raises, and OutcomeUnknown.
    """
    try:
        yield from _follow_events(client, build_id, level)
    except ActionNotFound:
        yield from older.follow(client, listen_point, build_id)


def is_complete(end: Record) -> bool:
    """Whether a build's last record says that all of its actions completed."""
    return bool(end["level_number"] == INFO)


def find_current(client: Client, listen_point: str) -> int | None:
    """The build of the app that runs or is the next to run; None when all of them ended."""
    found = client.call(
        "builds", listen_point=listen_point, status=("running", "queued"), per_page=1_000
    )["builds"]
    running = [build["id"] for build in found if build["status"] == "running"]
    return min(running or (build["id"] for build in found), default=None)


def wait_for_next(client: Client, listen_point: str, newest: int) -> int:
    """The first build of the app that comes after the one named, be it there already or not."""
    for event in client.follow(listen_point=listen_point, level=CRITICAL):
        if event.name == "status" and event.data["id"] > newest:
            return int(event.data["id"])
    raise UnexpectedAnswer(url=client.url, reason="it ended what has no end")


def _follow_events(client: Client, build_id: int, level: int | None) -> Iterator[Record]:
    end = None
    for event in client.follow(build=build_id, level=level):
        if event.name == "log":
            end = event.data if _is_end(event.data) else None
            yield event.data
        elif event.name == "end" and end is None:
            yield _write_end(event.data)


def _is_end(record: Record) -> bool:
    name = f"{record['listen_point']}.build"
    return bool(record["logger_name"] == name and record["level_number"] > DEBUG)


def _write_end(build: Record) -> Record:
    """The record of a build's end where there is none, as without a database."""
    return {
        "timestamp": build["finished"] or build["queued"],
        "logger_name": f"{build['listen_point']}.build",
        "level_number": build["level"],
        "message": build["message"],
        "build": build["id"],
        "listen_point": build["listen_point"],
    }
