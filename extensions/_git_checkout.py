"""The git command line, run for a build: from an address to files in a folder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sloth_ci.builds import Build, Halt, Outcome, OutcomeStatus
from sloth_ci.records import Stream
from sloth_ci.shell import Lines, Program, ShellRunner

from ._git_names import Wanted
from ._git_origin import Origin
from ._git_workspace import Workspace

#: Variables that would lead git to another repository than ours.
_MISLEADING = frozenset(
    {
        "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE",
        "GIT_COMMON_DIR", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CEILING_DIRECTORIES",
    }
)  # fmt: skip
#: Left by a git that was killed; whoever holds the workspace knows that no other git runs.
_LEFT = ("index.lock", "shallow.lock", "HEAD.lock", "packed-refs.lock")
#: What an earlier build may have changed, and `git init` writes anew.
_WRITTEN_ANEW = ("config", "config.lock", "config.worktree", "hooks", "info")
_ALL = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
#: git-fetch(1): with the largest depth there is, all history is fetched, also into a shallow one.
_ENDLESS = "--depth=2147483647"
_SHA256_DIGITS = 64


class GitFailed(Exception):
    """Git could not do something; the text says what, in git's words."""


class CommitMissing(Exception):
    """The other side has no such commit."""


class BrokenOff(Exception):
    """Git was ended: by an order, or as its time was over."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Shape:
    """What a checkout is to look like."""

    #: Commits of history; 0 for all.
    depth: int
    submodules: bool
    clean: bool


class Checkout:
    """Gets one build's files; what git says goes to the build's log."""

    def __init__(
        self,
        origin: Origin,
        shape: Shape,
        *,
        runner: ShellRunner,
        build: Build,
        deadline: float | None,
        halt: Halt,
        journal: Lines,
    ) -> None:
        self._origin = origin
        self._shape = shape
        self._runner = runner
        kept = {name: text for name, text in build.env.items() if name not in _MISLEADING}
        self._build = replace(build, env=kept)
        self._deadline = deadline
        self._halt = halt
        self._journal = journal

    def make(self, workspace: Workspace, wanted: Wanted) -> None:
        """Check out into the workspace; one that can't be used is replaced by a fresh one.

        Raises CommitMissing, BrokenOff, or GitFailed, which leaves what was there.
        """
        if (workspace.folder / ".git").is_dir():
            try:
                self._renew(workspace.folder, wanted)
            except GitFailed:
                self.say("The workspace could not be brought up to date; trying a fresh one")
            else:
                return
        self.remove(workspace.fresh)
        self.run("mkdir", "-p", "--", str(workspace.fresh), folder=self._build.work_dir)
        try:
            self._begin(workspace.fresh, wanted)
            self._fill(workspace.fresh, wanted)
        except (GitFailed, CommitMissing):
            self.remove(workspace.fresh)
            raise
        self.remove(workspace.folder)
        names = str(workspace.fresh), str(workspace.folder)
        self.run("mv", "--", *names, folder=self._build.work_dir)

    def remove(self, *paths: Path) -> None:
        """Remove files and folders, as the user whose builds made them."""
        self.run("rm", "-rf", "--", *map(str, paths), folder=self._build.work_dir)

    def run(self, *arguments: str, folder: str, said: str = "") -> None:
        """Run a program in that folder; raises GitFailed with what was to be done and why not."""
        outcome, why = self._run(arguments, folder=folder, quiet=False)
        if outcome.status is OutcomeStatus.COMPLETED:
            return
        raise GitFailed(f"{said or arguments[0]}: {why or outcome.reason}")

    def say(self, line: str) -> None:
        """A line of our own in the build's log."""
        self._journal.output(self._build, Stream.STDOUT, line)

    def _renew(self, folder: Path, wanted: Wanted) -> None:
        inside = folder / ".git"
        self.remove(*(inside / name for name in (*_LEFT, *_WRITTEN_ANEW)))
        self._begin(folder, wanted)
        self._fill(folder, wanted)

    def _begin(self, folder: Path, wanted: Wanted) -> None:
        sha256 = ["--object-format=sha256"] if len(wanted.commit) == _SHA256_DIGITS else []
        self._git(folder, "init", "--quiet", "--template=", *sha256, said="make a repository")
        for name, value in (
            ("url", self._origin.address.plain),
            ("fetch", "+refs/heads/*:refs/remotes/origin/*"),
        ):
            self._git(folder, "config", f"remote.origin.{name}", value, said="set the origin")

    def _fill(self, folder: Path, wanted: Wanted) -> None:
        target = self._fetch(folder, wanted)
        self._git(
            folder, "checkout", "--force", "--detach", target, said=f"check out {wanted.shown}"
        )
        if self._shape.submodules:
            self._fill_submodules(folder)
        if self._shape.clean:
            self._git(folder, "clean", "-ffdxq", said="clean the workspace")

    def _fetch(self, folder: Path, wanted: Wanted) -> str:
        """Have what is wanted in the repository; gives the name to check it out by."""
        if wanted.commit and self._has(folder, wanted.commit):
            return wanted.commit
        self.say(f"Fetching {wanted.shown} from {self._origin.address.shown}")
        if wanted.ref:
            self._git_fetch(folder, self._depth(folder), wanted.ref, said=wanted.shown)
            return "FETCH_HEAD"
        if wanted.whole:
            # Servers may refuse to give a commit by its name, or know it no more.
            arguments = self._fetching(folder, self._depth(folder), wanted.commit)
            outcome, _ = self._run(arguments, folder=str(folder), quiet=True)
            if outcome.status is OutcomeStatus.COMPLETED and self._has(folder, wanted.commit):
                return wanted.commit
        self.say("It can't be had by its name alone; fetching all branches and tags")
        self._git_fetch(folder, [*self._unshallow(folder), "--prune"], *_ALL, said="all")
        if not self._has(folder, wanted.commit):
            raise CommitMissing
        return wanted.commit

    def _has(self, folder: Path, commit: str) -> bool:
        if self._shape.depth == 0 and self._shallow(folder):
            return False
        arguments = self._command("cat-file", "-e", f"{commit}^{{commit}}")
        outcome, _ = self._run(arguments, folder=str(folder), quiet=True)
        return outcome.status is OutcomeStatus.COMPLETED

    def _fill_submodules(self, folder: Path) -> None:
        depth = [f"--depth={self._shape.depth}"] if self._shape.depth else []
        self._git(folder, "submodule", "sync", "--quiet", "--recursive", said="find submodules")
        self._git(
            folder, "submodule", "update", "--init", "--recursive", "--force", "--progress", *depth,
            said="get the submodules",
        )  # fmt: skip
        if self._shape.clean:
            each = ("foreach", "--quiet", "--recursive", "git clean -ffdxq")
            self._git(folder, "submodule", *each, said="clean the submodules")

    def _git_fetch(self, folder: Path, options: Sequence[str], *refs: str, said: str) -> None:
        arguments = self._fetching(folder, options, *refs)
        said = f"fetch {said} from {self._origin.address.shown}"
        self.run(*arguments, folder=str(folder), said=f"git can't {said}")

    def _fetching(self, folder: Path, options: Sequence[str], *refs: str) -> tuple[str, ...]:
        return self._command(
            "fetch", "--force", "--progress", "--no-recurse-submodules", *options, "--",
            self._origin.address.url, *refs,
        )  # fmt: skip

    def _depth(self, folder: Path) -> list[str]:
        if self._shape.depth:
            return ["--no-tags", f"--depth={self._shape.depth}"]
        return ["--tags", *self._unshallow(folder)]

    def _unshallow(self, folder: Path) -> list[str]:
        return [_ENDLESS] if self._shallow(folder) else []

    def _shallow(self, folder: Path) -> bool:
        return (folder / ".git" / "shallow").exists()

    def _git(self, folder: Path, *arguments: str, said: str) -> None:
        self.run(*self._command(*arguments), folder=str(folder), said=f"git can't {said}")

    def _command(self, *arguments: str) -> tuple[str, ...]:
        settings = [word for one in self._origin.settings for word in ("-c", one)]
        return ("git", *settings, *arguments)

    def _run(self, arguments: Sequence[str], *, folder: str, quiet: bool) -> tuple[Outcome, str]:
        journal = _Listener(self._journal, quiet=quiet)
        # A repository above the workspace must not be taken for the one in it.
        ceiling = {"GIT_CEILING_DIRECTORIES": str(Path(folder).parent)}
        outcome = self._runner.run_program(
            Program(
                tuple(arguments),
                work_dir=folder,
                environment=self._origin.environment(self._build.env) | ceiling,
            ),
            build=self._build,
            deadline=self._deadline,
            halt=self._halt,
            journal=journal,
        )
        if outcome.status in (OutcomeStatus.HALTED, OutcomeStatus.TIMED_OUT):
            raise BrokenOff(outcome)
        return outcome, journal.why


class _Listener:
    """Passes on what a program prints, and remembers why it failed.

    Progress, which overwrites its line again and again, is passed on as it stood in the end.
    """

    def __init__(self, journal: Lines, *, quiet: bool) -> None:
        self._journal = journal
        self._quiet = quiet
        self._last = self._fatal = ""

    @property
    def why(self) -> str:
        """What a program said last, or a git before it gave advice."""
        return self._fatal or self._last

    def output(self, build: Build, stream: Stream, line: str) -> None:
        line = line.rstrip("\r").rpartition("\r")[2].rstrip()
        if not line:
            return
        self._last = line
        if line.startswith("fatal: ") and not self._fatal:
            self._fatal = line
        if not self._quiet:
            self._journal.output(build, stream, line)
