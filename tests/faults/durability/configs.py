"""Apps come and go, and their configs change, under traffic."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random
from threading import Lock, Thread
from time import monotonic, time

import psutil

from tests.calls import Reply, send
from tests.faults import Finding, Scale, experiment, found
from tests.faults.durability.stage import SEED, SIGNED, Line, Stage, pause

THREADS = 16
#: Seconds for a removed app's build to end; the rest of its sleep is much longer.
ENDING = 5
#: What the threads do, and how often.
MIX = {"create": 25, "remove": 10, "bind": 15, "trigger": 35, "push": 15}
#: The contract wants 500 for a file that doesn't hold the app's config.
DOCUMENTED = frozenset({"config_mismatch"})


@experiment(
    "15",
    title="One listen point created, bound and removed by 16 threads",
    criterion="60 s under live traffic: 0 answers 5xx but those that the contract names, 0 builds"
    " under a removed app's config, 0 builds cancelled without a removal, 0 threads left",
)
def fight_over_listen_point(scale: Scale, folder: Path) -> Finding:
    """Let 16 threads create, bind, remove, trigger and push; then compare the builds' times."""
    duration = scale.pick(short=2, full=60)
    with Stage(folder) as stage:
        # The first delivery wakes the thread that notes them, for good.
        stage.api.create(f"listen_point: other\nactions: []\n{SIGNED}")
        assert send(stage.running.url, method="POST", path="/other", body=b"{}").status == 403
        process = psutil.Process(stage.pid)
        before = process.num_threads()
        fight = Fight(stage)
        fight.run(duration)
        stage.settle()
        _wait_for_threads(process, before)
        left = max(0, process.num_threads() - before)
        builds = stage.rows("SELECT id, started, finished, status FROM builds")
        traces = (folder / "screen.txt").read_text().count("Traceback")
    stale = sum(fight.is_stale(*build) for build in builds)
    unfounded = sum(
        status == "cancelled" and fight.is_unfounded(build, finished)
        for build, _, finished, status in builds
    )
    done = {doing: fight.statuses[doing, status] for doing, status in _DONE.items()}
    return found(
        not (stale or unfounded or fight.faults or traces or left)
        and min(map(len, (fight.creations, fight.removals, builds))) > 0,
        f"{duration} s: {', '.join(f'{number} × {doing}' for doing, number in done.items())};"
        f" {sum(fight.faults.values())} faults, {traces} tracebacks, {stale} builds under a removed"
        f" app's config, {unfounded} cancelled without a removal, {left} threads left"
        f" (seed {SEED})",
    )


_DONE = {"create": 201, "remove": 204, "bind": 200, "trigger": 202, "push": 202}


def _wait_for_threads(process: psutil.Process, wanted: int) -> None:
    """The executor's threads end some seconds after the last build."""
    deadline = monotonic() + 20
    while process.num_threads() > wanted and monotonic() < deadline:
        pause(0.1)


@dataclass(frozen=True)
class Call:
    """When something was asked for and answered, in seconds since the epoch."""

    sent: float
    answered: float


