"""The joints to the rooms below: where incidents and readings come from. These two protocols are all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from core.actor import Actor
from core.db import DictConnection
from dispatch.incident import Incident, Series
from dispatch.papers import Paper


class Incidents(Protocol):
    """Where incidents are read, and told of their cases: they end when those are done and the evidence has cleared."""

    async def get(self, connection: DictConnection, incident: str) -> Incident | None:
        """The incident as it stands in this transaction."""

    async def open(self, connection: DictConnection) -> list[str]:
        """Ids of incidents that are open or confirmed."""

    async def case_opened(
        self, connection: DictConnection, incident: str, case: str, by: Actor, now_us: int
    ) -> None: ...

    async def case_closed(
        self, connection: DictConnection, incident: str, case: str, by: Actor, now_us: int
    ) -> None: ...

    async def permit(self, connection: DictConnection, permit: Paper, by: Actor, now_us: int) -> None:
        """Works that were permitted are evidence against incidents at their place, until they end."""


class Readings(Protocol):
    """Where the readings of a case's own sensors come from, and what the devices are that we may command."""

    async def series(self, points: Sequence[tuple[str, str]], from_us: int, to_us: int) -> list[Series]:
        """Every known point with its committed readings in [from, to], and its newest one however old."""

    def kind_of(self, device: str) -> str | None:
        """None when the registry does not know it."""

    def wire_of(self, device: str) -> tuple[str, str]:
        """Its gateway, and its name on the wire. Raises `NotFound`."""

    def near(self, kind: str, lon: float, lat: float, within_m: float) -> list[str]:
        """Devices of a kind within a distance (WGS 84), the nearest first."""
