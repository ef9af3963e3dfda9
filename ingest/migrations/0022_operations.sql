-- What people ask devices to do (not: to switch something; commands of dispatch need two people). Nothing is deleted: it
-- is its own audit.
CREATE TABLE device_operations (
    id       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device   text NOT NULL,
    gateway  text NOT NULL,
    station  text NOT NULL,
    what     text NOT NULL,
    value    double precision,
    reason   text NOT NULL,
    by_user  text NOT NULL,
    at       timestamptz NOT NULL,
    until    timestamptz NOT NULL, -- waits for the device so long
    state    text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'done', 'failed', 'expired')),
    sent_at  timestamptz,
    ended_at timestamptz,
    reply    jsonb
);
CREATE INDEX device_operations_open ON device_operations (id) WHERE state IN ('waiting', 'sent');
CREATE INDEX device_operations_device ON device_operations (device, id);
