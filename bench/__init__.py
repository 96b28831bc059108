"""The bench: this server beside its peers, in the same run, on the same work.

`make bench` runs it whole and writes `docs/performance.md`; `python -m bench accept builds` runs
two measurements; `python -m bench.compare` tells a change from noise. A measurement is a function
`measure(bench)` in a file of its own; what it gives are `figures`. Everything goes over the
network, and into files, as it would for a user: the bench imports nothing of the server.
"""

from pathlib import Path

ROOT = Path(__file__).parents[1]
#: Where a run's files stand: on the repository's disk, as a RAM disk has nothing to sync.
WORKPLACE = ROOT / "build" / "bench"
