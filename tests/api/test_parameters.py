"""Parameters: from a request's texts to checked values, with one clear sentence for what is not."""

from typing import Any

import pytest

from sloth_ci.errors import BadParam, MissingParam, RepeatedParam, UnknownParam
from sloth_ci.parameters import EMPTY, ApiAction, Kind, Parameter, bind

NOW = 1_800_000_000.0


def take(parameter: Parameter, *texts: str) -> Any:
    """What the parameter's texts become."""
    action = ApiAction("try", 200, "Try.", lambda _server: EMPTY, (parameter,))
    params = [("action", "try"), *((parameter.name, text) for text in texts)]
    return bind(action, params, now=lambda: NOW)[parameter.name]


def one(kind: Kind, **more: Any) -> Parameter:
    return Parameter("x", "a thing", kind=kind, **more)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Kind.TEXT, " as it is ", " as it is "),
        (Kind.NUMBER, "1", 1),
        (Kind.NUMBER, "1000000000", 1_000_000_000),
        (Kind.CURSOR, "0", 0),
        (Kind.CURSOR, "9007199254740991", 2**53 - 1),
        (Kind.SECONDS, "0", 0.0),
        (Kind.SECONDS, "2.5", 2.5),
        (Kind.FLAG, "true", True),
        (Kind.FLAG, "YES", True),
        (Kind.FLAG, "1", True),
        (Kind.FLAG, "False", False),
        (Kind.FLAG, "no", False),
        (Kind.FLAG, "0", False),
        (Kind.MOMENT, "0", 0.0),
        (Kind.MOMENT, "1795266435.25", 1_795_266_435.25),
        (Kind.MOMENT, "2026-03-01T14:30:00Z", 1_772_375_400.0),
        (Kind.MOMENT, "2026-03-01T15:30:00+01:00", 1_772_375_400.0),
        (Kind.MOMENT, "2026-03-01 14:30", 1_772_375_400.0),
        (Kind.MOMENT, "2026-03-01", 1_772_323_200.0),
        (Kind.MOMENT, "90s", NOW - 90),
        (Kind.MOMENT, "15m", NOW - 900),
        (Kind.MOMENT, "12h", NOW - 43_200),
        (Kind.MOMENT, "7d", NOW - 604_800),
        (Kind.MOMENT, "999999999d", 0.0),
    ],
)
def test_a_text_becomes_the_value_that_it_stands_for(kind: Kind, text: str, value: Any) -> None:
    assert take(one(kind), text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *((Kind.NUMBER, text) for text in ("0", "-1", "1.5", "x", "1000000001", "١", "1" * 5_000)),
        *((Kind.CURSOR, text) for text in ("-1", "x", "9007199254740992", " 1")),
        *((Kind.SECONDS, text) for text in ("-1", "1e9", "inf", "nan", "x", "1" * 5_000)),
        *((Kind.FLAG, text) for text in ("maybe", "2", "tru")),
        *((Kind.MOMENT, text) for text in ("yesterday", "7w", "-1", "nan", "1e9", "2026-13-01")),
        *((Kind.MOMENT, text) for text in ("300000000000", "0001-01-01", "9999-12-31T23:59-14:00")),
        (Kind.MOMENT, "2026-03-01T15:30:00 01:00"),
    ],
)
def test_what_stands_for_nothing_is_refused_with_what_was_wanted(kind: Kind, text: str) -> None:
    with pytest.raises(BadParam) as caught:
        take(one(kind), text)

    assert kind.value in caught.value.message
    assert len(caught.value.message) < 300


def test_a_choice_is_one_of_its_words_in_their_case() -> None:
    parameter = one(Kind.CHOICE, choices=("json", "csv"))

    assert take(parameter, "csv") == "csv"
    with pytest.raises(BadParam, match="one of json, csv, not 'CSV'"):
        take(parameter, "CSV")


@pytest.mark.parametrize("kind", [Kind.NUMBER, Kind.SECONDS])
def test_there_may_be_a_greatest_value(kind: Kind) -> None:
    assert take(one(kind, most=60), "60") == 60
    with pytest.raises(BadParam, match="to 60, not '61'"):
        take(one(kind, most=60), "61")


def test_each_of_many_is_checked() -> None:
    parameter = one(Kind.CHOICE, choices=("a", "b"), many=True)

    assert take(parameter) == ()
    assert take(parameter, "a", "b", "a") == ("a", "b", "a")
    with pytest.raises(BadParam):
        take(parameter, "a", "c")


@pytest.mark.parametrize("kind", Kind)
def test_what_was_not_given_has_its_default(kind: Kind) -> None:
    assert take(one(kind, default="what the function takes")) == "what the function takes"


@pytest.mark.parametrize("kind", set(Kind) - {Kind.TEXT})
def test_an_empty_value_is_none_of_any_kind_but_text(kind: Kind) -> None:
    with pytest.raises(BadParam):
        take(one(kind), "")


def test_one_that_is_required_must_come_and_only_once() -> None:
    with pytest.raises(MissingParam):
        take(one(Kind.FLAG, required=True))
    with pytest.raises(RepeatedParam):
        take(one(Kind.FLAG), "true", "true")


def test_a_header_stands_for_a_parameter_and_wins_over_it() -> None:
    action = ApiAction(
        "follow",
        200,
        "Follow.",
        lambda _server: EMPTY,
        (Parameter("after", "a place", kind=Kind.CURSOR),),
        headers={"last-event-id": "after"},
    )
    params = [("action", "follow"), ("after", "3")]

    assert bind(action, params, header={"last-event-id": "17"}.get)["after"] == 17
    assert bind(action, params, header=lambda _name: "")["after"] == 3
    with pytest.raises(BadParam):
        bind(action, params, header=lambda _name: "somewhere")


def test_an_unknown_one_is_refused_with_those_that_are_known() -> None:
    action = ApiAction("try", 200, "Try.", lambda _server: EMPTY, (one(Kind.TEXT),))

    with pytest.raises(UnknownParam, match="It takes: x"):
        bind(action, [("action", "try"), ("y", "1")])
