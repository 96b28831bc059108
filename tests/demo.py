"""`make demo`: a real, signed push becomes a build that can be looked at.

Starts a server on a free loopback port in a throw-away folder, and drives it as its users do: with
`sci`, and with a delivery as GitHub sends it. Exits 0 only if everything is as it should be.
"""

import hashlib
import hmac
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sloth_ci.client import Client
from tests.calls import Reply, send

PAYLOADS = Path(__file__).parent / "payloads" / "github"
PATIENCE = 60

APP = """\
listen_point: hello-world
provider:
  github:
    owner: Codertocat
    repo: Hello-World
    branches: [master]
    secret: {env: DEMO_SECRET}
actions:
  - echo "Building {repo} at {commit}"
  - for step in 1 2 3; do echo "step $step of 3 on {branch}"; sleep 0.4; done
  - !critical test {author} = Codertocat
"""


class Unexpected(Exception):
    """Something differs from what it should be."""


def main() -> None:
    """Run the demo and exit with its outcome."""
    folder = Path(tempfile.mkdtemp(prefix="sloth-ci-demo-"))
    demo = Demo(folder)
    try:
        demo.run()
    except Unexpected as error:
        sys.exit(f"\nThe demo failed: {error}")
    finally:
        demo.end()
        shutil.rmtree(folder)
    print("\nAll as it should be.")


class Demo:
    """One server, one app, one push."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secret = secrets.token_hex(16)
        self.password = secrets.token_hex(16)
        self.environment = {**os.environ, "DEMO_SECRET": self.secret, "NO_COLOR": "1"}
        self.url = ""

    def run(self) -> None:
        """Every step, each shown as it is typed and answered."""
        say("A server on a free port of this machine, in a throw-away folder")
        self.start()
        say("An app that builds what is pushed to Codertocat/Hello-World")
        (self.folder / "app.yml").write_text(APP)
        print(indent(APP))
        self.sci("create", "app.yml")
        say("A real GitHub push, signed with the app's secret")
        body = (PAYLOADS / "push-two-commits.json").read_bytes()
        reply = self.deliver(body, signed_with=self.secret)
        expect(reply.status == 202, f"the push was answered {reply.status}")
        build = reply.value["builds"][0]
        say(f"The log of build {build}, line by line as it is written")
        self.follow(build)
        say("The same push with a forged signature")
        forged = self.deliver(body, signed_with="a guess")
        expect(forged.status == 403, f"the forged push was answered {forged.status}")
        say("What happened, and how things are now")
        history = self.sci("history", "hello-world")
        expect("Complete (3/3)" in history, "the build is not complete in the history")
        info = self.sci("info", "hello-world")
        expect("Complete (3/3)" in info, "the build is not complete in the info")
        count = len(self.client.call("history", listen_point="hello-world", level="20"))
        expect(count == 1, f"{count} builds ran instead of one")
        say("The end")
        self.sci("stop")

    def start(self) -> None:
        """Start the server and find out where it listens."""
        (self.folder / "server.yml").write_text(
            f"port: {free_port()}\ndaemon: true\n"
            f"api_auth: {{login: demo, password: {self.password}}}\n"
        )
        line = self.sci("start")
        expect("listens on http://" in line, "the server did not start")
        self.url = line.split()[-1]
        self.client = Client(self.url, "demo", self.password)

    def sci(self, *arguments: str) -> str:
        """Run a `sci` command as a person would, and show it."""
        print("$ sci", *arguments, flush=True)
        done = subprocess.run(
            [Path(sys.executable).with_name("sci"), *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        print(indent(done.stdout), flush=True)
        expect(done.returncode == 0, f"`sci {arguments[0]}` exited with {done.returncode}")
        return done.stdout

    def deliver(self, body: bytes, *, signed_with: str) -> Reply:
        """Send the push as GitHub does, and show it."""
        signature = hmac.new(signed_with.encode(), body, hashlib.sha256).hexdigest()
        print(f"POST {self.url}/hello-world ({len(body)} bytes, sha256={signature[:12]}...)")
        reply = send(
            self.url,
            method="POST",
            path="/hello-world",
            headers={
                "Content-Type": "application/json",
                "X-GitHub-Event": "push",
                "X-GitHub-Delivery": secrets.token_hex(16),
                "X-Hub-Signature-256": f"sha256={signature}",
            },
            body=body,
        )
        print(indent(f"{reply.status} {json.dumps(reply.value)}"))
        return reply

    def follow(self, build: int) -> None:
        """Show the build's log lines until its end."""
        shown: set[int] = set()
        lines: list[str] = []
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            records = self.client.call(
                "logs", listen_point="hello-world", level="1", per_page="1000"
            )
            for record in reversed(records):
                if record["build"] != build or record["id"] in shown:
                    continue
                shown.add(record["id"])
                lines.append(record["message"])
                print(f"    {record['logger_name']:<17} {record['message']}", flush=True)
            if lines and lines[-1].startswith("Complete"):
                expect("step 3 of 3 on master" in lines, "an action's output is missing")
                return
            time.sleep(0.05)
        raise Unexpected("the build did not complete in time")

    def end(self) -> None:
        """Leave no server behind, whatever happened."""
        if self.url:
            subprocess.run(
                [Path(sys.executable).with_name("sci"), "stop"],
                cwd=self.folder,
                env=self.environment,
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )


def say(sentence: str) -> None:
    """A heading."""
    print(f"\n== {sentence}", flush=True)


def indent(text: str) -> str:
    """Text that somebody else wrote, set off."""
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines())


def expect(holds: bool, otherwise: str) -> None:
    """Raise Unexpected unless it holds."""
    if not holds:
        raise Unexpected(otherwise)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


if __name__ == "__main__":
    main()
