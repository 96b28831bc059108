"""Placeholders: values are filled in, and never become shell text."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.api import Api, assert_error
from tests.contract.wire import exchange

#: Values that would do harm, or fall apart, as shell text.
VALUES = [
    "plain",
    "two  words",
    "",
    "$(echo ran)",
    "`echo ran`",
    "; echo ran",
    "& echo ran",
    "| echo ran",
    "> /contract-not-written",
    '"; echo ran; "',
    "'; echo ran; '",
    "$HOME ${HOME} $0 $$",
    "* ? [a-z] ~",
    "\\ \\n \\\\ \\'",
    "-n -e",
    "# no comment",
    "{x} {{x}} {y}",
    "!! ^a^b",
    "line one\nline two",
    "ü 漢 🦥",
]


def as_hex(command: str) -> str:
    """The action that prints what the command prints, in hex on one line."""
    return f"{command} | od -An -v -tx1 | tr -d ' \\n'; echo"


@pytest.mark.parametrize("value", VALUES)
def test_bare_and_in_either_quotes_it_gives_the_same_bytes_and_runs_nothing(
    api: Api, make_app: Callable[..., str], value: str
) -> None:
    listen_point = make_app(
        f"""\
        actions:
          - {as_hex('printf "%s" "on {x} off"')}
          - {as_hex("printf '%s' 'on {x} off'")}
          - {as_hex("printf %s on' '{x}' 'off")}
          - {as_hex('printf "%s" "on $SLOTH_PARAM_x off"')}
        """
    )
    assert api.build(listen_point, x=value)["message"] == "Complete (4/4)"
    assert api.printed(listen_point) == [f"on {value} off".encode().hex()] * 4


@pytest.mark.parametrize("value", VALUES)
def test_bare_it_is_one_word_whatever_the_value(
    api: Api, make_app: Callable[..., str], value: str
) -> None:
    listen_point = make_app("actions: ['set -- {x}; echo $#']")
    api.build(listen_point, x=value)
    assert api.printed(listen_point) == ["1"]


@pytest.mark.parametrize(
    ("action", "printed"),
    [
        ("A=shell; echo ${A}", "shell"),
        ("echo a b | awk '{print $2}'", "b"),
        ("echo {a,b}", "{a,b}"),
        ("echo {}", "{}"),
        ("echo {{.Names}}", "{{.Names}}"),
        ("echo {{x}}", "{x}"),
        ("echo '{{x}}' \"{{x}}\"", "{x} {x}"),
        ("echo {not-a-name} {1} {a b}", "{not-a-name} {1} {a b}"),
        ("find /dev/null -exec echo {} ';'", "/dev/null"),
        ("f() { echo called; }; f", "called"),
        ("echo ${x:-default}", "default"),
    ],
)
def test_every_other_brace_is_the_shells_own(
    api: Api, make_app: Callable[..., str], action: str, printed: str
) -> None:
    listen_point = make_app(f"actions:\n  - |-\n    {action}\n")
    assert api.build(listen_point, x="filled")["message"] == "Complete (1/1)"
    assert api.printed(listen_point) == [printed]


def test_a_placeholder_without_value_fails_its_action_only(
    api: Api, make_app: Callable[..., str]
) -> None:
    listen_point = make_app("actions: ['echo {x}', 'echo on']")
    assert api.build(listen_point)["message"] == "Partially complete (1/2)"
    assert api.printed(listen_point) == ["on"]
    (error,) = api.records("logs", listen_point, level=40)
    assert error["message"] == "Missing param: 'x'"
    assert error["logger_name"] == f"{listen_point}.exec"


def test_the_configs_params_give_way_to_the_payloads_and_those_to_the_triggers(
    api: Api, make_app: Callable[..., str]
) -> None:
    listen_point = make_app(
        """\
        provider: {dummy: {allow_unsigned: true}}
        params: {a: config, b: config}
        actions: ['echo {a} {b}']
        """
    )
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    reply = exchange(
        api.url, method="POST", target=f"/{listen_point}", headers=form, body=b"b=payload"
    )
    assert reply.status == 202, reply.text
    (build,) = reply.json["builds"]
    api.wait_for_end(listen_point, build)
    api.build(listen_point, b="trigger")
    assert api.printed(listen_point) == ["config payload", "config trigger"]


def test_the_environment_holds_the_params_the_listen_point_and_the_build(
    api: Api, make_app: Callable[..., str]
) -> None:
    listen_point = make_app(
        "params: {a: one}\n"
        "actions: ['echo \"$SLOTH_PARAM_a $SLOTH_PARAM_b $SLOTH_LISTEN_POINT $SLOTH_BUILD\"']"
    )
    build = api.build(listen_point, b="two")["build"]
    assert api.printed(listen_point) == [f"one two {listen_point} {build}"]


@pytest.mark.parametrize(
    "action",
    [
        'sh -c "echo {x}"',
        "bash -c 'echo {x}'",
        'eval "echo {x}"',
        "ssh host echo {x}",
        "python3 -c 'print(\"{x}\")'",
        'sudo sh -c "echo {x}"',
        "{x}",
    ],
)
def test_one_in_the_text_handed_to_an_interpreter_is_refused_at_create_time(
    api: Api, listen_point: str, action: str
) -> None:
    reply = api.create(listen_point, f"actions:\n  - echo fine\n  - |-\n    {action}\n")
    message = assert_error(reply, "config_invalid", status=500)["message"]
    assert "{x}" in message
    assert "line 4" in message
    assert_error(api.call("info", listen_points=listen_point), "app_not_found", status=404)


def test_the_variable_is_taken_in_the_text_handed_to_an_interpreter(
    api: Api, make_app: Callable[..., str]
) -> None:
    listen_point = make_app("actions:\n  - sh -c 'echo \"$SLOTH_PARAM_x\"'\n")
    api.build(listen_point, x="$(echo ran)")
    assert api.printed(listen_point) == ["$(echo ran)"]


def test_the_log_shows_the_command_with_values_filled_in(
    api: Api, make_app: Callable[..., str]
) -> None:
    listen_point = make_app("params: {a: one}\nactions: ['echo {a} \"{b}\" {{c}} ${d}']")
    api.build(listen_point, b="two")
    shown = [one["message"] for one in api.records("logs", listen_point, level=20)]
    assert any('echo one "two" {c} ${d}' in message for message in shown)


def test_the_log_shows_no_secret_neither_in_the_command_nor_in_its_output(
    api: Api, make_app: Callable[..., str], folder: Path
) -> None:
    (folder / "secret").write_text("hush-4711\n")
    listen_point = make_app(
        f"params: {{a: {{file: {folder / 'secret'}}}}}\nactions: ['echo on {{a}} off']"
    )
    assert api.build(listen_point)["message"] == "Complete (1/1)"
    assert api.printed(listen_point) == ["on *** off"]
    shown = [one["message"] for one in api.records("logs", listen_point)]
    assert any("echo on *** off" in message for message in shown)
    assert not any("hush-4711" in message for message in shown)


@pytest.mark.parametrize("name", ["a-b", "1a", "a b", "ä", "a.b"])
def test_a_param_that_no_environment_can_carry_is_refused(
    api: Api, make_app: Callable[..., str], name: str
) -> None:
    listen_point = make_app()
    reply = api.ask({"action": "trigger", "listen_point": listen_point, name: "1"})
    assert_error(reply, "bad_param", status=400)
    assert api.records("history", listen_point) == []
