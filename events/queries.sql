-- name: engine_cursor
SELECT cursor FROM engine_cursor WHERE name = 'engine'

-- name: move_engine_cursor
-- In the transaction of what the batches led to: each batch counts exactly once.
INSERT INTO engine_cursor (name, cursor, at) VALUES ('engine', %(cursor)s, %(now)s)
ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor, at = excluded.at

-- name: hold_batches
-- Batches that a restart would need are not pruned (iot batch_readers).
INSERT INTO batch_readers (name, cursor) VALUES ('engine', %(cursor)s)
ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor

-- name: put_snapshot
INSERT INTO engine_snapshots (is_full, at, cursor, replay_from, horizon_us, head_us, payload)
VALUES (%(is_full)s, %(now)s, %(cursor)s, %(replay_from)s, %(horizon_us)s, %(head_us)s, %(payload)s)
RETURNING id

-- name: prune_snapshots
-- What lies before the newest full snapshot is needed by nobody.
DELETE FROM engine_snapshots WHERE id < (SELECT max(id) FROM engine_snapshots WHERE is_full)

-- name: snapshots
SELECT is_full, cursor, replay_from, horizon_us, head_us, payload FROM engine_snapshots
WHERE id >= (SELECT max(id) FROM engine_snapshots WHERE is_full) ORDER BY id

-- name: holds_of
-- Whether rules are put aside at subjects; of several the one that people may not end counts last.
SELECT h.rule, h.subject, h.state, h.until, h.reason, h.by FROM alert_holds h
JOIN unnest(%(rules)s::text[], %(subjects)s::text[]) AS w(rule, subject) ON (h.rule, h.subject) = (w.rule, w.subject)
WHERE h.until IS NULL OR h.until > %(now)s

-- name: put_hold
INSERT INTO alert_holds (rule, subject, state, until, reason, by, at)
VALUES (%(rule)s, %(subject)s, %(state)s, %(until)s, %(reason)s, %(by)s, %(now)s)
ON CONFLICT (rule, subject, state) DO UPDATE SET
    until = excluded.until, reason = excluded.reason, by = excluded.by, at = excluded.at

-- name: end_hold
DELETE FROM alert_holds WHERE rule = %(rule)s AND subject = %(subject)s AND state = %(state)s

-- name: expired_holds
DELETE FROM alert_holds WHERE until <= %(now)s RETURNING rule, subject, state

-- name: insert_alerts
-- A natural key that is there already stays as it is; the ids that are new come back.
INSERT INTO alerts (id, rule, rule_version, domain, class, level, subject, device, channel, state, standing, asks,
                    backdated, onset, raised_at, recorded_at, value, limit_value, peak, lon, lat, zone, area, asset,
                    provenance, aside, changed_at)
SELECT id, rule, rule_version, domain, class, level, subject, device, channel, state, true, asks,
       backdated, onset, raised_at, %(now)s, value, limit_value, peak, lon, lat, zone, area, asset,
       provenance, aside, %(now)s
FROM jsonb_to_recordset(%(rows)s::jsonb) AS r(
    id text, rule text, rule_version text, domain text, class text, level smallint, subject text, device text,
    channel text, state text, asks boolean, backdated boolean, onset timestamptz, raised_at timestamptz,
    value double precision, limit_value double precision, peak double precision, lon double precision,
    lat double precision, zone text, area text, asset text, provenance text, aside jsonb)
ON CONFLICT DO NOTHING
RETURNING id

-- name: lock_alerts_of
-- The alerts that (rule, subject, onset) name, for change.
SELECT a.* FROM alerts a
JOIN unnest(%(rules)s::text[], %(subjects)s::text[], %(onsets)s::timestamptz[]) AS w(rule, subject, onset)
  ON (a.rule, a.subject, a.onset) = (w.rule, w.subject, w.onset)
ORDER BY a.id FOR UPDATE OF a

