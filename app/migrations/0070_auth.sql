-- People and machines that sign in. Gateways have their secret in `gateways`.
CREATE TABLE users (
    id          text PRIMARY KEY,
    name        text NOT NULL,
    password    text NOT NULL, -- argon2id
    roles       text[] NOT NULL,
    areas       text[] NOT NULL DEFAULT '{}',
    departments text[] NOT NULL DEFAULT '{}',
    crew        text NOT NULL DEFAULT '',
    disabled_at timestamptz,
    created_at  timestamptz NOT NULL
);

-- Sign-ins. Only the hash of a token is kept: who reads this table cannot sign in with it.
CREATE TABLE sessions (
    token_hash bytea PRIMARY KEY,
    user_id    text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind       text NOT NULL CHECK (kind IN ('browser', 'bearer', 'link', 'ticket')),
    target     text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expires ON sessions (expires_at);

-- Failed sign-ins, to slow down who guesses.
CREATE TABLE sign_in_failures (
    account text NOT NULL,
    source  text NOT NULL,
    at      timestamptz NOT NULL
);
CREATE INDEX sign_in_failures_account ON sign_in_failures (account, at);
CREATE INDEX sign_in_failures_source ON sign_in_failures (source, at);
