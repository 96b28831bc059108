"""Search engines are asked to stay away, by a page at the top of the server."""

from collections.abc import Callable
from pathlib import Path
from urllib.robotparser import RobotFileParser

import pytest
from sloth_ci_extensions import robots_txt

from sloth_ci.bed import Bed
from sloth_ci.errors import ConfigInvalid
from tests.calls import send
from tests.conftest import RunningServer


def test_everybody_may_read_that_nothing_may_be_visited(
    launch: Callable[..., RunningServer],
) -> None:
    server = launch(config="extensions: {robots: {module: robots_txt}}")
    reply = send(server.url, path="/robots.txt")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/plain")
    parser = RobotFileParser()
    parser.parse(reply.body.decode().splitlines())
    assert not parser.can_fetch("a robot", "/web/-/badge.svg")


def test_without_it_there_is_no_such_page(shared_server: RunningServer) -> None:
    assert send(shared_server.url, path="/robots.txt").status == 404


def test_an_app_can_not_have_it(bed: Bed) -> None:
    with pytest.raises(ConfigInvalid, match="the extension 'robots_txt' is one of the server"):
        bed.create("listen_point: web\nextensions: {robots: {module: robots_txt}}")


def test_it_is_as_short_as_the_tutorial_says() -> None:
    assert len(Path(robots_txt.__file__).read_text(encoding="utf-8").splitlines()) < 30
