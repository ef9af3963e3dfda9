-- name: lock_case
-- The row of a case, held to the end of the transaction: two actions on one case follow each other.
SELECT * FROM cases WHERE id = %(id)s FOR UPDATE

-- name: find_case
SELECT * FROM cases WHERE id = %(id)s OR number = %(id)s

-- name: parts_of
SELECT * FROM case_parts WHERE case_id = ANY(%(ids)s) ORDER BY case_id, lead DESC, department

-- name: applications_of
SELECT * FROM case_applications WHERE case_id = ANY(%(ids)s) ORDER BY case_id, id

-- name: insert_case
-- A case under its natural id; no row comes back when it exists already.
INSERT INTO cases (id, number, code, source, state, incident, incident_type, domain, title, priority, level, provenance,
    drill, plan, lon, lat, place, area, limits, times, since, created_at, changed_at)
VALUES (%(id)s, %(number)s, %(code)s, %(source)s, %(state)s, %(incident)s, %(incident_type)s, %(domain)s, %(title)s,
    %(priority)s, %(level)s, %(provenance)s, %(drill)s, %(plan)s, %(lon)s, %(lat)s, %(place)s, %(area)s, %(limits)s,
    %(times)s, %(now)s, %(now)s, %(now)s)
ON CONFLICT (id) DO NOTHING RETURNING id

-- name: update_case
UPDATE cases SET state = %(state)s, since = %(since)s, code = %(code)s, incident = %(incident)s, priority = %(priority)s, level = %(level)s,
    limits = %(limits)s, verified = %(verified)s, checked = %(checked)s, claimed_by = %(claimed_by)s,
    claimed_us = %(claimed_us)s, dispatchers = %(dispatchers)s, times = %(times)s, returns = %(returns)s,
    reworks = %(reworks)s, extensions = %(extensions)s, suspensions = %(suspensions)s, supervised = %(supervised)s,
    forced = %(forced)s, exempt = %(exempt)s, ruled = %(ruled)s, satisfied = %(satisfied)s, overruled = %(overruled)s,
    closed_at = %(closed_at)s, changed_at = %(now)s
WHERE id = %(id)s

-- name: delete_parts
DELETE FROM case_parts WHERE case_id = %(id)s

-- name: insert_part
INSERT INTO case_parts (case_id, department, lead, attempt, limits, from_at, left_us, stopped_at, due_at, yellow_at,
    accepted_at, finished_at, late)
VALUES (%(case_id)s, %(department)s, %(lead)s, %(attempt)s, %(limits)s, %(from_at)s, %(left_us)s, %(stopped_at)s,
    %(due_at)s, %(yellow_at)s, %(accepted_at)s, %(finished_at)s, %(late)s)

-- name: upsert_application
INSERT INTO case_applications (case_id, id, kind, department, by, at, reason, amount, granted, approvals, decided_at, answer)
VALUES (%(case_id)s, %(id)s, %(kind)s, %(department)s, %(by)s, %(at)s, %(reason)s, %(amount)s, %(granted)s,
    %(approvals)s, %(decided_at)s, %(answer)s)
ON CONFLICT (case_id, id) DO UPDATE SET granted = excluded.granted, approvals = excluded.approvals,
    decided_at = excluded.decided_at, answer = excluded.answer

-- name: log_case
INSERT INTO case_log (case_id, at, by, action, before, after, reason, detail)
VALUES (%(id)s, %(at)s, %(by)s, %(action)s, %(before)s, %(after)s, %(reason)s, %(detail)s)

-- name: case_log
SELECT at, by, action, before, after, reason, detail FROM case_log WHERE case_id = %(id)s ORDER BY id

-- name: list_cases
-- Newest first; every filter may be null.
SELECT c.* FROM cases c
WHERE (%(state)s::text[] IS NULL OR c.state = ANY(%(state)s))
  AND (%(domain)s::text IS NULL OR c.domain = %(domain)s)
  AND (%(level)s::integer[] IS NULL OR c.level = ANY(%(level)s))
  AND (%(provenance)s::text IS NULL OR c.provenance = %(provenance)s)
  AND (%(incident)s::text IS NULL OR c.incident = %(incident)s)
  AND (%(areas)s::text[] IS NULL OR c.area = ANY(%(areas)s))
  AND (%(departments)s::text[] IS NULL OR EXISTS (
        SELECT 1 FROM case_parts p WHERE p.case_id = c.id AND p.department = ANY(%(departments)s)))
  AND (%(from)s::timestamptz IS NULL OR c.created_at >= %(from)s)
  AND (%(to)s::timestamptz IS NULL OR c.created_at < %(to)s)
  AND (%(west)s::float8 IS NULL OR (c.lon BETWEEN %(west)s AND %(east)s AND c.lat BETWEEN %(south)s AND %(north)s))
  AND (%(before)s::timestamptz IS NULL OR (c.created_at, c.id) < (%(before)s, %(before_id)s))
