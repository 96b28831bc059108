"""Log records: what the store keeps and the API shows of everything that happened."""

from dataclasses import dataclass
from enum import IntEnum
from logging import CRITICAL, DEBUG, ERROR, INFO, WARNING

LEVEL_NAMES = {
    DEBUG: "DEBUG",
    INFO: "INFO",
    WARNING: "WARNING",
    ERROR: "ERROR",
    CRITICAL: "CRITICAL",
}


class Logger(IntEnum):
    """Who says it; the published names are the listen point with a suffix."""

    APP = 0
    EXEC = 1
    BUILD = 2

    def name_for(self, listen_point: str) -> str:
        """The published logger name: `spam`, `spam.exec` or `spam.build`."""
        return listen_point + ("", ".exec", ".build")[self]


class Stream(IntEnum):
    """Where a line of an action's output came from."""

    STDOUT = 1
    STDERR = 2


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One thing that happened, about one app."""

    app_id: int
    logger: Logger
    level: int
    message: str
    #: Seconds since the epoch.
    timestamp: float
    build_id: int | None = None
    #: Set on a line that an action printed.
    stream: Stream | None = None
    #: Given by the store; newer records have greater ones.
    id: int | None = None
