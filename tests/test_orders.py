"""What people order of a bed: builds cancelled, run again, seen beforehand; apps paused."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from sloth_ci.bed import Bed
from sloth_ci.builds import (
    Build,
    BuildJournal,
    BuildStatus,
    Halt,
    Outcome,
    OutcomeStatus,
)
from sloth_ci.errors import AppNotFound, BadParam, BuildNotFound, ConfigInvalid, Stopping
from sloth_ci.executors import ThreadExecutor
from sloth_ci.journal import Journal
from sloth_ci.store import Cause, Store
from tests.calls import wait_until

WEB = "listen_point: web\nactions: [echo old]\n"
PATIENCE = 45


class Stage:
    """A bed whose actions run until they are let go, or halted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands: list[str] = []
        self.started = Event()
        self.go = Event()
        self.go.set()
        self.open()

    def open(self) -> None:
        self.store = Store(self.folder / "sloth.db")
        self.bed = Bed(
            store=self.store,
            journal=Journal(self.store),
            base_dir=self.folder,
            run_action=self.run_action,
            make_executor=lambda run: ThreadExecutor(run, max_builds=2),
        )

    def run_action(
        self,
        build: Build,
        position: int,
        deadline: float | None,
        halt: Halt,
        journal: BuildJournal,
    ) -> Outcome:
        self.commands.append(build.actions[position].template.fill(build.params))
        self.started.set()
        wait_until(lambda: self.go.is_set() or halt.status)
        return Outcome(OutcomeStatus.HALTED if halt.status else OutcomeStatus.COMPLETED)

    def status(self, build_id: int) -> BuildStatus:
        build = self.store.find_build(build_id)
        assert build is not None
        return build.status

    def wait_for(self, build_id: int, status: BuildStatus) -> None:
        wait_until(lambda: self.status(build_id) is status)

    def close(self) -> None:
        self.go.set()
        self.bed.executor.stop(PATIENCE)
        self.bed.close()
        self.store.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.close()


class TestCancel:
    def test_a_running_build_ends_with_who_cancelled_it(self, stage: Stage) -> None:
        stage.go.clear()
        build_id = stage.bed.create(WEB).trigger({}, actor="ann")
        assert stage.started.wait(PATIENCE)
        assert stage.bed.cancel(build_id, actor="joe") is BuildStatus.RUNNING
        stage.wait_for(build_id, BuildStatus.CANCELLED)
        build = stage.store.find_build(build_id)
        assert build is not None
        assert (build.actor, build.reason) == ("ann", "Cancelled by joe")
        [action] = stage.store.actions(build_id)
        assert action.status is OutcomeStatus.HALTED

    def test_a_waiting_build_never_runs_and_those_around_it_do(self, stage: Stage) -> None:
        stage.go.clear()
        app = stage.bed.create("listen_point: web\nactions: ['echo {n}']\n")
        first, second, third = (app.trigger({"n": str(number)}) for number in range(3))
        assert stage.started.wait(PATIENCE)
        assert stage.bed.cancel(second, actor="joe") is BuildStatus.CANCELLED
        stage.go.set()
        stage.wait_for(third, BuildStatus.COMPLETE)
        assert stage.status(first) is BuildStatus.COMPLETE
        assert stage.status(second) is BuildStatus.CANCELLED
        assert stage.commands == ["echo 0", "echo 2"]

    def test_to_cancel_it_again_changes_nothing(self, stage: Stage) -> None:
        build_id = stage.bed.create(WEB).trigger({})
        stage.wait_for(build_id, BuildStatus.COMPLETE)
        assert stage.bed.cancel(build_id, actor="joe") is BuildStatus.COMPLETE
        with pytest.raises(BuildNotFound):
            stage.bed.cancel(999, actor="joe")

    def test_whenever_it_comes_it_ends_that_build_or_none(self, stage: Stage) -> None:
        """Cancels race with starts; the builds between them must all complete."""
        app = stage.bed.create(WEB)
        kept: list[int] = []
        for _ in range(40):
            unwanted = app.trigger({})
            canceller = Thread(target=stage.bed.cancel, args=(unwanted,), kwargs={"actor": "joe"})
            canceller.start()
            kept.append(app.trigger({}))
            canceller.join()
        for build_id in kept:
            wait_until(lambda build_id=build_id: stage.status(build_id).final)
            assert stage.status(build_id) is BuildStatus.COMPLETE

    def test_to_remove_an_app_ends_what_runs_and_not_what_follows_there(self, stage: Stage) -> None:
        stage.go.clear()
        running = stage.bed.create(WEB).trigger({})
        assert stage.started.wait(PATIENCE)
        stage.bed.remove("web")
        following = stage.bed.create(WEB).trigger({})
        stage.wait_for(running, BuildStatus.CANCELLED)
        stage.go.set()
        stage.wait_for(following, BuildStatus.COMPLETE)
        build = stage.store.find_build(running)
        assert build is not None
        assert build.reason == "The app was removed"


