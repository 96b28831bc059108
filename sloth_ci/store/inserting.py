"""Rows go in many at a time: for each statement the interpreter's lock changes hands."""

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

#: Rows that one statement inserts, at most; below the last of these, as many as there are.
_SIZES = (100, 8)


def insert_rows(db: sqlite3.Connection, into: str, rows: Sequence[Sequence[Any]]) -> int | None:
    """Insert rows, in order, into what `into` names: a table and its columns.

    Gives the id of the last one, None without rows.
    """
    first, last = 0, None
    while left := len(rows) - first:
        size = next((size for size in _SIZES if left >= size), left)
        values = tuple(chain.from_iterable(rows[first : first + size]))
        statement = f"INSERT INTO {into} VALUES {marks(len(rows[0]), size)}"  # noqa: S608
        last = db.execute(statement, values).lastrowid
        first += size
    return last


@lru_cache(maxsize=256)
def marks(width: int, size: int) -> str:
    """So many rows of so many placeholders."""
    return ", ".join([f"({', '.join('?' * width)})"] * size)
