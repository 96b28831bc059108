"""What a config can say of webhooks."""

from typing import Annotated, Any

from sloth_ci.config import Flag, PathText, Seconds, Secrets, SecretText, Section, checked_by
from sloth_ci.outgoing import read_target
from sloth_ci.source import shorten, suggest

from .messages import read_key

EVENTS = (
    "build.queued",
    "build.started",
    "build.finished",
    "app.created",
    "app.updated",
    "app.removed",
)


def read_events(value: Any) -> frozenset[str]:
    """Names of events, as a list."""
    if not isinstance(value, list) or not value:
        raise ValueError(f"must be a list of events, such as [{EVENTS[2]}]")
    for event in value:
        if event not in EVENTS:
            hint = suggest(str(event), EVENTS) or f" Events: {', '.join(EVENTS)}"
            raise ValueError(f"has the unknown event '{shorten(str(event))}'.{hint}")
    return frozenset(value)


class WebhooksOptions(Section):
    """The options of `webhooks`."""

    url: SecretText
    secret: Secrets
    events: Annotated[frozenset[str], checked_by(read_events)] = frozenset(EVENTS)
    private: Flag = False
    timeout: Seconds = 10.0
    #: '' for the system's authorities.
    ca_file: PathText = ""

    def check(self) -> None:
        """Refuse a URL and secrets that can't be used."""
        try:
            read_target(self.url)
        except ValueError as error:
            raise ValueError(f"has a 'url' that can't be used: it {error}") from error
        for secret in self.secret:
            try:
                read_key(secret)
            except ValueError as error:
                raise ValueError(f"has a 'secret' that can't be used: it {error}") from error
