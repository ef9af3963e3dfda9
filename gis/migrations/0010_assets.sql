-- What stands in the city. `id` is the CIM key that devices, alerts and orders refer to; `number` is for tiles,
-- where ids must be small integers. Geometry is WKB in WGS 84 lon, lat; west … north is its box in degrees.
CREATE TABLE assets (
    number     integer GENERATED ALWAYS AS IDENTITY,
    id         text PRIMARY KEY,
    kind       text NOT NULL,
    layer      text NOT NULL,  -- what it was imported or generated as; an import replaces its layer
    name       text NOT NULL DEFAULT '',
    name_en    text NOT NULL DEFAULT '',
    zone       text NOT NULL DEFAULT '',
    area       text NOT NULL DEFAULT '',
    geometry   bytea NOT NULL,
    west       double precision NOT NULL,
    south      double precision NOT NULL,
    east       double precision NOT NULL,
    north      double precision NOT NULL,
    attributes jsonb NOT NULL DEFAULT '{}',
    source     text NOT NULL DEFAULT '',
    licence    text NOT NULL DEFAULT '',
    provenance text NOT NULL DEFAULT 'real' CHECK (provenance IN ('real', 'recorded', 'simulated', 'drill')),
    valid_from timestamptz,
    valid_to   timestamptz,
    changed_at timestamptz NOT NULL,
    CHECK (west <= east AND south <= north)
);
CREATE UNIQUE INDEX assets_number ON assets (number);
CREATE INDEX assets_layer ON assets (layer, kind);
CREATE INDEX assets_kind ON assets (kind, id);
CREATE INDEX assets_box ON assets USING gist (box(point(west, south), point(east, north)));

-- What an asset was before it was changed or taken away: the rows of `assets`, until `replaced_at`.
CREATE TABLE asset_versions (
    id          text NOT NULL,
    replaced_at timestamptz NOT NULL,
    kind        text NOT NULL,
    layer       text NOT NULL,
    name        text NOT NULL,
    name_en     text NOT NULL,
    zone        text NOT NULL,
    area        text NOT NULL,
    geometry    bytea NOT NULL,
    attributes  jsonb NOT NULL,
    source      text NOT NULL,
    licence     text NOT NULL,
    provenance  text NOT NULL,
    valid_from  timestamptz,
    valid_to    timestamptz,
    PRIMARY KEY (id, replaced_at)
);

-- What was imported or generated, from what, and in which coordinates it came.
CREATE TABLE asset_layers (
    layer       text PRIMARY KEY,
    source      text NOT NULL,
    licence     text NOT NULL DEFAULT '',
    crs         text NOT NULL,
    fingerprint text NOT NULL,
    assets      integer NOT NULL,
    at          timestamptz NOT NULL
);
