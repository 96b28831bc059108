"""Actions of the API on a real store and bed; builds run at once, on the test's thread."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sloth_ci.api import Server, call
from sloth_ci.bed import Bed
from sloth_ci.executors import ImmediateExecutor
from sloth_ci.journal import Journal
from sloth_ci.parameters import Answer, Stream
from sloth_ci.shell import ShellRunner
from sloth_ci.store import Store


class Life:
    """Takes note of what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ask_restart(self) -> None:
        self.asked.append("restart")

    def ask_stop(self) -> None:
        self.asked.append("stop")


@dataclass
class Stage:
    """A server without the web."""

    server: Server
    actor: str = "ann"

    @property
    def store(self) -> Store:
        return self.server.store

    def answer(self, action: str, *, header: str = "", **params: Any) -> Answer:
        """What an action answers; `header` is the Last-Event-ID."""
        pairs = [("action", action)]
        for name, value in params.items():
            values = value if isinstance(value, list) else [value]
            pairs += [(name, str(one)) for one in values]
        self.store.flush()
        headers = {"last-event-id": header}
        status, answer = call(
            self.server, pairs, actor=self.actor, header=lambda name: headers.get(name, "")
        )
        assert 200 <= status < 300
        return answer

    def ask(self, action: str, **params: Any) -> Any:
        """The value that an action answers, as JSON gives it back."""
        return json.loads(json.dumps(self.answer(action, **params).value))

    def create(self, *actions: str, listen_point: str = "web", more: str = "") -> str:
        """An app with these actions, written as YAML; `more` is further YAML."""
        written = "".join(f"  - {action}\n" for action in actions)
        config = f"listen_point: {listen_point}\nactions:\n{written}{more}"
        return str(self.ask("create", config_string=config))

    def update(self, *actions: str, listen_point: str = "web", more: str = "") -> None:
        """Other actions for the app."""
        written = "".join(f"  - {action}\n" for action in actions)
        config = f"listen_point: {listen_point}\nactions:\n{written}{more}"
        self.answer("update", listen_point=listen_point, config_string=config)

    def run(self, listen_point: str = "web", **params: str) -> int:
        """A build that is over; its id."""
        answer = self.answer("trigger", listen_point=listen_point, **params)
        self.store.flush()
        return int(answer.headers["X-Build-Id"])


def read_to_end(stream: Stream) -> bytes:
    """All that a stream gives that ends by itself."""
    found = b""
    for _pull in range(10_000):
        found += stream.pull()
        if stream.ended:
            return found
    raise AssertionError("the stream never ended")


def read_new(stream: Stream) -> bytes:
    """All that a stream has now."""
    found = b""
    while piece := stream.pull():
        found += piece
    return found


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    store = Store(tmp_path / "sloth.db")
    bed = Bed(
        store=store,
        journal=Journal(store),
        base_dir=tmp_path,
        run_action=ShellRunner(),
        make_executor=ImmediateExecutor,
    )
    yield Stage(Server(bed=bed, store=store, life=Life()))
    store.close()
