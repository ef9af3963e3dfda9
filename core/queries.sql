-- name: append_change
-- One piece of news. The caller holds the CHANGES lock (lock_changes) in this transaction.
INSERT INTO changes (at, topic, key, body) VALUES (%(at)s, %(topic)s, %(key)s, %(body)s)

-- name: lock_changes
-- Held to the end of the transaction: ids of `changes` are then in commit order.
SELECT pg_advisory_xact_lock(%(lock)s)

-- name: newest_change
SELECT coalesce(max(id), 0) AS id FROM changes

-- name: changes_after
SELECT id, at, topic, key, body FROM changes WHERE id > %(cursor)s ORDER BY id LIMIT %(limit)s

-- name: prune_changes
DELETE FROM changes WHERE at < %(before)s

-- name: start_run
INSERT INTO runs (id, started_at) VALUES (%(id)s, %(now)s) ON CONFLICT (id) DO NOTHING

-- name: current_run
SELECT id, started_at FROM runs ORDER BY started_at DESC LIMIT 1

-- name: beat
-- A role says that it lives. `since` stays that of this process.
INSERT INTO role_status (role, instance, run, pid, since, at, detail)
VALUES (%(role)s, %(instance)s, %(run)s, %(pid)s, %(since)s, %(now)s, %(detail)s)
ON CONFLICT (role, instance) DO UPDATE
SET run = excluded.run, pid = excluded.pid, since = excluded.since, at = excluded.at, detail = excluded.detail

-- name: roles
SELECT role, instance, run, pid, since, at, detail FROM role_status WHERE run = %(run)s ORDER BY role, instance

-- name: claim_idempotency
-- Take a key; no row comes back when it was taken before.
INSERT INTO idempotency (actor, key, at, digest, status, body)
VALUES (%(actor)s, %(key)s, %(now)s, %(digest)s, 0, '{}')
ON CONFLICT DO NOTHING RETURNING key

-- name: find_idempotency
SELECT digest, status, body FROM idempotency WHERE actor = %(actor)s AND key = %(key)s

-- name: keep_idempotency
UPDATE idempotency SET status = %(status)s, body = %(body)s WHERE actor = %(actor)s AND key = %(key)s

-- name: prune_idempotency
DELETE FROM idempotency WHERE at < %(before)s

-- name: names_of_people
-- The accounts are kept by app/; a name is all that others read of them.
SELECT id, name FROM users WHERE id = ANY(%(ids)s)
