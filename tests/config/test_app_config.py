"""An app's config: every key, good and bad; a refusal says where, what was wanted, what came."""

from pathlib import Path

import pytest

from sloth_ci.builds import Limits
from sloth_ci.config import AppConfig, parse_app
from sloth_ci.errors import ConfigInvalid
from sloth_ci.source import read
from tests.config.refusals import find_options, read_app, refusals

ALL_KEYS = """\
listen_point: team/web
provider:
  github:
    owner: max
    repo: spam
    branches: [main, "release/*"]
    secret: [old-secret, new-secret]
    trusted_ips: [192.0.2.0/24, "2001:db8::1"]
actions:
  - git pull
  - !critical echo {branch}
  - !detach ./serve &
params: {branch: main, empty: ""}
env: {LANG: C.UTF-8}
work_dir: ~/spam
exec_timeout: 2.5
timeout: 60
stop_on_first_fail: yes
max_output: 1.5M
limits: {processes: 50, memory: 2G, cpu: 600, file_size: 500M, open_files: 1024}
user: daemon
rerun_interrupted: true
extensions:
  my-logs: {module: logs, level: DEBUG}
"""


def test_every_key_is_read() -> None:
    config = read_app(ALL_KEYS)
    assert config.listen_point == "team/web"
    assert config.provider is not None
    assert config.provider.name == "github"
    assert config.provider.options.model_dump()["branches"] == ("main", "release/*")
    assert [(a.template.text, a.critical, a.detach) for a in config.actions] == [
        ("git pull", False, False),
        ("echo {branch}", True, False),
        ("./serve &", False, True),
    ]
    assert config.params == {"branch": "main", "empty": ""}
    assert config.env == {"LANG": "C.UTF-8"}
    assert config.work_dir == "~/spam"
    assert (config.exec_timeout, config.timeout) == (2.5, 60)
    assert config.stop_on_first_fail
    assert config.rerun_interrupted
    assert config.max_output == 1_500_000
    assert config.limits.granted == Limits(
        processes=50, memory=2_000_000_000, cpu=600, file_size=500_000_000, open_files=1024
    )
    assert config.user == "daemon"
    assert [(name, one.module) for name, one in config.extensions.items()] == [("my-logs", "logs")]


def test_no_key_was_forgotten_here() -> None:
    tags = frozenset({"!critical", "!detach"})
    assert set(AppConfig.model_fields) == set(read(ALL_KEYS, tags=tags).data)


def test_only_the_listen_point_is_needed() -> None:
    config = read_app("listen_point: web")
    assert (config.provider, config.actions, config.params, config.env) == (None, (), {}, {})
    assert (config.work_dir, config.exec_timeout, config.timeout) == (".", None, None)
    assert not config.stop_on_first_fail
    assert not config.rerun_interrupted
    assert config.max_output == 16_000_000
    assert (config.limits.granted, config.user) == (Limits(), None)


@pytest.mark.parametrize("alias", ["id", "name", "listen_point"])
def test_the_listen_point_has_aliases(alias: str) -> None:
    assert read_app(f"{alias}: web").listen_point == "web"


def test_two_names_of_the_listen_point_are_refused() -> None:
    assert refusals(read_app, "id: a\nname: b") == [
        (2, 1, "'name' means 'listen_point', which is there already")
    ]


def test_a_refusal_uses_the_alias_that_was_written() -> None:
    ((line, column, sentence),) = refusals(read_app, "actions: []\nid: a b")
    assert (line, column) == (2, 1)
    assert sentence.startswith("'id' must be segments")


@pytest.mark.parametrize(
    "name", ["a", "team/web", "v1.2", "~x", "a_b-c", ".hidden", "-a", "x" * 200]
)
def test_a_listen_point_is_taken(name: str) -> None:
    assert read_app(f"listen_point: {name!r}").listen_point == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/..", "../a", "a//b", "/a", "a/", "-", "-/a", "a b", "é", "x" * 201]
)
def test_a_listen_point_is_refused(name: str) -> None:
    ((line, column, sentence),) = refusals(read_app, f"listen_point: {name!r}")
    assert (line, column) == (1, 1)
    assert "must be segments of letters, digits and . _ ~ - joined by '/'" in sentence


