"""The tables, and how a database gets from one version to the next."""

import sqlite3

from sloth_ci.errors import DatabaseRefused

#: "SLTH"; tells our files from other people's.
APPLICATION_ID = 0x534C5448

#: One script a version; the first makes an empty file into version 1.
MIGRATIONS = (
    """
    CREATE TABLE apps (
        id INTEGER PRIMARY KEY,
        listen_point TEXT NOT NULL UNIQUE,
        origin TEXT,                    -- 'api' or 'file'; NULL once removed
        config TEXT,
        config_file TEXT,
        waiting INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY,
        app INTEGER NOT NULL REFERENCES apps,
        received REAL NOT NULL,
        delivery_id TEXT,
        event TEXT NOT NULL,
        address TEXT NOT NULL,
        reason TEXT NOT NULL            -- '' when builds came of it
    ) STRICT;
    CREATE INDEX deliveries_by_id ON deliveries (app, delivery_id) WHERE delivery_id IS NOT NULL;
    CREATE TABLE builds (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        app INTEGER NOT NULL REFERENCES apps,
        delivery INTEGER REFERENCES deliveries,
        cause TEXT NOT NULL,            -- 'trigger', 'push' or 'rerun'
        status TEXT NOT NULL,
        params TEXT NOT NULL,           -- a JSON object of texts
        total INTEGER NOT NULL,
        completed INTEGER NOT NULL DEFAULT 0,
        queued REAL NOT NULL,
        started REAL,
        finished REAL,
        -- Its records: the one of its queueing, and those of its run, from the first to the last.
        queued_record INTEGER,
        first_record INTEGER,
        last_record INTEGER
    ) STRICT;
    CREATE INDEX builds_by_app ON builds (app, id);
    CREATE INDEX builds_by_delivery ON builds (delivery) WHERE delivery IS NOT NULL;
    CREATE INDEX builds_queued ON builds (app, id) WHERE status = 'queued';
    CREATE INDEX builds_running ON builds (id) WHERE status = 'running';
    CREATE INDEX builds_good ON builds (id) WHERE status = 'complete';
    CREATE INDEX builds_bad ON builds (id)
        WHERE status IN ('partial', 'failed', 'timed_out', 'cancelled', 'interrupted');
    CREATE TABLE records (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        app INTEGER NOT NULL,
        build INTEGER,
        logger INTEGER NOT NULL,        -- records.Logger
        level INTEGER NOT NULL,
        stream INTEGER,                 -- records.Stream
        timestamp REAL NOT NULL,
        message TEXT NOT NULL
    ) STRICT;
    CREATE INDEX records_by_app ON records (app, id);
    CREATE INDEX records_by_level ON records (app, level, id);
    CREATE INDEX records_of_history ON records (app, id) WHERE logger = 2;
    CREATE INDEX records_of_apps ON records (id) WHERE build IS NULL;
    CREATE TABLE identity (token TEXT NOT NULL) STRICT;
    INSERT INTO identity VALUES (lower(hex(randomblob(8))));
    CREATE TABLE queue (waiting INTEGER NOT NULL) STRICT;
    INSERT INTO queue VALUES (0);
    """,
)


def check_identity(connection: sqlite3.Connection, path: str) -> None:
    """Look before anything is changed.

    Raises DatabaseRefused for a file that isn't ours or comes from a newer release.
    """
    version = _version(connection)
    identity = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if identity != APPLICATION_ID and (identity or version or tables):
        raise DatabaseRefused(
            path=path,
            reason="it holds something else than this server's data;"
            " name another file in 'paths: db' of the server config",
        )
    if version > len(MIGRATIONS):
        raise DatabaseRefused(path=path, reason="a newer release of Sloth CI made it")


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database to the newest version, in one transaction."""
    script = "".join(MIGRATIONS[_version(connection) :])
    if script:
        connection.executescript(
            f"BEGIN IMMEDIATE; {script} PRAGMA application_id = {APPLICATION_ID};"
            f" PRAGMA user_version = {len(MIGRATIONS)}; COMMIT;"
        )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
