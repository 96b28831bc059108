"""Bitbucket Cloud: pushes to branches and tags, pull requests.

In the repository's settings, under Webhooks, add the app's address, a secret, and the trigger
"Repository push" or those that the app lists. Deliveries without a right `X-Hub-Signature` (which
is SHA-256 here) are refused.

    listen_point: bitbucket/spam

    provider:
        bitbucket:
            # The workspace and the repository, as they stand in its address.
            owner: moigagoo
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

            # By Bitbucket's names, push for repo:push; without them, only push.
            events:
                - push
                - pullrequest:created
                - pullrequest:updated

            # Besides, only senders with these addresses.
            trusted_ips:
                - 192.0.2.0/24

    actions:
        - echo {event} {branch} {commit}

One push may carry several branches and tags: each of those that the app builds gives a build, and
they are accepted together or not at all. A pull request gives the branch of its source and
Bitbucket's short form of the commit; one that comes from a fork is never built. Any other event
that is listed builds without branch, tag and commit. The params are those of `github`.
Format: Atlassian Support, "Event payloads" and "Manage webhooks".
"""

from collections.abc import Sequence
from typing import ClassVar

from sloth_ci.validators.changes import BRANCH, TAG, Change, deleted, same_name, shown
from sloth_ci.validators.payload import Payload
from sloth_ci.validators.pushes import PushValidator, Reader

_PREFIXES = {"branch": BRANCH, "named_branch": BRANCH, "tag": TAG, "annotated_tag": TAG}


def read_push(payload: Payload) -> Sequence[Change]:
    """The branches and tags that were pushed."""
    return [_read_change(part) for part in payload.parts("push.changes")]


def read_pull_request(payload: Payload) -> Sequence[Change]:
    """The source of the pull request, unless it is in a fork."""
    ref = BRANCH + payload.text("pullrequest.source.branch.name")
    source = payload.optional_text("pullrequest.source.repository.full_name")
    if not same_name(source, payload.text("repository.full_name")):
        where = shown(source) if source else "a repository that is gone"
        return [
            Change(ref=ref, ignored=f"The branch is in the fork {where}; forks are never built.")
        ]
    return [
        Change(
            ref=ref,
            commit=payload.short_commit("pullrequest.source.commit.hash"),
            author=payload.first_text(
                "pullrequest.author.nickname", "pullrequest.author.display_name"
            ),
            message=payload.optional_message("pullrequest.title"),
            url=payload.optional_text("pullrequest.links.html.href"),
        )
    ]


class BitbucketValidator(PushValidator):
    """Deliveries of Bitbucket Cloud."""

    provider = "Bitbucket"
    signature_headers = ("X-Hub-Signature",)
    event_headers = ("X-Event-Key",)
    delivery_headers = ("X-Request-UUID",)
    push_events = ("repo:push",)
    readers: ClassVar[dict[str, Reader]] = {"repo:push": read_push}

    def changes(self, event: str, payload: Payload) -> Sequence[Change]:
        """What the payload tells of each branch and tag."""
        if event.startswith("pullrequest:"):
            return read_pull_request(payload)
        return super().changes(event, payload)


def _read_change(part: Payload) -> Change:
    if not part.has("new"):
        return deleted(_full_ref(part, "old"))
    return Change(
        ref=_full_ref(part, "new"),
        commit=part.commit("new.target.hash"),
        before=part.optional_commit("old.target.hash"),
        author=part.first_text(
            "new.target.author.user.nickname",
            "new.target.author.user.display_name",
            "new.target.author.raw",
        ),
        message=part.optional_message("new.target.message"),
        url=part.optional_text("new.target.links.html.href"),
    )


def _full_ref(part: Payload, side: str) -> str:
    kind, name = part.text(f"{side}.type"), part.text(f"{side}.name")
    # Mercurial's bookmarks are neither; the filter says so.
    return _PREFIXES.get(kind, f"{kind}/") + name


VALIDATOR = BitbucketValidator
