-- News between processes. A row is inserted while the CHANGES advisory lock is held to the end of the
-- transaction, so ids are in commit order and `id > cursor` misses none.
CREATE TABLE changes (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at    timestamptz NOT NULL,
    topic text NOT NULL,
    key   text NOT NULL,
    body  jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX changes_at ON changes (at);

-- One row per start of the product: what `cityops status` counts from.
CREATE TABLE runs (
    id         text PRIMARY KEY,
    started_at timestamptz NOT NULL
);

-- Each role says once a second that it lives and how it is.
CREATE TABLE role_status (
    role     text NOT NULL,
    instance text NOT NULL,
    run      text NOT NULL,
    pid      integer NOT NULL,
    since    timestamptz NOT NULL,
    at       timestamptz NOT NULL,
    detail   jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (role, instance)
);

-- What a request with an Idempotency-Key was answered, so that a repeat gets the same answer.
CREATE TABLE idempotency (
    actor  text NOT NULL,
    key    text NOT NULL,
    at     timestamptz NOT NULL,
    digest text NOT NULL,
    status smallint NOT NULL,
    body   jsonb NOT NULL,
    PRIMARY KEY (actor, key)
);
CREATE INDEX idempotency_at ON idempotency (at);
