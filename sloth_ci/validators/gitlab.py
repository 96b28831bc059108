"""GitLab: pushes to branches and tags, merge requests, releases.

In the project's settings, under Webhooks, add the app's address, a secret token or a signing token,
and the triggers "Push events" and, if wanted, "Tag push events" or those that the app lists.
Deliveries without a right `X-Gitlab-Token`, or without a right signature less than five minutes
old, are refused. The signing token is the better one, for it never travels.

    listen_point: gitlab/spam

    provider:
        gitlab:
            # The group, with its parents: group/subgroup.
            owner: moigagoo
            repo: spam

            # The secret token; a list while it is being changed. Also {env: NAME} or {file: path}.
            secret: some-long-random-text

            # The signing token, likewise. With both options, both must be right.
            signing_token: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=

            # Globs; without them, every branch and no tag.
            branches:
                - main
                - feature/*
            tags:
                - v*

            # By GitLab's names, push for "Push Hook" and "Tag Push Hook"; without them, only push.
            events:
                - push
                - Merge Request Hook

            # Besides, only senders with these addresses.
            trusted_ips:
                - 192.0.2.17

    actions:
        - echo "{event}" {branch} {commit}

Events can be written as in the header `X-Gitlab-Event` or in short: `merge_request`, `release`.
`merge_request` stands for the actions open, reopen and for an update with new commits, `release`
for create; `merge_request.merge` names another one. A merge request gives the branch and the commit
of its source; one that comes from a fork is never built. `system` is GitLab's system hook, read as
what it tells of. Any other event that is listed builds without branch, tag and commit. The params
are those of `github`.
Format: GitLab Docs, "Webhooks" and "Webhook events"; Standard Webhooks 1.0 for the signing token.
"""

from collections.abc import Callable, Mapping, Sequence
from time import time
from typing import ClassVar

from sloth_ci.config import Secrets
from sloth_ci.request import Request
from sloth_ci.validators import ProviderOptions
from sloth_ci.validators.changes import BRANCH, TAG, Change, deleted, is_zero
from sloth_ci.validators.payload import Payload
from sloth_ci.validators.pushes import (
    PushValidator,
    Reader,
    find_commit,
    read_nothing,
    split_full_name,
)
from sloth_ci.validators.signatures import check_standard_webhook, check_token, read_signing_key

TOKEN_HEADER = "X-Gitlab-Token"  # noqa: S105


def read_push(payload: Payload) -> Sequence[Change]:
    """The branch or tag that was pushed."""
    ref, after = payload.text("ref"), payload.commit("after")
    if is_zero(after):
        return [deleted(ref)]
    # Of an annotated tag, `after` is the tag itself and this is the commit it stands on.
    commit = payload.optional_commit("checkout_sha") or after
    head = find_commit(payload, commit)
    return [
        Change(
            ref=ref,
            commit=commit,
            before=payload.optional_commit("before"),
            author=head.optional_text("author.name") or payload.optional_text("user_name"),
            message=head.optional_message("message"),
            url=head.optional_text("url"),
        )
    ]


def read_merge_request(payload: Payload) -> Sequence[Change]:
    """The source of the merge request, unless it is in a fork or brings no new commit."""
    request = payload.part("object_attributes")
    ref = BRANCH + request.text("source_branch")
    if request.number("source_project_id") != request.number("target_project_id"):
        return [Change(ref=ref, ignored="The branch is in a fork; forks are never built.")]
    before = request.optional_commit("oldrev")
    if request.optional_text("action") == "update" and not before:
        return [Change(ref=ref, ignored="The merge request was updated without new commits.")]
    return [
        Change(
            ref=ref,
            commit=request.commit("last_commit.id"),
            before=before,
            author=request.optional_text("last_commit.author.name"),
            message=request.optional_message("title"),
            url=request.optional_text("url"),
        )
    ]


def read_release(payload: Payload) -> Sequence[Change]:
    """The tag that was released."""
    return [
        Change(
            ref=TAG + payload.text("tag"),
            commit=payload.optional_commit("commit.id"),
            author=payload.optional_text("commit.author.name"),
            message=payload.optional_message("name"),
            url=payload.optional_text("url"),
        )
    ]


_READERS: Mapping[str, Reader] = {
    "push": read_push,
    "tag_push": read_push,
    "merge_request": read_merge_request,
    "release": read_release,
}


def read_system(payload: Payload) -> Sequence[Change]:
    """What a system hook tells, which says in its body what it is about."""
    kind = payload.first_text("object_kind", "event_name")
    return _READERS.get(kind, read_nothing)(payload)


class GitlabOptions(ProviderOptions):
    """The options of GitLab."""

    signing_token: Secrets = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secret tokens and the signing tokens."""
        return (*self.secret, *self.signing_token)

    def check(self) -> None:
        """Refuse tokens that no delivery can carry, beside what every provider refuses."""
        super().check()
        if not all(secret.isascii() for secret in self.secret):
            raise ValueError("wants a 'secret' of ASCII characters, since it comes in a header")
        for token in self.signing_token:
            try:
                read_signing_key(token)
            except ValueError as error:
                raise ValueError(f"has a 'signing_token' that can't be one: it {error}") from error


class GitlabValidator(PushValidator):
    """Deliveries of GitLab."""

    Options = GitlabOptions
    provider = "GitLab"
    event_headers = ("X-Gitlab-Event",)
    # The first one is signed. X-Gitlab-Webhook-UUID is new in each attempt, and
    # X-Gitlab-Event-UUID the same for different events of one chain.
    delivery_headers = ("webhook-id", "Idempotency-Key")
    push_events = ("push", "tag_push")
    actions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "merge_request": ("open", "reopen", "update"),
        "release": ("create",),
    }
    readers: ClassVar[Mapping[str, Reader]] = {**_READERS, "system": read_system}

    options: GitlabOptions

    def __init__(self, options: GitlabOptions, *, now: Callable[[], float] = time) -> None:
        super().__init__(options, now=now)
        self._keys = tuple(map(read_signing_key, options.signing_token))

    def check_authenticity(self, request: Request) -> None:
        """Raise SignatureRefused unless all that the app has a secret for is right."""
        if self.options.secret:
            check_token(request, header=TOKEN_HEADER, secrets=self.options.secret)
        if self._keys:
            check_standard_webhook(request, keys=self._keys, now=self.now())

    def event_name(self, name: str) -> str:
        """`Merge Request Hook` and `merge_request` are the same."""
        return name.lower().removesuffix(" hook").replace(" ", "_")

    def repository(self, payload: Payload) -> tuple[str, str]:
        """The group with its parents, and the project's name in addresses."""
        return split_full_name(payload, "project.path_with_namespace", provider=self.provider)

    def action(self, payload: Payload) -> str:
        """What happened to the merge request or the release."""
        return payload.first_text("object_attributes.action", "action")


VALIDATOR = GitlabValidator
