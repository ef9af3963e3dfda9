-- Gateways that somebody watches while they are set up: what comes is kept for a look, and counted.
CREATE TABLE gateway_watches (
    gateway text PRIMARY KEY REFERENCES gateways (id) ON DELETE CASCADE,
    since   timestamptz NOT NULL,
    until   timestamptz NOT NULL,
    by_user text NOT NULL
);

-- The newest frames of a watched gateway and what became of each. A look, no record: a crash may empty it.
CREATE UNLOGGED TABLE watched_frames (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway text NOT NULL,
    at      timestamptz NOT NULL,
    shown   jsonb NOT NULL
);
CREATE INDEX watched_frames_gateway ON watched_frames (gateway, id);

-- What each process counted of a watched gateway since `since`.
CREATE TABLE watch_counts (
    gateway  text NOT NULL,
    instance text NOT NULL,
    since    timestamptz NOT NULL,
    counts   jsonb NOT NULL,
    PRIMARY KEY (gateway, instance)
);
