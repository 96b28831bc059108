"""T3: a placeholder is a name and nothing else; no attribute, index or format is ever followed."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sloth_ci.template import TemplateRefused, compile_template
from tests.calls import Api
from tests.conftest import RunningServer

ATTEMPTS = (
    "{x.__class__}",
    "{x.__init__.__globals__}",
    "{x[0]}",
    "{x[__class__]}",
    "{x!r}",
    "{x:>1000000000}",
    "{x:{x}}",
    "{0}",
    "{}",
    "{0.__class__.__mro__[1].__subclasses__}",
    "%(x)s",
    "%s %n %x",
    "${x.y}",
    "{ x }",
    "{x",
    "x}",
    "{{x.y}}",
)
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


@pytest.mark.parametrize("attempt", [one for one in ATTEMPTS if "{x}" not in one])
def test_what_is_no_name_stays_as_it_is(attempt: str) -> None:
    shown = compile_template(f"echo '{attempt}'").fill({"x": "value", "0": "zero", "": "none"})

    assert shown == f"echo '{attempt}'"


@settings(deadline=None)
@given(value=VALUES)
def test_a_value_is_filled_in_as_it_is_and_not_read_again(value: str) -> None:
    shown = compile_template("echo {x} {y}").fill({"x": value, "y": "{x} {x.__class__}"})

    assert shown == f"echo {value} {{x}} {{x.__class__}}"


@settings(deadline=None)
@given(st.text(alphabet="{}x.[]!:0_ '\"$%", max_size=20))
def test_any_braces_are_refused_or_show_given_values_alone(text: str) -> None:
    try:
        template = compile_template(f"echo {text}")
    except TemplateRefused:
        return
    names = set(re.findall(r"\{([^\W\d]\w*)\}", text))

    shown = template.fill(dict.fromkeys(names, "VALUE"))

    left = re.sub(r"\{\{([^\W\d]\w*)\}\}|\{[^\W\d]\w*\}", "", text)
    assert re.sub("VALUE", "", shown).count(".") == text.count(".")
    assert set(shown.replace("VALUE", "").removeprefix("echo ")) <= set(left) | set(text)
    assert "class" not in shown


def test_a_build_prints_attempts_as_they_came(shared_server: RunningServer, tmp_path: Path) -> None:
    api = Api(shared_server.url, shared_server.login)
    name = api.create(
        f"listen_point: hostile-t3\nactions:\n  - printf '%s' {{x}} > seen\nwork_dir: {tmp_path}\n"
    )

    for attempt in ATTEMPTS:
        end = api.wait_for_build(name, api.trigger(name, x=attempt))

        assert end["message"] == "Complete (1/1)"
        assert (tmp_path / "seen").read_text() == attempt