ORDER BY c.created_at DESC, c.id DESC LIMIT %(limit)s

-- name: open_cases
-- What stands, and what was closed a moment ago, for screens.
SELECT * FROM cases
WHERE (%(ids)s::text[] IS NULL OR id = ANY(%(ids)s))
  AND (state NOT IN ('closed', 'refused', 'void') OR changed_at > %(changed_after)s)
ORDER BY created_at DESC LIMIT %(limit)s

-- name: cases_of_incident
SELECT * FROM cases WHERE incident = %(incident)s ORDER BY created_at, id

-- name: checking_cases
-- Cases whose observation runs.
SELECT id FROM cases WHERE state = 'checking' ORDER BY id

-- name: cases_for_crews
-- Cases that a department has in hand, the important ones first.
SELECT * FROM cases WHERE state IN ('dispatched', 'handling') ORDER BY priority, created_at, id LIMIT %(limit)s

-- name: demand_cells
-- Where cases were lately, in cells of a grid: what is to be expected. Drills are no demand.
SELECT (floor(lon / %(cell)s) + 0.5) * %(cell)s AS lon, (floor(lat / %(cell)s) + 0.5) * %(cell)s AS lat,
       count(*)::integer AS n
FROM cases WHERE created_at >= %(since)s AND NOT drill AND state NOT IN ('refused', 'void')
GROUP BY 1, 2 ORDER BY n DESC, 1, 2 LIMIT %(limit)s

-- name: take_number
INSERT INTO number_series (prefix, day, last) VALUES (%(prefix)s, %(day)s, 1)
ON CONFLICT (prefix, day) DO UPDATE SET last = number_series.last + 1
RETURNING last

-- name: lock_order
SELECT * FROM orders WHERE id = %(id)s FOR UPDATE

-- name: find_order
SELECT * FROM orders WHERE id = %(id)s OR number = %(id)s

-- name: insert_order
INSERT INTO orders (id, number, case_id, incident, crew, department, task, attempt, state, priority, level, provenance,
    lon, lat, place, created_at, proposed_by, arrive_by, travel_s, why, times, changed_at)
VALUES (%(id)s, %(number)s, %(case_id)s, %(incident)s, %(crew)s, %(department)s, %(task)s, %(attempt)s, %(state)s,
    %(priority)s, %(level)s, %(provenance)s, %(lon)s, %(lat)s, %(place)s, %(now)s, %(proposed_by)s, %(arrive_by)s, %(travel_s)s,
    %(why)s, %(times)s, %(now)s)

-- name: update_order
UPDATE orders SET state = %(state)s, times = %(times)s, support = %(support)s, overruled = %(overruled)s,
    sent_by = CASE WHEN %(sent_by)s = '' THEN sent_by ELSE %(sent_by)s END, changed_at = %(now)s
WHERE id = %(id)s

-- name: log_order
INSERT INTO order_log (order_id, at, by, action, before, after, reason, detail)
VALUES (%(id)s, %(at)s, %(by)s, %(action)s, %(before)s, %(after)s, %(reason)s, %(detail)s)

-- name: order_log
SELECT at, by, action, before, after, reason, detail FROM order_log WHERE order_id = %(id)s ORDER BY id

-- name: list_orders
SELECT o.* FROM orders o
WHERE (%(state)s::text[] IS NULL OR o.state = ANY(%(state)s))
  AND (%(crew)s::text IS NULL OR o.crew = %(crew)s)
  AND (%(case_id)s::text IS NULL OR o.case_id = %(case_id)s)
  AND (%(level)s::integer[] IS NULL OR o.level = ANY(%(level)s))
  AND (%(provenance)s::text IS NULL OR o.provenance = %(provenance)s)
  AND (%(departments)s::text[] IS NULL OR o.department = ANY(%(departments)s))
  AND (%(from)s::timestamptz IS NULL OR o.created_at >= %(from)s)
  AND (%(to)s::timestamptz IS NULL OR o.created_at < %(to)s)
  AND (%(before)s::timestamptz IS NULL OR (o.created_at, o.id) < (%(before)s, %(before_id)s))
ORDER BY o.created_at DESC, o.id DESC LIMIT %(limit)s

-- name: open_orders
SELECT * FROM orders
WHERE (%(ids)s::text[] IS NULL OR id = ANY(%(ids)s))
  AND (state IN ('proposed', 'sent', 'accepted', 'en_route', 'arrived', 'handling') OR changed_at > %(changed_after)s)
ORDER BY created_at DESC LIMIT %(limit)s

-- name: orders_of_case
SELECT * FROM orders WHERE case_id = ANY(%(ids)s) ORDER BY case_id, created_at, attempt, id

