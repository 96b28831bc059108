"""What the server lets others see of it: by which name, by which protocol, and said how."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sloth_ci.web.origin import is_loopback, own_hosts
from tests.calls import Api, send
from tests.conftest import LOGIN, RunningServer, StartFailed

Launch = Callable[..., RunningServer]
TLS = Path(__file__).parent.parent / "web" / "tls"
TLS_CONFIG = f"tls: {{certificate: {TLS}/certificate.pem, key: {TLS}/key.pem}}"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "localhost.", "a.localhost", "127.0.0.1:1", "[::1]:2"]
)
def test_on_loopback_the_server_answers_to_loopback_names(
    shared_server: RunningServer, host: str
) -> None:
    assert send(shared_server.url, login=LOGIN, headers={"Host": host}).status == 400


@pytest.mark.parametrize(
    "host", ["attacker.example", "localhost.attacker.example", "192.0.2.1", "127.0.0.1.nip.io", ""]
)
def test_on_loopback_the_server_answers_to_no_other_name(
    shared_server: RunningServer, host: str
) -> None:
    Api(shared_server.url, LOGIN)("create", config_string="listen_point: rebound")
    for path in ("/?action=list", "/rebound", "/nowhere"):
        reply = send(shared_server.url, path=path, login=LOGIN, headers={"Host": host})
        assert (reply.status, reply.value["error"]["code"]) == (403, "host_refused")


def test_names_of_the_config_are_the_only_ones(launch: Launch) -> None:
    server = launch(config="hosts: [CI.example.com]")
    statuses = {
        host: send(server.url, path="/?action=list", login=LOGIN, headers={"Host": host}).status
        for host in ("ci.example.com", "ci.EXAMPLE.com:8080", "localhost", "x.example.com")
    }
    assert list(statuses.values()) == [200, 200, 403, 403]


def test_elsewhere_than_on_loopback_every_name_is_its_own() -> None:
    assert own_hosts((), bound_to="0.0.0.0") == ()
    assert own_hosts((), bound_to="192.0.2.1") == ()
    assert own_hosts((), bound_to="127.0.0.2") != ()
    assert own_hosts(("A",), bound_to="0.0.0.0") == ("a",)
    assert not is_loopback("::ffff:192.0.2.1")


def test_a_login_over_plain_http_for_others_is_warned_of(launch: Launch, tmp_path: Path) -> None:
    launch(host="0.0.0.0")
    assert "travel in the clear" in (tmp_path / "screen.txt").read_text()


@pytest.mark.parametrize("options", [{}, {"host": "0.0.0.0", "config": TLS_CONFIG}])
def test_on_loopback_or_by_tls_there_is_no_such_warning(
    launch: Launch, tmp_path: Path, options: dict[str, str]
) -> None:
    launch(**options)
    assert "travel in the clear" not in (tmp_path / "screen.txt").read_text()


def sci(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sloth_ci", *words],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=20,
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_sci_talks_https_with_the_server_of_its_config(launch: Launch, tmp_path: Path) -> None:
    server = launch(config=TLS_CONFIG, port=free_port())
    assert server.url.startswith("https://")
    done = sci(tmp_path, "list")
    assert (done.returncode, done.stderr) == (0, "")


def test_sci_trusts_an_address_by_the_authorities_it_is_given(
    launch: Launch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server = launch(config=TLS_CONFIG)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    known = {
        "SLOTH_URL": server.url.replace("127.0.0.1", "localhost"),
        "SLOTH_LOGIN": LOGIN[0],
        "SLOTH_PASSWORD": LOGIN[1],
    }
    assert sci(elsewhere, "list", **known, SLOTH_CA=str(TLS / "certificate.pem")).returncode == 0
    refused = sci(elsewhere, "list", **known)
    assert refused.returncode != 0
    assert "certificate verify failed" in refused.stderr


def test_sci_does_not_talk_to_another_server_than_that_of_its_config(
    launch: Launch, tmp_path: Path
) -> None:
    server = launch(config=TLS_CONFIG, port=free_port())
    other = tmp_path / "other"
    other.mkdir()
    text = (tmp_path / "server.yml").read_text().replace("certificate.pem", "other.pem")
    (other / "server.yml").write_text(text)
    assert server.url
    refused = sci(other, "list")
    assert refused.returncode != 0
    assert "ingerprint" in refused.stderr


@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        ("nowhere.pem", f"{TLS}/key.pem", "can't read"),
        (f"{TLS}/key.pem", f"{TLS}/key.pem", "in PEM form"),
        (f"{TLS}/certificate.pem", f"{TLS}/certificate.pem", "in PEM form"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_said_in_one_line(
    launch: Launch, tmp_path: Path, certificate: str, key: str, said: str
) -> None:
    with pytest.raises(StartFailed, match=said) as failed:
        launch(config=f"tls: {{certificate: {certificate}, key: {key}}}")
    assert failed.value.line.count("\n") == 1
    assert "Traceback" not in (tmp_path / "screen.txt").read_text()
