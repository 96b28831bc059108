"""Following: complete, in order, without waiting; resumed where it broke off."""

import json
from typing import Any

import pytest

from sloth_ci.api.following import PIECE, AppFollow, JsonLines
from sloth_ci.errors import AppNotFound, BadParam
from sloth_ci.parameters import Stream
from sloth_ci.records import Logger, LogRecord
from sloth_ci.records import Stream as Printed
from tests.api.conftest import Stage, read_new, read_to_end
from tests.api.test_builds import queue

Event = tuple[str, int | None, dict[str, Any]]


def open_stream(stage: Stage, *, header: str = "", **params: Any) -> Stream:
    stream = stage.answer("follow", header=header, **params).stream
    assert stream is not None
    return stream


def read_events(text: bytes) -> list[Event]:
    """Server-sent events, as a browser reads them."""
    events: list[Event] = []
    for block in text.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        if "data" in fields:
            place = int(fields["id"]) if "id" in fields else None
            events.append((fields["event"], place, json.loads(fields["data"])))
    return events


def read_lines(text: bytes) -> list[Event]:
    """The same, from lines of JSON."""
    found = [json.loads(line) for line in text.decode().splitlines()]
    return [(one["event"], one.get("id"), one["data"]) for one in found]


def messages(events: list[Event]) -> list[str]:
    return [data["message"] for name, _place, data in events if name == "log"]


def say(stage: Stage, listen_point: str, line: str, build: int | None = None) -> None:
    app_id = stage.server.bed.find(listen_point).id
    stream = None if build is None else Printed.STDOUT
    stage.store.write(LogRecord(app_id, Logger.EXEC, 10, line, 1.0, build, stream))
    stage.store.flush()


def test_a_build_that_is_over_is_told_whole_and_ends(stage: Stage) -> None:
    stage.create("seq 3")
    build = stage.run()

    events = read_events(read_to_end(open_stream(stage, build=build)))

    assert messages(events) == [
        "Triggered, actions in queue: 1",
        "Executing action: seq 3",
        *"123",
        "Finished",
        "Complete (1/1)",
    ]
    assert [name for name, _place, _data in events] == ["status", *["log"] * 7, "end"]
    assert events[-1][2]["status"] == "complete"
    for name, place, data in events:
        assert place == (data["id"] if name == "log" else None)


def test_both_forms_tell_the_same(stage: Stage) -> None:
    stage.create("seq 3")
    build = stage.run()

    one, other = open_stream(stage, build=build), open_stream(stage, build=build, format="ndjson")

    assert (one.content_type, other.content_type) == ("text/event-stream", "application/x-ndjson")
    assert read_events(read_to_end(one)) == read_lines(read_to_end(other))


@pytest.mark.parametrize("way", ["header", "after"])
def test_a_broken_off_one_goes_on_behind_the_last_record(stage: Stage, way: str) -> None:
    stage.create("seq 20")
    build = stage.run()
    events = read_events(read_to_end(open_stream(stage, build=build)))
    places = [place for name, place, _data in events if name == "log"]

    for number, place in enumerate(places):
        resumed = read_events(read_to_end(open_stream(stage, build=build, **{way: str(place)})))
        assert [p for name, p, _data in resumed if name == "log"] == places[number + 1 :]
        assert resumed[-1][0] == "end"


def test_a_running_build_is_told_of_as_it_goes(stage: Stage) -> None:
    stage.create("echo hi")
    build = queue(stage)
    stream = open_stream(stage, build=build)
    begun = read_events(read_new(stream))
    assert [(name, data["status"]) for name, _place, data in begun if name == "status"] == [
        ("status", "queued")
    ]
    assert (stream.pull(), stream.ended) == (b"", False)

    app_id = stage.server.bed.find("web").id
    stage.store.claim(app_id)
    assert [data["status"] for _name, _place, data in read_events(read_new(stream))] == ["running"]
    say(stage, "web", "a line", build)
    assert messages(read_events(read_new(stream))) == ["a line"]
    say(stage, "web", "another app's or build's line")
    assert messages(read_events(read_new(stream))) == []
    assert not stream.ended


def test_the_end_comes_behind_the_last_line_however_much_there_is(stage: Stage) -> None:
    lines = PIECE * 3 + 7
    stage.create(f"seq {lines}")
    build = stage.run()
    stream = open_stream(stage, build=build)

    pieces = []
    while not stream.ended:
        pieces.append(stream.pull())
    events = read_events(b"".join(pieces))

    assert len(pieces) > 3
    assert messages(events)[2:-2] == [str(number) for number in range(1, lines + 1)]
    assert events[-1][0] == "end"


