"""Colours of build output, read alike by the server and by the script."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sloth_ci.page.ansi import plain, spans

#: Lines, and the pieces that are to be seen; `test_browser.py` holds the script to the same table.
LINES: list[tuple[str, list[tuple[str, str]]]] = [
    ("plain", [("", "plain")]),
    ("", []),
    ("\x1b[31mred\x1b[0m not", [("f-1", "red"), ("", " not")]),
    ("\x1b[1;92;44mloud", [("a-b f-10 g-4", "loud")]),
    ("\x1b[1;3;4;9mall\x1b[22;23;24;29mnone", [("a-b a-i a-s a-u", "all"), ("", "none")]),
    ("\x1b[7mturned\x1b[27mback", [("a-r", "turned"), ("", "back")]),
    ("\x1b[mreset", [("", "reset")]),
    ("\x1b[38;5;9mtable", [("f-9", "table")]),
    ("\x1b[38;5;196;4mcube", [("a-u f-9", "cube")]),
    ("\x1b[48;5;255mgrey", [("g-7", "grey")]),
    ("\x1b[38;5;300mnone", [("", "none")]),
    ("\x1b[38;2;200;0;0;1mtrue", [("a-b f-1", "true")]),
    ("\x1b[38:5:2mcolons", [("f-2", "colons")]),
    ("\x1b[38mcut", [("", "cut")]),
    ("\x1b[31m\x1b[39mink\x1b[41m\x1b[49mground", [("", "ink"), ("", "ground")]),
    ("50%\r100%", [("", "100%")]),
    ("windows\r", [("", "windows")]),
    ("up\x1b[2Adown\x1b[Kgone\x1b[?25l", [("", "up"), ("", "down"), ("", "gone")]),
    ("\x1b]0;title\x07text", [("", "text")]),
    ("\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\", [("", "link")]),
    ("\x1b]0;never ends", []),
    ("bell\x07 back\x08space\x00", [("", "bell"), ("", " back"), ("", "space")]),
    ("c1\x9b31mstays", [("", "c1"), ("", "31mstays")]),
    ("\u202egpj.exe", [("", "gpj.exe")]),
    ("tab\tstays", [("", "tab\tstays")]),
    ("<script>alert(1)</script>", [("", "<script>alert(1)</script>")]),
    ("half a sequence \x1b", [("", "half a sequence ")]),
    ("half a sequence \x1b[3", [("", "half a sequence "), ("", "3")]),
    ("\x1b[" + "9" * 5_000 + "mhuge", [("", "huge")]),
    ("\x1b[00031;1mzeros", [("a-b", "zeros")]),
    ("\x1b[" + "1;" * 31 + "4;31mmany", [("a-b a-u", "many")]),
    ("\x1b[1mx" * 600, [("a-b", "x")] * 499 + [("a-b", "x" * 101)]),
    ("\x1b]8;;a\x1b[31mbroken off", [("f-1", "broken off")]),
    ("\x1b]title\nof two lines\x07text", [("", "text")]),
]


@pytest.mark.parametrize(("line", "pieces"), LINES, ids=[repr(line)[:60] for line, _ in LINES])
def test_a_line_falls_into_pieces_by_its_looks(line: str, pieces: list[Any]) -> None:
    assert spans(line) == pieces


@given(st.text(alphabet=st.sampled_from("\x1b[]mK;0123458\x07\x9bab<\r\\"), max_size=60))
def test_no_piece_holds_what_a_terminal_obeys(line: str) -> None:
    assert not set(plain(line)) & set("\x1b\x07\x9b\r")


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126)))
def test_ordinary_text_stays_as_it_is(line: str) -> None:
    assert plain(line) == line
