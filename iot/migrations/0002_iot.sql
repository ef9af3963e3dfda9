-- What speaks to us on the wire. Numbers are never reused: readings refer to them for ever.
CREATE TABLE gateways (
    number      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          text NOT NULL UNIQUE,
    secret_hash text NOT NULL DEFAULT '',
    provenance  text NOT NULL DEFAULT 'real' CHECK (provenance IN ('real', 'recorded', 'simulated', 'drill')),
    created_at  timestamptz NOT NULL
);

CREATE TABLE channels (
    number    smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    full_name text NOT NULL UNIQUE
);

CREATE TABLE devices (
    number     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         text NOT NULL UNIQUE,
    kind       text NOT NULL,
    domain     text NOT NULL,
    name_zh    text NOT NULL,
    name_en    text NOT NULL,
    lon        double precision NOT NULL CHECK (lon BETWEEN -180 AND 180),
    lat        double precision NOT NULL CHECK (lat BETWEEN -90 AND 90),
    gateway    text NOT NULL REFERENCES gateways (id),
    wire_name  text NOT NULL,
    asset      text NOT NULL DEFAULT '',
    zone       text NOT NULL DEFAULT '',
    area       text NOT NULL DEFAULT '',
    provenance text NOT NULL DEFAULT 'real' CHECK (provenance IN ('real', 'recorded', 'simulated', 'drill')),
    params     jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    UNIQUE (gateway, wire_name)
);

-- Every committed batch of readings, in commit order (see iot.readings). Readers keep a cursor of their own.
CREATE TABLE batch_log (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL,
    rows    integer NOT NULL,
    history boolean NOT NULL DEFAULT false, -- back-filled: stored and rolled up, decided by nobody
    payload bytea NOT NULL
);
ALTER TABLE batch_log ALTER COLUMN payload SET STORAGE EXTERNAL;

CREATE TABLE batch_readers (
    name   text PRIMARY KEY,
    cursor bigint NOT NULL
);

-- The newest reading of every point; `GET /latest` and every restart read this, never the readings themselves.
CREATE TABLE latest (
    device   integer NOT NULL,
    channel  smallint NOT NULL,
    time     timestamptz NOT NULL,
    received timestamptz NOT NULL,
    value    double precision NOT NULL,
    quality  smallint NOT NULL,
    gateway  integer NOT NULL,
    PRIMARY KEY (device, channel)
) WITH (fillfactor = 60);

-- Sums of an hour, kept by whoever reads the batch log for them; late readings change old rows.
CREATE TABLE readings_1h (
    device  integer NOT NULL,
    channel smallint NOT NULL,
    bucket  timestamptz NOT NULL,
    n       integer NOT NULL,
    total   double precision NOT NULL,
    low     double precision NOT NULL,
    high    double precision NOT NULL,
    PRIMARY KEY (device, channel, bucket)
);

-- What was refused, whole and with its reason: a refused record is safe too before it is acknowledged.
CREATE TABLE dead_letters (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL,
    gateway text NOT NULL,
    source  text NOT NULL,
    record  integer NOT NULL,
    reason  text NOT NULL,
    detail  text NOT NULL DEFAULT '',
    payload bytea NOT NULL
);
CREATE INDEX dead_letters_at ON dead_letters (at);

-- Counts since the start of a run, moved in the same transaction as what they count.
CREATE TABLE ingest_totals (
    run        text NOT NULL,
    instance   text NOT NULL,
    stored     bigint NOT NULL DEFAULT 0,
    duplicates bigint NOT NULL DEFAULT 0,
    conflicts  bigint NOT NULL DEFAULT 0,
    refused    jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (run, instance)
);
