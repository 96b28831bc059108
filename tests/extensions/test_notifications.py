"""Notifications: who is told of what, in which words, and what becomes of one that fails."""

import email
import email.policy
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from logging import ERROR, WARNING
from pathlib import Path
from threading import Condition
from typing import Any

import pytest
import sloth_ci_extensions.notifications as module
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from sloth_ci_extensions.notifications import Notifications
from sloth_ci_extensions.notifications.mail import MailOptions
from sloth_ci_extensions.notifications.occasions import OCCASIONS
from sloth_ci_extensions.notifications.options import NotificationsOptions
from sloth_ci_extensions.notify import COMMAND

from sloth_ci.builds import BuildStatus
from sloth_ci.command import Terminal
from sloth_ci.errors import ConfigInvalid
from sloth_ci.records import DEBUG
from tests.extensions.manuals import options_in
from tests.extensions.scenes import Scene, read_options
from tests.sinks import TLS, Sink, open_sink

# Some of apprise's many modules use what Python is about to drop.
pytestmark = [
    pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning"),
    # Of the mail server, which knows nothing of the TLS that it is behind.
    pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning"),
]

SENDER, ANN, BOB = "Sloth CI <ci@example.org>", "ann@example.org", "bob@example.org"


@dataclass
class Mailbox:
    """Takes what comes by SMTP, as a server that wants what it is told to want."""

    port: int = 0
    came: list[EmailMessage] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    #: Answers to the next DATA commands; '' takes the message.
    answers: list[str] = field(default_factory=list)
    refused: tuple[str, ...] = ()
    changed: Condition = field(default_factory=Condition)

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Any
    ) -> str:
        """Refuse some."""
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Envelope
    ) -> str:
        """Keep a message."""
        answer = self.answers.pop(0) if self.answers else ""
        assert isinstance(envelope.content, bytes)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        message["X-Recipients"] = ", ".join(envelope.rcpt_tos)
        with self.changed:
            if not answer:
                self.came.append(message)
            self.changed.notify_all()
        return answer or "250 OK"

    def login(
        self, _server: Any, _session: Any, _envelope: Any, _how: str, data: Any
    ) -> AuthResult:
        """Take one password only."""
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login.decode(), data.password.decode()))
        is_right = data.password == b"right"
        # What is not handled is answered by the server itself.
        return AuthResult(success=is_right, handled=is_right)


@pytest.fixture
def open_mailbox() -> Iterator[Callable[..., Mailbox]]:
    """Open mailboxes that close with the test: `open_mailbox(security="starttls")`."""
    open_ones: list[Controller] = []

    def open_one(*, security: str = "none", login: bool = False) -> Mailbox:
        mailbox = Mailbox()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")
        options: dict[str, Any] = {"hostname": "127.0.0.1", "port": 0}
        if security == "tls":
            options["ssl_context"] = context
        if security == "starttls":
            options |= {"tls_context": context, "require_starttls": True}
        if login:
            options |= {"authenticator": mailbox.login, "auth_required": True}
            options["auth_require_tls"] = security == "starttls"
        controller = _Controller(mailbox, **options)
        controller.start()
        open_ones.append(controller)
        mailbox.port = controller.port
        return mailbox

    yield open_one
    for one in open_ones:
        one.stop()


class _Controller(Controller):
    """One that takes any free port."""

    def _trigger_server(self) -> None:
        assert self.server
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture
def mailbox(open_mailbox: Callable[..., Mailbox]) -> Mailbox:
    return open_mailbox()


class Stage(Scene):
    """A scene with notifications in it."""

    def notify(self, mailbox: Mailbox | None = None, **options: Any) -> Notifications:
        """Notifications by e-mail to the mailbox, if there is one."""
        if mailbox is not None:
            given = options.pop("email", {})
            options["email"] = {
                "host": "127.0.0.1",
                "port": str(mailbox.port),
                "security": "none",
                "sender": SENDER,
                "to": [ANN, BOB],
                "timeout": "5",
                **given,
            }
        context = {"base_dir": self.folder}
        made = NotificationsOptions.model_validate(options, context=context)
        return Notifications(made, self.context(), pauses=(0, 0), clock=self.clock)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.store.close()


