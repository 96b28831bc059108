"""A stranger with a stopwatch, as near to the server as can be."""

import hashlib
import hmac
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from math import sqrt
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter

from argon2 import PasswordHasher

from tests.calls import Reply, send
from tests.conftest import LOGIN, start_server
from tests.faults import Finding, Scale, experiment, found
from tests.faults.durability.stage import SECRET, SEED, SIGNED, Line, Stage

#: A difference that chance makes once in 16,000 times, in standard deviations.
VISIBLE = 4.0
TOKEN = "a-token-that-a-stranger-would-like"
GITLAB = f"provider: {{gitlab: {{owner: a, repo: b, secret: {TOKEN}}}}}"
BODY = b'{"ref": "refs/heads/main"}'


@experiment(
    "T5",
    title="How long it takes to refuse a guess",
    criterion="of 10,000 refusals each, over loopback, no difference beyond chance (4 standard"
    " deviations, Mann-Whitney) between signatures, tokens and passwords that are right but for"
    " their end and others, and between names that a user has and others; the same for 100 logins"
    " with hashed passwords",
)
def time_refusals(scale: Scale, folder: Path) -> Finding:
    """Send two kinds of wrong guesses in random turns, and compare the times of their answers."""
    many, few = scale.pick(short=150, full=5_000), scale.pick(short=12, full=50)
    stranger = Stranger(Random(SEED))
    other = folder / "hashes"
    other.mkdir()
    with ExitStack() as stack:
        stage = stack.enter_context(Stage(folder))
        stage.api.create(f"listen_point: signed\nactions: []\n{SIGNED}")
        stage.api.create(f"listen_point: token\nactions: []\n{GITLAB}")
        password = f"'{PasswordHasher().hash(LOGIN[1])}'"
        hashes = start_server(other, api_auth=(LOGIN[0], password))
        stack.callback(hashes.stop)
        line, url = stack.enter_context(stage.line()), stage.running.url
        signature = hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()
        cases = {
            "signature": Case(partial(_push, line, "signed", "X-Signature"), signature, many),
            "token": Case(partial(_push, line, "token", "X-Gitlab-Token"), TOKEN, many),
            "password": Case(partial(stranger.log_in, url, LOGIN[0]), LOGIN[1], many),
            "name": NameCase(partial(stranger.try_name, url), LOGIN[0], many),
            "name, with hashes": NameCase(partial(stranger.try_name, hashes.url), LOGIN[0], few),
        }
        seen = {name: stranger.compare(case) for name, case in cases.items()}
    return found(
        all(abs(one.deviations) < VISIBLE for one in seen.values()),
        "medians of right beginnings or known names, and of others: "
        + "; ".join(f"{name} {one}" for name, one in seen.items())
        + f" (seed {SEED})",
    )


@dataclass(frozen=True)
class Case:
    """A secret to be guessed, and how often each kind of guess is made."""

    guess: Callable[[str], Reply]
    secret: str
    count: int

    def near(self, dice: Random) -> str:
        """As long as the secret, and the same but for its last four letters."""
        return self.secret[:-4] + _digits(dice, 4)

    def far(self, dice: Random) -> str:
        """As long as the secret, and nothing like it."""
        return _digits(dice, len(self.secret))


class NameCase(Case):
    """A name, which is no secret; but whether somebody has it is one."""

    def near(self, _dice: Random) -> str:
        """The name itself."""
        return self.secret


@dataclass(frozen=True)
class Comparison:
    """The times of two kinds of guesses, in seconds."""

    near: list[float]
    far: list[float]

    @property
    def deviations(self) -> float:
        """How far the near ones' ranks are from what chance makes of them (Mann and Whitney)."""
        ranked = sorted([(time, 1) for time in self.near] + [(time, 0) for time in self.far])
        ranks = sum(rank for rank, (_time, is_near) in enumerate(ranked, start=1) if is_near)
        n, m = len(self.near), len(self.far)
        return (ranks - n * (n + m + 1) / 2) / sqrt(n * m * (n + m + 1) / 12)

    def __str__(self) -> str:
        near, far = median(self.near), median(self.far)
        return (
            f"{near * 1e6:,.0f} and {far * 1e6:,.0f} µs"
            f" ({(near - far) * 1e6:+.1f} µs, {self.deviations:+.1f} deviations)"
        )


class Stranger:
    """Guesses, and looks at a watch."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice

    def compare(self, case: Case) -> Comparison:
        """Make guesses of both kinds in random order."""
        times: dict[bool, list[float]] = {True: [], False: []}
        for is_near in self._dice.sample([True, False] * case.count, k=2 * case.count):
            text = case.near(self._dice) if is_near else case.far(self._dice)
            began = perf_counter()
            reply = case.guess(text)
            times[is_near].append(perf_counter() - began)
            assert reply.status in (401, 403), reply
        return Comparison(times[True], times[False])

    def try_name(self, url: str, name: str) -> Reply:
        """Log in with a name, and a password that nobody has."""
        return self.log_in(url, name, _digits(self._dice, len(LOGIN[1])))

    def log_in(self, url: str, name: str, password: str) -> Reply:
        """Log in from one of this machine's millions of addresses: each may guess a few times."""
        source = ".".join(map(str, (127, *self._dice.choices(range(1, 255), k=3))))
        return send(url, login=(name, password), source=source)


def _push(line: Line, listen_point: str, header: str, value: str) -> Reply:
    headers = {"Content-Type": "application/json", header: value}
    return line.post(f"/{listen_point}", BODY, headers)


def _digits(dice: Random, count: int) -> str:
    return "".join(dice.choices("0123456789", k=count))
