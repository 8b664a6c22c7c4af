-- name: append
INSERT INTO events (run, seq, event)
SELECT ?1, ?2 + 1 + item.key, item.value
FROM json_each(CAST(?3 AS TEXT)) AS item
WHERE EXISTS (SELECT 1 FROM runs WHERE runs.key = ?1 AND runs.epoch = ?4 AND runs.owner = ?5);

-- name: create
INSERT INTO runs (run_id, mode, graph, status, reason, tags, app, fingerprint, started_at, updated_at, owner, epoch)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
ON CONFLICT (run_id) DO NOTHING;

-- name: project
UPDATE runs SET status = ?2, reason = ?3, updated_at = ?4, owner = ?5 WHERE key = ?1;

-- name: owner_of
SELECT runs.key, runs.epoch, runs.owner, owners.beat, owners.pid, owners.host
FROM runs LEFT JOIN owners ON owners.id = runs.owner
WHERE runs.run_id = ?1;

-- name: beat
UPDATE owners SET beat = beat + 1 WHERE id = ?1 AND EXISTS (SELECT 1 FROM runs WHERE runs.owner = ?1);

-- name: idle_owners
SELECT id FROM owners WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.owner = owners.id);

-- name: rows
SELECT run_id, mode, graph, status, reason, tags, app, fingerprint, started_at, updated_at
FROM runs

-- name: page
SELECT seq, event FROM events WHERE run = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3;
