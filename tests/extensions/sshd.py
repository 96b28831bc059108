"""A real sshd on a loopback port, with a host key, a user's key and a config of its own."""

import os
import select
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from shutil import which

import pytest

SSHD = "/usr/sbin/sshd"
_PATIENCE = 20


@dataclass
class Sshd:
    """A running sshd; its session processes are its children."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    @property
    def host(self) -> str:
        """As a config has it."""
        return f"root@127.0.0.1:{self.port}"

    @property
    def host_key(self) -> str:
        """The line to know it by."""
        kind, key = (self.folder / "host_key.pub").read_text().split()[:2]
        return f"[127.0.0.1]:{self.port} {kind} {key}"

    @property
    def key(self) -> str:
        """The file of the key that is let in."""
        return str(self.folder / "key")

    def cut(self) -> None:
        """Kill the processes that hold connections: the client sees the line go dead."""
        for child in _children(self.process.pid):
            # With privilege separation each connection has two of them.
            for pid in (*_children(child), child):
                if b"sshd" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """End it and its connections."""
        self.cut()
        self.process.kill()
        self.process.wait(_PATIENCE)


def start_sshd(folder: Path) -> Sshd:
    """Start one that lets the key in `folder` in; the test skips where that can't be."""
    if not Path(SSHD).exists() or which("ssh-keygen") is None or os.geteuid() != 0:
        pytest.skip("openssh-server is not installed, or this is not root")
    folder.mkdir(exist_ok=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    make_key(folder / "host_key")
    make_key(folder / "key")
    (folder / "authorized").write_bytes((folder / "key.pub").read_bytes())
    port = _free_port()
    config = folder / "sshd_config"
    config.write_text(
        f"""
        ListenAddress 127.0.0.1:{port}
        HostKey {folder}/host_key
        AuthorizedKeysFile {folder}/authorized
        PidFile none
        UsePAM no
        StrictModes no
        PasswordAuthentication no
        KbdInteractiveAuthentication no
        PermitRootLogin yes
        AllowUsers root
        """
    )
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", config], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    server = Sshd(process, port, folder)
    _wait_until_it_listens(server)
    return server


def make_key(file: Path, *, passphrase: str = "") -> None:
    """A private key, and its public part beside it."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", file], check=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        port: int = one.getsockname()[1]
    return port


def _wait_until_it_listens(server: Sshd) -> None:
    for _ in range(1000):
        if server.process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", server.port), timeout=_PATIENCE).close()
        except ConnectionRefusedError:
            select.select([], [], [], 0.02)
        else:
            return
    pytest.fail(f"sshd does not listen: {(server.folder / 'sshd.log').read_text()}")


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
