"""The server's logs: one event, one line, whatever other people's text is in it."""

import io
import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sloth_ci import logs
from sloth_ci.logs import LateLogFile, OneLine, open_logs
from tests.calls import wait_until

LOGGERS = ("sloth_ci", "sloth_ci.access")


@pytest.fixture
def own_loggers() -> Iterator[None]:
    """Gives the loggers back as they were, and closes what a test opened."""
    kept = [
        (logger, logger.handlers[:], logger.level, logger.propagate)
        for logger in map(logging.getLogger, LOGGERS)
    ]
    yield
    for logger, handlers, level, propagate in kept:
        for handler in logger.handlers:
            if handler not in handlers:
                handler.close()
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


def make_record(message: str, *details: object, error: BaseException | None = None):  # type: ignore[no-untyped-def]
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("sloth_ci", logging.INFO, __file__, 1, message, details, info)


@given(st.text())
def test_a_message_is_one_printable_line(text: str) -> None:
    assert OneLine("%(message)s").format(make_record("%s", text)).isprintable()


@given(st.text())
def test_a_traceback_is_indented_below_its_line(text: str) -> None:
    line, *rows = OneLine("%(message)s").format(make_record("no", error=KeyError(text))).split("\n")
    assert line == "no"
    assert rows
    assert all(row.startswith("    ") and row.isprintable() for row in rows)


def test_every_handler_gets_the_traceback() -> None:
    record = make_record("no", error=ValueError("why"))
    first, second = (OneLine("%(message)s").format(record) for _ in range(2))
    assert first == second
    assert "ValueError: why" in second


def test_a_line_begins_with_time_and_level() -> None:
    line = OneLine("%(asctime)s %(levelname)s %(message)s").format(make_record("hi %s", "max"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO hi max", line)


@pytest.mark.usefixtures("own_loggers")
def test_the_access_log_and_everything_else_go_to_their_files(tmp_path: Path) -> None:
    access, error = tmp_path / "access.log", tmp_path / "error.log"
    open_logs(access_log=access, error_log=error, screen=False)
    logging.getLogger("sloth_ci.access").info("GET /\n%s", "web")
    logging.getLogger("sloth_ci.store").warning("slow \ud800")
    logging.getLogger("sloth_ci").debug("not told")
    wait_until(lambda: access.read_text().endswith("GET /\\nweb\n"))
    assert error.read_text().endswith("WARNING slow \\ud800\n")
    assert len((access.read_text() + error.read_text()).splitlines()) == 2


@pytest.mark.usefixtures("own_loggers")
def test_a_log_that_is_switched_off_makes_no_file(tmp_path: Path) -> None:
    open_logs(access_log=None, error_log=None, screen=False)
    logging.getLogger("sloth_ci.access").info("GET /")
    logging.getLogger("sloth_ci").info("started")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("own_loggers")
def test_the_screen_shows_all_but_the_access_log(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr("sys.stderr", screen)
    open_logs(access_log=None, error_log=None, screen=True)
    logging.getLogger("sloth_ci.access").info("GET /")
    logging.getLogger("sloth_ci").info("started \x1b[2J")
    assert screen.getvalue().endswith("INFO started \\x1b[2J\n")
    assert len(screen.getvalue().splitlines()) == 1


@pytest.mark.usefixtures("own_loggers")
def test_a_log_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    error = tmp_path / "error.log"
    open_logs(access_log=None, error_log=error, screen=False)
    logging.getLogger("sloth_ci").info("one")
    error.rename(tmp_path / "error.log.1")
    logging.getLogger("sloth_ci").info("two")
    assert error.read_text().endswith("INFO two\n")
    assert "two" not in (tmp_path / "error.log.1").read_text()


@pytest.mark.usefixtures("own_loggers")
def test_an_access_log_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    access = tmp_path / "access.log"
    open_logs(access_log=access, error_log=None, screen=False)
    logging.getLogger("sloth_ci.access").info("one")
    wait_until(lambda: access.read_text().endswith("one\n"))
    access.rename(tmp_path / "access.log.1")
    logging.getLogger("sloth_ci.access").info("two")
    wait_until(lambda: access.exists() and access.read_text().endswith("two\n"))
    assert "two" not in (tmp_path / "access.log.1").read_text()


class TestAccessLog:
    """Nobody waits for it."""

    @pytest.fixture
    def handler(self, tmp_path: Path) -> Iterator[LateLogFile]:
        handler = LateLogFile(tmp_path / "access.log")
        yield handler
        handler.close()

    def test_what_waits_is_written_at_the_end(
        self, handler: LateLogFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(logs, "DELAY", 100)
        for number in range(3):
            handler.handle(make_record("%s", number))
        handler.close()
        assert (tmp_path / "access.log").read_text() == "0\n1\n2\n"
        handler.handle(make_record("too late"))

    def test_a_disk_that_hangs_holds_nobody_up(
        self, handler: LateLogFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(logs, "MOST", 5)
        monkeypatch.setattr(logs, "DELAY", 0.01)
        hangs, go = Event(), Event()
        real = handler.stream.write

        def write(text: str) -> int:
            hangs.set()
            go.wait(45)
            return real(text)

        monkeypatch.setattr(handler.stream, "write", write, raising=False)
        handler.handle(make_record("first"))
        assert hangs.wait(45)
        for number in range(9):
            handler.handle(make_record("%s", number))
        go.set()
        wait_until(lambda: (tmp_path / "access.log").read_text() == "first\n0\n1\n2\n3\n4\n")

    def test_without_a_thread_the_next_line_tries_again(
        self, handler: LateLogFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_arguments: object, **_options: object) -> Thread:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(logs, "Thread", refuse)
            handler.handle(make_record("one"))
        handler.handle(make_record("two"))
        wait_until(lambda: (tmp_path / "access.log").read_text() == "one\ntwo\n")

    def test_a_full_disk_disturbs_nobody(
        self, handler: LateLogFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(logs, "DELAY", 0.01)
        lost = Event()

        def fail(_text: str) -> int:
            lost.set()
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(handler.stream, "write", fail, raising=False)
        handler.handle(make_record("lost"))
        assert lost.wait(45)
        wait_until(lambda: handler.stream is None)
        handler.handle(make_record("kept"))
        wait_until(lambda: (tmp_path / "access.log").read_text() == "kept\n")


@pytest.mark.usefixtures("own_loggers")
def test_a_log_whose_folder_is_gone_disturbs_nobody_and_goes_on_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    open_logs(access_log=None, error_log=folder / "error.log", screen=False)
    server = logging.getLogger("sloth_ci")
    server.info("one")
    shutil.rmtree(folder)
    server.info("lost")
    server.info("lost too")
    folder.mkdir()
    server.info("two")
    assert (folder / "error.log").read_text().endswith("INFO two\n")


@pytest.mark.usefixtures("own_loggers")
def test_a_full_disk_disturbs_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    open_logs(access_log=None, error_log=Path("/dev/full"), screen=False)
    logging.getLogger("sloth_ci").error("lost")
    assert capsys.readouterr().err == ""