-- name: automatic_orders_since
-- How many orders our own rules sent since a moment: what the cap counts.
SELECT count(*)::integer AS n FROM orders WHERE sent_by = %(by)s AND (times ->> 'sent')::bigint >= %(since_us)s

-- name: all_crews
-- Crews with what binds them: the live order, and when the last one ended.
SELECT c.*, o.id AS order_id, o.state AS order_state, o.case_id AS order_case,
       (SELECT max(changed_at) FROM orders d WHERE d.crew = c.id AND d.state = 'finished') AS finished_at,
       (SELECT count(*)::integer FROM orders d WHERE d.crew = c.id AND d.created_at > c.duty_since
            AND d.state <> 'recalled') AS orders_this_duty
FROM crews c
LEFT JOIN orders o ON o.crew = c.id AND o.state IN ('sent', 'accepted', 'en_route', 'arrived', 'handling')
WHERE (%(id)s::text IS NULL OR c.id = %(id)s)
  AND (%(provenance)s::text IS NULL OR (c.provenance = 'drill') = (%(provenance)s = 'drill'))
ORDER BY c.id

-- name: copy_crews_for_drill
-- Shadows of the crews that are on duty: the real ones are never touched by a drill.
INSERT INTO crews (id, name_zh, name_en, department, kind, skills, equipment, members, area, depot_lon, depot_lat, duty,
    duty_since, lon, lat, position_at, provenance, changed_at)
SELECT %(prefix)s || id, name_zh, name_en, department, kind, skills, equipment, members, area, depot_lon, depot_lat, duty,
    duty_since, lon, lat, position_at, 'drill', %(now)s
FROM crews WHERE provenance <> 'drill' AND duty = 'on'
ON CONFLICT (id) DO NOTHING

-- name: end_drill_crews
UPDATE crews SET duty = 'off', changed_at = %(now)s WHERE id LIKE %(prefix)s || '%%' AND provenance = 'drill'

-- name: upsert_crew
INSERT INTO crews (id, name_zh, name_en, department, kind, skills, equipment, members, area, depot_lon, depot_lat, duty,
    duty_since, lon, lat, position_at, provenance, phone, changed_at)
VALUES (%(id)s, %(name_zh)s, %(name_en)s, %(department)s, %(kind)s, %(skills)s, %(equipment)s, %(members)s, %(area)s,
    %(depot_lon)s, %(depot_lat)s, %(duty)s, %(now)s, %(lon)s, %(lat)s, %(position_at)s, %(provenance)s, %(phone)s, %(now)s)
ON CONFLICT (id) DO UPDATE SET
    name_zh = excluded.name_zh, name_en = excluded.name_en, department = excluded.department, kind = excluded.kind,
    skills = excluded.skills, equipment = excluded.equipment, members = excluded.members, area = excluded.area,
    depot_lon = excluded.depot_lon, depot_lat = excluded.depot_lat, provenance = excluded.provenance,
    phone = excluded.phone, changed_at = excluded.changed_at,
    duty_since = CASE WHEN crews.duty = excluded.duty THEN crews.duty_since ELSE excluded.duty_since END,
    duty = excluded.duty

-- name: set_duty
UPDATE crews SET duty = %(duty)s, duty_since = %(now)s, changed_at = %(now)s WHERE id = %(id)s AND duty <> %(duty)s

-- name: move_crew
-- A newer position wins; an older one that arrives late changes nothing.
UPDATE crews SET lon = %(lon)s, lat = %(lat)s, position_at = %(at)s, changed_at = %(now)s
WHERE id = %(id)s AND (position_at IS NULL OR position_at <= %(at)s)

-- name: upsert_department
INSERT INTO departments (id, name_zh, name_en, kind, phone, changed_at)
VALUES (%(id)s, %(name_zh)s, %(name_en)s, %(kind)s, %(phone)s, %(now)s)
ON CONFLICT (id) DO UPDATE SET name_zh = excluded.name_zh, name_en = excluded.name_en, kind = excluded.kind,
    phone = excluded.phone, changed_at = excluded.changed_at

-- name: all_departments
SELECT id, name_zh, name_en, kind, phone FROM departments ORDER BY id

-- name: upsert_duty
INSERT INTO duty_list (code, area, lead, assisting, fallback, changed_at)
VALUES (%(code)s, %(area)s, %(lead)s, %(assisting)s, %(fallback)s, %(now)s)
ON CONFLICT (code, area) DO UPDATE SET lead = excluded.lead, assisting = excluded.assisting,
    fallback = excluded.fallback, changed_at = excluded.changed_at

-- name: duty_rows
SELECT code, area, lead, assisting, fallback FROM duty_list ORDER BY code, area

-- name: find_duty
-- The row that fits closest: this code here, this code anywhere, any code here, any code anywhere.
SELECT code, area, lead, assisting, fallback FROM duty_list
WHERE code IN (%(code)s, '') AND area IN (%(area)s, '')
ORDER BY code = '', area = '' LIMIT 1

