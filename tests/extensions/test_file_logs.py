"""Log files: what is written, where, when a new one begins, and what happens in trouble."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest
from sloth_ci_extensions import file_logs

from sloth_ci.bed import Bed
from sloth_ci.builds import Outcome, OutcomeStatus
from sloth_ci.errors import ConfigInvalid
from sloth_ci.records import Stream
from sloth_ci.trial import Trial
from tests.calls import wait_until
from tests.extensions.test_lives import log

PATIENCE = 45


def app_config(options: str = "", name: str = "web", more: str = "") -> str:
    return (
        f"listen_point: {name}\nactions: [echo hi]\n{more}"
        f"extensions: {{files: {{module: file_logs{options}}}}}"
    )


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_logs, "DELAY", 0.01)


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def wait_for_line(file: Path, text: str) -> None:
    wait_until(lambda: any(text in line for line in lines(file)))


def test_the_log_of_an_app_is_in_a_file_of_its_name(bed: Bed, tmp_path: Path) -> None:
    bed.create(app_config()).trigger({})
    file = tmp_path / "logs" / "web.log"
    wait_for_line(file, "Complete (1/1)")
    messages = [line.split(" ", 2)[2] for line in lines(file)]
    assert messages == [
        "web INFO Listening on web",
        "web.exec INFO Executing action: echo hi",
        "web.exec INFO Finished",
        "web.build INFO Complete (1/1)",
    ]


def test_a_line_begins_with_its_time(bed: Bed, tmp_path: Path) -> None:
    bed.create(app_config()).trigger({})
    wait_for_line(tmp_path / "logs/web.log", "Complete")
    for line in lines(tmp_path / "logs/web.log"):
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} web", line)


def test_the_slashes_of_a_listen_point_make_folders(bed: Bed, tmp_path: Path) -> None:
    bed.create(app_config(name="team/a/web")).trigger({})
    wait_for_line(tmp_path / "logs/team/a/web.log", "team/a/web.build INFO Complete")


def test_the_path_is_the_configs(bed: Bed, tmp_path: Path) -> None:
    bed.create(app_config(f", path: '{tmp_path}/x/{{listen_point}}.txt'")).trigger({})
    wait_for_line(tmp_path / "x" / "web.txt", "Complete")


def test_the_level_is_the_configs(bed: Bed, tmp_path: Path) -> None:
    def speak(build, _position, _deadline, _halt, journal) -> Outcome:
        journal.output(build, Stream.STDOUT, "a line")
        return Outcome(OutcomeStatus.FAILED, "no good", exit_code=1)

    bed._run_action = speak
    both = "  all: {module: file_logs, level: debug, path: all.log}\n"
    bed.create(
        "listen_point: web\nactions: [echo hi]\nextensions:\n"
        f"{both}  few: {{module: file_logs, level: ERROR, path: few.log}}\n"
    ).trigger({})
    wait_for_line(tmp_path / "all.log", "Failed (0/1)")
    wait_for_line(tmp_path / "few.log", "Failed (0/1)")
    assert any(line.endswith("web.exec DEBUG a line") for line in lines(tmp_path / "all.log"))
    assert all(" ERROR " in line for line in lines(tmp_path / "few.log"))


def test_the_format_is_the_configs(bed: Bed, tmp_path: Path) -> None:
    build_id = bed.create(
        app_config(', format: "%(levelname)s|%(levelno)d|%(name)s|%(build)s|%(message)s"')
    ).trigger({})
    file = tmp_path / "logs/web.log"
    wait_for_line(file, "Complete")
    assert lines(file)[0] == "INFO|20|web|-|Listening on web"
    assert lines(file)[-1] == f"INFO|20|web.build|{build_id}|Complete (1/1)"


def test_nothing_in_a_line_breaks_it_or_moves_a_terminal(bed: Bed, tmp_path: Path) -> None:
    def speak(build, _position, _deadline, _halt, journal) -> Outcome:
        journal.output(build, Stream.STDOUT, "a\x1b[2J\rb \ud800")
        return Outcome(OutcomeStatus.COMPLETED)

    bed._run_action = speak
    bed.create(app_config(", level: DEBUG")).trigger({})
    file = tmp_path / "logs/web.log"
    wait_for_line(file, "Complete")
    assert any(r"a\x1b[2J\rb" in line for line in lines(file))


def test_secrets_are_masked(bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIDDEN", "swordfish")
    more = "params: {word: {env: HIDDEN}}\n"
    bed.create(app_config(more=more).replace("echo hi", "'echo {word}'")).trigger({})
    file = tmp_path / "logs/web.log"
    wait_for_line(file, "Complete")
    assert "swordfish" not in file.read_text()


def test_each_line_is_there_once_over_restarts_and_updates(
    make_bed: Callable[..., Bed], tmp_path: Path
) -> None:
    bed = make_bed()
    app = bed.create(app_config(', format: "%(build)s %(message)s"'))
    builds = [app.trigger({})]
    bed = make_bed()
    builds.append(bed.find("web").trigger({}))
    bed.update("web", app_config(', format: "%(build)s %(message)s", level: DEBUG'))
    builds.append(bed.find("web").trigger({}))
    file = tmp_path / "logs/web.log"
    wait_for_line(file, f"{builds[-1]} Complete (1/1)")
    ends = [line.split()[0] for line in lines(file) if line.endswith("Complete (1/1)")]
    assert ends == [str(build) for build in builds]


def test_what_was_logged_before_it_was_declared_stays_in_the_database(
    bed: Bed, tmp_path: Path
) -> None:
    bed.create("listen_point: web\nactions: [echo hi]").trigger({})
    bed._store.flush()
    bed.update("web", app_config())
    second = bed.find("web").trigger({})
    file = tmp_path / "logs/web.log"
    wait_for_line(file, "Complete")
    assert sum("Complete" in line for line in lines(file)) == 1
    assert second


def test_a_large_file_makes_room_for_a_new_one(bed: Bed, tmp_path: Path) -> None:
    app = bed.create(app_config(", rotate: {size: 300, keep: 2}"))
    for _ in range(20):
        last = app.trigger({})
    file = tmp_path / "logs/web.log"
    wait_until(lambda: bed._store.find_build(last).status.final)
    wait_for_line(file, "Complete")
    wait_until(lambda: len(list(file.parent.iterdir())) == 3)
    assert sorted(one.name for one in file.parent.iterdir()) == [
        "web.log",
        "web.log.1",
        "web.log.2",
    ]
    assert all(one.stat().st_size <= 300 for one in file.parent.iterdir())


def test_a_new_day_begins_a_new_file(bed: Bed, tmp_path: Path) -> None:
    app = bed.create(app_config(", rotate: {every: day, keep: 3}"))
    file = tmp_path / "logs/web.log"
    wait_for_line(file, "Listening")
    yesterday = file.stat().st_mtime - 86_400
    os.utime(file, (yesterday, yesterday))
    app.trigger({})
    wait_for_line(file, "Complete")
    old = [one for one in file.parent.iterdir() if one != file]
    assert len(old) == 1
    assert any("Listening" in line for line in lines(old[0]))
    assert not any("Listening" in line for line in lines(file))


def test_the_server_writes_a_file_for_each_app(
    make_bed: Callable[..., Bed], tmp_path: Path
) -> None:
    bed = make_bed("extensions: {files: {module: file_logs}}")
    for name in ("one", "team/two"):
        bed.create(f"listen_point: {name}\nactions: [echo hi]").trigger({})
    wait_for_line(tmp_path / "logs/one.log", "one.build INFO Complete")
    wait_for_line(tmp_path / "logs/team/two.log", "team/two.build INFO Complete")
    assert not any("two" in line for line in lines(tmp_path / "logs/one.log"))


def test_the_last_words_of_an_app_are_written_too(
    make_bed: Callable[..., Bed], tmp_path: Path
) -> None:
    bed = make_bed("extensions: {files: {module: file_logs}}")
    bed.create("listen_point: web\nactions: [echo hi]")
    bed.remove("web")
    wait_for_line(tmp_path / "logs/web.log", "web INFO Stopped")


class Trouble:
    """A file system that can't be written for a while."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_there, self.met, self._open = False, Event(), file_logs.open_no_link
        monkeypatch.setattr(file_logs, "open_no_link", self.open)
        monkeypatch.setattr(file_logs, "RETRY", 0.02)

    def open(self, path: str) -> int:
        if self.is_there:
            self.met.set()
            raise OSError(28, "No space left on device", path)
        return self._open(path)


