"""Any other sender of JSON or forms: the config says where the signature and the params are.

    listen_point: generic/spam

    provider:
        generic:
            # How a delivery is proved: `hmac` (the default), `token`, or `standard_webhooks`,
            # whose secret is a signing token `whsec_...` and whose headers are fixed.
            scheme: hmac
            # A list while it is being changed. Also {env: NAME} or {file: path}.
            secret: some-long-random-text

            # Where the HMAC of the body, or the token, is, and what stands before it.
            header: X-Signature
            prefix: sha256=
            # For hmac: sha256, sha512, sha384 or sha1; hex or base64.
            algorithm: sha256
            encoding: hex

            # Headers with the event's name and the delivery's id, if there are any. A delivery
            # whose id came before is not built again.
            event_header: X-Event
            delivery_header: X-Delivery

            # Params and where in the body they are: keys and list positions joined by dots, or as
            # a list where a key has a dot. A `?` behind the last one: may be missing.
            params:
                ref: push.changes.0.new.name
                commit: push.changes.0.new.target.hash
                author: [push, "user.name?"]
                environment: deploy.environment?

            # Globs, as with every provider.
            branches:
                - main
            tags:
                - v*
            # The names of events that are built; without them, all.
            events:
                - push

    actions:
        - echo {event} {branch} {commit} {environment}

With a token, the header holds `prefix` and the secret, such as `header: Authorization` and
`prefix: "Bearer "`. A `ref` that starts with refs/heads/ or refs/tags/ gives `branch` or `tag`, if
these have no path of their own. `owner`, `repo`, `branches` and `tags` need the param they look at,
and `events` needs `event_header` or the param event. A commit of zeros tells of a deletion, which
is not built. The params of `github` that have no path are there and empty.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import time
from typing import Annotated, Any

from sloth_ci.config import Text, Texts, checked_by, one_of
from sloth_ci.request import Request
from sloth_ci.source import shorten
from sloth_ci.validators import ProviderOptions, Validator, Verdict
from sloth_ci.validators.changes import (
    Change,
    check_name,
    ignore_branch,
    ignore_repository,
    ignore_tag,
    is_zero,
    shown,
)
from sloth_ci.validators.payload import Payload, is_form, read_form, read_json
from sloth_ci.validators.pushes import check_delivery_id, check_event
from sloth_ci.validators.rules import noted
from sloth_ci.validators.signatures import (
    ALGORITHMS,
    ENCODINGS,
    check_signature,
    check_standard_webhook,
    check_token,
    read_signing_key,
)

PARAMS = (
    "event",
    "ref",
    "branch",
    "tag",
    "commit",
    "before",
    "repo",
    "owner",
    "author",
    "message",
    "url",
    "delivery",
)

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_EVERY_BRANCH = ("*",)


@dataclass(frozen=True, slots=True)
class ParamPath:
    """Where in the body a param is."""

    steps: tuple[str, ...]
    optional: bool


def read_paths(value: Any) -> Mapping[str, ParamPath]:
    """A mapping of params to paths."""
    if not isinstance(value, dict):
        raise ValueError("must be a mapping of params to their paths in the body")
    return {_read_param_name(name): _read_path(name, path) for name, path in value.items()}


def read_header_name(value: Any) -> str:
    """The name of an HTTP header."""
    if isinstance(value, str) and _HEADER.fullmatch(value):
        return value
    raise ValueError("must be the name of a header, such as X-Signature")


HeaderName = Annotated[str, checked_by(read_header_name)]


class GenericOptions(ProviderOptions):
    """The options of the generic provider."""

    events: Texts = ()
    scheme: Annotated[str, one_of("hmac", "token", "standard_webhooks")] = "hmac"
    header: HeaderName = ""
    prefix: Text = ""
    algorithm: Annotated[str, one_of(*ALGORITHMS)] = "sha256"
    encoding: Annotated[str, one_of(*ENCODINGS)] = "hex"
    event_header: HeaderName = ""
    delivery_header: HeaderName = ""
    params: Annotated[Mapping[str, ParamPath], checked_by(read_paths)] = {}

    def check(self) -> None:
        """Refuse filters that have nothing to look at, beside what every provider refuses."""
        super().check()
        self._check_scheme()
        filters = (
            ("owner", self.owner, ("owner",)),
            ("repo", self.repo, ("repo",)),
            ("branches", self.branches != _EVERY_BRANCH, ("branch", "ref")),
            ("tags", self.tags, ("tag", "ref")),
            ("events", self.events and not self.event_header, ("event",)),
        )
        for name, given, looked_at in filters:
            if given and not set(looked_at) & set(self.params):
                raise ValueError(f"has '{name}', which needs '{looked_at[0]}' in 'params'")

    def _check_scheme(self) -> None:
        if self.secret and self.scheme != "standard_webhooks" and not self.header:
            raise ValueError("needs 'header', the name of the header with the signature or token")
        if not (self.prefix + "".join(self.secret)).isascii() and self.scheme == "token":
            raise ValueError("wants a 'secret' of ASCII characters, since it comes in a header")
        if self.scheme != "standard_webhooks":
            return
        for secret in self.secret:
            try:
                read_signing_key(secret)
            except ValueError as error:
                raise ValueError(
                    f"has a 'secret' that can't be a signing key: it {error}"
                ) from error


class GenericValidator(Validator):
    """Deliveries of whoever the config describes."""

    Options = GenericOptions
    provider = "the generic provider"

    options: GenericOptions

    def __init__(self, options: GenericOptions, *, now: Callable[[], float] = time) -> None:
        super().__init__(options, now=now)
        standard = options.scheme == "standard_webhooks"
        self._keys = tuple(map(read_signing_key, options.secret if standard else ()))
        self._delivery_header = options.delivery_header or ("webhook-id" if standard else "")

    @property
    def headers(self) -> tuple[str, ...]:
        """The headers that tell it what the delivery is."""
        return tuple(filter(None, (self.options.event_header, self._delivery_header)))

    @property
    def proof_headers(self) -> tuple[str, ...]:
        """The headers that prove where the delivery comes from."""
        return (self.options.header, "webhook-signature")

    def check_authenticity(self, request: Request) -> None:
        """Raise SignatureRefused unless the delivery is proved as the config says."""
        options = self.options
        if self._keys:
            check_standard_webhook(request, keys=self._keys, now=self.now())
        elif options.secret and options.scheme == "token":
            check_token(
                request, header=options.header, secrets=options.secret, prefix=options.prefix
            )
        elif options.secret:
            check_signature(
                request,
                header=options.header,
                secrets=options.secret,
                algorithm=options.algorithm,
                encoding=options.encoding,
                prefix=options.prefix,
            )

    def judge(self, request: Request) -> Verdict:
        """One build with the params found in the body, unless a filter keeps it out."""
        params = {**dict.fromkeys(PARAMS, ""), **self._read_params(request)}
        params["event"] = params["event"] or self._read_header(request, self.options.event_header)
        if params["event"]:
            check_event(params["event"], field="event", provider=self.provider)
        header = self._delivery_header
        params["delivery"] = params["delivery"] or self._read_header(request, header)
        delivery_id = check_delivery_id(
            params["delivery"], field="delivery", provider=self.provider
        )
        change = Change(ref=params["ref"])
        params["branch"] = params["branch"] or ("" if params["tag"] else change.branch)
        params["tag"] = params["tag"] or ("" if params["branch"] else change.tag)
        for name in ("ref", "branch", "tag", "commit"):
            check_name(params[name], provider=self.provider, field=name)
        reason = self._ignore(params)
        return Verdict(params["event"], delivery_id, () if reason else (params,), reason)

    def _read_params(self, request: Request) -> Mapping[str, str]:
        if is_form(request):
            payload = Payload(self.provider, read_form(request))
        else:
            payload = read_json(request, provider=self.provider)
        return {
            name: (payload.optional_scalar(path.steps) or "")
            if path.optional
            else payload.scalar(path.steps)
            for name, path in self.options.params.items()
        }

    def _read_header(self, request: Request, name: str) -> str:
        return request.header(name) if name else ""

    def _ignore(self, params: Mapping[str, str]) -> str:
        options = self.options
        if options.events:
            listed = ", ".join(options.events)
            reason = f"The event is {shown(params['event'])}; this app builds on {listed}."
            is_wanted = params["event"] in options.events
            if noted("event", "" if is_wanted else reason, wanted=listed, seen=params["event"]):
                return reason
        if params["commit"] and is_zero(params["commit"]):
            ref = params["ref"] or params["branch"] or params["tag"]
            reason = f"{shown(ref)} was deleted."
            return noted("change", reason, wanted="something to build", seen=ref)
        reason = ignore_repository(options, owner=params["owner"], repo=params["repo"])
        if reason:
            return reason
        if params["branch"]:
            return ignore_branch(options, params["branch"])
        if params["tag"]:
            return ignore_tag(options, params["tag"])
        if options.branches == _EVERY_BRANCH:
            return ""
        listed = ", ".join(options.branches)
        return noted("branch", "It names no branch and no tag.", wanted=listed, seen="none")


def _read_param_name(name: str) -> str:
    if name.isascii() and name.isidentifier():
        return name
    raise ValueError(f"has the name '{shorten(name)}'; names are letters, digits and _")


def _read_path(name: str, value: Any) -> ParamPath:
    steps = value.split(".") if isinstance(value, str) else value
    if (
        not isinstance(steps, list)
        or not steps
        or not all(isinstance(step, str) and step.rstrip("?") for step in steps)
    ):
        raise ValueError(f"has no path for '{name}': wanted keys joined by dots, or a list of keys")
    return ParamPath((*steps[:-1], steps[-1].removesuffix("?")), steps[-1].endswith("?"))


VALIDATOR = GenericValidator
