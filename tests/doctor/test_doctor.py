"""The doctor finds what is wrong, says what to do, and calls nothing well that it can't see."""

import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from ssl import cert_time_to_seconds
from time import time
from typing import Any

import pytest

from sloth_ci import __version__
from sloth_ci.doctor import Finding, State, examine, exposure, machine, storage
from sloth_ci.errors import LoginRequired, ServerUnreachable
from sloth_ci.store import Cause, Origin, Store

DAY = 86_400.0
TLS = Path(__file__).parent / "tls"
#: When certificate.pem ends.
END = float(cert_time_to_seconds("Oct 28 14:15:35 2126 GMT"))
Examine = Callable[..., list[Finding]]


def answer_version() -> str:
    return __version__


@pytest.fixture
def check(tmp_path: Path) -> Examine:
    """What the doctor says of a server config in an empty folder."""

    def look(
        config: str = "", *, ask: Callable[[], str] = answer_version, now: float | None = None
    ) -> list[Finding]:
        file = tmp_path / "server.yml"
        if config or not file.exists():
            file.write_text(config or "port: 8080\n")
            file.chmod(0o600)
        return examine(file, ask_version=ask, now=time() if now is None else now)

    return look


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with an app and its build."""
    store = Store(tmp_path / "sloth.db")
    text = "listen_point: web\nactions: [echo hello]\nuser: null\n"
    app_id = store.add_app(listen_point="web", origin=Origin.API, config=text, file=None)
    store.accept(app_id=app_id, listen_point="web", cause=Cause.TRIGGER, params=({},), total=1)
    store.close()
    return tmp_path / "sloth.db"


def tls(certificate: str, key: str) -> str:
    """A server config with these two of our files."""
    return f"tls: {{certificate: {TLS / certificate}, key: {TLS / key}}}\n"


def said(found: list[Finding], check: str, state: State) -> str:
    """The advice of that check's one finding in that state."""
    (advice,) = [one.advice for one in found if (one.check, one.state) == (check, state)]
    return advice


def states(found: list[Finding], check: str) -> set[State]:
    return {one.state for one in found if one.check == check}