# Mail


def test_a_mail_tells_how_the_build_ended(stage: Stage, mailbox: Mailbox) -> None:
    build = stage.run_build(
        BuildStatus.FAILED,
        branch="main",
        commit="0123abcd",
        author="Ann",
        message="Fix the fence\n\nIt fell over.",
    )

    stage.notify(mailbox).build_finished(build)

    (came,) = mailbox.came
    assert came["Subject"] == "web: Failed (1/2), broken (main)"
    assert came["From"] == SENDER
    assert came["To"] == f"{ANN}, {BOB}"
    assert came["X-Recipients"] == f"{ANN}, {BOB}"
    assert came["Auto-Submitted"] == "auto-generated"
    assert came["Message-ID"].endswith("@example.org>")
    assert came["Date"].datetime
    assert came.get_content().splitlines() == [
        f"Build: {build.id}",
        "Branch: main",
        "Commit: 0123abcd",
        "Author: Ann",
        "Message: Fix the fence",
        "",
        "It fell over.",
        "Took: 1 min 3 s",
        f"See: https://ci.example.org/-/builds/{build.id}",
    ]


def test_templates_say_what_appears(stage: Stage, mailbox: Mailbox) -> None:
    stage.notify(
        mailbox,
        subject="{listen_point} {status} {{literal}} {unknown}",
        body="{build} {cause} {custom} {{x}}\nTag: {tag}\nalways\n",
    ).build_finished(stage.build(BuildStatus.FAILED, params={"custom": "né"}))

    (came,) = mailbox.came
    assert came["Subject"] == "web failed {literal} {unknown}"
    assert came.get_content().splitlines() == ["17 push né {x}", "always"]


def test_the_end_of_the_log_is_in_it(stage: Stage, mailbox: Mailbox) -> None:
    stage.secrets = ("hunter2",)
    lines = [f"line {number} hunter2 \x1b[31mred" for number in range(30)]
    build = stage.run_build(BuildStatus.FAILED, lines)

    stage.notify(mailbox, body="{log}", log_lines="3").build_finished(build)

    text = mailbox.came[0].get_content()
    assert text.splitlines() == [f"line {n} *** \\x1b[31mred" for n in (27, 28, 29)]


def test_nothing_in_a_value_gets_into_the_headers(stage: Stage, mailbox: Mailbox) -> None:
    hostile = "x\r\nBcc: eve@example.org\r\n\r\n<b>body</b>\u2028\u0085\x00\x1b[2J\ud800"
    params = dict.fromkeys(("branch", "author", "message"), hostile)

    stage.notify(mailbox, subject="{branch} {author} {message}").build_finished(
        stage.build(BuildStatus.FAILED, params=params)
    )

    (came,) = mailbox.came
    assert came["Bcc"] is None
    assert came["X-Recipients"] == f"{ANN}, {BOB}"
    assert came["Subject"].startswith("x Bcc: eve@example.org <b>body</b>")
    assert set(came.keys()) == {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Type",
        "Content-Transfer-Encoding", "MIME-Version", "X-Recipients",
    } | ({"X-Peer", "X-MailFrom", "X-RcptTo"} & set(came.keys()))  # fmt: skip
    assert came.get_content_type() == "text/plain"
    assert "\x1b" not in came.get_content()


