"""Commit statuses: each service is told in its documented form, and builds don't care."""

from collections.abc import Iterator
from dataclasses import dataclass
from logging import ERROR, WARNING
from pathlib import Path
from typing import Any

import pytest
import sloth_ci_extensions.status_report as module
from sloth_ci_extensions._status_services import SERVICES
from sloth_ci_extensions.status_report import StatusReport, StatusReportOptions

from sloth_ci.builds import BuildStatus
from sloth_ci.errors import ConfigInvalid
from sloth_ci.hooks import BuildEvent
from tests.extensions.manuals import options_in
from tests.extensions.scenes import Scene, read_options
from tests.sinks import Sink, open_sink

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LINK = "https://ci.example.org/-/builds/17"


@dataclass(frozen=True)
class Form:
    """What a service's documentation wants."""

    path: str
    header: tuple[str, str]
    #: The names of the state, the label and the link.
    state: str
    label: str
    link: str
    #: All states that it knows, and those of: waits, complete, failed, cancelled.
    known: frozenset[str]
    words: tuple[str, str, str, str]
    answer: int
    #: Characters of each field, where that is limited.
    limits: dict[str, int]


GITEA = Form(
    path=f"/api/repos/spam/eggs/statuses/{COMMIT}",
    header=("authorization", "token t0ken"),
    state="state",
    label="context",
    link="target_url",
    known=frozenset({"pending", "success", "error", "failure", "warning"}),
    words=("pending", "success", "failure", "error"),
    answer=201,
    limits={},
)
FORMS = {
    "github": Form(
        path=f"/api/repos/spam/eggs/statuses/{COMMIT}",
        header=("authorization", "Bearer t0ken"),
        state="state",
        label="context",
        link="target_url",
        known=frozenset({"error", "failure", "pending", "success"}),
        words=("pending", "success", "failure", "error"),
        answer=201,
        limits={"description": 140, "context": 255},
    ),
    "gitlab": Form(
        path=f"/api/projects/spam%2Feggs/statuses/{COMMIT}",
        header=("private-token", "t0ken"),
        state="state",
        label="name",
        link="target_url",
        known=frozenset({"pending", "running", "success", "failed", "canceled", "skipped"}),
        words=("pending", "success", "failed", "canceled"),
        answer=201,
        limits={"description": 255, "name": 255, "target_url": 255},
    ),
    "gitea": GITEA,
    "forgejo": GITEA,
    "bitbucket": Form(
        path=f"/api/repositories/spam/eggs/commit/{COMMIT}/statuses/build",
        header=("authorization", "Bearer t0ken"),
        state="state",
        label="name",
        link="url",
        known=frozenset({"SUCCESSFUL", "FAILED", "INPROGRESS", "STOPPED"}),
        words=("INPROGRESS", "SUCCESSFUL", "FAILED", "STOPPED"),
        answer=201,
        limits={"key": 40},
    ),
    "bitbucket_server": Form(
        path=f"/api/rest/api/latest/projects/spam/repos/eggs/commits/{COMMIT}/builds",
        header=("authorization", "Bearer t0ken"),
        state="state",
        label="name",
        link="url",
        known=frozenset({"SUCCESSFUL", "FAILED", "INPROGRESS", "CANCELLED", "UNKNOWN"}),
        words=("INPROGRESS", "SUCCESSFUL", "FAILED", "FAILED"),
        answer=204,
        limits={"key": 255, "name": 255, "description": 255, "url": 450},
    ),
}
services = pytest.mark.parametrize("service", FORMS)


@pytest.fixture
def sink() -> Iterator[Sink]:
    with open_sink() as opened:
        yield opened


