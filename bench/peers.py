"""This server, the published one, and Debian's `webhook`: how each is told what it is to do."""

import base64
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench import ROOT
from bench.contestant import PATIENCE, PAYLOAD, SECRET, App, Contestant
from bench.load import Request

OURS, OLD, HOOK = "sloth-ci", "sloth-ci 2.2.1", "webhook"

LOGIN = ("sloth", "slow-but-steady")
#: The sender that the published server believes, by a header that anybody can send.
TRUSTED = "192.30.252.9"
PEER_VENV = ROOT / ".venv" / "peers" / "sloth-ci-2.2.1"


class _SlothCi(Contestant):
    """What the two have in common: the API, and that they are told of apps by it."""

    def call(self, action: str, **params: Any) -> Any:
        """Call the API and give the value of its answer."""
        body = self.send(self.form(action, params), "/")
        return json.loads(body) if body else None

    def trigger_request(self, app: App) -> tuple[Request, str]:
        """A call of the API; the app is named in the query."""
        request = self.form("trigger", {})
        return request, "/?" + urlencode({"listen_point": app.name})

    def form(self, action: str, params: dict[str, Any]) -> Request:
        """A call of the API."""
        login = base64.b64encode(":".join(LOGIN).encode()).decode()
        headers = {
            "Authorization": f"Basic {login}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return Request(headers, urlencode({"action": action, **params}).encode())

    def _provider(self, app: App, secret: str) -> str:
        if not app.pushes:
            return ""
        payload = json.loads(PAYLOAD.read_bytes())
        owner, repo = payload["repository"]["full_name"].split("/")
        branch = payload["ref"].removeprefix("refs/heads/")
        keys = f"owner: {owner}, repo: {repo}, branches: ['{branch}'] {secret}"
        return f"provider: {{github: {{{keys}}}}}"

    def _config(self, app: App, secret: str = "") -> str:
        lines = [
            f"listen_point: {app.name}",
            self._provider(app, secret),
            f"actions: [{json.dumps(app.action)}]",
            app.more,
        ]
        return "\n".join(line for line in lines if line)


class Ours(_SlothCi):
    """This server, from the source in `tree`."""

    name = OURS

    def __init__(self, folder: Path, apps: Sequence[App], *, tree: Path, more: str = "") -> None:
        self._tree = tree
        self._more = more
        super().__init__(folder, apps)

    def _start(self) -> "subprocess.Popen[bytes]":
        configs = self.folder / "apps"
        configs.mkdir(exist_ok=True)
        for app in self.apps:
            text = self._config(app, f", secret: '{SECRET}'")
            (configs / f"{app.name}.yml").write_text(text)
        keep = "keep: {days: 100000, builds: 1000000, size: 1000 GB}"
        login = f"api_auth: {{login: {LOGIN[0]}, password: {LOGIN[1]}}}"
        config = [
            f"port: {self.port}\n{login}\nstop_grace: 0.1\n{keep}",
            "max_queue: 10000000\nmax_queue_total: 10000000\nmax_connections_per_address: 1000",
            f"paths: {{configs: ['apps/*.yml']}}\n{self._more}",
        ]
        (self.folder / "server.yml").write_text("\n".join(config))
        command = [sys.executable, "-m", "sloth_ci.server", "server.yml", "--quiet"]
        return self._spawn(command, cwd=self.folder, PYTHONPATH=str(self._tree))

    def knows(self, action: str, **params: Any) -> bool:
        """Whether its API has that action, be it with other parameters."""
        try:
            self.call(action, **params)
        except RuntimeError as error:
            return " 404" not in str(error)
        return True

    def finished(self) -> list[float]:
        """From its file, as its API is not asked to count."""
        found = self.rows("SELECT finished FROM builds WHERE status = 'complete' ORDER BY finished")
        return [row[0] for row in found]

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of its file."""
        with closing(sqlite3.connect(self.folder / "sloth.db", timeout=PATIENCE)) as database:
            return database.execute(sql, values).fetchall()


class Old(_SlothCi):
    """The last published server, with its validator for GitHub, which checks no signature."""

    name = OLD

    def _start(self) -> "subprocess.Popen[bytes]":
        for number, app in enumerate(self.apps):
            (self.folder / f"app{number}.yml").write_text(self._config(app))
        login = f"api_auth: {{login: {LOGIN[0]}, password: {LOGIN[1]}}}"
        paths = "paths: {db: sloth.db, configs: ['app*.yml']}"
        text = f"host: 127.0.0.1\nport: {self.port}\n{login}\n{paths}\n"
        (self.folder / "sloth.yml").write_text(text)
        command = [str(PEER_VENV / "bin" / "sci"), "-c", "sloth.yml", "start"]
        return self._spawn(command, cwd=self.folder)

    def push_request(self) -> Request:
        """As others' pushes, from an address that it trusts."""
        request = super().push_request()
        return Request({**request.headers, "X-Forwarded-For": TRUSTED}, request.body)

    def finished(self) -> list[float]:
        """From its file."""
        sql = "SELECT timestamp FROM build_history WHERE message LIKE 'Completed%' ORDER BY rowid"
        with closing(sqlite3.connect(self.folder / "sloth.db", timeout=PATIENCE)) as database:
            return [row[0] for row in database.execute(sql)]


class Hook(Contestant):
    """Debian's `webhook`: runs a command at once, answers before it is run, and keeps nothing."""

    name = HOOK

    def __init__(self, folder: Path, apps: Sequence[App], *, runs: bool = True) -> None:
        #: Without, pushes are checked and nothing is run.
        self._runs = runs
        super().__init__(folder, apps)

    def _start(self) -> "subprocess.Popen[bytes]":
        (self.folder / "hooks.json").write_text(json.dumps([self._hook(app) for app in self.apps]))
        where = ["-ip", "127.0.0.1", "-port", str(self.port), "-hooks", "hooks.json"]
        tell = ["-verbose", "-logfile", "hooks.log"] if self._runs else []
        return self._spawn([HOOK, *where, *tell], cwd=self.folder)

    def push_path(self, app: App) -> str:
        """Where its pushes go."""
        return f"/hooks/{app.name}"

    def trigger_request(self, app: App) -> tuple[Request, str]:
        """It knows pushes only."""
        return self.push_request(), self.push_path(app)

    def finished(self) -> list[float]:
        """From its log, by the second."""
        found = re.findall(
            r"(\d+/\d+/\d+ \d+:\d+:\d+) .*finished handling",
            (self.folder / "hooks.log").read_text(),
        )
        return [datetime.strptime(text, "%Y/%m/%d %H:%M:%S").timestamp() for text in found]

    def _hook(self, app: App) -> dict[str, Any]:
        signed = {
            "match": {
                "type": "payload-hmac-sha256",
                "secret": SECRET,
                "parameter": {"source": "header", "name": "X-Hub-Signature-256"},
            }
        }
        never = {
            "match": {
                "type": "value",
                "value": "no such ref",
                "parameter": {"source": "payload", "name": "ref"},
            }
        }
        words = ["/bin/sh", "-c", app.action]
        return {
            "id": app.name,
            "execute-command": words[0],
            "pass-arguments-to-command": [{"source": "string", "name": word} for word in words[1:]],
            "trigger-rule": signed if self._runs else {"and": [signed, never]},
            "trigger-rule-mismatch-http-response-code": 200,
        }


def find_peers(*, install: bool, say: Callable[[str], None]) -> frozenset[str]:
    """The peers that can be measured here."""
    found = {HOOK} if shutil.which("webhook") else set()
    if not found:
        say("webhook is not installed, so it is left out: apt-get install webhook")
    if not PEER_VENV.exists() and install:
        _install_old(say)
    if (PEER_VENV / "bin" / "sci").exists():
        found.add(OLD)
    return frozenset(found)


def _install_old(say: Callable[[str], None]) -> None:
    """It wants PyYAML 5.4.1: no wheel for today's Python, and only an old Cython builds it."""
    say(f"installing {OLD} in {PEER_VENV.relative_to(ROOT)} (once; a minute)")
    subprocess.run([sys.executable, "-m", "venv", str(PEER_VENV)], check=True)
    constraint = PEER_VENV / "constraint.txt"
    constraint.write_text("cython<3\n")
    done = subprocess.run(
        [str(PEER_VENV / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check",
         "sloth-ci==2.2.1", "sloth-ci-val-github==1.1.1"],
        env={**os.environ, "PIP_CONSTRAINT": str(constraint)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        say(f"{OLD} can't be installed, so it is left out: {done.stderr.strip()[-300:]}")
        shutil.rmtree(PEER_VENV)