def test_what_can_not_be_written_now_is_written_later_and_said_once(
    bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble = Trouble(monkeypatch)
    app = bed.create(app_config())
    file = tmp_path / "logs/web.log"
    wait_for_line(file, "Listening")
    trouble.is_there = True
    app.trigger({})
    assert trouble.met.wait(PATIENCE)
    trouble.met.clear()
    assert trouble.met.wait(PATIENCE)
    assert not any("Complete" in line for line in lines(file))
    trouble.is_there = False
    wait_for_line(file, "Complete (1/1)")
    wait_for_line(file, "its file can be written again")
    said = [line for line in log(bed) if "can't be written" in line]
    assert said == [
        f"files: its file can't be written, which is tried again: {file}: No space left on device"
    ]


def test_a_link_that_was_planted_is_not_followed(bed: Bed, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("mine\n")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "web.log").symlink_to(target)
    bed.create(app_config()).trigger({})
    wait_until(lambda: any("can't be written" in line for line in log(bed)))
    assert target.read_text() == "mine\n"


def test_it_holds_no_file_open_while_nothing_happens(bed: Bed, tmp_path: Path) -> None:
    bed.create(app_config()).trigger({})
    file = tmp_path / "logs/web.log"
    wait_for_line(file, "Complete")
    fds = Path("/proc/self/fd")
    wait_until(
        lambda: str(file) not in {os.path.realpath(fd) for fd in fds.iterdir()},
    )


def test_without_a_database_there_is_nothing_to_write() -> None:
    with Trial() as trial, pytest.raises(ValueError, match="needs the database"):
        file_logs.EXTENSION(file_logs.FileLogsOptions(), trial.context)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (", level: loud", "'extensions.files.level' must be one of DEBUG, INFO, WARNING,"),
        (", format: plain", "'extensions.files.format' is no format: "),
        (", format: '%(nothing)s'", "'extensions.files.format' is no format: "),
        (", format: '%(levelname)d'", "'extensions.files.format' is no format: "),
        (", rotate: {keep: 3}", "'extensions.files.rotate' needs either 'size' or 'every'"),
        (
            ", rotate: {size: 1k, every: day}",
            "'extensions.files.rotate' needs either 'size' or 'every'",
        ),
        (", rotate: {every: moon}", "'extensions.files.rotate.every' must be one of hour, day,"),
        (", rotate: {size: 1k, keep: 0}", "'extensions.files.rotate.keep' must be a whole number"),
        (", path: ''", "'extensions.files.path' must be text"),
    ],
)
def test_bad_options_refuse_the_app(bed: Bed, options: str, problem: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        bed.create(app_config(options))
    assert caught.value.details["problems"][0]["problem"].startswith(problem)
