"""A Docker engine for tests: the documented API on a unix socket, containers made of namespaces.

It answers what `docker_exec` asks, in the formats of the Engine API 1.41: images, pulls and builds
with their progress, containers, and commands whose output comes in frames after a protocol switch.
Commands really run: in a process namespace of their own (bubblewrap), where work_dir is mounted.
"""

import itertools
import json
import os
import re
import signal
import socket
import socketserver
import subprocess
import tarfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from pathlib import Path
from shutil import which
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

_VERSION = "1.41"


@dataclass
class Container:
    """A process namespace, entered by commands."""

    body: dict[str, Any]
    jail: "subprocess.Popen[bytes] | None" = None
    #: The process id of its first process, outside.
    first: int = 0

    @property
    def inside(self) -> list[str]:
        """What to put in front of a command to run it inside."""
        # Nothing of this may ever run outside: `kill -1` is among the commands.
        outside = Path("/proc/self/ns/pid").readlink()
        assert Path(f"/proc/{self.first}/ns/pid").readlink() != outside
        return ["nsenter", "-t", str(self.first), "-m", "-p", "-r", "--"]

    def kill(self) -> None:
        """KILL to the first process, and so to all of them."""
        if self.jail:
            if self.first:
                os.kill(self.first, signal.SIGKILL)
            self.jail.kill()
            self.jail.wait()
            self.jail = None


