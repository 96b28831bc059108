"""Builds and their actions, as the store tells of them."""

from collections.abc import Iterable
from logging import DEBUG, INFO
from typing import Any

import pytest

from sloth_ci.builds import BuildStatus, Outcome, OutcomeStatus, Result
from sloth_ci.errors import BuildNotFound, QueueFull
from sloth_ci.records import Logger, LogRecord
from sloth_ci.store import Cause, Claimed, Pause, StoredBuild, queue
from tests.store.conftest import Shelf

FAILED, COMPLETE, QUEUED = BuildStatus.FAILED, BuildStatus.COMPLETE, BuildStatus.QUEUED


def ids(builds: list[StoredBuild]) -> list[int]:
    return [one.id for one in builds]


class TestListing:
    def test_builds_come_newest_first_and_by_every_filter(self, shelf: Shelf) -> None:
        web, api = shelf.add_app("web"), shelf.add_app("api")
        one = shelf.build(web, params={"branch": "main"})
        two = shelf.build(web, FAILED, {"branch": "dev"})
        moment = shelf.clock.now = shelf.clock.now + 100
        three = shelf.build(api, BuildStatus.TIMED_OUT, {"branch": "main"})
        four = shelf.queue(web, {"branch": "main"})
        store = shelf.store
        assert ids(store.builds(most=10)) == [four, three, two, one]
        assert ids(store.builds(app_id=web, most=10)) == [four, two, one]
        assert ids(store.builds(statuses=(FAILED, BuildStatus.TIMED_OUT), most=10)) == [three, two]
        assert ids(store.builds(branch="main", most=10)) == [four, three, one]
        assert ids(store.builds(app_id=web, branch="main", statuses=(QUEUED,), most=10)) == [four]
        assert ids(store.builds(since=moment, most=10)) == [four, three]
        assert ids(store.builds(before=three, most=10)) == [two, one]
        assert ids(store.builds(skip=1, most=2)) == [three, two]
        assert ids(store.builds(branch="", most=10)) == []

    def test_a_build_tells_who_wanted_it_with_which_params_and_config(self, shelf: Shelf) -> None:
        web = shelf.add_app(config="listen_point: web")
        build_id = shelf.queue(web, {"branch": "main", "commit": "c0ffee"}, actor="joe")
        waiting = shelf.store.find_build(build_id)
        shelf.store.claim(web)
        shelf.finish(web, build_id, FAILED, "No disk")
        build = shelf.store.find_build(build_id)
        assert waiting is not None
        assert build is not None
        assert waiting.config_id is None
        assert build.config_id is not None
        assert shelf.store.config(build.config_id) == "listen_point: web"
        assert (build.actor, build.reason, build.branch, build.commit_id) == (
            "joe",
            "No disk",
            "main",
            "c0ffee",
        )
        assert build.params == {"branch": "main", "commit": "c0ffee"}

    def test_a_waiting_build_runs_with_what_its_app_has_when_it_starts(self, shelf: Shelf) -> None:
        web = shelf.add_app(config="a: 1")
        shelf.queue(web)
        stored = shelf.store.app(web)
        shelf.store.set_app(app_id=web, origin=stored.origin, config="a: 2", file=None)
        claimed = shelf.store.claim(web)
        assert claimed is not None
        assert claimed.config_id is not None
        assert shelf.store.config(claimed.config_id) == "a: 2"

    def test_a_config_that_comes_back_is_kept_once(self, shelf: Shelf) -> None:
        web = shelf.add_app(config="a: 1")
        first = shelf.store.app(web)
        for text in ("a: 2", "a: 1"):
            shelf.store.set_app(app_id=web, origin=first.origin, config=text, file=None)
        assert shelf.store.app(web).config_id == first.config_id

    def test_the_previous_build_is_the_newest_finished_one_before(self, shelf: Shelf) -> None:
        web, api = shelf.add_app("web"), shelf.add_app("api")
        good, bad = shelf.build(web), shelf.build(web, FAILED)
        shelf.build(api)
        last = shelf.queue(web)
        previous = shelf.store.previous
        found = [previous(last), previous(last, status=COMPLETE), previous(bad), previous(good)]
        assert [one and one.id for one in found] == [bad, good, good, None]
        assert previous(999_999) is None