NUMBER = "must be a number of seconds above 0, not"
SIZE = "must be a size above 0 such as 500k or 16M, not"

BAD_VALUES = [
    ("listen_point: ~", "'listen_point' must be text, not nothing"),
    ("listen_point: [a]", "'listen_point' must be text, not a list"),
    ("listen_point: !critical a", "'listen_point' must be text, not a value tagged !critical"),
    ("work_dir: {a: b}", "'work_dir' must be text, not a mapping"),
    ("work_dir: ''", "'work_dir' must be text, not an empty text"),
    ('work_dir: "a\\0"', "'work_dir' must be text without a NUL character"),
    (
        "work_dir: ~nobody-of-that-name/x",
        "'work_dir' must be a path, and '~nobody-of-that-name/x' names no user's home",
    ),
    ("exec_timeout: fast", f"'exec_timeout' {NUMBER} 'fast'"),
    ("exec_timeout: 0", f"'exec_timeout' {NUMBER} '0'"),
    ("exec_timeout: nan", f"'exec_timeout' {NUMBER} 'nan'"),
    ("exec_timeout: 1_0", f"'exec_timeout' {NUMBER} '1_0'"),
    ("timeout: -1", f"'timeout' {NUMBER} '-1'"),
    ("timeout: inf", f"'timeout' {NUMBER} 'inf'"),
    ("timeout: true", f"'timeout' {NUMBER} 'true'"),
    ("stop_on_first_fail: 1", "'stop_on_first_fail' must be true or false, not '1'"),
    ("rerun_interrupted:", "'rerun_interrupted' must be true or false, not nothing"),
    ("max_output: much", f"'max_output' {SIZE} 'much'"),
    ("max_output: 0", f"'max_output' {SIZE} '0'"),
    ("max_output: -1", f"'max_output' {SIZE} '-1'"),
    ("max_output: ٣", f"'max_output' {SIZE} '٣'"),
    ("max_output: " + "9" * 5000, f"'max_output' {SIZE} '{'9' * 57}...'"),
    ("limits: 100", "'limits' must be a mapping, not text"),
    ("user: [a]", "'user' must be text, not a list"),
    ("user: ''", "'user' must be text, not an empty text"),
    ("params: x", "'params' must be a mapping, not text"),
    ("env: [a]", "'env' must be a mapping, not a list"),
    ("extensions: logs", "'extensions' must be a mapping, not text"),
    (
        "actions: echo hi",
        "'actions' must be a list of commands, one '- ' line each, not 'echo hi'",
    ),
    (
        "provider: [github]",
        "'provider' must be one provider's name with its options, not a list",
    ),
    (
        "provider: {github: {}, gitlab: {}}",
        "'provider' must be one provider's name with its options, not 2 of them",
    ),
]


@pytest.mark.parametrize(
    ("line", "sentence"), BAD_VALUES, ids=[line[:40] for line, _ in BAD_VALUES]
)
def test_a_bad_value_is_told_with_its_place(line: str, sentence: str) -> None:
    above = "" if line.startswith("listen_point") else "listen_point: web\n"
    assert refusals(read_app, f"{above}{line}\n") == [(2 if above else 1, 1, sentence)]