def test_a_sound_server_has_no_warning(check: Examine, database: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(exposure, "_server_user", lambda _config: 1000)

    found = check()

    assert {one.state for one in found} == {State.OK}
    assert {one.check for one in found} >= {"server config", "database", "disk space", "clock"}


def test_every_problem_of_the_config_is_told_and_what_hangs_on_it_is_not_called_well(
    check: Examine,
) -> None:
    found = check("prot: 1\nhost: [x]\n")

    problems = [one.advice for one in found if one.state is State.PROBLEM]
    assert problems[0].startswith("server.yml, line 1, column 1: unknown key 'prot'.")
    assert problems[1].startswith("server.yml, line 2, column 1: 'host' must be text")
    assert len(problems) == 2
    for name in ("database", "disk space", "clock", "address", "TLS", "user", "providers"):
        assert states(found, name) == {State.UNCHECKED}


@pytest.mark.parametrize(
    ("password", "mode", "state"),
    [
        ("plain", 0o644, State.WARNING),
        ("plain", 0o600, State.OK),
        ("plain", 0o622, State.PROBLEM),
        ("$argon2id$v=19$m=1$c29tZXNhbHQ$eA", 0o644, State.OK),
        ("{env: DOCTORS_TEST}", 0o644, State.OK),
    ],
    ids=["plain, for all to read", "plain, hidden", "for all to write", "hash", "environment"],
)
def test_a_password_that_others_may_read_is_told(
    check: Examine, tmp_path: Path, monkeypatch: Any, password: str, mode: int, state: State
) -> None:
    monkeypatch.setenv("DOCTORS_TEST", "secret")
    check(f"api_auth:\n  login: me\n  password: {password}\n")
    (tmp_path / "server.yml").chmod(mode)

    assert states(check(), "config access") == {state}


def test_a_password_file_that_others_may_read_is_told(check: Examine, tmp_path: Path) -> None:
    (tmp_path / "password.txt").write_text("secret")
    (tmp_path / "password.txt").chmod(0o640)

    found = check("api_auth: [{login: me, password: {file: password.txt}}]\n")

    assert "password.txt: chmod 600" in said(found, "config access", State.WARNING)


def test_app_configs_are_all_looked_at(check: Examine, tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text("listen_point: one\nactions: [true]\n")
    (tmp_path / "two.yml").write_text("listen_point: one\nactions: [true]\n")
    (tmp_path / "bad.yml").write_text("listen_point: bad\nactoins: [true]\n")

    found = check("paths: {configs: ['*e.yml', 'two.yml', 'bad.yml', 'no/*.yml']}\n")

    problems = [one.advice for one in found if one.state is State.PROBLEM]
    assert len(problems) == 2
    assert "bad.yml, line 2, column 1: unknown key 'actoins'." in problems[0]
    assert "both want the listen point 'one'" in problems[1]
    assert said(found, "app configs", State.WARNING).startswith("No file matches 'no/*.yml'")


def test_a_secret_that_others_may_read_is_told(check: Examine, tmp_path: Path) -> None:
    file = tmp_path / "web.yml"
    file.write_text("listen_point: web\nprovider: {github: {secret: plain}}\n")
    file.chmod(0o644)

    found = check("paths: {configs: [web.yml]}\n")

    assert f"{file} with a secret in plain" in said(found, "app configs", State.WARNING)


def test_apps_of_the_database_are_looked_at_too(check: Examine, tmp_path: Path) -> None:
    store = Store(tmp_path / "sloth.db")
    text = "listen_point: web\nactions: [true]\nprovider: {github: {allow_unsigned: true}}\n"
    store.add_app(listen_point="web", origin=Origin.API, config=text, file=None)
    store.add_app(listen_point="gone", origin=Origin.API, config=text, file="/no/such/file.yml")
    store.close()

    found = check()

    assert said(found, "providers", State.WARNING).endswith("give a 'secret' to web")
    assert "/no/such/file.yml" in said(found, "app configs", State.PROBLEM)


def test_an_address_alone_is_no_signature(check: Examine, tmp_path: Path) -> None:
    (tmp_path / "web.yml").write_text(
        "listen_point: web\nprovider: {github: {trusted_ips: 192.0.2.1}}\n"
    )

    found = check("paths: {configs: [web.yml]}\n")

    assert "only their addresses are checked" in said(found, "providers", State.WARNING)


def test_a_damaged_database_is_a_problem(check: Examine, database: Path) -> None:
    content = bytearray(database.read_bytes())
    content[8_192:40_960] = b"\xff" * 32_768
    database.write_bytes(content)

    assert State.PROBLEM in states(check(), "database")


def test_somebody_elses_file_is_no_database(check: Examine, database: Path) -> None:
    database.write_bytes(b"not a database at all" * 1_000)

    assert State.PROBLEM in states(check(), "database")


def test_a_large_database_is_checked_quickly_and_says_so(
    check: Examine, database: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("sloth_ci.store.inspection.MAX_THOROUGH", 1)
    monkeypatch.setattr(storage, "MAX_THOROUGH", 1)

    assert "checked quickly" in said(check(), "database", State.OK)


def test_a_database_that_others_may_read_is_told(check: Examine, database: Path) -> None:
    database.chmod(0o644)

    assert f"chmod 600 {database}" in said(check(), "database", State.WARNING)


def test_a_database_larger_than_it_may_be_is_told(check: Examine, database: Path) -> None:
    assert states(check("keep: {size: 1k}\n"), "database size") == {State.WARNING}


def test_what_can_not_be_seen_is_not_called_well(check: Examine) -> None:
    found = check("paths: {db: null, error_log: null}\n")

    assert states(found, "database") == {State.UNCHECKED}
    assert states(found, "clock") == {State.UNCHECKED}


@pytest.mark.parametrize(
    ("free", "total", "state"),
    [
        (50_000_000, 10**12, State.PROBLEM),
        (900_000_000, 10**10, State.WARNING),
        (4 * 10**10, 10**12, State.WARNING),
        (6 * 10**10, 10**12, State.OK),
    ],
    ids=["almost none", "little", "little of much", "enough"],
)
def test_room_on_the_disk_is(
    check: Examine, monkeypatch: Any, free: int, total: int, state: State
) -> None:
    usage = shutil._ntuple_diskusage(total, total - free, free)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)

    assert states(check(), "disk space") == {state}


def test_a_folder_that_is_not_there_is_a_problem(check: Examine) -> None:
    found = check("paths: {error_log: no/such/error.log}\n")

    assert "make that folder" in said(found, "disk space", State.PROBLEM)


def test_a_clock_set_back_is_a_problem(check: Examine, database: Path) -> None:
    assert states(check(now=time() - 30), "clock") == {State.OK}
    late = said(check(now=time() - 10_800), "clock", State.PROBLEM)
    assert late.startswith("It is 3 hours behind the newest entry")
    os.utime(database, (0, 0))
    assert State.PROBLEM in states(check(now=time() - 7_200), "clock")


@pytest.mark.parametrize(
    ("config", "state"),
    [
        ("host: 127.0.0.1\n", State.OK),
        ("host: 0.0.0.0\n", State.PROBLEM),
        ("host: '::'\napi_auth: {login: me, password: secret}\n", State.OK),
    ],
    ids=["loopback", "open to all", "with a login"],
)
def test_an_exposed_address(check: Examine, config: str, state: State) -> None:
    assert states(check(config), "address") == {state}


def test_logins_in_the_clear_are_told(check: Examine) -> None:
    found = check("host: 0.0.0.0\napi_auth: {login: me, password: secret}\n")

    assert "in the clear" in said(found, "TLS", State.WARNING)
    assert states(check("host: 127.0.0.1\n"), "TLS") == {State.OK}


@pytest.mark.parametrize(
    ("days_left", "state"),
    [(15, State.OK), (13, State.WARNING), (-1, State.PROBLEM)],
    ids=["good", "about to end", "ended"],
)
def test_a_certificate_is(check: Examine, days_left: float, state: State) -> None:
    config = tls("certificate.pem", "key.pem")

    assert states(check(config, now=END - days_left * DAY), "TLS") == {state}


def test_a_certificate_that_has_ended_for_openssl_too_is_a_problem(check: Examine) -> None:
    found = check(tls("ended_certificate.pem", "ended_key.pem"))

    assert said(found, "TLS", State.PROBLEM).endswith("has expired: renew it")


def test_a_key_of_another_certificate_is_a_problem(check: Examine) -> None:
    assert states(check(tls("certificate.pem", "ended_key.pem")), "TLS") == {State.PROBLEM}


def test_a_certificate_that_is_not_there_is_a_problem(check: Examine) -> None:
    found = check("tls: {certificate: none.pem, key: none.pem}\n")

    assert "none.pem" in said(found, "TLS", State.PROBLEM)


def test_builds_as_root_are_told_with_their_apps(
    check: Examine, database: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(exposure, "_server_user", lambda _config: 0)

    assert said(check(), "user", State.WARNING).endswith("give a 'user' to web")


def test_too_few_files_are_told(check: Examine, monkeypatch: Any) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (64, 64))

    assert "At most 64 may be open" in said(check(), "open files", State.WARNING)


def raise_unreachable() -> str:
    raise ServerUnreachable(url="http://127.0.0.1:1", reason="connection refused")


def raise_login_required() -> str:
    raise LoginRequired


@pytest.mark.parametrize(
    ("ask", "state"),
    [
        (answer_version, State.OK),
        (lambda: "2.0.0", State.WARNING),
        (raise_unreachable, State.UNCHECKED),
        (raise_login_required, State.WARNING),
    ],
    ids=["runs", "runs an older version", "is away", "wants a login"],
)
def test_the_server(check: Examine, ask: Callable[[], str], state: State) -> None:
    assert states(check(ask=ask), "server") == {state}


def test_versions_that_it_is_not_made_for_are_told() -> None:
    assert machine.check_python((3, 12, 1)).state is State.OK
    assert machine.check_python((3, 99, 0)).state is State.WARNING
    assert machine.check_sqlite((3, 36, 0)).state is State.PROBLEM
    assert machine.check_sqlite((3, 40, 0)).state is State.OK


def test_the_doctor_changes_nothing(check: Examine, database: Path, tmp_path: Path) -> None:
    check("port: 8080\n")
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}

    check()

    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
