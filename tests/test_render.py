"""Texts for people: harmless, short, and true."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sloth_ci.render import Painter, coloured, printable, shorten, show_duration
from sloth_ci.render.builds import write_order
from sloth_ci.render.figures import progress

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[32mgreen\x1b[0m", "\x1b[32mgreen\x1b[0m\x1b[0m"),
        ("\x1b[1;38;5;208morange", "\x1b[1;38;5;208morange\x1b[0m"),
        ("\x1b[48;2;1;2;3mexact", "\x1b[48;2;1;2;3mexact\x1b[0m"),
        ("\x1b[8mhidden", "hidden"),
        ("\x1b[5mblinking", "blinking"),
        ("\x1b[31;8mboth", "both"),
        ("\x1b[2Jcleared", r"\x1b[2Jcleared"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x1b[31", r"\x1b[31"),
        ("a\x1b[31m\tb", "a\x1b[31m   b\x1b[0m"),
    ],
)
def test_of_colours_only_the_harmless_are_kept(text: str, shown: str) -> None:
    assert coloured(text) == shown


@given(st.text(alphabet=st.sampled_from("a\t\x1b[]0123456789;:mJhl\x07\r\n\u202e\x9b")))
def test_whatever_is_printed_only_colours_reach_the_terminal(text: str) -> None:
    without = COLOUR.sub("", coloured(text))

    assert without == printable(text)
    assert without.isprintable()


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, ""),
        (0, "0 s"),
        (0.0042, "4.2 ms"),
        (0.25, "0.25 s"),
        (9.87, "9.9 s"),
        (42.4, "42 s"),
        (59.6, "1 m 00 s"),
        (185, "3 m 05 s"),
        (7_620, "2 h 07 m"),
        (90_000, "1 d 01 h"),
    ],
)
def test_durations_are_for_people(seconds: float | None, shown: str) -> None:
    assert show_duration(seconds) == shown


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("make test", 20, "make test"),
        ("make a long test", 10, "make a lo…"),
        ("\n\nfirst\nsecond", 20, "first…"),
        ("", 20, ""),
    ],
)
def test_a_command_is_shown_by_its_first_line(text: str, width: int, shown: str) -> None:
    assert shorten(text, width) == shown


@pytest.mark.parametrize(
    ("started", "usual", "part"),
    [(90, 40, 0.25), (0, 40, 1.0), (120, 40, 0.0), (90, None, None), (None, 40, None)],
    ids=["a quarter", "longer than usual", "a clock set back", "the first one", "still waiting"],
)
def test_progress_is_measured_by_the_usual_duration(
    started: float | None, usual: float | None, part: float | None
) -> None:
    assert progress({"started": started, "usual_duration": usual}, now=100) == part


@pytest.mark.parametrize(
    ("action", "params", "order"),
    [
        ("rerun", {"build": 7, "config": "current"}, "sci rerun 7 --current"),
        ("rerun", {"build": 7}, "sci rerun 7"),
        ("logs", {"build": 7, "search": "x"}, "sci logs --build 7"),
        ("follow", {"build": 7}, "sci logs --build 7 --follow"),
        ("explain", {"build": 3}, "sci explain 3"),
        ("resume", {"listen_point": "web"}, "sci resume web"),
        ("trigger", {"listen_point": "web"}, "sci trigger web"),
        ("resume", {}, "sci resume"),
    ],
)
def test_advice_is_given_as_a_command(action: str, params: dict[str, object], order: str) -> None:
    assert write_order(action, params) == order


def test_colours_are_for_those_who_want_them() -> None:
    assert Painter(colours=False).paint("x", 40) == "x"
    assert Painter(colours=True).paint("x", 40) == "\x1b[31mx\x1b[0m"