def test_no_piece_is_much_larger_than_a_line(stage: Stage) -> None:
    stage.create("'for n in $(seq 40); do head -c 60000 /dev/zero | tr \"\\0\" x; echo; done'")
    stream = open_stream(stage, build=stage.run())

    sizes = []
    while not stream.ended:
        sizes.append(len(stream.pull()))
    assert max(sizes) < 300_000
    assert sum(sizes) > 2_000_000


def test_a_build_that_is_forgotten_meanwhile_has_ended(stage: Stage) -> None:
    stage.create("echo hi")
    build = queue(stage)
    stream = open_stream(stage, build=build)
    read_new(stream)
    stage.server.bed.remove("web")
    events = read_events(read_to_end(stream))

    assert events[-1][0] == "end"
    assert events[-1][2]["status"] == "cancelled"


def test_an_app_is_followed_from_now_on_and_tells_its_builds_states(stage: Stage) -> None:
    stage.create("echo hi")
    stage.create("echo hi", listen_point="other")
    stage.run()
    stream = open_stream(stage, listen_point="web")
    begun = read_events(read_new(stream))
    assert [(name, data["id"]) for name, _place, data in begun] == [("status", 1)]

    stage.run("other")
    build = stage.run()
    say(stage, "web", "of the app itself")
    events = read_events(read_new(stream))

    assert messages(events)[0] == "Triggered, actions in queue: 1"
    assert messages(events)[-1] == "of the app itself"
    assert {data["listen_point"] for _name, _place, data in events} == {"web"}
    assert not stream.ended
    assert build == 3


def test_states_of_an_apps_builds_are_told_once_each(stage: Stage) -> None:
    stage.create("echo hi")
    moment = [0.0]
    stream = AppFollow(
        stage.server, app_id=None, form=JsonLines(), after=0, level=50, now=lambda: moment[0]
    )

    def states() -> list[tuple[int, str]]:
        moment[0] += 1
        stage.store.flush()
        return [
            (data["id"], data["status"]) for _name, _place, data in read_lines(read_new(stream))
        ]

    assert states() == []
    build = queue(stage)
    assert states() == [(build, "queued")]
    assert states() == []
    app_id = stage.server.bed.find("web").id
    stage.store.claim(app_id)
    assert states() == [(build, "running")]
    stage.server.bed.remove("web")
    later = states()
    assert later in ([], [(build, "cancelled")])


def test_all_apps_are_followed_when_none_is_named(stage: Stage) -> None:
    stage.create("echo hi")
    stream = open_stream(stage, format="ndjson")
    read_new(stream)
    stage.create("echo hi", listen_point="new")
    stage.run("new")

    events = read_lines(read_new(stream))
    assert "new" in {data["listen_point"] for _name, _place, data in events}


def test_a_tail_begins_with_records_that_are_there(stage: Stage) -> None:
    stage.create("seq 3")
    build = stage.run()

    of_app = read_events(read_new(open_stream(stage, listen_point="web", tail=2)))
    of_build = read_events(read_to_end(open_stream(stage, build=build, tail=3)))

    assert messages(of_app) == ["Finished", "Complete (1/1)"]
    assert messages(of_build) == ["3", "Finished", "Complete (1/1)"]


def test_a_level_leaves_out_what_is_below(stage: Stage) -> None:
    stage.create("seq 3")
    events = read_events(read_to_end(open_stream(stage, build=stage.run(), level=20)))

    assert messages(events) == ["Executing action: seq 3", "Finished", "Complete (1/1)"]


def test_a_stream_that_is_closed_gives_nothing_more(stage: Stage) -> None:
    stage.create("echo hi")
    build = stage.run()
    for stream in (open_stream(stage, build=build), open_stream(stage, listen_point="web")):
        assert (stream.close(), stream.ended, stream.pull()) == (b"", True, b"")


def test_line_ends_and_other_hostile_text_break_no_event(stage: Stage) -> None:
    stage.create("echo hi")
    build = queue(stage)
    hostile = "a\n\nevent: end\ndata: {}\n\n\u2028\r\x00\ud800".encode("utf-8", "replace").decode()
    say(stage, "web", hostile, build)
    events = read_events(read_new(open_stream(stage, listen_point="web", after=0)))

    assert hostile in messages(events)
    assert "end" not in [name for name, _place, _data in events]


def test_what_can_not_be_followed_is_refused(stage: Stage) -> None:
    stage.create("echo hi")
    stage.create("echo hi", listen_point="other")
    build = stage.run()

    assert open_stream(stage, build=build, listen_point="web")
    with pytest.raises(BadParam, match="that of build 1, 'web'"):
        open_stream(stage, build=build, listen_point="other")
    with pytest.raises(BadParam):
        open_stream(stage, build=build, format="xml")
    with pytest.raises(AppNotFound):
        open_stream(stage, listen_point="nowhere")
