"""Gogs: pushes to branches and tags, pull requests, releases.

In the repository's settings, under Webhooks, add a webhook of the type Gogs with the app's address,
a secret, and the events that the app lists; for tags, the event "Create" too, since Gogs tells of a
new tag by that alone. Deliveries without a right `X-Gogs-Signature` are refused.

    listen_point: gogs/spam

    provider:
        gogs:
            owner: moigagoo
            repo: spam

            # What Gogs signs with; a list while the secret is being changed.
            # Also {env: NAME} or {file: path}.
            secret: some-long-random-text

            # Globs; without them, every branch and no tag.
            branches:
                - master
            tags:
                - v*

            # By Gogs's names; without them, only push, which stands for the creation of tags too.
            events:
                - push
                - pull_request

    actions:
        - echo {event} {branch} {tag} {commit}

Gogs names no commit in `create` and `pull_request`: the param is empty. `pull_request` alone stands
for its actions opened, reopened and synchronized. Pull requests from forks are never built. The
params are those of `github`.
Format: Gogs, "Webhooks", and the types of its API client.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from sloth_ci.validators.changes import BRANCH, Change
from sloth_ci.validators.github import (
    GithubValidator,
    read_create,
    read_delete,
    read_push,
    read_release,
    unless_fork,
)
from sloth_ci.validators.payload import Payload
from sloth_ci.validators.pushes import Reader


def read_pull_request(payload: Payload) -> Sequence[Change]:
    """The head of the pull request, unless it is in a fork."""
    change = Change(
        ref=BRANCH + payload.text("pull_request.head_branch"),
        author=payload.optional_text("pull_request.user.login"),
        message=payload.optional_message("pull_request.title"),
        url=payload.optional_text("pull_request.html_url"),
    )
    head = payload.optional_text("pull_request.head_repo.full_name")
    return [unless_fork(change, payload, head)]


class GogsValidator(GithubValidator):
    """Deliveries of Gogs."""

    provider = "Gogs"
    signature_headers: ClassVar[tuple[str, ...]] = ("X-Gogs-Signature",)
    signature_prefix = ""
    event_headers: ClassVar[tuple[str, ...]] = ("X-Gogs-Event",)
    delivery_headers: ClassVar[tuple[str, ...]] = ("X-Gogs-Delivery",)
    push_events = ("push", "create")
    actions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "pull_request": ("opened", "reopened", "synchronized"),
        "release": ("published",),
    }
    readers: ClassVar[Mapping[str, Reader]] = {
        "push": read_push,
        "create": read_create,
        "delete": read_delete,
        "pull_request": read_pull_request,
        "release": read_release,
    }

    def changes(self, event: str, payload: Payload) -> Sequence[Change]:
        """What the payload tells of branches and tags."""
        changes = super().changes(event, payload)
        if event != "create" or "create" in self.options.events:
            return changes
        # A new branch comes as a push as well, and is to be built once.
        ignored = "The push that made the branch is built, not its creation."
        return [replace(change, ignored=ignored) if change.branch else change for change in changes]


VALIDATOR = GogsValidator
