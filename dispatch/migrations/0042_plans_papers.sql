-- Running plans: which tasks stand where, what people noted, which response level is in force.
CREATE TABLE plan_runs (
    id         text PRIMARY KEY,
    number     text NOT NULL UNIQUE,
    plan       text NOT NULL,
    incident   text NOT NULL DEFAULT '',
    case_id    text NOT NULL DEFAULT '',
    state      text NOT NULL CHECK (state IN ('running', 'ended', 'aborted')),
    response   text NOT NULL DEFAULT '',
    proposed   text NOT NULL DEFAULT '',
    provenance text NOT NULL,
    started_by text NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at   timestamptz,
    facts      jsonb NOT NULL DEFAULT '{}',
    told       text[] NOT NULL DEFAULT '{}',
    tasks      jsonb NOT NULL DEFAULT '{}', -- key → state, times, by, result, ref, round, signed
    changed_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX one_running_plan_per_incident ON plan_runs (incident, plan)
    WHERE state = 'running' AND incident <> '';
CREATE INDEX plan_runs_case ON plan_runs (case_id) WHERE case_id <> '';
CREATE INDEX plan_runs_running ON plan_runs (started_at) WHERE state = 'running';

CREATE TABLE plan_log (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run    text NOT NULL REFERENCES plan_runs ON DELETE CASCADE,
    at     timestamptz NOT NULL,
    by     text NOT NULL,
    action text NOT NULL,
    before text NOT NULL,
    after  text NOT NULL,
    reason text NOT NULL DEFAULT '',
    detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX plan_log_run ON plan_log (run, id);

-- Requests, directives, bulletins, warnings, permits: one shape (dispatch/papers.py).
CREATE TABLE papers (
    id         text PRIMARY KEY,
    number     text NOT NULL UNIQUE,
    kind       text NOT NULL CHECK (kind IN ('request', 'directive', 'bulletin', 'warning', 'permit')),
    state      text NOT NULL,
    title      jsonb NOT NULL,
    body       text NOT NULL DEFAULT '',
    issuer     text NOT NULL DEFAULT '',
    receivers  text[] NOT NULL DEFAULT '{}',
    level      smallint NOT NULL DEFAULT 4,
    provenance text NOT NULL,
    incident   text NOT NULL DEFAULT '',
    case_id    text NOT NULL DEFAULT '',
    run        text NOT NULL DEFAULT '',
    task       text NOT NULL DEFAULT '',
    lon        double precision,
    lat        double precision,
    due_at     timestamptz,
    from_at    timestamptz,
    until_at   timestamptz,
    facts      jsonb NOT NULL DEFAULT '{}',
    times      jsonb NOT NULL DEFAULT '{}',
    supersedes text NOT NULL DEFAULT '',
    by         text NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE INDEX papers_kind ON papers (kind, created_at, id);
CREATE INDEX papers_run ON papers (run) WHERE run <> '';
CREATE INDEX papers_in_force ON papers (kind, until_at) WHERE state = 'in_force';

CREATE TABLE paper_log (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    paper  text NOT NULL REFERENCES papers ON DELETE CASCADE,
    at     timestamptz NOT NULL,
    by     text NOT NULL,
    action text NOT NULL,
    before text NOT NULL,
    after  text NOT NULL,
    reason text NOT NULL DEFAULT '',
    detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX paper_log_paper ON paper_log (paper, id);

-- Orders to our own signs, barriers and sirens; who confirms is not who proposes.
CREATE TABLE commands (
    id           text PRIMARY KEY,
    number       text NOT NULL UNIQUE,
    device       text NOT NULL,
    channel      text NOT NULL,
    value        double precision NOT NULL,
    state        text NOT NULL CHECK (state IN ('proposed', 'sent', 'done', 'failed', 'refused', 'expired')),
    reason       text NOT NULL,
    proposed_by  text NOT NULL,
    confirmed_by text NOT NULL DEFAULT '',
    incident     text NOT NULL DEFAULT '',
    run          text NOT NULL DEFAULT '',
    task         text NOT NULL DEFAULT '',
    provenance   text NOT NULL,
    reply        jsonb NOT NULL DEFAULT '{}',
    times        jsonb NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL,
    changed_at   timestamptz NOT NULL,
    CHECK (confirmed_by = '' OR confirmed_by <> proposed_by)
);
CREATE TABLE command_log (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    command text NOT NULL REFERENCES commands ON DELETE CASCADE,
    at      timestamptz NOT NULL,
    by      text NOT NULL,
    action  text NOT NULL,
    before  text NOT NULL,
    after   text NOT NULL,
    reason  text NOT NULL DEFAULT '',
    detail  jsonb NOT NULL DEFAULT '{}'
);

-- 值班表: who has which duty when; rank orders the call-out chain.
CREATE TABLE roster (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    role     text NOT NULL,
    person   text NOT NULL,
    name     text NOT NULL,
    phone    text NOT NULL DEFAULT '',
    rank     smallint NOT NULL DEFAULT 1,
    from_at  timestamptz NOT NULL,
    until_at timestamptz NOT NULL,
    CHECK (from_at < until_at)
);
CREATE INDEX roster_times ON roster (role, from_at, until_at);

-- 值班日志 and 交接班; append-only.
CREATE TABLE duty_log (
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at   timestamptz NOT NULL,
    by   text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('note', 'hand_over', 'take_over')),
    text text NOT NULL
);

-- How somebody is reached outside the product, for messages of this level and more urgent ones.
CREATE TABLE contacts (
    receiver text NOT NULL,
    channel  text NOT NULL,
    address  text NOT NULL,
    level    smallint NOT NULL DEFAULT 4,
    PRIMARY KEY (receiver, channel, address)
);

-- Shifts of crews: the desk puts them on and off duty.
CREATE TABLE crew_shifts (
    crew     text NOT NULL REFERENCES crews ON DELETE CASCADE,
    from_at  timestamptz NOT NULL,
    until_at timestamptz NOT NULL,
    PRIMARY KEY (crew, from_at),
    CHECK (from_at < until_at)
);

-- Stock of materials at depots, and what was taken for which case.
CREATE TABLE materials (
    id       text PRIMARY KEY,
    name_zh  text NOT NULL,
    name_en  text NOT NULL,
    unit     text NOT NULL,
    depot    text NOT NULL,
    department text NOT NULL,
    quantity double precision NOT NULL CHECK (quantity >= 0),
    least    double precision NOT NULL DEFAULT 0,
    lon      double precision NOT NULL,
    lat      double precision NOT NULL,
    changed_at timestamptz NOT NULL
);
CREATE TABLE material_log (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    material text NOT NULL REFERENCES materials ON DELETE CASCADE,
    at       timestamptz NOT NULL,
    by       text NOT NULL,
    change   double precision NOT NULL,
    case_id  text NOT NULL DEFAULT '',
    reason   text NOT NULL DEFAULT ''
);

-- 互助: neighbours who may be asked when nobody here can go.
CREATE TABLE mutual_aid (
    id      text PRIMARY KEY,
    name_zh text NOT NULL,
    name_en text NOT NULL,
    skills  text[] NOT NULL,
    phone   text NOT NULL DEFAULT '',
    reach_s double precision NOT NULL
);
