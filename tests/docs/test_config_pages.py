"""The pages about configs name every key, with its default, and no other."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from sloth_ci import errors
from sloth_ci.bed import VALIDATORS
from sloth_ci.config import AppConfig, Section, ServerConfig, parse_app, parse_server
from sloth_ci.config.app import ALIASES as APP_ALIASES
from sloth_ci.config.server import ALIASES as SERVER_ALIASES
from sloth_ci.errors import ConfigInvalid
from sloth_ci.extension.finding import find_app_options, find_server_options
from sloth_ci.registry import find
from sloth_ci.validators import BUILT_IN, ProviderOptions
from sloth_ci.validators.generic import PARAMS
from tests.docs.pages import (
    DOCS,
    PAGES,
    Fence,
    Part,
    fences,
    find_part,
    parts_below,
    quoted,
    read_page,
)

APP, SERVER = "docs/app-config.md", "docs/server-config.md"
#: Defaults that depend on the machine are told in words.
IN_WORDS = {"max_builds"}
#: What a server's own extensions make possible is loaded where there is such a server.
YAML = [
    fence
    for page in PAGES
    for fence in fences(page)
    if fence.info.startswith("yaml") and fence.info != "yaml app after server"
]


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, and an environment, with every secret from outside that the docs mention."""
    for fence in YAML:
        for name in re.findall(r"\{env: (\w+)\}", fence.text):
            monkeypatch.setenv(name, f"the-value-of-{name}")
        for name in re.findall(r"\{file: ([^}]+)\}", fence.text):
            monkeypatch.setenv("HOME", str(tmp_path))
            file = tmp_path / name.removeprefix("~/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"the content of {name}\n")
    return tmp_path


def load_app(text: str, folder: Path) -> AppConfig:
    return parse_app(
        text,
        base_dir=folder,
        find_options=lambda name: find(VALIDATORS, name).Options,
        find_extension=find_app_options,
    )


def load(fence: Fence, folder: Path) -> Section:
    """Load a block as what its opening says it is."""
    match fence.info.split():
        case ["yaml", "app"]:
            return load_app(fence.text, folder)
        case ["yaml", "app", "part"]:
            return load_app(f"listen_point: part\n{fence.text}", folder)
        case ["yaml", "server"]:
            return parse_server(fence.text, base_dir=folder, find_extension=find_server_options)
    raise AssertionError(f"a YAML block says 'app', 'app part' or 'server', not '{fence.info}'")


@pytest.mark.parametrize("fence", YAML, ids=lambda fence: fence.where)
def test_every_yaml_block_loads(fence: Fence, outside: Path) -> None:
    assert load(fence, outside)


def test_a_yaml_block_with_a_mistake_would_not_load(outside: Path) -> None:
    with pytest.raises(ConfigInvalid, match="acions"):
        load(Fence("yaml app part", "acions: []\n", "here", 1), outside)


def keys_of(section: type[Section], prefix: str = "") -> set[str]:
    """Every key of a config section, those of inner sections with dots."""
    keys = set()
    for name, field in section.model_fields.items():
        keys.add(f"{prefix}{name}")
        for kind in (field.annotation, *get_args(field.annotation)):
            inner = isinstance(kind, type) and issubclass(kind, Section) and kind.model_fields
            if inner and name != "provider":
                keys |= keys_of(kind, f"{prefix}{name}.")
    return keys


def key_table(page: str) -> dict[str, list[str]]:
    rows = find_part(page, "Keys").table("Key")
    table = {quoted(row[0])[0]: row for row in rows}
    assert len(table) == len(rows), "a key stands twice"
    return table


@pytest.mark.parametrize(
    ("page", "section"), [(APP, AppConfig), (SERVER, ServerConfig)], ids=["app", "server"]
)
def test_the_table_of_keys_has_every_key_and_no_other(page: str, section: type[Section]) -> None:
    assert set(key_table(page)) == keys_of(section)


@pytest.mark.parametrize(
    ("page", "section"), [(APP, AppConfig), (SERVER, ServerConfig)], ids=["app", "server"]
)
def test_each_key_has_a_heading_with_an_example_of_it(page: str, section: type[Section]) -> None:
    explained = {name: part for part in parts_below(page, "Keys") for name in part.names}

    assert set(explained) == set(section.model_fields)
    for name, part in explained.items():
        examples = [fence.text for fence in part.fences if fence.info.startswith("yaml")]
        assert any(re.search(rf"^{name}:", text, re.MULTILINE) for text in examples), name


@pytest.mark.parametrize(
    ("page", "aliases"), [(APP, APP_ALIASES), (SERVER, SERVER_ALIASES)], ids=["app", "server"]
)
def test_aliases_are_told_where_their_key_is_explained(page: str, aliases: dict[str, str]) -> None:
    for alias, name in aliases.items():
        text = " ".join(explanation(page, name).paragraphs)
        assert f"`{alias}`" in text, f"{alias} of {name}"


def explanation(page: str, name: str) -> Part:
    return next(part for part in parts_below(page, "Keys") if name in part.names)


def defaults(page: str) -> list[Any]:
    return [pytest.param(name, row[2], id=name) for name, row in key_table(page).items()]


@pytest.mark.parametrize(("name", "default"), defaults(APP))
def test_an_app_key_given_its_documented_default_changes_nothing(
    name: str, default: str, tmp_path: Path
) -> None:
    if default == "needed":
        with pytest.raises(ConfigInvalid, match="missing"):
            load_app("actions: []", tmp_path)
        return
    section, _, key = name.rpartition(".")
    line = f"{key}: {quoted(default)[0]}"
    written = load_app(
        f"listen_point: x\n{f'{section}: {{{line}}}' if section else line}\n", tmp_path
    )

    assert written == load_app("listen_point: x\n", tmp_path)


@pytest.mark.parametrize(("name", "default"), defaults(SERVER))
def test_a_server_key_given_its_documented_default_changes_nothing(
    name: str, default: str, tmp_path: Path
) -> None:
    section, _, key = name.rpartition(".")
    if default == "needed":
        others = {
            "login": "password: p",
            "password": "login: l",
            "certificate": "key: k",
            "key": "certificate: c",
        }[key]
        with pytest.raises(ConfigInvalid, match="missing"):
            parse_server(f"{section}: {{{others}}}", base_dir=tmp_path)
        return
    if name in IN_WORDS:
        assert not quoted(default)
        return
    line = f"{key}: {quoted(default)[0]}"
    written = parse_server(f"{section}: {{{line}}}" if section else line, base_dir=tmp_path)

    assert written == parse_server("{}", base_dir=tmp_path)


def test_the_page_of_providers_has_a_manual_of_each_in_order() -> None:
    explained = [part for part in read_page("docs/providers.md") if part.level == 2 and part.names]

    assert tuple(part.names[0] for part in explained) == BUILT_IN
    for part in explained:
        included = [(fence.info, fence.text) for fence in part.fences]
        assert included == [("{manual} validators/" + part.names[0] + ".py", "")]


def test_the_options_of_every_provider_are_in_their_table_with_their_defaults() -> None:
    rows = find_part("docs/providers.md", "Options of every provider").table("Option")

    assert {quoted(row[0])[0] for row in rows} == set(ProviderOptions.model_fields)


@pytest.mark.parametrize(
    ("option", "default"),
    [
        (quoted(row[0])[0], quoted(row[2])[0])
        for row in find_part("docs/providers.md", "Options of every provider").table("Option")
        if quoted(row[2])
    ],
)
def test_a_providers_option_given_its_documented_default_changes_nothing(
    option: str, default: str, tmp_path: Path
) -> None:
    plain = "listen_point: x\nprovider: {github: {trusted_ips: [192.0.2.1], secret: s}}\n"
    if option in ("trusted_ips", "secret"):
        assert ProviderOptions.model_fields[option].default == ()
        assert default == "[]"
        return
    written = plain.replace("{github: {", f"{{github: {{{option}: {default}, ")

    assert load_app(written, tmp_path) == load_app(plain, tmp_path)


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_providers_own_options_are_in_its_manual(name: str) -> None:
    validator = find(VALIDATORS, name)
    manual = (DOCS.parent / f"sloth_ci/validators/{name}.py").read_text().split('"""')[1]

    for option in set(validator.Options.model_fields) - set(ProviderOptions.model_fields):
        assert re.search(rf"^ +{option}:", manual, re.MULTILINE), option


def test_the_params_of_a_push_are_all_listed() -> None:
    rows = find_part("docs/providers.md", "Params").table("Param")

    assert sorted(quoted(row[0])[0] for row in rows) == sorted(PARAMS)


def test_the_errors_that_answer_a_push_have_the_status_of_their_class() -> None:
    known = {thing.code: thing.status for thing in vars(errors).values() if hasattr(thing, "code")}
    rows = find_part("docs/providers.md", "What is answered").table("Push")
    told = [
        (code, int(row[1])) for row in rows if "error" in row[2] for code in error_codes(row[2])
    ]

    assert len(told) >= 9
    assert [(code, known.get(code)) for code, _status in told] == told


def error_codes(cell: str) -> list[str]:
    return [word for word in quoted(cell) if re.fullmatch(r"[a-z_]+", word)]
