"""Whatever text comes, a config is read or refused: nothing runs, nothing swells, no traceback."""

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sloth_ci.config import AppConfig, ServerConfig
from sloth_ci.errors import ConfigError, ConfigInvalid
from sloth_ci.source import MAX_SIZE
from tests.config.refusals import read_app, read_server

Read = Callable[[str], object]

BOMBS = {
    "a bomb of aliases": "a0: &a0 [x]\n"
    + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)),
    "a bomb of merges": "a0: &a0 {x: y}\n"
    + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 10)),
    "a long chain of aliases": "- &a0 [x]\n"
    + "".join(f"- &a{n} [*a{n - 1}]\n" for n in range(1, 190)),
    "a long chain of merges": "- &a0 {x: y}\n"
    + "".join(f"- &a{n} {{<<: *a{n - 1}}}\n" for n in range(1, 100)),
    "an alias to what is around it": "a: &a [*a]",
    "a merge of what is around it": "a: &a {<<: *a}",
    "a root that holds itself": "&a {b: *a}",
    "5,000 brackets": "[" * 5_000,
    "5,000 braces": "{a: " * 5_000,
    "5,000 dashes": "- " * 5_000,
    "5,000 question marks": "? " * 5_000,
    "5,000 levels by indentation": "".join(f"{' ' * n}a:\n" for n in range(700)),
    "100,000 values": "a: [" + "b," * 100_000 + "]",
    "10,000 unknown keys": "".join(f"key{n}: x\n" for n in range(9_000)),
    "a scalar of 10 MB": "a: " + "b" * 10_000_000,
    "a text at the limit": "a: " + "b" * (MAX_SIZE - 3),
    "a key at the limit": "b" * (MAX_SIZE - 3) + ": a",
    "100,000 anchors": "&a " * 80_000,
}


