"""Validators: what a provider sends, checked and turned into params; one provider a file.

A validator answers every delivery with a `Verdict` or raises one of `sloth_ci.errors`. It looks, in
this order, at the method, the sender's address, the signature over the raw body, and only then at
the body. Installed packages add validators by entry points of the group `sloth_ci.validators`, each
naming a subclass of `Validator`; `sloth_ci.validators.dummy` shows how one is written.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import ClassVar

from sloth_ci.config import Flag, Networks, Secrets, Section, Text, Texts
from sloth_ci.errors import AddressRefused, BadRequest, MethodRefused, SignatureRefused
from sloth_ci.request import Request
from sloth_ci.validators.rules import note
from sloth_ci.validators.signatures import check_signature

__all__ = ["BUILT_IN", "SIGNATURE", "ProviderOptions", "Validator", "Verdict", "check_signature"]

#: The rule that a delivery is proved; a review takes it as it was.
SIGNATURE = "signature"
#: The modules here that are providers.
BUILT_IN: tuple[str, ...] = (
    "github",
    "bitbucket",
    "bitbucket_server",
    "gitlab",
    "gitea",
    "forgejo",
    "gogs",
    "generic",
    "dummy",
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done about an authentic delivery."""

    #: The provider's name of the event, '' when it has none.
    event: str
    #: Tells "the same delivery again"; None when the provider sent none.
    delivery_id: str | None
    #: One for each build; empty when there is nothing to do.
    params: tuple[Mapping[str, str], ...]
    #: Why nothing is to be done, a sentence; '' when builds follow.
    reason: str = ""


class ProviderOptions(Section):
    """The options that every provider has."""

    owner: Text = ""
    repo: Text = ""
    #: Globs; `*` crosses `/` too.
    branches: Texts = ("*",)
    tags: Texts = ()
    #: The provider's names; `push` is every provider's push, `event.action` one action of an event.
    events: Texts = ("push",)
    secret: Secrets = ()
    trusted_ips: Networks = ()
    allow_unsigned: Flag = False

    @property
    def secrets(self) -> tuple[str, ...]:
        """All that proves a delivery's origin and that no log may show."""
        return self.secret

    def check(self) -> None:
        """Refuse options that let everybody in without saying so."""
        if not (self.secrets or self.trusted_ips or self.allow_unsigned):
            raise ValueError(
                "lets everybody start builds: give the 'secret' that the provider signs its"
                " deliveries with, or 'trusted_ips', or say 'allow_unsigned: true'"
            )
        if "/" in self.repo:
            raise ValueError(
                f"wants the repository's name alone in 'repo', not '{self.repo}';"
                " what stands before its last '/' goes to 'owner'"
            )


class Validator:
    """Checks the deliveries of one app's provider.

    A subclass says what it makes of an authentic request (`judge`) and, where the provider doesn't
    sign with HMAC-SHA256 in hex, how it tells one (`check_authenticity`).
    """

    Options: ClassVar[type[ProviderOptions]] = ProviderOptions
    #: Who sends, as it stands in a sentence.
    provider: ClassVar[str] = "the provider"
    #: Where the signature is; the first header that was sent counts.
    signature_headers: ClassVar[tuple[str, ...]] = ("X-Sloth-Signature",)
    #: What stands before it.
    signature_prefix: ClassVar[str] = "sha256="

    options: ProviderOptions

    def __init__(self, options: ProviderOptions, *, now: Callable[[], float] = time.time) -> None:
        self.options = options
        #: Seconds since the epoch.
        self.now = now

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log may show."""
        return self.options.secrets

    def validate(self, request: Request) -> Verdict:
        """What is to be done about a delivery.

        Raises MethodRefused, AddressRefused, SignatureRefused, BadBody or BadPayload.
        """
        self._check_sender(request)
        self._check_proof(request)
        return self._decide(request)

    def review(self, request: Request) -> Verdict:
        """What would be done about a delivery that was proved when it came.

        Raises what `validate` raises, but for SignatureRefused.
        """
        self._check_sender(request)
        return self._decide(request)

    @property
    def headers(self) -> tuple[str, ...]:
        """The headers that tell it what the delivery is."""
        return ()

    @property
    def proof_headers(self) -> tuple[str, ...]:
        """The headers that prove where the delivery comes from."""
        return self.signature_headers

    def check_address(self, request: Request) -> None:
        """Raise AddressRefused unless the sender is among the trusted ones, if there are any."""
        networks = self.options.trusted_ips
        if not networks:
            return
        try:
            address = ip_address(request.address)
        except ValueError as error:
            raise AddressRefused(address=request.address) from error
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if not any(address in network for network in networks):
            raise AddressRefused(address=request.address)

    def check_authenticity(self, request: Request) -> None:
        """Raise SignatureRefused unless the raw body is signed, if there is a secret."""
        if self.options.secret:
            check_signature(
                request,
                header=first_sent(request, self.signature_headers),
                secrets=self.options.secret,
                prefix=self.signature_prefix,
            )

    def judge(self, request: Request) -> Verdict:
        """What is to be done about an authentic request; raises BadBody or BadPayload."""
        raise NotImplementedError

    def _check_sender(self, request: Request) -> None:
        note("method", wanted="POST", seen=request.method, holds=request.method == "POST")
        if request.method != "POST":
            raise MethodRefused(method=request.method, allowed="POST")
        trusted = ", ".join(map(str, self.options.trusted_ips)) or "any"
        try:
            self.check_address(request)
        except AddressRefused:
            note("address", wanted=trusted, seen=request.address, holds=False)
            raise
        note("address", wanted=trusted, seen=request.address, holds=True)

    def _check_proof(self, request: Request) -> None:
        has_secrets = bool(self.secrets)
        wanted = "proved by the app's secret" if has_secrets else "none, as the app has no secret"
        try:
            self.check_authenticity(request)
        except SignatureRefused as error:
            note(SIGNATURE, wanted=wanted, seen=error.details["reason"], holds=False)
            raise
        note(SIGNATURE, wanted=wanted, seen="right" if has_secrets else "not asked for", holds=True)

    def _decide(self, request: Request) -> Verdict:
        try:
            return self.judge(request)
        except BadRequest as error:
            note("payload", wanted=f"what {self.provider} sends", seen=error.message, holds=False)
            raise


def first_sent(request: Request, names: tuple[str, ...]) -> str:
    """The first of these headers that was sent, be it empty; the first of all when none was."""
    return next((name for name in names if name.lower() in request.headers), names[0])
