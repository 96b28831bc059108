"""What a config can say of notifications."""

from typing import Annotated, Any

from sloth_ci.config import Flag, Secrets, Section, Text, checked_by
from sloth_ci.source import shorten, suggest

from .mail import MailOptions
from .occasions import OCCASIONS
from .texts import BODY, SUBJECT

#: Most lines of a log that a notice can hold.
MOST_LINES = 200


def read_occasions(value: Any) -> frozenset[str]:
    """What is told, as a list."""
    if not isinstance(value, list) or not value:
        raise ValueError("must be a list such as [failed, fixed]")
    for one in value:
        if one not in OCCASIONS:
            hint = suggest(str(one), OCCASIONS) or f" Known: {', '.join(OCCASIONS)}"
            raise ValueError(f"has the unknown word '{shorten(str(one))}'.{hint}")
    return frozenset(value)


def read_count(value: Any) -> int:
    """A number of lines."""
    count = int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else -1
    if not 0 <= count <= MOST_LINES:
        raise ValueError(f"must be a number of lines from 0 to {MOST_LINES}")
    return count


class NotificationsOptions(Section):
    """The options of `notifications`."""

    on: Annotated[frozenset[str], checked_by(read_occasions)] = frozenset(
        {"partial", "failed", "timed_out", "fixed"}
    )
    email: MailOptions | None = None
    services: Secrets = ()
    private: Flag = False
    subject: Text = SUBJECT
    body: Text = BODY
    log_lines: Annotated[int, checked_by(read_count)] = 20

    def check(self) -> None:
        """Refuse to tell nobody."""
        if self.email is None and not self.services:
            raise ValueError("needs 'email' or 'services', or nobody is told")
