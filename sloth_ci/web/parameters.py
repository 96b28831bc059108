"""The parameters of an API request: those of the query string and of the body add up."""

import json
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

from multipart import MultipartError, MultipartParser, parse_options_header

from sloth_ci.errors import BadBody
from sloth_ci.request import Request

#: More parameters than this are no honest request.
MAX_PARAMETERS = 1_000
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
JSON = "application/json"


def read_parameters(request: Request) -> list[tuple[str, str]]:
    """Names and values in the order they came.

    Raises BadBody.
    """
    found = _read_pairs(request.query, "a query string in UTF-8")
    if request.body:
        found += _read_body(request)
    return found


def _read_body(request: Request) -> list[tuple[str, str]]:
    kind, options = parse_options_header(request.header("content-type") or FORM)
    if kind == JSON:
        return _read_json(request.body)
    if kind == MULTIPART:
        return _read_multipart(request.body, options.get("boundary", ""))
    if kind == FORM:
        text = _decode(request.body, "a form in UTF-8")
        return _read_pairs(text, "a form in UTF-8")
    raise BadBody(wanted=f"{FORM}, {MULTIPART} or {JSON}", reason=f"it is {kind[:60]}")


def _read_pairs(text: str, wanted: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
        )
    except ValueError as error:
        raise BadBody(wanted=wanted, reason=str(error)) from error


def _read_multipart(body: bytes, boundary: str) -> list[tuple[str, str]]:
    try:
        parts = MultipartParser(
            BytesIO(body),
            boundary,
            content_length=len(body),
            part_limit=MAX_PARAMETERS,
            spool_limit=len(body) + 1,
            memory_limit=len(body) + 1,
            strict=True,
        )
        return [(part.name, _decode(part.raw, "parts in UTF-8")) for part in parts]
    except (MultipartError, ValueError) as error:
        raise BadBody(wanted="multipart/form-data", reason=str(error)) from error


def _read_json(body: bytes) -> list[tuple[str, str]]:
    try:
        value = json.loads(_decode(body, "JSON in UTF-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadBody(wanted="a JSON object", reason=f"it can't be read ({error})") from error
    if not isinstance(value, dict):
        raise BadBody(wanted="a JSON object", reason="it is another kind of JSON value")
    pairs = []
    for name, item in value.items():
        items = item if isinstance(item, list) else [item]
        pairs += [(name, _as_text(name, one)) for one in items]
    return pairs


def _as_text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return value
    raise BadBody(
        wanted="a JSON object of texts and numbers, or lists of them",
        reason=f"'{name}' is something else",
    )


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _decode(body: bytes, wanted: str) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise BadBody(wanted=wanted, reason=f"byte {error.start} is not") from error