-- name: put_message
-- A message that must leave. The key is its identity: the same message is written once.
INSERT INTO outbox (key, channel, receiver, subject, subject_id, payload, provenance, created_at, next_at)
VALUES (%(key)s, %(channel)s, %(receiver)s, %(subject)s, %(subject_id)s, %(payload)s, %(provenance)s, %(now)s, %(now)s)
ON CONFLICT (key) DO NOTHING

-- name: due_messages
-- The oldest due message of each receiver: one in flight a receiver, so that a kill repeats at most one.
SELECT DISTINCT ON (channel, receiver) id, key, channel, receiver, subject, subject_id, payload, provenance, failures, created_at
FROM outbox WHERE state = 'queued' AND next_at <= %(now)s ORDER BY channel, receiver, next_at, id

-- name: delivered
UPDATE outbox SET state = 'delivered', done_at = %(now)s, tries = tries + 1, error = '' WHERE id = %(id)s

-- name: try_later
UPDATE outbox SET next_at = %(next)s, tries = tries + 1, failures = failures + %(answered)s, held = false,
    error = %(error)s WHERE id = %(id)s

-- name: park
UPDATE outbox SET state = %(state)s, done_at = %(now)s, tries = tries + 1, error = %(error)s WHERE id = %(id)s

-- name: hold_receiver
-- A receiver that is away gets one probe, not a queue of them: its other messages wait for the same moment.
UPDATE outbox SET next_at = greatest(next_at, %(next)s), held = true
WHERE state = 'queued' AND channel = %(channel)s AND receiver = %(receiver)s AND id <> %(id)s

-- name: wake_receiver
-- The receiver takes messages again: what waited only for it goes now.
UPDATE outbox SET next_at = %(now)s, held = false
WHERE state = 'queued' AND channel = %(channel)s AND receiver = %(receiver)s AND (held OR failures = 0)

-- name: list_outbox
SELECT id, key, channel, receiver, subject, subject_id, provenance, state, tries, failures, created_at,
       next_at, done_at, error
FROM outbox WHERE (%(state)s::text IS NULL OR state = %(state)s) AND (%(before)s::bigint IS NULL OR id < %(before)s)
ORDER BY id DESC LIMIT %(limit)s

-- name: send_again
-- A parked message goes back into the queue by a person's wish.
UPDATE outbox SET state = 'queued', tries = 0, failures = 0, next_at = %(now)s, done_at = NULL WHERE id = %(id)s AND state = 'parked'
RETURNING id

-- name: outbox_state
SELECT state, count(*)::integer AS n, min(created_at) AS oldest FROM outbox GROUP BY state

-- name: put_inbox
INSERT INTO inbox (key, at, receiver, message, subject, subject_id, level)
VALUES (%(key)s, %(now)s, %(receiver)s, %(message)s, %(subject)s, %(subject_id)s, %(level)s)
ON CONFLICT (key) DO NOTHING RETURNING id

-- name: read_inbox
SELECT id, at, receiver, message, subject, subject_id, level, read_at, read_by FROM inbox
WHERE receiver = ANY(%(receivers)s) AND (%(before)s::bigint IS NULL OR id < %(before)s)
ORDER BY id DESC LIMIT %(limit)s

-- name: mark_read
UPDATE inbox SET read_at = %(now)s, read_by = %(by)s
WHERE id = %(id)s AND receiver = ANY(%(receivers)s) AND read_at IS NULL

-- name: set_deadline
-- A deadline that did not move keeps its state; one that moved may fire again.
INSERT INTO deadlines (subject, subject_id, kind, due_at) VALUES (%(subject)s, %(id)s, %(kind)s, %(due)s)
ON CONFLICT (subject, subject_id, kind) DO UPDATE SET due_at = excluded.due_at, fired_at = NULL
WHERE deadlines.due_at <> excluded.due_at

-- name: drop_deadlines
-- Those that are no longer meant; what fired stays as a record.
DELETE FROM deadlines
WHERE subject = %(subject)s AND subject_id = %(id)s AND fired_at IS NULL AND kind <> ALL(%(keep)s)

-- name: next_due
-- The earliest deadline that has come.
SELECT subject, subject_id, kind, due_at FROM deadlines
WHERE fired_at IS NULL AND due_at <= %(now)s ORDER BY due_at, subject, subject_id, kind LIMIT 1

-- name: take_due
-- A deadline that still stands is taken for good in this transaction.
UPDATE deadlines SET fired_at = %(now)s
WHERE subject = %(subject)s AND subject_id = %(id)s AND kind = %(kind)s AND fired_at IS NULL AND due_at <= %(now)s

-- name: postpone_deadline
UPDATE deadlines SET due_at = %(due)s
WHERE subject = %(subject)s AND subject_id = %(id)s AND kind = %(kind)s AND fired_at IS NULL