class TestRerun:
    @pytest.fixture
    def changed(self, stage: Stage) -> int:
        """A build, whose app has another config by now."""
        build_id = stage.bed.create(WEB).trigger({"branch": "main"}, actor="ann")
        stage.wait_for(build_id, BuildStatus.COMPLETE)
        stage.bed.update("web", "listen_point: web\nactions: [echo new, echo newer]\n")
        return build_id

    def test_as_it_was_it_runs_with_the_config_it_had(self, stage: Stage, changed: int) -> None:
        again = stage.bed.rerun_as_it_was(changed, actor="joe")
        stage.wait_for(again, BuildStatus.COMPLETE)
        assert stage.commands == ["echo old"] * 2
        first, build = stage.store.find_build(changed), stage.store.find_build(again)
        assert first is not None
        assert build is not None
        assert (build.rerun_of, build.actor, build.cause) == (changed, "joe", Cause.RERUN)
        assert (build.params, build.config_id) == ({"branch": "main"}, first.config_id)
        assert (build.total, build.completed) == (1, 1)

    def test_with_todays_config_it_runs_what_the_app_has_now(
        self, stage: Stage, changed: int
    ) -> None:
        again = stage.bed.rerun_with_todays_config(changed, actor="joe")
        stage.wait_for(again, BuildStatus.COMPLETE)
        assert stage.commands == ["echo old", "echo new", "echo newer"]
        build = stage.store.find_build(again)
        assert build is not None
        assert (build.total, build.params) == (2, {"branch": "main"})

    def test_a_rerun_can_be_run_again_as_it_was(self, stage: Stage, changed: int) -> None:
        again = stage.bed.rerun_as_it_was(changed, actor="")
        stage.wait_for(again, BuildStatus.COMPLETE)
        third = stage.bed.rerun_as_it_was(again, actor="")
        stage.wait_for(third, BuildStatus.COMPLETE)
        assert stage.commands == ["echo old"] * 3

    def test_a_config_that_can_not_be_read_any_more_is_refused(self, stage: Stage) -> None:
        secret = stage.folder / "secret"
        secret.write_text("s3cret")
        config = WEB + f"provider: {{dummy: {{secret: {{file: {secret}}}}}}}\n"
        build_id = stage.bed.create(config).trigger({})
        stage.wait_for(build_id, BuildStatus.COMPLETE)
        stage.bed.update("web", WEB)
        secret.unlink()
        with pytest.raises(ConfigInvalid):
            stage.bed.rerun_as_it_was(build_id, actor="joe")
        again = stage.bed.rerun_with_todays_config(build_id, actor="joe")
        stage.wait_for(again, BuildStatus.COMPLETE)

    def test_a_build_whose_config_went_bad_while_it_waited_fails_with_the_reason(
        self, stage: Stage
    ) -> None:
        secret = stage.folder / "secret"
        secret.write_text("s3cret")
        config = WEB + f"provider: {{dummy: {{secret: {{file: {secret}}}}}}}\n"
        build_id = stage.bed.create(config).trigger({})
        stage.wait_for(build_id, BuildStatus.COMPLETE)
        stage.bed.update("web", WEB)
        stage.bed.pause("web", reason="", by="")
        again = stage.bed.rerun_as_it_was(build_id, actor="joe")
        secret.unlink()
        stage.bed.resume("web")
        stage.wait_for(again, BuildStatus.FAILED)
        build = stage.store.find_build(again)
        assert build is not None
        assert "secret" in build.reason

    @pytest.mark.parametrize(
        "rerun", [Bed.rerun_as_it_was, Bed.rerun_with_todays_config], ids=lambda one: one.__name__
    )
    def test_what_can_not_be_run_again_is_told(
        self, stage: Stage, rerun: Callable[..., int], changed: int
    ) -> None:
        with pytest.raises(BuildNotFound):
            rerun(stage.bed, 999, actor="joe")
        stage.bed.remove("web")
        with pytest.raises(AppNotFound):
            rerun(stage.bed, changed, actor="joe")
        stage.bed.create(WEB)
        stage.bed.stop_taking()
        with pytest.raises(Stopping):
            rerun(stage.bed, changed, actor="joe")