BAD_PARTS = [
    ("actions:\n  - a\n  - [b]", 3, 5, "'actions.1' must be a command, not a list"),
    ("actions:\n  - ''", 2, 5, "'actions.0' must be a command, not an empty text"),
    ("actions:\n  - ' '", 2, 5, "'actions.0' must be a command, not ' '"),
    ("actions:\n  - ~", 2, 5, "'actions.0' must be a command, not nothing"),
    (
        "actions:\n  - echo: hi",
        2,
        5,
        "'actions.0' must be a command, not a mapping (quote one that has ': ' in it)",
    ),
    ("actions:\n  - !critical [x]", 2, 5, "'actions.0' must be a command, not a list"),
    (
        "limits:\n  memroy: 1G",
        2,
        3,
        "unknown key 'limits.memroy'. Did you mean 'memory'?",
    ),
    ("limits:\n  memory: lots", 2, 3, f"'limits.memory' {SIZE} 'lots'"),
    (
        "limits:\n  cpu: 0.5",
        2,
        3,
        "'limits.cpu' must be a whole number from 1 to 1000000000, not '0.5'",
    ),
    (
        "limits:\n  open_files: 3",
        2,
        3,
        "'limits.open_files' must be a whole number from 16 to 1000000, not '3'",
    ),
    (
        "params:\n  a-b: c",
        2,
        3,
        "'params.a-b' must have a name of letters, digits and _, not starting with a digit",
    ),
    (
        "params:\n  a: [b]",
        2,
        3,
        "'params.a' must be text, {env: NAME} or {file: path}, not a list",
    ),
    (
        "env:\n  a: ~",
        2,
        3,
        "'env.a' must be text, {env: NAME} or {file: path}, not nothing",
    ),
    (
        'env:\n  a: "\\0"',
        2,
        3,
        "'env.a' can't be used: The value of 'a' has a NUL character, which no command takes",
    ),
    (
        "extensions:\n  x: logs",
        2,
        3,
        "'extensions.x' must be a mapping with the key 'module', not text",
    ),
    ("extensions:\n  x: {}", 2, 3, "'extensions.x' must name its module with the key 'module'"),
    (
        "provider:\n  githab: {}",
        2,
        3,
        "there is no provider 'githab'. Did you mean 'gitlab'? Known: bitbucket,"
        " bitbucket_server, dummy, forgejo, generic, gitea, github, gitlab, gogs",
    ),
    (
        "provider:\n  generic: {secret: x, header: X-S, scheme: hmca}",
        2,
        37,
        "'provider.generic.scheme' must be one of hmac, token, standard_webhooks, not 'hmca'",
    ),
    ("provider:\n  github: x", 2, 3, "'provider.github' must be a mapping, not text"),
    (
        "provider:\n  github:\n    secret: x\n    brances: [main]",
        4,
        5,
        "unknown key 'provider.github.brances'. Did you mean 'branches'?",
    ),
    (
        "provider:\n  github:\n    secret: x\n    branches:\n      - main\n      - [dev]",
        6,
        9,
        "'provider.github.branches.1' must be text, not a list",
    ),
    (
        "provider:\n  github:\n    trusted_ips: 192.0.2.7/24",
        3,
        5,
        "'provider.github.trusted_ips' must be an IP address or a network such as 192.0.2.0/24,"
        " not '192.0.2.7/24'. Did you mean '192.0.2.0/24'?",
    ),
    (
        "provider:\n  github:\n    secret: []",
        3,
        5,
        "'provider.github.secret' must be a secret or a list of secrets, not an empty list",
    ),
    (
        "provider:\n  github:\n    secret: ''",
        3,
        5,
        "'provider.github.secret' must be a secret, and is an empty text",
    ),
    (
        "provider:\n  github: {}",
        2,
        3,
        "'provider.github' lets everybody start builds: give the 'secret' that the provider signs"
        " its deliveries with, or 'trusted_ips', or say 'allow_unsigned: true'",
    ),
]


@pytest.mark.parametrize(
    ("text", "line", "column", "sentence"), BAD_PARTS, ids=[part[0] for part in BAD_PARTS]
)
def test_a_bad_part_is_told_with_its_own_place(
    text: str, line: int, column: int, sentence: str
) -> None:
    assert refusals(read_app, f"{text}\nlisten_point: web\n") == [(line, column, sentence)]