-- name: lock_alerts
SELECT * FROM alerts WHERE id = ANY(%(ids)s) ORDER BY id FOR UPDATE

-- name: lock_alerts_aside
SELECT * FROM alerts
WHERE rule = %(rule)s AND subject = %(subject)s AND state = %(state)s
ORDER BY id FOR UPDATE

-- name: standing_of_rules
-- Standing alerts of some rules, for what is driven by time and for rules that are gone.
SELECT * FROM alerts WHERE standing AND rule = ANY(%(rules)s)

-- name: alerts_repeats
-- Subjects that alarmed so often since a moment.
SELECT subject, device, max(onset) AS onset FROM alerts
WHERE onset > %(since)s AND NOT withdrawn AND class <> 'device'
  AND (%(of)s::text IS NULL OR rule = %(of)s)
GROUP BY subject, device HAVING count(*) >= %(n)s

-- name: alerts_unanswered
-- Subjects with a standing alert that nobody has acknowledged since a moment.
SELECT subject, device, min(onset) AS onset FROM alerts
WHERE standing AND state = 'unacknowledged' AND recorded_at < %(since)s AND rule = %(of)s
  AND %(n)s >= 0
GROUP BY subject, device

-- name: standing_of_other_rules
SELECT rule, subject, onset FROM alerts WHERE standing AND NOT rule = ANY(%(rules)s)

-- name: update_alerts
UPDATE alerts a SET
    state = r.state, standing = r.standing, withdrawn = r.withdrawn, onset = r.onset, returned_at = r.returned_at,
    acknowledged_at = r.acknowledged_at, acknowledged_by = r.acknowledged_by, peak = r.peak, incident = r.incident,
    aside = r.aside, changed_at = %(now)s
FROM jsonb_to_recordset(%(rows)s::jsonb) AS r(
    id text, state text, standing boolean, withdrawn boolean, onset timestamptz, returned_at timestamptz,
    acknowledged_at timestamptz, acknowledged_by text, peak double precision, incident text, aside jsonb)
WHERE a.id = r.id

-- name: log_alerts
INSERT INTO alert_log (alert, at, action, actor, before, after, fields)
SELECT alert, at, action, actor, before, after, fields FROM jsonb_to_recordset(%(rows)s::jsonb) AS r(
    alert text, at timestamptz, action text, actor text, before text, after text, fields jsonb)

-- name: recent_facts
-- Alerts that may still join or be joined: standing, ended lately, or evidence of a live incident.
SELECT id, rule, subject, device, channel, level, provenance, onset, returned_at, standing, value, limit_value, peak,
       lon, lat, zone, area, asset
FROM alerts a
WHERE NOT withdrawn AND NOT backdated
  AND (EXISTS (
      SELECT FROM incident_evidence e JOIN incidents i ON i.id = e.incident
      WHERE e.fact = a.id AND e.left_at IS NULL AND i.state IN ('open', 'confirmed'))
    OR (incident IS NULL AND state NOT IN ('shelved', 'suppressed', 'out_of_service')
        AND (standing OR returned_at > %(since)s)))
ORDER BY onset, id

-- name: recent_onsets
-- What came lately, whatever became of it: how often alerts come for no reason is learned from these.
SELECT id, rule, onset FROM alerts
WHERE recorded_at > %(since)s AND onset > %(since)s AND NOT withdrawn AND NOT backdated
  AND state NOT IN ('shelved', 'suppressed', 'out_of_service')

-- name: recent_reports
SELECT * FROM reports WHERE coalesce(ends_at, at) > %(since)s OR at > %(since)s ORDER BY at, id

-- name: live_incidents
SELECT * FROM incidents WHERE state IN ('open', 'confirmed') ORDER BY opened_at, id

-- name: live_incidents_of
SELECT * FROM incidents WHERE state IN ('open', 'confirmed') AND type = ANY(%(types)s) ORDER BY opened_at, id

