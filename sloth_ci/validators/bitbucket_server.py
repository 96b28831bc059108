"""Bitbucket Server and Data Center: pushes to branches and tags, pull requests.

In the repository's settings, under Webhooks, add the app's address, a secret, and the event
"Repository: push" or those that the app lists. Deliveries without a right `X-Hub-Signature` are
refused; only "Test connection", which Bitbucket does not always sign, is answered without one,
and builds nothing.

    listen_point: bitbucket_server/spam

    provider:
        bitbucket_server:
            # The key of the project (~name for a person's own) and the repository's slug.
            owner: PRJ
            repo: spam

            # What Bitbucket signs with; a list while the secret is being changed.
            # Also {env: NAME} or {file: path}.
            secret: some-long-random-text

            # Globs; without them, every branch and no tag.
            branches:
                - main
                - feature/*
            tags:
                - v*

            # By Bitbucket's names, push for repo:refs_changed; without them, only push.
            events:
                - push
                - pr:opened
                - pr:from_ref_updated

            # Besides, only senders with these addresses.
            trusted_ips:
                - 192.0.2.17

    actions:
        - echo {event} {branch} {commit}

One push may carry several branches and tags: each of those that the app builds gives a build, and
they are accepted together or not at all. A pull request gives the branch and the commit of its
source; one that comes from a fork is never built. Any other event that is listed builds without
branch, tag and commit. The params are those of `github`.
Format: Bitbucket Data Center documentation, "Event payload" and "Manage webhooks".
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from sloth_ci.request import Request
from sloth_ci.validators import Verdict
from sloth_ci.validators.changes import BRANCH, Change, deleted, is_zero, same_name, shown
from sloth_ci.validators.payload import Payload
from sloth_ci.validators.pushes import PushValidator, Reader
from sloth_ci.validators.rules import noted

PING = "diagnostics:ping"

_TARGET = "pullRequest.toRef.repository"
_SOURCE = "pullRequest.fromRef.repository"


def read_push(payload: Payload) -> Sequence[Change]:
    """The branches and tags that were pushed."""
    changes = [_read_change(part, payload) for part in payload.parts("changes")]
    if len(changes) != 1 or not payload.has("toCommit"):
        return changes
    # Newer versions tell of the commit at the end of a push; a tag's own hash is not a commit's.
    [change] = changes
    return [
        replace(
            change,
            commit=payload.commit("toCommit.id"),
            author=payload.first_text("toCommit.author.name", "actor.name"),
            message=payload.optional_message("toCommit.message"),
        )
    ]


def read_pull_request(payload: Payload) -> Sequence[Change]:
    """The source of the pull request, unless it is in a fork."""
    ref = payload.text("pullRequest.fromRef.id")
    source, target = _full_name(payload, _SOURCE), _full_name(payload, _TARGET)
    if not same_name(source, target):
        ignored = f"The branch is in the fork {shown(source)}; forks are never built."
        return [Change(ref=ref, ignored=ignored)]
    return [
        Change(
            ref=ref if ref.startswith("refs/") else BRANCH + ref,
            commit=payload.commit("pullRequest.fromRef.latestCommit"),
            before=payload.optional_commit("previousFromHash"),
            author=payload.optional_text("pullRequest.author.user.name"),
            message=payload.optional_message("pullRequest.title"),
            url=payload.optional_text("pullRequest.links.self.0.href"),
        )
    ]


class BitbucketServerValidator(PushValidator):
    """Deliveries of Bitbucket Server."""

    provider = "Bitbucket Server"
    signature_headers = ("X-Hub-Signature",)
    event_headers = ("X-Event-Key",)
    delivery_headers = ("X-Request-Id",)
    push_events = ("repo:refs_changed",)
    readers: ClassVar[dict[str, Reader]] = {"repo:refs_changed": read_push}

    def check_authenticity(self, request: Request) -> None:
        """As every validator, but the connection test may come unsigned."""
        if request.header("X-Event-Key") != PING:
            super().check_authenticity(request)

    def judge(self, request: Request) -> Verdict:
        """The changes told of; the connection test has one answer, whatever else it holds."""
        if request.header("X-Event-Key") == PING:
            reason = "The connection works; a test builds nothing."
            noted("event", reason, wanted=", ".join(self.options.events), seen=PING)
            return Verdict(PING, None, (), reason)
        return super().judge(request)

    def repository(self, payload: Payload) -> tuple[str, str]:
        """The key of the project and the slug of the repository."""
        at = next(filter(payload.has, ("repository", "new")), _TARGET)
        return payload.text(f"{at}.project.key"), payload.text(f"{at}.slug")

    def changes(self, event: str, payload: Payload) -> Sequence[Change]:
        """What the payload tells of each branch and tag."""
        if event.startswith("pr:"):
            return read_pull_request(payload)
        return super().changes(event, payload)


def _read_change(part: Payload, payload: Payload) -> Change:
    ref, commit = part.text("ref.id"), part.commit("toHash")
    if part.text("type") == "DELETE" or is_zero(commit):
        return deleted(ref)
    return Change(
        ref=ref,
        commit=commit,
        before=part.optional_commit("fromHash"),
        author=payload.optional_text("actor.name"),
        url=payload.optional_text("repository.links.self.0.href"),
    )


def _full_name(payload: Payload, at: str) -> str:
    return f"{payload.text(f'{at}.project.key')}/{payload.text(f'{at}.slug')}"


VALIDATOR = BitbucketServerValidator
