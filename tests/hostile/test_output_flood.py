"""T28: a build that prints without end; `tests/faults` tries the same for longer."""

from collections.abc import Callable

import psutil

from tests.calls import Api
from tests.conftest import LOGIN, RunningServer

MEGABYTE = 1_000_000
KEPT = MEGABYTE


def test_a_flood_of_output_is_cut_and_fills_neither_memory_nor_disk(
    launch: Callable[..., RunningServer],
) -> None:
    server = launch()
    api = Api(server.url, LOGIN)
    api.create(f"listen_point: loud\nmax_output: {KEPT}\nactions: ['yes | head -c 100000000']")
    api.create("listen_point: quiet\nactions: [echo here]")
    api.wait_for_build("quiet", api.trigger("quiet"))
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    loud = api.trigger("loud")
    quiet = api.wait_for_build("quiet", api.trigger("quiet"))
    assert quiet["message"] == "Complete (1/1)"
    assert api.wait_for_build("loud", loud)["message"] == "Complete (1/1)"
    assert process.memory_info().rss - before < 30 * MEGABYTE
    assert any("max_output" in line for line in api.logs("loud"))
    files = sum(file.stat().st_size for file in server.folder.glob("sloth.db*"))
    assert files < 10 * KEPT
