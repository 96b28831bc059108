"""Whoever guesses passwords is slowed down, and nobody else."""

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from sloth_ci.config import parse_server
from sloth_ci.errors import LoginRequired, TooManyTries, Unavailable
from sloth_ci.request import Request
from sloth_ci.web.login import MAX_CHECKS, LoginCheck
from sloth_ci.web.tries import FREE, MAX_SENDERS, Tries
from tests.calls import send
from tests.conftest import LOGIN, RunningServer

HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("right")


class Clock:
    """A clock that stands still until told."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def request(name: str, password: str, address: str = "192.0.2.1") -> Request:
    value = "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
    return Request("GET", "/", "", {"authorization": value}, address, b"")


class Counting(LoginCheck):
    """Counts the logins that it compares, and the hashes that it computes."""

    evaluations = 0
    hashes = 0

    def _is_right(self, name: bytes, password: bytes) -> bool:
        self.evaluations += 1
        return super()._is_right(name, password)

    def _fits(self, wanted: str, password: bytes) -> bool:
        self.hashes += 1
        return super()._fits(wanted, password)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def check(tmp_path: Any, clock: Clock) -> Counting:
    text = f"api_auth: [{{login: ann, password: plain}}, {{login: bob, password: '{HASH}'}}]"
    return Counting(parse_server(text, base_dir=tmp_path).api_auth, clock=clock)


def test_of_a_thousand_guesses_a_minute_few_are_evaluated(check: Counting, clock: Clock) -> None:
    refused, waits = 0, set()
    for number in range(1_000):
        clock.now += 0.06
        try:
            check.check(request("ann", f"guess {number}"))
        except TooManyTries as error:
            refused += 1
            waits.add(int(error.headers["Retry-After"]))
        except LoginRequired:
            pass
    assert FREE <= check.evaluations <= 20
    assert refused == 1_000 - check.evaluations
    assert waits
    assert waits <= set(range(1, 61))


def test_a_right_login_has_to_wait_too_and_then_comes_in(check: Counting, clock: Clock) -> None:
    for number in range(FREE):
        with pytest.raises(LoginRequired):
            check.check(request("ann", f"guess {number}"))
    with pytest.raises(TooManyTries):
        check.check(request("ann", "plain"))
    check.check(request("ann", "plain", address="192.0.2.2"))
    clock.now += 1.1
    check.check(request("ann", "plain"))


def test_waits_double_up_to_a_minute_and_are_forgotten(clock: Clock) -> None:
    tries = Tries(clock)
    waits = []
    for _ in range(FREE + 8):
        tries.count("192.0.2.1")
        try:
            tries.check("192.0.2.1")
        except TooManyTries as error:
            waits.append(error.details["seconds"])
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    clock.now += 901
    tries.count("192.0.2.1")
    tries.check("192.0.2.1")


@pytest.mark.parametrize("_start", range(10))
def test_the_hash_for_names_that_nobody_has_is_computed_in_earnest(
    tmp_path: Any, _start: int
) -> None:
    logins = parse_server(f"api_auth: {{login: bob, password: '{HASH}'}}", base_dir=tmp_path)
    decoy = LoginCheck(logins.api_auth)._decoy
    # What can't be decoded is refused with another error, at once.
    with pytest.raises(VerifyMismatchError):
        PasswordHasher().verify(decoy, "guess")


def test_the_same_wrong_login_again_is_no_guess(check: Counting) -> None:
    for _ in range(100):
        with pytest.raises(LoginRequired):
            check.check(request("bob", "forgotten"))
    assert check.evaluations == 1
    check.check(request("bob", "right"))


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !!", "Bearer x", "Basic Og==", "Basic YW5uOg==", "Basic OmE="]
)
def test_what_is_no_login_is_not_counted(check: Counting, header: str) -> None:
    for _ in range(3 * FREE):
        with pytest.raises(LoginRequired):
            check.check(Request("GET", "/", "", {"authorization": header}, "192.0.2.1", b""))
    assert check.evaluations == 0


@pytest.mark.parametrize(
    ("name", "password"), [("ann", "x"), ("bob", "x"), ("eve", "x"), ("ann", "plain")]
)
def test_any_login_costs_one_hash_where_anybody_has_one(
    check: Counting, name: str, password: str
) -> None:
    try:
        check.check(request(name, password))
    except LoginRequired:
        assert password == "x"
    assert check.hashes == 1


def test_an_ipv6_network_is_one_sender(clock: Clock) -> None:
    tries = Tries(clock)
    for number in range(FREE):
        tries.count(f"2001:db8::{number:x}")
    with pytest.raises(TooManyTries):
        tries.check("2001:db8::ffff")
    tries.check("2001:db8:0:1::1")


def test_memory_for_guessers_is_bounded(clock: Clock) -> None:
    tries = Tries(clock)
    for number in range(MAX_SENDERS + 500):
        tries.count(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(tries._records) == MAX_SENDERS


def test_the_same_login_of_many_at_once_is_computed_once(check: Counting) -> None:
    together = Barrier(MAX_CHECKS)

    def come(_number: int) -> None:
        together.wait()
        check.check(request("bob", "right"))

    with ThreadPoolExecutor(MAX_CHECKS) as pool:
        list(pool.map(come, range(MAX_CHECKS)))
    assert check.evaluations == 1


def test_logins_to_check_do_not_take_all_threads(check: Counting) -> None:
    for _ in range(MAX_CHECKS):
        assert check._checks.acquire(blocking=False)
    with pytest.raises(Unavailable):
        check.check(request("bob", "right"))


def test_over_the_wire_a_guesser_gets_429_and_another_address_comes_in(
    launch: Callable[..., RunningServer],
) -> None:
    server = launch()
    answers = [
        send(server.url, path="/?action=list", login=(LOGIN[0], f"guess {number}"))
        for number in range(2 * FREE)
    ]
    assert [answer.status for answer in answers[:FREE]] == [401] * FREE
    last = answers[-1]
    assert last.status == 429
    assert last.value["error"]["code"] == "too_many_tries"
    assert int(last.headers["retry-after"]) >= 1
    assert send(server.url, path="/?action=list").status == 401
    assert send(server.url, path="/?action=list", login=LOGIN, source="127.0.0.2").status == 200


def test_behind_a_trusted_proxy_the_forwarded_address_counts(
    launch: Callable[..., RunningServer],
) -> None:
    server = launch(config="trusted_proxies: 127.0.0.1")
    guesser, other = {"X-Forwarded-For": "203.0.113.5"}, {"X-Forwarded-For": "203.0.113.6"}
    for number in range(FREE):
        send(server.url, login=("x", f"guess {number}"), headers=guesser)
    path = "/?action=list"
    assert send(server.url, path=path, login=LOGIN, headers=guesser).status == 429
    assert send(server.url, path=path, login=LOGIN, headers=other).status == 200
