-- From version 1: runs can wait, take orders, and reuse what earlier ones did.

ALTER TABLE runs ADD COLUMN wake_at INTEGER;
CREATE INDEX runs_by_wake_at ON runs (wake_at) WHERE wake_at IS NOT NULL AND owner IS NULL;

CREATE TABLE inbox (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    id TEXT NOT NULL,
    content TEXT NOT NULL,
    UNIQUE (run, id)
) STRICT;

CREATE TABLE reuse (
    key TEXT PRIMARY KEY,
    run INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
