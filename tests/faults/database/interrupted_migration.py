"""A child that brings a database to a version and kills itself (-9) after so many of its steps.

`python -m tests.faults.database.interrupted_migration PATH VERSION STEP`; there is one version more
than those that we have. With step 0 it goes through, and prints how many steps that took.
"""

import os
import signal
import sqlite3
import sys
from pathlib import Path

from sloth_ci.store import connections, schema

#: A change of a kind that a release may bring: a column, a table, rows of both.
NEXT = """
    ALTER TABLE builds ADD COLUMN place TEXT;
    UPDATE builds SET place = 'from ' || id;
    CREATE TABLE places (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
    INSERT INTO places (name) SELECT place FROM builds;
    CREATE INDEX builds_by_place ON builds (place);
"""


def main() -> None:
    """Open it."""
    path, version, last_step = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    schema.MIGRATIONS = (*schema.MIGRATIONS, NEXT)[:version]
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
    connections.open_database(path, connections.hold(path)).close()
    print(steps)


if __name__ == "__main__":
    main()