-- name: deadlines_of
SELECT kind, due_at, fired_at FROM deadlines WHERE subject = %(subject)s AND subject_id = %(id)s ORDER BY due_at

-- name: reader_cursor
SELECT cursor FROM dispatch_readers WHERE name = %(name)s

-- name: move_reader
INSERT INTO dispatch_readers (name, cursor) VALUES (%(name)s, %(cursor)s)
ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor

-- name: switch
SELECT name, on_, by, at, reason FROM dispatch_switches WHERE name = %(name)s

-- name: set_switch
INSERT INTO dispatch_switches (name, on_, by, at, reason) VALUES (%(name)s, %(on)s, %(by)s, %(now)s, %(reason)s)
ON CONFLICT (name) DO UPDATE SET on_ = excluded.on_, by = excluded.by, at = excluded.at, reason = excluded.reason

-- name: deadlines_of_many
SELECT subject_id, kind, due_at FROM deadlines WHERE subject = %(subject)s AND subject_id = ANY(%(ids)s)

-- name: forces
SELECT kind, count(*)::integer AS total, count(*) FILTER (WHERE o.id IS NULL)::integer AS free,
       count(o.id)::integer AS busy
FROM crews c
LEFT JOIN orders o ON o.crew = c.id AND o.state IN ('sent', 'accepted', 'en_route', 'arrived', 'handling')
WHERE c.duty = 'on' AND c.provenance <> 'drill' GROUP BY kind ORDER BY kind

-- name: kpis
-- Numbers of the city's day so far. Should be handled = handled today, or due today and not yet handled.
SELECT (SELECT count(*)::integer FROM cases WHERE created_at >= %(since)s AND provenance = ANY(%(provenances)s))
           AS accepted_today,
       (SELECT count(*)::integer FROM cases
        WHERE state IN ('registered', 'dispatched', 'handling', 'fed_back', 'checking', 'suspended')
          AND provenance = ANY(%(provenances)s)) AS open,
       (SELECT count(*)::integer FROM case_parts p JOIN cases c ON c.id = p.case_id
        WHERE p.lead AND c.state <> 'void' AND c.provenance = ANY(%(provenances)s)
          AND p.finished_at >= %(since)s AND NOT p.late) AS handled_in_time,
       (SELECT count(*)::integer FROM case_parts p JOIN cases c ON c.id = p.case_id
        WHERE p.lead AND c.state <> 'void' AND c.provenance = ANY(%(provenances)s)
          AND (p.finished_at >= %(since)s
               OR (p.finished_at IS NULL AND p.stopped_at IS NULL AND p.due_at < %(now)s))) AS should_be_handled,
       (SELECT array_agg(((o.times ->> 'arrived')::bigint - (o.times ->> 'sent')::bigint) / 1000000.0)
        FROM orders o WHERE o.created_at >= %(since)s AND o.times ? 'arrived' AND o.times ? 'sent'
          AND o.provenance = ANY(%(provenances)s)) AS arrivals_s

-- name: places_of_plans
-- Where open cases under these plans are.
SELECT lon, lat, plan, incident FROM cases
WHERE plan = ANY(%(plans)s) AND state IN ('registered', 'dispatched', 'handling', 'suspended')

-- name: insert_run
-- A running plan; no row comes back when this plan runs for this incident already.
INSERT INTO plan_runs (id, number, plan, incident, case_id, state, provenance, started_by, started_at, tasks, changed_at)
VALUES (%(id)s, %(number)s, %(plan)s, %(incident)s, %(case_id)s, 'running', %(provenance)s, %(by)s, %(now)s, %(tasks)s, %(now)s)
ON CONFLICT DO NOTHING RETURNING id

-- name: lock_run
SELECT * FROM plan_runs WHERE id = %(id)s FOR UPDATE

-- name: find_run
SELECT * FROM plan_runs WHERE id = %(id)s OR number = %(id)s

-- name: update_run
UPDATE plan_runs SET state = %(state)s, response = %(response)s, proposed = %(proposed)s, ended_at = %(ended_at)s,
    facts = %(facts)s, told = %(told)s, tasks = %(tasks)s, changed_at = %(now)s
WHERE id = %(id)s

-- name: log_run
INSERT INTO plan_log (run, at, by, action, before, after, reason, detail)
VALUES (%(id)s, %(at)s, %(by)s, %(action)s, %(before)s, %(after)s, %(reason)s, %(detail)s)

-- name: run_log
SELECT at, by, action, before, after, reason, detail FROM plan_log WHERE run = %(id)s ORDER BY id

-- name: running_runs
SELECT id FROM plan_runs WHERE state = 'running' ORDER BY started_at, id

