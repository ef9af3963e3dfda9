-- What was known when: every version of every incident, as it stood.
CREATE TABLE incident_versions (
    incident text NOT NULL REFERENCES incidents (id) ON DELETE CASCADE,
    version  integer NOT NULL,
    at       timestamptz NOT NULL,
    row      jsonb NOT NULL,
    PRIMARY KEY (incident, version)
);
CREATE INDEX incident_versions_at ON incident_versions (at);

CREATE FUNCTION keep_incident_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO incident_versions VALUES (NEW.id, NEW.version, NEW.changed_at, to_jsonb(NEW))
    ON CONFLICT (incident, version) DO UPDATE SET at = excluded.at, row = excluded.row;
    RETURN NULL;
END $$;

CREATE TRIGGER incident_versions AFTER INSERT OR UPDATE ON incidents
    FOR EACH ROW EXECUTE FUNCTION keep_incident_version();

INSERT INTO incident_versions SELECT id, version, changed_at, to_jsonb(incidents) FROM incidents;

-- Incidents as they stood at a moment; as they stand when it is empty.
CREATE FUNCTION incidents_as_of(moment timestamptz) RETURNS SETOF incidents LANGUAGE sql STABLE AS $$
    SELECT * FROM incidents WHERE moment IS NULL
    UNION ALL
    SELECT (jsonb_populate_record(NULL::incidents, v.row)).* FROM (
        SELECT DISTINCT ON (incident) incident, row FROM incident_versions WHERE at <= moment
        ORDER BY incident, version DESC) v
    WHERE moment IS NOT NULL
$$;
