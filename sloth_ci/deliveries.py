"""Deliveries on their way through an app: judged, kept with their verdict, and taken once more."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from sloth_ci.config import AppConfig
from sloth_ci.errors import DeliveryNotFound, DeliveryNotReplayable, NoProvider, SlothError
from sloth_ci.hooks import DeliveryEvent, DeliveryVerdict, Hooks, Specs
from sloth_ci.journal import SERVER_LOG, Journal
from sloth_ci.masking import Mask
from sloth_ci.request import Request, Rule
from sloth_ci.store import Accepted, Cause, NewDelivery, Pending, Sent, Store, StoredDelivery
from sloth_ci.validators import SIGNATURE, Validator, Verdict
from sloth_ci.validators.headers import choose_headers
from sloth_ci.validators.rules import note, noting


@dataclass(frozen=True, slots=True)
class Judgement:
    """What would come of a delivery if it came now; its params are masked."""

    #: The HTTP status of the answer.
    status: int
    #: The error's code, '' for one that would be accepted.
    code: str
    #: Why there would be no builds, '' when there would be some.
    reason: str
    event: str
    #: One for each build.
    params: tuple[Mapping[str, str], ...]
    rules: tuple[Rule, ...]


class Receiver(ABC):
    """The part of an app that takes deliveries."""

    __slots__ = ()

    id: int
    config: AppConfig
    hooks: Hooks
    _validator: Validator | None
    _store: Store
    _journal: Journal

    @property
    @abstractmethod
    def mask(self) -> Mask:
        """What keeps the app's secrets out of its log."""

    @abstractmethod
    def _accepting(
        self,
        cause: Cause,
        params: tuple[Mapping[str, str], ...],
        delivery: NewDelivery | None = None,
        *,
        actor: str,
    ) -> Pending[Accepted]:
        """Queue a build for each set of params."""

    @property
    def is_prompt(self) -> bool:
        """Whether a delivery is judged and answered without waiting for anything but the store.

        Our own validators wait for nothing; what others do, and what extensions do, nobody knows.
        Without a secret, anybody could send what takes long to be read.
        """
        validator = self._validator
        if self.hooks or not type(validator).__module__.startswith("sloth_ci."):
            return False
        return validator is not None and bool(validator.secrets)

    def receive(self, request: Request) -> Accepted:
        """Take a provider's delivery: check it and queue its builds.

        Raises what the validator raises, NoProvider, or what `Store.accept` raises; then no build
        was queued.
        """
        return self.receiving(request).result()

    def receiving(self, request: Request) -> Pending[Accepted]:
        """Do what `receive` does, and don't wait for the builds to be queued.

        Raises what the validator raises, NoProvider or DatabaseUnavailable.
        """
        rules: list[Rule] = []
        try:
            validator = self._need_validator()
            verdict = _decide(validator, validator.validate, request, rules)
            delivery = self._describe(request, rules, verdict)
            actor = f"{self._provider} {request.address}"
            pending = self._accept_delivery(delivery, verdict, actor=actor)
        except SlothError as error:
            self.refuse(request, error, rules)
            raise

        def settle(result: Callable[[], Accepted]) -> Accepted:
            try:
                return result()
            except SlothError as error:
                self.refuse(request, error, rules)
                raise

        return pending.around(settle)

    def refuse(self, request: Request, error: SlothError, rules: Sequence[Rule] = ()) -> None:
        """Write down that a delivery was not taken, and what is to be seen of it."""
        reason = self.mask(error.message)
        delivery = replace(self._describe(request, rules), reason=reason)
        self._store.note_delivery(self.id, delivery, status=error.status, code=error.code)
        self._journal.delivery_refused(self.id, address=request.address, reason=reason)
        if self.hooks:
            self._tell(request.address, DeliveryVerdict.REFUSED, reason)

    def judge(self, delivery: StoredDelivery) -> Judgement:
        """What would come of a kept delivery if it came now; nothing is queued.

        Raises NoProvider or DeliveryNotReplayable.
        """
        judged = _foresee(self._need_validator(), delivery)
        return replace(judged, params=tuple(map(self._mask_params, judged.params)))

    def replay(self, delivery_id: int, *, actor: str) -> Accepted:
        """Take a kept delivery once more, as one of its own, also if it made builds before.

        Raises DeliveryNotFound, DeliveryNotReplayable, or what `receive` raises.
        """
        kept = self._store.delivery(delivery_id)
        if kept is None or kept.app_id != self.id:
            raise DeliveryNotFound(id=delivery_id)
        validator, request, rules = self._need_validator(), _rebuild(kept), _find_proofs(kept)
        if not all(rule.holds for rule in rules):
            raise DeliveryNotReplayable(id=delivery_id, reason="it was not proved when it came")
        verdict = _decide(validator, validator.review, request, rules)
        delivery = replace(self._describe(request, rules, verdict), replay_of=delivery_id)
        return self._accept_delivery(delivery, verdict, actor=actor).result()

    @property
    def _provider(self) -> str:
        return self.config.provider.name if self.config.provider else ""

    def _need_validator(self) -> Validator:
        if self._validator is None:
            raise NoProvider(listen_point=self.config.listen_point)
        return self._validator

    def _mask_params(self, params: Mapping[str, str]) -> Mapping[str, str]:
        return {name: self.mask(value) for name, value in params.items()}

    def _mask_late(self, text: str) -> str:
        """As `mask`, which takes its time to be made, and is needed only behind the answer."""
        return self.mask(text)

    def _describe(
        self, request: Request, rules: Sequence[Rule], verdict: Verdict | None = None
    ) -> NewDelivery:
        """The delivery of a request; without a verdict, of one that was refused."""
        validator = self._validator
        headers = choose_headers(
            request,
            read=validator.headers if validator else (),
            proofs=validator.proof_headers if validator else (),
        )
        return NewDelivery(
            delivery_id=verdict.delivery_id if verdict else None,
            event=verdict.event if verdict else "",
            address=request.address,
            reason=verdict.reason if verdict else "",
            method=request.method[:20],
            sent=Sent(headers, request.body, tuple(rules), self._mask_late),
        )

    def _accept_delivery(
        self, delivery: NewDelivery, verdict: Verdict, *, actor: str
    ) -> Pending[Accepted]:
        pending = self._accepting(Cause.PUSH, verdict.params, delivery, actor=actor)
        return pending.then(partial(self._note_accepted, delivery.address))

    def _note_accepted(self, address: str, accepted: Accepted) -> Accepted:
        if accepted.builds and not accepted.repeated:
            self._journal.delivery_accepted(self.id, address=address, builds=len(accepted.builds))
        elif not accepted.builds:
            self._journal.delivery_ignored(self.id, address=address, reason=accepted.reason)
        if self.hooks:
            self._tell(address, _name_verdict(accepted), accepted.reason, accepted.builds)
        return accepted

    def _tell(
        self, address: str, verdict: DeliveryVerdict, reason: str, builds: Sequence[int] = ()
    ) -> None:
        listen_point = self.config.listen_point
        event = DeliveryEvent(
            self.id, listen_point, address, verdict, self.mask(reason), tuple(builds)
        )
        self.hooks.tell(Specs.delivery_received, event)


