-- The last step of an ingest transaction in one round trip: counts and mark, then, if any row is new, the place in
-- the log. The BATCH_LOG lock is held to the end of the transaction, so ids are in commit order; each statement of
-- the function sees what was committed before it, so `previous` is right although the lock was waited for.
CREATE FUNCTION keep_batch(
    p_run text, p_instance text, p_lane text, p_mark bigint,
    p_stored bigint, p_duplicates bigint, p_conflicts bigint, p_refused jsonb,
    p_lock bigint, p_at timestamptz, p_history boolean, p_payload bytea,
    OUT id bigint, OUT previous bigint
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO ingest_marks AS m (instance, lane, last) VALUES (p_instance, p_lane, p_mark)
    ON CONFLICT (instance, lane) DO UPDATE SET last = excluded.last;

    INSERT INTO ingest_totals AS t (run, instance, stored, duplicates, conflicts, refused)
    VALUES (p_run, p_instance, p_stored, p_duplicates, p_conflicts, p_refused)
    ON CONFLICT (run, instance) DO UPDATE SET
        stored = t.stored + excluded.stored,
        duplicates = t.duplicates + excluded.duplicates,
        conflicts = t.conflicts + excluded.conflicts,
        refused = CASE WHEN excluded.refused = '{}'::jsonb THEN t.refused ELSE (
            SELECT jsonb_object_agg(
                key, coalesce((t.refused ->> key)::bigint, 0) + coalesce((excluded.refused ->> key)::bigint, 0))
            FROM jsonb_object_keys(t.refused || excluded.refused) AS key
        ) END;

    IF p_stored = 0 THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(p_lock);
    SELECT coalesce(max(b.id), 0) INTO previous FROM batch_log b;
    INSERT INTO batch_log AS b (at, rows, history, payload) VALUES (p_at, p_stored, p_history, p_payload)
    RETURNING b.id INTO id;
END $$;