class TestActions:
    def test_an_action_is_there_from_its_start_with_its_records_and_its_end(
        self, shelf: Shelf
    ) -> None:
        store, web = shelf.store, shelf.add_app()
        build_id = shelf.queue(web)
        store.claim(web)

        def say(message: str) -> None:
            store.write(LogRecord(web, Logger.EXEC, DEBUG, message, 1.0, build_id))

        store.note_action(build_id=build_id, position=0, command="make", started=5.0)
        say("Executing")
        say("a line")
        store.flush()
        [running] = store.actions(build_id)
        assert (running.command, running.status, running.finished) == ("make", None, None)
        outcome = Outcome(
            OutcomeStatus.FAILED, "Exit code: 3", exit_code=3, cpu=1.5, memory=4096, output=7
        )
        say("Failed")
        store.note_outcome(build_id=build_id, position=0, outcome=outcome, finished=8.0)
        store.note_action(build_id=build_id, position=1, command="test", started=8.0)
        say("of the next")
        store.flush()
        ended, following = store.actions(build_id)
        assert (ended.status, ended.reason, ended.exit_code) == (
            OutcomeStatus.FAILED,
            "Exit code: 3",
            3,
        )
        assert (ended.started, ended.finished) == (5.0, 8.0)
        assert (ended.cpu, ended.memory, ended.output) == (1.5, 4096, 7)
        records = store.records(build_id=build_id, level=1, oldest_first=True, most=100).records
        named = {record.id: record.message for record in records}
        assert named[ended.first_record or 0] == "Executing"
        assert named[ended.last_record or 0] == "Failed"
        assert named[following.first_record or 0] == "of the next"

    def test_what_never_said_how_it_ended_is_halted_with_its_build(self, shelf: Shelf) -> None:
        web = shelf.add_app()
        build_id = shelf.queue(web)
        shelf.store.claim(web)
        shelf.store.note_action(build_id=build_id, position=0, command="make", started=5.0)
        again = shelf.reopen()
        again.recover()
        [action] = again.actions(build_id)
        assert (action.status, action.reason) == (OutcomeStatus.HALTED, "Interrupted")

    def test_any_command_can_be_kept_and_a_long_one_is_cut(self, shelf: Shelf) -> None:
        store, web = shelf.store, shelf.add_app()
        build_id = shelf.queue(web)
        store.note_action(
            build_id=build_id, position=0, command="\ud800" + "x" * 9_000, started=1.0
        )
        store.flush()
        [action] = store.actions(build_id)
        assert action.command.startswith("\\ud800x")
        assert len(action.command) < 9_000

    def test_an_outcome_that_can_not_be_noted_keeps_nothing_else_from_being_written(
        self, shelf: Shelf
    ) -> None:
        web = shelf.add_app()
        build_id = shelf.queue(web)
        shelf.store.note_action(build_id=build_id, position=0, command="make", started=1.0)
        nothing: Any = None
        nonsense = Outcome(OutcomeStatus.FAILED, reason=nothing)
        shelf.store.note_outcome(build_id=build_id, position=0, outcome=nonsense, finished=2.0)
        shelf.store.note_progress(build_id=build_id, completed=1)
        shelf.store.flush()
        [action] = shelf.store.actions(build_id)
        assert action.status is None
        build = shelf.store.find_build(build_id)
        assert build is not None
        assert build.completed == 1


class TestCancel:
    def test_a_waiting_build_is_cancelled_at_once_and_makes_room(self, shelf: Shelf) -> None:
        web = shelf.add_app()
        first, second = shelf.queue(web), shelf.queue(web)
        assert shelf.store.cancel(first, reason="Cancelled by joe") is BuildStatus.QUEUED
        build = shelf.store.find_build(first)
        assert build is not None
        assert (build.status, build.reason) == (BuildStatus.CANCELLED, "Cancelled by joe")
        newest = shelf.store.history(app_id=web, level=1, skip=0, most=1)[0]
        assert newest.message == "Cancelled (0/2)"
        assert shelf.store.queue().waiting == 1
        claimed = shelf.store.claim(web)
        assert claimed is not None
        assert claimed.id == second

    @pytest.mark.parametrize("status", [COMPLETE, FAILED, BuildStatus.CANCELLED])
    def test_a_finished_build_stays_as_it_is(self, shelf: Shelf, status: BuildStatus) -> None:
        web = shelf.add_app()
        build_id = shelf.build(web, status)
        before = shelf.store.find_build(build_id)
        assert shelf.store.cancel(build_id, reason="too late") is status
        assert shelf.store.find_build(build_id) == before

    def test_a_running_build_is_left_to_its_executor(self, shelf: Shelf) -> None:
        web = shelf.add_app()
        build_id = shelf.queue(web)
        shelf.store.claim(web)
        assert shelf.store.cancel(build_id, reason="now") is BuildStatus.RUNNING
        assert shelf.status(build_id) is BuildStatus.RUNNING

    def test_a_build_that_is_not_there_is_told(self, shelf: Shelf) -> None:
        with pytest.raises(BuildNotFound):
            shelf.store.cancel(7, reason="")


