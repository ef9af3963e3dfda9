"""What the analysis page asks over HTTP: series as CSV, and a quantity everywhere over time for the map."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from core.actor import Actor
from core.clock import SECOND_US, rfc3339
from core.errors import NotFound
from core.http import Allow, Json, Lang
from dashboard.explore.source import ACTION, Explorer, Line
from dashboard.explore.view import View
from iot.registry import Device, Registry

Reader = Annotated[Actor, Depends(Allow(ACTION))]
COLUMNS = ("time", "device", "channel", "unit", "value", "low", "high", "n", "quality", "provenance")


def router(explorer: Explorer, setup: Mapping[str, object]) -> APIRouter:
    """The routes under `/api/v1`."""
    routes = APIRouter(tags=["explore"])

    @routes.get("/explore")
    async def about(_: Reader) -> Response:
        """What the page must know before it draws its map: the city, its time zone, its base map."""
        return Json({key: setup[key] for key in ("city", "timezone", "map")})

    @routes.get("/explore/csv")
    async def series_csv(request: Request, actor: Reader, lang: Lang) -> Response:
        """The points of an address of the page as one table: UTF-8 with a mark for Excel, times RFC 3339."""
        lines = await explorer.lines(actor, View.of(request.url.query), lang)
        headers = {"Content-Disposition": 'attachment; filename="cityops.csv"'}
        return Response(table(lines), media_type="text/csv; charset=utf-8", headers=headers)

    @routes.get("/explore/map")
    async def over_time(
        request: Request, actor: Reader, channel: Annotated[str, Query(max_length=80)] = ""
    ) -> Response:
        """A quantity everywhere over the time of an address of the page, in steps of minutes or hours.

        `values[step][device]`, null where nothing was heard.
        """
        quantities = explorer.quantities(actor)
        if channel and channel not in quantities:
            raise NotFound("error.no_channel", device="*", channel=channel)
        channel = channel or next(iter(quantities), "")
        if not channel:
            return Json({"channels": [], "times": [], "devices": [], "values": []})
        begin_us, end_us = View.of(request.url.query).between_us(explorer.clock.now_us())
        found = await explorer.frames(actor, channel, begin_us, end_us)
        registry = explorer.registry()
        return Json(
            {
                "channel": channel,
                "unit": registry.channels[channel].decl.unit,
                "channels": [{"name": name, "n": n} for name, n in quantities.items()],
                "step_s": found.step_us // SECOND_US,
                "times": [rfc3339(us) for us in found.time_us.tolist()],
                "devices": [
                    {
                        "id": device.id, "name": dict(device.name), "lon": device.lon, "lat": device.lat,
                        "point": key_of(registry, device, channel),
                    }
                    for device in found.devices
                ],
                "values": [[None if v != v else round(v, 4) for v in step] for step in found.values.tolist()],  # noqa: PLR0124 - NaN
            }
        )  # fmt: skip

    return routes


def key_of(registry: Registry, device: Device, full: str) -> str:
    """What an address calls the point of a device that measures this channel."""
    names = registry.kind_of(device).channels
    return next(f"{device.id}/{name}" for name, each in names.items() if each == full)


def table(lines: list[Line]) -> str:
    """Long form, one row a value. Only numbers, times and ids stand in it, nothing that a spreadsheet would run."""
    out = io.StringIO()
    out.write("\ufeff")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for line in lines:
        series, point = line.series, line.point
        device, _, channel = point.key.rpartition("/")
        empty = np.full(len(series), None)
        columns = (
            series.value,
            *(
                empty if each is None else each
                for each in (series.low, series.high, series.n, series.quality)
            ),
        )
        for time_us, *values in zip(
            series.time_us.tolist(), *(column.tolist() for column in columns), strict=True
        ):
            writer.writerow(
                [rfc3339(time_us), device, channel, point.channel.decl.unit, *values, point.device.provenance]
            )
    return out.getvalue()