-- name: recent_incidents
-- Those that are evidence for others: open ones, and those resolved since.
SELECT * FROM incidents
WHERE state IN ('open', 'confirmed') OR (state = 'resolved' AND closed_at >= %(since)s)

-- name: live_evidence
SELECT e.incident, e.fact, e.evidence, e.what FROM incident_evidence e JOIN incidents i ON i.id = e.incident
WHERE e.left_at IS NULL AND i.state IN ('open', 'confirmed')

-- name: evidence_of
SELECT fact, evidence FROM incident_evidence WHERE incident = %(id)s AND left_at IS NULL

-- name: lock_incidents
SELECT * FROM incidents WHERE id = ANY(%(ids)s) ORDER BY id FOR UPDATE

-- name: next_number
-- Numbers of a day of the city, without gaps as far as transactions commit.
INSERT INTO incident_numbers AS n (day, last) VALUES (%(day)s, 1)
ON CONFLICT (day) DO UPDATE SET last = n.last + 1 RETURNING last

-- name: insert_incident
INSERT INTO incidents (id, number, type, domain, class, state, level, priority, score, parts, sure, started_at, opened_at,
                       clear_since, lon, lat, zone, area, asset, provenance, backdated, causes, explanation,
                       consequences, case_code, plan, lead, assisting, apart, parent, rule_version, changed_at)
VALUES (%(id)s, %(number)s, %(type)s, %(domain)s, %(class)s, 'open', %(level)s, %(priority)s, %(score)s, %(parts)s,
        %(sure)s, %(started_at)s, %(now)s, %(clear_since)s, %(lon)s, %(lat)s, %(zone)s, %(area)s, %(asset)s,
        %(provenance)s, %(backdated)s, %(causes)s, %(explanation)s, %(consequences)s, %(case_code)s, %(plan)s,
        %(lead)s, %(assisting)s, %(apart)s, %(parent)s, %(rule_version)s, %(now)s)
ON CONFLICT (id) DO NOTHING
RETURNING id

-- name: update_incident
UPDATE incidents SET
    state = %(state)s, level = %(level)s, priority = %(priority)s, priority_by = %(priority_by)s, grade = %(grade)s,
    score = %(score)s, parts = %(parts)s, sure = %(sure)s, started_at = %(started_at)s,
    clear_since = %(clear_since)s, closed_at = %(closed_at)s, acknowledged_at = %(acknowledged_at)s,
    acknowledged_by = %(acknowledged_by)s, lon = %(lon)s, lat = %(lat)s, zone = %(zone)s, area = %(area)s,
    asset = %(asset)s, provenance = %(provenance)s, causes = %(causes)s, explanation = %(explanation)s,
    consequences = %(consequences)s, cases = %(cases)s, merged_into = %(merged_into)s, parent = %(parent)s,
    apart = %(apart)s, version = version + 1, changed_at = %(now)s
WHERE id = %(id)s
RETURNING version

-- name: join_evidence
INSERT INTO incident_evidence (incident, fact, evidence, what, joined_at)
SELECT incident, fact, evidence, what, %(now)s FROM jsonb_to_recordset(%(rows)s::jsonb) AS r(
    incident text, fact text, evidence text, what text)

-- name: leave_evidence
UPDATE incident_evidence SET left_at = %(now)s
WHERE incident = %(incident)s AND fact = ANY(%(facts)s) AND left_at IS NULL

-- name: mark_alerts
-- The incident that alerts belong to; one that belongs to another live incident keeps it.
UPDATE alerts SET incident = %(incident)s, changed_at = %(now)s
WHERE id = ANY(%(facts)s) AND (incident IS NULL OR incident = ANY(%(instead)s))

-- name: unmark_alerts
UPDATE alerts SET incident = NULL, changed_at = %(now)s WHERE id = ANY(%(facts)s) AND incident = %(incident)s

