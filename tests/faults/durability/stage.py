"""What these experiments share: a server that goes down and comes again, and looks at its state."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import signal
import socket
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from tests.calls import PATIENCE, Api, Reply, wait_until
from tests.conftest import LOGIN, RunningServer, start_server
from tests.faults import Scale

SEED = 20_260
SECRET = "between-us"
#: What a client sees of a server that goes down under its request.
BROKEN_OFF = (OSError, http.client.HTTPException)
#: What is counted in the end must not have been swept away.
KEEP_ALL = "keep: {builds: 1000000}\n"
#: Seconds for a queue to get empty.
LONG_PATIENCE = 300


class Stage:
    """One folder with one database; servers come and go on it, and none outlives the stage."""

    def __init__(self, folder: Path, *, config: str = "") -> None:
        self.folder = folder
        self.config = f"{KEEP_ALL}{config}"
        self.server: RunningServer | None = None
        #: Where the actions of `recorded_app` write the numbers of their builds.
        self.starts = folder / "starts"
        self.starts.touch()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.server:
            self.server.stop()

    def start(self) -> None:
        """Start a server."""
        self.server = start_server(self.folder, config=self.config)

    def kill(self) -> None:
        """kill -9."""
        self.running.signal(signal.SIGKILL)
        self.running.wait()

    @property
    def running(self) -> RunningServer:
        """The last server started."""
        assert self.server
        return self.server

    @property
    def pid(self) -> int:
        """The server's process."""
        return self.running.process.pid

    @property
    def api(self) -> Api:
        """The API of the server."""
        return Api(self.running.url, LOGIN)

    @contextmanager
    def line(self) -> Iterator["Line"]:
        """A connection to the server."""
        line = Line(self.running.url)
        try:
            yield line
        finally:
            line.close()

    def recorded_app(self, listen_point: str, *, more: str = "") -> str:
        """The config of an app whose builds leave their numbers in `starts`."""
        action = f'echo "$SLOTH_BUILD" >> {self.starts}'
        return f"listen_point: {listen_point}\nactions: ['{action}']\n{more}"

    def started(self) -> list[int]:
        """The numbers of the builds whose action was started, in that order."""
        return [int(line) for line in self.starts.read_text().split()]

    def started_twice(self) -> list[int]:
        """The builds that were started more than once."""
        return [build for build, times in Counter(self.started()).items() if times > 1]

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the running server's database holds, seen from outside."""
        with closing(self.look()) as database:
            return database.execute(sql, values).fetchall()

    def look(self) -> sqlite3.Connection:
        """A connection that only reads."""
        database = sqlite3.connect(self.folder / "sloth.db", timeout=10, check_same_thread=False)
        database.execute("PRAGMA query_only = ON")
        return database

    def settle(self) -> None:
        """Wait until every build is in a final state."""
        with closing(self.look()) as database:
            unfinished = "SELECT 1 FROM builds WHERE status IN ('queued', 'running') LIMIT 1"
            wait_until(
                lambda: database.execute(unfinished).fetchone() is None, patience=LONG_PATIENCE
            )

    def statuses(self) -> dict[int, str]:
        """Every build and its status."""
        return dict(self.rows("SELECT id, status FROM builds"))


class Line:
    """A connection that is kept, so that a call costs little."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        login = base64.b64encode(":".join(LOGIN).encode()).decode()
        self._headers = {
            "Authorization": f"Basic {login}",
            "Content-Type": "application/x-www-form-urlencoded",
        }

    def call(self, action: str, **params: str) -> Reply:
        """Call an action of the API."""
        return self.post("/", urlencode({"action": action, **params}).encode(), self._headers)

    def trigger(self, listen_point: str, **params: str) -> int:
        """Trigger a build and give its number."""
        reply = self.call("trigger", listen_point=listen_point, **params)
        assert reply.status == 202, reply
        return int(reply.headers["x-build-id"])

    def deliver(self, listen_point: str, delivery: str) -> Reply:
        """Send a signed delivery to an app with `SIGNED`."""
        body = json.dumps({"ref": "refs/heads/main"}).encode()
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-Signature": signature,
            "X-Delivery": delivery,
        }
        return self.post(f"/{listen_point}", body, headers)

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        """Send a request and read its answer."""
        self._connection.request("POST", path, body=body, headers=headers)
        response = self._connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, found, response.read())

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


#: The provider section of an app that takes what `Line.deliver` sends.
SIGNED = f"""\
provider:
  generic:
    secret: {SECRET}
    header: X-Signature
    delivery_header: X-Delivery
    params: {{ref: ref}}
"""


def seconds(scale: Scale, limit: float) -> float:
    """A limit of time; a short form shares its machine with other tests, so it is patient."""
    return limit if scale is Scale.FULL else 5 * limit


def pause(duration: float) -> None:
    """Let time pass between two things that an experiment does."""
    Event().wait(duration)


def marked_processes(mark: str) -> set[int]:
    """The living processes that have the mark in their environment."""
    return {
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdecimal() and mark.encode() in _read(entry / "environ")
    }


def end(pids: set[int]) -> None:
    """Kill what an experiment left."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
