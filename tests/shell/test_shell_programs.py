"""Programs that are run for a build, actions behind a wrapper, and orders for runners elsewhere."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from time import monotonic

import pytest

from sloth_ci.builds import BuildStatus, Limits, Outcome, OutcomeStatus
from sloth_ci.records import Stream
from sloth_ci.shell import Breaker, Order, Orders, Program

from .conftest import PATIENCE, Bench, Recorder, Witness


def run(bench: Bench, *arguments: str, within: float = PATIENCE, **options: object) -> Outcome:
    """Run a program for a build of no actions."""
    build = replace(bench.build(), **options)  # type: ignore[arg-type]
    return bench.runner.run_program(
        Program(arguments, work_dir=str(bench.folder), environment={"OURS": "yes"}),
        build=build,
        deadline=monotonic() + within,
        halt=bench.halt,
        journal=bench.journal,
    )


class TestProgram:
    def test_it_gets_its_arguments_as_they_are(self, bench: Bench) -> None:
        outcome = run(bench, "printf", "<%s>\n", "a b", "$(id)", "'", "*", "")
        assert outcome == Outcome(OutcomeStatus.COMPLETED, exit_code=0)
        assert bench.journal.texts == ["<a b>", "<$(id)>", "<'>", "<*>", "<>"]

    def test_it_finds_its_own_variables_and_the_apps(self, bench: Bench) -> None:
        run(bench, "sh", "-c", 'echo "$OURS $EXTRA"; pwd', env={"EXTRA": "more", "OURS": "no"})
        assert bench.journal.texts == ["yes more", str(bench.folder)]

    def test_its_failure_is_told_as_an_actions_is(self, bench: Bench) -> None:
        outcome = run(bench, "sh", "-c", "echo oops >&2; exit 3")
        assert outcome == Outcome(OutcomeStatus.FAILED, "Exit code: 3", exit_code=3)
        assert bench.journal.of(Stream.STDERR) == ["oops"]

    def test_one_that_is_missing_fails(self, bench: Bench) -> None:
        assert run(bench, "no-such-program").exit_code == 127

    def test_its_time_ends_all_of_it(self, bench: Bench, witness: Witness) -> None:
        outcome = run(bench, "sh", "-c", "sleep 1000 > witness", within=0.3)
        assert outcome.status is OutcomeStatus.TIMED_OUT
        witness.wait_until_gone()

    def test_a_halted_build_runs_none(self, bench: Bench) -> None:
        bench.halt.order(BuildStatus.CANCELLED)
        assert run(bench, "touch", "ran").status is OutcomeStatus.HALTED
        assert not (bench.folder / "ran").exists()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
    def test_it_is_run_by_the_apps_user(self, bench: Bench) -> None:
        for folder in (bench.folder, *bench.folder.parents[:3]):
            folder.chmod(folder.stat().st_mode | 0o055)
        run(bench, "id", "-un", user="nobody")
        assert bench.journal.texts == ["nobody"]


class TestWrapped:
    def test_a_wrapper_gets_the_text_and_what_the_build_brings_along(self, bench: Bench) -> None:
        got: list[tuple[str, Mapping[str, str]]] = []

        def wrap(text: str, environment: Mapping[str, str]) -> list[str]:
            got.append((text, environment))
            return ["printf", "%s\n", "wrapped"]

        bench.runner = bench.runner.wrapped(wrap)  # type: ignore[assignment]
        bench.run(bench.build("echo {x} && exit 1", params={"x": "1"}, env={"EXTRA": "more"}))

        assert bench.journal.texts == ["wrapped"]
        ((text, environment),) = got
        assert text == 'echo "${SLOTH_PARAM_x}" && exit 1'
        assert environment == {
            "EXTRA": "more", "SLOTH_PARAM_x": "1", "SLOTH_BUILD": "7",
            "SLOTH_LISTEN_POINT": "spam/eggs",
        }  # fmt: skip

    def test_limits_are_set_in_front_of_it(self, bench: Bench) -> None:
        bench.runner = bench.runner.wrapped(lambda text, _: ["sh", "-c", text])  # type: ignore[assignment]
        bench.run(bench.build("ulimit -n", limits=Limits(open_files=77)))
        assert bench.journal.texts == ["77"]


class TestOrder:
    def make(self, bench: Bench, *texts: str, position: int = 0, **options: object) -> Order:
        build = bench.build(*texts, **options)  # type: ignore[arg-type]
        order = Orders(where="there").make(build, position, None, bench.halt, bench.journal)
        assert isinstance(order, Order)
        return order

    def test_its_text_is_constant_and_its_values_in_the_environment(self, bench: Bench) -> None:
        order = self.make(bench, "echo {x}", params={"x": "$(id)"})
        assert order.text == 'echo "${SLOTH_PARAM_x}"'
        assert order.environment["SLOTH_PARAM_x"] == "$(id)"
        assert "PATH" not in order.environment

    def test_a_value_that_cannot_travel_is_refused(self, bench: Bench) -> None:
        build = bench.build("echo {x}", params={"x": "a\0"})
        outcome = Orders(where="there").make(build, 0, None, bench.halt, bench.journal)
        assert isinstance(outcome, Outcome)
        assert "NUL" in outcome.reason

    def test_outputs_of_several_parts_tell_which_and_share_the_limit(self, bench: Bench) -> None:
        order = self.make(bench, "x", max_output=4_000)
        for name in ("one", "two"):
            output = order.open_output(prefix=f"[{name}] ", parts=2)
            output.take(Stream.STDOUT, b"0123456789\n" * 1_000)
            output.close()
        assert bench.journal.texts[0] == "[one] 0123456789"
        assert bench.journal.texts[-1] == "[two] 0123456789"
        assert sum(map(len, bench.journal.texts)) < 4_000

    def test_actions_of_a_build_share_what_it_may_print(self, bench: Bench) -> None:
        orders = Orders(where="there")
        build = bench.build("x", "y", max_output=8_000)
        for position in (0, 1):
            order = orders.make(build, position, None, bench.halt, bench.journal)
            assert isinstance(order, Order)
            output = order.open_output()
            output.take(Stream.STDOUT, b"0123456789\n" * 1_000)
            output.close()
        assert sum(map(len, bench.journal.texts)) < 8_000

    def test_what_the_runner_says_is_masked(self, bench: Bench) -> None:
        order = self.make(bench, "x", secrets=("hush-hush",))
        order.say("with hush-hush")
        assert bench.journal.texts == ["with ***"]
        assert order.failed("no hush-hush").reason == "no ***"


class TestBreaker:
    def order(self, bench: Bench, deadline: float | None) -> Order:
        made = Orders(where="there").make(bench.build("x"), 0, deadline, bench.halt, Recorder())
        assert isinstance(made, Order)
        return made

    def test_it_stops_at_the_deadline(self, bench: Bench) -> None:
        stopped = Event()
        order = self.order(bench, monotonic() + 0.05)
        with Breaker(order, stopped.set):
            assert stopped.wait(PATIENCE)
        assert order.over()

    def test_it_stops_when_the_build_is_halted(self, bench: Bench) -> None:
        stopped = Event()
        with Breaker(self.order(bench, None), stopped.set):
            bench.halt.order(BuildStatus.CANCELLED)
            assert stopped.wait(PATIENCE)

    def test_dismissed_it_stops_nothing_any_more(self, bench: Bench) -> None:
        stopped = Event()
        with Breaker(self.order(bench, None), stopped.set) as breaker:
            breaker.dismiss()
            bench.halt.order(BuildStatus.CANCELLED)
        assert not stopped.is_set()

    def test_a_deadline_may_be_as_far_as_a_config_says(self, bench: Bench) -> None:
        stopped = Event()
        with Breaker(self.order(bench, monotonic() + 9e8), stopped.set):
            bench.halt.order(BuildStatus.CANCELLED)
            assert stopped.wait(PATIENCE)

    def test_without_a_thread_it_leaves_no_descriptor(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_thread: Thread) -> None:
            raise RuntimeError("can't start new thread")

        breaker = Breaker(self.order(bench, None), lambda: None)
        before = len(list(Path("/proc/self/fd").iterdir()))
        monkeypatch.setattr(Thread, "start", refuse)
        with pytest.raises(RuntimeError), breaker:
            pass
        assert len(list(Path("/proc/self/fd").iterdir())) <= before

    def test_a_block_that_ends_in_time_leaves_no_thread_and_no_descriptor(
        self, bench: Bench
    ) -> None:
        order = self.order(bench, monotonic() + 1_000)
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(20):
            with Breaker(order, lambda: None):
                pass
        assert len(list(Path("/proc/self/fd").iterdir())) <= before
