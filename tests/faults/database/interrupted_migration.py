"""A child that opens a store and kills itself (-9) after so many steps of SQLite's machine.

`python -m tests.faults.database.interrupted_migration PATH RELEASE STEP`; release 1 is ours, 2 has
one migration more. With step 0 it goes through, and prints how many steps that took.
"""

import os
import signal
import sqlite3
import sys
from pathlib import Path

from sloth_ci.store import Store, connections, schema

#: A change of a kind that a release may bring: a column, a table, rows of both.
NEXT = """
    ALTER TABLE builds ADD COLUMN branch TEXT;
    UPDATE builds SET branch = 'from ' || id;
    CREATE TABLE branches (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
    INSERT INTO branches (name) SELECT branch FROM builds;
    CREATE INDEX builds_by_branch ON builds (branch);
"""


def main() -> None:
    """Open it."""
    path, release, last_step = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if release == 2:
        schema.MIGRATIONS = (*schema.MIGRATIONS, NEXT)
    steps = 0
    migrate = schema.migrate

    def count_step() -> None:
        nonlocal steps
        steps += 1
        if steps == last_step:
            os.kill(os.getpid(), signal.SIGKILL)

    def migrate_in_steps(connection: sqlite3.Connection) -> None:
        connection.set_progress_handler(count_step, 1)
        migrate(connection)
        connection.set_progress_handler(None, 1)

    connections.migrate = migrate_in_steps
    Store(path).close()
    print(steps)


if __name__ == "__main__":
    main()
