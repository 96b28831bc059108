"""Many more triggers than the queue takes."""

from collections import Counter
from pathlib import Path
from threading import Lock, Thread
from time import monotonic

from tests.calls import Reply, wait_until
from tests.faults import Finding, Scale, experiment, found
from tests.faults.durability.stage import Stage
from tests.faults.load.measures import Calls, within

LIMIT = 100
LIMIT_OF_ALL = 150
CLIENTS = 8
APPS = ("left", "right")


@experiment(
    "T32",
    title="10,000 triggers against a full queue",
    criterion="limits of an app's queue and of all honoured, every refusal a 503 with Retry-After,"
    " p99 of `info` meanwhile < 1 s, builds taken again once there is room",
)
def flood_queue(scale: Scale, folder: Path) -> Finding:
    """Block the apps, fill their queues, trigger on and on, and ask for `info` meanwhile."""
    triggers = scale.pick(short=800, full=10_000)
    queues = f"max_queue: {LIMIT}\nmax_queue_total: {LIMIT_OF_ALL}\nmax_builds: {len(APPS)}"
    answers = Answers()
    infos = Calls()
    gate = folder / "gate"
    with Stage(folder, config=queues) as stage:
        for app in APPS:
            action = f"until test -e {gate}; do sleep 0.1; done"
            stage.api.create(f"listen_point: {app}\nactions: ['{action}']")
            stage.api.trigger(app)
        wait_until(lambda: list(stage.statuses().values()) == ["running"] * len(APPS))
        each = triggers // CLIENTS
        clients = [
            Thread(target=answers.trigger, args=(stage, APPS[number % len(APPS)], each))
            for number in range(CLIENTS)
        ]
        began = monotonic()
        for client in clients:
            client.start()
        with stage.line() as line:
            while any(client.is_alive() for client in clients):
                until = monotonic() + 0.2
                infos.keep_calling(lambda: line.call("info").status, rate=20, until=until)
        took = monotonic() - began
        waiting = Counter(dict(stage.rows("SELECT app, count(*) FROM builds GROUP BY app")))
        waiting.subtract(list(waiting))
        gate.touch()
        stage.settle()
        taken_again = stage.api("trigger", listen_point=APPS[0]).status == 202
        stage.settle()
    limited = max(waiting.values()) <= LIMIT and waiting.total() == LIMIT_OF_ALL
    accepted = answers.kinds["accepted"]
    return found(
        limited
        and accepted == waiting.total()
        and answers.kinds["refused"] == triggers - accepted
        and infos.all_are(200)
        and taken_again,
        f"{triggers:,} triggers in {took:.1f} s: {accepted} accepted (limits {LIMIT} and"
        f" {LIMIT_OF_ALL}), {answers.kinds['refused']:,} refused with 503 and Retry-After,"
        f" {answers.kinds['other']} answered otherwise; `info` {len(infos.times)} times,"
        f" p99 {infos.p99 * 1000:.0f} ms, longest {infos.longest * 1000:.0f} ms",
        in_time=infos.p99 < within(scale, 1),
    )


class Answers:
    """What triggers were answered."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.kinds: Counter[str] = Counter()

    def trigger(self, stage: Stage, app: str, count: int) -> None:
        """Trigger an app so many times, without a pause."""
        with stage.line() as line:
            kinds = Counter(_kind(line.call("trigger", listen_point=app)) for _ in range(count))
        with self._lock:
            self.kinds += kinds


def _kind(reply: Reply) -> str:
    if reply.status == 202:
        return "accepted"
    refused = reply.status == 503 and reply.headers["retry-after"].isdecimal()
    code = reply.value["error"]["code"]
    return "refused" if refused and code in ("queue_full", "unavailable") else "other"
