-- Who is on line, as the wire says it: one row a gateway, moved when it comes, goes, or says its status.
CREATE TABLE gateway_states (
    gateway text PRIMARY KEY REFERENCES gateways (id) ON DELETE CASCADE,
    online  boolean NOT NULL,
    since   timestamptz NOT NULL,
    why     text NOT NULL DEFAULT '',     -- why the last connection ended
    said    jsonb,                        -- what it published on status/<gateway>
    said_at timestamptz
);

-- Strangers that a person turned away: they are not asked about again.
CREATE TABLE strangers_refused (
    gateway   text NOT NULL,
    wire_name text NOT NULL,
    at        timestamptz NOT NULL,
    by_user   text NOT NULL,
    reason    text NOT NULL DEFAULT '',
    PRIMARY KEY (gateway, wire_name)
);
CREATE INDEX dead_letters_strangers ON dead_letters (gateway, id)
    WHERE reason = 'unknown_device' AND settled_at IS NULL;
