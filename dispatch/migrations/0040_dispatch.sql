-- Who there is to ask: departments, the duty list that names the responsible one, and crews.
CREATE TABLE departments (
    id      text PRIMARY KEY,
    name_zh text NOT NULL,
    name_en text NOT NULL,
    kind    text NOT NULL DEFAULT 'department', -- department, utility, street, agency (has its own command)
    phone   text NOT NULL DEFAULT '',
    changed_at timestamptz NOT NULL
);

-- 权责清单: code × place → lead, assisting, fallback. area '' is everywhere, code '' any code.
CREATE TABLE duty_list (
    code      text NOT NULL,
    area      text NOT NULL DEFAULT '',
    lead      text NOT NULL,
    assisting text[] NOT NULL DEFAULT '{}',
    fallback  text NOT NULL DEFAULT '',
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (code, area)
);

CREATE TABLE crews (
    id          text PRIMARY KEY,
    name_zh     text NOT NULL,
    name_en     text NOT NULL,
    department  text NOT NULL,
    kind        text NOT NULL DEFAULT '',
    skills      text[] NOT NULL DEFAULT '{}',
    equipment   text[] NOT NULL DEFAULT '{}',
    members     smallint NOT NULL DEFAULT 2,
    area        text NOT NULL DEFAULT '',
    depot_lon   double precision NOT NULL,
    depot_lat   double precision NOT NULL,
    duty        text NOT NULL DEFAULT 'on' CHECK (duty IN ('on', 'off', 'rest')),
    duty_since  timestamptz NOT NULL,
    lon         double precision,
    lat         double precision,
    position_at timestamptz,
    provenance  text NOT NULL DEFAULT 'real',
    phone       text NOT NULL DEFAULT '',
    changed_at  timestamptz NOT NULL
);
CREATE INDEX crews_department ON crews (department);

-- Numbers that people see: AJ-20261121-0007.
CREATE TABLE number_series (
    prefix text NOT NULL,
    day    text NOT NULL,
    last   integer NOT NULL,
    PRIMARY KEY (prefix, day)
);

CREATE TABLE cases (
    id            text PRIMARY KEY,
    number        text NOT NULL UNIQUE,
    code          text NOT NULL,
    source        text NOT NULL,
    state         text NOT NULL,
    incident      text NOT NULL DEFAULT '',
    incident_type text NOT NULL DEFAULT '',
    domain        text NOT NULL DEFAULT '',
    title         jsonb NOT NULL,
    priority      smallint NOT NULL,
    level         smallint NOT NULL,
    provenance    text NOT NULL,
    drill         boolean NOT NULL DEFAULT false,
    plan          text NOT NULL DEFAULT '',
    lon           double precision NOT NULL,
    lat           double precision NOT NULL,
    place         text NOT NULL DEFAULT '',
    area          text NOT NULL DEFAULT '',
    limits        jsonb NOT NULL,             -- {amount, unit, weekends, holidays}
    verified      text NOT NULL DEFAULT '',
    checked       text NOT NULL DEFAULT '',
    claimed_by    text NOT NULL DEFAULT '',
    claimed_us    bigint NOT NULL DEFAULT 0,
    dispatchers   text[] NOT NULL DEFAULT '{}',
    times         jsonb NOT NULL DEFAULT '{}', -- state → first µs
    returns       integer NOT NULL DEFAULT 0,
    reworks       integer NOT NULL DEFAULT 0,
    extensions    integer NOT NULL DEFAULT 0,
    suspensions   integer NOT NULL DEFAULT 0,
    supervised    integer NOT NULL DEFAULT 0,
    forced        boolean NOT NULL DEFAULT false,
    exempt        boolean NOT NULL DEFAULT false,
    ruled         boolean NOT NULL DEFAULT false,
    satisfied     boolean,
    overruled     text NOT NULL DEFAULT '',
    created_at    timestamptz NOT NULL,       -- reported
    since         timestamptz NOT NULL,       -- entered this state
    closed_at     timestamptz,
    changed_at    timestamptz NOT NULL
);
CREATE INDEX cases_open ON cases (state) WHERE state NOT IN ('closed', 'refused', 'void');
CREATE INDEX cases_created ON cases (created_at, id);
CREATE INDEX cases_incident ON cases (incident) WHERE incident <> '';

CREATE TABLE case_parts (
    case_id     text NOT NULL REFERENCES cases ON DELETE CASCADE,
    department  text NOT NULL,
    lead        boolean NOT NULL,
    attempt     integer NOT NULL,
    limits      jsonb NOT NULL,
    from_at     timestamptz NOT NULL,
    left_us     bigint NOT NULL,
    stopped_at  timestamptz,
    due_at      timestamptz NOT NULL,
    yellow_at   timestamptz NOT NULL,
    accepted_at timestamptz,
    finished_at timestamptz,
    late        boolean NOT NULL DEFAULT false,
    PRIMARY KEY (case_id, department)
);
CREATE UNIQUE INDEX one_lead_per_case ON case_parts (case_id) WHERE lead;
CREATE INDEX case_parts_department ON case_parts (department);

