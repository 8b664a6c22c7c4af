-- Version 2. Everything a person may want to read is plain text: sqlite3 -readonly FILE 'SELECT event FROM events'

CREATE TABLE events (
    run INTEGER NOT NULL, -- runs.key
    seq INTEGER NOT NULL, -- from 1, no gaps
    event TEXT NOT NULL, -- a JSON object, or {"$blob": hash, "size": bytes}
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE blobs (
    hash TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    content BLOB NOT NULL -- zstd; as it is where that would not be smaller: then it has `size` bytes
) STRICT;

CREATE TABLE owners (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: it names the lock file
    pid INTEGER NOT NULL,
    host TEXT NOT NULL,
    started_at INTEGER NOT NULL, -- milliseconds since 1970
    beat INTEGER NOT NULL DEFAULT 0 -- grows while the owner lives and owns
) STRICT;

CREATE TABLE runs (
    key INTEGER PRIMARY KEY AUTOINCREMENT, -- in order of creation; never used again
    run_id TEXT NOT NULL UNIQUE,
    mode TEXT NOT NULL,
    graph TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    wake_at INTEGER, -- milliseconds since 1970; only a run that waits has one
    tags TEXT NOT NULL, -- a JSON object of texts
    app TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    owner INTEGER, -- owners.id
    epoch INTEGER NOT NULL -- grows with every owner: an append under an older one is refused
) STRICT;

CREATE INDEX runs_by_status ON runs (status);
CREATE INDEX runs_by_graph ON runs (graph);
CREATE INDEX runs_by_owner ON runs (owner) WHERE owner IS NOT NULL;
CREATE INDEX runs_by_wake_at ON runs (wake_at) WHERE wake_at IS NOT NULL AND owner IS NULL;

CREATE TABLE inbox (
    key INTEGER PRIMARY KEY AUTOINCREMENT, -- in order of arrival; never used again: an owner reads on from the last
    run INTEGER NOT NULL, -- runs.key; a run that is over has no orders
    id TEXT NOT NULL, -- the order's, from its sender
    content TEXT NOT NULL, -- a JSON object
    UNIQUE (run, id)
) STRICT;

CREATE TABLE reuse (
    key TEXT PRIMARY KEY, -- what the work is known by
    run INTEGER NOT NULL, -- runs.key
    seq INTEGER NOT NULL, -- of the newest success under this key
    at INTEGER NOT NULL -- its time, in milliseconds since 1970
) STRICT, WITHOUT ROWID;
