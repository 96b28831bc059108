"""The cookbook's configs load as they stand, and do in a real server what the page says.

Only addresses and folders are changed to those of the tests: a bare repository, a mail server, HTTP
sinks, an sshd, an engine for containers.
"""

import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sloth_ci.bed.equipment import find_options
from sloth_ci.config import parse_app, parse_server
from sloth_ci.extension.finding import find_app_options, find_server_options, known_modules
from sloth_ci.store import Store
from tests.calls import Api, Reply, send, wait_until
from tests.conftest import RunningServer
from tests.docs.pages import fences, read_page
from tests.extensions.engine import Engine, check_that_it_can_run, serve
from tests.extensions.sshd import Sshd, start_sshd
from tests.extensions.test_git import Repository
from tests.extensions.test_notifications import Mailbox, open_mailbox
from tests.sinks import TLS, Sink, open_sink

__all__ = ["open_mailbox"]

PAGE = "docs/cookbook.md"
SECRETS = {
    "HOOK_SECRET": "a-hook-secret",
    "MAIL_PASSWORD": "right",
    "GITEA_TOKEN": "a-gitea-token",
    "BOARD_SECRET": "a-board-secret",
    "AUDIT_SECRET": "an-audit-secret",
}
MAKEFILE = "all:\n\t@echo made $$(cat file)\ncheck:\n\t@echo checked at $$(pwd); ! grep bad file\n"
#: A folder that is on every machine, and so in the containers of tests.
MOUNT = "/mnt"
Launch = Callable[..., RunningServer]


def configs(kind: str) -> list[str]:
    """The page's configs of that kind, such as `app`."""
    return [fence.text for fence in fences(PAGE) if fence.info == f"yaml {kind}"]


def choices() -> dict[str, str]:
    """What the page says of `place`, by the module that is chosen."""
    texts = [_entry(text, "place") for text in [*configs("app"), *configs("app part")]]
    return {text.split("module: ")[1].split("\n")[0]: text for text in texts}


def _entry(config: str, name: str) -> str:
    found = re.search(rf"^  {name}:\n(    .*\n)+", config, re.MULTILINE)
    assert found, name
    return found[0]


def swap(text: str, changes: Mapping[str, str]) -> str:
    """The text with others' addresses and folders."""
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


@dataclass
class Stage:
    """All whom the configs speak of, and the server."""

    server: RunningServer
    api: Api
    repository: Repository
    work_dir: Path
    mailbox: Mailbox
    gitea: Sink
    board: Sink
    audit: Sink
    changes: dict[str, str]

    def change(self, text: str, **further: str) -> str:
        """A config of the page with the addresses of the tests."""
        return swap(text, {**self.changes, **further})

    def create(self, place: str, **further: str) -> None:
        """Create the page's app, whose actions run at that place."""
        (config,) = configs("app")
        config = config.replace(_entry(config, "place"), choices()[place])
        assert self.api.create(self.change(config, **further)) == "team/web"

    def push(self, text: str) -> dict[str, Any]:
        """Push the text, as Gitea tells of it, and give the build once it ended."""
        commit = self.repository.push(text)
        body = {
            "ref": "refs/heads/main",
            "before": "0" * 40,
            "after": commit,
            "commits": [{"id": commit, "message": text, "author": {"name": "Ann"}}],
            "repository": {"full_name": "team/web"},
        }
        reply = self.deliver(json.dumps(body).encode(), secret=SECRETS["HOOK_SECRET"])
        assert reply.status == 202, reply.body
        (build,) = reply.value["builds"]
        return self.wait_for(build)

    def deliver(self, body: bytes, *, secret: str) -> Reply:
        """A delivery as Gitea sends it."""
        headers = {
            "Content-Type": "application/json",
            "X-Gitea-Event": "push",
            "X-Gitea-Delivery": hashlib.sha256(body).hexdigest(),
            "X-Gitea-Signature": hmac.new(secret.encode(), body, "sha256").hexdigest(),
        }
        return send(self.server.url, method="POST", path="/team/web", headers=headers, body=body)

    def wait_for(self, build: int) -> dict[str, Any]:
        """A build that ended."""
        value: dict[str, Any] = self.api("build", id=build, wait=60).value
        return value

    def wait_for_mails(self, count: int) -> list[str]:
        """The subjects of the mails, once there are so many."""
        with self.mailbox.changed:
            assert self.mailbox.changed.wait_for(lambda: len(self.mailbox.came) >= count, 60)
        return [str(mail["subject"]) for mail in self.mailbox.came]

    def log(self) -> list[str]:
        return self.api.logs("team/web")


