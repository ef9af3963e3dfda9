-- Who owns and keeps a device: a department of the city or a company, as people write it.
ALTER TABLE devices ADD COLUMN owner text NOT NULL DEFAULT '';

-- What a reading of a point is corrected by when it comes in: value * factor + shift, from `since` to `until` by event
-- time. Where several cover a moment, the one with the latest beginning counts. Never changed, only withdrawn.
CREATE TABLE calibrations (
    number       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device       integer NOT NULL REFERENCES devices (number),
    channel      smallint NOT NULL REFERENCES channels (number),
    since        timestamptz NOT NULL,
    until        timestamptz,
    factor       double precision NOT NULL CHECK (factor <> 0),
    shift        double precision NOT NULL,
    note         text NOT NULL DEFAULT '',
    by_user      text NOT NULL,
    at           timestamptz NOT NULL,
    withdrawn_at timestamptz,
    CHECK (until > since)
);
CREATE INDEX calibrations_device ON calibrations (device);

-- Spans in which somebody works on a device, on all of a gateway, or on all of an asset: readings are marked, and
-- silence says nothing.
CREATE TABLE maintenance (
    number  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope   text NOT NULL CHECK (scope IN ('device', 'gateway', 'asset')),
    name    text NOT NULL,
    since   timestamptz NOT NULL,
    until   timestamptz NOT NULL,
    reason  text NOT NULL,
    by_user text NOT NULL,
    at      timestamptz NOT NULL,
    CHECK (until >= since)
);

-- What a device shall be set to and what it says it is. `version` counts what was wished, `reported_version` is the
-- last wish that the device says it has taken.
CREATE TABLE twins (
    device           integer PRIMARY KEY REFERENCES devices (number),
    desired          jsonb NOT NULL DEFAULT '{}',
    version          integer NOT NULL DEFAULT 0,
    desired_at       timestamptz,
    desired_by       text NOT NULL DEFAULT '',
    reported         jsonb NOT NULL DEFAULT '{}',
    reported_version integer NOT NULL DEFAULT 0,
    reported_at      timestamptz
);
CREATE INDEX twins_open ON twins (device) WHERE version > reported_version;

-- What people did to devices. Only added to.
CREATE TABLE device_log (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL,
    device  text NOT NULL,
    by_user text NOT NULL,
    what    text NOT NULL,
    body    jsonb NOT NULL
);
CREATE INDEX device_log_device ON device_log (device, id);
