"""The examples on the page about the API, run by a real curl against a server of their own."""

import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.calls import Api, wait_until
from tests.conftest import LOGIN, RunningServer
from tests.docs.pages import Fence, Part, parts_below, read_page

PAGE = "docs/api.md"
#: Where the page says that its server is.
URL, FOLDER, LOGIN_SHOWN = "http://localhost:8080/", "/srv/ci", "sloth:slow-but-steady"
VARYING = (
    *("id", "timestamp", "last_build_timestamp", "queued", "started", "finished", "received"),
    *("duration", "waited", "usual_duration", "median", "p95", "mean", "longest", "uptime"),
    *("since", "until", "first_record", "last_record", "cpu", "memory"),
    *("bytes", "wal_bytes", "records", "free", "user-agent"),
)
EXPLAINED = {part.names[0]: part for part in parts_below(PAGE, "Actions")}


@dataclass(frozen=True)
class Example:
    """A command of the page, and what it is said to answer."""

    command: str
    answer: Fence | None


def examples(part: Part) -> Iterator[Example]:
    for number, fence in enumerate(part.fences):
        if fence.info == "console":
            after = part.fences[number + 1] if number + 1 < len(part.fences) else None
            answer = after if after and after.info in ("json", "http") else None
            for line in fence.text.splitlines():
                yield Example(line.removeprefix("$ "), answer)


@dataclass(frozen=True)
class Stage:
    """The server of the page's examples."""

    server: RunningServer
    folder: Path

    def run(self, command: str) -> str:
        """What the command prints; a real curl, at the server's real place."""
        there = command.replace(URL, f"{self.server.url}/").replace(FOLDER, str(self.folder))
        words = shlex.split(there)
        assert words[0] == "curl"
        done = subprocess.run(
            ["curl", "-s", *words[1:]], capture_output=True, text=True, timeout=20, check=True
        )
        return done.stdout

    def wait_for_restart(self) -> None:
        """Return once the server listens for the second time."""
        log = self.server.folder / "sloth_error.log"
        wait_until(lambda: log.read_text().count(" listens on ") == 2)

    def wait_for_ledger(self) -> None:
        """Return once all that came with deliveries can be read; it is written behind them."""
        ask = Api(self.server.url, LOGIN)
        wait_until(lambda: all(one["size"] for one in ask("deliveries").value["deliveries"]))

    def as_shown(self, text: str) -> Any:
        """A JSON value with the page's folder, and without times and record ids."""
        return json.loads(
            text.replace(str(self.folder), FOLDER),
            object_hook=lambda found: {
                name: "varies" if name in VARYING else value for name, value in found.items()
            },
        )


@pytest.fixture
def stage(launch: Callable[..., RunningServer], tmp_path: Path) -> Stage:
    assert f"{LOGIN[0]}:{LOGIN[1]}" == LOGIN_SHOWN
    server = launch()
    config = read_page(PAGE)[1].fences[-1]
    assert config.info == "yaml app"
    (tmp_path / "web.yml").write_text(config.text)
    created = Api(server.url, LOGIN)("create", config_string=config.text)
    assert created.status == 201
    return Stage(server, Path(os.path.realpath(tmp_path)))


def test_the_examples_answer_what_the_page_says(stage: Stage) -> None:
    for part in read_page(PAGE):
        shown = list(examples(part))
        assert shown or part.names == [] or part.title not in EXPLAINED
        for example in shown:
            printed = stage.run(example.command)
            if part.names == ["trigger"]:
                Api(stage.server.url, LOGIN).wait_for_build("web", 1)
            if part.names == ["deliveries"]:
                stage.wait_for_ledger()
            if example.answer is None:
                assert json.loads(printed)[0]["listen_point"] == "web"
            elif example.answer.info == "json":
                assert stage.as_shown(printed) == stage.as_shown(example.answer.text), part.title
            else:
                head = printed.replace("\r", "").splitlines()
                missing = [line for line in example.answer.text.splitlines() if line not in head]
                assert missing == [], part.title
        if part.names == ["restart"]:
            stage.wait_for_restart()
    assert stage.server.wait() == 0


@pytest.mark.parametrize("name", EXPLAINED)
def test_each_action_has_an_example_that_is_run(name: str) -> None:
    assert any(f"action={name}" in one.command and one.answer for one in examples(EXPLAINED[name]))
