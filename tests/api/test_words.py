"""Exit codes and signals in words."""

import signal

import pytest

from sloth_ci.api.explain.words import describe_end


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "succeeded"),
        (1, "failure"),
        (3, "failure"),
        (124, "timeout"),
        (126, "can't be executed"),
        (127, "not found"),
        (130, "SIGINT"),
        (137, "memory"),
        (139, "segmentation fault"),
        (143, "told to end"),
        (255, "ssh"),
    ],
)
def test_an_exit_code_is_told_in_words(code: int, words: str) -> None:
    assert words in describe_end(status="failed", exit_code=code, number=None)


@pytest.mark.parametrize("number", sorted(signal.Signals))
def test_a_signal_is_named_whether_the_shell_or_the_action_itself_was_hit(number: int) -> None:
    by_itself = describe_end(status="failed", exit_code=None, number=number)

    assert signal.Signals(number).name in by_itself
    assert describe_end(status="failed", exit_code=128 + number, number=None) == by_itself


def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    assert "signal 40" in describe_end(status="failed", exit_code=None, number=40)


@pytest.mark.parametrize("code", [3, 129 + signal.NSIG, 254])
def test_a_code_that_means_nothing_is_a_failure_and_no_more(code: int) -> None:
    words = describe_end(status="failed", exit_code=code, number=None)
    assert words == "the command reports a failure"


def test_an_order_explains_more_than_the_signal_that_carried_it_out() -> None:
    assert "time was over" in describe_end(status="timed_out", exit_code=None, number=9)
    assert "by an order" in describe_end(status="halted", exit_code=None, number=15)


def test_there_is_nothing_to_say_of_an_action_that_never_ran() -> None:
    assert describe_end(status="failed", exit_code=None, number=None) == ""
