"""`status_report` tells the code's host of each build, which shows it beside the commit.

```yaml
listen_point: web
provider:
  github: {secret: some-long-random-text}
actions:
  - make test
extensions:
  tell_github:
    module: status_report
    service: github         # gitlab, gitea, forgejo, bitbucket or bitbucket_server
    token: ghp_0123456789   # or {env: NAME}, {file: path}
    # What follows has a default in most cases.
    repository: example/web # that of the push when not given
    api: https://api.github.com
    context: sloth-ci/web   # what it is called beside the commit
    timeout: 10             # seconds for one request
    private: false          # needed for an address inside of a network
    # ca_file: ca.pem       # authorities to trust instead of the system's
```

A commit is pending while its build waits and runs, and then succeeded or failed; what was cancelled
or interrupted is an error, or whatever the service has for it. The status links to the build when
the server config has its `url`, which the two Bitbuckets demand. A build without `{commit}`, as one
that was triggered by hand, is not told of.

The token needs the right to write commit statuses and no other: `Commit statuses` at GitHub
(fine-grained), `api` at GitLab, `write:repository` at Gitea and Forgejo, `repository:write` at
Bitbucket, and write access to the repository at Bitbucket Server. `api` must be given for `gitea`
(`https://git.example.org/api/v1`), `forgejo` (the same) and `bitbucket_server`
(`https://git.example.org`), and for a GitLab of your own (`https://git.example.org/api/v4`) or a
GitHub Enterprise Server (`https://git.example.org/api/v3`). `repository` is `owner/name`; at GitLab
with all groups, at Bitbucket Server the project's key and the name. Declared at the server without
it, the token reports on whatever repository an app's push or trigger names: give it the rights for
those alone.

It is told in the background: what fails is tried twice more, and then the app's log says so. It
never changes how a build ends.
"""

import re
from collections.abc import Sequence
from logging import DEBUG, ERROR, WARNING
from threading import Event
from typing import Annotated
from urllib.parse import quote

from sloth_ci.builds import BuildStatus
from sloth_ci.config import Flag, PathText, Seconds, SecretText, Section, Text, one_of
from sloth_ci.extension import Context, Extension, hook
from sloth_ci.hooks import BuildEvent
from sloth_ci.outgoing import Outgoing, SendFailed, read_target, try_again

from ._status_services import SERVICES, Report

#: Seconds from each try in vain to the next.
PAUSES = (5.0, 30.0)
#: Characters of a description: the least that a service takes (GitHub).
MOST_DESCRIPTION = 140

_COMMIT = re.compile(r"[0-9a-fA-F]{7,64}")
_REPOSITORY = re.compile(r"~?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+")
#: GitLab refuses a state that a commit has already, with these words.
_SAME_STATE = "Cannot transition status"


class StatusReportOptions(Section):
    """The options of `status_report`."""

    service: Annotated[str, one_of(*SERVICES)]
    token: SecretText
    #: '' for that of the push.
    repository: Text = ""
    #: '' for the service's own.
    api: Text = ""
    #: '' for `sloth-ci/` and the listen point.
    context: Text = ""
    timeout: Seconds = 10.0
    private: Flag = False
    #: '' for the system's authorities.
    ca_file: PathText = ""

    def check(self) -> None:
        """Refuse what no request can be made of."""
        if not self.token.isascii() or not self.token.isprintable():
            raise ValueError("has a 'token' with characters that no token has")
        if not self.api and not SERVICES[self.service].api:
            raise ValueError(f"needs 'api', the address of your {self.service}")
        if self.api:
            try:
                read_target(self.api)
            except ValueError as error:
                raise ValueError(f"has an 'api' that can't be used: it {error}") from error
        if self.repository and not _is_repository(self.repository):
            raise ValueError("has a 'repository' that is not of the form owner/name")
        if not self.context.isprintable() or len(self.context) > 200:
            raise ValueError("has a 'context' that is longer than 200 characters, or no plain text")


class StatusReport(Extension):
    """Tells a service of builds. Raises ValueError without the link that some services need."""

    Options = StatusReportOptions
    for_server = True

    options: StatusReportOptions

    def __init__(
        self, options: StatusReportOptions, context: Context, *, pauses: Sequence[float] = PAUSES
    ) -> None:
        super().__init__(options, context)
        self._service = SERVICES[options.service]
        if self._service.needs_link and not context.url:
            raise ValueError(f"needs 'url' in the server config: {options.service} wants a link")
        self._pauses = pauses
        self._ended = Event()
        self._is_failing = False
        self._outgoing = Outgoing(
            private=options.private,
            timeout=options.timeout,
            ca_file=context.base_dir / options.ca_file if options.ca_file else None,
        )

    def close(self) -> None:
        """Wait for no further try."""
        self._ended.set()

    @hook
    def build_queued(self, build: BuildEvent) -> None:
        """Tell that a build waits."""
        self._tell(build)

    @hook
    def build_started(self, build: BuildEvent) -> None:
        """Tell that a build runs, where that is a state of its own."""
        self._tell(build)

    @hook
    def build_finished(self, build: BuildEvent) -> None:
        """Tell how a build ended."""
        self._tell(build)

    def _tell(self, build: BuildEvent) -> None:
        commit = build.params.get("commit", "")
        if not commit or build.status not in self._service.states:
            return
        repository = self.options.repository or _repository_of(build)
        if not _COMMIT.fullmatch(commit) or not _is_repository(repository):
            self.context.log(
                WARNING,
                f"build {build.id} is not told of: its commit and repository must be a hash and"
                " owner/name",
            )
            return
        self.context.later(lambda: self._send(build, repository, commit))

    def _send(self, build: BuildEvent, repository: str, commit: str) -> None:
        report = Report(
            state=self._service.states[build.status],
            context=self.options.context or f"sloth-ci/{build.listen_point}",
            description=_describe(build)[:MOST_DESCRIPTION],
            link=self.context.build_url(build.id),
        )
        pauses = () if self._is_failing else self._pauses
        try:
            try_again(
                lambda: self._post(report, repository, commit), pauses=pauses, ended=self._ended
            )
        except SendFailed as error:
            if _SAME_STATE in str(error):
                return
            self._is_failing = True
            self.context.log(ERROR, f"{self.options.service} not told of build {build.id}: {error}")
        else:
            self._is_failing = False
            self.context.log(
                DEBUG, f"{self.options.service} told that build {build.id} is {report.state}"
            )

    def _post(self, report: Report, repository: str, commit: str) -> None:
        project, _, name = repository.rpartition("/")
        path = self._service.path.format(
            repository=quote(repository),
            id=quote(repository, safe=""),
            project=quote(project),
            name=quote(name),
            commit=commit,
        )
        api = (self.options.api or self._service.api).rstrip("/")
        header, value = self._service.header
        self._outgoing.send_json(
            f"{api}{path}",
            self._service.body(report),
            headers={"Accept": "application/json", header: value.format(token=self.options.token)},
        )


def _repository_of(build: BuildEvent) -> str:
    return f"{build.params.get('owner', '')}/{build.params.get('repo', '')}"


def _is_repository(name: str) -> bool:
    steps = name.split("/")
    return bool(_REPOSITORY.fullmatch(name)) and not {".", ".."} & set(steps)


def _describe(build: BuildEvent) -> str:
    if build.status is BuildStatus.QUEUED:
        return f"Build {build.id} waits"
    if build.status is BuildStatus.RUNNING:
        return f"Build {build.id} runs"
    return f"Build {build.id}: {build.message}"


EXTENSION = StatusReport
