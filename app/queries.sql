-- name: find_user
SELECT id, name, password, roles, areas, departments, crew, disabled_at FROM users WHERE id = %(id)s

-- name: list_users
SELECT id, name, roles, areas, departments, crew, disabled_at, created_at FROM users ORDER BY id

-- name: put_user
INSERT INTO users (id, name, password, roles, areas, departments, crew, created_at)
VALUES (%(id)s, %(name)s, %(password)s, %(roles)s, %(areas)s, %(departments)s, %(crew)s, %(now)s)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, password = excluded.password, roles = excluded.roles,
    areas = excluded.areas, departments = excluded.departments, crew = excluded.crew, disabled_at = NULL

-- name: disable_user
UPDATE users SET disabled_at = %(now)s WHERE id = %(id)s AND disabled_at IS NULL

-- name: end_sessions
DELETE FROM sessions WHERE user_id = %(id)s

-- name: put_session
INSERT INTO sessions (token_hash, user_id, kind, target, source, created_at, expires_at)
VALUES (%(token_hash)s, %(user)s, %(kind)s, %(target)s, %(source)s, %(now)s, %(expires)s)

-- name: find_session
-- The actor of a live sign-in.
SELECT u.id, u.name, u.roles, u.areas, u.departments, u.crew
FROM sessions s JOIN users u ON u.id = s.user_id
WHERE s.token_hash = %(token_hash)s AND s.kind = ANY(%(kinds)s) AND s.expires_at > %(now)s AND u.disabled_at IS NULL
  AND s.source IN ('', %(source)s)

-- name: use_session
-- Take a single-use token (one-time link, ticket): it is gone afterwards, for everybody.
DELETE FROM sessions s USING users u
WHERE s.token_hash = %(token_hash)s AND s.kind = %(kind)s AND u.id = s.user_id
  AND s.expires_at > %(now)s AND u.disabled_at IS NULL
RETURNING u.id, u.name, u.roles, u.areas, u.departments, u.crew, s.target

-- name: end_session
DELETE FROM sessions WHERE token_hash = %(token_hash)s

-- name: prune_sessions
DELETE FROM sessions WHERE expires_at < %(now)s

-- name: add_failure
INSERT INTO sign_in_failures (account, source, at) VALUES (%(account)s, %(source)s, %(now)s)

-- name: count_failures
SELECT count(*) FILTER (WHERE account = %(account)s) AS account,
       count(*) FILTER (WHERE source = %(source)s) AS source
FROM sign_in_failures WHERE (account = %(account)s OR source = %(source)s) AND at > %(since)s

-- name: forget_failures
DELETE FROM sign_in_failures WHERE account = %(account)s OR at < %(before)s

-- name: gateway_secret
SELECT id, secret_hash FROM gateways WHERE id = %(id)s

-- name: count_load
-- What the store holds of a load run (app/loading.py).
SELECT count(*) AS stored
FROM readings r JOIN devices d ON d.number = r.device
WHERE d.id LIKE 'load-%%' AND r.time >= %(begin)s AND r.time < %(end)s
