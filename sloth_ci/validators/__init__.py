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
from sloth_ci.errors import AddressRefused, MethodRefused
from sloth_ci.request import Request
from sloth_ci.validators.signatures import check_signature

__all__ = ["BUILT_IN", "ProviderOptions", "Validator", "Verdict", "check_signature"]

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
        if request.method != "POST":
            raise MethodRefused(method=request.method, allowed="POST")
        self.check_address(request)
        self.check_authenticity(request)
        return self.judge(request)

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


def first_sent(request: Request, names: tuple[str, ...]) -> str:
    """The first of these headers that was sent, be it empty; the first of all when none was."""
    return next((name for name in names if name.lower() in request.headers), names[0])
