"""Whom builds run as: refused where it can't be, and said at each start where it is root."""

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sloth_ci.bed import Bed
from sloth_ci.builds import Limits
from sloth_ci.errors import ConfigInvalid, ConfigUnreadable
from sloth_ci.executors import ImmediateExecutor
from sloth_ci.journal import Journal
from sloth_ci.store import Store
from tests.conftest import Runs

#: There on every system.
USER = "daemon"


@pytest.fixture
def open_bed(tmp_path: Path, runs: Runs) -> Iterator[Callable[[], Bed]]:
    stores: list[Store] = []

    def make() -> Bed:
        for old in stores:
            old.close()
        stores[:] = [Store(tmp_path / "sloth.db")]
        return Bed(
            store=stores[0],
            journal=Journal(stores[0]),
            base_dir=tmp_path,
            run_action=runs,
            make_executor=ImmediateExecutor,
        )

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the server take itself for that user."""
    return lambda uid: monkeypatch.setattr(os, "geteuid", lambda: uid)


@pytest.fixture
def said() -> Iterator[list[str]]:
    """The warnings and errors in the server's log."""
    lines: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    listener = Listener(logging.WARNING)
    logging.getLogger("sloth_ci").addHandler(listener)
    yield lines
    logging.getLogger("sloth_ci").removeHandler(listener)


def test_a_build_carries_the_limits_and_the_user(
    open_bed: Callable[[], Bed], runs: Runs, become: Callable[[int], None]
) -> None:
    become(0)
    app = open_bed().create(
        f"listen_point: web\nactions: [make]\nuser: {USER}\nlimits: {{processes: 20, cpu: 60}}\n"
    )
    app.trigger({})
    assert runs.builds[0].user == USER
    assert runs.builds[0].limits == Limits(processes=20, cpu=60)


@pytest.mark.parametrize(
    ("user", "work_dir", "expected"),
    [
        (None, "~/web", os.path.expanduser("~/web")),  # noqa: PTH111  as the shell has it
        (USER, "~/web", os.path.expanduser(f"~{USER}/web")),  # noqa: PTH111
        (USER, "~", os.path.expanduser(f"~{USER}")),  # noqa: PTH111
        (USER, "~root/web", os.path.expanduser("~root/web")),  # noqa: PTH111
        (USER, "/srv/web", "/srv/web"),
    ],
)
def test_home_is_that_of_whom_the_build_runs_as(
    open_bed: Callable[[], Bed],
    runs: Runs,
    become: Callable[[int], None],
    user: str | None,
    work_dir: str,
    expected: str,
) -> None:
    become(0)
    name = "" if user is None else f"user: {user}\n"
    open_bed().create(
        f"listen_point: web\nactions: [make]\n{name}work_dir: '{work_dir}'\n"
    ).trigger({})
    assert runs.builds[0].work_dir == expected


@pytest.mark.parametrize(
    ("uid", "config", "sentence"),
    [
        (0, "user: no-such-one", "line 2, column 1: 'user' names 'no-such-one', and the system"),
        (1000, f"user: {USER}", f"line 2, column 1: 'user' wants builds to run as '{USER}'"),
        (0, "limits:\n  processes: 5", "line 3, column 3: 'limits.processes' can't hold: builds"),
    ],
    ids=["an unknown user", "a server that is not root", "a limit that root is not held to"],
)
def test_an_app_whose_builds_could_not_run_is_refused_with_the_place(
    open_bed: Callable[[], Bed], become: Callable[[int], None], uid: int, config: str, sentence: str
) -> None:
    become(uid)
    bed = open_bed()
    with pytest.raises(ConfigInvalid) as refused:
        bed.create(f"listen_point: web\n{config}\n")
    assert refused.value.message.startswith(sentence)
    (problem,) = refused.value.details["problems"]
    assert f"line {problem['line']}, column {problem['column']}: {problem['problem']}" == (
        refused.value.message
    )
    assert bed.apps() == []


def test_a_bound_file_that_wants_an_unknown_user_leaves_the_app_as_it_is(
    open_bed: Callable[[], Bed], tmp_path: Path
) -> None:
    bed = open_bed()
    bed.create("listen_point: web\n")
    file = tmp_path / "web.yml"
    file.write_text("listen_point: web\n")
    bed.bind("web", str(file))
    file.write_text("listen_point: web\nuser: no-such-one\n")
    with pytest.raises(ConfigUnreadable, match="see line 2"):
        bed.update("web")
    assert bed.find("web").config.user is None


def test_at_the_next_start_without_root_the_app_is_left_out_and_that_is_said(
    open_bed: Callable[[], Bed], become: Callable[[int], None], said: list[str]
) -> None:
    become(0)
    open_bed().create(f"listen_point: web\nuser: {USER}\n")
    become(1000)
    bed = open_bed()
    bed.load(())
    assert bed.apps() == []
    assert len(said) == 1
    assert "The app web can't be taken up" in said[0]
    assert "only root can change to another user" in said[0]


def test_each_start_says_in_one_line_whose_builds_run_as_root(
    open_bed: Callable[[], Bed], become: Callable[[int], None], said: list[str]
) -> None:
    become(0)
    bed = open_bed()
    bed.create(f"listen_point: careful\nuser: {USER}\n")
    for number in range(7):
        bed.create(f"listen_point: app{number}\n")
    assert said == []
    for _start in range(2):
        open_bed().load(())
    assert len(said) == 2
    assert said[0] == said[1]
    assert said[0].startswith("Builds run as root")
    assert said[0].endswith("Apps without 'user': app0, app1, app2, app3, app4 and 2 more")


@pytest.mark.parametrize(
    ("uid", "config"),
    [(0, f"listen_point: web\nuser: {USER}\n"), (1000, "listen_point: web\n"), (0, None)],
    ids=["every app has a user", "the server is not root", "there is no app"],
)
def test_otherwise_nothing_is_said(
    open_bed: Callable[[], Bed],
    become: Callable[[int], None],
    said: list[str],
    uid: int,
    config: str | None,
) -> None:
    become(uid)
    if config:
        open_bed().create(config)
    open_bed().load(())
    assert said == []