def test_a_subject_of_any_length_and_script_arrives(stage: Stage, mailbox: Mailbox) -> None:
    stage.notify(mailbox, subject="{message}").build_finished(
        stage.build(BuildStatus.FAILED, params={"message": "Schöne Grüße 🦥 " * 100})
    )

    subject = mailbox.came[0]["Subject"]
    assert subject.startswith("Schöne Grüße 🦥 Schöne")
    assert len(subject) == 200


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_mail_goes_by_tls_with_a_login(
    stage: Stage, open_mailbox: Callable[..., Mailbox], security: str
) -> None:
    mailbox = open_mailbox(security=security, login=True)
    given = {
        "host": "localhost",
        "security": security,
        "login": "ci",
        "password": "right",
        "ca_file": str(TLS / "certificate.pem"),
    }

    stage.notify(mailbox, email=given).build_finished(stage.build(BuildStatus.FAILED))

    assert stage.log[-1][0] == DEBUG
    assert len(mailbox.came) == 1
    assert mailbox.logins == [("ci", "right")]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"password": "wrong"}, "refuses the login"),
        ({"ca_file": "none"}, "certificate that is not trusted"),
        ({"host": "127.0.0.1"}, "certificate that is not trusted"),
    ],
    ids=["a wrong password", "an unknown authority", "another name"],
)
def test_a_server_that_is_not_right_gets_nothing(
    stage: Stage, open_mailbox: Callable[..., Mailbox], changes: dict[str, str], reason: str
) -> None:
    mailbox = open_mailbox(security="starttls", login=True)
    given = {
        "host": "localhost",
        "security": "starttls",
        "login": "ci",
        "password": "right",
        "ca_file": str(TLS / "certificate.pem"),
        **changes,
    }
    if given["ca_file"] == "none":
        del given["ca_file"]

    stage.notify(mailbox, email=given).build_finished(stage.build(BuildStatus.FAILED))

    assert mailbox.came == []
    assert [text for level, text in stage.log if level == ERROR and reason in text]


def test_a_server_without_tls_is_not_told_a_secret(stage: Stage, mailbox: Mailbox) -> None:
    given = {"security": "starttls", "login": "ci", "password": "right"}

    stage.notify(mailbox, email=given).build_finished(stage.build(BuildStatus.FAILED))

    assert (mailbox.logins, mailbox.came) == ([], [])
    assert "STARTTLS" in stage.log[-1][1]


def test_it_is_tried_again(stage: Stage, mailbox: Mailbox) -> None:
    mailbox.answers = ["451 busy", "421 busy"]

    stage.notify(mailbox).build_finished(stage.build(BuildStatus.FAILED))

    assert len(mailbox.came) == 1
    assert [level for level, _text in stage.log] == [DEBUG]


def test_trouble_is_one_clear_line(stage: Stage, mailbox: Mailbox) -> None:
    mailbox.answers = ["554 no \x1b[31m spam"]

    stage.notify(mailbox).build_finished(stage.build(BuildStatus.FAILED))

    assert stage.log == [
        (
            ERROR,
            "build 17 not told by e-mail: the mail server 127.0.0.1 answered 554 no \\x1b[31m spam",
        )
    ]


def test_after_a_failure_there_is_one_try_until_it_works(stage: Stage, mailbox: Mailbox) -> None:
    mailbox.answers = ["451 busy"] * 4
    notifications = stage.notify(mailbox)
    for _ in range(3):
        notifications.build_finished(stage.build(BuildStatus.FAILED))

    assert len(mailbox.came) == 1
    assert [level for level, _text in stage.log] == [ERROR, ERROR, DEBUG]


def test_those_whom_the_server_refuses_are_named(stage: Stage, mailbox: Mailbox) -> None:
    mailbox.refused = (ANN,)

    stage.notify(mailbox).build_finished(stage.build(BuildStatus.FAILED))

    assert mailbox.came[0]["X-Recipients"] == BOB
    assert (WARNING, f"the mail server refuses {ANN}: 550 no such user") in stage.log


def test_a_server_that_hangs_is_left(stage: Stage, tmp_path: Path) -> None:
    with open_sink() as sink:  # speaks no SMTP, and waits for more
        notifications = stage.notify(Mailbox(port=sink.port), email={"timeout": "0.2"})
        notifications._pauses = ()
        notifications.build_finished(stage.build(BuildStatus.FAILED))

    assert "broke off, or took more than 0.2 s" in stage.log[0][1]


# Occasions


def told(stage: Stage, mailbox: Mailbox, *on: str) -> Callable[..., list[str]]:
    notifications = stage.notify(mailbox, on=list(on), subject="{status}/{change}")

    def run(status: BuildStatus, **params: str) -> list[str]:
        before = len(mailbox.came)
        notifications.build_finished(stage.run_build(status, **params))
        return [str(one["Subject"]) for one in mailbox.came[before:]]

    return run