-- name: list_runs
SELECT * FROM plan_runs
WHERE (%(state)s::text[] IS NULL OR state = ANY(%(state)s)) AND (%(incident)s::text IS NULL OR incident = %(incident)s)
  AND (%(before)s::timestamptz IS NULL OR (started_at, id) < (%(before)s, %(before_id)s))
ORDER BY started_at DESC, id DESC LIMIT %(limit)s

-- name: runs_of_case
SELECT * FROM plan_runs WHERE case_id = %(case_id)s AND state = 'running'

-- name: insert_paper
INSERT INTO papers (id, number, kind, state, title, body, issuer, receivers, level, provenance, incident, case_id, run,
    task, lon, lat, due_at, from_at, until_at, facts, times, supersedes, by, created_at, changed_at)
VALUES (%(id)s, %(number)s, %(kind)s, %(state)s, %(title)s, %(body)s, %(issuer)s, %(receivers)s, %(level)s,
    %(provenance)s, %(incident)s, %(case_id)s, %(run)s, %(task)s, %(lon)s, %(lat)s, %(due_at)s, %(from_at)s,
    %(until_at)s, %(facts)s, %(times)s, %(supersedes)s, %(by)s, %(now)s, %(now)s)
ON CONFLICT (id) DO NOTHING RETURNING id

-- name: lock_paper
SELECT * FROM papers WHERE id = %(id)s FOR UPDATE

-- name: find_paper
SELECT * FROM papers WHERE id = %(id)s OR number = %(id)s

-- name: update_paper
UPDATE papers SET state = %(state)s, body = %(body)s, level = %(level)s, until_at = %(until_at)s, facts = %(facts)s,
    times = %(times)s, changed_at = %(now)s
WHERE id = %(id)s

-- name: log_paper
INSERT INTO paper_log (paper, at, by, action, before, after, reason, detail)
VALUES (%(id)s, %(at)s, %(by)s, %(action)s, %(before)s, %(after)s, %(reason)s, %(detail)s)

-- name: paper_log
SELECT at, by, action, before, after, reason, detail FROM paper_log WHERE paper = %(id)s ORDER BY id

-- name: list_papers
SELECT * FROM papers
WHERE kind = %(kind)s AND (%(state)s::text[] IS NULL OR state = ANY(%(state)s))
  AND (%(incident)s::text IS NULL OR incident = %(incident)s)
  AND (%(receivers)s::text[] IS NULL OR receivers && %(receivers)s)
  AND (%(before)s::timestamptz IS NULL OR (created_at, id) < (%(before)s, %(before_id)s))
ORDER BY created_at DESC, id DESC LIMIT %(limit)s

-- name: papers_of_run
SELECT * FROM papers WHERE run = %(run)s ORDER BY created_at, id

-- name: in_force
SELECT * FROM papers
WHERE kind = %(kind)s AND state = 'in_force' AND (from_at IS NULL OR from_at <= %(now)s)
  AND (until_at IS NULL OR until_at > %(now)s)
ORDER BY level, created_at

-- name: insert_command
INSERT INTO commands (id, number, device, channel, value, state, reason, proposed_by, incident, run, task, provenance,
    times, created_at, changed_at)
VALUES (%(id)s, %(number)s, %(device)s, %(channel)s, %(value)s, 'proposed', %(reason)s, %(by)s, %(incident)s, %(run)s,
    %(task)s, %(provenance)s, %(times)s, %(now)s, %(now)s)
ON CONFLICT (id) DO NOTHING RETURNING id

-- name: lock_command
SELECT * FROM commands WHERE id = %(id)s FOR UPDATE

-- name: find_command
SELECT * FROM commands WHERE id = %(id)s OR number = %(id)s

-- name: update_command
UPDATE commands SET state = %(state)s, confirmed_by = %(confirmed_by)s, reply = %(reply)s, times = %(times)s,
    changed_at = %(now)s
WHERE id = %(id)s

-- name: log_command
INSERT INTO command_log (command, at, by, action, before, after, reason, detail)
VALUES (%(id)s, %(at)s, %(by)s, %(action)s, %(before)s, %(after)s, %(reason)s, %(detail)s)

-- name: list_commands
SELECT * FROM commands
WHERE (%(state)s::text[] IS NULL OR state = ANY(%(state)s))
  AND (%(before)s::timestamptz IS NULL OR (created_at, id) < (%(before)s, %(before_id)s))
ORDER BY created_at DESC, id DESC LIMIT %(limit)s

-- name: commands_of_run
SELECT * FROM commands WHERE run = %(run)s ORDER BY created_at, id

-- name: on_duty
-- Who has a duty at a moment, the first of the call-out chain first.
SELECT role, person, name, phone, rank, from_at, until_at FROM roster
WHERE from_at <= %(now)s AND until_at > %(now)s AND (%(role)s::text IS NULL OR role = %(role)s)
ORDER BY role, rank, id