class Fight:
    """Threads that all want something else of the app `web`; remembers what they got and when."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._ran = stage.folder / "ran"
        self._ran.touch()
        self._lock = Lock()
        self._configs = 0
        #: The config that was created last.
        self._newest = 1
        #: The creation of each config, by its number.
        self.creations: dict[int, Call] = {}
        self.removals: list[Call] = []
        #: The call that each build came from.
        self._origins: dict[int, Call] = {}
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.faults: Counter[str] = Counter()

    def run(self, duration: float) -> None:
        """Let them fight."""
        until = monotonic() + duration
        threads = [
            Thread(target=self._take_part, args=(Random(SEED + number), until))
            for number in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._stage.api("remove", listen_point="web")
        lines = (line.split() for line in self._ran.read_text().splitlines())
        self._config_of = {int(build): int(config) for build, config in lines}

    def is_stale(self, build: int, started: float, finished: float, _status: str) -> bool:
        """Whether the build began with a config after its removal, or went on long after it."""
        config = self._config_of.get(build)
        if config is None:
            return False
        created = self.creations[config].answered
        return any(
            created < gone.sent and (gone.answered < started or gone.answered + ENDING < finished)
            for gone in self.removals
        )

    def is_unfounded(self, build: int, cancelled: float) -> bool:
        """Whether there was no removal between the call that the build came from and its end."""
        origin = self._origins[build]
        return not any(
            gone.sent <= cancelled and gone.answered >= origin.sent for gone in self.removals
        )

    def _take_part(self, dice: Random, until: float) -> None:
        with self._stage.line() as line:
            while monotonic() < until:
                doing = dice.choices(list(MIX), list(MIX.values()))[0]
                number = self._new_config() if doing == "create" else self._configs
                sent = time()
                reply = self._do(line, doing, number, dice)
                self._note(doing, number, reply, Call(sent, time()))

    def _do(self, line: Line, doing: str, number: int, dice: Random) -> Reply:
        if doing == "create":
            return line.call("create", config_string=self._file(number).read_text())
        if doing == "bind":
            one = dice.choice([max(1, number), self._newest, self._newest])
            return line.call("bind", listen_point="web", config_file=str(self._file(one)))
        if doing == "push":
            return line.deliver("web", str(dice.random()))
        return line.call(doing, listen_point="web")

    def _new_config(self) -> int:
        with self._lock:
            number = self._configs + 1
            length = 1000 if number % 5 == 0 else f"0.0{number % 5}"
            action = f'echo "$SLOTH_BUILD {number}" >> {self._ran}; sleep {length}'
            self._file(number).write_text(f"listen_point: web\nactions: ['{action}']\n{SIGNED}")
            self._configs = number
            return number

    def _file(self, number: int) -> Path:
        return self._stage.folder / f"{number}.yml"

    def _note(self, doing: str, number: int, reply: Reply, call: Call) -> None:
        with self._lock:
            self.statuses[doing, reply.status] += 1
            if reply.status >= 500 and reply.value["error"]["code"] not in DOCUMENTED:
                self.faults[f"{doing}: {reply.value['error']['code']}"] += 1
            if reply.status == 201:
                self.creations[number] = call
                self._newest = number
            elif reply.status == 204:
                self.removals.append(call)
            elif reply.status == 202 and doing == "trigger":
                self._origins[int(reply.headers["x-build-id"])] = call
            elif reply.status == 202:
                self._origins[reply.value["builds"][0]] = call


#: Broken configs; what is wrong with each is in its line 3.
BROKEN = (
    "listen_point: web\nactions:\n  - ]\n",
    "listen_point: web\nactions: [echo bad]\nacktions: []\n",
    "listen_point: web\nactions: [echo bad]\ntimeout: soon\n",
    "listen_point: web\nactions:\n  - sh -c {x}\n",
    "listen_point: web\nactions:\n  - {echo: bad}\n",
    "listen_point: web\nactions: [echo bad]\nprovider: {githup: {secret: x}}\n",
    "listen_point: web\nactions: [echo bad]\nprovider: {github: {}}\n",
    "listen_point: web\nactions: [echo bad]\nparams: !!python/name:os.system x\n",
    "listen_point: web\nactions: [echo bad]\n\tparams: x\n",
    "listen_point: web\nactions: [echo bad]\nlisten_point: web\n",
)


@experiment(
    "16",
    title="A broken config on bind, update and restart",
    criterion="each refused with an error code of its own and the line of the fault; the last good"
    " config stays in force, also over a restart, and nothing of the file is told",
)
def break_config(scale: Scale, folder: Path) -> Finding:
    """Put broken configs in an app's file, ask for each to be taken, and run a build."""
    broken = BROKEN[: scale.pick(short=5, full=len(BROKEN))]
    file = folder / "web.yml"
    good = "listen_point: web\nactions: [echo good]\n"
    faults: list[str] = []
    asked = 0
    with Stage(folder) as stage:
        stage.api.create(good)
        file.write_text(good)
        assert stage.api("bind", listen_point="web", config_file=str(file)).status == 200
        for number, text in enumerate(broken, start=1):
            file.write_text(text)
            replies = {
                "bind": stage.api("bind", listen_point="web", config_file=str(file)),
                "update": stage.api("update", listen_point="web"),
                "update by text": stage.api("update", listen_point="web", config_string=text),
            }
            asked += len(replies)
            faults += [
                f"{doing} of no. {number}: {reply.status} {reply.body!r}"
                for doing, reply in replies.items()
                if not _is_refusal(reply, tells="text" in doing)
            ]
            faults += [f"no. {number} is in force"] * (not _runs_good(stage))
        for _ in range(2):
            stage.kill()
            stage.start()
            faults += ["a restart took the broken file"] * (not _runs_good(stage))
    return found(
        not faults,
        f"{len(broken)} broken configs, {asked} calls and 2 restarts:"
        f" {'; '.join(faults) or 'each refused with its line, all builds by the last good config'}",
    )


def _is_refusal(reply: Reply, *, tells: bool) -> bool:
    """An error of the config's own, with the line; only who sent the text gets some of it back."""
    error = reply.value["error"]
    named = error["code"].startswith("config_") and "line 3" in error["message"]
    return named and 400 <= reply.status <= 500 and (tells or b"bad" not in reply.body)


def _runs_good(stage: Stage) -> bool:
    build = stage.api.trigger("web")
    ended = stage.api.wait_for_build("web", build)
    records = stage.api("logs", listen_point="web", level=1, per_page=50).value
    printed = [one["message"] for one in records if one["build"] == build and "stream" in one]
    return ended["message"] == "Complete (1/1)" and printed == ["good"]