def test_a_command_that_can_not_run_says_why_at_its_own_line() -> None:
    ((line, column, sentence),) = refusals(
        read_app, "listen_point: web\nactions:\n  - echo ok\n  - eval {branch}\n"
    )
    assert (line, column) == (4, 5)
    assert sentence.startswith("'actions.1' can't run: The placeholder {branch}")


def test_an_unknown_key_names_the_nearest_one() -> None:
    assert refusals(read_app, "listen_point: web\naction: [x]") == [
        (2, 1, "unknown key 'action'. Did you mean 'actions'?")
    ]


def test_an_unknown_key_with_nothing_near_names_all() -> None:
    ((_, _, sentence),) = refusals(read_app, "listen_point: web\nzzz: 1")
    assert sentence == (
        "unknown key 'zzz'. Known keys: listen_point, provider, actions, params, env, work_dir,"
        " exec_timeout, timeout, stop_on_first_fail, max_output, limits, user,"
        " rerun_interrupted, extensions"
    )


def test_a_missing_listen_point_is_told() -> None:
    assert refusals(read_app, "\nactions: [x]") == [(2, 1, "the key 'listen_point' is missing")]


def test_all_problems_are_told_at_once_in_the_order_of_the_text() -> None:
    text = "timeout: x\nprovider: {github: {}}\nparams: {a: []}\nactons: []\nlisten_point: web"
    assert [found[0] for found in refusals(read_app, text)] == [1, 2, 3, 4]


def test_the_message_has_the_file_and_every_problem_on_one_line() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        parse_app(
            "listen_point: web\ntimeout: x\nexec_timeout: y",
            base_dir=Path(),
            find_options=find_options,
            file="web.yml",
        )
    assert caught.value.message == (
        "web.yml, line 2, column 1: 'timeout' must be a number of seconds above 0, not 'x';"
        " web.yml, line 3, column 1: 'exec_timeout' must be a number of seconds above 0, not 'y'"
    )


def test_of_very_many_problems_the_first_twenty_are_told_and_the_rest_counted() -> None:
    text = "listen_point: web\n" + "".join(f"key{number}: x\n" for number in range(500))
    with pytest.raises(ConfigInvalid) as caught:
        read_app(text)
    assert len(caught.value.details["problems"]) == 20
    assert caught.value.message.endswith("; and 480 more")


def test_other_peoples_text_in_a_message_is_short_and_printable() -> None:
    text = f'listen_point: web\ntimeout: "a\\e[2J\\n{"b" * 500}"\n"c\\e{"d" * 500}": x\n'
    with pytest.raises(ConfigInvalid) as caught:
        read_app(text)
    assert caught.value.message.isprintable()
    assert "\\x1b" in caught.value.message
    assert len(caught.value.message) < 600


def test_a_provider_may_be_its_bare_name_when_that_is_enough() -> None:
    ((line, column, sentence),) = refusals(read_app, "listen_point: web\nprovider: github")
    assert (line, column) == (2, 1)
    assert sentence.startswith("'provider.github' lets everybody start builds")


@pytest.mark.parametrize("key", ["actions", "params", "env", "extensions"])
def test_a_key_left_empty_means_none_of_them(key: str) -> None:
    assert not getattr(read_app(f"listen_point: web\n{key}:"), key)


def test_an_empty_provider_means_none() -> None:
    assert read_app("listen_point: web\nprovider:").provider is None


def test_keys_merged_from_an_anchor_are_located_where_they_were_written() -> None:
    text = "extensions:\n  a: &a\n    module: x\nlisten_point: web\nparams:\n  <<: {b: [1]}\n"
    ((line, column, _),) = refusals(read_app, text)
    assert (line, column) == (6, 8)


def test_a_config_is_frozen() -> None:
    config = read_app("listen_point: web")
    with pytest.raises(ValueError, match="frozen"):
        config.listen_point = "other"  # type: ignore[misc]