@pytest.mark.parametrize("status", [status for status in BuildStatus if status.final])
def test_only_wanted_ends_are_told(stage: Stage, mailbox: Mailbox, status: BuildStatus) -> None:
    run = told(stage, mailbox, status.value)

    for one in BuildStatus:
        if one.final:
            assert bool(run(one, branch=f"of-{one}")) is (one is status)


def test_changes_are_told(stage: Stage, mailbox: Mailbox) -> None:
    run = told(stage, mailbox, "broken", "fixed", "still_failing")

    good, bad, late = BuildStatus.COMPLETE, BuildStatus.FAILED, BuildStatus.TIMED_OUT
    assert run(good) == []
    assert run(bad) == ["failed/broken"]
    assert run(late) == ["timed_out/still failing"]
    assert run(BuildStatus.PARTIAL) == ["partial/still failing"]
    assert run(good) == ["complete/fixed"]
    assert run(good) == []


def test_the_first_build_that_fails_is_broken(stage: Stage, mailbox: Mailbox) -> None:
    assert told(stage, mailbox, "broken")(BuildStatus.FAILED) == ["failed/broken"]


def test_cancelled_builds_are_passed_by(stage: Stage, mailbox: Mailbox) -> None:
    run = told(stage, mailbox, "broken", "fixed", "still_failing")
    run(BuildStatus.FAILED)

    assert run(BuildStatus.CANCELLED) == []
    assert run(BuildStatus.INTERRUPTED) == []
    assert run(BuildStatus.FAILED) == ["failed/still failing"]


def test_branches_are_held_against_themselves(stage: Stage, mailbox: Mailbox) -> None:
    run = told(stage, mailbox, "broken", "fixed", "still_failing")
    run(BuildStatus.FAILED, branch="feature")

    assert run(BuildStatus.COMPLETE, branch="main") == []
    assert run(BuildStatus.FAILED, branch="main") == ["failed/broken"]
    assert run(BuildStatus.COMPLETE, branch="feature") == ["complete/fixed"]


def test_what_is_told_without_on(stage: Stage, mailbox: Mailbox) -> None:
    notifications = stage.notify(mailbox)
    notifications.build_started(stage.build(BuildStatus.RUNNING))
    for status in (BuildStatus.COMPLETE, BuildStatus.CANCELLED, BuildStatus.FAILED):
        notifications.build_finished(stage.run_build(status))
    notifications.build_finished(stage.run_build(BuildStatus.COMPLETE))

    assert [one["Subject"].split(", ")[1] for one in mailbox.came] == [
        "broken (main)",
        "fixed",
    ] or [one["Subject"] for one in mailbox.came] == [
        "web: Failed (1/2), broken",
        "web: Complete (2/2), fixed",
    ]


def test_a_build_that_begins_is_told(stage: Stage, mailbox: Mailbox) -> None:
    stage.notify(mailbox, on=["started"]).build_started(stage.build(BuildStatus.RUNNING))

    assert mailbox.came[0]["Subject"] == "web: Started (main)"


def test_the_work_is_left_for_later(stage: Stage, mailbox: Mailbox) -> None:
    waiting: list[Callable[[], None]] = []
    notifications = stage.notify(mailbox)
    notifications.context = stage.context(later=waiting.append)

    notifications.build_finished(stage.build(BuildStatus.FAILED))
    notifications.build_finished(stage.build(BuildStatus.CANCELLED))

    assert mailbox.came == []
    assert len(waiting) == 1


# Services


@pytest.fixture
def sink() -> Iterator[Sink]:
    with open_sink() as opened:
        yield opened


def test_a_service_gets_title_body_and_kind(stage: Stage, sink: Sink) -> None:
    services = [f"json://127.0.0.1:{sink.port}/path"]
    notifications = stage.notify(
        services=services, private="true", body="{outcome}", on=["complete", "failed", "partial"]
    )

    for status in (BuildStatus.COMPLETE, BuildStatus.FAILED, BuildStatus.PARTIAL):
        notifications.build_finished(stage.run_build(status))

    values = [one.value for one in sink.came]
    assert [one["type"] for one in values] == ["success", "failure", "warning"]
    assert values[0]["title"] == "web: Complete (2/2)"
    assert values[0]["message"].strip() == "Complete (2/2)"
    assert sink.came[0].path == "/path"


