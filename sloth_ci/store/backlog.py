"""Records on their way to the disk: as many as memory bears, and a count of those beyond."""

from collections import Counter
from logging import WARNING
from typing import Any

from sloth_ci.records import Logger

#: More than this, in characters, holds up whoever appends.
LIMIT = 6_000_000
#: What a row weighs beside its message.
ROW_WEIGHT = 250

#: The columns of `records` in order: app, build, logger, level, stream, timestamp, message.
Row = tuple[Any, ...]
APP, BUILD, TIMESTAMP, MESSAGE = 0, 1, 5, 6


class Backlog:
    """Rows that wait; for one thread at a time."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._weight = 0
        self._lost: Counter[tuple[int, int | None]] = Counter()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def is_full(self) -> bool:
        """Whether no more of what builds print should come in now."""
        return self._weight >= LIMIT

    @property
    def is_overfull(self) -> bool:
        """Whether nothing at all should come in now."""
        return self._weight >= 2 * LIMIT

    def add(self, row: Row) -> None:
        """Take one more in, at the end."""
        self._rows.append(row)
        self._weight += _weigh(row)

    def lose(self, row: Row) -> None:
        """Count one that can't be taken in."""
        self._lost[row[APP], row[BUILD]] += 1

    def take(self, moment: float) -> list[Row]:
        """Take all out, with a word in the place of those that were lost."""
        rows = self._rows
        rows += (_tell_loss(*whose, count, moment) for whose, count in self._lost.items())
        self._rows, self._weight = [], 0
        self._lost.clear()
        return rows

    def put_back(self, rows: list[Row]) -> None:
        """Take in what was taken out, at its old place."""
        self._rows = rows + self._rows
        self._weight += sum(map(_weigh, rows))

    def count(self) -> int:
        """How many lines there are, lost ones included."""
        return len(self._rows) + self._lost.total()


def _tell_loss(app_id: int, build_id: int | None, count: int, moment: float) -> Row:
    logger = Logger.APP if build_id is None else Logger.EXEC
    sentence = f"[{count} lines of the log were lost here: the database could not be written]"
    return (app_id, build_id, logger, WARNING, None, moment, sentence)


def _weigh(row: Row) -> int:
    return len(row[MESSAGE]) + ROW_WEIGHT
