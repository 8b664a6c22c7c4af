-- From version 2: runs can wait for people.

CREATE TABLE reviews (
    key INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    id TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    content TEXT NOT NULL,
    UNIQUE (run, id)
) STRICT;

CREATE INDEX reviews_by_opened_at ON reviews (opened_at);
