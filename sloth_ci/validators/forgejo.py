"""Forgejo (Codeberg): pushes to branches and tags, pull requests, releases.

In the repository's settings, under Webhooks, add a webhook of the type Forgejo with the app's
address, the method POST, a secret, and the events that the app lists. Deliveries without a right
`X-Forgejo-Signature` are refused. Old versions send only `X-Gitea-Signature`, which counts when the
other is not there; it never makes up for a wrong one.

    listen_point: forgejo/spam

    provider:
        forgejo:
            owner: moigagoo
            repo: spam

            # What Forgejo signs with; a list while the secret is being changed.
            # Also {env: NAME} or {file: path}.
            secret:
                - the-new-long-random-text
                - the-old-long-random-text

            # Globs; without them, every branch and no tag.
            branches:
                - main
            tags:
                - v*

            # By Forgejo's names; without them, only push.
            events:
                - push
                - release

    actions:
        - echo {event} {branch} {tag}

Events, actions and params are those of `gitea`.
Format: Forgejo Documentation, "Webhooks".
"""

from typing import ClassVar

from sloth_ci.validators.gitea import GiteaValidator


class ForgejoValidator(GiteaValidator):
    """Deliveries of Forgejo."""

    provider = "Forgejo"
    signature_headers: ClassVar[tuple[str, ...]] = ("X-Forgejo-Signature", "X-Gitea-Signature")
    event_headers: ClassVar[tuple[str, ...]] = ("X-Forgejo-Event", "X-Gitea-Event")
    delivery_headers: ClassVar[tuple[str, ...]] = ("X-Forgejo-Delivery", "X-Gitea-Delivery")


VALIDATOR = ForgejoValidator
