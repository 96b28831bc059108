"""A provider from somebody else's package that fails, or tries to end the server."""

import os
from functools import partial
from pathlib import Path
from unittest.mock import patch

from tests.calls import Reply, send
from tests.faults import Finding, Scale, experiment, found
from tests.faults.durability.stage import SIGNED, Line, Stage
from tests.faults.load.measures import Calls

PACKAGE = """\
import sys

from sloth_ci.validators import Validator


class Raising(Validator):
    def judge(self, request):
        raise ZeroDivisionError("raised by an outsider")


class Leaving(Validator):
    def judge(self, request):
        sys.exit("left by an outsider")


class Interrupting(Validator):
    def judge(self, request):
        raise KeyboardInterrupt("interrupted by an outsider")


class Unmakeable(Validator):
    def __init__(self, options):
        sys.exit("made by an outsider")
"""
ENTRY_POINTS = """\
[sloth_ci.validators]
raising = outsider:Raising
leaving = outsider:Leaving
interrupting = outsider:Interrupting
unmakeable = outsider:Unmakeable
unloadable = outsider_that_leaves:Validator
"""
#: The providers that take deliveries, and the words by which the error log tells of them.
FAILING = {
    "raising": "raised by an outsider",
    "leaving": "left by an outsider",
    "interrupting": "interrupted by an outsider",
}
#: Those that do not even become part of an app.
BROKEN = ("unmakeable", "unloadable")


@experiment(
    "25",
    title="A provider of another package that raises, or calls sys.exit",
    criterion="500 for that request only, with its traceback in the error log and not in the"
    " answer; deliveries of other apps in between all accepted, the same process goes on; one that"
    " can't be loaded or made refuses its app",
)
def meet_outsiders(scale: Scale, folder: Path) -> Finding:
    """Install a package with failing providers, and send deliveries to them and to a good app."""
    rounds = scale.pick(short=3, full=100)
    failed: list[Reply] = []
    good = Calls()
    install(folder / "packages")
    with (
        patch.dict(os.environ, PYTHONPATH=str(folder / "packages")),
        Stage(folder) as stage,
        stage.line() as line,
    ):
        refusals = [_create(stage, name) for name in BROKEN]
        stage.api.create(f"listen_point: good\nactions: []\n{SIGNED}")
        for name in FAILING:
            assert _create(stage, name).status == 201
        for number in range(rounds):
            for name in FAILING:
                failed.append(send(stage.running.url, method="POST", path=f"/{name}", body=b"{}"))
                good.note(partial(_deliver, line, f"{name}-{number}"))
        stage.settle()
        complete = list(stage.statuses().values()).count("complete")
        is_alive = stage.running.process.poll() is None
    log = (folder / "sloth_error.log").read_text()
    told = [log.count(f": {words}") for words in FAILING.values()]
    as_wanted = sum(_is_fault(reply) for reply in failed)
    refused = sum(reply.status == 500 and b"outsider" in reply.body for reply in refusals)
    return found(
        as_wanted == len(failed)
        and all(times >= rounds for times in told)
        and log.count("Traceback") >= len(failed)
        and good.all_are(202)
        and complete == len(good.times)
        and is_alive
        and refused == len(BROKEN),
        f"{len(failed)} deliveries to {len(FAILING)} failing providers: {as_wanted} answered 500"
        f" and no more, {sum(told)} told in the error log; {good.statuses[202]} of"
        f" {len(good.times)} deliveries to another app accepted and {complete} built;"
        f" {refused} of {len(BROKEN)} apps with a provider that can't be had refused;"
        f" the server {'went on' if is_alive else 'ENDED'}",
    )


def install(folder: Path) -> None:
    """Put a package there, as an installer would."""
    about = folder / "outsider-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: outsider\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    (folder / "outsider.py").write_text(PACKAGE)
    (folder / "outsider_that_leaves.py").write_text("import sys\nsys.exit('an outsider left')\n")


def _deliver(line: Line, delivery: str) -> int:
    return line.deliver("good", delivery).status


def _create(stage: Stage, name: str) -> Reply:
    config = f"listen_point: {name}\nprovider: {{{name}: {{allow_unsigned: true}}}}\nactions: []"
    return stage.api("create", config_string=config)


def _is_fault(reply: Reply) -> bool:
    is_told = b"outsider" in reply.body or b"Traceback" in reply.body
    return reply.status == 500 and reply.value["error"]["code"] == "server_error" and not is_told
