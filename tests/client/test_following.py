"""Following over connections that break: nothing is lost, nothing comes twice, and it ends."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from sloth_ci.client import Client, following
from sloth_ci.client.following import Event, Follower, read_events
from sloth_ci.errors import (
    ActionNotFound,
    BuildNotFound,
    ServerUnreachable,
    Stopping,
    UnexpectedAnswer,
)
from tests.calls import Api
from tests.client.test_client import reply, stranger
from tests.conftest import RunningServer

URL = "http://127.0.0.1:8080"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PAUSES", (0.0,))


def log(number: int) -> bytes:
    return f'id: {number}\nevent: log\ndata: {{"id": {number}}}\n\n'.encode()


def state(name: str, text: str) -> bytes:
    return f'event: {name}\ndata: {{"id": 1, "status": "{text}"}}\n\n'.encode()


class Lines:
    """A line that breaks: gives each connection the next of its texts, or raises the next error."""

    def __init__(self, *texts: bytes | Exception) -> None:
        self.texts = list(texts)
        self.asked: list[int | None] = []

    def __call__(self, place: int | None) -> list[bytes]:
        self.asked.append(place)
        text = self.texts.pop(0)
        if isinstance(text, Exception):
            raise text
        return [text[start : start + 7] for start in range(0, len(text), 7)]


def followed(lines: Lines, *, after: int | None = None, patience: float = 60) -> list[Event]:
    return list(Follower(lines, url=URL, after=after, patience=patience).events())


def test_a_broken_connection_is_made_again_behind_the_last_record() -> None:
    lines = Lines(
        state("status", "running") + log(3) + log(4) + log(5)[:-9],
        ServerUnreachable(url=URL, reason="gone"),
        Stopping(),
        state("status", "running") + log(4) + log(5) + state("end", "complete"),
    )

    events = followed(lines)

    assert [event.id for event in events if event.name == "log"] == [3, 4, 5]
    assert [event.name for event in events] == ["status", "log", "log", "log", "end"]
    assert lines.asked == [None, 4, 4, 4]


def test_a_state_that_changed_meanwhile_is_told() -> None:
    lines = Lines(
        state("status", "queued"),
        state("status", "queued") + state("status", "running") + state("end", "failed"),
    )

    told = [event.data["status"] for event in followed(lines, after=9)]

    assert told == ["queued", "running", "failed"]
    assert lines.asked == [9, 9]


def test_patience_comes_to_an_end() -> None:
    gone = ServerUnreachable(url=URL, reason="gone")

    with pytest.raises(ServerUnreachable):
        followed(Lines(gone), patience=0)


def test_connections_that_end_at_once_end_patience_as_well() -> None:
    with pytest.raises(ServerUnreachable, match="the connection ended"):
        followed(Lines(b""), patience=0)


def test_a_refusal_is_no_reason_to_come_back() -> None:
    lines = Lines(state("status", "queued"), BuildNotFound(id=1))

    with pytest.raises(BuildNotFound):
        followed(lines)


@pytest.mark.parametrize("size", [1, 3, 1_000])
def test_events_are_read_in_whatever_pieces_they_come(size: int) -> None:
    text = (
        b'retry: 1000\n\n: quiet\n\nid: 7\nevent: log\ndata: {"message": "\xc3\xa9: x"}\n\nid: 8\n'
    )
    pieces = [text[start : start + size] for start in range(0, len(text), size)]

    assert list(read_events(pieces, url=URL)) == [Event("log", {"message": "é: x"}, 7)]


def test_what_is_no_event_of_ours_is_an_unexpected_answer() -> None:
    with pytest.raises(UnexpectedAnswer):
        list(read_events([b"data: <html>\n\n"], url=URL))


def test_a_server_without_follow_says_so_at_once() -> None:
    error = {
        "error": {"code": "action_not_found", "message": "no", "details": {"action": "follow"}}
    }
    with (
        stranger(reply("404 Not Found", json.dumps(error))) as one,
        pytest.raises(ActionNotFound),
    ):
        next(Client(one.url).follow(build=1))


@pytest.mark.parametrize(
    "answer",
    [
        b"Content-Length: 100\r\n\r\nid\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nid\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n9\r\nid\n",
    ],
    ids=["of a known length", "between two chunks", "within a chunk"],
)
def test_an_answer_that_breaks_off_is_not_taken_for_the_whole(answer: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\n"
    with (
        stranger(head + answer) as one,
        pytest.raises(ServerUnreachable, match="before the answer's end"),
    ):
        list(Client(one.url).download("export"))


@pytest.fixture
def api(shared_server: RunningServer) -> Api:
    return Api(shared_server.url, shared_server.login)


@pytest.fixture
def client(shared_server: RunningServer) -> Client:
    return Client(shared_server.url, *shared_server.login)


def test_a_real_build_is_followed_from_its_first_record_to_its_end(
    api: Api, client: Client
) -> None:
    api.create("{listen_point: followed, actions: [seq 3000]}")
    number = api.trigger("followed")

    events = list(client.follow(build=number))

    texts = [event.data["message"] for event in events if event.name == "log"]
    assert texts[2:-2] == [str(one) for one in range(1, 3_001)]
    assert events[-1].name == "end"
    assert events[-1].data["status"] == "complete"


def test_an_app_is_followed_from_now_on(api: Api, client: Client) -> None:
    api.create("{listen_point: followed-app, actions: ['echo {who}']}")
    api.wait_for_build("followed-app", api.trigger("followed-app", who="before"))
    events = client.follow(listen_point="followed-app")
    assert next(events).data["status"] == "complete"

    number = api.trigger("followed-app", who="after")

    texts = read_until(events, lambda event: event.data.get("message") == "Complete (1/1)")
    assert "after" in texts
    assert "before" not in texts
    assert client.call("build", id=number)["id"] == number, "other calls go on meanwhile"


def read_until(events: Any, is_last: Callable[[Event], bool]) -> list[str]:
    texts = []
    for event in events:
        if event.name == "log":
            texts.append(event.data["message"])
            if is_last(event):
                return texts
    raise AssertionError("it ended")
