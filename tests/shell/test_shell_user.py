"""Builds as another user: what they are, see and may do; and that they end like any other."""

import ctypes
import grp
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import pytest

from sloth_ci.builds import BuildStatus, Limits, OutcomeStatus
from sloth_ci.shell import NotRunnable, ShellRunner, check_runnable, end_leftovers
from sloth_ci.shell.offspring import environment_of

from .conftest import PATIENCE, Bench, Recorder, Witness

#: There on every system, and nobody's login.
USER = "daemon"
#: What root sees others' processes by: CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_PERFMON.
SEEING_ALL = (19, 21, 38)

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def account() -> pwd.struct_passwd:
    return pwd.getpwnam(USER)


@pytest.fixture
def open_bench(account: pwd.struct_passwd) -> Iterator[Bench]:
    """A bench in a folder that belongs to the user; pytest's own folders are closed to others."""
    with TemporaryDirectory() as name:
        os.chown(name, account.pw_uid, account.pw_gid)
        bench = Bench(Path(name))
        yield bench
        bench.halt.close()


@root
class TestBeingSomebodyElse:
    def test_all_ids_and_groups_are_the_users(
        self, open_bench: Bench, account: pwd.struct_passwd
    ) -> None:
        open_bench.run(open_bench.build("id -u; id -ru; id -g; id -G", user=USER))
        uid, real, gid, groups = open_bench.journal.texts
        assert (uid, real, gid) == (
            str(account.pw_uid),
            str(account.pw_uid),
            str(account.pw_gid),
        )
        expected = {account.pw_gid} | {g.gr_gid for g in grp.getgrall() if USER in g.gr_mem}
        assert {int(group) for group in groups.split()} == expected

    def test_the_environment_is_the_users(
        self, open_bench: Bench, account: pwd.struct_passwd
    ) -> None:
        open_bench.runner = ShellRunner(
            inherit={"HOME": "/root", "SHELL": "/bin/zsh", "TMPDIR": "/root/tmp", "LANG": "C"}
        )
        open_bench.run(open_bench.build("env", env={"MINE": "1"}, user=USER))
        found = dict(line.split("=", 1) for line in open_bench.journal.texts)
        expected = {"HOME": account.pw_dir, "USER": USER, "LOGNAME": USER, "LANG": "C", "MINE": "1"}
        assert {name: found.get(name) for name in expected} == expected
        assert {"SHELL", "TMPDIR"}.isdisjoint(found)

    def test_the_apps_own_environment_comes_last(self, open_bench: Bench) -> None:
        build = open_bench.build("echo $HOME", env={"HOME": "/elsewhere"}, user=USER)
        open_bench.run(build)
        assert open_bench.journal.texts == ["/elsewhere"]

    def test_what_it_makes_is_closed_to_others(
        self, open_bench: Bench, account: pwd.struct_passwd
    ) -> None:
        open_bench.run(open_bench.build("echo hush >made; umask 022; touch open", user=USER))
        made = (open_bench.folder / "made").stat()
        assert (made.st_uid, made.st_mode & 0o777) == (account.pw_uid, 0o600)
        assert (open_bench.folder / "open").stat().st_mode & 0o777 == 0o644

    def test_a_file_of_roots_own_stays_closed(self, open_bench: Bench) -> None:
        secret = open_bench.folder / "sloth.db"
        secret.touch(0o600)
        outcome = open_bench.run(open_bench.build("cat sloth.db", user=USER))
        assert outcome.status is OutcomeStatus.FAILED
        assert "Permission denied" in open_bench.journal.texts[0]

    def test_a_work_dir_that_is_closed_to_it_is_named(self, bench: Bench) -> None:
        bench.folder.chmod(0o700)
        outcome = bench.run(bench.build("touch ran", user=USER))
        assert outcome.exit_code == 126
        assert bench.journal.texts == [
            f"The work_dir '{bench.folder}' can't be entered by the user '{USER}'."
        ]

    def test_the_next_build_without_user_is_the_servers_own_again(self, open_bench: Bench) -> None:
        open_bench.run(open_bench.build("id -u", user=USER))
        open_bench.run(open_bench.build("id -u"))
        assert open_bench.journal.texts[1] == str(os.geteuid())

    def test_limits_hold_for_it(self, open_bench: Bench) -> None:
        text = "i=0; while [ $i -lt 40 ]; do sleep 1000 & i=$((i+1)); done"
        outcome = open_bench.run(open_bench.build(text, user=USER, limits=Limits(processes=10)))
        assert outcome.status is OutcomeStatus.FAILED
        assert any("ork" in line for line in open_bench.journal.texts)

    def test_a_right_that_is_missing_is_named(
        self, open_bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*arguments: object, **options: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(subprocess, "Popen", refuse)
        outcome = open_bench.run(open_bench.build("true", user=USER))
        assert "CAP_SETUID" in outcome.reason


@root
@pytest.mark.usefixtures("subreaper")
class TestEnd:
    HIDDEN = "setsid sh -c '(trap \"\" TERM; echo >ready; exec sleep 1000) 3>witness &' & "

    @pytest.fixture
    def meeting(
        self, open_bench: Bench, account: pwd.struct_passwd
    ) -> Iterator[tuple[Bench, Witness]]:
        os.mkfifo(open_bench.folder / "ready")
        witness = Witness(open_bench.folder / "witness")
        for name in ("ready", "witness"):
            os.chown(open_bench.folder / name, account.pw_uid, account.pw_gid)
        yield open_bench, witness
        witness.close()

    def test_what_hides_ends_with_the_action(self, meeting: tuple[Bench, Witness]) -> None:
        bench, witness = meeting
        outcome = bench.run(bench.build(f"{self.HIDDEN}\nread _ <ready; echo done", user=USER))
        assert outcome.status is OutcomeStatus.COMPLETED
        assert not witness.alive()

    def test_what_hides_ends_where_root_sees_only_its_own(
        self, meeting: tuple[Bench, Witness]
    ) -> None:
        bench, witness = meeting
        text = f"{self.HIDDEN}\nread _ <ready; echo done"
        _without_seeing_all(lambda: bench.run(bench.build(text, user=USER)))
        assert bench.journal.texts == ["done"]
        assert not witness.alive()

    def test_an_order_ends_it(self, meeting: tuple[Bench, Witness]) -> None:
        bench, witness = meeting
        bench.journal = Recorder(lambda _line: bench.halt.order(BuildStatus.CANCELLED))
        text = f"{self.HIDDEN}\nread _ <ready; echo ready; trap '' TERM; sleep 1000"
        outcome = bench.run(bench.build(text, user=USER))
        assert outcome.status is OutcomeStatus.HALTED
        assert not witness.alive()

    def test_what_a_dead_server_left_is_found(
        self, account: pwd.struct_passwd, tmp_path: Path
    ) -> None:
        token = "leftover-of-another-user"
        left = subprocess.Popen(
            ["sleep", "1000"],
            env={"SLOTH_ACTION": f"{token}-1."},
            user=account.pw_uid,
            group=account.pw_gid,
            start_new_session=True,
        )
        try:
            ended: list[int] = []
            _without_seeing_all(lambda: ended.append(end_leftovers(token)))
            assert left.wait(PATIENCE) == -9
            assert ended == [1]
        finally:
            left.kill()
            left.wait()


@root
def test_the_environment_of_anothers_process_is_read_and_the_thread_is_root_again(
    account: pwd.struct_passwd, tmp_path: Path
) -> None:
    other = subprocess.Popen(
        ["sleep", "1000"], env={"MARK": "1"}, user=account.pw_uid, group=account.pw_gid
    )
    closed = tmp_path / "closed"
    closed.touch(0o600)
    found: list[bytes] = []

    def look() -> None:
        found.append(environment_of(other.pid))
        found.append(closed.read_bytes())

    try:
        _without_seeing_all(look)
        assert found == [b"MARK=1\0", b""]
    finally:
        other.kill()
        other.wait()


class TestRefusals:
    def test_an_unknown_user_is_refused(self) -> None:
        with pytest.raises(NotRunnable, match="'user' names 'no-such-one', and the system has no"):
            check_runnable(user="no-such-one", limits=Limits())

    def test_a_server_that_is_not_root_can_not_become_another(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(NotRunnable, match=f"run as '{USER}': only root can change"):
            check_runnable(user=USER, limits=Limits())

    @pytest.mark.parametrize("user", [None, "root"])
    def test_a_limit_that_the_kernel_does_not_hold_root_to_is_refused(
        self, monkeypatch: pytest.MonkeyPatch, user: str | None
    ) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        with pytest.raises(NotRunnable, match=r"'limits.processes' can't hold"):
            check_runnable(user=user, limits=Limits(processes=10))
        check_runnable(user=user, limits=Limits(memory=10**9, cpu=1))

    def test_others_are_not_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        check_runnable(user=USER, limits=Limits(processes=10))
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        check_runnable(user=None, limits=Limits(processes=10))

    def test_a_user_who_is_gone_when_the_build_runs_fails_it(self, bench: Bench) -> None:
        outcome = bench.run(bench.build("touch ran", user="no-such-one"))
        assert outcome.status is OutcomeStatus.FAILED
        assert "has no such user" in outcome.reason
        assert not (bench.folder / "ran").exists()


def _without_seeing_all(look: object) -> None:
    """Call it in a thread without the right to look at others' processes, as in a container."""
    trouble: list[BaseException] = []

    def run() -> None:
        try:
            _drop(SEEING_ALL)
            assert callable(look)
            look()
        except BaseException as error:
            trouble.append(error)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    for error in trouble:
        raise error


def _drop(capabilities: tuple[int, ...]) -> None:
    """Take rights from the calling thread: capset(2), version 3."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    # Effective, permitted, inheritable: of the lower 32 rights, then of the others.
    sets = (ctypes.c_uint32 * 6)()
    system = ctypes.CDLL(None, use_errno=True)
    assert system.capget(header, sets) == 0
    for capability in capabilities:
        word, bit = divmod(capability, 32)
        for place in (3 * word, 3 * word + 1):
            sets[place] &= ~(1 << bit) & 0xFFFFFFFF
    assert system.capset(header, sets) == 0
