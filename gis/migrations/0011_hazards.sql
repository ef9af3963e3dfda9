-- What endangers a part of the city for a time: flooded ground, a plume, a zone without water, a closed road.
-- Written by whoever knows (engine, models, people), drawn by every map. One hazard has one row for each class.
CREATE TABLE hazards (
    number     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         text NOT NULL,          -- of the hazard: several rows when it has several classes
    kind       text NOT NULL CHECK (kind IN ('flood', 'plume', 'isolated', 'closed')),
    class      smallint NOT NULL,      -- 1 is the worst
    incident   text NOT NULL DEFAULT '',
    geometry   bytea NOT NULL,         -- WKB, WGS 84 lon, lat
    west       double precision NOT NULL,
    south      double precision NOT NULL,
    east       double precision NOT NULL,
    north      double precision NOT NULL,
    attributes jsonb NOT NULL DEFAULT '{}',
    provenance text NOT NULL CHECK (provenance IN ('real', 'recorded', 'simulated', 'drill')),
    begins     timestamptz NOT NULL,
    ends       timestamptz,            -- null: until somebody ends it
    UNIQUE (id, class, begins)
);
CREATE INDEX hazards_now ON hazards (ends, begins);
CREATE INDEX hazards_incident ON hazards (incident) WHERE incident <> '';
