-- name: put_vital
INSERT INTO vitals (key, at, as_of, value, level, state, n, total, confidence, detail)
VALUES (%(key)s, %(at)s, %(as_of)s, %(value)s, %(level)s, %(state)s, %(n)s, %(total)s, %(confidence)s, %(detail)s)
ON CONFLICT (key) DO UPDATE SET
    at = excluded.at, as_of = excluded.as_of, value = excluded.value, level = excluded.level, state = excluded.state,
    n = excluded.n, total = excluded.total, confidence = excluded.confidence, detail = excluded.detail

-- name: drop_vitals
-- Forget the rows of vitals that are declared no more.
DELETE FROM vitals WHERE NOT key = ANY(%(keys)s)

-- name: all_vitals
SELECT key, at, as_of, value, level, state, n, total, confidence, detail FROM vitals ORDER BY key

-- name: add_history
-- One more evaluation of a quarter.
INSERT INTO vital_history AS h (key, at, n, total, low, high, last, level)
VALUES (%(key)s, %(at)s, 1, %(value)s, %(value)s, %(value)s, %(value)s, %(level)s)
ON CONFLICT (key, at) DO UPDATE SET
    n = h.n + 1, total = h.total + excluded.total, low = least(h.low, excluded.low),
    high = greatest(h.high, excluded.high), last = excluded.last,
    level = CASE WHEN h.level = 0 THEN excluded.level WHEN excluded.level = 0 THEN h.level
                 ELSE least(h.level, excluded.level) END

-- name: fill_history
-- A value recomputed for a past quarter; what was measured then stays.
INSERT INTO vital_history (key, at, n, total, low, high, last, level)
VALUES (%(key)s, %(at)s, 1, %(value)s, %(value)s, %(value)s, %(value)s, 0)
ON CONFLICT (key, at) DO NOTHING

-- name: history_of_all
SELECT key, (extract(epoch FROM at) * 1000000)::bigint AS at_us, total / n AS value, high, last
FROM vital_history WHERE at >= %(from)s AND at < %(to)s ORDER BY key, at

-- name: history_of_one
SELECT (extract(epoch FROM at) * 1000000)::bigint AS at_us, total / n AS value, low, high, last, level
FROM vital_history WHERE key = %(key)s AND at >= %(from)s AND at < %(to)s ORDER BY at

-- name: history_ends
-- The newest quarter of every vital.
SELECT key, (extract(epoch FROM max(at)) * 1000000)::bigint AS at_us FROM vital_history GROUP BY key

-- name: prune_history
DELETE FROM vital_history WHERE at < %(before)s

-- name: put_usual
INSERT INTO vital_usual (key, day_type, hour, median, mad, days)
VALUES (%(key)s, %(day_type)s, %(hour)s, %(median)s, %(mad)s, %(days)s)
ON CONFLICT (key, day_type, hour) DO UPDATE SET
    median = excluded.median, mad = excluded.mad, days = excluded.days

-- name: all_usual
SELECT key, day_type, hour, median, mad, days FROM vital_usual
