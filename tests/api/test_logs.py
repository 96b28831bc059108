"""Logs beyond the contract: of a build, of all apps, searched, from both ends."""

from typing import Any

import pytest

from sloth_ci.api import logs
from sloth_ci.errors import AppNotFound, BadParam, MissingParam
from sloth_ci.store import records
from tests.api.conftest import Stage


def texts(records: list[dict[str, Any]]) -> list[str]:
    return [record["message"] for record in records]


@pytest.fixture
def talk(stage: Stage) -> Stage:
    """Two apps; a build of each printed ten numbers to one stream and a word to the other."""
    for name in ("one", "two"):
        stage.create(f"'seq 10; echo Fehler-{name} >&2'", listen_point=name)
        stage.run(name)
    return stage


def test_without_further_parameters_it_is_what_the_contract_has(talk: Stage) -> None:
    answer = talk.answer("logs", listen_point="one")

    assert not answer.headers
    assert {frozenset(record) for record in answer.value} == {
        frozenset(
            ("timestamp", "logger_name", "level_name", "level_number", "message", "id", "build")
        )
    }
    for given in ({}, {"level": 10}, {"per_page": 3}, {"listen_point": ""}):
        with pytest.raises(MissingParam, match="'listen_point'"):
            talk.answer("logs", **given)


def test_a_builds_log_is_all_that_it_left_and_nothing_else(talk: Stage) -> None:
    records = talk.ask("logs", build=1, per_page=100)

    assert {record["build"] for record in records} == {1}
    assert {record["listen_point"] for record in records} == {"one"}
    assert [record["id"] for record in records] == sorted(
        (record["id"] for record in records), reverse=True
    )
    assert texts(records)[0] == "Complete (1/1)"
    assert texts(records)[-1] == "Triggered, actions in queue: 1"
    assert len(records) == 15


def test_a_tail_is_the_last_records_in_their_order(talk: Stage) -> None:
    assert texts(talk.ask("logs", build=1, tail=2)) == ["Finished", "Complete (1/1)"]
    assert texts(talk.ask("logs", listen_point="two", tail=1)) == ["Complete (1/1)"]


def test_what_a_stream_got_is_told_apart(talk: Stage) -> None:
    assert texts(talk.ask("logs", stream="stderr")) == ["Fehler-two", "Fehler-one"]
    assert len(talk.ask("logs", stream="stdout", listen_point="one", per_page=100)) == 10


def test_a_search_is_for_a_text_in_either_case(talk: Stage) -> None:
    assert texts(talk.ask("logs", search="FEHLER", listen_point="one")) == [
        "Fehler-one",
        "Executing action: seq 10; echo Fehler-one >&2",
    ]
    assert talk.ask("logs", search="%") == []


def test_all_apps_are_read_together(talk: Stage) -> None:
    records = talk.ask("logs", since="1h", level=10, per_page=1_000)

    assert {record["listen_point"] for record in records} == {"one", "two"}
    assert {record["logger_name"].split(".")[0] for record in records} == {"one", "two"}


def test_the_level_is_20_unless_something_in_particular_is_asked_for(talk: Stage) -> None:
    assert min(one["level_number"] for one in talk.ask("logs", since="1h", per_page=1_000)) == 20
    assert {one["level_number"] for one in talk.ask("logs", build=1, level=20)} == {20}


@pytest.mark.parametrize("name", ["before", "after"])
def test_going_on_from_record_to_record_meets_each_once(talk: Stage, name: str) -> None:
    cursor: int | str = 0 if name == "after" else 10**9
    seen: list[int] = []
    while cursor != "":
        answer = talk.answer("logs", level=1, per_page=4, **{name: cursor})
        assert len(answer.value) <= 4
        seen += [record["id"] for record in answer.value]
        cursor = answer.headers.get("X-Next", "")

    assert seen == sorted(seen, reverse=name == "before")
    assert seen == list(range(1, 1 + len(seen)))[:: 1 if name == "after" else -1]
    assert len(seen) >= 30


def test_pages_by_number_go_with_the_further_parameters_too(talk: Stage) -> None:
    everything = talk.ask("logs", build=1, per_page=100)

    assert talk.ask("logs", build=1, from_page=2, to_page=3, per_page=4) == everything[4:12]


def test_a_time_bounds_the_log(talk: Stage) -> None:
    moment = talk.ask("logs", build=2, per_page=100)[-1]["timestamp"]

    assert all(r["timestamp"] < moment for r in talk.ask("logs", until=moment, per_page=100))
    assert all(r["timestamp"] >= moment for r in talk.ask("logs", since=moment, per_page=100))
    assert talk.ask("logs", since="2200-01-01") == []


def test_the_log_of_an_app_that_is_gone_can_be_read_in_particular(talk: Stage) -> None:
    talk.answer("remove", listen_point="one")

    assert len(talk.ask("logs", build=1, per_page=100)) == 15
    with pytest.raises(AppNotFound):
        talk.ask("logs", listen_point="never", tail=3)


def test_an_answer_has_a_size_at_most_and_says_where_to_go_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 5_000)
    stage.create("'for n in $(seq 12); do head -c 1000 /dev/zero | tr \"\\0\" x; echo; done'")
    build = stage.run()
    seen: list[int] = []
    cursor = "9999"
    while cursor:
        answer = stage.answer("logs", build=build, per_page=10_000, before=cursor)
        assert sum(len(one["message"]) for one in answer.value) <= 5_000
        seen += [record["id"] for record in answer.value]
        cursor = answer.headers.get("X-Next", "")

    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) == 12 + len(("Triggered", "Executing action", "Finished", "Complete"))


def test_a_page_has_that_size_at_most_too_and_says_where_to_go_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.create("'for n in $(seq 12); do head -c 1000 /dev/zero | tr \"\\0\" x; echo; done'")
    stage.run()
    whole = stage.ask("logs", listen_point="web", level=1, per_page=100)
    monkeypatch.setattr(logs, "MOST_BYTES", 5_000)
    monkeypatch.setattr(records, "MOST_CHARACTERS", 5_000)

    page = stage.answer("logs", listen_point="web", level=1, per_page=100)

    assert sum(len(one["message"]) for one in page.value) < 5_000
    assert page.value == whole[: len(page.value)]
    following = stage.ask("logs", listen_point="web", level=1, before=page.headers["X-Next"])
    assert following[0]["id"] == whole[len(page.value)]["id"]


def test_a_search_looks_at_so_many_records_and_says_where_to_go_on(
    talk: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MOST_LOOKED_AT", 2)
    found: list[str] = []
    cursor, asked = "9999", 0
    while cursor:
        answer = talk.answer("logs", search="fehler", before=cursor)
        found += texts(answer.value)
        cursor = answer.headers.get("X-Next", "")
        asked += 1

    assert len(found) == 4
    assert asked > 2


@pytest.mark.parametrize(
    "params",
    [
        {"tail": 10_001},
        {"stream": "stdin"},
        {"before": 5, "from_page": 2},
        {"search": "x", "from_page": 1_002},
        {"since": "then"},
    ],
    ids=str,
)
def test_what_can_not_be_read_is_refused(stage: Stage, params: dict[str, Any]) -> None:
    with pytest.raises(BadParam):
        stage.answer("logs", **params)