-- name: log_incident
INSERT INTO incident_log (incident, at, action, actor, before, after, fields)
VALUES (%(incident)s, %(at)s, %(action)s, %(actor)s, %(before)s, %(after)s, %(fields)s)

-- name: incidents_to_resolve
-- Nothing has stood for long enough, and no case is open.
SELECT id FROM incidents
WHERE state IN ('open', 'confirmed') AND clear_since <= %(before)s AND cases = '[]'::jsonb
ORDER BY id

-- name: insert_report
INSERT INTO reports (id, kind, at, ends_at, words, source, by, lon, lat, asset, zone, area, provenance, created_at)
VALUES (%(id)s, %(kind)s, %(at)s, %(ends_at)s, %(words)s, %(source)s, %(by)s, %(lon)s, %(lat)s, %(asset)s, %(zone)s,
        %(area)s, %(provenance)s, %(now)s)
ON CONFLICT (id) DO NOTHING
RETURNING id

-- name: get_alert
SELECT * FROM alerts WHERE id = %(id)s

-- name: get_alert_as_of
SELECT was.* FROM alerts a
JOIN alert_versions v ON v.alert = a.id CROSS JOIN jsonb_populate_record(a, v.row) was
WHERE a.id = %(id)s AND v.at <= %(as_of)s ORDER BY v.at DESC LIMIT 1

-- name: list_alerts
-- Newest first, as they stand or stood at a moment; every filter may be empty.
SELECT was.* FROM alerts a
LEFT JOIN LATERAL (
    SELECT row FROM alert_versions WHERE alert = a.id AND at <= %(as_of)s ORDER BY at DESC LIMIT 1
) v ON %(as_of)s::timestamptz IS NOT NULL
CROSS JOIN jsonb_populate_record(a, coalesce(v.row, '{}')) was
WHERE (%(as_of)s::timestamptz IS NULL OR (a.recorded_at <= %(as_of)s AND v.row IS NOT NULL))
  AND (%(before_at)s::timestamptz IS NULL OR (a.recorded_at, a.id) < (%(before_at)s, %(before_id)s))
  AND (%(domains)s::text[] IS NULL OR a.domain = ANY(%(domains)s))
  AND (%(levels)s::integer[] IS NULL OR a.level = ANY(%(levels)s))
  AND (%(states)s::text[] IS NULL OR was.state = ANY(%(states)s))
  AND (%(classes)s::text[] IS NULL OR a.class = ANY(%(classes)s))
  AND (%(provenances)s::text[] IS NULL OR a.provenance = ANY(%(provenances)s))
  AND (%(rule)s::text IS NULL OR a.rule = %(rule)s)
  AND (%(device)s::text IS NULL OR a.device = %(device)s)
  AND (%(incident)s::text IS NULL OR was.incident = %(incident)s)
  AND (%(from)s::timestamptz IS NULL OR was.onset >= %(from)s)
  AND (%(to)s::timestamptz IS NULL OR was.onset < %(to)s)
  AND (%(west)s::float8 IS NULL OR (a.lon BETWEEN %(west)s AND %(east)s AND a.lat BETWEEN %(south)s AND %(north)s))
ORDER BY a.recorded_at DESC, a.id DESC LIMIT %(limit)s

-- name: live_alerts
-- What a screen starts from: everything that has not ended.
SELECT * FROM alerts WHERE state <> 'normal' ORDER BY onset DESC, id LIMIT %(limit)s

-- name: alert_timeline
-- Up to a moment, when one is given.
SELECT at, action, actor, before, after, fields FROM alert_log
WHERE alert = %(id)s AND (%(as_of)s::timestamptz IS NULL OR at <= %(as_of)s) ORDER BY id

-- name: count_alerts_since
SELECT count(*) AS n FROM alerts WHERE recorded_at >= %(since)s

-- name: count_incidents_since
SELECT count(*) AS n FROM incidents WHERE opened_at >= %(since)s

