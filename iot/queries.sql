-- name: find_timescale
-- The installed version of the extension, no row without it.
SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'

-- name: timescale_available
SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'

-- name: readings_kind
-- 'p' partitioned by us, 'r' a hypertable's root; no row before the first start.
SELECT relkind::text AS kind FROM pg_class WHERE oid = to_regclass('readings')

-- name: create_readings
-- Unique (device, channel, time): a resend cannot be stored twice on any store.
CREATE TABLE readings (
    device   integer NOT NULL,
    channel  smallint NOT NULL,
    time     timestamptz NOT NULL,
    received timestamptz NOT NULL,
    value    double precision NOT NULL,
    quality  smallint NOT NULL,
    gateway  integer NOT NULL,
    UNIQUE (device, channel, time)
) PARTITION BY RANGE (time)

-- name: create_hypertable
-- The same columns; TimescaleDB makes the chunks.
CREATE TABLE readings (
    device   integer NOT NULL,
    channel  smallint NOT NULL,
    time     timestamptz NOT NULL,
    received timestamptz NOT NULL,
    value    double precision NOT NULL,
    quality  smallint NOT NULL,
    gateway  integer NOT NULL,
    UNIQUE (device, channel, time)
)

-- name: make_hypertable
SELECT create_hypertable('readings', by_range('time', make_interval(secs => %(chunk_s)s)))

-- name: partitions
-- The range partitions of readings and where each ends.
SELECT c.relname::text AS name,
       (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''([^'']+)''\)'))[1]::timestamptz AS ends
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'readings'::regclass ORDER BY ends

-- name: drop_chunks
SELECT drop_chunks(%(table)s::regclass, older_than => %(before)s::timestamptz)

-- name: create_minutes
-- What is not rolled up yet is summed when it is asked for.
CREATE MATERIALIZED VIEW readings_1m
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT device, channel, time_bucket('1 minute', time) AS bucket,
       count(*)::integer AS n, sum(value) AS total, min(value) AS low, max(value) AS high
FROM readings GROUP BY 1, 2, 3 WITH NO DATA

-- name: drop_hours
-- Of migration 0002, where nothing can have been written yet.
DROP TABLE IF EXISTS readings_1h

-- name: create_hours
CREATE MATERIALIZED VIEW readings_1h
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT device, channel, time_bucket('1 hour', bucket) AS bucket,
       sum(n)::integer AS n, sum(total) AS total, min(low) AS low, max(high) AS high
FROM readings_1m GROUP BY 1, 2, 3 WITH NO DATA

-- name: days_of_zone
SELECT 1 FROM timescaledb_information.continuous_aggregates
WHERE view_schema = current_schema() AND view_name = 'readings_1d'
  AND position(quote_literal(%(zone)s::text) IN view_definition) > 0

-- name: drop_days
DROP MATERIALIZED VIEW IF EXISTS readings_1d

-- name: create_days
-- {zone}: days are those of the city.
CREATE MATERIALIZED VIEW readings_1d
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT device, channel, time_bucket('1 day', bucket, {zone}) AS bucket,
       sum(n)::integer AS n, sum(total) AS total, min(low) AS low, max(high) AS high
FROM readings_1h GROUP BY 1, 2, 3 WITH NO DATA

-- name: pack_readings
-- Without segments: a point says too little in a day for columns of its own.
ALTER TABLE readings SET (
    timescaledb.compress, timescaledb.compress_segmentby = '', timescaledb.compress_orderby = 'device, channel, time')

-- name: closed_chunks
SELECT c::text FROM show_chunks('readings', older_than => %(before)s::timestamptz) AS c

-- name: compress_chunk
SELECT compress_chunk(%(chunk)s::regclass, if_not_compressed => true)

-- name: refresh
-- Sums what changed since the last time, late readings too; costs nothing where nothing did.
CALL refresh_continuous_aggregate(%(view)s::regclass, %(begin)s::timestamptz, %(end)s::timestamptz)

-- name: create_stage
CREATE TEMP TABLE IF NOT EXISTS readings_stage (LIKE readings) ON COMMIT DELETE ROWS

-- name: copy_readings
COPY readings (device, channel, time, received, value, quality, gateway) FROM STDIN (FORMAT BINARY)

-- name: copy_stage
COPY readings_stage (device, channel, time, received, value, quality, gateway) FROM STDIN (FORMAT BINARY)

-- name: insert_from_stage
-- First come, first kept; the keys that were new come back.
INSERT INTO readings (device, channel, time, received, value, quality, gateway)
SELECT device, channel, time, received, value, quality, gateway FROM readings_stage
ON CONFLICT (device, channel, time) DO NOTHING
RETURNING device, channel, (extract(epoch FROM time) * 1000000)::bigint AS time_us