@dataclass
class Engine:
    """What the engine has, and what it was asked."""

    socket: Path
    images: set[str] = field(default_factory=set)
    containers: dict[str, Container] = field(default_factory=dict)
    execs: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Method and path of every request.
    asked: list[str] = field(default_factory=list)
    #: Files of each build's context.
    contexts: list[list[str]] = field(default_factory=list)
    #: Every container's body, as it was asked for.
    bodies: list[dict[str, Any]] = field(default_factory=list)
    #: Held while a pull or build is answered, to make it last.
    busy: threading.Event = field(default_factory=threading.Event)
    slow: bool = False
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    @property
    def url(self) -> str:
        """Its address."""
        return f"unix://{self.socket}"

    def count(self, pattern: str) -> int:
        """How often it was asked something."""
        return sum(bool(re.search(pattern, one)) for one in self.asked)

    def start(self, container: Container) -> None:
        host = container.body["HostConfig"]
        binds = [part for bind in host["Binds"] for part in ("--bind", *bind.split(":")[:2])]
        container.jail = subprocess.Popen(
            ["bwrap", "--unshare-pid", "--as-pid-1", "--die-with-parent", "--ro-bind", "/", "/",
             "--dev", "/dev", "--proc", "/proc", *binds, "--info-fd", "1",
             *container.body["Entrypoint"]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert container.jail.stdout
        info = b""
        while not info.rstrip().endswith(b"}"):
            piece = os.read(container.jail.stdout.fileno(), 1000)
            assert piece, "bubblewrap made no namespace"
            info += piece
        container.jail.stdout.close()
        container.first = json.loads(info)["child-pid"]
        # The jail is closed once its first process is what was asked for, and bubblewrap no more.
        while not Path(f"/proc/{container.first}/cmdline").read_bytes().startswith(b"/bin/sh\0"):
            os.sched_yield()

    def stop(self) -> None:
        for container in self.containers.values():
            container.kill()


class Answers(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    engine: Engine

    def handle_one(self) -> None:
        parts = urlsplit(self.path)
        path = re.sub(r"^/v[0-9.]+", "", unquote(parts.path))
        self.query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.engine.asked.append(f"{self.command} {path}")
        if self.headers.get("Transfer-Encoding") == "chunked":
            self.body = self._read_chunks()
        else:
            self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        for pattern, answer in _ROUTES:
            if match := re.fullmatch(pattern, f"{self.command} {path}"):
                answer(self, *match.groups())
                return
        self.say(404, {"message": f"page not found: {path}"})

    do_GET = do_POST = do_DELETE = handle_one  # noqa: N815

    def say(self, status: int, value: Any = None) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, *news: dict[str, Any]) -> None:
        """News in chunks, one JSON a line, as pulls and builds give them."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for one in news:
            line = json.dumps(one).encode() + b"\r\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            if self.engine.slow:
                self.engine.busy.wait(20)
        self.wfile.write(b"0\r\n\r\n")

    # What is asked, in the order of a build.

    def version(self) -> None:
        self.say(200, {"ApiVersion": _VERSION, "MinAPIVersion": "1.24", "Version": "20.10"})

    def inspect_image(self, name: str) -> None:
        if name in self.engine.images:
            self.say(200, {"Id": f"sha256:{name}"})
        else:
            self.say(404, {"message": f"No such image: {name}"})

    def pull(self) -> None:
        name = f"{self.query['fromImage']}:{self.query['tag']}"
        if "missing" in name:
            self.say(404, {"message": f"pull access denied for {self.query['fromImage']}"})
            return
        self.engine.images.add(name)
        self.stream(
            {"status": f"Pulling from {self.query['fromImage']}", "id": self.query["tag"]},
            {"status": "Downloading", "progressDetail": {"current": 1, "total": 2}, "id": "a1"},
            {"status": "Pull complete", "progressDetail": {}, "id": "a1"},
            {"status": f"Status: Downloaded newer image for {name}"},
        )

    def build(self) -> None:
        with tarfile.open(fileobj=BytesIO(self.body)) as tar:
            names = sorted(tar.getnames())
            dockerfile = self.query.get("dockerfile") or "Dockerfile"
            file = tar.extractfile(dockerfile)
            text = file.read().decode() if file else ""
        self.engine.contexts.append(names)
        if "RUN false" in text:
            self.stream({"stream": "Step 1/2 : FROM x\n"}, {"error": "returned a non-zero code: 1"})
            return
        self.engine.images.add(self.query["t"])
        self.stream(
            {"stream": "Step 1/1 : FROM x\n"}, {"stream": "\n"}, {"aux": {"ID": "sha256:1"}}
        )

    def create(self) -> None:
        body = json.loads(self.body)
        if body["Image"] not in self.engine.images:
            self.say(404, {"message": f"No such image: {body['Image']}"})
            return
        name = f"c{next(self.engine.numbers)}"
        self.engine.bodies.append(body)
        self.engine.containers[name] = Container(body)
        self.say(201, {"Id": name, "Warnings": []})

    def start(self, name: str) -> None:
        container = self.engine.containers[name]
        if container.body["HostConfig"].get("NetworkMode") == "nowhere":
            self.say(404, {"message": "network nowhere not found"})
            return
        self.engine.start(container)
        self.say(204)

    def create_exec(self, name: str) -> None:
        number = f"e{next(self.engine.numbers)}"
        self.engine.execs[number] = {"body": json.loads(self.body), "container": name, "code": None}
        self.say(201, {"Id": number})

    def start_exec(self, number: str) -> None:
        known = self.engine.execs[number]
        body, container = known["body"], self.engine.containers[known["container"]]
        folder = container.body["WorkingDir"]
        process = subprocess.Popen(
            [*container.inside, "/bin/sh", "-c", 'cd "$0" && exec "$@"', folder, *body["Cmd"]],
            env={
                "PATH": os.environ["PATH"],
                **dict(one.split("=", 1) for one in body.get("Env") or []),
            },
            stdin=subprocess.PIPE if body.get("AttachStdin") else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.close_connection = True
        if self.headers.get("Upgrade") == "tcp":
            self.wfile.write(
                b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
                b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
            )
        else:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        if process.stdin:
            threading.Thread(target=self._pass_in, args=(process,), daemon=True).start()
        lock = threading.Lock()
        pipes = [
            threading.Thread(target=self._pass_out, args=(kind, pipe, lock), daemon=True)
            for kind, pipe in ((1, process.stdout), (2, process.stderr))
        ]
        for pipe in pipes:
            pipe.start()
        known["code"] = process.wait() % 256 if process.wait() >= 0 else 128 - process.returncode
        for pipe in pipes:
            pipe.join()
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def inspect_exec(self, number: str) -> None:
        known = self.engine.execs[number]
        self.say(200, {"ID": number, "Running": known["code"] is None, "ExitCode": known["code"]})

    def remove(self, name: str) -> None:
        container = self.engine.containers.pop(name, None)
        if container is None:
            self.say(404, {"message": f"No such container: {name}"})
            return
        container.kill()
        self.say(204)

    def list(self) -> None:
        wanted = json.loads(self.query["filters"])["label"]
        found = [
            {"Id": name, "Labels": one.body["Labels"]}
            for name, one in self.engine.containers.items()
            if set(wanted) <= {f"{label}={value}" for label, value in one.body["Labels"].items()}
        ]
        self.say(200, found)

    def _pass_in(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin
        try:
            while piece := self.rfile.read1(1000):
                process.stdin.write(piece)
                process.stdin.flush()
        except OSError:
            return
        finally:
            with suppress(OSError):
                process.stdin.close()

    def _pass_out(self, kind: int, pipe: Any, lock: threading.Lock) -> None:
        while piece := os.read(pipe.fileno(), 30_000):
            with lock:
                try:
                    # Frames may come in any pieces.
                    self.wfile.write(bytes([kind, 0, 0, 0]) + len(piece).to_bytes(4, "big")[:2])
                    self.wfile.write(len(piece).to_bytes(4, "big")[2:] + piece)
                except OSError:
                    break
        pipe.close()

    def _read_chunks(self) -> bytes:
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def address_string(self) -> str:
        return "unix"


_ROUTES: list[tuple[str, Callable[..., None]]] = [
    ("GET /version", Answers.version),
    ("GET /images/(.+)/json", Answers.inspect_image),
    ("POST /images/create", Answers.pull),
    ("POST /build", Answers.build),
    ("POST /containers/create", Answers.create),
    ("GET /containers/json", Answers.list),
    ("POST /containers/([^/]+)/start", Answers.start),
    ("POST /containers/([^/]+)/exec", Answers.create_exec),
    ("POST /exec/([^/]+)/start", Answers.start_exec),
    ("GET /exec/([^/]+)/json", Answers.inspect_exec),
    ("DELETE /containers/([^/]+)", Answers.remove),
]


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def check_that_it_can_run() -> None:
    """Skip where namespaces can't be made or entered."""
    if which("bwrap") is None or which("nsenter") is None or os.geteuid() != 0:
        pytest.skip("bubblewrap or nsenter is not installed, or this is not root")
    tried = subprocess.run(
        ["bwrap", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "true"],
        capture_output=True,
    )
    if tried.returncode:
        pytest.skip(f"bubblewrap makes no namespace here: {tried.stderr.decode().strip()}")


def serve(engine: Engine) -> Callable[[], None]:
    """Answer at the engine's socket; gives what ends that."""
    handler = type("AnswersOfOne", (Answers,), {"engine": engine})
    server = _Server(str(engine.socket), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()

    def end() -> None:
        server.shutdown()
        thread.join()
        server.server_close()
        engine.stop()

    return end
