"""Values from outside the config: everywhere one is wanted, and never in a message."""

import traceback
from pathlib import Path
from typing import Any

import pytest

from sloth_ci.config import Secret
from sloth_ci.config.secret import MAX_SECRET
from sloth_ci.errors import ConfigInvalid
from tests.config.refusals import read_app, read_server, refusals

VALUE = "hunter2-hunter2"

PLACES: list[Any] = [
    pytest.param(
        read_app,
        "listen_point: a\nprovider: {github: {secret: %s}}",
        lambda config: config.provider.options.secret[0],
        id="a provider's secret",
    ),
    pytest.param(
        read_app,
        "listen_point: a\nprovider: {github: {secret: [other, %s]}}",
        lambda config: config.provider.options.secret[1],
        id="one of a provider's secrets",
    ),
    pytest.param(
        read_app,
        "listen_point: a\nparams: {token: %s}",
        lambda config: config.params["token"],
        id="a param",
    ),
    pytest.param(
        read_app,
        "listen_point: a\nenv: {TOKEN: %s}",
        lambda config: config.env["TOKEN"],
        id="an environment variable",
    ),
    pytest.param(
        read_server,
        "api_auth: {login: max, password: %s}",
        lambda config: config.api_auth[0].password,
        id="a password",
    ),
    pytest.param(
        read_server,
        "api_auth: [{login: max, password: %s}]",
        lambda config: config.api_auth[0].password,
        id="one of several passwords",
    ),
]

everywhere = pytest.mark.parametrize(("read", "text", "pick"), PLACES)


@everywhere
def test_a_value_comes_from_the_environment(
    read: Any, text: str, pick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLOTH_TEST_TOKEN", VALUE)
    secret = pick(read(text % "{env: SLOTH_TEST_TOKEN}"))
    assert secret == VALUE
    assert isinstance(secret, Secret)


@everywhere
def test_a_value_comes_from_a_file_beside_the_config(
    read: Any, text: str, pick: Any, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(f"{VALUE}\n")
    secret = pick(read(text % "{file: token}", tmp_path))
    assert secret == VALUE
    assert isinstance(secret, Secret)


@everywhere
def test_a_missing_variable_is_named(
    read: Any, text: str, pick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLOTH_TEST_TOKEN", raising=False)
    ((line, _, sentence),) = refusals(read, text % "{env: SLOTH_TEST_TOKEN}")
    assert line == text.count("\n") + 1
    assert "wants the environment variable SLOTH_TEST_TOKEN, which is not set" in sentence


@everywhere
def test_a_missing_file_is_named(read: Any, text: str, pick: Any, tmp_path: Path) -> None:
    ((_, _, sentence),) = refusals(read, text % "{file: token}", tmp_path)
    assert "wants the file token, which can't be read: No such file or directory" in sentence


@everywhere
@pytest.mark.parametrize(
    "written",
    [
        f"{{evn: {VALUE}}}",
        f"{{env: [{VALUE}]}}",
        f"{{env: {VALUE}, file: {VALUE}}}",
        f"[[{VALUE}]]",
        "{file: ''}",
        "{env: ''}",
        '{file: "a\\0"}',
        "{}",
        "~",
    ],
)
def test_another_form_is_refused_without_showing_it(
    read: Any, text: str, pick: Any, written: str
) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read(text % written)
    shown = "".join(traceback.format_exception(caught.value))
    assert VALUE not in shown
    assert "must be text, {env: NAME} or {file: path}, not" in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        f"listen_point: a\nprovider: {{github: {{secret: {VALUE}, branches: {{a: b}}}}}}",
        f"listen_point: a\nprovider: {{github: {{secret: !critical {VALUE}}}}}",
        "listen_point: a\nparams: {t: {env: SLOTH_TEST_TOKEN}}\ntimeout: x",
        "listen_point: a\nenv: {t: {env: SLOTH_TEST_TOKEN}}\nzzz: x",
    ],
    ids=["beside it", "tagged", "a param beside it", "a variable beside it"],
)
def test_a_secret_shows_in_no_refusal_and_no_traceback(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLOTH_TEST_TOKEN", VALUE)
    with pytest.raises(ConfigInvalid) as caught:
        read_app(text)
    assert VALUE not in "".join(traceback.format_exception(caught.value))


def test_a_secret_too_long_for_a_command_shows_in_no_refusal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(f"{VALUE}\0")
    with pytest.raises(ConfigInvalid) as caught:
        read_app("listen_point: a\nenv: {t: {file: token}}", tmp_path)
    assert VALUE not in "".join(traceback.format_exception(caught.value))


def test_the_repr_of_a_config_hides_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOTH_TEST_TOKEN", VALUE)
    config = read_app(
        "listen_point: a\nparams: {t: {env: SLOTH_TEST_TOKEN}}\n"
        "provider: {github: {secret: {env: SLOTH_TEST_TOKEN}}}"
    )
    assert VALUE not in repr(config)


def test_what_came_from_outside_is_what_the_log_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOTH_TEST_TOKEN", VALUE)
    config = read_app(
        "listen_point: a\nparams: {a: open, b: {env: SLOTH_TEST_TOKEN}}\n"
        "env: {C: open, D: {env: SLOTH_TEST_TOKEN}}"
    )
    assert config.secrets == (VALUE, VALUE)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe", "which is no UTF-8 text"),
        (b"x" * (MAX_SECRET + 1), f"which is longer than {MAX_SECRET} characters"),
    ],
    ids=["other bytes", "too long"],
)
def test_a_file_that_holds_no_secret_is_named(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(content)
    ((_, _, sentence),) = refusals(
        read_app, "listen_point: a\nparams: {t: {file: token}}", tmp_path
    )
    assert sentence == f"'params.t' wants the file token, {reason}"


@pytest.mark.parametrize("name", ["/dev/zero", "/", "."])
def test_only_a_regular_file_is_read(name: str, tmp_path: Path) -> None:
    ((_, _, sentence),) = refusals(
        read_app, f"listen_point: a\nparams: {{t: {{file: {name}}}}}", tmp_path
    )
    assert sentence == f"'params.t' wants the file {name}, which is no regular file"


def test_the_home_of_nobody_is_told(tmp_path: Path) -> None:
    ((_, _, sentence),) = refusals(
        read_app, "listen_point: a\nparams: {t: {file: ~nobody-of-that-name/x}}", tmp_path
    )
    assert sentence.endswith("which can't be read: it names no user's home")


def test_a_variable_of_other_bytes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOTH_TEST_TOKEN", "\udcff")
    ((_, _, sentence),) = refusals(
        read_app, "listen_point: a\nparams: {t: {env: SLOTH_TEST_TOKEN}}"
    )
    assert sentence.endswith("SLOTH_TEST_TOKEN, which is no UTF-8 text")


def test_an_empty_variable_is_a_param_but_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOTH_TEST_TOKEN", "")
    config = read_app("listen_point: a\nparams: {t: {env: SLOTH_TEST_TOKEN}}")
    assert config.params == {"t": ""}
    ((_, _, sentence),) = refusals(
        read_server, "auth: {login: max, password: {env: SLOTH_TEST_TOKEN}}"
    )
    assert sentence == "'auth.password' must be a secret, and is an empty text"
