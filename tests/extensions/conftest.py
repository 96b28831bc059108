"""A bed with extensions of the tests' own."""

from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from sloth_ci import registry
from sloth_ci.bed import Bed
from sloth_ci.config import parse_server
from sloth_ci.executors import ImmediateExecutor
from sloth_ci.extension.finding import find_server_options
from sloth_ci.journal import Journal
from sloth_ci.store import Store
from tests.conftest import Runs
from tests.extensions import probe

OWN = {
    "probe": "tests.extensions.probe",
    "probe_of_apps": "tests.extensions.probe:OfApps",
    "probe_of_server": "tests.extensions.probe:OfServer",
    "misspelt": "tests.extensions.faulty:Misspelt",
    "broken": "tests.extensions.faulty:Broken",
    "unfit": "tests.extensions.faulty:NOT_AN_EXTENSION",
}


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install the tests' extensions beside the real ones, with a memory of their own."""

    def pretend(*, group: str) -> list[EntryPoint]:
        own = OWN.items() if group == "sloth_ci.extensions" else ()
        return [*entry_points(group=group), *(EntryPoint(*one, group) for one in own)]

    monkeypatch.setattr(registry, "entry_points", pretend)
    registry._installed.cache_clear()
    for memory in (probe.EVENTS, probe.DEEDS, probe.MADE):
        memory.clear()
    yield
    registry._installed.cache_clear()


@pytest.fixture
def make_bed(tmp_path: Path, runs: Runs, probes: None) -> Iterator[Callable[..., Bed]]:
    """Start a server as far as its bed, whose builds run at once: `make_bed(config)`."""
    stores: list[Store] = []
    beds: list[Bed] = []

    def close() -> None:
        for bed in beds:
            bed.close()
        for store in stores:
            store.close()
        beds.clear()
        stores.clear()

    def make(config: str = "{}") -> Bed:
        close()
        store = Store(tmp_path / "sloth.db")
        stores.append(store)
        parsed = parse_server(config, base_dir=tmp_path, find_extension=find_server_options)
        bed = Bed(
            store=store,
            journal=Journal(store),
            base_dir=tmp_path,
            run_action=runs,
            make_executor=ImmediateExecutor,
            server=parsed,
        )
        beds.append(bed)
        bed.load(())
        return bed

    yield make
    close()


@pytest.fixture
def bed(make_bed: Callable[..., Bed]) -> Bed:
    """A bed of a server without extensions."""
    return make_bed()