-- name: flag_conflicts
-- Stored readings that met another value under the same key: kept, flagged (bit 4), counted.
UPDATE readings r SET quality = r.quality | 16
FROM readings_stage s
WHERE r.device = s.device AND r.channel = s.channel AND r.time = s.time AND r.value <> s.value
RETURNING r.device, r.channel, (extract(epoch FROM r.time) * 1000000)::bigint AS time_us

-- name: keep_batch
-- The last statement of an ingest transaction (migration 0004); id is NULL when no row was new.
SELECT id, previous FROM keep_batch(
    %(run)s, %(instance)s, %(lane)s, %(mark)s, %(stored)s, %(duplicates)s, %(conflicts)s, %(refused)s,
    %(lock)s, %(at)s, %(history)s, %(payload)s)

-- name: marks
SELECT lane, last FROM ingest_marks WHERE instance = %(instance)s

-- name: totals
SELECT coalesce(sum(stored), 0)::bigint AS stored, coalesce(sum(duplicates), 0)::bigint AS duplicates,
       coalesce(sum(conflicts), 0)::bigint AS conflicts
FROM ingest_totals WHERE run = %(run)s

-- name: totals_refused
SELECT key AS reason, sum(value::bigint)::bigint AS n
FROM ingest_totals, jsonb_each_text(refused) WHERE run = %(run)s GROUP BY key

-- name: copy_dead_letters
COPY dead_letters (at, gateway, source, topic, record, reason, detail, payload, refused) FROM STDIN (FORMAT BINARY)

-- name: batches_after
SELECT id, history, payload FROM batch_log WHERE id > %(cursor)s ORDER BY id LIMIT %(limit)s

-- name: newest_batch
SELECT coalesce(max(id), 0) AS id FROM batch_log

-- name: reader_cursor
SELECT cursor FROM batch_readers WHERE name = %(name)s

-- name: move_reader
INSERT INTO batch_readers (name, cursor) VALUES (%(name)s, %(cursor)s)
ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor

-- name: prune_batches
-- Forget what every reader has durably passed and what is old enough that no standby needs it.
DELETE FROM batch_log
WHERE id <= (SELECT min(cursor) FROM batch_readers) AND at < %(before)s

-- name: create_latest_stage
CREATE TEMP TABLE IF NOT EXISTS latest_stage (LIKE latest) ON COMMIT DELETE ROWS

-- name: copy_latest_stage
COPY latest_stage (device, channel, time, received, value, quality, gateway) FROM STDIN (FORMAT BINARY)

-- name: merge_latest
-- The reader's memory is the truth: it has compared already.
INSERT INTO latest AS l SELECT * FROM latest_stage
ON CONFLICT (device, channel) DO UPDATE SET
    time = excluded.time, received = excluded.received, value = excluded.value,
    quality = excluded.quality, gateway = excluded.gateway

-- name: copy_latest_out
COPY latest (device, channel, time, received, value, quality, gateway) TO STDOUT (FORMAT BINARY)

-- name: hours_are_ours
-- A row where the hours are a table, and no continuous aggregate.
SELECT 1 FROM pg_class WHERE oid = to_regclass('readings_1h') AND relkind = 'r'

-- name: create_hours_stage
CREATE TEMP TABLE IF NOT EXISTS hours_stage (LIKE readings_1h) ON COMMIT DELETE ROWS

-- name: copy_hours_stage
COPY hours_stage (device, channel, bucket, n, total, low, high) FROM STDIN (FORMAT BINARY)

-- name: merge_hours
INSERT INTO readings_1h AS h SELECT * FROM hours_stage
ON CONFLICT (device, channel, bucket) DO UPDATE SET
    n = h.n + excluded.n, total = h.total + excluded.total,
    low = least(h.low, excluded.low), high = greatest(h.high, excluded.high)

-- name: raw_readings
SELECT (extract(epoch FROM time) * 1000000)::bigint AS time_us, value, quality
FROM readings
WHERE device = %(device)s AND channel = %(channel)s AND time >= %(begin)s AND time < %(end)s
ORDER BY time LIMIT %(limit)s

-- name: minute_readings
SELECT (extract(epoch FROM date_bin('1 minute', time, 'epoch')) * 1000000)::bigint AS time_us,
       avg(value) AS value, min(value) AS low, max(value) AS high, count(*)::integer AS n
FROM readings
WHERE device = %(device)s AND channel = %(channel)s AND time >= %(begin)s AND time < %(end)s
GROUP BY 1 ORDER BY 1 LIMIT %(limit)s

