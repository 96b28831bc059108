"""Gitea: pushes to branches and tags, pull requests, releases.

In the repository's settings, under Webhooks, add a webhook of the type Gitea with the app's
address, the method POST, a secret, and the events that the app lists. Deliveries without a right
`X-Gitea-Signature` are refused; the `X-GitHub-*` and `X-Gogs-*` headers that Gitea sends as well
are not looked at.

    listen_point: gitea/spam

    provider:
        gitea:
            owner: moigagoo
            repo: spam

            # What Gitea signs with; a list while the secret is being changed.
            # Also {env: NAME} or {file: path}.
            secret: some-long-random-text

            # Globs; without them, every branch and no tag.
            branches:
                - main
            tags:
                - v*

            # By Gitea's names; without them, only push.
            events:
                - push
                - pull_request

            # Besides, only senders with these addresses.
            trusted_ips:
                - 192.0.2.17

    actions:
        - echo {event} {branch} {commit}

`pull_request` alone stands for its actions opened, reopened and synchronized, `release` for
published; `pull_request.closed` names another one. Pull requests from forks are never built. The
params are those of `github`.
Format: Gitea Documentation, "Webhooks".
"""

from collections.abc import Mapping
from typing import ClassVar

from sloth_ci.validators.github import (
    GithubValidator,
    read_create,
    read_delete,
    read_pull_request,
    read_push,
    read_release,
)
from sloth_ci.validators.pushes import Reader


class GiteaValidator(GithubValidator):
    """Deliveries of Gitea."""

    provider = "Gitea"
    signature_headers: ClassVar[tuple[str, ...]] = ("X-Gitea-Signature",)
    signature_prefix = ""
    event_headers: ClassVar[tuple[str, ...]] = ("X-Gitea-Event",)
    delivery_headers: ClassVar[tuple[str, ...]] = ("X-Gitea-Delivery",)
    actions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "pull_request": ("opened", "reopened", "synchronized"),
        "release": ("published",),
    }
    readers: ClassVar[Mapping[str, Reader]] = {
        "push": read_push,
        "create": read_create,
        "delete": read_delete,
        "pull_request": read_pull_request,
        "pull_request_sync": read_pull_request,
        "release": read_release,
    }


VALIDATOR = GiteaValidator