@pytest.mark.parametrize("read", [read_app, read_server])
@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_is_refused_with_little_memory(read: Read, text: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ConfigInvalid) as caught:
            read(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50_000_000
    assert len(caught.value.message) < 10_000
    assert all(found["line"] for found in caught.value.details["problems"])


TAGS = [
    "!!python/name:os.system",
    "!!python/module:os",
    "!!python/object:object",
    "!!python/object/new:os.system",
    "!!python/object/apply:os.system",
    "!!python/tuple",
    "!!python/bytes",
    "!!python/str",
    "!!python/none",
    "!<tag:yaml.org,2002:python/object/apply:os.system>",
    "!!binary",
    "!!set",
    "!!omap",
    "!!pairs",
    "!other",
]
WHERE = {
    "at the top": "{tag} [echo]",
    "in a value": "listen_point: {tag} 'echo'",
    "in a key": "{tag} listen_point: web",
    "in a list": "actions: [{tag} 'echo']",
    "in a mapping": "params: {tag} {{a: b}}",
    "in what is merged": "<<: {tag} {{listen_point: web}}",
    "behind a tag of ours": "actions: [!critical [{tag} 'echo']]",
}


@pytest.mark.parametrize("read", [read_app, read_server])
@pytest.mark.parametrize("form", WHERE.values(), ids=WHERE.keys())
@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_that_is_not_ours_is_refused(read: Read, form: str, tag: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read(form.format(tag=tag))
    assert "is not known here" in caught.value.message


ODD = {
    "an empty text": ("", "a config is a mapping of keys to values, not nothing"),
    "a comment": ("# nothing", "not nothing"),
    "null": ("~", "not nothing"),
    "a scalar": ("web", "not text"),
    "a list": ("- web", "not a list"),
    "a key twice": ("a: 1\na: 2", "line 2, column 1: the key 'a' stands twice"),
    "a merge twice": ("<<: {}\n<<: {}", "line 2, column 1: the key '<<' stands twice"),
    "a list as a key": ("[a]: b", "line 1, column 1: a key must be text"),
    "a mapping as a key": ("? {a: b}\n: c", "line 1, column 3: a key must be text"),
    "a merge of text": ("<<: web", "line 1, column 5: '<<' must name a mapping"),
    "a tab as indentation": ("a:\n\tb: c", "line 2, column 1: it is not valid YAML"),
    "an open bracket": ("a: [b", "it is not valid YAML"),
    "an open quote": ("a: 'b", "it is not valid YAML"),
    "two documents": ("a: b\n---\nc: d", "line 2, column 1: it is not valid YAML"),
    "an unknown alias": ("a: *b", "line 1, column 4: it is not valid YAML"),
    "an unknown directive": ("%FOO bar\n---\na: b", "it is not valid YAML"),
    "a NUL": ("a: b\0", "line 1, column 5: the character U+0000 is not allowed in YAML"),
    "an escape": ("a: b\nc: \x1b[0m", "line 2, column 4: the character U+001B is not allowed"),
    "a C1 character": ("a: \x9b", "line 1, column 4: the character U+009B is not allowed"),
    "half a surrogate pair": ("a: \ud800", "line 1, column 4: the character U+D800"),
    "half a surrogate pair, escaped": ('a: "\\ud800"', "it is not valid YAML"),
}


@pytest.mark.parametrize("read", [read_app, read_server])
@pytest.mark.parametrize(("text", "message"), ODD.values(), ids=ODD.keys())
def test_an_odd_text_is_refused_in_words(read: Read, text: str, message: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read(text)
    assert message in caught.value.message
    assert caught.value.details["problems"][0]["line"]


@pytest.mark.parametrize(
    "text",
    ["\ufefflisten_point: web\nactions: [a]", "listen_point: web\r\nactions: [a]\r\n"],
    ids=["a byte order mark", "lines that end with CR LF"],
)
def test_a_text_of_another_editor_is_read(text: str) -> None:
    config = read_app(text)
    assert (config.listen_point, len(config.actions)) == ("web", 1)


@pytest.mark.parametrize("name", ["no", "1.10", "0x1F", "2026-01-01", "1e3", "on"])
def test_text_stays_as_it_was_written(name: str) -> None:
    config = read_app(f"listen_point: {name}\nparams: {{a: {name}}}")
    assert (config.listen_point, config.params) == (name, {"a": name})


KEYS = st.sampled_from(
    [
        *AppConfig.model_fields,
        *ServerConfig.model_fields,
        *("id", "name", "auth", "login", "password", "db", "configs", "module", "env", "file"),
        *("github", "gitlab", "generic", "dummy", "bitbucket", "secret", "branches", "header"),
        *("allow_unsigned", "trusted_ips", "signing_token", "scheme", "params", "events", "repo"),
    ]
)
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["web", "1", "0", "true", "~", "~x/y", "1k", "127.0.0.1", "echo {a}", "$x {a"]),
    KEYS,
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(KEYS, st.text(max_size=8)), inner, max_size=4),
    ),
    max_leaves=12,
)


def read_or_refuse(text: str) -> None:
    for read in (read_app, read_server):
        message = message_for(read, text)
        assert message.isprintable()
        assert "Input should" not in message


def message_for(read: Read, text: str) -> str:
    try:
        read(text)
    except ConfigError as error:
        return error.message
    return ""


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    read_or_refuse(text)


@given(st.lists(st.sampled_from("a b:-[]{}?,&*!|>'\"%@`#~<=\n\t\r\\0é"), max_size=60).map("".join))
def test_any_yaml_like_text_is_read_or_refused(text: str) -> None:
    read_or_refuse(text)


@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_structure_is_read_or_refused(structure: dict[str, Any]) -> None:
    read_or_refuse(json.dumps(structure, ensure_ascii=False))


@given(
    st.sampled_from(["github", "gitlab", "generic", "dummy", "gogs", "bitbucket_server"]),
    st.dictionaries(KEYS, VALUES, max_size=5),
)
def test_any_options_of_a_provider_are_read_or_refused(name: str, options: dict[str, Any]) -> None:
    config = {"listen_point": "web", "provider": {name: {"allow_unsigned": True, **options}}}
    read_or_refuse(json.dumps(config, ensure_ascii=False))
