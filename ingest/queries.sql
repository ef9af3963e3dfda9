-- name: put_state
-- What is not said anew stays.
INSERT INTO gateway_states AS s (gateway, online, since, why, said, said_at)
SELECT %(gateway)s, %(online)s, %(at)s, %(why)s, %(said)s, %(said_at)s
WHERE EXISTS (SELECT FROM gateways WHERE id = %(gateway)s)
ON CONFLICT (gateway) DO UPDATE SET
    online = excluded.online,
    since = CASE WHEN s.online = excluded.online THEN s.since ELSE excluded.since END,
    why = excluded.why,
    said = coalesce(excluded.said, s.said), said_at = coalesce(excluded.said_at, s.said_at)

-- name: all_gone
-- A worker that starts has no connections yet.
UPDATE gateway_states SET online = false, since = %(now)s, why = 'our own restart' WHERE online

-- name: gateways
SELECT g.id, g.provenance, g.secret_hash <> '' AS may_sign_in, s.online, s.since, s.why, s.said, s.said_at,
       coalesce(d.refused, 0)::bigint AS refused_24h
FROM gateways g
LEFT JOIN gateway_states s ON s.gateway = g.id
LEFT JOIN (
    SELECT gateway, sum(refused) AS refused FROM dead_letters WHERE at >= %(since)s GROUP BY gateway
) d ON d.gateway = g.id
WHERE g.id > %(after)s ORDER BY g.id LIMIT %(limit)s

-- name: may_sign_in
SELECT secret_hash <> '' AS may_sign_in FROM gateways WHERE id = %(id)s

-- name: letters
SELECT id, at, gateway, source, topic, record, reason, detail, payload, refused, settled_at, outcome
FROM dead_letters
WHERE id < %(before)s
  AND (%(gateway)s::text IS NULL OR gateway = %(gateway)s)
  AND (%(reason)s::text IS NULL OR reason = %(reason)s)
  AND (%(open)s::boolean IS NULL OR (settled_at IS NULL) = %(open)s)
ORDER BY id DESC LIMIT %(limit)s

-- name: letters_by_id
SELECT id, at, gateway, source, topic, payload FROM dead_letters
WHERE id = ANY(%(ids)s) AND settled_at IS NULL ORDER BY id

-- name: settle_letters
UPDATE dead_letters SET settled_at = %(now)s, outcome = %(outcome)s
WHERE id = ANY(%(ids)s) AND settled_at IS NULL RETURNING id

-- name: prune_letters
DELETE FROM dead_letters WHERE at < %(before)s

-- name: strangers
-- Devices that speak and are not registered, with their newest letters. A name on the wire is device/channel.
SELECT gateway, wire_name, count(*)::bigint AS letters, min(at) AS first_at, max(at) AS last_at,
       (array_agg(id ORDER BY id DESC))[1:5] AS ids
FROM (
    SELECT id, at, gateway, regexp_replace(detail, '/[^/]*$', '') AS wire_name
    FROM dead_letters WHERE reason = 'unknown_device' AND settled_at IS NULL AND at >= %(since)s
) letters
WHERE wire_name <> '' AND NOT EXISTS (
    SELECT FROM strangers_refused r WHERE r.gateway = letters.gateway AND r.wire_name = letters.wire_name)
GROUP BY gateway, wire_name ORDER BY max(at) DESC LIMIT %(limit)s

-- name: letters_of_stranger
SELECT id FROM dead_letters
WHERE reason = 'unknown_device' AND settled_at IS NULL AND gateway = %(gateway)s
  AND (detail = %(wire_name)s OR starts_with(detail, %(wire_name)s || '/'))
ORDER BY id LIMIT %(limit)s

-- name: refuse_stranger
INSERT INTO strangers_refused (gateway, wire_name, at, by_user, reason)
VALUES (%(gateway)s, %(wire_name)s, %(now)s, %(by)s, %(reason)s)
ON CONFLICT (gateway, wire_name) DO UPDATE SET at = excluded.at, by_user = excluded.by_user, reason = excluded.reason

