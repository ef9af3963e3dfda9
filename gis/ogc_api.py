"""OGC API – Features over the stored assets: one collection a kind. Core, GeoJSON, CRS, queryables, CQL2 filters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import numpy as np
import orjson
import shapely
from fastapi import APIRouter, Depends, Request
from psycopg.rows import DictRow
from starlette.responses import Response

from core.clock import rfc3339, to_us
from core.db import Database
from core.errors import CityOpsError, Invalid, NotFound
from core.http import Allow, Db, Json, Now, decode_cursor, encode_cursor, to_json
from gis import cql, store
from gis.asset import Asset
from gis.crs import Crs, crs
from gis.lines import Floats

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
#: What every answer may be asked in; others that PROJ knows are given too.
SYSTEMS = (CRS84, *(f"{EPSG}{code}" for code in (4326, 4490, 3857, 4549)))
STORAGE = CRS84

CONFORMANCE = (
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-features-2/1.0/conf/crs",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/queryables",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/features-filter",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-text",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-json",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-cql2",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-spatial-functions",
)

GEOJSON = "application/geo+json"
OWN = ("id", "name", "name_en", "zone", "area", "source", "provenance")
KNOWN = {
    "f",
    "limit",
    "cursor",
    "bbox",
    "bbox-crs",
    "crs",
    "datetime",
    "filter",
    "filter-lang",
    "filter-crs",
    "lang",
}
MOST = 10_000
STEP = 2_000


class BadRequest(CityOpsError):
    """The standard asks for 400 where we elsewhere say 422."""

    key = "error.bad_parameter"


@dataclass(frozen=True, slots=True)
class Query:
    """What `/items` was asked, in WGS 84."""

    kind: str
    limit: int
    after: str
    bbox: tuple[float, float, float, float] | None
    begin: datetime | None
    end: datetime | None
    where: cql.Filter
    system: str

    def params(self) -> dict[str, object]:
        """For the queries `items` and `count_items`."""
        west, south, east, north = self.bbox or (None, None, None, None)
        return {"kind": self.kind, "west": west, "south": south, "east": east, "north": north, "from": self.begin,
                "to": self.end, "filter": self.where.jsonpath or None}  # fmt: skip


def router() -> APIRouter:
    """Routes under `/ogc`."""
    routes = APIRouter(prefix="/ogc", dependencies=[Depends(Allow("map.read"))])

    @routes.get("/")
    async def landing(request: Request) -> Response:
        base = _base(request)
        return Json({
            "title": "CityOps", "description": "Assets of the city",
            "links": [
                _link(base, "self", "application/json"),
                _link(f"{base}/conformance", "conformance", "application/json"),
                _link(f"{base}/collections", "data", "application/json"),
                _link(str(request.url_for("landing")).replace("/ogc/", "/openapi.json"), "service-desc",
                      "application/vnd.oai.openapi+json;version=3.0"),
            ],
        })  # fmt: skip

    @routes.get("/conformance")
    async def conformance() -> Response:
        return Json({"conformsTo": CONFORMANCE})

    @routes.get("/collections")
    async def collections(request: Request, database: Db) -> Response:
        rows = await database.fetch(store.QUERIES["collections"])
        found = [_collection(row, _base(request)) for row in rows]
        return Json({"collections": found, "crs": SYSTEMS,
                     "links": [_link(f"{_base(request)}/collections", "self", "application/json")]})  # fmt: skip

    @routes.get("/collections/{kind}")
    async def collection(request: Request, database: Db, kind: str) -> Response:
        return Json(_collection(await _row(database, kind), _base(request)))

    @routes.get("/collections/{kind}/queryables")
    async def queryables(request: Request, database: Db, kind: str) -> Response:
        await _row(database, kind)
        fields = await database.fetch(store.QUERIES["collection_fields"], kind=kind)
        here = f"{_base(request)}/collections/{kind}/queryables"
        return Response(to_json(_queryables(fields, here, kind)), media_type="application/schema+json")

    @routes.get("/collections/{kind}/items")
    async def items(request: Request, database: Db, clock: Now, kind: str) -> Response:
        """Features of a kind: `limit`, `bbox`, `bbox-crs`, `crs`, `datetime`, `filter`, any property; by pages."""
        await _row(database, kind)
        asked = _query(kind, request.query_params)
        found, more = await _page(database, asked)
        body: dict[str, Any] = {
            "type": "FeatureCollection",
            "features": [_feature(each, asked.system) for each in found],
            "numberReturned": len(found),
            "timeStamp": rfc3339(clock.now_us()),
            "links": _links(request, found, more=more),
        }
        if asked.where.shape is None:
            row = await database.fetch_one(store.QUERIES["count_items"], **asked.params())
            body["numberMatched"] = row["number"] if row else 0
        return Response(to_json(body), media_type=GEOJSON, headers={"Content-Crs": f"<{asked.system}>"})

    @routes.get("/collections/{kind}/items/{feature}")
    async def item(request: Request, database: Db, kind: str, feature: str) -> Response:
        system = _system(request.query_params.get("crs", CRS84))
        found = (await store.get(database, feature)).asset
        if found.kind != kind:
            raise NotFound("error.no_asset", asset=feature)
        here = f"{_base(request)}/collections/{kind}/items/{feature}"
        links = [
            _link(here, "self", GEOJSON),
            _link(f"{_base(request)}/collections/{kind}", "collection", "application/json"),
        ]
        body = {**_feature(found, system), "links": links}
        return Response(to_json(body), media_type=GEOJSON, headers={"Content-Crs": f"<{system}>"})

    return routes


# -- what is asked ----------------------------------------------------------------------------------------------


def _query(kind: str, params: Mapping[str, str]) -> Query:
    """Read the parameters of `/items`. Raises `BadRequest` naming the one that is wrong."""
    try:
        limit = int(params.get("limit", "10"))
    except ValueError:
        raise BadRequest(parameter="limit", value=params["limit"]) from None
    if limit < 1:
        raise BadRequest(parameter="limit", value=limit)
    begin, end = _times(params.get("datetime"))
    where = _where(params)
    box = _bbox(params)
    if where.shape is not None:
        box = _common(box, where.shape.bounds)
    return Query(kind, min(limit, MOST), str(decode_cursor(params.get("cursor")) or ""), box, begin, end, where,
                 _system(params.get("crs", CRS84)))  # fmt: skip


def _where(params: Mapping[str, str]) -> cql.Filter:
    """The filter, joined with every `property=value`. An unknown parameter can only be a property."""
    if params.get("filter-crs", CRS84) != CRS84:
        raise BadRequest(parameter="filter-crs", value=params["filter-crs"])
    language = params.get("filter-lang", "cql2-text")
    if language not in {"cql2-text", "cql2-json"}:
        raise BadRequest(parameter="filter-lang", value=language)
    try:
        asked = cql.parse(params["filter"], language) if "filter" in params else cql.Filter()
        equal = [cql.equal(name, value) for name, value in params.items() if name not in KNOWN]
    except Invalid as wrong:
        raise BadRequest("error.bad_filter", **wrong.params) from None
    return replace(asked, jsonpath=cql.both(asked.jsonpath, *equal))


def _times(text: str | None) -> tuple[datetime | None, datetime | None]:
    """`2026-01-01T00:00:00Z`, or an interval whose ends may be `..` or empty."""
    if text is None:
        return None, None
    parts = text.split("/")
    if len(parts) > 2:
        raise BadRequest(parameter="datetime", value=text)
    moments = []
    for part in parts:
        try:
            moment = None if part in {"", ".."} else datetime.fromisoformat(part)
        except ValueError:
            raise BadRequest(parameter="datetime", value=text) from None
        if moment is not None and moment.tzinfo is None:
            raise BadRequest(parameter="datetime", value=text)
        moments.append(moment)
    return (moments[0], moments[0]) if len(moments) == 1 else (moments[0], moments[1])


def _bbox(params: Mapping[str, str]) -> tuple[float, float, float, float] | None:
    """The box in WGS 84, whatever system it was given in."""
    text = params.get("bbox")
    if not text:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise BadRequest(parameter="bbox", value=text) from None
    if len(numbers) == 6:
        numbers = [numbers[0], numbers[1], numbers[3], numbers[4]]
    if len(numbers) != 4 or not np.isfinite(numbers).all():
        raise BadRequest(parameter="bbox", value=text)
    name = _system(params.get("bbox-crs", CRS84))
    corners = _to_wgs84(np.array(numbers).reshape(2, 2), name)
    (west, south), (east, north) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    if not (west >= -180 and east <= 180 and south >= -90 and north <= 90):
        raise BadRequest(parameter="bbox", value=text)
    return west, south, east, north


def _common(
    box: tuple[float, float, float, float] | None, other: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:  # fmt: skip
    if box is None:
        return other
    return max(box[0], other[0]), max(box[1], other[1]), min(box[2], other[2]), min(box[3], other[3])


# -- coordinate reference systems -------------------------------------------------------------------------------


def _system(name: str) -> str:
    """A system by its URI, checked. Raises `BadRequest`."""
    if name == CRS84:
        return name
    try:
        _named(name)
    except Invalid:
        raise BadRequest(parameter="crs", value=name) from None
    return name


def _named(name: str) -> Crs:
    if not name.startswith(EPSG):
        raise Invalid("error.unknown_crs", field="crs", value=name)
    return crs(f"EPSG:{name.removeprefix(EPSG)}")


def _north_first(name: str) -> bool:
    """True where the authority puts latitude, or northing, before longitude, or easting."""
    import pyproj

    axes = pyproj.CRS.from_user_input(f"EPSG:{name.removeprefix(EPSG)}").axis_info
    return bool(axes) and axes[0].direction == "north"


def _to_wgs84(places: Floats, name: str) -> Floats:
    if name == CRS84:
        return places
    places = places[:, ::-1] if _north_first(name) else places
    return np.column_stack(_named(name).to_wgs84(places[:, 0], places[:, 1]))


def _from_wgs84(places: Floats, name: str) -> Floats:
    if name == CRS84:
        return places
    found = np.column_stack(_named(name).from_wgs84(places[:, 0], places[:, 1]))
    return found[:, ::-1] if _north_first(name) else found


# -- what is answered -------------------------------------------------------------------------------------------


async def _row(database: Database, kind: str) -> DictRow:
    rows = await database.fetch(store.QUERIES["collections"])
    found = next((row for row in rows if row["kind"] == kind), None)
    if found is None:
        raise NotFound("error.no_layer", layer=kind)
    return found


async def _page(database: Database, asked: Query) -> tuple[list[Asset], bool]:
    """A page and whether there is more. With a shape the database finds by boxes, and we look closer."""
    found: list[Asset] = []
    after = asked.after
    while len(found) <= asked.limit:
        step = asked.limit + 1 if asked.where.shape is None else STEP
        rows = await database.fetch(store.QUERIES["items"], **asked.params(), after=after, limit=step)
        some = [store.from_row(row) for row in rows]
        found += [
            each for each in some if asked.where.shape is None or each.geometry.intersects(asked.where.shape)
        ]
        if len(rows) < step:
            break
        after = some[-1].id
    return found[: asked.limit], len(found) > asked.limit


def _feature(asset: Asset, system: str) -> dict[str, Any]:
    shape = asset.geometry
    if system != CRS84:
        shape = shapely.transform(shape, lambda places: _from_wgs84(places, system))
    told = {key: value for key in OWN if (value := getattr(asset, key)) and key != "id"}
    times = {"valid_from": asset.valid_from_us, "valid_to": asset.valid_to_us}
    told |= {key: rfc3339(value) for key, value in times.items() if value is not None}
    return {"type": "Feature", "id": asset.id, "geometry": orjson.Fragment(shapely.to_geojson(shape)),
            "properties": {**asset.attributes, **told}}  # fmt: skip


def _collection(row: DictRow, base: str) -> dict[str, Any]:
    here = f"{base}/collections/{row['kind']}"
    times = [None if row[key] is None else rfc3339(to_us(row[key])) for key in ("valid_from", "valid_to")]
    return {
        "id": row["kind"], "title": row["kind"], "itemType": "feature", "crs": SYSTEMS, "storageCrs": STORAGE,
        "extent": {"spatial": {"bbox": [[row["west"], row["south"], row["east"], row["north"]]], "crs": CRS84},
                   "temporal": {"interval": [times]}},
        "links": [_link(f"{here}/items", "items", GEOJSON), _link(here, "self", "application/json"),
                  _link(f"{here}/queryables", "http://www.opengis.net/def/rel/ogc/1.0/queryables",
                        "application/schema+json")],
    }  # fmt: skip


def _queryables(fields: list[DictRow], here: str, kind: str) -> dict[str, Any]:
    own = {name: {"type": "string"} for name in OWN}
    told = {
        row["key"]: {"type": row["types"][0] if len(row["types"]) == 1 else row["types"]} for row in fields
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": here, "type": "object", "title": kind,
        "properties": {**told, **own, "geometry": {"format": "geometry-any"}}, "additionalProperties": False,
    }  # fmt: skip


def _links(request: Request, found: list[Asset], *, more: bool) -> list[dict[str, str]]:
    here = str(request.url)
    links = [_link(here, "self", GEOJSON)]
    if more:
        params = {**request.query_params, "cursor": encode_cursor(found[-1].id)}
        links.append(_link(f"{here.split('?', maxsplit=1)[0]}?{urlencode(params)}", "next", GEOJSON))
    return links


def _link(href: str, rel: str, kind: str) -> dict[str, str]:
    return {"href": href, "rel": rel, "type": kind}


def _base(request: Request) -> str:
    """The address of `/ogc` as the client reached it."""
    url = str(request.url).split("?", maxsplit=1)[0]
    return url[: url.index("/ogc") + len("/ogc")]
