"""How services that hold code are told of a commit's status: their addresses, forms and words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from sloth_ci.builds import BuildStatus


@dataclass(frozen=True, slots=True)
class Report:
    """What is to be told of a commit, for all services alike."""

    state: str
    #: What it is called beside the commit.
    context: str
    description: str
    #: '' when the server's address isn't configured.
    link: str


@dataclass(frozen=True, slots=True)
class Service:
    """How one service is told; the formats are those of its documented REST API."""

    #: '' for those that everybody has of their own.
    api: str
    #: Below `api`; `{id}` is the repository as one step of the path.
    path: str
    #: The header with the token.
    header: tuple[str, str]
    #: The service's words for our statuses; those not told of are left out.
    states: Mapping[BuildStatus, str]
    body: Callable[[Report], dict[str, str]]
    #: Whether it takes no status without a link.
    needs_link: bool = False


def _states(
    pending: str, success: str, failure: str, error: str, *, running: str | None = None
) -> dict[BuildStatus, str]:
    told = {BuildStatus.RUNNING: running} if running else {}
    return told | {
        BuildStatus.QUEUED: pending,
        BuildStatus.COMPLETE: success,
        BuildStatus.PARTIAL: failure,
        BuildStatus.FAILED: failure,
        BuildStatus.TIMED_OUT: failure,
        BuildStatus.CANCELLED: error,
        BuildStatus.INTERRUPTED: error,
    }


def _with_link(name: str, link: str) -> dict[str, str]:
    return {name: link} if link else {}


def _as_context(report: Report) -> dict[str, str]:
    return {
        "state": report.state,
        "context": report.context,
        "description": report.description,
        **_with_link("target_url", report.link),
    }


def _as_name(report: Report) -> dict[str, str]:
    return {
        "state": report.state,
        "name": report.context,
        "description": report.description,
        **_with_link("target_url", report.link),
    }


def _as_key(report: Report, *, most: int) -> dict[str, str]:
    return {
        "state": report.state,
        "key": _shorten(report.context, most),
        "name": report.context,
        "description": report.description,
        "url": report.link,
    }


_GITEA = Service(
    api="",
    path="/repos/{repository}/statuses/{commit}",
    header=("Authorization", "token {token}"),
    states=_states("pending", "success", "failure", "error"),
    body=_as_context,
)
SERVICES = {
    # https://docs.github.com/en/rest/commits/statuses
    "github": Service(
        api="https://api.github.com",
        path="/repos/{repository}/statuses/{commit}",
        header=("Authorization", "Bearer {token}"),
        states=_states("pending", "success", "failure", "error"),
        body=_as_context,
    ),
    # https://docs.gitlab.com/api/commits/#set-commit-pipeline-status
    "gitlab": Service(
        api="https://gitlab.com/api/v4",
        path="/projects/{id}/statuses/{commit}",
        header=("PRIVATE-TOKEN", "{token}"),
        states=_states("pending", "success", "failed", "canceled", running="running"),
        body=_as_name,
    ),
    # https://docs.gitea.com/api (repoCreateStatus); Forgejo has the same.
    "gitea": _GITEA,
    "forgejo": _GITEA,
    # https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commit-statuses/
    "bitbucket": Service(
        api="https://api.bitbucket.org/2.0",
        path="/repositories/{repository}/commit/{commit}/statuses/build",
        header=("Authorization", "Bearer {token}"),
        states=_states("INPROGRESS", "SUCCESSFUL", "FAILED", "STOPPED"),
        body=lambda report: _as_key(report, most=40),
        needs_link=True,
    ),
    # https://developer.atlassian.com/server/bitbucket/rest/ (builds of a repository, since 7.4)
    "bitbucket_server": Service(
        api="",
        path="/rest/api/latest/projects/{project}/repos/{name}/commits/{commit}/builds",
        header=("Authorization", "Bearer {token}"),
        states=_states("INPROGRESS", "SUCCESSFUL", "FAILED", "FAILED"),
        body=lambda report: _as_key(report, most=255),
        needs_link=True,
    ),
}


def _shorten(text: str, most: int) -> str:
    """A text that is cut still differs from others that begin like it."""
    if len(text) <= most:
        return text
    return f"{text[: most - 9]}-{sha256(text.encode()).hexdigest()[:8]}"