def _name_verdict(accepted: Accepted) -> DeliveryVerdict:
    if accepted.repeated:
        return DeliveryVerdict.REPEATED
    return DeliveryVerdict.ACCEPTED if accepted.builds else DeliveryVerdict.IGNORED


def _decide(
    validator: Validator,
    ask: Callable[[Request], Verdict],
    request: Request,
    rules: list[Rule],
) -> Verdict:
    """What a validator answers; what it held the request against is added to the rules.

    Raises SlothError, and nothing else: one from somebody else's package may raise anything.
    """
    with noting(rules):
        try:
            verdict = ask(request)
        except SlothError:
            raise
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            SERVER_LOG.exception("The validator %s failed", type(validator).__name__)
            raise SlothError from error
        if verdict.reason and all(rule.holds for rule in rules):
            note("verdict", wanted="something to build", seen=verdict.reason, holds=False)
    return verdict


def _foresee(validator: Validator, delivery: StoredDelivery) -> Judgement:
    request, proofs = _rebuild(delivery), _find_proofs(delivery)
    rules: list[Rule] = []
    try:
        verdict = _decide(validator, validator.review, request, rules)
    except SlothError as error:
        return Judgement(error.status, error.code, error.message, "", (), (*proofs, *rules))
    seen = [rule.seen for rule in proofs if not rule.holds]
    return Judgement(
        status=403 if seen else 202 if verdict.params else 200,
        code="signature_refused" if seen else "",
        reason=seen[0] if seen else verdict.reason,
        event=verdict.event,
        params=() if seen else verdict.params,
        rules=(*proofs, *rules),
    )


def _rebuild(delivery: StoredDelivery) -> Request:
    """The request of a kept delivery, without what proved it."""
    if delivery.body is None:
        reason = "what was sent with it is not kept"
        raise DeliveryNotReplayable(id=delivery.id, reason=reason)
    if not delivery.is_whole:
        reason = f"only {len(delivery.body)} of {delivery.body_size} bytes of its body are kept"
        raise DeliveryNotReplayable(id=delivery.id, reason=reason)
    return Request(
        method=delivery.method,
        path=f"/{delivery.listen_point}",
        query="",
        headers=delivery.headers,
        address=delivery.address,
        body=delivery.body,
    )


def _find_proofs(delivery: StoredDelivery) -> list[Rule]:
    """How the delivery was proved when it came: that can't be done again."""
    found = [rule for rule in delivery.rules if rule.rule == SIGNATURE]
    return found or [Rule(SIGNATURE, "a proof", "never looked at", holds=False)]