class TestPause:
    @pytest.mark.parametrize("listen_point", ["web", None])
    def test_builds_wait_and_start_when_it_goes_on(
        self, stage: Stage, listen_point: str | None
    ) -> None:
        app = stage.bed.create(WEB)
        stage.bed.pause(listen_point, reason="holiday", by="joe")
        waiting = [app.trigger({}) for _ in range(3)]
        assert [stage.status(one) for one in waiting] == [BuildStatus.QUEUED] * 3
        stage.bed.resume(listen_point)
        for build_id in waiting:
            stage.wait_for(build_id, BuildStatus.COMPLETE)

    def test_it_outlives_the_server(self, stage: Stage) -> None:
        app = stage.bed.create(WEB)
        stage.bed.pause("web", reason="holiday", by="joe")
        waiting = app.trigger({})
        stage.close()
        stage.open()
        stage.bed.load(())
        other = stage.bed.create("listen_point: other\nactions: [echo hi]\n").trigger({})
        stage.wait_for(other, BuildStatus.COMPLETE)
        assert stage.status(waiting) is BuildStatus.QUEUED
        [pause] = stage.store.pauses()
        assert (pause.listen_point, pause.reason, pause.by) == ("web", "holiday", "joe")
        stage.bed.resume("web")
        stage.wait_for(waiting, BuildStatus.COMPLETE)

    def test_what_runs_goes_on(self, stage: Stage) -> None:
        stage.go.clear()
        running = stage.bed.create(WEB).trigger({})
        assert stage.started.wait(PATIENCE)
        stage.bed.pause("web", reason="", by="joe")
        stage.go.set()
        stage.wait_for(running, BuildStatus.COMPLETE)

    def test_a_paused_build_can_be_cancelled(self, stage: Stage) -> None:
        app = stage.bed.create(WEB)
        stage.bed.pause("web", reason="", by="joe")
        assert stage.bed.cancel(app.trigger({}), actor="joe") is BuildStatus.CANCELLED

    def test_an_app_that_is_not_there_is_told(self, stage: Stage) -> None:
        for order in (
            lambda: stage.bed.pause("wbe", reason="", by=""),
            lambda: stage.bed.resume("wbe"),
        ):
            with pytest.raises(AppNotFound):
                order()


class TestPreview:
    def test_it_shows_what_would_run_and_runs_nothing(self, stage: Stage) -> None:
        app = stage.bed.create(
            """
            listen_point: web
            params: {branch: main, host: example.org}
            actions:
                - !critical echo {branch} on {host}
                - !detach deploy {commit}
            """
        )
        preview = app.preview({"branch": "dev"})
        assert dict(preview.params) == {"branch": "dev", "host": "example.org"}
        first, second = preview.actions
        assert (first.position, first.command, first.missing) == (
            0,
            "echo dev on example.org",
            None,
        )
        assert (first.critical, first.detach) == (True, False)
        assert (second.missing, second.critical, second.detach) == ("commit", False, True)
        assert stage.store.builds(most=1) == []

    def test_its_secrets_are_masked(self, stage: Stage) -> None:
        app = stage.bed.create(
            "listen_point: web\nactions: ['echo {word}']\n"
            "provider: {dummy: {secret: hunter2-hunter2}}\n"
        )
        preview = app.preview({"word": "a hunter2-hunter2"})
        assert preview.params["word"] == "a ***"
        assert preview.actions[0].command == "echo a ***"

    def test_params_that_a_trigger_refuses_are_refused(self, stage: Stage) -> None:
        with pytest.raises(BadParam):
            stage.bed.create(WEB).preview({"bad name": "x"})
