"""`ssh_exec`: actions on other machines, tried with real sshds on loopback."""

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from shutil import which
from typing import Any, ClassVar

import pytest
import sloth_ci_extensions.ssh_exec as module
from pydantic import ValidationError
from sloth_ci_extensions._ssh_script import command_for, write_script

from sloth_ci.builds import BuildStatus, Limits, Outcome, OutcomeStatus
from sloth_ci.records import Stream
from sloth_ci.trial import Trial
from tests.shell.conftest import Bench, Recorder, Witness, witness

from .manuals import options_in, read_options
from .sshd import Sshd, make_key, start_sshd

__all__ = ["witness"]

Remote = Callable[..., Bench]


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    started = start_sshd(tmp_path_factory.mktemp("sshd"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    started = start_sshd(tmp_path_factory.mktemp("second"))
    (started.folder / "authorized").write_text("")
    yield started
    started.stop()


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    with Trial(base_dir=tmp_path) as made:
        yield made


@pytest.fixture
def remote(tmp_path: Path, trial: Trial, sshd: Sshd) -> Iterator[Remote]:
    """A bench whose actions run on the first sshd, or as the options say."""
    bench = Bench(tmp_path)

    def make(**options: Any) -> Bench:
        said = {
            "hosts": sshd.host, "key": sshd.key, "host_keys": sshd.host_key, "dir": str(tmp_path),
            **options,
        }  # fmt: skip
        read = read_options(module, {k: v for k, v in said.items() if v is not None}, tmp_path)
        bench.runner = module.SshExec(read, trial.context, grace=0.5).run_action
        return bench

    yield make
    bench.halt.close()


@pytest.fixture
def both(remote: Remote, sshd: Sshd, second: Sshd) -> Remote:
    """As `remote`, on two hosts that let the same key in."""
    (second.folder / "authorized").write_bytes((sshd.folder / "key.pub").read_bytes())
    keys = [sshd.host_key, second.host_key]

    def make(**options: Any) -> Bench:
        return remote(**{"hosts": [sshd.host, second.host], "host_keys": keys, **options})

    return make


class TestAction:
    def test_it_runs_there_with_its_output_apart(self, remote: Remote) -> None:
        bench = remote()
        outcome = bench.run(bench.build('echo "$SSH_CONNECTION"; echo oops >&2; pwd'))

        assert outcome == Outcome(OutcomeStatus.COMPLETED, exit_code=0)
        there, folder = bench.journal.of(Stream.STDOUT)
        assert there.startswith("127.0.0.1 ")
        assert folder == str(bench.folder)
        assert bench.journal.of(Stream.STDERR) == ["oops"]

    def test_a_failure_names_the_host_and_the_exit_code(self, remote: Remote, sshd: Sshd) -> None:
        bench = remote()
        outcome = bench.run(bench.build("exit 3"))
        reason = f"{sshd.host}: exit code 3"
        assert outcome == Outcome(OutcomeStatus.FAILED, reason, exit_code=3)

    def test_a_signal_shows_as_the_shells_exit_code(self, remote: Remote) -> None:
        bench = remote()
        assert bench.run(bench.build("kill -9 $$")).exit_code == 137

    def test_values_are_words_and_never_run(self, remote: Remote) -> None:
        value = "a 'b' \"c\" $(touch pwned) `touch pwned`\n; touch pwned \\ é *"
        bench = remote()
        build = bench.build(
            "printf '%s\\n' {x} \"{x}\" '{x}' \"$EXTRA\"",
            params={"x": value, "unused": value},
            env={"EXTRA": value},
        )
        assert bench.run(build).status is OutcomeStatus.COMPLETED

        assert "\n".join(bench.journal.texts) == "\n".join([value] * 4)
        assert not (bench.folder / "pwned").exists()

    def test_values_do_not_show_among_the_other_machines_processes(self, remote: Remote) -> None:
        bench = remote()
        # One that no other test's processes show either; nor does the shell, as it stands in two.
        word = os.urandom(8).hex()
        look = (
            "all=$(cat /proc/[0-9]*/cmdline | tr '\\0' ' ');"
            f" case $all in *'{word[:8]}''{word[8:]}'*) echo shown;; *) echo hidden;; esac"
        )
        bench.run(bench.build(look, params={"token": word}))
        assert bench.journal.texts == ["hidden"]

    def test_nothing_of_this_machines_environment_goes_along(
        self, remote: Remote, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LANG", "xx_XX")
        bench = remote()
        bench.run(bench.build('echo "$LANG $SLOTH_BUILD $SLOTH_LISTEN_POINT"'))
        assert bench.journal.texts[0].endswith("7 spam/eggs")
        assert "xx_XX" not in bench.journal.texts[0]

    def test_a_placeholder_without_value_connects_nowhere(self, remote: Remote) -> None:
        bench = remote(hosts="nowhere.invalid")
        outcome = bench.run(bench.build("echo {branch}"))
        assert outcome == Outcome(OutcomeStatus.FAILED, "Missing param: 'branch'")

    @pytest.mark.parametrize("key", ["limits", "user"])
    def test_what_holds_on_this_machine_only_is_refused(self, remote: Remote, key: str) -> None:
        bench = remote()
        given: dict[str, Any] = {"limits": Limits(cpu=1)} if key == "limits" else {"user": "root"}
        outcome = bench.run(bench.build("touch ran", **given))

        assert outcome.status is OutcomeStatus.FAILED
        assert f"'{key}'" in outcome.reason
        assert "on other machines" in outcome.reason
        assert not (bench.folder / "ran").exists()

    def test_a_folder_that_is_not_there_fails_the_action(self, remote: Remote) -> None:
        bench = remote(dir="/no such folder")
        outcome = bench.run(bench.build("touch ran"))
        assert outcome.exit_code == 126
        assert "/no such folder" in bench.journal.texts[0]

    def test_binary_output_is_made_readable(self, remote: Remote) -> None:
        bench = remote()
        bench.run(bench.build(r"printf 'a\377\000b\n'"))
        assert bench.journal.texts == ["a��b"]

    def test_a_flood_is_cut_and_its_end_kept(self, remote: Remote) -> None:
        bench = remote()
        build = bench.build("yes 123456789 | head -c 20000000; echo end", max_output=100_000)
        assert bench.run(build).status is OutcomeStatus.COMPLETED

        assert bench.journal.texts[-1] == "end"
        assert any("left out here" in line for line in bench.journal.of(Stream.STDERR))
        assert sum(map(len, bench.journal.texts)) < 120_000

    def test_secrets_are_masked(self, remote: Remote) -> None:
        bench = remote()
        bench.run(
            bench.build("echo {token}", params={"token": "hush-hush"}, secrets=("hush-hush",))
        )
        assert bench.journal.texts == ["***"]

    def test_what_it_leaves_behind_ends_with_it(self, remote: Remote, witness: Witness) -> None:
        bench = remote()
        outcome = bench.run(bench.build("setsid sleep 1000 > witness & echo done"))
        assert outcome.status is OutcomeStatus.COMPLETED
        witness.wait_until_gone()

    def test_a_detached_one_leaves_its_background_alone(
        self, remote: Remote, witness: Witness
    ) -> None:
        bench = remote()
        text = "sleep 1000 > witness & echo $!"
        outcome = bench.run(bench.build(text, detach=True))

        assert outcome.status is OutcomeStatus.COMPLETED
        assert witness.alive()
        os.kill(int(bench.journal.texts[0]), 9)
        witness.wait_until_gone()


class TestEndByForce:
    def test_a_timeout_ends_everything_there(self, remote: Remote, witness: Witness) -> None:
        bench = remote()
        text = "(setsid sleep 1000 > witness) & trap '' TERM; sleep 1000 > witness"
        outcome = bench.run(bench.build(text, exec_timeout=1), within=1)

        assert outcome == Outcome(OutcomeStatus.TIMED_OUT, "Timed out after 1 second")
        witness.wait_until_gone()

    @pytest.mark.parametrize("status", [BuildStatus.CANCELLED, BuildStatus.INTERRUPTED])
    def test_an_order_ends_everything_there(
        self, remote: Remote, witness: Witness, status: BuildStatus
    ) -> None:
        bench = remote()
        bench.journal = Recorder(_ordering(bench, status))
        outcome = bench.run(bench.build("sleep 1000 > witness & echo ready; wait"))

        assert outcome == Outcome(OutcomeStatus.HALTED, status.value.capitalize())
        assert bench.journal.texts == ["ready"]
        witness.wait_until_gone()

    def test_term_comes_first(self, remote: Remote) -> None:
        bench = remote()
        bench.journal = Recorder(_ordering(bench))
        text = "trap 'echo bye; exit' TERM; echo ready; sleep 1000 & wait"
        assert bench.run(bench.build(text)).status is OutcomeStatus.HALTED
        assert bench.journal.texts == ["ready", "bye"]

    def test_a_detached_one_is_ended_whole_too(self, remote: Remote, witness: Witness) -> None:
        bench = remote()
        bench.journal = Recorder(_ordering(bench))
        text = "(trap '' TERM; sleep 1000 > witness) & echo ready; wait"
        bench.run(bench.build(text, detach=True))
        witness.wait_until_gone()

    def test_a_host_that_is_silent_does_not_hold_up_the_end(
        self, remote: Remote, tmp_path: Path
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            bench = remote(hosts=f"root@127.0.0.1:{silent.getsockname()[1]}", connect_timeout="900")
            threading.Thread(target=_accept_then(silent, bench), daemon=True).start()
            outcome = bench.run(bench.build("true"), within=None)
        assert outcome == Outcome(OutcomeStatus.HALTED, "Cancelled")

    def test_a_lost_connection_fails_the_action_and_ends_it_there(
        self, remote: Remote, witness: Witness, tmp_path: Path
    ) -> None:
        alone = start_sshd(tmp_path / "alone")
        try:
            bench = remote(hosts=alone.host, key=alone.key, host_keys=alone.host_key)
            bench.journal = Recorder(lambda line: alone.cut() if line == "ready" else None)
            outcome = bench.run(bench.build("echo ready; sleep 1000 > witness"))
            witness.wait_until_gone()
        finally:
            alone.stop()

        assert outcome.status is OutcomeStatus.FAILED
        assert outcome.reason == f"{alone.host}: the connection was lost while the action ran"
        assert "may still run there" in bench.journal.texts[-1]


class TestManyHosts:
    @pytest.mark.parametrize("parallel", ["false", "true"])
    def test_all_of_them_run_it_and_lines_tell_which(
        self, both: Remote, sshd: Sshd, second: Sshd, parallel: str
    ) -> None:
        bench = both(parallel=parallel)
        outcome = bench.run(bench.build("echo ${SSH_CONNECTION##* }"))

        assert outcome.status is OutcomeStatus.COMPLETED
        assert sorted(bench.journal.texts) == sorted(
            f"[{one.host}] {one.port}" for one in (sshd, second)
        )

    @pytest.mark.parametrize("parallel", ["false", "true"])
    def test_the_failing_one_is_named_and_keeps_nobody_from_it(
        self, both: Remote, sshd: Sshd, second: Sshd, parallel: str
    ) -> None:
        bench = both(parallel=parallel)
        text = f"echo ran; [ ${{SSH_CONNECTION##* }} != {sshd.port} ] || exit 5"
        outcome = bench.run(bench.build(text))

        assert outcome == Outcome(OutcomeStatus.FAILED, f"{sshd.host}: exit code 5", exit_code=5)
        assert len(bench.journal.texts) == 2

    def test_in_parallel_they_run_at_the_same_time(self, both: Remote) -> None:
        bench = both(parallel="true")
        os.mkfifo(bench.folder / "meeting")
        # A fifo opens only when both ends are held: either alone would wait for ever.
        text = "if mkdir first; then echo x > meeting; else cat meeting; fi 2>&1"
        assert bench.run(bench.build(text)).status is OutcomeStatus.COMPLETED

    def test_in_order_a_critical_failure_stops_before_the_next(
        self, both: Remote, second: Sshd
    ) -> None:
        bench = both()
        build = bench.build("touch ran-${SSH_CONNECTION##* }; exit 1")
        build = replace(build, actions=(replace(build.actions[0], critical=True),))
        outcome = bench.run(build)

        assert f"not run on {second.host}" in outcome.reason
        assert not (bench.folder / f"ran-{second.port}").exists()

    def test_one_out_of_reach_fails_it_with_the_reason(self, both: Remote, sshd: Sshd) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        bench = both(hosts=[f"root@127.0.0.1:{port}", sshd.host])
        outcome = bench.run(bench.build("echo here"))

        assert outcome.status is OutcomeStatus.FAILED
        assert f"127.0.0.1:{port}: can't connect to port {port}" in outcome.reason
        assert bench.journal.texts == [f"[{sshd.host}] here"]

    def test_a_timeout_ends_it_on_all(
        self, both: Remote, witness: Witness, sshd: Sshd, second: Sshd
    ) -> None:
        bench = both(parallel="true")
        outcome = bench.run(bench.build("sleep 1000 > witness"), within=3)
        assert outcome.status is OutcomeStatus.TIMED_OUT
        witness.wait_until_gone()
        assert sorted(bench.journal.texts) == sorted(
            f"[{one.host}] The action did not end by itself" for one in (sshd, second)
        )


class TestTrust:
    def test_an_unknown_host_is_refused_with_the_line_to_add(
        self, remote: Remote, sshd: Sshd
    ) -> None:
        bench = remote(host_keys=None)
        outcome = bench.run(bench.build("touch ran"))

        assert outcome.status is OutcomeStatus.FAILED
        assert outcome.reason.endswith(f"the file of 'known_hosts': {sshd.host_key}")
        assert not (bench.folder / "ran").exists()

    def test_a_file_of_known_hosts_is_believed(
        self, remote: Remote, sshd: Sshd, tmp_path: Path
    ) -> None:
        (tmp_path / "known").write_text(f"# ours\n{sshd.host_key}\n")
        bench = remote(host_keys=None, known_hosts="known")
        assert bench.run(bench.build("true")).status is OutcomeStatus.COMPLETED

    def test_another_key_than_the_known_one_is_refused(
        self, remote: Remote, sshd: Sshd, tmp_path: Path
    ) -> None:
        make_key(tmp_path / "other")
        kind, key = (tmp_path / "other.pub").read_text().split()[:2]
        bench = remote(host_keys=f"[127.0.0.1]:{sshd.port} {kind} {key}", unknown_hosts="accept")
        outcome = bench.run(bench.build("touch ran"))

        assert "its host key is not the one that is known: SHA256:" in outcome.reason
        assert outcome.reason.endswith(sshd.host_key)
        assert not (bench.folder / "ran").exists()

    def test_accepted_once_it_has_to_show_the_same_key(
        self, remote: Remote, trial: Trial, sshd: Sshd, tmp_path: Path
    ) -> None:
        bench = remote(host_keys=None, unknown_hosts="accept")
        assert bench.run(bench.build("true")).status is OutcomeStatus.COMPLETED
        assert sshd.host_key in trial.log[0][1]
        assert bench.run(bench.build("true")).status is OutcomeStatus.COMPLETED
        assert len(trial.log) == 1

        make_key(tmp_path / "other")
        kind, key = (tmp_path / "other.pub").read_text().split()[:2]
        trial.notes.set(
            f"host key of [127.0.0.1]:{sshd.port}", f"[127.0.0.1]:{sshd.port} {kind} {key}"
        )
        assert "not the one that is known" in bench.run(bench.build("true")).reason

    def test_a_key_that_is_not_let_in_is_refused(self, remote: Remote, tmp_path: Path) -> None:
        make_key(tmp_path / "stranger")
        bench = remote(key="stranger")
        assert "the login as root by key was refused" in bench.run(bench.build("true")).reason

    def test_a_wrong_password_is_refused(self, remote: Remote) -> None:
        bench = remote(key=None, password="wrong")
        assert "by password was refused" in bench.run(bench.build("true")).reason

    def test_an_encrypted_key_gets_in_with_its_passphrase(
        self, remote: Remote, sshd: Sshd, tmp_path: Path
    ) -> None:
        make_key(tmp_path / "locked", passphrase="open sesame")
        with (sshd.folder / "authorized").open("a") as file:
            file.write((tmp_path / "locked.pub").read_text())
        (tmp_path / "phrase").write_text("open sesame\n")
        bench = remote(key="locked", passphrase={"file": "phrase"})
        assert bench.run(bench.build("true")).status is OutcomeStatus.COMPLETED

    def test_the_agent_of_the_server_is_asked_when_told_to(
        self, remote: Remote, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sock = tmp_path / "agent"
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", sock], stdout=subprocess.PIPE)
        try:
            assert agent.stdout
            agent.stdout.readline()
            monkeypatch.setenv("SSH_AUTH_SOCK", str(sock))
            subprocess.run(["ssh-add", "-q", sshd.key], check=True)
            bench = remote(key=None, agent="true")
            assert bench.run(bench.build("true")).status is OutcomeStatus.COMPLETED
        finally:
            agent.kill()
            agent.communicate()


class TestOptions:
    LEAST: ClassVar = {"hosts": "web1", "agent": "true"}

    @pytest.mark.parametrize(
        ("text", "name", "port", "user"),
        [
            ("web1", "web1", 22, None),
            ("ci@web1.example.com:2222", "web1.example.com", 2222, "ci"),
            ("[2001:db8::7]:22", "2001:db8::7", 22, None),
            ("ci@10.0.0.1", "10.0.0.1", 22, "ci"),
        ],
    )
    def test_hosts_are_read(
        self, tmp_path: Path, text: str, name: str, port: int, user: str | None
    ) -> None:
        (host,) = read_options(module, {**self.LEAST, "hosts": text}, tmp_path).hosts
        assert (host.name, host.port, host.user) == (name, port, user)

    @pytest.mark.parametrize(
        ("said", "sentence"),
        [
            ({"hosts": "-oProxyCommand=x"}, "can't be read"),
            ({"hosts": "a b"}, "can't be read"),
            ({"hosts": "web1:99999"}, "can't be read"),
            ({"hosts": []}, "a list of hosts"),
            ({"hosts": ["web1", "web1"]}, "twice"),
            ({"host_keys": "web1 ssh-ed25519"}, "is not as"),
            ({"host_keys": "web1 ssh-ed25519 AAAA!"}, "has a line"),
            ({"unknown_hosts": "ask"}, "refuse, accept"),
            ({"agent": "false"}, "needs a way to log in"),
            ({"passphrase": "x"}, "no 'key'"),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_bad_ones_are_refused(
        self, tmp_path: Path, said: dict[str, Any], sentence: str
    ) -> None:
        with pytest.raises(ValidationError, match=sentence):
            read_options(module, {**self.LEAST, **said}, tmp_path)

    @pytest.mark.parametrize(
        ("said", "sentence"),
        [
            ({"key": "missing"}, "'key' can't be read: .*missing"),
            ({"key": "text"}, "as a private key"),
            ({"key": "locked"}, "'passphrase'"),
            ({"key": "locked", "passphrase": "wrong"}, "with that passphrase"),
            ({"known_hosts": "missing"}, "'known_hosts' names a file that is not there"),
        ],
        ids=["no file", "no key", "no passphrase", "a wrong passphrase", "no known hosts"],
    )
    def test_files_that_are_of_no_use_are_refused_before_the_first_build(
        self, trial: Trial, tmp_path: Path, said: dict[str, Any], sentence: str
    ) -> None:
        (tmp_path / "text").write_text("no key")
        make_key(tmp_path / "locked", passphrase="open sesame")
        options = read_options(module, {**self.LEAST, **said}, tmp_path)
        with pytest.raises(ValueError, match=sentence):
            module.SshExec(options, trial.context)

    def test_the_manual_loads(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SLOTH_SSH_PASSWORD", "hush-hush")
        first, full = options_in(module, base_dir=tmp_path)

        assert [host.known_as for host in first.hosts] == ["web1", "web2", "[2001:db8::7]:2222"]
        assert first.host_keys[0].hostnames == ["web1", "web2"]
        assert full.parallel
        assert full.password == "hush-hush"


@pytest.mark.parametrize("shell", [["dash"], ["bash", "--posix"], ["busybox", "sh"]], ids=str)
class TestScriptInEveryShell:
    """The script runs in whatever the other machine calls /bin/sh."""

    def test_it_passes_values_and_codes(self, shell: list[str], tmp_path: Path) -> None:
        value = 'it\'s "$(x)" \\ `y`\nand more\n'
        ran = _run_script(shell, tmp_path, 'printf %s "$x"; pwd >&2; exit 7', {"x": value})
        assert (ran.returncode, ran.stdout) == (7, value)
        assert ran.stderr.strip() == str(tmp_path)

    def test_it_ends_the_action_with_its_input(
        self, shell: list[str], tmp_path: Path, witness: Witness
    ) -> None:
        text = "(setsid sh -c \"trap '' TERM; sleep 1000\" > witness) & sleep 1000 > witness"
        ran = _run_script(shell, tmp_path, text, {}, order="1\n")
        assert ran.returncode != 0
        witness.wait_until_gone()


def _run_script(
    shell: list[str],
    folder: Path,
    text: str,
    environment: dict[str, str],
    order: str | None = None,
) -> "subprocess.CompletedProcess[str]":
    if which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    script = write_script(
        text, environment=environment, token=os.urandom(8).hex(), folder=str(folder), detach=False
    )
    command = command_for(script.encode()).removeprefix("exec /bin/sh -c '").removesuffix("'")
    process = subprocess.Popen(
        [*shell, "-c", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdin
    process.stdin.write(script)
    process.stdin.flush()
    if order is None:
        # The lifeline stays open for as long as the action runs.
        code = process.wait(20)
        assert process.stdout
        assert process.stderr
        output, errors = process.stdout.read(), process.stderr.read()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()
        return subprocess.CompletedProcess(shell, code, output, errors)
    output, errors = process.communicate(order, timeout=20)
    return subprocess.CompletedProcess(shell, process.returncode, output, errors)


def _ordering(bench: Bench, status: BuildStatus = BuildStatus.CANCELLED) -> Callable[[str], None]:
    """Orders the build's end as soon as the action says that it is ready."""

    def heed(line: str) -> None:
        if line == "ready":
            bench.halt.order(status)

    return heed


def _accept_then(silent: socket.socket, bench: Bench) -> Callable[[], None]:
    def accept() -> None:
        connection, _ = silent.accept()
        with connection:
            bench.halt.order(BuildStatus.CANCELLED)
            connection.recv(1000)
            connection.recv(1000)

    return accept
