"""Sample pushes: what a provider would send, in its format, signed as it signs.

Formats: GitHub Docs "Webhook events and payloads" (Gitea, Forgejo and Gogs follow it), GitLab Docs
"Webhook events", Atlassian's "Event payloads" of Bitbucket Cloud and Data Center; of each the part
that tells of a push. Signatures: HMAC-SHA256 (RFC 2104), and Standard Webhooks 1.0.
"""

import hmac
import json
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sloth_ci.cli.arguments import WrongUsage
from sloth_ci.source import suggest

_SIGNING_KEY = "whsec_"
_NONE = "0" * 40


@dataclass(frozen=True, slots=True)
class Push:
    """One branch or tag that would have been pushed."""

    owner: str
    repo: str
    #: Just one of the two is there.
    branch: str
    tag: str
    commit: str
    author: str
    message: str
    #: The delivery's own id, and its moment in seconds since 1970.
    delivery: str
    moment: int

    @property
    def ref(self) -> str:
        """The whole name of what was pushed."""
        return f"refs/tags/{self.tag}" if self.tag else f"refs/heads/{self.branch}"

    @property
    def full_name(self) -> str:
        """Owner and repository."""
        return f"{self.owner}/{self.repo}"


@dataclass(frozen=True, slots=True)
class Sample:
    """A delivery, ready to be sent."""

    headers: Mapping[str, str]
    body: bytes


def write_sample(provider: str, push: Push, *, secret: str) -> Sample:
    """What that provider would send for the push; unsigned when the secret is ''.

    Raises WrongUsage for a provider that is not known, or a secret that can't be one.
    """
    if provider not in _WRITERS:
        if provider == "generic":
            raise WrongUsage(
                "what the generic provider sends is the app's own affair: send it with curl"
            )
        hint = suggest(provider, _WRITERS) or f" There are: {', '.join(_WRITERS)}."
        raise WrongUsage(f"there are no samples of '{provider}'.{hint}")
    payload, headers = _WRITERS[provider](push)
    body = json.dumps(payload).encode()
    headers = {"Content-Type": "application/json", **headers}
    if secret:
        headers |= _SIGNERS[provider](body, secret, push)
    return Sample(headers, body)


def provider_names() -> tuple[str, ...]:
    """The providers that there are samples of."""
    return tuple(_WRITERS)


Written = tuple[dict[str, Any], dict[str, str]]


def _github(push: Push) -> dict[str, Any]:
    commit = {
        "id": push.commit,
        "message": push.message,
        "author": {"name": push.author},
        "url": f"https://example.com/{push.full_name}/commit/{push.commit}",
    }
    return {
        "ref": push.ref,
        "before": _NONE,
        "after": push.commit,
        "created": True,
        "deleted": False,
        "forced": False,
        "commits": [commit],
        "head_commit": commit,
        "repository": {
            "name": push.repo,
            "full_name": push.full_name,
            "owner": {"login": push.owner, "username": push.owner},
        },
        "pusher": {"name": push.author, "login": push.author},
    }


def _like_github(name: str) -> Callable[[Push], Written]:
    def write(push: Push) -> Written:
        return _github(push), {f"X-{name}-Event": "push", f"X-{name}-Delivery": push.delivery}

    return write


def _gitlab(push: Push) -> Written:
    kind = "tag_push" if push.tag else "push"
    payload = {
        "object_kind": kind,
        "event_name": kind,
        "ref": push.ref,
        "before": _NONE,
        "after": push.commit,
        "checkout_sha": push.commit,
        "user_name": push.author,
        "project": {"name": push.repo, "path_with_namespace": push.full_name},
        "commits": [{"id": push.commit, "message": push.message, "author": {"name": push.author}}],
        "total_commits_count": 1,
    }
    event = "Tag Push Hook" if push.tag else "Push Hook"
    return payload, {"X-Gitlab-Event": event, "Idempotency-Key": push.delivery}


def _bitbucket(push: Push) -> Written:
    new = {
        "type": "tag" if push.tag else "branch",
        "name": push.tag or push.branch,
        "target": {
            "type": "commit",
            "hash": push.commit,
            "message": push.message,
            "author": {"type": "author", "raw": push.author},
        },
    }
    payload = {
        "actor": {"type": "user", "nickname": push.author},
        "repository": {"type": "repository", "name": push.repo, "full_name": push.full_name},
        "push": {"changes": [{"new": new, "old": None, "created": True, "closed": False}]},
    }
    return payload, {"X-Event-Key": "repo:push", "X-Request-UUID": push.delivery}


def _bitbucket_server(push: Push) -> Written:
    kind = "TAG" if push.tag else "BRANCH"
    change = {
        "ref": {"id": push.ref, "displayId": push.tag or push.branch, "type": kind},
        "refId": push.ref,
        "fromHash": _NONE,
        "toHash": push.commit,
        "type": "ADD",
    }
    payload = {
        "eventKey": "repo:refs_changed",
        "actor": {"name": push.author},
        "repository": {"slug": push.repo, "project": {"key": push.owner}},
        "changes": [change],
        "toCommit": {
            "id": push.commit,
            "message": push.message,
            "author": {"name": push.author},
        },
    }
    return payload, {"X-Event-Key": "repo:refs_changed", "X-Request-Id": push.delivery}


def _dummy(push: Push) -> Written:
    payload = {
        "branch": push.branch,
        "tag": push.tag,
        "ref": push.ref,
        "commit": push.commit,
        "author": push.author,
        "message": push.message,
    }
    return {name: text for name, text in payload.items() if text}, {}


def _sign(header: str, prefix: str = "") -> Callable[[bytes, str, Push], dict[str, str]]:
    def sign(body: bytes, secret: str, _push: Push) -> dict[str, str]:
        key = secret.encode("utf-8", "surrogateescape")
        return {header: prefix + hmac.digest(key, body, "sha256").hex()}

    return sign


def _sign_gitlab(body: bytes, secret: str, push: Push) -> dict[str, str]:
    if not secret.startswith(_SIGNING_KEY):
        return {"X-Gitlab-Token": secret}
    try:
        key = b64decode(secret.removeprefix(_SIGNING_KEY), validate=True)
    except (NotBase64, ValueError) as error:
        raise WrongUsage(
            f"the secret begins as a signing token, '{_SIGNING_KEY}', but what follows is no base64"
        ) from error
    content = f"{push.delivery}.{push.moment}.".encode() + body
    signature = b64encode(hmac.digest(key, content, "sha256")).decode()
    return {
        "webhook-id": push.delivery,
        "webhook-timestamp": str(push.moment),
        "webhook-signature": f"v1,{signature}",
    }


_WRITERS: dict[str, Callable[[Push], Written]] = {
    "github": _like_github("GitHub"),
    "gitlab": _gitlab,
    "bitbucket": _bitbucket,
    "bitbucket_server": _bitbucket_server,
    "gitea": _like_github("Gitea"),
    "forgejo": _like_github("Forgejo"),
    "gogs": _like_github("Gogs"),
    "dummy": _dummy,
}
_SIGNERS: dict[str, Callable[[bytes, str, Push], dict[str, str]]] = {
    "github": _sign("X-Hub-Signature-256", "sha256="),
    "gitlab": _sign_gitlab,
    "bitbucket": _sign("X-Hub-Signature", "sha256="),
    "bitbucket_server": _sign("X-Hub-Signature", "sha256="),
    "gitea": _sign("X-Gitea-Signature"),
    "forgejo": _sign("X-Forgejo-Signature"),
    "gogs": _sign("X-Gogs-Signature"),
    "dummy": _sign("X-Sloth-Signature", "sha256="),
}