class TestRerun:
    def test_it_has_the_params_of_the_first_one_and_says_so(self, shelf: Shelf) -> None:
        web = shelf.add_app()
        first = shelf.build(web, params={"branch": "main"})
        again = shelf.store.rerun(first, total=3, actor="joe")
        build = shelf.store.find_build(again)
        assert build is not None
        assert (build.params, build.branch) == ({"branch": "main"}, "main")
        assert (build.cause, build.rerun_of, build.actor) == (Cause.RERUN, first, "joe")
        assert (build.total, build.status) == (3, QUEUED)

    def test_it_runs_with_the_config_it_is_given(self, shelf: Shelf) -> None:
        web = shelf.add_app(config="a: 1")
        first = shelf.store.find_build(shelf.build(web))
        assert first is not None
        origin = shelf.store.app(web).origin
        shelf.store.set_app(app_id=web, origin=origin, config="a: 2", file=None)
        shelf.store.rerun(first.id, total=1, config_id=first.config_id)
        claimed = shelf.store.claim(web)
        assert claimed is not None
        assert claimed.config_id == first.config_id

    def test_a_full_queue_takes_none(self, shelf: Shelf) -> None:
        web = shelf.add_app()
        first = shelf.build(web)
        for _ in range(50):
            shelf.queue(web)
        with pytest.raises(QueueFull):
            shelf.store.rerun(first, total=1)

    def test_what_is_forgotten_is_not_run_again(self, shelf: Shelf) -> None:
        build_id = shelf.build(shelf.add_app())
        for wanted, config_id in ((99, None), (build_id, 99)):
            with pytest.raises(BuildNotFound):
                shelf.store.rerun(wanted, total=1, config_id=config_id)


class TestPauses:
    @pytest.mark.parametrize("whole", [False, True])
    def test_nothing_starts_until_it_goes_on_over_a_restart(
        self, shelf: Shelf, *, whole: bool
    ) -> None:
        web = shelf.add_app()
        paused = None if whole else web
        build_id = shelf.queue(web)
        shelf.store.pause(paused, reason="holiday", by="joe")
        shelf.queue(web)
        assert shelf.store.claim(web) is None
        store = shelf.reopen()
        assert store.claim(web) is None
        name = "" if whole else "web"
        assert store.pauses() == [Pause(paused, name, "holiday", "joe", shelf.clock.now)]
        store.resume(paused)
        assert store.pauses() == []
        claimed = store.claim(web)
        assert claimed is not None
        assert claimed.id == build_id

    def test_other_apps_go_on(self, shelf: Shelf) -> None:
        web, api = shelf.add_app("web"), shelf.add_app("api")
        shelf.store.pause(web, reason="", by="")
        shelf.queue(api)
        assert shelf.store.claim(api) is not None

    def test_an_app_that_is_made_anew_is_not_paused(self, shelf: Shelf) -> None:
        web = shelf.add_app()
        shelf.store.pause(web, reason="old", by="joe")
        shelf.store.remove_app(web)
        assert shelf.add_app() == web
        assert shelf.store.pauses() == []


class TestNotes:
    def test_a_note_is_kept_until_its_app_goes(self, shelf: Shelf) -> None:
        web, store = shelf.add_app(), shelf.store
        store.set_note(web, "clock", "last", "1")
        store.set_note(web, "clock", "last", "2")
        store.set_note(0, "clock", "last", "server's")
        again = shelf.reopen()
        assert again.note(web, "clock", "last") == "2"
        assert again.note(web, "other", "last") is None
        again.remove_app(web)
        assert again.note(web, "clock", "last") is None
        assert again.note(0, "clock", "last") == "server's"


class TestFigures:
    def test_statistics_have_finished_builds_and_actions_since_then(self, shelf: Shelf) -> None:
        web, api = shelf.add_app("web"), shelf.add_app("api")
        shelf.build(web)
        shelf.clock.now += 1_000
        since = shelf.clock.now
        first, second = shelf.build(web), shelf.build(web, FAILED)
        shelf.build(api)
        shelf.queue(api)
        for build_id, seconds in ((first, 2.0), (second, 4.0)):
            shelf.store.note_action(
                build_id=build_id, position=0, command=f"make {build_id}", started=10.0
            )
            status = OutcomeStatus.COMPLETED if build_id == first else OutcomeStatus.FAILED
            shelf.store.note_outcome(
                build_id=build_id, position=0, outcome=Outcome(status), finished=10.0 + seconds
            )
        shelf.store.flush()
        found = shelf.store.statistics(since=since)
        assert [(one.listen_point, one.status) for one in found.builds] == [
            ("api", COMPLETE),
            ("web", FAILED),
            ("web", COMPLETE),
        ]
        [action] = found.actions
        assert (action.command, action.runs, action.failed) == (f"make {second}", 2, 1)
        assert (action.mean, action.longest) == (3.0, 4.0)
        assert not found.cut
        assert len(shelf.store.statistics(app_id=web, since=0).builds) == 3
        assert shelf.store.statistics(since=since + 5_000).builds == ()

    def test_the_queue_knows_what_waits_since_when_and_what_runs(self, shelf: Shelf) -> None:
        web = shelf.add_app()
        assert shelf.store.queue().oldest is None
        moment = shelf.clock.now
        shelf.queue(web)
        shelf.clock.now += 5
        shelf.queue(web)
        shelf.queue(web)
        shelf.store.claim(web)
        queue = shelf.store.queue()
        assert (queue.waiting, queue.running, queue.oldest) == (2, 1, moment + 5)

    def test_sizes_grow_with_what_is_kept(self, shelf: Shelf) -> None:
        web = shelf.add_app()
        before = shelf.store.sizes()
        assert (before.records, before.builds) == (0, 0)
        shelf.build(web)
        shelf.store.write(LogRecord(web, Logger.APP, INFO, "hi", 1.0))
        shelf.store.flush()
        after = shelf.store.sizes()
        assert (after.records, after.builds) == (3, 1)
        assert after.database > 0
        assert after.wal > 0


