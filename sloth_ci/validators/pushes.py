"""What providers of repositories have in common: their events, and how those are read."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import time
from typing import ClassVar

from sloth_ci.errors import BadPayload
from sloth_ci.request import Request
from sloth_ci.validators import ProviderOptions, Validator, Verdict, first_sent
from sloth_ci.validators.changes import (
    Change,
    check_change,
    ignore_change,
    ignore_repository,
    is_zero,
    shown,
)
from sloth_ci.validators.payload import Payload, describe, read_json
from sloth_ci.validators.rules import noted

_EVENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.: -]{0,99}")
_DELIVERY_ID = re.compile(r"[!-~]{1,200}")
#: Reasons told of one delivery.
_MAX_REASONS = 5


#: Reads the changes out of one kind of payload.
Reader = Callable[[Payload], Sequence[Change]]


class PushValidator(Validator):
    """A validator of a provider that tells of repositories' branches and tags."""

    #: Where the event's name and the delivery's id are; the first header that was sent counts.
    event_headers: ClassVar[tuple[str, ...]]
    delivery_headers: ClassVar[tuple[str, ...]]
    #: The provider's names of what `push` stands for in `events`.
    push_events: ClassVar[tuple[str, ...]] = ("push",)
    #: The actions meant by an event that is listed without one.
    actions: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    #: The readers of the events that tell of a branch or tag.
    readers: ClassVar[Mapping[str, Reader]]

    def __init__(self, options: ProviderOptions, *, now: Callable[[], float] = time) -> None:
        super().__init__(options, now=now)
        self._wanted = frozenset(self._expand(options.events))

    def judge(self, request: Request) -> Verdict:
        """The changes told of, filtered by the app's options."""
        payload = self.read_payload(request)
        event, delivery_id = self._event(request), self.delivery_id(request)
        reason = self._ignore_event(event, payload)
        if reason:
            return Verdict(event, delivery_id, (), reason)
        owner, repo = self.repository(payload)
        reason = ignore_repository(self.options, owner=owner, repo=repo)
        if reason:
            return Verdict(event, delivery_id, (), reason)
        changes = self.changes(self.event_name(event), payload)
        about = {"event": event, "owner": owner, "repo": repo, "delivery": delivery_id or ""}
        params, reason = self._filter(changes, about)
        return Verdict(event, delivery_id, params, reason)

    def read_payload(self, request: Request) -> Payload:
        """The body as data; raises BadBody or BadPayload."""
        return read_json(request, provider=self.provider)

    @property
    def headers(self) -> tuple[str, ...]:
        """The headers that tell it what the delivery is."""
        return (*self.event_headers, *self.delivery_headers)

    def event_name(self, name: str) -> str:
        """An event's name as it is compared, in a config and in a header."""
        return name.lower()

    def delivery_id(self, request: Request) -> str | None:
        """The delivery's id, the same when the provider sends it again; None without one."""
        header = first_sent(request, self.delivery_headers)
        return check_delivery_id(request.header(header), field=header, provider=self.provider)

    def repository(self, payload: Payload) -> tuple[str, str]:
        """The owner and the name of the repository that the payload is about."""
        return split_full_name(payload, "repository.full_name", provider=self.provider)

    def action(self, payload: Payload) -> str:
        """What happened within the event, '' when the payload doesn't say."""
        return payload.optional_text("action")

    def changes(self, event: str, payload: Payload) -> Sequence[Change]:
        """What the payload tells of each branch and tag."""
        return self.readers.get(event, read_nothing)(payload)

    def _expand(self, events: Iterable[str]) -> Iterable[str]:
        for entry in events:
            event, dot, action = entry.partition(".")
            name = self.event_name(event)
            if entry == "push":
                yield from map(self.event_name, self.push_events)
            elif dot:
                yield f"{name}.{action}"
            elif name in self.actions:
                yield from (f"{name}.{action}" for action in self.actions[name])
            else:
                yield name

    def _event(self, request: Request) -> str:
        header = first_sent(request, self.event_headers)
        return check_event(request.header(header), field=header, provider=self.provider)

    def _ignore_event(self, event: str, payload: Payload) -> str:
        name = self.event_name(event)
        listed = ", ".join(self.options.events)
        if name in self._wanted:
            return noted("event", "", wanted=listed, seen=event)
        if not any(entry.startswith(f"{name}.") for entry in self._wanted):
            reason = f"The event is '{event}'; this app builds on {listed}."
            return noted("event", reason, wanted=listed, seen=event)
        action = self.action(payload)
        reason = (
            f"The event is '{event}' with the action {shown(action)}; this app builds on {listed}."
        )
        if f"{name}.{action}" in self._wanted:
            reason = ""
        return noted("event", reason, wanted=listed, seen=f"{event}.{action}")

    def _filter(
        self, changes: Sequence[Change], about: Mapping[str, str]
    ) -> tuple[tuple[Mapping[str, str], ...], str]:
        params: list[Mapping[str, str]] = []
        reasons: dict[str, None] = {}
        for change in changes:
            check_change(change, provider=self.provider)
            reason = ignore_change(self.options, change)
            if reason:
                reasons[reason] = None
            else:
                params.append(_params(change, about))
        if params:
            return tuple(params), ""
        return (), " ".join(list(reasons)[:_MAX_REASONS]) or "It tells of no change."


def read_nothing(payload: Payload) -> Sequence[Change]:  # noqa: ARG001
    """One change of nothing that has a name: the event itself is all that is told."""
    return [Change()]


def find_commit(payload: Payload, commit: str) -> Payload:
    """What the payload's list of commits tells of that one; nothing when it isn't in there."""
    for part in payload.parts("commits") if payload.has("commits") else ():
        if part.optional_text("id") == commit:
            return part
    return Payload("", {})


def check_event(event: str, *, field: str, provider: str) -> str:
    """The event's name; raises BadPayload when there is none or it can't be one."""
    if _EVENT.fullmatch(event):
        return event
    raise BadPayload(
        provider=provider, field=field, wanted="an event's name", came=describe(event or None)
    )


def check_delivery_id(delivery_id: str, *, field: str, provider: str) -> str | None:
    """The delivery's id, None for ''; raises BadPayload when it can't be one."""
    if not delivery_id:
        return None
    if _DELIVERY_ID.fullmatch(delivery_id):
        return delivery_id
    raise BadPayload(
        provider=provider,
        field=field,
        wanted="an id of at most 200 printable characters",
        came=describe(delivery_id),
    )


def split_full_name(payload: Payload, path: str, *, provider: str) -> tuple[str, str]:
    """Owner and name out of `owner/name`; the owner may hold slashes."""
    full_name = payload.text(path)
    owner, _, repo = full_name.rpartition("/")
    if not owner or not repo:
        raise BadPayload(
            provider=provider, field=path, wanted="owner/name", came=describe(full_name)
        )
    return owner, repo


def _params(change: Change, about: Mapping[str, str]) -> Mapping[str, str]:
    return {
        **about,
        "ref": change.ref,
        "branch": change.branch,
        "tag": change.tag,
        "commit": change.commit,
        "before": "" if is_zero(change.before) else change.before,
        "author": change.author,
        "message": change.message,
        "url": change.url,
    }
