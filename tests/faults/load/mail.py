"""A mail server that takes every call and never says a word."""

import signal
import socket
from contextlib import closing, suppress
from importlib.metadata import entry_points
from pathlib import Path
from time import monotonic

from tests.calls import PATIENCE
from tests.faults import Finding, Scale, experiment, found, not_run
from tests.faults.durability.stage import SIGNED, Stage, seconds
from tests.faults.load.measures import within
from tests.faults.processes.measures import Caller

#: More apps than there are threads for what nobody waits for.
APPS = tuple(f"app-{number}" for number in range(20))
CONFIG = """\
listen_point: {app}
actions: ['true']
extensions:
  mail:
    module: notifications
    on: [complete]
    email:
      host: 127.0.0.1
      port: {port}
      security: none
      sender: ci@example.org
      to: [ann@example.org]
"""


@experiment(
    "24",
    title="A mail server that never answers",
    criterion="builds of 20 apps, each to be told by mail: all complete, none waits for a mail; the"
    " p99 of other apps' accepts < 1 s; SIGTERM: exit 0 within 10 s",
)
def hang_mail(scale: Scale, folder: Path) -> Finding:
    """Have every build of many apps tell a mail server that hangs; then stop the server."""
    if not entry_points(group="sloth_ci.extensions", name="notifications"):
        return not_run("the extension `notifications` is not installed")
    rounds = scale.pick(short=2, full=10)
    # Nobody takes up what the system connects.
    with closing(socket.create_server(("127.0.0.1", 0))) as silence, Stage(folder) as stage:
        for app in APPS:
            stage.api.create(CONFIG.format(app=app, port=silence.getsockname()[1]))
        stage.api.create(f"listen_point: other\nactions: []\n{SIGNED}")
        with Caller(stage, listen_point="other") as caller:
            began = monotonic()
            builds = [stage.api.trigger(app) for _ in range(rounds) for app in APPS]
            stage.settle()
            took = monotonic() - began
            calls = _take_calls(silence)
        stage.settle()
        statuses = stage.statuses()
        complete = sum(statuses[build] == "complete" for build in builds)
        told = monotonic()
        stage.running.signal(signal.SIGTERM)
        code = stage.running.wait()
        stopped = monotonic() - told
    p99 = caller.percentile(0.99)
    return found(
        complete == len(builds)
        and set(statuses.values()) == {"complete"}
        and len(calls) > 0
        and not caller.refused
        and code == 0,
        f"{complete} of {len(builds)} builds complete within {took:.1f} s, {len(calls)} calls"
        f" that hang meanwhile; {len(caller.waits)} pushes to another app, {caller.refused}"
        f" refused, p99 {p99 * 1000:.0f} ms; exit {code} after {stopped:.1f} s",
        in_time=took < seconds(scale, 20)
        and p99 < within(scale, 1)
        and stopped < seconds(scale, 10),
    )


def _take_calls(silence: socket.socket) -> list[socket.socket]:
    """Those that wait for an answer, and will; at least one, after a while."""
    calls: list[socket.socket] = []
    silence.settimeout(PATIENCE)
    with suppress(TimeoutError):
        while True:
            calls.append(silence.accept()[0])
            silence.settimeout(0.5)
    return calls
