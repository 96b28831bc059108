"""The tables, and how a database gets from one version to the next."""

import json
import sqlite3

from sloth_ci.errors import DatabaseRefused
from sloth_ci.store.rows import hash_config, make_storable

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
    """
    -- What is shown of builds, and what their apps ran with.
    CREATE TABLE configs (
        id INTEGER PRIMARY KEY,
        app INTEGER NOT NULL REFERENCES apps,
        hash TEXT NOT NULL,             -- SHA-256 in hex
        text TEXT NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX configs_by_hash ON configs (app, hash);
    ALTER TABLE apps ADD COLUMN config_id INTEGER REFERENCES configs;
    INSERT INTO configs (app, hash, text)
        SELECT id, sha256(config), config FROM apps WHERE config IS NOT NULL;
    UPDATE apps SET config_id = (SELECT id FROM configs WHERE app = apps.id);

    ALTER TABLE builds ADD COLUMN config INTEGER REFERENCES configs;
    ALTER TABLE builds ADD COLUMN actor TEXT NOT NULL DEFAULT '';
    ALTER TABLE builds ADD COLUMN rerun_of INTEGER;
    ALTER TABLE builds ADD COLUMN reason TEXT NOT NULL DEFAULT '';
    ALTER TABLE builds ADD COLUMN branch TEXT NOT NULL DEFAULT '';
    ALTER TABLE builds ADD COLUMN commit_id TEXT NOT NULL DEFAULT '';
    UPDATE builds SET branch = param(params, 'branch'), commit_id = param(params, 'commit')
        WHERE params <> '{}';
    CREATE INDEX builds_by_branch ON builds (app, branch, id) WHERE branch <> '';
    CREATE INDEX builds_bad_of_app ON builds (app, id)
        WHERE status IN ('partial', 'failed', 'timed_out', 'cancelled', 'interrupted');

    CREATE TABLE build_actions (
        build INTEGER NOT NULL REFERENCES builds,
        position INTEGER NOT NULL,
        command TEXT NOT NULL,          -- masked
        status TEXT,                    -- builds.OutcomeStatus; NULL while it runs
        reason TEXT NOT NULL DEFAULT '',
        exit_code INTEGER,
        signal INTEGER,
        started REAL NOT NULL,
        finished REAL,
        cpu REAL,                       -- seconds
        memory INTEGER,                 -- bytes
        output INTEGER,                 -- bytes
        first_record INTEGER,
        last_record INTEGER,
        PRIMARY KEY (build, position)
    ) STRICT, WITHOUT ROWID;

    -- Of what an action prints, nothing but its place: the levels above it have short indexes.
    DROP INDEX records_by_level;
    CREATE INDEX records_from_info ON records (app, id) WHERE level > 10;
    CREATE INDEX records_from_warning ON records (app, id) WHERE level > 20;
    CREATE INDEX records_from_error ON records (app, id) WHERE level > 30;
    CREATE INDEX all_from_info ON records (id) WHERE level > 10;
    CREATE INDEX all_from_warning ON records (id) WHERE level > 20;
    CREATE INDEX all_from_error ON records (id) WHERE level > 30;

    -- Everything that was sent, refused or not.
    ALTER TABLE deliveries ADD COLUMN method TEXT NOT NULL DEFAULT 'POST';
    ALTER TABLE deliveries ADD COLUMN status INTEGER NOT NULL DEFAULT 202;
    ALTER TABLE deliveries ADD COLUMN code TEXT NOT NULL DEFAULT '';
    ALTER TABLE deliveries ADD COLUMN replay_of INTEGER;
    -- 1: nothing came of it, it may be forgotten as soon as there are newer ones.
    ALTER TABLE deliveries ADD COLUMN spare INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE deliveries ADD COLUMN rules TEXT;
    ALTER TABLE deliveries ADD COLUMN headers TEXT;
    ALTER TABLE deliveries ADD COLUMN body_size INTEGER;
    ALTER TABLE deliveries ADD COLUMN body BLOB;
    UPDATE deliveries SET status = 200 WHERE reason <> '';
    CREATE INDEX deliveries_by_app ON deliveries (app, id);
    CREATE INDEX deliveries_spare ON deliveries (app, id) WHERE spare = 1;
    CREATE INDEX all_deliveries_spare ON deliveries (id) WHERE spare = 1;
    CREATE INDEX deliveries_ignored ON deliveries (app, id)
        WHERE status = 200 AND spare = 0 AND body IS NOT NULL;

    -- A reason, and the app's builds wait.
    ALTER TABLE apps ADD COLUMN paused TEXT;
    ALTER TABLE apps ADD COLUMN paused_by TEXT;
    ALTER TABLE apps ADD COLUMN paused_at REAL;
    CREATE INDEX apps_paused ON apps (id) WHERE paused IS NOT NULL;
    CREATE TABLE server (paused TEXT, paused_by TEXT, paused_at REAL) STRICT;
    INSERT INTO server VALUES (NULL, NULL, NULL);

    -- What extensions remember (app 0: the server's), and what they have to send.
    CREATE TABLE notes (
        app INTEGER NOT NULL,
        extension TEXT NOT NULL,
        key TEXT NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (app, extension, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        app INTEGER NOT NULL,           -- 0 for the server
        extension TEXT NOT NULL,
        kind TEXT NOT NULL,
        body TEXT NOT NULL,
        created REAL NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        due REAL NOT NULL,
        state TEXT NOT NULL,
        answer TEXT NOT NULL DEFAULT ''
    ) STRICT;
    CREATE INDEX outbox_by_extension ON outbox (app, extension, id);
    CREATE INDEX outbox_waiting ON outbox (app, extension, id) WHERE state = 'waiting';
    CREATE INDEX outbox_settled ON outbox (app, extension, id) WHERE state != 'waiting';
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
        connection.create_function("sha256", 1, hash_config, deterministic=True)
        connection.create_function("param", 2, _param, deterministic=True)
        connection.executescript(
            f"BEGIN IMMEDIATE; {script} PRAGMA application_id = {APPLICATION_ID};"
            f" PRAGMA user_version = {len(MIGRATIONS)}; COMMIT;"
        )


def _param(params: str, name: str) -> str:
    """A param of a build that an older release queued."""
    return make_storable(json.loads(params).get(name, ""))


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
