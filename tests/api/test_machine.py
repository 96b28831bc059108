"""The API's own description: held against the table that it is made of."""

import json
import re
from urllib.parse import parse_qsl, urlsplit

import pytest

from sloth_ci.api import ACTIONS, call, find_action
from sloth_ci.errors import ActionNotFound
from sloth_ci.parameters import Answer, ApiAction, Kind, Parameter, bind
from tests.api.conftest import Stage


def test_help_tells_of_every_action_and_parameter(stage: Stage) -> None:
    told = {one["name"]: one for one in stage.ask("help")["actions"]}

    assert set(told) == set(ACTIONS)
    for name, action in ACTIONS.items():
        assert told[name]["status"] == action.status
        assert told[name]["changes_state"] == action.changes_state
        assert [one["name"] for one in told[name]["parameters"]] == [
            one.name for one in action.parameters
        ]


def test_help_tells_of_one_action_alone(stage: Stage) -> None:
    (one,) = stage.ask("help", name="rerun")["actions"]

    assert one["example"] == "/?action=rerun&build=17&config=current"
    assert one["parameters"][1]["choices"] == ["stored", "current"]
    with pytest.raises(ActionNotFound, match="Did you mean 'rerun'"):
        stage.ask("help", name="rerunn")


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_each_example_of_help_is_a_request_that_is_understood(
    stage: Stage, action: ApiAction
) -> None:
    (told,) = stage.ask("help", name=action.name)["actions"]
    params = parse_qsl(urlsplit(told["example"]).query)

    assert find_action(params, {}) is action
    bind(action, params)


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_each_action_and_parameter_is_described_in_few_words(action: ApiAction) -> None:
    assert re.fullmatch(r"[A-Z].{10,120}\.", action.about)
    for parameter in action.parameters:
        assert 5 < len(parameter.about) < 110
        assert bool(parameter.choices) == (parameter.kind is Kind.CHOICE)
        assert not (parameter.required and parameter.default is not None)


def test_the_openapi_document_has_a_schema_for_each_action(stage: Stage) -> None:
    document = stage.ask("openapi")

    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) == {"/"}
    schemas = document["components"]["schemas"]
    assert set(schemas) == {*ACTIONS, "Error"}
    for name, action in ACTIONS.items():
        properties = schemas[name]["properties"]
        assert list(properties) == ["action", *(one.name for one in action.parameters)]
        assert properties["action"] == {"const": name}
        assert bool(schemas[name]["additionalProperties"]) == action.open
    assert schemas["builds"]["properties"]["status"]["type"] == "array"
    assert schemas["build"]["properties"]["wait"]["maximum"] == 60


def test_every_reference_of_the_openapi_document_leads_somewhere(stage: Stage) -> None:
    document = stage.ask("openapi")

    references = re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document))
    assert references
    for reference in references:
        found = document
        for step in reference.split("/"):
            found = found[step]


def test_actions_of_extensions_are_described_too(stage: Stage) -> None:
    more = ApiAction(
        "greet", 200, "Say hello.", lambda _server: Answer("hi"), (Parameter("who", "a name"),)
    )
    server = type(stage.server)(
        bed=stage.server.bed, store=stage.store, life=stage.server.life, further={"greet": more}
    )

    names = [one["name"] for one in call(server, [("action", "help")])[1].value["actions"]]
    assert "greet" in names
    assert "greet" in call(server, [("action", "openapi")])[1].value["components"]["schemas"]