class Stage(Scene):
    """A scene with a service in it."""

    def __init__(self, folder: Path, sink: Sink) -> None:
        super().__init__(folder)
        self.sink = sink

    def report(self, service: str = "github", **options: Any) -> StatusReport:
        """Reports to the sink."""
        url = options.pop("server_url", "https://ci.example.org")
        given = {
            "service": service,
            "token": "t0ken",
            "api": f"{self.sink.url}/api/",
            "private": "true",
            **options,
        }
        made = StatusReportOptions.model_validate(given)
        return StatusReport(made, self.context(url=url), pauses=(0, 0))

    def pushed(self, status: BuildStatus = BuildStatus.COMPLETE, **changes: Any) -> BuildEvent:
        """A build of a push."""
        params = {"owner": "spam", "repo": "eggs", "commit": COMMIT, **changes.pop("params", {})}
        return self.build(status, params=params, **changes)


@pytest.fixture
def stage(tmp_path: Path, sink: Sink) -> Iterator[Stage]:
    made = Stage(tmp_path, sink)
    yield made
    made.store.close()


def test_every_service_has_its_form_here() -> None:
    assert FORMS.keys() == SERVICES.keys()


@services
def test_a_status_is_told_in_the_documented_form(stage: Stage, service: str) -> None:
    form = FORMS[service]
    stage.sink.answers = [form.answer]

    stage.report(service).build_finished(stage.pushed())

    (came,) = stage.sink.came
    assert (came.method, came.path) == ("POST", form.path)
    assert came.headers[form.header[0]] == form.header[1]
    assert came.headers["content-type"] == "application/json"
    assert came.value[form.state] == form.words[1]
    assert came.value[form.label] == "sloth-ci/web"
    assert came.value["description"] == "Build 17: Complete (2/2)"
    assert came.value[form.link] == LINK


@services
def test_every_status_has_a_word_that_the_service_knows(stage: Stage, service: str) -> None:
    form, report = FORMS[service], stage.report(service)
    ends = [BuildStatus.COMPLETE, BuildStatus.FAILED, BuildStatus.CANCELLED]
    report.build_queued(stage.pushed(BuildStatus.QUEUED))
    for end in ends:
        report.build_finished(stage.pushed(end))

    assert tuple(came.value[form.state] for came in stage.sink.came) == form.words
    report.build_started(stage.pushed(BuildStatus.RUNNING))
    for status in BuildStatus:
        if status.final:
            report.build_finished(stage.pushed(status))
    assert {came.value[form.state] for came in stage.sink.came} <= form.known


def test_only_gitlab_tells_waiting_and_running_apart(stage: Stage) -> None:
    for service in FORMS:
        stage.report(service).build_started(stage.pushed(BuildStatus.RUNNING))

    assert [came.value["state"] for came in stage.sink.came] == ["running"]


@services
def test_no_field_is_longer_than_the_service_takes(stage: Stage, service: str) -> None:
    report = stage.report(service, context="c" * 200)

    report.build_finished(stage.pushed(message="m" * 500))

    (came,) = stage.sink.came
    for name, most in FORMS[service].limits.items():
        assert len(came.value[name]) <= most, name


def test_labels_that_are_cut_differ_still(stage: Stage) -> None:
    for context in ("x" * 60 + "a", "x" * 60 + "b"):
        stage.report("bitbucket", context=context).build_finished(stage.pushed())

    assert len({came.value["key"] for came in stage.sink.came}) == 2


@pytest.mark.parametrize(
    ("service", "repository", "path"),
    [
        ("gitlab", "group/sub/web", f"/api/projects/group%2Fsub%2Fweb/statuses/{COMMIT}"),
        (
            "bitbucket_server",
            "~ann/web",
            f"/api/rest/api/latest/projects/~ann/repos/web/commits/{COMMIT}/builds",
        ),
        ("github", "other/web", f"/api/repos/other/web/statuses/{COMMIT}"),
    ],
)
def test_the_configured_repository_wins(
    stage: Stage, service: str, repository: str, path: str
) -> None:
    stage.report(service, repository=repository).build_finished(stage.pushed())

    assert stage.sink.came[0].path == path


def test_without_a_link_it_is_left_out(stage: Stage) -> None:
    stage.report(server_url="").build_finished(stage.pushed())

    assert "target_url" not in stage.sink.came[0].value