CREATE TABLE case_applications (
    case_id    text NOT NULL REFERENCES cases ON DELETE CASCADE,
    id         integer NOT NULL,
    kind       text NOT NULL,
    department text NOT NULL,
    by         text NOT NULL,
    at         timestamptz NOT NULL,
    reason     text NOT NULL,
    amount     double precision NOT NULL DEFAULT 0,
    granted    boolean,
    approvals  text[] NOT NULL DEFAULT '{}',
    decided_at timestamptz,
    answer     text NOT NULL DEFAULT '',
    PRIMARY KEY (case_id, id)
);
CREATE UNIQUE INDEX one_open_application_per_case ON case_applications (case_id) WHERE granted IS NULL;

CREATE TABLE case_log (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id text NOT NULL REFERENCES cases ON DELETE CASCADE,
    at      timestamptz NOT NULL,
    by      text NOT NULL,
    action  text NOT NULL,
    before  text NOT NULL,
    after   text NOT NULL,
    reason  text NOT NULL DEFAULT '',
    detail  jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX case_log_case ON case_log (case_id, id);

CREATE TABLE orders (
    id         text PRIMARY KEY,
    number     text NOT NULL UNIQUE,
    case_id    text NOT NULL REFERENCES cases ON DELETE CASCADE,
    incident   text NOT NULL DEFAULT '',
    crew       text NOT NULL REFERENCES crews,
    department text NOT NULL,
    task       text NOT NULL,
    attempt    integer NOT NULL,
    state      text NOT NULL,
    priority   smallint NOT NULL,
    level      smallint NOT NULL,
    provenance text NOT NULL,
    lon        double precision NOT NULL,
    lat        double precision NOT NULL,
    place      text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    proposed_by text NOT NULL,
    sent_by    text NOT NULL DEFAULT '',
    arrive_by  timestamptz,
    travel_s   double precision,
    why        jsonb NOT NULL DEFAULT '[]',
    times      jsonb NOT NULL DEFAULT '{}',
    support    boolean NOT NULL DEFAULT false,
    overruled  text NOT NULL DEFAULT '',
    changed_at timestamptz NOT NULL
);
-- A crew has one order at a time, and a task of a case has one crew at a time: the database says so.
CREATE UNIQUE INDEX one_live_order_per_crew ON orders (crew)
    WHERE state IN ('sent', 'accepted', 'en_route', 'arrived', 'handling');
CREATE UNIQUE INDEX one_live_order_per_task ON orders (case_id, task)
    WHERE state IN ('proposed', 'sent', 'accepted', 'en_route', 'arrived', 'handling');
CREATE INDEX orders_case ON orders (case_id);
CREATE INDEX orders_created ON orders (created_at, id);

CREATE TABLE order_log (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id text NOT NULL REFERENCES orders ON DELETE CASCADE,
    at       timestamptz NOT NULL,
    by       text NOT NULL,
    action   text NOT NULL,
    before   text NOT NULL,
    after    text NOT NULL,
    reason   text NOT NULL DEFAULT '',
    detail   jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX order_log_order ON order_log (order_id, id);

-- Messages that must leave: written in the transaction of what they tell, marked after they were taken.
-- queued → delivered, or parked after too many tries (visible, can be sent again by a person).
CREATE TABLE outbox (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key        text NOT NULL UNIQUE,          -- idempotency key that the receiver sees
    channel    text NOT NULL,
    receiver   text NOT NULL,
    subject    text NOT NULL,                 -- order, case, incident …
    subject_id text NOT NULL,
    payload    jsonb NOT NULL,
    provenance text NOT NULL,
    state      text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'delivered', 'parked', 'kept_inside')),
    tries      integer NOT NULL DEFAULT 0,
    failures   integer NOT NULL DEFAULT 0,    -- tries that the receiver answered with a failure
    held       boolean NOT NULL DEFAULT false, -- waits only because its receiver is away
    created_at timestamptz NOT NULL,
    next_at    timestamptz NOT NULL,
    done_at    timestamptz,
    error      text NOT NULL DEFAULT ''
);
CREATE INDEX outbox_due ON outbox (next_at, id) WHERE state = 'queued';

-- What a person or crew finds in the app. `key` makes the effect of a message happen once.
CREATE TABLE inbox (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key        text NOT NULL UNIQUE,
    at         timestamptz NOT NULL,
    receiver   text NOT NULL,                 -- crew:…, role:…, department:…, person:…
    message    jsonb NOT NULL,                -- {key, params}
    subject    text NOT NULL,
    subject_id text NOT NULL,
    level      smallint NOT NULL,
    read_at    timestamptz,
    read_by    text NOT NULL DEFAULT ''
);
CREATE INDEX inbox_receiver ON inbox (receiver, id);

-- One heap of deadlines. A moved deadline is another one: it may fire again.
CREATE TABLE deadlines (
    subject    text NOT NULL,
    subject_id text NOT NULL,
    kind       text NOT NULL,
    due_at     timestamptz NOT NULL,
    fired_at   timestamptz,
    PRIMARY KEY (subject, subject_id, kind)
);
CREATE INDEX deadlines_due ON deadlines (due_at) WHERE fired_at IS NULL;

-- Where our readers of `changes` are, and switches such as hold_all.
CREATE TABLE dispatch_readers (
    name   text PRIMARY KEY,
    cursor bigint NOT NULL
);
CREATE TABLE dispatch_switches (
    name   text PRIMARY KEY,
    on_    boolean NOT NULL,
    by     text NOT NULL,
    at     timestamptz NOT NULL,
    reason text NOT NULL DEFAULT ''
);
