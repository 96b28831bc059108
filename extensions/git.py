"""`git` checks out what was pushed, into a folder of its own, before a build's actions run there.

The first build clones, the following ones fetch into what is there, exactly the commit that was
pushed; where a server does not give commits by name, all branches and tags are fetched instead. The
folder is the actions' work_dir. One that can't be used any more is replaced by a fresh checkout. A
build that can't have its files fails before its first action, and the log says why in git's words.

```yaml
listen_point: web
provider: {github: {owner: team, repo: web, secret: {env: SLOTH_GITHUB_SECRET}}}
work_dir: /srv/ci
actions:
  - make test
extensions:
  checkout:
    module: git
    url: https://github.com/team/web.git
```

All that can be said:

```yaml
listen_point: library
work_dir: /srv/ci
actions: [make]
extensions:
  checkout:
    module: git
    url: git@git.example.com:team/library.git  # or https://…, ssh://…, or a folder of this machine
    ref: release/{version}     # what to check out; see below for what it is when not given
    depth: 50                  # commits of history: 1 when not given, 0 for all
    submodules: true           # false when not given
    clean: true                # remove what is not of the repository; true when not given
    workspace: ~/checkouts/library  # relative to work_dir; workspaces/<listen point> when not given
    keep: on_failure           # the workspace afterwards: always (the default), on_failure, never
    timeout: 600               # seconds for all of it
    key: /etc/sloth/id_ed25519             # a private key, for ssh
    known_hosts: /etc/sloth/known_hosts    # for ssh; the user's own when not given
    protocols: [https, ssh]    # for submodules, beside that of the url; these when not given
params: {version: "1"}
```

Over https, `login` and `password` (text, `{env: NAME}` or `{file: path}`) get in, as do tokens:
`login: x-access-token`. They are for the url's own site only, and never stand in a file of the
workspace or in the list of processes.

Without `ref` the param `commit` says what to check out, else `tag`, else `branch`, as providers set
them; without any it is the branch that the other side thinks best (HEAD). In `ref` a branch, a tag
or a commit's whole name may stand, and placeholders. Names that git would not take for a branch's
are refused before git sees them, so none of them can become an option.

Git runs as the app's `user`, with the app's `env`, and asks nobody anything: where a login is
wanted and none given, it fails. `file` and `http` addresses are fetched from if the url itself is
one; `ext::` and its like never. Hooks in the workspace don't run. Still, what is checked out is
run: whoever may push may do what the app's `user` may do.

A workspace belongs to one build at a time: others wait for it. It is no folder for your own files:
a folder that has files in it, and was not made by Sloth CI, is left alone and refused.
"""

from dataclasses import dataclass, replace
from logging import WARNING
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Annotated, Any

from sloth_ci.builds import Build, BuildJournal, BuildStatus, Halt, OutcomeStatus
from sloth_ci.config import (
    Flag,
    OptionalFilled,
    PathText,
    Seconds,
    SecretText,
    Section,
    Texts,
    checked_by,
    one_of,
)
from sloth_ci.extension import Context, Extension, hook
from sloth_ci.hooks import BuildEvent, Unprepared
from sloth_ci.records import Stream
from sloth_ci.shell import Lines

from ._git_checkout import BrokenOff, Checkout, CommitMissing, GitFailed, Shape
from ._git_names import PROTOCOLS, Address, BadRef, read_address, read_wanted
from ._git_origin import Origin
from ._git_workspace import Hold, Workspace, hold

_MOST_HISTORY = 10**9
#: Stands for '/' in a folder's name, and can't be in a listen point.
_SLASH = "+"


def read_depth(value: Any) -> int:
    """A number of commits; 0 for all of them."""
    number = int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 10 else -1
    if not 0 <= number < _MOST_HISTORY:
        raise ValueError(f"must be a number of commits, or 0 for all of them, not '{value}'")
    return number


class GitOptions(Section):
    """What to check out, from where, and where to."""

    url: Annotated[Address, checked_by(read_address)]
    ref: OptionalFilled = None
    depth: Annotated[int, checked_by(read_depth)] = 1
    submodules: Flag = False
    clean: Flag = True
    workspace: PathText = ""
    keep: Annotated[str, one_of("always", "on_failure", "never")] = "always"
    timeout: Seconds = 600.0
    login: OptionalFilled = None
    password: SecretText | None = None
    key: PathText = ""
    known_hosts: PathText = ""
    protocols: Texts = ("https", "ssh")

    def check(self) -> None:
        """Refuse what does not go together."""
        if self.password and self.url.protocol not in ("https", "http"):
            raise ValueError("has a 'password', which only an https address takes")
        if (self.key or self.known_hosts) and self.url.protocol != "ssh":
            raise ValueError("has a 'key' or 'known_hosts', which only an ssh address takes")
        wrong = next((name for name in self.protocols if name not in PROTOCOLS), None)
        if wrong is not None:
            raise ValueError(f"has the protocol '{wrong}'; possible are {', '.join(PROTOCOLS)}")


