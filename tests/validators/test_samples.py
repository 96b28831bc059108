"""Every recorded delivery: proved, forged, unproved, and with each of its parts broken."""

import json
import random
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from deliveries import (
    SECRET,
    Sample,
    assert_sound,
    judge,
    load,
    load_all,
    make,
    request,
    send,
    sign,
)

from sloth_ci.errors import BadPayload, BadRequest, SignatureRefused
from sloth_ci.validators import Verdict

SAMPLES = load_all()
#: Bitbucket Server's connection test is answered unsigned.
TO_BE_PROVED = [sample for sample in SAMPLES if sample.event != "diagnostics:ping"]
#: A token proves the sender and not the body.
SIGNED = [sample for sample in TO_BE_PROVED if sample.provider != "gitlab"]
#: They name no repository, or no head, where such an event has one nowadays.
UNREADABLE = {"gogs pull_request", "gitlab job", "github ping-organization"}
#: A broken part stands for all that are read the same way, so not all of the deepest are needed.
MOST_PATHS = 60
WRONG_VALUES = (None, "", "spam", 7, True, [], {}, ["spam"], {"spam": None}, "\0", "\ud800", "-x")


def each(samples: list[Sample]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("sample", samples, ids=name)


def name(sample: Sample) -> str:
    return f"{sample.provider} {sample.name}"


def listing_its_event(sample: Sample) -> dict[str, Any]:
    """Options that let the sample through to what it tells of."""
    actions = {
        sample.data.get("action"),
        (sample.data.get("object_attributes") or {}).get("action"),
    }
    event = sample.event
    events = ["push", event, *(f"{event}.{action}" for action in actions if action)]
    return {"events": events, "tags": ["*"]}


def test_there_is_a_sample_of_everything_that_was_collected() -> None:
    assert len(SAMPLES) == 88


@each([sample for sample in SAMPLES if name(sample) not in UNREADABLE])
def test_it_is_taken_with_a_right_signature(sample: Sample) -> None:
    validator = make(sample.provider, secret=SECRET, **listing_its_event(sample))
    headers = {**sample.headers, **sign(sample.provider, sample.body)}
    assert_sound(validator.validate(request(sample.body, headers)))


@each([sample for sample in SAMPLES if name(sample) in UNREADABLE])
def test_it_is_told_what_it_lacks_when_its_event_is_listed(sample: Sample) -> None:
    with pytest.raises(BadPayload, match="not nothing"):
        send(sample, **listing_its_event(sample))


@each([sample for sample in SAMPLES if name(sample) in UNREADABLE])
def test_it_is_nothing_to_do_when_its_event_is_not_listed(sample: Sample) -> None:
    assert_sound(send(sample))


@each(SIGNED)
def test_it_is_refused_when_one_byte_of_the_body_differs(sample: Sample) -> None:
    headers = {**sample.headers, **sign(sample.provider, sample.body)}
    with pytest.raises(SignatureRefused, match="wrong"):
        make(sample.provider, secret=SECRET).validate(request(sample.body + b" ", headers))


@each(TO_BE_PROVED)
def test_it_is_refused_with_the_signature_of_another_secret(sample: Sample) -> None:
    headers = {**sample.headers, **sign(sample.provider, sample.body, "another")}
    with pytest.raises(SignatureRefused, match="wrong"):
        make(sample.provider, secret=SECRET).validate(request(sample.body, headers))


@each(TO_BE_PROVED)
def test_it_is_refused_without_a_signature(sample: Sample) -> None:
    unsigned = {key: value for key, value in sample.headers.items() if "Event" in key}
    with pytest.raises(SignatureRefused, match="missing"):
        make(sample.provider, secret=SECRET).validate(request(sample.body, unsigned))


@each([sample for sample in SAMPLES if sample.secret])
def test_the_signature_it_was_recorded_with_holds(sample: Sample) -> None:
    assert_sound(send(sample, secret=sample.secret))


@pytest.mark.parametrize(
    ("folder", "name"),
    [("github", "vector-hello-world"), ("bitbucket-cloud", "vector-hello-world")],
    ids=["GitHub's Hello, World!", "Bitbucket's Hello World!"],
)
def test_the_published_vector_holds(folder: str, name: str) -> None:
    vector = load(folder, name)
    validator = make(vector.provider, secret=vector.secret)
    with pytest.raises(BadRequest):  # proved, and only then found to be no JSON
        validator.validate(request(vector.body, vector.headers))
    with pytest.raises(SignatureRefused):
        validator.validate(request(vector.body + b"!", vector.headers))


def test_the_vector_of_rfc_4231_holds() -> None:
    vector = load("generic-hmac", "rfc4231-case2")
    validator = make("generic", secret=vector.secret, header="X-Signature", prefix="sha256=")
    with pytest.raises(BadRequest):
        validator.validate(request(vector.body, vector.headers))


@pytest.mark.parametrize("part", [0, 1, 2, 3], ids=lambda part: f"quarter {part + 1}")
@each(SAMPLES)
def test_with_any_part_broken_it_is_judged_or_refused(sample: Sample, part: int) -> None:
    validator = make(sample.provider, **listing_its_event(sample))
    headers = {**sample.headers}
    chance = random.Random(sample.name)
    paths = sorted(list_paths(sample.data), key=lambda path: (len(path), chance.random()))
    for path in paths[part : max(MOST_PATHS, count_shallow(paths)) : 4]:
        for broken in break_at(sample.data, path, chance):
            outcome = judge(validator, request(json.dumps(broken), headers))
            assert isinstance(outcome, Verdict | BadRequest)
            assert_sound(outcome)


def list_paths(data: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every part of the data."""
    parts = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in parts:
        yield (*at, key)
        if isinstance(value, dict | list):
            yield from list_paths(value, (*at, key))


def count_shallow(paths: list[tuple[Any, ...]]) -> int:
    return sum(len(path) < 3 for path in paths)


def break_at(data: Any, path: tuple[Any, ...], chance: random.Random) -> Iterator[Any]:
    """The data without that part, with null there, and with two values of other kinds."""
    *way, last = path
    for value in (KeyError, None, *chance.sample(WRONG_VALUES[1:], 2)):
        broken = deepcopy(data)
        owner = broken
        for step in way:
            owner = owner[step]
        if value is KeyError:
            del owner[last]
        else:
            owner[last] = value
        yield broken