@pytest.mark.parametrize("branch", [None, "main"])
@pytest.mark.parametrize(
    "statuses",
    [(), (FAILED,), (FAILED, COMPLETE), (COMPLETE,), (QUEUED,), (BuildStatus.RUNNING,)],
    ids=str,
)
@pytest.mark.parametrize("of_app", [False, True])
def test_no_listing_of_builds_reads_the_whole_table_or_sorts_it(
    shelf: Shelf,
    monkeypatch: pytest.MonkeyPatch,
    branch: str | None,
    statuses: tuple[BuildStatus, ...],
    of_app: bool,
) -> None:
    """The plan is looked at, so that a lost index is noticed before a table is large."""
    plans: list[str] = []
    reader = shelf.store._reader
    rows = reader.rows

    def explain(sql: str, values: Iterable[object] = ()) -> list[tuple[object, ...]]:
        plan = rows(f"EXPLAIN QUERY PLAN {sql}", tuple(values))
        plans.extend(str(row[3]) for row in plan)
        return []

    web = shelf.add_app()
    monkeypatch.setattr(reader, "rows", explain)
    shelf.store.builds(
        app_id=web if of_app else None, statuses=statuses, branch=branch, before=5, most=5
    )
    assert plans
    # What waits is sorted, as its index is that of apps' queues, and read whole, as what runs is.
    few = ("INDEX builds_queued", "INDEX builds_running")
    scans = [step for step in plans if "SCAN builds" in step]
    assert not [step for step in scans if not step.endswith(few)]
    assert QUEUED in statuses or not [step for step in plans if "TEMP B-TREE" in step]


class TestClaimWithAnEnd:
    def end(self, shelf: Shelf, app_id: int, build_id: int, *, then_claim: int) -> Claimed | None:
        return shelf.store.finish(
            app_id=app_id,
            build_id=build_id,
            result=Result(COMPLETE, 1),
            total=2,
            then_claim=then_claim,
        )

    @pytest.mark.parametrize("name", ["web", "api"])
    def test_the_end_of_a_build_and_the_claim_of_the_next_are_one_commit(
        self, shelf: Shelf, name: str
    ) -> None:
        web, api = shelf.add_app("web"), shelf.add_app("api")
        first = shelf.queue(web)
        following = shelf.queue({"web": web, "api": api}[name])
        shelf.store.claim(web)
        seen: list[list[BuildStatus]] = []
        shelf.store.subscribe(lambda: seen.append([shelf.status(first), shelf.status(following)]))
        claimed = self.end(shelf, web, first, then_claim=web if name == "web" else api)
        assert claimed is not None
        assert claimed.id == following
        shelf.store.flush()
        assert seen[0] == [COMPLETE, BuildStatus.RUNNING]

    def test_where_nothing_may_start_a_build_ends_all_the_same(self, shelf: Shelf) -> None:
        web = shelf.add_app("web")
        first, following = shelf.queue(web), shelf.queue(web)
        shelf.store.claim(web)
        shelf.store.pause(web, reason="holiday", by="joe")
        assert self.end(shelf, web, first, then_claim=web) is None
        assert (shelf.status(first), shelf.status(following)) == (COMPLETE, QUEUED)

    def test_a_claim_that_fails_leaves_the_end_to_be_written_again(
        self, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        web = shelf.add_app("web")
        first = shelf.queue(web)
        shelf.store.claim(web)

        def fail(*_given: object, **_named: object) -> None:
            raise ZeroDivisionError

        with monkeypatch.context() as patch:
            patch.setattr(queue, "_claim", fail)
            with pytest.raises(ZeroDivisionError):
                self.end(shelf, web, first, then_claim=web)
        assert shelf.status(first) is BuildStatus.RUNNING
        assert self.end(shelf, web, first, then_claim=web) is None
        assert shelf.status(first) is COMPLETE