-- name: get_incident
SELECT * FROM incidents WHERE id = %(id)s OR number = %(id)s

-- name: get_incident_as_of
SELECT * FROM incidents_as_of(%(as_of)s) WHERE id = %(id)s OR number = %(id)s

-- name: list_incidents
-- Newest first, as they stand or stood at a moment; every filter may be empty.
SELECT * FROM incidents_as_of(%(as_of)s)
WHERE (%(before_at)s::timestamptz IS NULL OR (opened_at, id) < (%(before_at)s, %(before_id)s))
  AND (%(domains)s::text[] IS NULL OR domain = ANY(%(domains)s))
  AND (%(types)s::text[] IS NULL OR type = ANY(%(types)s))
  AND (%(levels)s::integer[] IS NULL OR level = ANY(%(levels)s))
  AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
  AND (%(provenances)s::text[] IS NULL OR provenance = ANY(%(provenances)s))
  AND (%(from)s::timestamptz IS NULL OR opened_at >= %(from)s)
  AND (%(to)s::timestamptz IS NULL OR opened_at < %(to)s)
  AND (%(west)s::float8 IS NULL OR (lon BETWEEN %(west)s AND %(east)s AND lat BETWEEN %(south)s AND %(north)s))
ORDER BY opened_at DESC, id DESC LIMIT %(limit)s

-- name: snapshot_incidents
-- What a screen starts from: live ones, and those that ended lately.
SELECT * FROM incidents WHERE state IN ('open', 'confirmed') OR closed_at > %(since)s
ORDER BY opened_at DESC, id LIMIT %(limit)s

-- name: incident_facts
SELECT e.fact, e.evidence, e.what, e.joined_at, e.left_at,
       a.rule, a.level, a.state, a.standing, a.device, a.channel, a.onset, a.returned_at, a.value, a.limit_value,
       a.peak, a.lon, a.lat, a.provenance, r.kind AS report_kind, r.words, r.at AS report_at, r.by AS report_by
FROM incident_evidence e
LEFT JOIN alerts a ON a.id = e.fact
LEFT JOIN reports r ON r.id = e.fact
WHERE e.incident = %(id)s
ORDER BY coalesce(a.onset, r.at, e.joined_at), e.fact

-- name: incident_facts_as_of
-- What was thought to be evidence at a moment, with what was known of it then.
SELECT e.fact, e.evidence, e.what, e.joined_at,
       a.rule, a.level, a.state, a.standing, a.device, a.channel, a.onset, a.returned_at, a.value, a.limit_value,
       a.peak, a.lon, a.lat, a.provenance, r.kind AS report_kind, r.words, r.at AS report_at, r.by AS report_by
FROM incident_evidence e
LEFT JOIN LATERAL (
    SELECT was.* FROM alerts f JOIN alert_versions v ON v.alert = f.id CROSS JOIN jsonb_populate_record(f, v.row) was
    WHERE f.id = e.fact AND v.at <= %(as_of)s ORDER BY v.at DESC LIMIT 1) a ON true
LEFT JOIN reports r ON r.id = e.fact
WHERE e.incident = %(id)s AND e.joined_at <= %(as_of)s AND (e.left_at IS NULL OR e.left_at > %(as_of)s)
ORDER BY coalesce(a.onset, r.at, e.joined_at), e.fact

-- name: incident_timeline
-- Up to a moment, when one is given.
SELECT at, action, actor, before, after, fields FROM incident_log
WHERE incident = %(id)s AND (%(as_of)s::timestamptz IS NULL OR at <= %(as_of)s) ORDER BY id

-- name: alerts_of_span
-- What was written down in a span, and what stood in it from before; `asked`: it asked somebody, and belongs to no
-- incident.
SELECT rule, subject, level, raised_at, returned_at, recorded_at, recorded_at < %(from)s AS before,
       asks AND incident IS NULL AND NOT backdated AND recorded_at >= %(from)s AS asked