-- name: welcome_stranger
DELETE FROM strangers_refused WHERE gateway = %(gateway)s AND wire_name = %(wire_name)s


-- name: begin_watch
INSERT INTO gateway_watches (gateway, since, until, by_user)
SELECT id, %(now)s, %(until)s, %(by)s FROM gateways WHERE id = %(gateway)s
ON CONFLICT (gateway) DO UPDATE SET since = excluded.since, until = excluded.until, by_user = excluded.by_user
RETURNING gateway

-- name: forget_watched
-- What an earlier watch left behind.
WITH frames AS (DELETE FROM watched_frames WHERE gateway = %(gateway)s)
DELETE FROM watch_counts WHERE gateway = %(gateway)s

-- name: watches
SELECT gateway, since FROM gateway_watches WHERE until > %(now)s

-- name: watch_of
SELECT since, until, by_user FROM gateway_watches WHERE gateway = %(gateway)s

-- name: add_watched_frame
INSERT INTO watched_frames (gateway, at, shown) VALUES (%(gateway)s, %(at)s, %(shown)s)

-- name: prune_watched_frames
-- The newest of a gateway stay.
DELETE FROM watched_frames WHERE gateway = %(gateway)s AND id <= (
    SELECT id FROM watched_frames WHERE gateway = %(gateway)s ORDER BY id DESC OFFSET %(keep)s LIMIT 1)

-- name: put_watch_counts
INSERT INTO watch_counts (gateway, instance, since, counts)
VALUES (%(gateway)s, %(instance)s, %(since)s, %(counts)s)
ON CONFLICT (gateway, instance) DO UPDATE SET since = excluded.since, counts = excluded.counts

-- name: watch_counts
SELECT counts FROM watch_counts WHERE gateway = %(gateway)s AND since = %(since)s

-- name: watched_frames
-- The newest frames after one that is known, oldest first.
SELECT id, shown FROM (
    SELECT id, shown FROM watched_frames
    WHERE gateway = %(gateway)s AND id > %(after)s ORDER BY id DESC LIMIT %(limit)s
) newest ORDER BY id

-- name: ask_device
INSERT INTO device_operations (device, gateway, station, what, value, reason, by_user, at, until)
VALUES (%(device)s, %(gateway)s, %(station)s, %(what)s, %(value)s, %(reason)s, %(by)s, %(now)s, %(until)s)
RETURNING id

-- name: operations_of
SELECT id, what, value, reason, by_user AS by, at, until, state, sent_at, ended_at, reply
FROM device_operations WHERE device = %(device)s AND id < %(before)s ORDER BY id DESC LIMIT %(limit)s

-- name: waiting_operations
SELECT id, device, gateway, station, what, value FROM device_operations
WHERE state = 'waiting' ORDER BY id LIMIT %(limit)s

-- name: operation_sent
UPDATE device_operations SET state = 'sent', sent_at = %(now)s WHERE id = %(id)s AND state = 'waiting'

-- name: operation_ended
UPDATE device_operations SET state = %(state)s, ended_at = %(now)s, reply = %(reply)s WHERE id = %(id)s AND state = 'sent'

-- name: expire_operations
UPDATE device_operations SET state = 'expired', ended_at = %(now)s
WHERE (state = 'waiting' AND until <= %(now)s) OR (state = 'sent' AND sent_at <= %(sent_before)s)

-- name: duty_checks
-- Duty checks that went out and whose time is over, and whether somebody answered within it.
SELECT d.provenance, o.sent_at AS at, EXISTS (
    SELECT FROM readings r WHERE r.device = d.number AND r.channel = %(channel)s AND r.value = 1
      AND r.time BETWEEN o.sent_at AND o.sent_at + make_interval(mins => o.value::integer)) AS answered
FROM device_operations o JOIN devices d ON d.id = o.device
WHERE o.what = 'duty_check' AND o.sent_at >= %(since)s
  AND o.sent_at + make_interval(mins => o.value::integer) < %(now)s