@pytest.mark.parametrize("service", ["bitbucket", "bitbucket_server"])
def test_what_demands_a_link_is_refused_without_one(stage: Stage, service: str) -> None:
    with pytest.raises(ValueError, match="needs 'url' in the server config"):
        stage.report(service, server_url="")


def test_a_build_without_a_commit_is_not_told_of(stage: Stage) -> None:
    stage.report().build_finished(stage.build(params={"branch": "main"}))

    assert (stage.sink.came, stage.log) == ([], [])


@pytest.mark.parametrize(
    "params",
    [
        {"commit": "../../user"},
        {"commit": "main"},
        {"commit": COMMIT + "/../x"},
        {"owner": ".."},
        {"repo": "../../user/keys?x="},
        {"repo": "eggs\r\nX-Header: y"},
        {"owner": ""},
        {"repo": "eggs#"},
    ],
    ids=str,
)
def test_no_params_lead_the_token_elsewhere(stage: Stage, params: dict[str, str]) -> None:
    stage.report().build_finished(stage.pushed(params=params))

    assert stage.sink.came == []
    assert [level for level, _text in stage.log] == [WARNING]


def test_it_is_tried_again(stage: Stage) -> None:
    stage.sink.answers = [502, 503, 201]

    stage.report().build_finished(stage.pushed())

    assert len(stage.sink.came) == 3
    assert [level for level, _text in stage.log if level >= WARNING] == []


def test_trouble_is_one_line_without_the_token(stage: Stage) -> None:
    stage.secrets = ("t0ken",)
    stage.sink.answers, stage.sink.body = [401], b'{"message": "Bad t0ken"}'

    stage.report().build_finished(stage.pushed())

    ((level, text),) = stage.log
    assert level == ERROR
    assert text.startswith("github not told of build 17: ")
    assert 'answered 401: {"message": "Bad ***"}' in text
    assert len(stage.sink.came) == 1


def test_what_hangs_is_tried_once_for_each_further_build(stage: Stage) -> None:
    report = stage.report()
    stage.sink.answers = [500] * 4 + [201]
    for _ in range(3):
        report.build_finished(stage.pushed())

    assert len(stage.sink.came) == 5
    assert [level for level, _text in stage.log if level == ERROR] == [ERROR, ERROR]


def test_a_state_that_gitlab_knows_already_is_no_trouble(stage: Stage) -> None:
    stage.sink.answers = [400]
    stage.sink.body = b'{"message": "Cannot transition status via :run from :running"}'

    stage.report("gitlab").build_started(stage.pushed(BuildStatus.RUNNING))

    assert stage.log == []


def test_private_addresses_are_refused_unless_allowed(stage: Stage) -> None:
    stage.report(private="false").build_finished(stage.pushed())

    assert stage.sink.came == []
    assert "inside of a network" in stage.log[0][1]


def test_it_ends_at_once_while_it_waits_to_try_again(stage: Stage) -> None:
    stage.sink.answers = [500] * 9
    report = stage.report()
    report._pauses = (1_000,)
    report.close()

    report.build_finished(stage.pushed())

    assert len(stage.sink.came) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("service: github", "'extensions.tell.token' is missing"),
        ("service: githb\ntoken: abc", "must be one of github, gitlab"),
        ("service: gitea\ntoken: abc", "needs 'api', the address of your gitea"),
        ("service: github\ntoken: abc\napi: example.org", "has an 'api' that can't be used"),
        ("service: github\ntoken: abc\nrepository: web", "not of the form owner/name"),
        ("service: github\ntoken: abc\nrepository: ../web", "not of the form owner/name"),
        ('service: github\ntoken: "a\\nb"', "has a 'token' with characters that no token has"),
    ],
)
def test_bad_options_are_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        read_options(StatusReport, text)

    assert reason in str(refused.value)


def test_the_manuals_config_works(stage: Stage) -> None:
    (options,) = options_in(module, base_dir=Path())

    assert StatusReport(options, stage.context()).options.service == "github"
    assert module.__doc__
    names = (*StatusReportOptions.model_fields, *SERVICES)
    assert [one for one in names if one not in module.__doc__] == []
