"""Counted and watched: statistics, exports, health, and what runs."""

import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.calls import Api, wait_until
from tests.cli.conftest import SCI, Done, Person
from tests.conftest import PATIENCE

MakeApp = Callable[..., str]
Typed = Callable[..., Done]
Built = Callable[..., int]


def test_statistics_are_tables(typed: Typed, app: MakeApp, built: Built) -> None:
    name = app("test {branch} = main")
    built(name, branch="main")
    built(name, branch="dev")

    out = typed("stats", name, "--since", "1h").out

    assert out.startswith("2 builds from ")
    assert re.search(rf"^{name} +2 +50 % +1 +1 ", out, re.MULTILINE)
    assert re.search(rf"^test .* +{name} 1 .* 2 +1$", out, re.MULTILINE)


def test_no_statistics_are_a_sentence(typed: Typed, app: MakeApp) -> None:
    assert typed("stats", app("true")).out.startswith("No builds ended from ")


def test_an_export_is_a_new_file_that_only_the_owner_reads(
    user: Person, typed: Typed, app: MakeApp, built: Built
) -> None:
    name = app("true")
    number = built(name)
    words = ("export", name, "--kind", "builds", "-f", "ndjson", "-o", "builds.ndjson")

    done, again = typed(*words), typed(*words)

    file = user.folder / "builds.ndjson"
    assert done.said == (0, "", "")
    assert [json.loads(line)["id"] for line in file.read_text().splitlines()] == [number]
    assert file.stat().st_mode & 0o777 == 0o600
    assert again.code == 1
    assert again.err.startswith("sci: There is a file builds.ndjson already")


def test_an_export_that_is_refused_leaves_no_file(user: Person, typed: Typed) -> None:
    done = typed("export", "nobody-here", "-o", "builds.json")

    assert done.code == 1
    assert done.err.startswith("sci: No app listens on 'nobody-here'.")
    assert not (user.folder / "builds.json").exists()


def test_an_export_goes_to_a_pipe(user: Person, app: MakeApp, built: Built) -> None:
    name = app("true")
    built(name)

    head, row = user.sci("export", name, "--format", "csv").out.splitlines()

    assert head.startswith("id,listen_point,status")
    assert f",{name},complete," in row


def test_health_is_a_table_and_an_exit_code(typed: Typed) -> None:
    done = typed("health")

    assert done.code == 0
    assert re.search(r"^database +ok ", done.out, re.MULTILINE)
    assert json.loads(typed("health", "--json").out)["healthy"] is True


def test_a_server_that_is_not_well_ends_with_1(typed: Typed, api: Api, app: MakeApp) -> None:
    name = app("sleep 60")
    running, waiting = api.trigger(name), api.trigger(name)

    def complains() -> bool:
        done = typed("health", "--queue-age", "1")
        return done.code == 1 and bool(re.search(r"^queue +problem ", done.out, re.MULTILINE))

    wait_until(complains)
    for build in (waiting, running):
        api("cancel", build=build)


def test_top_on_a_pipe_is_one_plain_look(typed: Typed, api: Api, app: MakeApp) -> None:
    name = app("echo begun; sleep 60")
    number = api.trigger(name)
    wait_until(lambda: "begun" in api.logs(name))

    out = typed("top").out
    value = json.loads(typed("top", "--json").out)

    assert "\x1b" not in out
    assert re.search(rf"^{number} +{name} .* no build to compare with +0/1$", out, re.MULTILINE)
    assert number in [build["id"] for build in value["running"]]
    api("cancel", build=number)


@pytest.mark.parametrize(
    ("end", "code"),
    [(b"q", 0), (b"\x03", 130), (signal.SIGTERM, 143)],
    ids=["q", "Ctrl-C", "SIGTERM"],
)
def test_top_leaves_the_terminal_as_it_was(
    user: Person, end: bytes | signal.Signals, code: int, tmp_path: Path
) -> None:
    terminal, theirs = pty.openpty()
    before = subprocess.run(["stty", "-g"], stdin=theirs, capture_output=True, check=True).stdout
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *SCI, "top"],
        cwd=user.folder,
        env=user.env(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    shown = b""
    while b"Sloth CI" not in shown:
        shown += os.read(terminal, 65_536)

    if isinstance(end, bytes):
        os.write(terminal, end)
    else:
        process.send_signal(end)
    while not shown.endswith(b"\x1b[?1049l"):
        shown += os.read(terminal, 65_536)

    assert process.wait(PATIENCE) == code
    after = subprocess.run(["stty", "-g"], stdin=theirs, capture_output=True, check=True).stdout
    assert after == before
    assert shown.startswith(b"\x1b[?1049h")
    assert b"\x1b[?25h" in shown
    os.close(terminal)
    os.close(theirs)
