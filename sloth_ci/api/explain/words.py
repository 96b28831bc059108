"""How an action ended, in words that a person understands without looking the number up.

Exit codes above 128 are what a shell gives for a command that a signal ended (POSIX, "Exit Status
for Commands"); 124 and 125 are those of `timeout` and of commands that run others, such as docker.
"""

import signal

from sloth_ci.builds import OutcomeStatus

_CODES = {
    0: "it succeeded",
    1: "the command reports a failure",
    2: "the command reports a failure, or was used wrongly",
    124: "'timeout' ended the command, as its time was over",
    125: "what was to run the command failed itself, before the command ran",
    126: "the command was found, but can't be executed",
    127: "the command was not found",
    128: "the command reports a fatal error, as git does",
    255: "the command reports a failure; ssh says so when the connection fails",
}
_SIGNALS = {
    signal.SIGHUP: "its terminal or connection went away",
    signal.SIGINT: "it was interrupted, as by Ctrl-C",
    signal.SIGILL: "it ran into an instruction that this processor doesn't know",
    signal.SIGABRT: "it aborted itself",
    signal.SIGBUS: "it used memory that isn't there",
    signal.SIGFPE: "it calculated what can't be, such as a division by zero",
    signal.SIGKILL: "it was killed; often because the machine, or its limit, ran out of memory",
    signal.SIGSEGV: "it crashed: a segmentation fault",
    signal.SIGPIPE: "it wrote to something that listened no more",
    signal.SIGTERM: "it was told to end",
    signal.SIGXCPU: "it used up its processor time",
    signal.SIGXFSZ: "it wrote a file larger than it may",
}


def describe_end(*, status: str, exit_code: int | None, number: int | None) -> str:
    """How an action ended; `number` is the signal's, '' when there is nothing to add."""
    if status == OutcomeStatus.TIMED_OUT:
        return "its time was over"
    if status == OutcomeStatus.HALTED:
        return "it was ended by an order"
    if number is not None:
        return _describe_signal(number)
    if exit_code is None:
        return ""
    if exit_code in _CODES:
        return _CODES[exit_code]
    if 128 < exit_code < 128 + signal.NSIG:
        return _describe_signal(exit_code - 128)
    return "the command reports a failure"


def _describe_signal(number: int) -> str:
    try:
        known = signal.Signals(number)
    except ValueError:
        return f"signal {number} ended it"
    words = _SIGNALS.get(known)
    return f"{words} ({known.name})" if words else f"the signal {known.name} ended it"
