"""Each format with a file made here or by GDAL, and every way in which a file can be wrong."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely

from core import text
from core.db import Database
from core.errors import Invalid
from gis import importing, store
from gis.importers.found import FileRefused
from gis.importers.plan import Plan
from gis.importers.prepare import Prepared
from gis.importers.read import read_file

ROOT = Path(__file__).resolve().parents[2]
WORDS = text.load([ROOT / "core", ROOT / "gis"])
NEAR = (120.8, 30.7, 122.2, 31.9)
NOW = 1_750_000_000_000_000


def plan(**told: object) -> Plan:
    return Plan("wells", **{"kind": "manhole", **told})  # type: ignore[arg-type] # fields of a plan


def point(number: int = 0, **properties: object) -> dict[str, object]:
    where = {"type": "Point", "coordinates": [121.5 + number / 1000, 31.2]}
    return {"type": "Feature", "id": f"W{number}", "properties": properties, "geometry": where}


def geojson(folder: Path, *features: object, name: str = "wells.geojson", **more: object) -> Path:
    path = folder / name
    path.write_text(
        json.dumps({"type": "FeatureCollection", "features": features, **more}, ensure_ascii=False), "utf-8"
    )
    return path


def refusals(prepared: Prepared, language: str = "en") -> list[str]:
    return [each.told(WORDS, language, "f") for each in prepared.refused]


def why(refused: pytest.ExceptionInfo[FileRefused], language: str = "en") -> str:
    told = WORDS(refused.value.key, language, **refused.value.params)
    assert "⟦" not in told
    assert "{" not in told
    return told


# -- formats ----------------------------------------------------------------------------------------------------


def test_geojson_keeps_ids_names_and_attributes(tmp_path: Path) -> None:
    found = read_file(geojson(tmp_path, point(1, name="东井", depth=3.5, note=None)), plan())
    [asset] = found.assets
    assert (asset.id, asset.kind, asset.name) == ("wells.W1", "manhole", "东井")
    assert asset.attributes == {"name": "东井", "depth": 3.5}
    assert found.crs == "EPSG:4326"


def test_without_ids_a_feature_has_the_same_id_at_every_import(tmp_path: Path) -> None:
    features = [{**point(n), "id": None} for n in range(5)]
    first = {a.id for a in read_file(geojson(tmp_path, *features), plan()).assets}
    again = {a.id for a in read_file(geojson(tmp_path, *features[::-1]), plan()).assets}
    assert first == again
    assert len(first) == 5


def test_a_bare_list_of_features_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "areas.json"
    path.write_text(json.dumps([point(1), point(2)]), "utf-8")
    assert len(read_file(path, plan()).assets) == 2


def test_geojson_lines_and_old_files_with_a_crs_member(tmp_path: Path) -> None:
    path = tmp_path / "seq.geojsonl"
    path.write_text("\n".join(json.dumps(point(n)) for n in range(3)), "utf-8")
    assert len(read_file(path, plan()).assets) == 3
    old = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::4549"}}
    projected = {**point(), "geometry": {"type": "Point", "coordinates": [640412.315, 3457455.489]}}
    found = read_file(geojson(tmp_path, projected, crs=old), plan())
    assert found.crs == "EPSG:4549"
    assert found.assets[0].lonlat == pytest.approx((121.4737, 31.2304), abs=1e-7)


NAMES = ["一号井", "二号井", "三号井"]
FRAME = {"bh": ["A1", "A2", "A3"], "名称": NAMES, "depth": [1.5, 2.5, np.nan]}


def write(path: Path, *, system: str = "EPSG:4490", layer: str | None = None, encoding: str | None = None,
          append: bool = False) -> Path:  # fmt: skip
    """Three manholes written by GDAL."""
    import geopandas

    places = shapely.points([[121.50, 31.20], [121.51, 31.21], [121.52, 31.22]])
    frame = geopandas.GeoDataFrame(FRAME, geometry=list(places), crs="EPSG:4326").to_crs(system)
    pyogrio.write_dataframe(frame, path, layer=layer, encoding=encoding, append=append)
    return path


@pytest.mark.parametrize("system", ["EPSG:4490", "EPSG:4549", "EPSG:32651", "EPSG:3857"])
@pytest.mark.parametrize("suffix", ["gpkg", "shp", "fgb"])
def test_files_of_gdal_in_any_system(tmp_path: Path, suffix: str, system: str) -> None:
    found = read_file(write(tmp_path / f"wells.{suffix}", system=system), plan(near=NEAR))
    by_id = {a.id: a for a in found.assets}
    assert sorted(by_id) == ["wells.A1", "wells.A2", "wells.A3"]
    assert {a.name for a in found.assets} == set(NAMES)
    assert by_id["wells.A3"].lonlat == pytest.approx((121.52, 31.22), abs=2e-6)
    assert "depth" not in by_id["wells.A3"].attributes


def test_a_shapefile_in_gbk_that_says_nothing_of_its_encoding(tmp_path: Path) -> None:
    path = write(tmp_path / "wells.shp", encoding="GBK")
    path.with_suffix(".cpg").unlink()
    found = read_file(path, plan())
    assert [a.name for a in found.assets] == NAMES
    assert not found.refused


def test_a_geopackage_with_two_layers_needs_the_name_of_one(tmp_path: Path) -> None:
    path = write(tmp_path / "city.gpkg", layer="wells")
    write(path, layer="valves", append=True)
    assert len(read_file(path, plan()).assets) == 3
    with pytest.raises(FileRefused) as refused:
        read_file(path, Plan("others", kind="valve"))
    assert "valves, wells" in why(refused) or "wells, valves" in why(refused)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk"])
@pytest.mark.parametrize(("x", "y"), [("经度", "纬度"), ("lon", "lat"), ("LNG", "Lat"), ("X", "Y")])
def test_csv_with_coordinates_under_usual_names(tmp_path: Path, encoding: str, x: str, y: str) -> None:
    path = tmp_path / "wells.csv"
    path.write_bytes(
        f"编号,名称,{x},{y},管径\nA1,一号井,121.5,31.2,300\nA2,二号井,121.6,31.3,0300\n".encode(encoding)
    )
    found = read_file(path, plan(crs="EPSG:4490"))
    assert [(a.id, a.name) for a in found.assets] == [("wells.A1", "一号井"), ("wells.A2", "二号井")]
    assert found.assets[0].attributes["管径"] == 300
    assert found.assets[1].attributes["管径"] == "0300"  # a code, not a number


def test_csv_of_gas_pipes_by_two_ends_and_of_wkt(tmp_path: Path) -> None:
    ends = tmp_path / "pipes.csv"
    ends.write_text("id;x1;y1;x2;y2;dn\n1;640412;3457455;640500;3457455;160\n", "utf-8")
    [pipe] = read_file(ends, Plan("gas", kind="gas_pipe", crs="EPSG:4549")).assets
    assert pipe.geometry.geom_type == "LineString"
    chinese = "编号,起点经度,起点纬度,终点经度,终点纬度\n1,121.49,31.235,121.492,31.235\n"
    ends.write_text(chinese, "gbk")
    [pipe] = read_file(ends, Plan("gas", kind="gas_pipe", crs="EPSG:4326")).assets
    assert pipe.geometry.wkt == "LINESTRING (121.49 31.235, 121.492 31.235)"
    wkt = tmp_path / "wkt.tsv"
    with wkt.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([["id", "WKT"], ["1", "LINESTRING (121 31, 121.1 31)"]])
    assert read_file(wkt, Plan("gas", kind="gas_pipe", crs="EPSG:4326")).assets[
        0
    ].geometry.length == pytest.approx(0.1)


def test_gcj_02_is_converted_and_the_stated_system_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "wells.csv"
    path.write_text("id,lon,lat\nA,121.478223,31.228458\n", "utf-8")
    found = read_file(path, plan(crs="GCJ-02"))
    assert found.assets[0].lonlat == pytest.approx((121.4737, 31.2304), abs=1e-6)
    assert found.crs == "GCJ-02"


OSM = """<?xml version="1.0"?><osm version="0.6">
<node id="1" lat="31.20" lon="121.50"/><node id="2" lat="31.20" lon="121.51"/><node id="3" lat="31.21" lon="121.51"/>
<node id="4" lat="31.21" lon="121.50"/><node id="5" lat="31.205" lon="121.505">
<tag k="amenity" v="hospital"/><tag k="name" v="东方医院"/><tag k="name:en" v="East Hospital"/></node>
<way id="10"><nd ref="1"/><nd ref="2"/><tag k="highway" v="primary"/><tag k="oneway" v="-1"/>
<tag k="name" v="滨江大道"/>
<tag k="lanes" v="4"/><tag k="maxspeed" v="60"/>
<tag k="bridge" v="yes"/><tag k="layer" v="1"/></way>
<way id="11"><nd ref="1"/><nd ref="2"/><nd ref="3"/><nd ref="4"/><nd ref="1"/><tag k="building" v="office"/>
<tag k="building:levels" v="10"/></way>
<way id="12"><nd ref="1"/><nd ref="2"/><nd ref="3"/><nd ref="1"/><tag k="natural" v="water"/></way>
<way id="13"><nd ref="3"/><nd ref="4"/><tag k="highway" v="motorway"/></way></osm>"""


def test_openstreetmap_gives_streets_with_direction_and_buildings_with_height(tmp_path: Path) -> None:
    path = tmp_path / "map.osm"
    path.write_text(OSM, "utf-8")
    found = {a.id: a for a in read_file(path, Plan("osm")).assets}
    road = found["osm.w10"]
    assert (road.kind, road.name) == ("road", "滨江大道")
    wanted = {"class": "primary", "oneway": -1, "lanes": 4, "maxspeed": 60, "bridge": True, "layer": 1}
    assert wanted.items() <= dict(road.attributes).items()
    assert found["osm.w13"].attributes["oneway"] == 1
    assert found["osm.w11"].attributes["height"] == pytest.approx(32.0)
    assert found["osm.w12"].kind == "water"
    assert (found["osm.n5"].kind, found["osm.n5"].name_en) == ("place", "East Hospital")
    only = read_file(path, Plan("osm", kind="building"))
    assert dict(only.counts) == {"building": 1}


EPANET = """[TITLE]
a net
[JUNCTIONS]
;id elev demand
J1  100  10
J2  120  20 ; a comment
[RESERVOIRS]
R1  200
[TANKS]
T1  150 10 5 20 50 0
[PIPES]
P1 R1 J1 1000 12 130 0 Open
P2 J1 J2 500 8 120 0 Closed
[PUMPS]
PU J1 J1b HEAD 1
[VALVES]
V1 J2 T1 6 PRV 40 0
[COORDINATES]
J1 0 0
J2 500 0
R1 -1000 0
T1 500 300
J1b 0 0
[VERTICES]
P1 -500 200
[OPTIONS]
Units GPM
[END]
"""


def test_epanet_in_feet_becomes_metres_and_links_know_their_ends(tmp_path: Path) -> None:
    path = tmp_path / "net.inp"
    path.write_text(EPANET, "utf-8")
    found = {a.id: a for a in read_file(path, Plan("net", crs="local:121.5,31.2,0.3048")).assets}
    pipe = found["net.link.P1"]
    assert pipe.attributes["length_m"] == pytest.approx(304.8)
    assert pipe.attributes["diameter_mm"] == pytest.approx(304.8)
    assert (pipe.attributes["tail"], pipe.attributes["head"]) == ("net.node.R1", "net.node.J1")
    assert len(pipe.geometry.coords) == 3
    assert found["net.link.P2"].attributes["shut"] is True
    assert found["net.node.J1"].attributes["demand_lps"] == pytest.approx(0.6309)
    kinds = {a.kind for a in found.values()}
    assert kinds == {"junction", "water_source", "tank", "pipe", "water_pump", "control_valve"}
    assert found["net.link.PU"].geometry.geom_type == "Point"  # both its ends are one place


SWMM = """[OPTIONS]
FLOW_UNITS LPS
[JUNCTIONS]
A 10 3
B 9.5 3
[OUTFALLS]
O 9 FREE
[CONDUITS]
C1 A B 100 0.013 0 0
C2 B O 100 0.013 0.2 0
[XSECTIONS]
C1 CIRCULAR 0.6 0 0 0
C2 RECT_CLOSED 1 2 0 0
[SUBCATCHMENTS]
S1 RG A 1.5 60 50 0.5 0
[COORDINATES]
A 0 0
B 100 0
O 200 0
[POLYGONS]
S1 0 0
S1 50 0
S1 50 50
"""


def test_swmm_drains_have_inverts_and_catchments_their_outlet(tmp_path: Path) -> None:
    path = tmp_path / "drains.inp"
    path.write_text(SWMM, "utf-8")
    found = {a.id: a for a in read_file(path, Plan("d", crs="local:121.5,31.2")).assets}
    assert found["d.link.C2"].attributes["upper_m"] == pytest.approx(9.7)
    assert found["d.link.C1"].attributes["diameter_mm"] == 600
    assert found["d.node.A"].attributes["ground_m"] == pytest.approx(13.0)
    assert found["d.area.S1"].attributes["outlet"] == "d.node.A"
    assert found["d.area.S1"].attributes["area_m2"] == 15_000


def frame(columns: list[str], rows: list[list[object]]) -> dict[str, object]:
    body = json.dumps({"columns": columns, "index": list(range(len(rows))), "data": rows})
    return {"_module": "pandas.core.frame", "_class": "DataFrame", "_object": body}


def pandapipes(folder: Path, pipes: list[list[object]]) -> Path:
    net = {
        "fluid": {"_object": '{"name": "lgas"}'},
        "junction": frame(["name", "pn_bar"], [["a", 1.0], ["b", 1.0]]),
        "junction_geodata": frame(["x", "y"], [[640412.0, 3457455.0], [640500.0, 3457455.0]]),
        "pipe": frame(["name", "from_junction", "to_junction", "length_km", "diameter_m"], pipes),
        "ext_grid": frame(["junction"], [[0]]),
        "sink": frame(["junction", "mdot_kg_per_s", "scaling"], [[1, 0.02, 1.0]]),
    }
    path = folder / "gas.json"
    path.write_text(json.dumps({"_module": "pandapipes.pandapipes_net", "_object": net}), "utf-8")
    return path


def test_pandapipes_is_read_without_pandapipes(tmp_path: Path) -> None:
    found = read_file(pandapipes(tmp_path, [["p", 0, 1, 0.088, 0.1]]), Plan("g", crs="EPSG:4549"))
    by_id = {a.id: a for a in found.assets}
    assert by_id["g.node.0"].kind == "gas_station"
    assert by_id["g.link.0"].attributes["diameter_mm"] == pytest.approx(100.0)
    assert by_id["g.node.1"].attributes["use_kg_s"] == pytest.approx(0.02)


def cityjson(folder: Path, **more: object) -> Path:
    """A house of 10 × 8 × 6 m with a part of 3 m height beside it."""
    box = [[0, 0, 0], [10, 0, 0], [10, 8, 0], [0, 8, 0], [0, 0, 6], [10, 0, 6], [10, 8, 6], [0, 8, 6]]
    solid = [[[0, 3, 2, 1]], [[4, 5, 6, 7]], [[0, 1, 5, 4]], [[1, 2, 6, 5]], [[2, 3, 7, 6]], [[3, 0, 4, 7]]]
    kinds = [{"type": "GroundSurface"}, {"type": "RoofSurface"}, {"type": "WallSurface"}]
    house = {"type": "Building", "attributes": {"name": "小屋", "height": "?"}, "geometry": [
        {"type": "MultiSurface", "lod": "0", "boundaries": [[[0, 1, 2, 3]]]},
        {"type": "Solid", "lod": "2.2", "boundaries": [solid],
         "semantics": {"surfaces": kinds, "values": [[0, 1, 2, 2, 2, 2]]}},
    ]}  # fmt: skip
    document = {
        "type": "CityJSON",
        "version": "2.0",
        "transform": {"scale": [0.001] * 3, "translate": [640412.0, 3457455.0, 4.0]},
        "metadata": {"referenceSystem": "https://www.opengis.net/def/crs/EPSG/0/4549"},
        "CityObjects": {"B1": house},
        "vertices": [[v * 1000 for v in place] for place in box],
        **more,
    }
    path = folder / "house.city.json"
    path.write_text(json.dumps(document), "utf-8")
    return path


def test_cityjson_has_height_level_of_detail_and_surfaces(tmp_path: Path) -> None:
    [asset] = read_file(cityjson(tmp_path), Plan("cj")).assets
    assert (asset.kind, asset.name) == ("building", "小屋")
    assert asset.attributes["height"] == pytest.approx(6.0)
    assert asset.attributes["base_m"] == pytest.approx(4.0)
    assert asset.attributes["lod"] == "2.2"
    assert asset.attributes["surfaces_m2"] == {
        "GroundSurface": 80.0,
        "RoofSurface": 80.0,
        "WallSurface": 216.0,
    }
    assert asset.geometry.geom_type == "Polygon"


def test_cityjson_as_a_sequence_of_features(tmp_path: Path) -> None:
    whole = json.loads(cityjson(tmp_path).read_text())
    head = {**whole, "CityObjects": {}, "vertices": []}
    feature = {
        "type": "CityJSONFeature",
        "id": "B1",
        "CityObjects": whole["CityObjects"],
        "vertices": whole["vertices"],
    }
    path = tmp_path / "houses.city.jsonl"
    path.write_text(f"{json.dumps(head)}\n{json.dumps(feature)}\n", "utf-8")
    assert len(read_file(path, Plan("cj")).assets) == 1


# -- files that are wrong ---------------------------------------------------------------------------------------


def polygon(*places: tuple[float, float]) -> dict[str, object]:
    shape = {"type": "Polygon", "coordinates": [[list(place) for place in places]]}
    return {"type": "Feature", "id": "S1", "properties": {}, "geometry": shape}


def test_a_self_crossing_surface_is_refused_with_the_place(tmp_path: Path) -> None:
    bow_tie = polygon((121.5, 31.2), (121.6, 31.3), (121.6, 31.2), (121.5, 31.3), (121.5, 31.2))
    found = read_file(geojson(tmp_path, bow_tie), plan(kind="site"))
    assert not found.assets
    assert refusals(found) == [
        "f: feature 1 (id S1): geometry: is not valid: Self-intersection at 121.55, 31.25"
    ]
    assert "几何不合法" in refusals(found, "zh")[0]


def test_swapped_longitude_and_latitude_are_seen(tmp_path: Path) -> None:
    turned = [{**point(n), "geometry": {"type": "Point", "coordinates": [31.2, 121.5]}} for n in range(3)]
    with pytest.raises(FileRefused) as refused:
        read_file(geojson(tmp_path, *turned), plan())
    assert "swapped" in why(refused)
    found = read_file(geojson(tmp_path, point(7), point(8), turned[0]), plan())
    assert refusals(found) == [
        "f: feature 3 (id W0): geometry: longitude and latitude of 31.2, 121.5 are swapped"
    ]


def test_swapped_coordinates_that_could_be_degrees_are_seen_by_where_the_city_is(tmp_path: Path) -> None:
    paris = [{**point(n), "geometry": {"type": "Point", "coordinates": [48.85, 2.35]}} for n in range(3)]
    with pytest.raises(FileRefused) as refused:
        read_file(geojson(tmp_path, *paris), plan(near=(2.0, 48.5, 2.7, 49.1)))
    assert "swapped" in why(refused)


def test_metres_where_degrees_are_stated_are_seen(tmp_path: Path) -> None:
    far = [
        {**point(n), "geometry": {"type": "Point", "coordinates": [640412.0, 3457455.0]}} for n in range(3)
    ]
    with pytest.raises(FileRefused) as refused:
        read_file(geojson(tmp_path, *far), plan())
    assert "projected" in why(refused)
    assert "640412" in why(refused)


def test_a_wrong_system_is_seen_by_where_the_features_land(tmp_path: Path) -> None:
    path = tmp_path / "wells.csv"
    path.write_text("id,x,y\nA,640412,3457455\n", "utf-8")
    with pytest.raises(FileRefused) as refused:
        read_file(path, plan(crs="EPSG:4547", near=NEAR))  # the neighbour's meridian
    assert "km away" in why(refused)
    assert read_file(path, plan(crs="EPSG:4549", near=NEAR)).assets


def test_a_file_without_a_reference_system_must_be_told_one(tmp_path: Path) -> None:
    path = tmp_path / "wells.csv"
    path.write_text("id,x,y\nA,640412,3457455\n", "utf-8")
    with pytest.raises(FileRefused) as refused:
        read_file(path, plan())
    assert "--crs" in why(refused)
    with pytest.raises(Invalid, match="unknown_crs"):
        read_file(path, plan(crs="EPSG:99999"))


def test_mixed_geometries_are_counted_and_one_kind_can_be_chosen(tmp_path: Path) -> None:
    square = polygon((121.5, 31.2), (121.6, 31.2), (121.6, 31.3), (121.5, 31.2))
    path = geojson(tmp_path, point(1), point(2), square)
    with pytest.raises(FileRefused) as refused:
        read_file(path, plan())
    assert "2 point (feature 1 (id W1)), 1 surface (feature 3 (id S1))" in why(refused)
    chosen = read_file(path, plan(shape="point"))
    assert len(chosen.assets) == 2
    assert "not of the chosen shape" in refusals(chosen)[0]


def test_an_empty_name_is_refused_where_a_name_is_needed(tmp_path: Path) -> None:
    path = geojson(tmp_path, point(1, name="医院"), point(2, name="  "), point(3))
    found = read_file(path, plan(kind="place"))
    assert [a.name for a in found.assets] == ["医院"]
    assert [each.split(": ")[1:] for each in refusals(found)] == [
        ["feature 2 (id W2)", "name", "the name is empty"],
        ["feature 3 (id W3)", "name", "the name is empty"],
    ]
    assert not read_file(path, plan()).refused  # a manhole needs none


def test_a_duplicate_id_names_the_first(tmp_path: Path) -> None:
    found = read_file(geojson(tmp_path, point(1), point(2), {**point(3), "id": "W1"}), plan())
    assert refusals(found) == ["f: feature 3 (id W1): id: wells.W1 stands at feature 1 (id W1) already"]


def test_broken_encoding_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "wells.csv"
    path.write_bytes(b"id,name,lon,lat\nA," + b"\xff\xfe\xff" + b",121.5,31.2\n")
    with pytest.raises(FileRefused) as refused:
        read_file(path, plan(crs="EPSG:4326"))
    assert "line 2" in why(refused)
    gbk = tmp_path / "gbk.csv"
    gbk.write_bytes("id,名称,lon,lat\nA,井,121.5,31.2\n".encode("gbk"))
    with pytest.raises(FileRefused) as refused:
        read_file(gbk, plan(crs="EPSG:4326", encoding="utf-8"))
    assert "is not utf-8" in why(refused)
    with pytest.raises(FileRefused):
        read_file(gbk, plan(crs="EPSG:4326", encoding="klingon"))


def test_broken_texts_of_a_shapefile_name_feature_and_field(tmp_path: Path) -> None:
    path = write(tmp_path / "wells.shp", encoding="GBK")
    path.with_suffix(".cpg").unlink()
    table = path.with_suffix(".dbf")
    table.write_bytes(table.read_bytes().replace("二号井".encode("gbk"), b"\xff\xff\xff\xff\xff\xff"))
    found = read_file(path, plan())
    assert len(found.assets) == 2
    assert refusals(found)[0].startswith("f: feature 2: 名称: the text is broken")


def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.geojson"
    with path.open("wb") as file:
        file.truncate(3 << 30)  # sparse: it takes no room
    with pytest.raises(FileRefused) as refused:
        read_file(path, plan())
    assert "3072 MB" in why(refused)


CSV_HEAD = "id,lon,lat,dn\n"
WRONG: Mapping[str, tuple[str, str, str]] = {
    "empty": ("wells.geojson", "", "empty"),
    "not json": ("wells.geojson", '{"type": "FeatureCollection", "features": [', "not JSON at line 1"),
    "not geojson": ("wells.geojson", '{"wells": []}', "not GeoJSON"),
    "no features": ("wells.geojson", '{"type": "FeatureCollection"}', "not GeoJSON"),
    "unknown format": ("wells.dwg", "AC1032", "not a format"),
    "no columns": ("wells.csv", "id,place\nA,there\n", "no columns of coordinates"),
    "no sections": ("net.inp", "just words\n", "no [SECTION]"),
    "not cityjson": ("a.city.json", '{"type": "City"}', "not CityJSON"),
    "old cityjson": ("a.city.json", '{"type": "CityJSON", "version": "0.9", "CityObjects": {}}', "0.9"),
    "not pandapipes": ("a.json", '{"_module": "pandapipes.x", "_object": {}}', "not a pandapipes"),
    "not a geopackage": ("a.gpkg", "not SQLite at all", "cannot be read"),
    "not a shapefile": ("a.shp", "not a shapefile", "cannot be read"),
    "not a pbf": ("a.osm.pbf", "not a pbf", "cannot be read"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_is_no_such_file_says_so(tmp_path: Path, name: str) -> None:
    file, content, reason = WRONG[name]
    path = tmp_path / file
    path.write_text(content, "utf-8")
    with pytest.raises(FileRefused) as refused:
        read_file(path, plan(crs="EPSG:4326"))
    assert reason in why(refused)
    assert file in why(refused)
    assert file in why(refused, "zh")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileRefused) as refused:
        read_file(tmp_path / "nowhere.gpkg", plan())
    assert "nowhere.gpkg" in why(refused)


def feature(geometry: object, **more: object) -> dict[str, object]:
    return {"type": "Feature", "geometry": geometry, "properties": {}, **more}


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (feature(None), "geometry: has no geometry"),
        (feature({"type": "Point", "coordinates": []}), "geometry: has no geometry"),
        (feature({"type": "Pint", "coordinates": [1, 2]}), "geometry: is no geometry"),
        (feature({"type": "Point", "coordinates": ["a", 2]}), "geometry: is no geometry"),
        (feature({"type": "Point"}), "geometry: is no geometry"),
        ({"type": "Thing"}, "type: not a GeoJSON feature"),
        ("words", "type: not a GeoJSON feature"),
        (feature(None, properties=[1]), "properties: must be an object"),
        ({**point(), "id": "x" * 99}, "id: wells.x"),
    ],
)
def test_one_broken_feature_is_named_and_the_rest_is_read(
    tmp_path: Path, broken: object, reason: str
) -> None:
    found = read_file(geojson(tmp_path, point(1), broken, point(2)), plan())
    assert [a.id for a in found.assets] == ["wells.W1", "wells.W2"]
    assert "feature 2" in refusals(found)[0]
    assert reason in refusals(found)[0]


@pytest.mark.parametrize(
    ("row", "reason"),
    [("A,abc,31.2,1", "row 2: lon: abc is not a number"), ("A,,31.2,1", "row 2: lon:  is not a number"),
     ("A,121.5,31.2", "row 2: (row): has 3 cells, not 4")],
)  # fmt: skip
def test_one_broken_row_is_named(tmp_path: Path, row: str, reason: str) -> None:
    path = tmp_path / "wells.csv"
    path.write_text(f"{CSV_HEAD}{row}\nB,121.5,31.2,2\n", "utf-8")
    found = read_file(path, plan(crs="EPSG:4326"))
    assert len(found.assets) == 1
    assert reason in refusals(found)[0]


def test_a_link_without_an_end_or_a_number_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "net.inp"
    path.write_text(EPANET.replace("P2 J1 J2 500 8", "P2 J1 J9 5oo 8").replace("J1b 0 0\n", ""), "utf-8")
    told = refusals(read_file(path, Plan("net", crs="local:121.5,31.2")))
    assert told == ["f: [PIPES] P2 (line 13): column 4: 5oo is not a number",
                    "f: [PUMPS] PU (line 15): geometry: has no geometry"]  # fmt: skip


def test_a_gas_pipe_to_nowhere_is_named(tmp_path: Path) -> None:
    found = read_file(pandapipes(tmp_path, [["p", 0, 7, 0.088, 0.1]]), Plan("g", crs="EPSG:4549"))
    assert refusals(found) == ["f: pipe 0: to_junction: there is no node 7"]


def test_cityjson_with_a_vertex_that_is_not_there_names_the_object(tmp_path: Path) -> None:
    found = read_file(cityjson(tmp_path, vertices=[[0, 0, 0]]), Plan("cj"))
    assert not found.assets
    assert refusals(found)[0].startswith("f: B1: geometry: is no geometry: IndexError")


# -- into the database ------------------------------------------------------------------------------------------


async def test_nothing_is_half_imported(tmp_path: Path, database: Database) -> None:
    path = geojson(tmp_path, point(1), point(1), point(2))
    report = await importing.import_file(database, path, plan(), NOW)
    assert not report.stored
    assert not await store.find(database)
    assert "nothing was imported" in next(iter(report.lines(WORDS, "en")))
    report = await importing.import_file(database, path, plan(), NOW, accept_rest=True)
    assert report.stored
    assert [a.asset.id for a in await store.find(database)] == ["wells.W1", "wells.W2"]


async def test_a_dry_run_writes_nothing(tmp_path: Path, database: Database) -> None:
    report = await importing.import_file(database, geojson(tmp_path, point(1)), plan(), NOW, dry=True)
    assert not report.stored
    assert not await store.find(database)
    assert "nothing was written" in next(iter(report.lines(WORDS, "en", dry=True)))


async def test_the_layer_remembers_its_system_source_and_licence(tmp_path: Path, database: Database) -> None:
    path = write(tmp_path / "wells.gpkg", system="EPSG:4549")
    await importing.import_file(database, path, plan(licence="CC BY 4.0"), NOW)
    [layer] = await store.layers(database)
    assert (layer["layer"], layer["crs"], layer["source"], layer["licence"]) == (
        "wells", "EPSG:4549", "wells.gpkg", "CC BY 4.0",
    )  # fmt: skip
    assert await importing.extent(database) == pytest.approx((121.0, 30.7, 122.02, 31.72), abs=1e-4)


async def test_a_second_import_replaces_the_layer(tmp_path: Path, database: Database) -> None:
    await importing.import_file(database, geojson(tmp_path, point(1), point(2)), plan(), NOW)
    changed: list[object] = [point(1), point(3, name="新井")]
    report = await importing.import_file(database, geojson(tmp_path, *changed), plan(), NOW + 1)
    assert report.counts is not None
    assert (report.counts.stored, report.counts.removed) == (2, 1)
    assert [a.asset.id for a in await store.find(database)] == ["wells.W1", "wells.W3"]


def test_every_reason_has_a_text() -> None:
    keys = set()
    for path in (ROOT / "gis" / "importers").glob("*.py"):
        keys |= {part for part in path.read_text().split('"') if part.startswith("import.")}
    assert keys
    assert all(WORDS.has(key, language) for key in keys for language in ("zh", "en"))


def test_ifc_gives_the_hull_of_a_building_or_says_what_is_missing() -> None:
    path = Path(__file__).parent / "data" / "house.ifc"
    if importlib.util.find_spec("ifcopenshell") is None:
        with pytest.raises(FileRefused) as refused:
            read_file(path, Plan("bim"))
        assert "ifcopenshell" in why(refused)
        return
    [asset] = read_file(path, Plan("bim")).assets
    assert (asset.kind, asset.name) == ("building", "示范楼")
    assert asset.attributes["height"] == pytest.approx(30.0)
    assert asset.lonlat == pytest.approx((121.50006, 31.24004), abs=1e-5)