@pytest.fixture
def start(
    launch: Launch,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    open_mailbox: Callable[..., Mailbox],
) -> Iterator[Callable[[], Stage]]:
    """Start the page's server: `start()`."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "far").mkdir()
    repository = Repository(tmp_path / "far")
    (repository.clone / "Makefile").write_text(MAKEFILE)
    mailbox = open_mailbox(security="starttls", login=True)
    with open_sink(answers=[201] * 100) as gitea, open_sink() as board, open_sink() as audit:
        changes = {
            "https://git.example.com/team/web.git": str(repository.bare),
            "https://git.example.com": gitea.url,
            "https://board.example.com": board.url,
            "https://audit.example.com": audit.url,
            "mail.example.com": "localhost",
            "port: 587": f"port: {mailbox.port}",
            "/etc/ssl/our-own.pem": str(TLS / "certificate.pem"),
            "/srv/ci": str(tmp_path / "ci"),
        }

        def begin() -> Stage:
            (tmp_path / "ci").mkdir()
            (server_config,) = configs("server")
            server = launch(config=swap(server_config, changes))
            return Stage(
                server=server,
                api=Api(server.url, server.login),
                repository=repository,
                work_dir=tmp_path / "ci",
                mailbox=mailbox,
                gitea=gitea,
                board=board,
                audit=audit,
                changes=changes,
            )

        yield begin


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    started = start_sshd(tmp_path / "sshd")
    yield started
    started.stop()


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    check_that_it_can_run()
    made = Engine(tmp_path_factory.mktemp("e") / "s", images={"gcc:14"})
    end = serve(made)
    yield made
    end()


# As they stand


def test_every_extension_is_in_the_cookbook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    (server_config,) = configs("server")
    server = parse_server(server_config, base_dir=tmp_path, find_extension=find_server_options)
    declared = list(server.extensions.values())
    for text in [*configs("app"), *(f"listen_point: x\n{one}" for one in configs("app part"))]:
        app = parse_app(
            text, base_dir=tmp_path, find_options=find_options, find_extension=find_app_options
        )
        declared += app.extensions.values()

    assert {one.module for one in declared} == set(known_modules())


def test_every_entry_is_explained_with_its_module() -> None:
    text = "\n".join(part for one in read_page(PAGE) for part in one.paragraphs)
    for config in (*configs("app"), *configs("server")):
        for name, module in re.findall(r"^  (\w+):\n    module: (\w+)$", config, re.MULTILINE):
            assert f"`{name}` ([{module}](extensions.md#{module})) " in text


def test_every_other_place_is_one_of_the_choices() -> None:
    assert list(choices()) == ["wrap_exec", "ssh_exec", "docker_exec"]


# At work


def test_a_push_is_checked_out_built_in_the_jail_and_told_of(start: Callable[[], Stage]) -> None:
    check_that_it_can_run()
    stage = start()
    stage.create("wrap_exec")

    good = stage.push("one")
    broken = stage.push("bad")
    still = stage.push("worse than bad")
    fixed = stage.push("two")

    messages = [one["message"] for one in (good, broken, still, fixed)]
    complete, partial = "Complete (3/3)", "Partially complete (2/3)"
    assert messages == [complete, partial, partial, complete]
    folder = stage.work_dir / "workspaces" / "team+web"
    log = stage.log()
    assert [line for line in log if line.startswith("made ")] == [
        "made one",
        "made bad",
        "made worse than bad",
        "made two",
    ]
    assert f"checked at {folder}" in log
    assert "main is fine" in log

    # The jail writes to its work_dir and nowhere else.
    outside = stage.server.folder / "outside"
    (stage.repository.clone / "Makefile").write_text(f"all:\n\ttouch here; touch {outside}\n")
    assert stage.push("three")["status"] == "failed"
    assert (folder / "here").exists()
    assert not outside.exists()

    words = ("broken", "still failing", "fixed", "broken")
    subjects = stage.wait_for_mails(len(words))
    for word, subject in zip(words, subjects, strict=True):
        assert word in subject
    assert {mail["to"] for mail in stage.mailbox.came} == {"team@example.com"}
    assert stage.mailbox.logins[0] == ("ci@example.com", SECRETS["MAIL_PASSWORD"])

    ended = [
        (one.path, one.value["type"], one.value["data"]["status"])
        for one in stage.board.wait_for(5)
    ]
    assert ended == [
        ("/hooks/ci", "build.finished", status)
        for status in ("complete", "partial", "partial", "complete", "failed")
    ]

    told: list[tuple[str, str]] = []

    def is_told() -> bool:
        told[:] = [(one.path, one.value["state"]) for one in stage.gitea.came]
        return sum(state != "pending" for _path, state in told) == 5

    wait_until(is_told, patience=60)
    commit = param(good, "commit")
    assert told[0] == (f"/api/v1/repos/team/web/statuses/{commit}", "pending")
    assert "success" in {state for path, state in told if path.endswith(commit)}
    assert {one.headers["authorization"] for one in stage.gitea.came} == {"token a-gitea-token"}

    badge = send(stage.server.url, path="/team/web/-/badge.json").value
    assert (badge["label"], badge["message"]) == ("web", "failed")
    wait_until(lambda: "made two" in read(stage.server.folder / "logs/team/web.log"))

    forged = stage.deliver(b"{}", secret="a guess")
    assert (forged.status, forged.value["error"]["code"]) == (403, "signature_refused")
    assert not [line for line in stage.log() if any(one in line for one in SECRETS.values())]


def param(build: dict[str, Any], name: str) -> str:
    (value,) = [one["value"] for one in build["params"] if one["name"] == name]
    return str(value)


def read(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def test_what_was_due_while_the_server_was_down_is_built_once_when_it_is_up(
    start: Callable[[], Stage], launch: Launch
) -> None:
    check_that_it_can_run()
    stage = start()
    stage.create("wrap_exec")
    stage.repository.push("one")
    (info,) = stage.api("info", listen_points="team/web").value
    due = info["extensions"]["every_night"]["next_run"]
    assert 0 < due - time.time() < 4 * 86_400
    assert time.gmtime(due)[3:6] in ((1, 0, 0), (2, 0, 0))
    stage.server.stop()

    with closing(Store(stage.server.folder / "sloth.db")) as store:
        app_id = store.find_app_id("team/web")
        assert app_id
        store.set_note(app_id, "every_night", "last", str(time.time() - 8 * 86_400))
    (server_config,) = configs("server")
    api = Api(launch(config=stage.change(server_config)).url, stage.server.login)

    wait_until(lambda: api("builds", listen_point="team/web").value["builds"])
    (build,) = api("builds", listen_point="team/web").value["builds"]
    ended = api("build", id=build["id"], wait=60).value
    assert (ended["message"], ended["actor"]) == ("Complete (3/3)", "every_night")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT03:00:00\+0[12]:00", param(ended, "scheduled"))
    log = api.logs("team/web")
    assert log.count("made one") == 1
    assert f"every_night: Caught up with what was due at {param(ended, 'scheduled')}" in log


def test_the_actions_run_on_another_machine(start: Callable[[], Stage], sshd: Sshd) -> None:
    stage = start()
    (sshd.folder / "known_hosts").write_text(f"{sshd.host_key}\n")
    changes = {
        "ci@web1.example.com:22": sshd.host,
        "/etc/sloth/id_ed25519": sshd.key,
        "/etc/sloth/known_hosts": str(sshd.folder / "known_hosts"),
        "/srv/web": str(stage.repository.clone),
    }
    stage.create("ssh_exec", **changes)

    assert stage.push("one")["message"] == "Complete (3/3)"
    assert {"made one", f"checked at {stage.repository.clone}", "main is fine"} <= set(stage.log())


def test_the_actions_run_in_a_container(start: Callable[[], Stage], engine: Engine) -> None:
    stage = start()
    changes = {
        "unix:///var/run/docker.sock": engine.url,
        "mount: /work": f"mount: {MOUNT}",
    }
    stage.create("docker_exec", **changes)

    assert stage.push("one")["message"] == "Complete (3/3)"
    assert {"made one", f"checked at {MOUNT}", "main is fine"} <= set(stage.log())
    (body,) = engine.bodies
    assert (body["Image"], body["HostConfig"]["NetworkMode"]) == ("gcc:14", "none")
    wait_until(lambda: not engine.containers)


def test_the_first_that_runs_actions_runs_them_all(
    start: Callable[[], Stage], engine: Engine
) -> None:
    stage = start()
    (config,) = configs("app")
    second = choices()["docker_exec"].replace("  place:", "  second:")
    assert stage.api.create(stage.change(config + second)) == "team/web"

    assert stage.push("one")["message"] == "Complete (3/3)"
    assert engine.bodies == []


def test_the_servers_own_extensions_are_at_work(start: Callable[[], Stage]) -> None:
    stage = start()
    url = stage.server.url
    (docs,) = configs("app after server")

    assert stage.api.create(docs) == "docs"
    assert stage.wait_for(stage.api.trigger("docs"))["status"] == "complete"
    assert stage.api("update", listen_point="docs", config_string=docs).status == 200
    badge = send(url, path="/-/badge/docs.json").value
    assert (badge["label"], badge["message"]) == ("docs", "passed")
    assert send(url, path="/-/badge/docs.svg").headers["content-type"].startswith("image/svg+xml")
    figures = send(url, path="/-/metrics").body.decode()
    assert 'sloth_ci_builds_total{app="docs",status="complete"} 1.0' in figures
    assert "Disallow: /" in send(url, path="/robots.txt").body.decode()
    assert stage.api("remove", listen_point="docs").status == 204

    told = [(one.path, one.value["type"]) for one in stage.audit.wait_for(3)]
    assert told == [("/ci", f"app.{what}") for what in ("created", "updated", "removed")]
    assert {one.value["data"]["listen_point"] for one in stage.audit.came} == {"docs"}
