"""YAML text to plain data: values as they were written, and the place of each."""

import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sloth_ci import source

OURS = frozenset({"!critical"})


@pytest.fixture(params=["with libyaml", "in Python alone"])
def room(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module on either parser of yaml; the second is all there is where libyaml is missing."""
    if request.param == "with libyaml":
        yield source
        return
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    spec = importlib.util.spec_from_file_location("source_in_python", source.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "source_in_python", module)
    spec.loader.exec_module(module)
    yield module


def test_scalars_stay_text(room: ModuleType) -> None:
    text = "{a: 1.10, b: no, c: 0x1F, d: 2026-01-01, e: '', f: , g: ~, h: null, i: 'null'}"
    assert room.read(text).data == {
        "a": "1.10",
        "b": "no",
        "c": "0x1F",
        "d": "2026-01-01",
        "e": "",
        "f": None,
        "g": None,
        "h": None,
        "i": "null",
    }


def test_keys_are_text_too(room: ModuleType) -> None:
    assert room.read("1: a\nyes: b\n2026-01-01: c\n").data == {
        "1": "a",
        "yes": "b",
        "2026-01-01": "c",
    }


def test_an_empty_text_has_no_data(room: ModuleType) -> None:
    document = room.read("# nothing\n")
    assert (document.data, document.locate(()), document.locate(("a",))) == (None, None, None)


def test_a_tag_of_ours_marks_its_value(room: ModuleType) -> None:
    data = room.read("- !critical make\n- plain\n", tags=OURS).data
    assert data == [room.Tagged("!critical", "make"), "plain"]


def test_a_tag_that_is_not_ours_is_refused(room: ModuleType) -> None:
    with pytest.raises(room.SourceProblem) as caught:
        room.read("a: !other b", tags=OURS)
    assert caught.value.problem == "the tag '!other' is not known here (known: !critical)"
    assert caught.value.place == room.Place(1, 4)


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("<<: {a: 1}\nb: 2", {"a": "1", "b": "2"}),
        ("<<: {a: 1}\na: 2", {"a": "2"}),
        ("a: 2\n<<: {a: 1}", {"a": "2"}),
        ("<<: [{a: 1}, {a: 2, b: 2}]", {"a": "1", "b": "2"}),
        ("<<: {<<: {a: 1, b: 1}, b: 2}", {"a": "1", "b": "2"}),
        ("'<<': {a: 1}", {"<<": {"a": "1"}}),
    ],
    ids=[
        "a merged key is there",
        "an own key wins",
        "an own key before it wins",
        "of several the first wins",
        "a merge in a merge",
        "a quoted sign is a key",
    ],
)
def test_mappings_are_merged_as_yaml_says(room: ModuleType, text: str, data: Any) -> None:
    assert room.read(text).data == data


def test_an_alias_is_what_it_stands_for(room: ModuleType) -> None:
    assert room.read("a: &x [1, {b: 2}]\nc: *x\n").data == {
        "a": ["1", {"b": "2"}],
        "c": ["1", {"b": "2"}],
    }


TEXT = """\
# a comment
web:
  branches:
    - main
    - dev
  <<: {merged: {deep: x}}
auth: {login: max}
"""


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        ((), 2, 1),
        (("web",), 2, 1),
        (("web", "branches"), 3, 3),
        (("web", "branches", 1), 5, 7),
        (("web", "branches", 7), 3, 3),
        (("web", "merged", "deep"), 6, 17),
        (("web", "other", "deeper"), 2, 1),
        (("other",), 2, 1),
        (("auth", 0, "login"), 7, 8),
    ],
)
def test_a_path_is_located(
    room: ModuleType, path: tuple[str | int, ...], line: int, column: int
) -> None:
    assert room.read(TEXT).locate(path) == room.Place(line, column)


def test_a_renamed_key_is_located_and_spelt_as_it_was_written(room: ModuleType) -> None:
    document = room.read(TEXT)
    document.rename("auth", "api_auth")
    assert document.data["api_auth"] == {"login": "max"}
    assert "auth" not in document.data
    assert document.locate(("api_auth", 0, "login")) == room.Place(7, 8)
    assert document.spell(("api_auth", 0, "login")) == "auth.login"


def test_a_path_is_spelt_with_the_indexes_of_lists(room: ModuleType) -> None:
    assert room.read(TEXT).spell(("web", "branches", 1)) == "web.branches.1"


def test_a_place_reads_as_words(room: ModuleType) -> None:
    assert str(room.Place(3, 14)) == "line 3, column 14"


DEEP = 49  # levels around the innermost value


@pytest.mark.parametrize(("levels", "fits"), [(DEEP, True), (DEEP + 1, False)])
def test_nesting_has_a_limit(room: ModuleType, levels: int, fits: bool) -> None:
    text = "[" * levels + "a" + "]" * levels
    assert reads(room, text) is fits


@pytest.mark.parametrize(("levels", "fits"), [(DEEP, True), (DEEP + 1, False)])
def test_nesting_by_aliases_has_the_same_limit(room: ModuleType, levels: int, fits: bool) -> None:
    # The list around all of them is one level.
    chain = [f"&a{level} [*a{level - 1}]" for level in range(1, levels)]
    assert reads(room, f"[{', '.join(['&a0 a', *chain])}]") is fits


@pytest.mark.parametrize(("values", "fits"), [(20_000 - 1, True), (20_000, False)])
def test_the_number_of_values_has_a_limit(room: ModuleType, values: int, fits: bool) -> None:
    assert reads(room, f"[{'a,' * values}]") is fits


@pytest.mark.parametrize(("aliases", "fits"), [(198, True), (199, False)])
def test_values_behind_aliases_count(room: ModuleType, aliases: int, fits: bool) -> None:
    # The outer list, the inner one with its 99 values, and 100 more for each alias.
    text = f"[&a [{'x,' * 99}]{', *a' * aliases}]"
    assert (1 + 100 * (1 + aliases) <= 20_000) is fits
    assert reads(room, text) is fits


@pytest.mark.parametrize(("length", "fits"), [(256_000, True), (256_001, False)])
def test_the_size_has_a_limit(room: ModuleType, length: int, fits: bool) -> None:
    assert reads(room, "a" * length) is fits


def test_a_text_past_the_limit_says_where(room: ModuleType) -> None:
    with pytest.raises(room.SourceProblem) as caught:
        room.read("a\n" * 200_000)
    assert caught.value.place == room.Place(128_001, 1)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    reads(source, text)


@given(st.text())
def test_a_shortened_text_is_short_and_printable(text: str) -> None:
    shown = source.shorten(text)
    assert shown.isprintable()
    assert len(shown) <= 10 * source.MAX_QUOTE


def test_the_nearest_name_is_suggested() -> None:
    known = ["actions", "params", "provider"]
    assert source.suggest("action", known) == " Did you mean 'actions'?"
    assert source.suggest("zzz", known) == ""
    assert source.suggest("a" * 100_000, known) == ""


def reads(room: ModuleType, text: str) -> bool:
    try:
        room.read(text)
    except room.SourceProblem:
        return False
    return True


def test_a_tag_before_a_command_with_a_colon_says_what_to_do(room: ModuleType) -> None:
    with pytest.raises(room.SourceProblem) as caught:
        room.read("- !critical echo 'a': b", tags=OURS)

    assert caught.value.problem == (
        "'!critical' wants a text, not a mapping (quote one that has ': ' in it)"
    )
