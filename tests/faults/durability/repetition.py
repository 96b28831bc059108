"""The same delivery again and again: one build."""

from collections import defaultdict
from pathlib import Path
from queue import Empty, SimpleQueue
from random import Random
from threading import Lock, Thread

from tests.faults import Finding, Scale, experiment, found
from tests.faults.durability.stage import SEED, SIGNED, Stage

THREADS = 32


@experiment(
    "11",
    title="Deliveries sent again",
    criterion="10,000 redeliveries of 1,000 ids in random order from 32 threads: exactly 1,000"
    " builds, each id answered 202 once and 200 with the same build after that",
)
def deliver_again(scale: Scale, folder: Path) -> Finding:
    """Send every delivery ten times, in a random order, from many threads."""
    ids, times = scale.pick(short=40, full=1_000), 10
    order = [f"delivery-{number}" for number in range(ids) for _ in range(times)]
    Random(SEED).shuffle(order)
    waiting: SimpleQueue[str] = SimpleQueue()
    for name in order:
        waiting.put(name)
    answers: defaultdict[str, list[tuple[int, tuple[int, ...]]]] = defaultdict(list)
    lock = Lock()

    def send() -> None:
        with stage.line() as line:
            while True:
                try:
                    name = waiting.get_nowait()
                except Empty:
                    return
                reply = line.deliver("app", name)
                with lock:
                    answers[name].append((reply.status, tuple(reply.value["builds"])))

    with Stage(folder) as stage:
        stage.api.create(stage.recorded_app("app", more=SIGNED))
        threads = [Thread(target=send) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stage.settle()
        statuses, started = stage.statuses(), stage.started()
    first = sum(status == 202 for given in answers.values() for status, _builds in given)
    odd = sum(not _is_right(given, times) for given in answers.values())
    return found(
        len(statuses) == len(started) == len(set(started)) == ids == first == len(answers)
        and odd == 0
        and set(statuses.values()) == {"complete"},
        f"{len(order):,} deliveries of {ids:,} ids, {THREADS} threads: {len(statuses):,} builds,"
        f" {len(started):,} starts, {odd} ids with another answer (seed {SEED})",
    )


def _is_right(given: list[tuple[int, tuple[int, ...]]], times: int) -> bool:
    """One 202, then 200; the same single build in all."""
    builds = {one for _status, one in given}
    statuses = sorted(status for status, _one in given)
    return (
        statuses == [200] * (times - 1) + [202]
        and len(builds) == 1
        and len(next(iter(builds))) == 1
    )
