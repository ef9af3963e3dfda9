-- A standing condition at a subject: `device/channel`, a device, `gateway:id`, `area:name`. One row from its
-- onset to its end; the states are ISA-18.2's (events/alarm.py). `id` is the hash of its natural key as first known.
CREATE TABLE alerts (
    id              text PRIMARY KEY,
    rule            text NOT NULL,
    rule_version    text NOT NULL,
    domain          text NOT NULL,
    class           text NOT NULL CHECK (class IN ('life', 'field', 'device', 'info')),
    level           smallint NOT NULL CHECK (level BETWEEN 1 AND 4),
    subject         text NOT NULL,
    device          text NOT NULL DEFAULT '',
    channel         text NOT NULL DEFAULT '',
    state           text NOT NULL,
    standing        boolean NOT NULL,
    asks            boolean NOT NULL, -- somebody must acknowledge it
    withdrawn       boolean NOT NULL DEFAULT false, -- late readings showed that there was nothing
    backdated       boolean NOT NULL DEFAULT false, -- proven by readings that came too late to tell anybody
    onset           timestamptz NOT NULL,
    raised_at       timestamptz NOT NULL, -- event time at which the condition had held for long enough
    recorded_at     timestamptz NOT NULL, -- when we wrote it down
    returned_at     timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by text NOT NULL DEFAULT '',
    value           double precision NOT NULL,
    limit_value     double precision NOT NULL,
    peak            double precision NOT NULL,
    lon             double precision NOT NULL,
    lat             double precision NOT NULL,
    zone            text NOT NULL DEFAULT '',
    area            text NOT NULL DEFAULT '',
    asset           text NOT NULL DEFAULT '',
    provenance      text NOT NULL,
    incident        text,
    aside           jsonb, -- why and until when it is put aside
    changed_at      timestamptz NOT NULL,
    UNIQUE (rule, subject, onset)
);
CREATE INDEX alerts_live ON alerts (onset) WHERE state <> 'normal';
CREATE INDEX alerts_recorded ON alerts (recorded_at, id);
CREATE INDEX alerts_incident ON alerts (incident) WHERE incident IS NOT NULL;
CREATE INDEX alerts_device ON alerts (device, onset);