-- name: list_roster
SELECT id, role, person, name, phone, rank, from_at, until_at FROM roster
WHERE until_at > %(from)s AND from_at < %(to)s ORDER BY from_at, role, rank

-- name: insert_roster
INSERT INTO roster (role, person, name, phone, rank, from_at, until_at)
VALUES (%(role)s, %(person)s, %(name)s, %(phone)s, %(rank)s, %(from_at)s, %(until_at)s) RETURNING id

-- name: delete_roster
DELETE FROM roster WHERE id = %(id)s

-- name: log_duty
INSERT INTO duty_log (at, by, kind, text) VALUES (%(now)s, %(by)s, %(kind)s, %(text)s) RETURNING id, at

-- name: duty_log
SELECT id, at, by, kind, text FROM duty_log WHERE (%(before)s::bigint IS NULL OR id < %(before)s)
ORDER BY id DESC LIMIT %(limit)s

-- name: contacts_of
SELECT receiver, channel, address FROM contacts WHERE receiver = ANY(%(receivers)s) AND level >= %(level)s
ORDER BY receiver, channel, address

-- name: put_contact
INSERT INTO contacts (receiver, channel, address, level) VALUES (%(receiver)s, %(channel)s, %(address)s, %(level)s)
ON CONFLICT (receiver, channel, address) DO UPDATE SET level = excluded.level

-- name: due_shifts
-- Crews whose duty is not what their shifts say now. A crew without any shift is left alone.
SELECT c.id, c.duty, EXISTS (SELECT 1 FROM crew_shifts s WHERE s.crew = c.id AND s.from_at <= %(now)s
                             AND s.until_at > %(now)s) AS wanted,
       EXISTS (SELECT 1 FROM orders o WHERE o.crew = c.id
               AND o.state IN ('sent', 'accepted', 'en_route', 'arrived', 'handling')) AS busy
FROM crews c WHERE EXISTS (SELECT 1 FROM crew_shifts s WHERE s.crew = c.id)

-- name: put_shift
INSERT INTO crew_shifts (crew, from_at, until_at) VALUES (%(crew)s, %(from_at)s, %(until_at)s)
ON CONFLICT (crew, from_at) DO UPDATE SET until_at = excluded.until_at

-- name: list_materials
SELECT id, name_zh, name_en, unit, depot, department, quantity, least, lon, lat, quantity < least AS short
FROM materials ORDER BY department, id

-- name: put_material
INSERT INTO materials (id, name_zh, name_en, unit, depot, department, quantity, least, lon, lat, changed_at)
VALUES (%(id)s, %(name_zh)s, %(name_en)s, %(unit)s, %(depot)s, %(department)s, %(quantity)s, %(least)s, %(lon)s, %(lat)s, %(now)s)
ON CONFLICT (id) DO UPDATE SET name_zh = excluded.name_zh, name_en = excluded.name_en, unit = excluded.unit,
    depot = excluded.depot, department = excluded.department, least = excluded.least, lon = excluded.lon,
    lat = excluded.lat, changed_at = excluded.changed_at

-- name: take_material
-- Takes from stock, or brings back; no row comes back when there is not enough.
UPDATE materials SET quantity = quantity + %(change)s, changed_at = %(now)s
WHERE id = %(id)s AND quantity + %(change)s >= 0 RETURNING quantity, least

-- name: log_material
INSERT INTO material_log (material, at, by, change, case_id, reason)
VALUES (%(id)s, %(now)s, %(by)s, %(change)s, %(case_id)s, %(reason)s)

-- name: aid_with
-- Neighbours with these skills, the nearest first.
SELECT id, name_zh, name_en, skills, phone, reach_s FROM mutual_aid WHERE skills @> %(skills)s ORDER BY reach_s, id

-- name: put_aid
INSERT INTO mutual_aid (id, name_zh, name_en, skills, phone, reach_s)
VALUES (%(id)s, %(name_zh)s, %(name_en)s, %(skills)s, %(phone)s, %(reach_s)s)
ON CONFLICT (id) DO UPDATE SET name_zh = excluded.name_zh, name_en = excluded.name_en, skills = excluded.skills,
    phone = excluded.phone, reach_s = excluded.reach_s

-- name: open_cases_by_type
SELECT incident_type, count(*)::integer AS n FROM cases
WHERE incident_type <> '' AND state NOT IN ('closed', 'refused', 'void') GROUP BY incident_type

-- name: set_plan
-- The plan that runs on a case decides about its crews and its sensors from now on.
UPDATE cases SET plan = %(plan)s WHERE id = %(id)s

-- name: similar_cases
-- Same code, near and young, the nearest first. Metres on a plane tangent at the place are right at this scale.
SELECT id, number, state, created_at, distance_m FROM (
    SELECT id, number, state, created_at, provenance,
           sqrt(((lon - %(lon)s) * cos(radians(%(lat)s)) * 111320.0) ^ 2 + ((lat - %(lat)s) * 110574.0) ^ 2) AS distance_m
    FROM cases WHERE code = %(code)s AND created_at > %(since)s AND id <> %(id)s AND state NOT IN ('refused', 'void')
) near
WHERE distance_m <= %(within_m)s AND (provenance = 'drill') = %(drill)s
ORDER BY distance_m LIMIT 20

