-- name: counts_since
-- What arose since the start of a run.
SELECT (SELECT count(*) FROM alerts WHERE raised_at >= %(since)s) AS alerts,
       (SELECT count(*) FROM incidents WHERE opened_at >= %(since)s) AS incidents,
       (SELECT count(*) FROM cases WHERE created_at >= %(since)s) AS cases,
       (SELECT count(*) FROM orders WHERE created_at >= %(since)s) AS orders