-- Append-only: what was done to an alert, by whom, from which state to which.
CREATE TABLE alert_log (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert  text NOT NULL,
    at     timestamptz NOT NULL,
    action text NOT NULL,
    actor  text NOT NULL,
    before text NOT NULL,
    after  text NOT NULL,
    fields jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX alert_log_alert ON alert_log (alert, id);

-- A rule put aside at a subject, for this alert and for those to come.
CREATE TABLE alert_holds (
    rule    text NOT NULL,
    subject text NOT NULL,
    state   text NOT NULL CHECK (state IN ('shelved', 'suppressed', 'out_of_service')),
    until   timestamptz, -- empty: until somebody ends it
    reason  text NOT NULL,
    by      text NOT NULL,
    at      timestamptz NOT NULL,
    PRIMARY KEY (rule, subject, state)
);

-- Something happening in the city. `version` grows with every change: who decided on an older one decides again.
CREATE TABLE incidents (
    id               text PRIMARY KEY,
    number           text NOT NULL UNIQUE,
    type             text NOT NULL,
    domain           text NOT NULL,
    class            text NOT NULL,
    state            text NOT NULL,
    level            smallint NOT NULL,
    priority         smallint NOT NULL,
    priority_by      text NOT NULL DEFAULT '',
    grade            text NOT NULL DEFAULT '',
    score            double precision NOT NULL,
    parts            jsonb NOT NULL DEFAULT '{}',
    sure             boolean NOT NULL,
    started_at       timestamptz NOT NULL,
    opened_at        timestamptz NOT NULL,
    clear_since      timestamptz, -- since when none of its anchors stands
    closed_at        timestamptz,
    acknowledged_at  timestamptz,
    acknowledged_by  text NOT NULL DEFAULT '',
    lon              double precision NOT NULL,
    lat              double precision NOT NULL,
    zone             text NOT NULL DEFAULT '',
    area             text NOT NULL DEFAULT '',
    asset            text NOT NULL DEFAULT '',
    provenance       text NOT NULL,
    backdated        boolean NOT NULL DEFAULT false,
    causes           jsonb NOT NULL DEFAULT '[]',
    explanation      jsonb NOT NULL DEFAULT '{}',
    consequences     jsonb NOT NULL DEFAULT '{}',
    cases            jsonb NOT NULL DEFAULT '[]',
    case_code        text NOT NULL DEFAULT '',
    plan             text NOT NULL DEFAULT '',
    lead             text NOT NULL DEFAULT '',
    assisting        jsonb NOT NULL DEFAULT '[]',
    merged_into      text REFERENCES incidents (id),
    parent           text REFERENCES incidents (id),
    apart            jsonb NOT NULL DEFAULT '[]', -- incidents that people have said are something else
    rule_version     text NOT NULL,
    version          integer NOT NULL DEFAULT 1,
    changed_at       timestamptz NOT NULL
);
CREATE INDEX incidents_live ON incidents (opened_at) WHERE state IN ('open', 'confirmed');
CREATE INDEX incidents_opened ON incidents (opened_at, id);

-- Which facts speak for or against an incident, since when, and until when they were thought to.
CREATE TABLE incident_evidence (
    incident  text NOT NULL REFERENCES incidents (id),
    fact      text NOT NULL, -- id of an alert, a report or another incident
    evidence  text NOT NULL, -- which kind of evidence of its type
    what      text NOT NULL,
    joined_at timestamptz NOT NULL,
    left_at   timestamptz,
    PRIMARY KEY (incident, fact, joined_at)
);
CREATE INDEX incident_evidence_fact ON incident_evidence (fact) WHERE left_at IS NULL;

CREATE TABLE incident_log (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident text NOT NULL,
    at       timestamptz NOT NULL,
    action   text NOT NULL,
    actor    text NOT NULL,
    before   text NOT NULL,
    after    text NOT NULL,
    fields   jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX incident_log_incident ON incident_log (incident, id);

-- SJ-20261121-0007: the last number given on each day of the city.
CREATE TABLE incident_numbers (
    day  text PRIMARY KEY,
    last integer NOT NULL
);

-- What people report or enter, as evidence like any other: calls to 12345, patrols, video, permits.
CREATE TABLE reports (
    id         text PRIMARY KEY,
    kind       text NOT NULL,
    at         timestamptz NOT NULL,
    ends_at    timestamptz,
    words      text NOT NULL DEFAULT '',
    source     text NOT NULL DEFAULT '',
    by         text NOT NULL,
    lon        double precision NOT NULL,
    lat        double precision NOT NULL,
    asset      text NOT NULL DEFAULT '',
    zone       text NOT NULL DEFAULT '',
    area       text NOT NULL DEFAULT '',
    provenance text NOT NULL DEFAULT 'real',
    created_at timestamptz NOT NULL
);
CREATE INDEX reports_at ON reports (at);

-- How far the engine has come: moved in the transaction that holds what the batches led to.
CREATE TABLE engine_cursor (
    name   text PRIMARY KEY,
    cursor bigint NOT NULL,
    at     timestamptz NOT NULL
);

-- Settled detector state (events/timeline.py). After a restart: the last full one, the deltas after it, then
-- the batches after `replay_from`.
CREATE TABLE engine_snapshots (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    is_full     boolean NOT NULL,
    at          timestamptz NOT NULL,
    cursor      bigint NOT NULL,
    replay_from bigint NOT NULL,
    horizon_us  bigint NOT NULL,
    head_us     bigint NOT NULL,
    payload     bytea NOT NULL
);
