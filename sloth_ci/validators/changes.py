"""Changes of branches and tags: what a delivery tells of them, and which an app builds."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sloth_ci.errors import BadPayload
from sloth_ci.validators import ProviderOptions
from sloth_ci.validators.payload import describe
from sloth_ci.validators.rules import noted

BRANCH, TAG = "refs/heads/", "refs/tags/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a delivery tells of one branch or tag; '' is for what it does not tell."""

    #: The whole name: `refs/heads/feature/login`, `refs/tags/v1.0`.
    ref: str = ""
    commit: str = ""
    before: str = ""
    author: str = ""
    message: str = ""
    url: str = ""
    #: Why there is nothing to build; '' when there is.
    ignored: str = ""

    @property
    def branch(self) -> str:
        """The full name behind `refs/heads/`, '' when it is no branch."""
        return self.ref[len(BRANCH) :] if self.ref.startswith(BRANCH) else ""

    @property
    def tag(self) -> str:
        """The full name behind `refs/tags/`, '' when it is no tag."""
        return self.ref[len(TAG) :] if self.ref.startswith(TAG) else ""


def same_name(one: str, other: str) -> bool:
    """Whether two names of owners or repositories are the same; providers ignore the case."""
    return one.casefold() == other.casefold()


def ignore_repository(options: ProviderOptions, *, owner: str, repo: str) -> str:
    """Why the app doesn't build that repository; '' when it does."""
    reason = ""
    if options.owner:
        if not same_name(options.owner, owner):
            reason = (
                f"The repository's owner is {shown(owner)};"
                f" this app builds those of '{options.owner}'."
            )
        noted("owner", reason, wanted=options.owner, seen=owner)
    if options.repo and not reason:
        if not same_name(options.repo, repo):
            reason = f"The repository is {shown(repo)}; this app builds '{options.repo}'."
        noted("repository", reason, wanted=options.repo, seen=repo)
    return reason


def check_change(change: Change, *, provider: str) -> None:
    """Raise BadPayload for a name that a command could take for an option (CWE-88)."""
    names = {
        "ref": change.ref,
        "branch": change.branch,
        "tag": change.tag,
        "commit": change.commit,
    }
    for field, value in names.items():
        check_name(value, provider=provider, field=field)
    if change.ref in (BRANCH, TAG):
        raise BadPayload(
            provider=provider, field="ref", wanted="a whole name", came=describe(change.ref)
        )


def check_name(value: str, *, provider: str, field: str) -> None:
    """Raise BadPayload when the value starts with '-'."""
    if value.startswith("-"):
        raise BadPayload(
            provider=provider,
            field=field,
            wanted="a name that does not start with '-'",
            came=describe(value),
        )


def ignore_change(options: ProviderOptions, change: Change) -> str:
    """Why the app doesn't build that branch or tag; '' when it does, or when there is neither."""
    if change.ignored:
        return noted("change", change.ignored, wanted="something to build", seen=change.ref)
    if change.branch:
        return ignore_branch(options, change.branch)
    if change.tag:
        return ignore_tag(options, change.tag)
    if not change.ref:
        return ""
    reason = f"{shown(change.ref)} is neither a branch nor a tag."
    return noted("change", reason, wanted="a branch or a tag", seen=change.ref)


def ignore_branch(options: ProviderOptions, branch: str) -> str:
    """Why the app doesn't build that branch; '' when it does."""
    listed = ", ".join(options.branches)
    reason = f"The branch is {shown(branch)}; this app builds {listed}."
    if _is_any(branch, options.branches):
        reason = ""
    return noted("branch", reason, wanted=listed, seen=branch)


def ignore_tag(options: ProviderOptions, tag: str) -> str:
    """Why the app doesn't build that tag; '' when it does."""
    listed = ", ".join(options.tags) or "no tags, since its provider lists none in 'tags'"
    reason = f"The tag is {shown(tag)}; this app builds {listed}."
    if _is_any(tag, options.tags):
        reason = ""
    return noted("tag", reason, wanted=listed, seen=tag)


def deleted(ref: str) -> Change:
    """The change that took the branch or tag away."""
    return Change(ref=ref, ignored=f"{shown(ref)} was deleted.")


def is_zero(commit: str) -> bool:
    """Whether the hash is git's 'no commit'."""
    return not commit.strip("0")


def shown(value: str) -> str:
    """A name from outside, fit for one line of a log."""
    return repr(value if len(value) <= 100 else value[:97] + "...")


def _is_any(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)