-- name: hour_readings
SELECT (extract(epoch FROM bucket) * 1000000)::bigint AS time_us, total / n AS value, low, high, n
FROM readings_1h
WHERE device = %(device)s AND channel = %(channel)s AND bucket >= %(begin)s AND bucket < %(end)s
ORDER BY bucket LIMIT %(limit)s

-- name: day_readings
-- Days of the city's time zone.
SELECT (extract(epoch FROM date_trunc('day', bucket, %(zone)s)) * 1000000)::bigint AS time_us,
       sum(total) / sum(n) AS value, min(low) AS low, max(high) AS high, sum(n)::integer AS n
FROM readings_1h
WHERE device = %(device)s AND channel = %(channel)s AND bucket >= %(begin)s AND bucket < %(end)s
GROUP BY 1 ORDER BY 1 LIMIT %(limit)s

-- name: rolled_up
-- A row where TimescaleDB keeps minutes and days.
SELECT 1 AS there FROM pg_class WHERE oid = to_regclass('readings_1m')

-- name: rolled_minutes
SELECT (extract(epoch FROM bucket) * 1000000)::bigint AS time_us, total / n AS value, low, high, n
FROM readings_1m
WHERE device = %(device)s AND channel = %(channel)s AND bucket >= %(begin)s AND bucket < %(end)s
ORDER BY bucket LIMIT %(limit)s

-- name: rolled_days
SELECT (extract(epoch FROM bucket) * 1000000)::bigint AS time_us, total / n AS value, low, high, n
FROM readings_1d
WHERE device = %(device)s AND channel = %(channel)s AND bucket >= %(begin)s AND bucket < %(end)s
ORDER BY bucket LIMIT %(limit)s

-- name: hours_of_many
-- Hourly means of many points at once, for usual bands and traces.
SELECT device, channel, (extract(epoch FROM bucket) * 1000000)::bigint AS time_us, total / n AS value, low, high, n
FROM readings_1h
WHERE (device, channel) IN (SELECT * FROM unnest(%(devices)s::integer[], %(channels)s::smallint[]))
  AND bucket >= %(begin)s AND bucket < %(end)s
ORDER BY device, channel, bucket

-- name: steps_of_many
-- Means of many points over steps shorter than an hour, for a map over time.
SELECT device, channel, (extract(epoch FROM date_bin(make_interval(secs => %(step)s), time, 'epoch')) * 1000000)::bigint
       AS time_us, avg(value) AS value, count(*)::integer AS n
FROM readings
WHERE (device, channel) IN (SELECT * FROM unnest(%(devices)s::integer[], %(channels)s::smallint[]))
  AND time >= %(begin)s AND time < %(end)s
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3

-- name: recent_of_many
-- Raw readings of many points at once, for traces and objections.
SELECT device, channel, (extract(epoch FROM time) * 1000000)::bigint AS time_us, value, quality
FROM readings
WHERE (device, channel) IN (SELECT * FROM unnest(%(devices)s::integer[], %(channels)s::smallint[]))
  AND time >= %(begin)s AND time < %(end)s
ORDER BY device, channel, time

-- name: latest_of_many
-- The newest reading of each of these points, however old.
SELECT device, channel, (extract(epoch FROM time) * 1000000)::bigint AS time_us, value, quality
FROM latest
WHERE (device, channel) IN (SELECT * FROM unnest(%(devices)s::integer[], %(channels)s::smallint[]))
ORDER BY device, channel

-- name: all_gateways
SELECT number, id, provenance, secret_hash FROM gateways ORDER BY number

-- name: known_gateways
SELECT id FROM gateways WHERE id = ANY(%(ids)s)

-- name: upsert_gateway
INSERT INTO gateways (id, secret_hash, provenance, created_at)
VALUES (%(id)s, %(secret_hash)s, %(provenance)s, %(now)s)
ON CONFLICT (id) DO UPDATE SET
    secret_hash = CASE WHEN excluded.secret_hash = '' THEN gateways.secret_hash ELSE excluded.secret_hash END
RETURNING number

-- name: all_channels
SELECT number, full_name FROM channels ORDER BY number

-- name: add_channel
INSERT INTO channels (full_name) VALUES (%(full_name)s) ON CONFLICT DO NOTHING

-- name: all_devices
SELECT number, id, kind, domain, name_zh, name_en, lon, lat, gateway, wire_name, asset, zone, area, provenance, params,
       owner
FROM devices ORDER BY number

-- name: upsert_device
INSERT INTO devices (id, kind, domain, name_zh, name_en, lon, lat, gateway, wire_name, asset, zone, area,
                     provenance, params, owner, created_at, changed_at)
