"""GitHub: pushes to branches and tags, pull requests, releases.

In the repository's settings, under Webhooks, add the app's address with content type
`application/json` (the form is understood as well), a secret, and the event "Just the push event"
or those that the app lists. Deliveries without a right `X-Hub-Signature-256` are refused; the old
`X-Hub-Signature` (SHA-1) is not looked at.

    listen_point: github/spam

    provider:
        github:
            owner: moigagoo
            repo: spam

            # What GitHub signs with; a list while the secret is being changed.
            # Also {env: NAME} or {file: path}.
            secret: some-long-random-text

            # Globs; without them, every branch and no tag.
            branches:
                - master
                - release/*
            tags:
                - v*

            # By GitHub's names; without them, only push.
            events:
                - push
                - pull_request
                - release.published

            # Besides, only senders with these addresses.
            trusted_ips:
                - 192.0.2.0/24
                - 2001:db8::/32

    actions:
        - echo {event} {branch} {commit}

`pull_request` alone stands for its actions opened, reopened and synchronize, `release` for
published; `pull_request.closed` names another one. A pull request gives the branch and the commit
of its head; one that comes from a fork is never built, for anybody can send such code. `create`,
`workflow_dispatch`, `workflow_run` and `merge_group` give their branch or tag too. Any other event
that is listed builds without branch, tag and commit, and no filter of branches keeps it out.

The params are event, ref, branch, tag, commit, before, repo, owner, author, message, url and
delivery; each is there, and empty where the event has no such thing.
Format: GitHub Docs, "Webhook events and payloads" and "Validating webhook deliveries".
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from sloth_ci.request import Request
from sloth_ci.validators.changes import BRANCH, TAG, Change, deleted, is_zero, same_name, shown
from sloth_ci.validators.payload import Payload, read_json_or_form
from sloth_ci.validators.pushes import PushValidator, Reader, find_commit


def read_push(payload: Payload) -> Sequence[Change]:
    """The branch or tag that was pushed."""
    ref, after = payload.text("ref"), payload.commit("after")
    if payload.flag("deleted") or is_zero(after):
        return [deleted(ref)]
    # Of an annotated tag, `after` is the tag itself and the head is the commit it stands on.
    has_head = payload.has("head_commit")
    head = payload.part("head_commit") if has_head else find_commit(payload, after)
    return [
        Change(
            ref=ref,
            commit=head.optional_commit("id") or after,
            before=payload.optional_commit("before"),
            author=head.optional_text("author.name") or _pusher(payload),
            message=head.optional_message("message"),
            url=head.optional_text("url") or payload.first_text("compare", "compare_url"),
        )
    ]


def read_create(payload: Payload) -> Sequence[Change]:
    """The branch or tag that was made; some providers give it in short, some in full."""
    return [
        Change(
            ref=full_ref(payload),
            commit=payload.optional_commit("sha"),
            author=payload.optional_text("sender.login"),
        )
    ]


def read_delete(payload: Payload) -> Sequence[Change]:
    """The branch or tag that was deleted."""
    return [deleted(full_ref(payload))]


def read_pull_request(payload: Payload) -> Sequence[Change]:
    """The head of the pull request, unless it is in a fork."""
    change = Change(
        ref=BRANCH + payload.text("pull_request.head.ref"),
        commit=payload.commit("pull_request.head.sha"),
        before=payload.optional_commit("before"),
        author=payload.optional_text("pull_request.user.login"),
        message=payload.optional_message("pull_request.title"),
        url=payload.first_text("pull_request.html_url", "pull_request.url"),
    )
    head = payload.optional_text("pull_request.head.repo.full_name")
    return [unless_fork(change, payload, head)]


def read_release(payload: Payload) -> Sequence[Change]:
    """The tag that was released."""
    return [
        Change(
            ref=TAG + payload.text("release.tag_name"),
            author=payload.optional_text("release.author.login"),
            message=payload.optional_message("release.name"),
            url=payload.first_text("release.html_url", "release.url"),
        )
    ]


def read_workflow_dispatch(payload: Payload) -> Sequence[Change]:
    """The branch or tag that somebody started a workflow for."""
    return [Change(ref=payload.text("ref"), author=payload.optional_text("sender.login"))]


def read_workflow_run(payload: Payload) -> Sequence[Change]:
    """The branch that a workflow ran for, unless it is in a fork."""
    change = Change(
        ref=BRANCH + payload.text("workflow_run.head_branch"),
        commit=payload.commit("workflow_run.head_sha"),
        author=payload.optional_text("workflow_run.actor.login"),
        message=payload.optional_message("workflow_run.head_commit.message"),
        url=payload.optional_text("workflow_run.html_url"),
    )
    head = payload.optional_text("workflow_run.head_repository.full_name")
    return [unless_fork(change, payload, head)]


def read_merge_group(payload: Payload) -> Sequence[Change]:
    """The branch of the merge queue."""
    return [
        Change(
            ref=payload.text("merge_group.head_ref"),
            commit=payload.commit("merge_group.head_sha"),
            before=payload.optional_commit("merge_group.base_sha"),
            author=payload.optional_text("merge_group.head_commit.author.name"),
            message=payload.optional_message("merge_group.head_commit.message"),
        )
    ]


class GithubValidator(PushValidator):
    """Deliveries of GitHub."""

    provider = "GitHub"
    signature_headers: ClassVar[tuple[str, ...]] = ("X-Hub-Signature-256",)
    event_headers: ClassVar[tuple[str, ...]] = ("X-GitHub-Event",)
    delivery_headers: ClassVar[tuple[str, ...]] = ("X-GitHub-Delivery",)
    actions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "pull_request": ("opened", "reopened", "synchronize"),
        "release": ("published",),
        "workflow_run": ("completed",),
        "merge_group": ("checks_requested",),
    }
    readers: ClassVar[Mapping[str, Reader]] = {
        "push": read_push,
        "create": read_create,
        "delete": read_delete,
        "pull_request": read_pull_request,
        "pull_request_review": read_pull_request,
        "release": read_release,
        "workflow_dispatch": read_workflow_dispatch,
        "workflow_run": read_workflow_run,
        "merge_group": read_merge_group,
    }

    def read_payload(self, request: Request) -> Payload:
        """The body as data, be it JSON or a form."""
        return read_json_or_form(request, provider=self.provider)


def full_ref(payload: Payload) -> str:
    """The whole ref of a `create` or `delete`, which have it in short or in full."""
    ref, kind = payload.text("ref"), payload.text("ref_type")
    if ref.startswith("refs/"):
        return ref
    return (TAG if kind == "tag" else BRANCH) + ref


def unless_fork(change: Change, payload: Payload, head: str) -> Change:
    """The change, ignored when `head`, the repository it comes from, is not the payload's own."""
    target = payload.text("repository.full_name")
    if same_name(head, target):
        return change
    where = shown(head) if head else "a repository that is gone"
    return Change(
        ref=change.ref, ignored=f"The branch is in the fork {where}; forks are never built."
    )


def _pusher(payload: Payload) -> str:
    return payload.first_text("pusher.name", "pusher.login", "sender.login")


VALIDATOR = GithubValidator
