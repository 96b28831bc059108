"""What an action may take is the kernel's affair, and at which limit it ended is told in words."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sloth_ci.builds import Limits, OutcomeStatus
from sloth_ci.shell.limits import describe_limit, limiting

from .conftest import Bench

#: Each may be /bin/sh somewhere.
SHELLS = [["dash"], ["bash", "--posix"], ["busybox", "sh"], ["/bin/sh"]]
#: A user that surely has no processes, as the kernel counts them.
NOBODY_RUNNING = 3_141_592
ALL = Limits(processes=500, memory=3_000_000_000, cpu=600, file_size=51_200_000, open_files=64)
#: The names of the kernel's table, and what must stand there as soft and hard limit.
GRANTED = {
    "Max processes": ("500", "500"),
    "Max address space": ("2999999488", "2999999488"),
    "Max cpu time": ("600", "601"),
    "Max file size": ("51200000", "51200000"),
    "Max open files": ("64", "64"),
}


def table_of(text: str) -> dict[str, tuple[str, str]]:
    """The soft and hard limits in /proc/PID/limits."""
    rows = (line[26:].split() for line in text.splitlines())
    names = (line[:26].strip() for line in text.splitlines())
    return {name: (row[0], row[1]) for name, row in zip(names, rows, strict=True)}


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
class TestEveryShell:
    def run(
        self, shell: list[str], text: str, *, hard_open_files: int = 4096
    ) -> subprocess.CompletedProcess[str]:
        if not shutil.which(shell[0]):
            pytest.skip(f"no {shell[0]} here")
        lowering = (
            "import os, resource, sys;"
            f"resource.setrlimit(resource.RLIMIT_NOFILE, ({hard_open_files}, {hard_open_files}));"
            "os.execvp(sys.argv[1], sys.argv[1:])"
        )
        return subprocess.run(
            [sys.executable, "-c", lowering, *shell, "-c", text], capture_output=True, text=True
        )

    def test_it_sets_all_limits(self, shell: list[str]) -> None:
        text = limiting(ALL, uid=NOBODY_RUNNING) + "cat /proc/self/limits"
        done = self.run(shell, text)
        found = table_of(done.stdout)
        assert {name: found[name] for name in GRANTED} == GRANTED
        assert done.stderr == ""

    def test_a_limit_that_can_not_be_set_ends_it(
        self, shell: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            resource, "getrlimit", lambda _kind: (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        )
        text = limiting(Limits(open_files=1_999_999_999), uid=NOBODY_RUNNING)
        done = self.run(shell, f"{text}echo ran")
        assert done.returncode == 126
        assert "limits of this app can not be set" in done.stderr
        assert done.stdout == ""


def test_without_limits_the_shell_gets_no_text() -> None:
    assert limiting(Limits(), uid=0) == ""


def test_a_limit_above_the_servers_own_is_lowered_to_that(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    bench.run(bench.build("ulimit -n", limits=Limits(open_files=2**40)))
    assert bench.journal.texts == [str(hard) if hard != resource.RLIM_INFINITY else str(2**40)]


def test_a_process_can_not_raise_its_limit_again(bench: Bench) -> None:
    bench.run(bench.build("ulimit -Hn; ulimit -Sn", limits=Limits(open_files=32)))
    assert bench.journal.texts == ["32", "32"]


def test_line_numbers_are_those_of_the_action_with_limits_too(bench: Bench) -> None:
    bench.run(bench.build("true\nno-such-command", limits=Limits(open_files=64)))
    assert " 2: " in bench.journal.texts[0]


def test_processes_are_counted_from_those_that_the_user_has() -> None:
    own = sum(
        len(list(entry.glob("task/*")))
        for entry in Path("/proc").glob("[0-9]*")
        if _uid_of(entry) == os.getuid()
    )
    words = limiting(Limits(processes=1000), uid=os.getuid()).split()
    assert int(words[words.index("-u") + 1]) == pytest.approx(1000 + own, abs=200)


def test_the_limit_of_file_size_is_told(bench: Bench) -> None:
    text = "exec dd if=/dev/zero of=big bs=1k count=100"
    outcome = bench.run(bench.build(text, limits=Limits(file_size=10_240)))
    assert outcome.status is OutcomeStatus.FAILED
    assert outcome.reason == "File size limit of 10240 bytes reached"
    assert (bench.folder / "big").stat().st_size == 10_240


def test_the_limit_of_processor_time_is_told(bench: Bench) -> None:
    outcome = bench.run(bench.build("while :; do :; done", limits=Limits(cpu=1)))
    assert outcome.status is OutcomeStatus.FAILED
    assert outcome.reason == "CPU limit of 1 s reached"


def test_memory_beyond_the_limit_is_refused(bench: Bench) -> None:
    program = f"{sys.executable} -c 'bytearray(2_000_000_000)'"
    outcome = bench.run(bench.build(program, limits=Limits(memory=1_000_000_000)))
    assert outcome.reason == "Exit code: 1"
    assert bench.journal.texts[-1] == "MemoryError"


@pytest.mark.parametrize(
    ("limits", "returned", "sentence"),
    [
        (Limits(cpu=10), -24, "CPU limit of 10 s reached"),
        (Limits(cpu=10), 152, "CPU limit of 10 s reached"),
        (Limits(file_size=1_500_000), 153, "File size limit of 1.5 MB reached"),
        (Limits(file_size=512_000), -25, "File size limit of 512 kB reached"),
        (Limits(file_size=1_234), -25, "File size limit of 1234 bytes reached"),
        (Limits(), 152, ""),
        (Limits(), -25, ""),
        (Limits(cpu=10, file_size=10), 1, ""),
    ],
    ids=str,
)
def test_only_a_limit_that_shows_is_told(limits: Limits, returned: int, sentence: str) -> None:
    assert describe_limit(limits, returned) == sentence


def _uid_of(entry: Path) -> int:
    try:
        return entry.stat().st_uid
    except OSError:
        return -1
