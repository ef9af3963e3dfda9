-- name: create_stage
-- The columns of `assets` without its number, which `assets` itself gives.
CREATE TEMP TABLE IF NOT EXISTS assets_stage ON COMMIT DELETE ROWS AS
SELECT id, kind, layer, name, name_en, zone, area, geometry, west, south, east, north, attributes, source,
       licence, provenance, valid_from, valid_to, changed_at
FROM assets WITH NO DATA

-- name: copy_stage
COPY assets_stage (id, kind, layer, name, name_en, zone, area, geometry, west, south, east, north, attributes, source,
                   licence, provenance, valid_from, valid_to, changed_at) FROM STDIN

-- name: foreign_ids
-- Ids of the stage that another layer holds already: an import may not take them over.
SELECT s.id, a.layer FROM assets_stage s JOIN assets a USING (id) WHERE a.layer <> s.layer ORDER BY s.id LIMIT 20

-- name: keep_versions
-- What will be changed, or taken away because its layer no longer has it, is kept as it was.
INSERT INTO asset_versions (id, replaced_at, kind, layer, name, name_en, zone, area, geometry, attributes, source,
                            licence, provenance, valid_from, valid_to)
SELECT a.id, %(now)s, a.kind, a.layer, a.name, a.name_en, a.zone, a.area, a.geometry, a.attributes, a.source,
       a.licence, a.provenance, a.valid_from, a.valid_to
FROM assets a LEFT JOIN assets_stage s USING (id)
WHERE a.layer = %(layer)s
  AND (s.id IS NULL OR (a.kind, a.name, a.name_en, a.zone, a.area, a.geometry, a.attributes, a.source, a.licence,
                        a.provenance, a.valid_from, a.valid_to)
      IS DISTINCT FROM (s.kind, s.name, s.name_en, s.zone, s.area, s.geometry, s.attributes, s.source, s.licence,
                        s.provenance, s.valid_from, s.valid_to))
ON CONFLICT DO NOTHING

-- name: take_away
DELETE FROM assets a WHERE a.layer = %(layer)s AND NOT EXISTS (SELECT FROM assets_stage s WHERE s.id = a.id)

-- name: merge_stage
INSERT INTO assets AS a (id, kind, layer, name, name_en, zone, area, geometry, west, south, east, north, attributes,
                         source, licence, provenance, valid_from, valid_to, changed_at)
SELECT id, kind, layer, name, name_en, zone, area, geometry, west, south, east, north, attributes,
       source, licence, provenance, valid_from, valid_to, changed_at
FROM assets_stage ORDER BY id
ON CONFLICT (id) DO UPDATE SET
    kind = excluded.kind, name = excluded.name, name_en = excluded.name_en, zone = excluded.zone,
    area = excluded.area, geometry = excluded.geometry, west = excluded.west, south = excluded.south,
    east = excluded.east, north = excluded.north, attributes = excluded.attributes, source = excluded.source,
    licence = excluded.licence, provenance = excluded.provenance, valid_from = excluded.valid_from,
    valid_to = excluded.valid_to, changed_at = excluded.changed_at
WHERE (a.kind, a.name, a.name_en, a.zone, a.area, a.geometry, a.attributes, a.source, a.licence, a.provenance,
       a.valid_from, a.valid_to)
   IS DISTINCT FROM (excluded.kind, excluded.name, excluded.name_en, excluded.zone, excluded.area, excluded.geometry,
       excluded.attributes, excluded.source, excluded.licence, excluded.provenance, excluded.valid_from,
       excluded.valid_to)

-- name: note_layer
INSERT INTO asset_layers (layer, source, licence, crs, fingerprint, assets, at)
VALUES (%(layer)s, %(source)s, %(licence)s, %(crs)s, %(fingerprint)s, %(assets)s, %(now)s)
ON CONFLICT (layer) DO UPDATE SET source = excluded.source, licence = excluded.licence, crs = excluded.crs,
    fingerprint = excluded.fingerprint, assets = excluded.assets, at = excluded.at

-- name: layer_fingerprint
SELECT fingerprint FROM asset_layers WHERE layer = %(layer)s

-- name: all_layers
SELECT layer, source, licence, crs, fingerprint, assets, at FROM asset_layers ORDER BY layer

-- name: layers_beside
-- Layers that hold anything but these kinds.
SELECT layer FROM asset_layers
WHERE EXISTS (SELECT FROM assets WHERE assets.layer = asset_layers.layer AND kind <> ALL (%(kinds)s::text[]))
ORDER BY layer

-- name: one_asset
SELECT * FROM assets WHERE id = %(id)s

-- name: assets_of
-- Assets of kinds (all when null), in a box of degrees (all when null), valid at a time (all when null), by id.
SELECT * FROM assets
WHERE (%(kinds)s::text[] IS NULL OR kind = ANY (%(kinds)s))
  AND (%(layer)s::text IS NULL OR layer = %(layer)s)
  AND (%(west)s::float8 IS NULL OR box(point(west, south), point(east, north))
       && box(point(%(west)s, %(south)s), point(%(east)s, %(north)s)))
  AND (%(at)s::timestamptz IS NULL OR (coalesce(valid_from, '-infinity') <= %(at)s
       AND coalesce(valid_to, 'infinity') > %(at)s))
  AND id > %(after)s