FROM alerts WHERE recorded_at < %(to)s AND NOT withdrawn
  AND (recorded_at >= %(from)s OR returned_at IS NULL OR returned_at > %(from)s) ORDER BY recorded_at, id

-- name: incidents_of_span
SELECT type, opened_at, NOT backdated AS asked FROM incidents
WHERE opened_at >= %(from)s AND opened_at < %(to)s AND state <> 'merged' ORDER BY opened_at, id

-- name: live_incident_ids
SELECT id FROM incidents WHERE state IN ('open', 'confirmed') ORDER BY opened_at

-- name: endangering
-- Live incidents of some types, each with the devices whose alerts speak for it.
SELECT i.id, i.type, i.lon, i.lat, i.asset, i.sure, i.provenance,
       coalesce(array_agg(DISTINCT a.device) FILTER (WHERE a.device <> ''), '{}') AS devices
FROM incidents i
LEFT JOIN incident_evidence e ON e.incident = i.id AND e.left_at IS NULL
LEFT JOIN alerts a ON a.id = e.fact
WHERE i.state IN ('open', 'confirmed') AND i.type = ANY(%(types)s)
GROUP BY i.id ORDER BY i.id

-- name: put_trial
INSERT INTO rule_trials (rule, yaml, base, begins, ends, before, after, by, at)
VALUES (%(rule)s, %(yaml)s, %(base)s, %(begins)s, %(ends)s, %(before)s, %(after)s, %(by)s, %(at)s)
RETURNING id

-- name: trial
SELECT id, rule, yaml, base FROM rule_trials WHERE id = %(id)s

-- name: put_edited
INSERT INTO edited_rules (rule, yaml, trial, by, by_name, reason, at)
VALUES (%(rule)s, %(yaml)s, %(trial)s, %(by)s, %(by_name)s, %(reason)s, %(at)s)

-- name: edited_rules
-- The newest text of every rule that was edited.
SELECT DISTINCT ON (rule) rule, yaml FROM edited_rules ORDER BY rule, id DESC

-- name: versions_of_rule
SELECT v.id, v.yaml, v.by_name, v.reason, v.at, t.begins, t.ends, t.before, t.after
FROM edited_rules v JOIN rule_trials t ON t.id = v.trial
WHERE v.rule = %(rule)s ORDER BY v.id DESC LIMIT 50

-- name: prune_versions
-- What incidents and alerts were long ago; what they are now stays.
WITH gone AS (DELETE FROM alert_versions v USING alerts a WHERE a.id = v.alert AND v.at < a.changed_at
              AND v.at < %(before)s)
DELETE FROM incident_versions v USING incidents i
WHERE i.id = v.incident AND v.version < i.version AND v.at < %(before)s

-- name: verdicts
-- What people said that alarms of these rules were, each time: to their incident, or in a report from the place.
SELECT coalesce(a.incident, a.id) AS key, a.incident, a.rule, a.recorded_at AS shown_at, a.provenance, t.at, t.real
FROM alerts a
CROSS JOIN LATERAL (
    SELECT l.at, l.action = 'confirm' AS real FROM incident_log l
    WHERE l.incident = a.incident AND l.action IN ('confirm', 'dismiss')
    UNION ALL
    SELECT r.at, r.kind <> 'report.false_alarm' FROM reports r
    WHERE a.asset <> '' AND r.asset = a.asset
      AND r.kind IN ('report.fire_confirmed', 'report.smoke_seen', 'report.false_alarm')
      AND r.at BETWEEN a.recorded_at - interval '5 minutes' AND a.recorded_at + interval '30 minutes'
) t
WHERE a.rule = ANY(%(rules)s) AND a.raised_at >= %(since)s
ORDER BY t.at

-- name: reports_since
SELECT kind, at, lon, lat, provenance FROM reports
WHERE at >= %(since)s AND at <= %(now)s AND kind LIKE 'report.%%' ORDER BY at
