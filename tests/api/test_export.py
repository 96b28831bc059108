"""Exports: three kinds in three forms, whole, and harmless in a spreadsheet."""

import csv
import io
import json
from typing import Any

import pytest

from sloth_ci.api import export as module
from sloth_ci.api.export import Export
from sloth_ci.errors import AppNotFound, BadParam
from tests.api.conftest import Stage, read_to_end
from tests.api.test_builds import queue


def export(stage: Stage, **params: Any) -> list[dict[str, Any]]:
    """The rows, whatever their form; a CSV's are texts."""
    answer = stage.answer("export", **params)
    stream = answer.stream
    assert stream is not None
    text = read_to_end(stream).decode()
    form = params.get("format", "json")
    kind = params.get("kind", "builds")
    name = f'attachment; filename="sloth-ci-{kind}.{form}"'
    assert answer.headers["Content-Disposition"] == name
    if form == "json":
        assert stream.content_type == "application/json"
        return list(json.loads(text))
    if form == "ndjson":
        assert stream.content_type == "application/x-ndjson"
        return [json.loads(line) for line in text.splitlines()]
    assert stream.content_type == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture
def built(stage: Stage) -> Stage:
    for name in ("a", "b"):
        stage.create("echo hi", listen_point=name)
        stage.run(name, branch="main")
        stage.run(name, branch="=HYPERLINK(1)")
    return stage


@pytest.mark.parametrize("form", ["json", "ndjson", "csv"])
@pytest.mark.parametrize(("kind", "rows"), [("builds", 4), ("history", 8), ("stats", 3)])
def test_each_kind_comes_in_each_form(built: Stage, kind: str, form: str, rows: int) -> None:
    assert len(export(built, kind=kind, format=form)) == rows


@pytest.mark.parametrize("kind", ["builds", "history", "stats"])
def test_json_and_lines_of_json_say_the_same(built: Stage, kind: str) -> None:
    one, other = (export(built, kind=kind, format=form) for form in ("json", "ndjson"))
    for row in (*one, *other):
        row.pop("since", None)
        row.pop("until", None)
    assert one == other


@pytest.mark.parametrize("form", ["json", "ndjson", "csv"])
def test_nothing_is_a_whole_answer_too(stage: Stage, form: str) -> None:
    assert export(stage, format=form) == []


def test_builds_are_those_that_builds_lists(built: Stage) -> None:
    assert export(built) == built.ask("builds", per_page=10)["builds"]


def test_history_is_that_of_history_app_by_app(built: Stage) -> None:
    wanted = [
        {"listen_point": name, **record}
        for name in ("a", "b")
        for record in built.ask("history", listen_point=name)
    ]
    assert export(built, kind="history") == wanted


def test_what_is_more_than_a_piece_is_whole(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE", 5)
    stage.create("echo hi")
    made = [queue(stage) for _build in range(13)]

    assert [row["id"] for row in export(stage)] == made[::-1]
    assert len(export(stage, kind="history", format="csv")) == len(made)
    assert len(export(stage, kind="history", listen_point="web")) == len(made)


@pytest.mark.parametrize("kind", ["builds", "history"])
def test_a_pull_reads_few_rows_however_many_are_newer(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(module, "PIECE", 2)
    stage.create("echo hi")
    for _build in range(9):
        queue(stage)
    oldest = stage.ask("build", id=1)["queued"]
    questions: list[Any] = []
    ask = stage.store._reader.rows
    monkeypatch.setattr(
        stage.store._reader,
        "rows",
        lambda sql, values=(): questions.append(found := ask(sql, values)) or found,
    )

    stream = stage.answer("export", kind=kind, until=oldest).stream
    assert stream is not None
    assert read_to_end(stream) == b"[]\n"

    rows = sum(len(found) for found in questions if found and len(found[0]) > 2)
    assert rows == 0


def test_the_app_and_the_time_are_chosen(built: Stage) -> None:
    middle = built.ask("build", id=3)["queued"]

    assert [row["id"] for row in export(built, listen_point="a")] == [2, 1]
    assert [row["id"] for row in export(built, since=middle)] == [4, 3]
    assert [row["id"] for row in export(built, until=middle)] == [2, 1]
    assert len(export(built, kind="history", since=middle)) == 4
    assert len(export(built, kind="history", until=middle)) == 4


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_cell_is_a_formula(stage: Stage, begin: str) -> None:
    hostile = f'{begin}cmd|"/c calc"!A1'
    stage.create("echo hi")
    stage.run(branch=hostile)

    (row,) = export(stage, format="csv")

    assert row["branch"] == f"'{hostile}"
    assert export(stage)[0]["branch"] == hostile


def test_numbers_stay_numbers_and_what_is_not_known_is_empty(built: Stage) -> None:
    row = export(built, format="csv")[0]

    assert float(row["duration"]) > 0
    assert row["rerun_of"] == ""


def test_an_export_that_is_closed_gives_nothing_more() -> None:
    stream = Export(iter([b"one"]), content_type="text/plain")

    assert (stream.close(), stream.ended) == (b"", True)


def test_what_can_not_be_exported_is_refused(stage: Stage) -> None:
    with pytest.raises(BadParam, match="one of history, builds, stats"):
        stage.answer("export", kind="apps")
    with pytest.raises(BadParam, match="one of json, ndjson, csv"):
        stage.answer("export", format="xlsx")
    with pytest.raises(AppNotFound):
        stage.answer("export", listen_point="never")
