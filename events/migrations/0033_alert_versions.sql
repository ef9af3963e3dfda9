-- What was known when, of alerts: whatever of an alert may change, as it stood after each transaction that changed it.
CREATE TABLE alert_versions (
    alert text NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
    at    timestamptz NOT NULL,
    row   jsonb NOT NULL,
    PRIMARY KEY (alert, at)
);
CREATE INDEX alert_versions_at ON alert_versions (at);

-- A statement of a flood changes thousands: they are kept by one statement, too.
CREATE FUNCTION keep_alert_versions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO alert_versions
    SELECT id, changed_at, jsonb_build_object(
        'state', state, 'standing', standing, 'withdrawn', withdrawn, 'onset', onset, 'returned_at', returned_at,
        'acknowledged_at', acknowledged_at, 'acknowledged_by', acknowledged_by, 'peak', peak, 'incident', incident,
        'aside', aside)
    FROM fresh
    ON CONFLICT (alert, at) DO UPDATE SET row = excluded.row;
    RETURN NULL;
END $$;

CREATE TRIGGER alert_versions_new AFTER INSERT ON alerts REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION keep_alert_versions();
CREATE TRIGGER alert_versions AFTER UPDATE ON alerts REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION keep_alert_versions();

UPDATE alerts SET changed_at = changed_at;
