"""Errors: a code, a status and a sentence each, the same on both ends of the API."""

import ast
import json
import re
import string
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sloth_ci
from sloth_ci import errors
from sloth_ci.errors import MethodRefused, SlothError, UnknownParam, from_answer

SOURCES = sorted(Path(sloth_ci.__file__).parent.rglob("*.py"))
#: Details that an error may have beside those in its message.
FURTHER = {"ConfigInvalid": {"problems"}, "Unhealthy": {"checks"}}


def all_errors() -> list[type[SlothError]]:
    found: list[type[SlothError]] = [SlothError]
    for cls in found:
        found += [sub for sub in cls.__subclasses__() if sub.__module__ == errors.__name__]
    return found


ALL = all_errors()
every_error = pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def make(cls: type[SlothError], value: str = "it") -> SlothError:
    return cls(**dict.fromkeys(placeholders(cls.__doc__ or ""), value))


def test_each_code_is_used_once() -> None:
    assert len({cls.code for cls in ALL}) == len(ALL)


@every_error
def test_an_error_has_code_status_and_a_sentence_of_its_own(cls: type[SlothError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", cls.code)
    assert 400 <= cls.status <= 503
    assert vars(cls).get("__doc__")
    assert "\n" not in make(cls).message


@every_error
def test_an_error_is_drawn_in_the_tree(cls: type[SlothError]) -> None:
    tree = (errors.__doc__ or "").split("\n", 2)[2]
    assert re.search(rf"\b{cls.__name__}\b", tree)


def test_the_tree_draws_nothing_else() -> None:
    tree = (errors.__doc__ or "").split("\n", 2)[2]
    drawn = set(re.findall(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)*\b", tree))
    assert drawn == {cls.__name__ for cls in ALL}


@every_error
def test_the_tree_tells_the_status(cls: type[SlothError]) -> None:
    tree = (errors.__doc__ or "").split("\n", 2)[2]
    told = re.search(rf"\b{cls.__name__} +(\d{{3}})$", tree, re.MULTILINE)
    own = "status" in vars(cls) or cls is SlothError
    assert told is None if not own else int(told[1]) == cls.status  # type: ignore[index]


@every_error
def test_an_answer_gives_the_error_back(cls: type[SlothError]) -> None:
    error = make(cls)
    told = json.loads(json.dumps([error.code, error.message, error.details]))
    back = from_answer(*told)
    assert type(back) is cls
    assert (back.message, back.details, back.status) == (
        error.message,
        error.details,
        error.status,
    )


def test_an_unknown_code_gives_the_plain_error() -> None:
    back = from_answer("of_a_newer_server", "It rains.", {"where": "here"})
    assert type(back) is SlothError
    assert (back.message, back.details) == ("It rains.", {"where": "here"})


@every_error
@given(value=st.one_of(st.text(), st.sampled_from(["{", "}", "{x}", "{0}", "{}", "%s", "{a.b!r}"])))
def test_a_message_takes_any_value(cls: type[SlothError], value: str) -> None:
    if placeholders(cls.__doc__ or ""):
        assert value in make(cls, value).message


def test_a_detail_that_was_not_told_shows_by_its_name() -> None:
    assert (
        UnknownParam(action="info").message == "The action 'info' has no parameter '{param}'.{hint}"
    )


def test_a_method_that_is_refused_names_those_that_are_not() -> None:
    assert MethodRefused(method="PUT", allowed="GET, POST").headers == {"Allow": "GET, POST"}
    assert MethodRefused.headers == {}


def test_a_login_is_asked_for_in_the_headers() -> None:
    assert errors.LoginRequired().headers["WWW-Authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize("cls", [errors.Stopping, errors.QueueFull, errors.DatabaseUnavailable])
def test_what_may_be_tried_again_says_when(cls: type[SlothError]) -> None:
    assert make(cls).headers["Retry-After"].isdecimal()


@cache
def trees() -> tuple[tuple[str, list[ast.AST]], ...]:
    """Every file of the server with all of its syntax."""
    return tuple((file.name, list(ast.walk(ast.parse(file.read_text())))) for file in SOURCES)


def named(node: ast.AST) -> str:
    """The error that a piece of syntax names; '' when it is none."""
    name = getattr(node, "attr", None) or getattr(node, "id", "")
    return name if name in {cls.__name__ for cls in ALL} else ""


@cache
def calls() -> list[tuple[str, int, str, set[str]]]:
    """Where an error is made: file, line, class, and the names of the details it gets."""
    return [
        (file, node.lineno, named(node.func), {str(key.arg) for key in node.keywords})
        for file, nodes in trees()
        for node in nodes
        if isinstance(node, ast.Call) and named(node.func)
    ]


@cache
def bare_raises() -> list[tuple[str, int, str]]:
    """Where an error is raised as a class, without details."""
    return [
        (file, node.lineno, named(node.exc))
        for file, nodes in trees()
        for node in nodes
        if isinstance(node, ast.Raise) and node.exc and named(node.exc)
    ]


def test_errors_are_made_with_the_details_of_their_sentences() -> None:
    wrong = [
        (file, line, name, given)
        for file, line, name, given in calls()
        if given - FURTHER.get(name, set()) != placeholders(getattr(errors, name).__doc__)
    ]
    assert wrong == []


def test_errors_raised_without_details_need_none() -> None:
    wrong = [found for found in bare_raises() if placeholders(getattr(errors, found[2]).__doc__)]
    assert wrong == []
    assert bare_raises()


@every_error
def test_an_error_is_used(cls: type[SlothError]) -> None:
    parents = {parent.__name__ for sub in ALL for parent in sub.__mro__[1:]}
    used = {name for *_, name, _ in calls()} | {name for *_, name in bare_raises()}
    assert cls.__name__ in used | parents
