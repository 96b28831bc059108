"""The API's own description: for people and agents (`help`), and as OpenAPI 3.1 (`openapi`)."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from sloth_ci import __version__
from sloth_ci.parameters import MAX_CURSOR, MAX_NUMBER, ApiAction, Kind, Parameter

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "details"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "details": {"type": "object"},
            },
        }
    },
}
_SCHEMAS: Mapping[Kind, Mapping[str, Any]] = {
    Kind.TEXT: {"type": "string"},
    Kind.NUMBER: {"type": "integer", "minimum": 1, "maximum": MAX_NUMBER},
    Kind.CURSOR: {"type": "integer", "minimum": 0, "maximum": MAX_CURSOR},
    Kind.SECONDS: {"type": "number", "minimum": 0},
    Kind.MOMENT: {"type": "string", "examples": ["7d", "2026-03-01T14:30:00Z", "1772375400"]},
    Kind.FLAG: {"type": "boolean"},
    Kind.CHOICE: {"type": "string"},
}


def show_action(action: ApiAction) -> dict[str, Any]:
    """An action as `help` tells of it."""
    return {
        "name": action.name,
        "about": action.about,
        "status": action.status,
        "changes_state": action.changes_state,
        "open": action.open,
        "parameters": [show_parameter(parameter) for parameter in action.parameters],
        "example": "/?" + urlencode({"action": action.name, **action.example}),
    }


def show_parameter(parameter: Parameter) -> dict[str, Any]:
    """A parameter as `help` tells of it."""
    return {
        "name": parameter.name,
        "about": parameter.about,
        "kind": parameter.kind.name.lower(),
        "wanted": parameter.wanted,
        "required": parameter.required,
        "many": parameter.many,
        "default": parameter.default,
        "choices": list(parameter.choices),
        "most": parameter.most,
    }


def make_openapi(actions: Mapping[str, ApiAction]) -> dict[str, Any]:
    """The API as an OpenAPI 3.1 document: one path, and a schema of parameters for each action."""
    request = {
        "oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in actions],
        "discriminator": {"propertyName": "action"},
    }
    by_query = {
        "name": "request",
        "in": "query",
        "required": True,
        "style": "form",
        "explode": True,
        "schema": request,
    }
    by_body = {
        "required": True,
        "content": {
            kind: {"schema": request}
            for kind in (
                "application/x-www-form-urlencoded",
                "multipart/form-data",
                "application/json",
            )
        },
    }
    responses = _make_responses(actions)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sloth CI",
            "version": __version__,
            "description": "One endpoint; the parameter 'action' says what is asked for.",
        },
        "servers": [{"url": "/"}],
        "security": [{"login": []}],
        "paths": {
            "/": {
                "get": {
                    "operationId": "ask",
                    "summary": "Ask with parameters in the query string.",
                    "parameters": [by_query],
                    "responses": responses,
                },
                "post": {
                    "operationId": "send",
                    "summary": "Ask with parameters in the body.",
                    "requestBody": by_body,
                    "responses": responses,
                },
            }
        },
        "components": {
            "securitySchemes": {"login": {"type": "http", "scheme": "basic"}},
            "schemas": {
                **{name: _make_schema(action) for name, action in actions.items()},
                "Error": _ERROR,
            },
        },
    }


def _make_responses(actions: Mapping[str, ApiAction]) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for action in actions.values():
        by_status.setdefault(action.status, []).append(action.name)
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        **{
            str(status): {"description": f"The success of {', '.join(by_status[status])}."}
            for status in sorted(by_status)
        },
        "default": {"description": "An error; its code doesn't change.", "content": error},
    }


def _make_schema(action: ApiAction) -> dict[str, Any]:
    return {
        "type": "object",
        "description": action.about,
        "required": ["action", *(one.name for one in action.parameters if one.required)],
        "properties": {
            "action": {"const": action.name},
            **{one.name: _make_property(one) for one in action.parameters},
        },
        "additionalProperties": {"type": "string"} if action.open else False,
        "x-changes-state": action.changes_state,
    }


def _make_property(parameter: Parameter) -> dict[str, Any]:
    schema = dict(_SCHEMAS[parameter.kind])
    if parameter.choices:
        schema["enum"] = list(parameter.choices)
    if parameter.most is not None:
        schema["maximum"] = parameter.most
    if parameter.many:
        schema = {"type": "array", "items": schema}
    if parameter.default is not None:
        schema["default"] = parameter.default
    return {**schema, "description": parameter.about}
