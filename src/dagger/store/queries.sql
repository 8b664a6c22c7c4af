-- name: append
INSERT INTO events (run, seq, event)
SELECT ?1, ?2 + 1 + item.key, item.value
FROM json_each(CAST(?3 AS TEXT)) AS item
WHERE EXISTS (SELECT 1 FROM runs WHERE runs.key = ?1 AND runs.epoch = ?4 AND runs.owner = ?5);

-- name: create
INSERT INTO runs (run_id, mode, graph, status, reason, wake_at, tags, app, fingerprint, started_at, updated_at, owner, epoch)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
ON CONFLICT (run_id) DO NOTHING;

-- name: project
UPDATE runs SET status = ?2, reason = ?3, wake_at = ?4, updated_at = ?5, owner = ?6 WHERE key = ?1;

-- name: owner_of
SELECT runs.key, runs.epoch, runs.owner, owners.beat, owners.pid, owners.host
FROM runs LEFT JOIN owners ON owners.id = runs.owner
WHERE runs.run_id = ?1;

-- name: beat
UPDATE owners SET beat = beat + 1 WHERE id = ?1 AND EXISTS (SELECT 1 FROM runs WHERE runs.owner = ?1);

-- name: idle_owners
SELECT id FROM owners WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.owner = owners.id);

-- name: rows
SELECT run_id, mode, graph, status, reason, wake_at, tags, app, fingerprint, started_at, updated_at
FROM runs

-- name: page
SELECT seq, event FROM events WHERE run = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3;

-- name: send
INSERT INTO inbox (run, id, content) VALUES (?1, ?2, ?3)
ON CONFLICT (run, id) DO NOTHING;

-- name: take_out
DELETE FROM inbox WHERE run = ?1 AND id IN (SELECT value FROM json_each(?2));

-- name: close_reviews
DELETE FROM reviews WHERE run = ?1 AND id IN (SELECT value FROM json_each(?2));

-- name: open_reviews
INSERT INTO reviews (run, id, opened_at, content)
SELECT ?1, item.value ->> 'id', item.value ->> 'opened_ms', item.value
FROM json_each(?2) AS item;

-- name: reviews
SELECT content FROM reviews
WHERE NOT EXISTS (
    SELECT 1 FROM inbox
    WHERE inbox.run = reviews.run AND inbox.content ->> 'type' = 'Answer'
    AND inbox.content ->> 'step' = reviews.content ->> 'step' AND inbox.content ->> 'key' = reviews.content ->> 'key')

-- name: unread
SELECT inbox.id
FROM inbox JOIN runs ON runs.key = inbox.run
WHERE inbox.run = ?1 AND runs.epoch = ?2 AND runs.owner = ?3;

-- name: wakeable
SELECT run_id FROM runs
WHERE owner IS NULL AND key IN (
    SELECT key FROM runs WHERE owner IS NULL AND wake_at <= ?1
    UNION ALL -- a plain UNION would look at every run
    SELECT run FROM inbox)
ORDER BY key;

-- name: remember
INSERT INTO reuse (key, run, seq, at)
SELECT item.value ->> 0, ?1, ?2 + (item.value ->> 1), item.value ->> 2
FROM json_each(?3) AS item
WHERE TRUE -- or SQLite takes the next line for a part of the join
ON CONFLICT (key) DO UPDATE SET run = excluded.run, seq = excluded.seq, at = excluded.at;

-- name: reusable
SELECT runs.run_id, events.seq, events.event
FROM reuse
JOIN runs ON runs.key = reuse.run
JOIN events ON events.run = reuse.run AND events.seq = reuse.seq
WHERE reuse.key = ?1;

-- name: last_seq
SELECT (SELECT ifnull(max(seq), 0) FROM events WHERE run = runs.key) FROM runs WHERE run_id = ?1;