def test_discord_gets_a_coloured_card(
    stage: Stage, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    import apprise.plugins.discord as discord

    monkeypatch.setattr(discord.NotifyDiscord, "notify_url", f"{sink.url}/api/webhooks")
    sink.answers = [204, 204]
    notifications = stage.notify(services=["discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js"])
    hostile = "@everyone <@&1> *x* [a](http://b) <!channel>"

    notifications.build_finished(stage.run_build(BuildStatus.FAILED, author=hostile))
    notifications.build_finished(stage.run_build(BuildStatus.COMPLETE))

    bad, good = (one.value for one in sink.came)
    assert bad["embeds"][0]["title"].startswith("web: Failed (1/2)")
    assert bad["embeds"][0]["color"] != good["embeds"][0]["color"]
    assert "content" not in bad
    assert "@everyone" not in str(bad)
    assert "<@&1>" not in str(bad)


def test_a_service_that_refuses_is_told_in_one_line(stage: Stage, sink: Sink) -> None:
    sink.answers = [500] * 3
    services = [f"json://user:hunter2@127.0.0.1:{sink.port}/s3cret"]
    stage.notify(services=services, private="true").build_finished(stage.build(BuildStatus.FAILED))

    ((level, text),) = stage.log
    assert level == ERROR
    assert text.startswith("build 17 not told by json: the service refuses: ")
    assert "500" in text
    assert "hunter2" not in text
    assert len(sink.came) == 3


def test_a_service_inside_is_refused_unless_allowed(stage: Stage, sink: Sink) -> None:
    services = [f"json://localhost:{sink.port}/"]

    stage.notify(services=services).build_finished(stage.build(BuildStatus.FAILED))

    assert sink.came == []
    assert "inside of a network" in stage.log[0][1]


def test_a_service_that_redirects_is_not_followed(stage: Stage, sink: Sink) -> None:
    sink.answers, sink.headers = [307] * 3, {"Location": f"{sink.url}/elsewhere"}
    services = [f"json://127.0.0.1:{sink.port}/first"]

    stage.notify(services=services, private="true").build_finished(stage.build(BuildStatus.FAILED))

    assert {one.path for one in sink.came} == {"/first"}
    assert stage.log[0][0] == ERROR


def test_all_ways_are_used_even_when_one_fails(stage: Stage, sink: Sink, mailbox: Mailbox) -> None:
    mailbox.answers = ["554 no"]
    services = [f"json://127.0.0.1:{sink.port}/{n}" for n in (1, 2)]
    sink.answers = [400] * 3

    stage.notify(mailbox, services=services, private="true").build_finished(
        stage.build(BuildStatus.FAILED)
    )

    assert [level for level, _text in stage.log].count(ERROR) == 2
    assert {one.path for one in sink.came} == {"/1", "/2"}


def test_apprise_is_loaded_only_for_services(tmp_path: Path) -> None:
    code = (
        "import sys; import sloth_ci_extensions.notifications as n;"
        "assert 'apprise' not in sys.modules, 'loaded';"
        "sys.modules['apprise'] = None;"
        "\ntry: n._open_services(['json://x'], private=False)"
        "\nexcept ValueError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'sloth-ci[notify]'" in run.stdout, run.stderr


# Tests that people send


def test_a_test_tells_of_each_way_what_came_of_it(
    stage: Stage, mailbox: Mailbox, sink: Sink
) -> None:
    sink.answers = [500]
    services = [f"json://127.0.0.1:{sink.port}/"]
    notifications = stage.notify(mailbox, services=services, private="true")

    class Extensions:
        def pick(self, _kind: Any, _name: str | None) -> list[Notifications]:
            return [notifications]

    class Bed:
        extensions = Extensions()

        def find(self, _listen_point: str) -> "Bed":
            return self

    class Server:
        bed = Bed()

    (action,) = module.ACTIONS
    good, bad = action.run(Server(), listen_point="web", name=None).value

    assert good == {"name": "tell", "by": "e-mail", "sent": True, "problem": None}
    assert (bad["by"], bad["sent"]) == ("json", False)
    assert "500" in bad["problem"]
    assert mailbox.came[0]["Subject"] == "web: Test (1/1) (main)"
    assert "This is a test" in mailbox.came[0].get_content()


@pytest.mark.parametrize(("problem", "code"), [(None, 0), ("it refuses", 1)])
def test_the_command_tells_it_and_ends_accordingly(problem: str | None, code: int) -> None:
    answer = [
        {"name": "tell", "by": "e-mail", "sent": True, "problem": None},
        {"name": "tell", "by": "json", "sent": problem is None, "problem": problem},
    ]
    calls: list[Any] = []
    shown: list[Any] = []
    warned: list[str] = []

    class Client:
        def call(self, action: str, **params: Any) -> Any:
            calls.append((action, params))
            return answer

    terminal = Terminal(
        connect=Client,  # type: ignore[arg-type]
        show=lambda value, text: shown.append((value, text)),
        warn=warned.append,
    )

    assert COMMAND.run({"app": "web", "name": None}, terminal) == code
    assert calls == [("notify", {"listen_point": "web", "name": None})]
    assert shown[0][0] == answer
    assert "tell: sent by e-mail" in shown[0][1]
    assert warned == ([f"tell: not sent by json: {problem}"] if problem else [])


# Options

MAIL = "email: {{host: h, sender: a@b.c, to: [a@b.c]{}}}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("on: [failed]", "needs 'email' or 'services'"),
        (MAIL.format("") + "\non: [faild]", "unknown word 'faild'. Did you mean 'failed'"),
        (MAIL.format("") + "\non: []", "must be a list such as"),
        (MAIL.format("") + "\nlog_lines: many", "must be a number of lines from 0"),
        (MAIL.format(", security: ssl"), "must be one of starttls, tls, none"),
        (MAIL.format(", port: 99999"), "must be the number of a port"),
        (MAIL.format(", login: me"), "needs both 'login' and 'password'"),
        (MAIL.format(", security: none, login: me, password: x"), "in the clear"),
        ("email: {host: h, sender: nobody, to: [a@b.c]}", "must be an e-mail address"),
        ("email: {host: h, sender: a@b.c, to: ['a@b.c, c@d.e']}", "must be an e-mail address"),
        ('email: {host: h, sender: "a@b.c\\nBcc: x@y.z", to: [a@b.c]}', "an e-mail address"),
        ("email: {host: h, sender: a@b.c, to: []}", "at least one address"),
        ("email: {sender: a@b.c, to: [a@b.c]}", "'extensions.tell.email.host' is missing"),
        ("email: {host: h, sender: a@b.c, to: [a@b.c], cc: [x]}", "unknown key"),
    ],
)
def test_bad_options_are_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        read_options(Notifications, text)

    assert reason in str(refused.value)


@pytest.mark.parametrize("url", ["nothing", "nosuch://s3cret/token", "discord://s3cret"])
def test_a_service_that_apprise_does_not_know_is_refused(stage: Stage, url: str) -> None:
    with pytest.raises(ValueError, match="apprise doesn't understand") as refused:
        stage.notify(services=[url])

    assert "s3cret" not in str(refused.value)


def test_the_manuals_configs_work(stage: Stage) -> None:
    by_mail, by_services = options_in(module, base_dir=Path())

    assert Notifications(by_mail, stage.context()).options.email.host == "mail.example.org"
    names = [one.name for one in Notifications(by_services, stage.context())._channels]
    assert names == ["discord", "slack", "tgram", "ntfy"]


def test_the_manual_names_every_option_and_occasion() -> None:
    names = (*NotificationsOptions.model_fields, *MailOptions.model_fields, *OCCASIONS)
    assert module.__doc__
    assert [one for one in names if one not in module.__doc__] == []