ORDER BY id LIMIT %(limit)s

-- name: versions_of
SELECT * FROM asset_versions WHERE id = %(id)s ORDER BY replaced_at

-- name: extent
-- The box around everything stored; nulls in an empty table.
SELECT min(west) AS west, min(south) AS south, max(east) AS east, max(north) AS north FROM assets

-- name: collections
-- Kinds of assets that there are, with their number, box and times.
SELECT kind, count(*)::integer AS number, min(west) AS west, min(south) AS south, max(east) AS east,
       max(north) AS north, min(valid_from) AS valid_from, max(valid_to) AS valid_to
FROM assets GROUP BY kind ORDER BY kind

-- name: collection_fields
-- The attributes of a kind and their JSON types, by a sample of its assets.
SELECT key, array_agg(DISTINCT jsonb_typeof(value)) AS types
FROM (SELECT attributes FROM assets WHERE kind = %(kind)s ORDER BY id LIMIT 2000) few, jsonb_each(attributes)
GROUP BY key ORDER BY key

-- name: items
-- Assets of a kind in a box, valid within a time, that fit a jsonpath predicate; nulls leave a condition out.
SELECT * FROM assets
WHERE kind = %(kind)s AND id > %(after)s
  AND (%(west)s::float8 IS NULL OR box(point(west, south), point(east, north))
       && box(point(%(west)s, %(south)s), point(%(east)s, %(north)s)))
  AND (%(from)s::timestamptz IS NULL OR coalesce(valid_to, 'infinity') > %(from)s)
  AND (%(to)s::timestamptz IS NULL OR coalesce(valid_from, '-infinity') <= %(to)s)
  AND (%(filter)s::jsonpath IS NULL OR (attributes || jsonb_build_object('id', id, 'kind', kind, 'name', name,
       'name_en', name_en, 'zone', zone, 'area', area, 'source', source, 'provenance', provenance)) @@ %(filter)s::jsonpath)
ORDER BY id LIMIT %(limit)s

-- name: count_items
-- How many there are of the same conditions.
SELECT count(*)::integer AS number FROM assets
WHERE kind = %(kind)s
  AND (%(west)s::float8 IS NULL OR box(point(west, south), point(east, north))
       && box(point(%(west)s, %(south)s), point(%(east)s, %(north)s)))
  AND (%(from)s::timestamptz IS NULL OR coalesce(valid_to, 'infinity') > %(from)s)
  AND (%(to)s::timestamptz IS NULL OR coalesce(valid_from, '-infinity') <= %(to)s)
  AND (%(filter)s::jsonpath IS NULL OR (attributes || jsonb_build_object('id', id, 'kind', kind, 'name', name,
       'name_en', name_en, 'zone', zone, 'area', area, 'source', source, 'provenance', provenance)) @@ %(filter)s::jsonpath)

-- name: add_hazard
INSERT INTO hazards (id, kind, class, incident, geometry, west, south, east, north, attributes, provenance, begins, ends)
VALUES (%(id)s, %(kind)s, %(class)s, %(incident)s, %(geometry)s, %(west)s, %(south)s, %(east)s, %(north)s,
        %(attributes)s, %(provenance)s, %(begins)s, %(ends)s)
ON CONFLICT (id, class, begins) DO UPDATE SET
    kind = excluded.kind, incident = excluded.incident, geometry = excluded.geometry, west = excluded.west,
    south = excluded.south, east = excluded.east, north = excluded.north, attributes = excluded.attributes,
    provenance = excluded.provenance, ends = excluded.ends

-- name: end_hazard
-- What of a hazard still lasts at a time ends then.
UPDATE hazards SET ends = %(at)s WHERE id = %(id)s AND begins < %(at)s AND (ends IS NULL OR ends > %(at)s)

-- name: hazards_at
SELECT * FROM hazards
WHERE begins <= %(at)s AND (ends IS NULL OR ends > %(at)s)
  AND (%(west)s::float8 IS NULL OR (west <= %(east)s AND east >= %(west)s AND south <= %(north)s AND north >= %(south)s))
ORDER BY id, class

-- name: standing_hazards
SELECT DISTINCT id, incident FROM hazards
WHERE starts_with(id, %(prefix)s) AND begins <= %(at)s AND (ends IS NULL OR ends > %(at)s) ORDER BY id

-- name: drawn_assets
-- Of too many the largest: what is small is seen from near only.
SELECT number, id, kind, name, name_en, geometry,
       CASE WHEN jsonb_typeof(attributes -> 'height') = 'number' THEN (attributes ->> 'height')::float8 END AS height
FROM assets
WHERE layer = %(layer)s
  AND box(point(west, south), point(east, north)) && box(point(%(west)s, %(south)s), point(%(east)s, %(north)s))
ORDER BY (east - west) + (north - south) DESC, number LIMIT %(limit)s

-- name: forget_layer
DELETE FROM asset_layers WHERE layer = %(layer)s