VALUES (%(id)s, %(kind)s, %(domain)s, %(name_zh)s, %(name_en)s, %(lon)s, %(lat)s, %(gateway)s, %(wire_name)s,
        %(asset)s, %(zone)s, %(area)s, %(provenance)s, %(params)s, %(owner)s, %(now)s, %(now)s)
ON CONFLICT (id) DO UPDATE SET
    kind = excluded.kind, domain = excluded.domain, name_zh = excluded.name_zh, name_en = excluded.name_en,
    lon = excluded.lon, lat = excluded.lat, gateway = excluded.gateway, wire_name = excluded.wire_name,
    asset = excluded.asset, zone = excluded.zone, area = excluded.area, provenance = excluded.provenance,
    params = excluded.params, owner = excluded.owner, changed_at = excluded.changed_at
RETURNING number

-- name: valid_calibrations
SELECT device, channel, since, until, factor, shift FROM calibrations WHERE withdrawn_at IS NULL

-- name: calibrations_of
SELECT k.number, c.full_name, k.since, k.until, k.factor, k.shift, k.note, k.by_user AS by, k.at, k.withdrawn_at
FROM calibrations k JOIN channels c ON c.number = k.channel
WHERE k.device = %(device)s ORDER BY k.number DESC

-- name: add_calibration
INSERT INTO calibrations (device, channel, since, until, factor, shift, note, by_user, at)
VALUES (%(device)s, %(channel)s, %(since)s, %(until)s, %(factor)s, %(shift)s, %(note)s, %(by)s, %(now)s)
RETURNING number

-- name: withdraw_calibrations
-- One of a device, or all of it (number NULL).
UPDATE calibrations SET withdrawn_at = %(now)s
WHERE device = %(device)s AND withdrawn_at IS NULL AND (%(number)s::integer IS NULL OR number = %(number)s)

-- name: end_calibrations
-- What holds without an end holds until now: the device itself is another one.
UPDATE calibrations SET until = %(now)s
WHERE device = %(device)s AND withdrawn_at IS NULL AND since < %(now)s AND (until IS NULL OR until > %(now)s)

-- name: all_maintenance
SELECT scope, name, since, until FROM maintenance WHERE until > since

-- name: maintenance
SELECT number, scope, name, since, until, reason, by_user AS by, at FROM maintenance
WHERE until > %(since)s AND number < %(before)s ORDER BY number DESC LIMIT %(limit)s

-- name: maintenance_window
SELECT scope, name FROM maintenance WHERE number = %(number)s

-- name: add_maintenance
INSERT INTO maintenance (scope, name, since, until, reason, by_user, at)
VALUES (%(scope)s, %(name)s, %(since)s, %(until)s, %(reason)s, %(by)s, %(now)s) RETURNING number

-- name: end_maintenance
-- A window that has not begun never will.
UPDATE maintenance SET until = greatest(since, %(now)s) WHERE number = %(number)s AND until > %(now)s
RETURNING scope, name

-- name: twin
SELECT desired, version, desired_at, desired_by, reported, reported_version, reported_at
FROM twins WHERE device = %(device)s

-- name: wish
INSERT INTO twins AS t (device, desired, version, desired_at, desired_by)
VALUES (%(device)s, %(desired)s, 1, %(now)s, %(by)s)
ON CONFLICT (device) DO UPDATE SET
    desired = excluded.desired, version = t.version + 1, desired_at = excluded.desired_at,
    desired_by = excluded.desired_by
RETURNING version

-- name: report
-- What a device says of itself; what it does not say anew stays.
INSERT INTO twins AS t (device, reported, reported_version, reported_at)
SELECT number, %(reported)s, least(%(version)s, 0), %(now)s FROM devices
WHERE gateway = %(gateway)s AND wire_name = %(wire_name)s
ON CONFLICT (device) DO UPDATE SET
    reported = t.reported || excluded.reported, reported_at = excluded.reported_at,
    reported_version = greatest(t.reported_version, least(%(version)s, t.version))

-- name: open_wishes
SELECT d.gateway, d.wire_name, t.desired, t.version FROM twins t JOIN devices d ON d.number = t.device
WHERE t.version > t.reported_version ORDER BY d.gateway, d.wire_name LIMIT %(limit)s

-- name: log_device
INSERT INTO device_log (at, device, by_user, what, body) VALUES (%(now)s, %(device)s, %(by)s, %(what)s, %(body)s)

-- name: device_log
SELECT id, at, by_user AS by, what, body FROM device_log
WHERE device = %(device)s AND id < %(before)s ORDER BY id DESC LIMIT %(limit)s

-- name: replace_device
UPDATE devices SET gateway = %(gateway)s, wire_name = %(wire_name)s, changed_at = %(now)s WHERE number = %(device)s
