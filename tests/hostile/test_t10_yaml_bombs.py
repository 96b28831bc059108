"""T10: a YAML text that swells is refused at once, whichever way it comes in."""

from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import psutil
import pytest

from tests.calls import Api
from tests.config.test_hostile_configs import BOMBS
from tests.conftest import RunningServer, StartFailed, start_server

#: Bytes that the server may grow by, and seconds in which there is an answer on a busy machine.
GROWTH, SOON = 50_000_000, 10


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    server = start_server(tmp_path_factory.mktemp("bombs"))
    Api(server.url, server.login).create("listen_point: web\nactions: [echo hello]\n")
    yield server
    server.stop()


def memory(server: RunningServer) -> int:
    return int(psutil.Process(server.process.pid).memory_info().rss)


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_over_the_api_is_refused_at_once(
    server: RunningServer, tmp_path: Path, text: str
) -> None:
    api = Api(server.url, server.login)
    (tmp_path / "bomb.yml").write_text(text)
    before, start = memory(server), monotonic()

    replies = (
        api("create", config_string=text),
        api("update", listen_point="web", config_string=text),
        api("bind", listen_point="web", config_file=str(tmp_path / "bomb.yml")),
    )

    assert monotonic() - start < SOON
    assert memory(server) - before < GROWTH
    for reply in replies:
        assert reply.value["error"]["code"] in (
            *("config_invalid", "config_unreadable", "body_too_large"),
        )
        assert len(reply.body) < 20_000
    assert api("info").value[0]["config_file"] is None


@pytest.mark.parametrize("name", ["a bomb of aliases", "5,000 brackets", "a scalar of 10 MB"])
def test_a_bomb_as_the_servers_config_ends_in_one_line(
    launch: Callable[..., RunningServer], tmp_path: Path, name: str
) -> None:
    with pytest.raises(StartFailed) as failed:
        launch(config=BOMBS[name])

    assert failed.value.line.startswith("error: ")
    assert len(failed.value.line) < 20_000


def test_a_bomb_among_config_files_keeps_no_other_from_its_app(
    launch: Callable[..., RunningServer], tmp_path: Path
) -> None:
    for number, text in enumerate(BOMBS.values()):
        (tmp_path / f"{number}-bad.app.yml").write_text(text)
    (tmp_path / "good.app.yml").write_text("listen_point: good\nactions: [true]\n")

    server = launch(config="paths: {configs: ['*.app.yml']}\n")

    assert Api(server.url, server.login)("list").value == ["good"]
