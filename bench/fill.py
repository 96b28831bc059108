"""Make a server's file large: rows are copied within it, as its own schema says what they are."""

import sqlite3
from contextlib import closing
from pathlib import Path

_CHUNK = 100_000


def multiply(file: Path, table: str, *, until: int, changing: dict[str, str] | None = None) -> None:
    """Copy rows of the table until it has so many.

    `changing` gives columns other values: SQL in which `n` is the number of the row.
    """
    with closing(sqlite3.connect(file, timeout=60, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute("PRAGMA cache_size = -200000")
        names = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        columns = [name for name in names if name != "id"]
        values = [(changing or {}).get(name, name) for name in columns]
        count = database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        while count < until:
            first, count = count, min(count + _CHUNK, until)
            database.execute(
                f"WITH RECURSIVE counter(n) AS (SELECT {first} UNION ALL"
                f" SELECT n + 1 FROM counter WHERE n + 1 < {count})"
                f" INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)}"
                f" FROM counter CROSS JOIN (SELECT * FROM {table} ORDER BY rowid DESC LIMIT 1)"
            )
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