-- name: set_similar
UPDATE cases SET similar_to = %(similar)s WHERE id = %(id)s

-- name: indicator_cases
-- Cases that a period [from, to) may say something about, with their lead's clock and who did what when.
SELECT c.id, c.number, c.area, c.source, c.code, c.state, c.level, c.provenance, c.created_at, c.closed_at, c.times,
       c.returns, c.reworks, c.extensions, c.suspensions, c.supervised, c.forced, c.exempt, c.satisfied,
       cardinality(c.similar_to) > 0 AS repeated,
       p.department AS lead, p.due_at, p.finished_at, p.stopped_at, coalesce(p.late, false) AS late, l.*
FROM cases c
LEFT JOIN case_parts p ON p.case_id = c.id AND p.lead
LEFT JOIN LATERAL (
    SELECT min(at) FILTER (WHERE action = 'verify' AND detail ? 'result') AS verified_at,
           min(at) FILTER (WHERE action = 'verify' AND NOT detail ? 'result') AS verify_asked_at,
           max(at) FILTER (WHERE action = 'check' AND detail ? 'result') AS checked_at,
           (array_agg(by ORDER BY id) FILTER (WHERE action = 'register'))[1] AS registered_by,
           (array_agg(by ORDER BY id) FILTER (WHERE action = 'dispatch'))[1] AS dispatched_by,
           (array_agg(by ORDER BY id DESC) FILTER (WHERE action = 'check' AND detail ? 'result'))[1] AS checked_by
    FROM case_log WHERE case_id = c.id
) l ON true
WHERE c.created_at < %(to)s AND (c.closed_at IS NULL OR c.closed_at >= %(from)s)
  AND (c.state NOT IN ('refused', 'void') OR c.created_at >= %(from)s)
  AND c.provenance = ANY(%(provenances)s)
  AND (%(departments)s::text[] IS NULL OR p.department = ANY(%(departments)s))
ORDER BY c.created_at, c.id

-- name: numbers_of
SELECT id, number, state, code, created_at, closed_at FROM cases WHERE id = ANY(%(ids)s) ORDER BY created_at, id

-- name: response_in_force
-- The highest response level of the plans that run, the oldest first.
SELECT plan, response, started_at, provenance FROM plan_runs WHERE state = 'running' AND response <> ''
ORDER BY array_position(ARRAY['I', 'II', 'III', 'IV'], response), started_at LIMIT 1

-- name: arrivals_since
-- Orders whose crew arrived, and how long that took from the moment the order went out.
SELECT o.provenance, o.priority, o.level, c.domain, (o.times ->> 'arrived')::bigint AS at_us,
       ((o.times ->> 'arrived')::bigint - (o.times ->> 'sent')::bigint) / 1000000.0::float8 AS took_s
FROM orders o JOIN cases c ON c.id = o.case_id
WHERE o.created_at >= %(since)s AND o.times ? 'arrived' AND o.times ? 'sent'

-- name: checked_since
-- Cases that were checked, and whether one check failed.
SELECT c.provenance, c.domain, c.reworks > 0 AS reworked, max(l.at) AS at
FROM case_log l JOIN cases c ON c.id = l.case_id
WHERE l.action = 'check' AND l.detail ? 'result' AND l.at >= %(since)s GROUP BY c.id

-- name: dispatched_since
-- Cases that went to a department, and whether one came back as wrongly sent.
SELECT provenance, domain, returns > 0 AS returned, (times ->> 'dispatched')::bigint AS at_us
FROM cases WHERE created_at >= %(since)s AND times ? 'dispatched' AND state <> 'void'

-- name: verified_since
-- What collectors found of cases that belong to an incident, in order.
SELECT c.incident, l.at, l.detail ->> 'result' = 'exists' AS real
FROM case_log l JOIN cases c ON c.id = l.case_id
WHERE l.action = 'verify' AND l.detail ->> 'result' IN ('exists', 'missing') AND l.at >= %(since)s AND c.incident <> ''
ORDER BY l.at

-- name: hotline_since
-- Cases that citizens called in.
SELECT code AS kind, created_at AS at, lon, lat, provenance FROM cases
WHERE source = 'hotline' AND created_at >= %(since)s AND state <> 'void' ORDER BY created_at

-- name: undelivered
-- Messages that did not leave: given up, or waiting for longer than a minute.
SELECT count(*)::integer AS n FROM outbox
WHERE provenance = ANY(%(provenances)s) AND (state = 'parked' OR (state = 'queued' AND created_at < %(before)s))