@dataclass(frozen=True, slots=True)
class _Held:
    """A workspace in use: by which build, with which lock."""

    build: Build
    workspace: Workspace
    lock: Hold


class Git(Extension):
    """Prepares builds, and keeps their workspaces to them while they run."""

    Options = GitOptions
    options: GitOptions

    def __init__(self, options: GitOptions, context: Context) -> None:
        super().__init__(options, context)
        self._origin = Origin(
            address=self._resolve(options.url),
            protocols=options.protocols,
            login=options.login,
            password=options.password,
            key=self._path(options.key),
            known_hosts=self._path(options.known_hosts),
        )
        self._shape = Shape(options.depth, submodules=options.submodules, clean=options.clean)
        self._lock = Lock()
        self._held: dict[int, _Held] = {}

    @hook
    def prepare_build(self, build: Build, halt: Halt, journal: BuildJournal) -> Build | None:
        """Check out, and have the build run in the workspace."""
        try:
            wanted = read_wanted(self.options.ref, build.params)
        except BadRef as error:
            raise Unprepared(str(error)) from error
        workspace = self._workspace_of(build)
        deadline = monotonic() + self.options.timeout
        checkout = self._checkout(build, halt, journal, deadline)
        # An app's builds run one after another: what an earlier one still has, it has forgotten.
        for left in list(self._held):
            self._tidy(left, keep=True)
        try:
            parent = str(workspace.folder.parent)
            checkout.run("mkdir", "-p", "--", parent, folder=build.work_dir)
            workspace.check_ours()
            who = f"build {build.id} of {build.listen_point}"
            lock = hold(workspace, deadline=deadline, halt=halt, who=who)
            if lock is None:
                return build
            with lock:
                checkout.make(workspace, wanted)
        except CommitMissing as error:
            raise Unprepared(
                f"There is no commit {wanted.shown} in {self._origin.address.shown} (any more)."
            ) from error
        except GitFailed as error:
            raise Unprepared(build.mask(str(error))) from error
        except BrokenOff as error:
            if error.outcome.status is OutcomeStatus.HALTED:
                return build
            seconds = self.options.timeout
            raise Unprepared(f"git did not finish within {seconds:g} s.") from error
        with self._lock:
            self._held[build.id] = _Held(build, workspace, lock)
        return replace(build, work_dir=str(workspace.folder))

    @hook
    def build_finished(self, build: BuildEvent) -> None:
        """Give the workspace back, or remove it."""
        keep = {"always": True, "never": False}.get(
            self.options.keep, build.status is not BuildStatus.COMPLETE
        )
        if keep:
            self._tidy(build.id, keep=True)
        else:
            self.context.later(lambda: self._tidy(build.id, keep=False))

    def close(self) -> None:
        """Give all workspaces back."""
        for build_id in list(self._held):
            self._tidy(build_id, keep=True)

    def _tidy(self, build_id: int, *, keep: bool) -> None:
        with self._lock:
            held = self._held.pop(build_id, None)
        if held is None:
            return
        try:
            if not keep:
                self._remove(held)
        finally:
            held.lock.release()

    def _remove(self, held: _Held) -> None:
        halt = Halt()
        try:
            deadline = monotonic() + self.options.timeout
            self._checkout(held.build, halt, _Quiet(), deadline).remove(held.workspace.folder)
        except (GitFailed, BrokenOff) as error:
            self.context.log(WARNING, f"The workspace can't be removed: {error}")
        finally:
            halt.close()

    def _checkout(self, build: Build, halt: Halt, journal: Lines, deadline: float) -> Checkout:
        return Checkout(
            self._origin,
            self._shape,
            runner=self.context.shell,
            build=build,
            deadline=deadline,
            halt=halt,
            journal=journal,
        )

    def _workspace_of(self, build: Build) -> Workspace:
        name = build.listen_point.replace("/", _SLASH)
        chosen = Path(self.options.workspace or f"workspaces/{name}").expanduser()
        return Workspace(Path(build.work_dir).absolute() / chosen)

    def _resolve(self, address: Address) -> Address:
        """A folder's path counts from the config's."""
        if address.protocol != "file" or "://" in address.url:
            return address
        path = self._path(address.url)
        return Address(str(path.absolute()), "file") if path else address

    def _path(self, text: str) -> Path | None:
        return self.context.base_dir / Path(text).expanduser() if text else None


class _Quiet:
    """Takes lines that belong to no build's log any more."""

    def output(self, build: Build, stream: Stream, line: str) -> None:
        """Nobody is told."""


EXTENSION = Git
