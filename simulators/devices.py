"""The devices of the demo scene: what hangs where, and what each of its points does. Pure tables.

Numbers of streams are proposals of ours: believable levels for a calm day in a city of this kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from core.clock import HOUR_US, MINUTE_US, SECOND_US
from iot.registry import Provenance
from simulators.physics.supply import Gauge
from simulators.places import Places, Spot
from simulators.streams import Stream


@dataclass(frozen=True, slots=True)
class Recorded:
    """A series of a tape."""

    tape: str
    device: str
    channel: str


@dataclass(frozen=True, slots=True)
class Rain:
    """Depth of the last `window_us`, out of the station's own showers, mm."""

    window_us: int


Source = Stream | Gauge | Recorded | Rain


@dataclass(frozen=True, slots=True)
class Say:
    """One point: where its value comes from and how often it says it. What moves by `deadband` is said at once.

    `alarm_us` > 0: what has moved so is said this often for a while (`alarm_period` of the kind).
    """

    channel: str
    source: Source
    period_us: int
    deadband: float = float("inf")
    alarm_us: int = 0


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the scene. `role` names what the play does to it: `underpass`, `site` …"""

    id: str
    kind: str
    spot: Spot
    gateway: str
    says: tuple[Say, ...]
    number: int = 1
    provenance: Provenance = "simulated"
    role: str = ""
    params: dict[str, object] = field(default_factory=dict)


def of(*says: Say) -> tuple[Say, ...]:
    return says


def steady(value: float, low: float = 0.0) -> Stream:
    """A state or a reserve that stands still."""
    return Stream(base=value, low=low)


def all_devices(places: Places) -> list[Device]:
    """Everything, recorded and simulated; ids are stable as long as the city is."""
    return [
        *_recorded_depths(places), *_recorded_inlets(places), *_recorded_noise(places),
        *_water(places), *_flood(places), *_drainage(places), *_gas(places), *_sites(places), *_fire(places),
        *_reported(places),
    ]  # fmt: skip


FLOODNET = ("barely_hot_aphid", "jolly-novel-boa", "random_stuck_buffalo", "slowly_key_husky",
            "small_red_chicken", "useless_crimson_rook", "vastly_saving_whale", "widely_whole_tarpon")  # fmt: skip
BWDF = tuple(f"dma-{number}" for number in range(1, 11))


def _recorded_depths(places: Places) -> Iterator[Device]:
    """FloodNet sensors at low points of streets; their real period is about a minute."""
    for number, (recorded, spot) in enumerate(zip(FLOODNET, places.low_points, strict=False), 1):
        says = tuple(
            Say(channel, Recorded("floodnet", recorded, channel), MINUTE_US)
            for channel in ("depth", "battery_voltage", "rssi")
        )
        yield Device(
            f"fl-street-{number:02d}", "fl_street_depth", spot, "gw-rec-flood", says, number, "recorded"
        )


def _recorded_inlets(places: Places) -> Iterator[Device]:
    """BWDF inflows at all inlets of some districts; hourly means, said at the hour."""
    for number, (recorded, spot) in enumerate(zip(BWDF, _inlets(places)[1], strict=False), 1):
        says = of(
            Say("flow", Recorded("bwdf", recorded, "flow"), HOUR_US),
        )
        params: dict[str, object] = {"period_s": 3600}
        yield Device(
            f"ws-inlet-{number:02d}",
            "ws_flow_meter",
            spot,
            "gw-rec-water",
            says,
            number,
            "recorded",
            "",
            params,
        )


def _inlets(places: Places) -> tuple[list[Spot], list[Spot]]:
    """Inlets that the model feeds, those of the pilot first, and those that recordings feed.

    A district has all its inlets of one sort, or they could not be balanced.
    """
    districts = sorted({spot.zone for spot in places.inlets} - {places.pilot})
    taken: list[Spot] = []
    for district in districts:
        mine = [spot for spot in places.inlets if spot.zone == district]
        taken += mine if len(taken) + len(mine) <= len(BWDF) else []
    rest = [spot for spot in places.inlets if spot not in taken]
    return sorted(rest, key=lambda spot: (spot.zone != places.pilot, spot.zone)), taken


def _recorded_noise(places: Places) -> Iterator[Device]:
    for spot in places.noise_points[:1]:
        says = of(
            Say("laeq_1m", Recorded("montreal", "montreal", "laeq_1m"), MINUTE_US),
        )
        yield Device("con-noise-01", "con_noise", spot, "gw-rec-noise", says, 1, "recorded")


def _water(places: Places) -> Iterator[Device]:
    gateway = "gw-sim-water"
    for number, spot in enumerate(places.loggers, 1):
        pilot = spot.zone == places.pilot
        period = (5 if pilot else 60) * SECOND_US
        says = of(
            Say("pressure", Gauge(node=spot.node), period),
        )
        params: dict[str, object] = {"period_s": period // SECOND_US}
        if pilot:  # a logger that speaks every 5 s need not wait minutes to be believed
            params |= {"drop_hold_s": 5, "low_hold_s": 30}
        yield Device(f"ws-p-{number:02d}", "ws_pressure_logger", spot, gateway, says, number, params=params)
    for number, spot in enumerate(_inlets(places)[0], 1):
        pilot = spot.zone == places.pilot
        period = (10 if pilot else 60) * SECOND_US
        says = of(
            Say("flow", Gauge(link=spot.link, sign=spot.sign), period),
            Say("pressure", Gauge(node=spot.node), period),
        )
        params = {"period_s": period // SECOND_US}
        if (
            not pilot
        ):  # what one inlet takes over from another is nobody's business: the balance of the district speaks
            params |= {"jump_ratio": 3.0}
        name = f"ws-pilot-{number:02d}" if pilot else f"ws-dma-{number:02d}"
        yield Device(name, "ws_flow_meter", spot, gateway, says, number + 20, params=params)
    for number, spot in enumerate(places.plants, 1):
        says = of(
            Say("flow", Gauge(link=spot.link, sign=spot.sign), MINUTE_US),
            Say("pressure", Gauge(node=spot.node), MINUTE_US),
        )
        params = {"period_s": 60, "outlet": True}
        yield Device(
            f"ws-plant-{number:02d}", "ws_flow_meter", spot, gateway, says, number + 40, params=params
        )
        yield Device(f"ws-q-{number:02d}", "ws_quality_station", spot, gateway, _quality(outlet=True), number)
    for number, spot in enumerate(places.hydrants[:3], len(places.plants) + 1):
        yield Device(
            f"ws-q-{number:02d}", "ws_quality_station", spot, gateway, _quality(outlet=False), number
        )
    for number, spot in enumerate(places.hydrants, 1):
        says = of(
            Say("pressure", Gauge(node=spot.node), 4 * HOUR_US, deadband=0.04),
            Say("water_taken", steady(0), 24 * HOUR_US, deadband=0.5),
            Say("tilt", Stream(base=1.0, low=0.0, resolution=1.0), 24 * HOUR_US, deadband=5.0),
            Say("cover_open", steady(0), 24 * HOUR_US, deadband=0.5),
        )
        yield Device(f"ws-hydrant-{number:02d}", "ws_hydrant", spot, gateway, says, number)


def _quality(*, outlet: bool) -> tuple[Say, ...]:
    period = 5 * MINUTE_US
    return (
        Say(
            "turbidity",
            Stream(0.12 if outlet else 0.22, slow=0.02, fast=0.01, low=0.02, resolution=0.01),
            period,
        ),
        Say(
            "chlorine",
            Stream(0.65 if outlet else 0.28, slow=0.03, fast=0.01, low=0.05, resolution=0.01),
            period,
        ),
        Say("ph", Stream(7.4, slow=0.05, fast=0.01, resolution=0.01), period),
        Say("conductivity", Stream(520, slow=8, fast=1, resolution=1), period),
        Say("water_temp", Stream(14.5, shape="sun", swing=0.03, slow=0.2, fast=0.03, resolution=0.1), period),
    )


def _flood(places: Places) -> Iterator[Device]:
    gateway = "gw-sim-flood"
    for number, spot in enumerate(places.underpasses, 1):
        says = of(
            Say("depth", Stream(0.0, fast=0.3, low=0.0, resolution=1.0), MINUTE_US, deadband=2.0),
            Say(
                "sump_level",
                Stream(0.7, slow=0.12, fast=0.02, low=0.1, high=1.4, resolution=0.01),
                MINUTE_US,
                0.3,
            ),
            Say("pumps_running", steady(0), MINUTE_US, 0.5),
            Say("pumps_available", steady(2), MINUTE_US, 0.5),
            Say("barrier_closed", steady(0), MINUTE_US, 0.5),
            Say("power_ok", steady(1), MINUTE_US, 0.5),
        )
        role = "underpass" if number == 1 else ""
        params: dict[str, object] = {"close_depth_cm": 25, "close_hold_s": 20}
        yield Device(
            f"fl-under-{number:02d}", "fl_underpass", spot, gateway, says, number, "simulated", role, params
        )
    for number, spot in enumerate(places.low_points[8:12], 11):
        depth = Stream(0.0, slow=0.3, fast=0.2, low=0.0, resolution=1.0)
        says = of(Say("depth", depth, 5 * MINUTE_US, deadband=2.0, alarm_us=MINUTE_US))
        params = {"close_depth_cm": 25}
        yield Device(
            f"fl-street-{number:02d}",
            "fl_street_depth",
            spot,
            gateway,
            says,
            number,
            role="road",
            params=params,
        )
    for number, spot in enumerate(places.rain_stations, 1):
        windows = (("rain_5m", 5 * MINUTE_US), ("rain_1h", HOUR_US), ("rain_24h", 24 * HOUR_US))
        says = tuple(
            Say(channel, Rain(window), 5 * MINUTE_US, 2.0 if channel == "rain_5m" else float("inf"))
            for channel, window in windows
        )
        role = "rain" if number == 1 else ""
        yield Device(f"fl-rain-{number:02d}", "fl_rain", spot, gateway, says, number, role=role)
    for number, spot in enumerate(places.river_sections, 1):
        level = Stream(2.35 + 0.1 * number, slow=0.25, memory_us=6 * HOUR_US, fast=0.01, resolution=0.01)
        says = of(
            Say("river_level", level, HOUR_US, deadband=0.2, alarm_us=5 * MINUTE_US),
        )
        params = {"warning_m": 4.0, "guarantee_m": 4.4, "record_m": 5.72}
        yield Device(f"fl-river-{number:02d}", "fl_river", spot, gateway, says, number, params=params)


def _drainage(places: Places) -> Iterator[Device]:
    gateway = "gw-sim-drain"
    for number, spot in enumerate(places.pump_stations, 1):
        says = of(
            Say(
                "forebay_level",
                Stream(1.6, "sewage", 0.3, slow=0.1, fast=0.02, low=0.4, resolution=0.01),
                MINUTE_US,
            ),
            Say("pumps_running", Stream(1.4, "sewage", 0.6, low=0, high=4, resolution=1.0), MINUTE_US, 0.5),
            Say("pumps_available", steady(4), MINUTE_US, 0.5),
            Say("flow", Stream(900, "sewage", 0.9, slow=40, fast=15, low=0, resolution=1.0), MINUTE_US),
            Say("power_ok", steady(1), MINUTE_US, 0.5),
        )
        params: dict[str, object] = {"pumps_installed": 4, "warn_m": 3.0, "max_m": 3.6, "start_m": 1.2}
        yield Device(f"dr-pump-{number:02d}", "dr_pump_station", spot, gateway, says, number, params=params)
    for number, spot in enumerate(places.manholes, 1):
        depth = 2.6 + 0.2 * (number % 4)
        level = Stream(0.28, "sewage", 0.6, slow=0.02, fast=0.01, low=0.02, resolution=0.01)
        cover = replace(
            level, base=depth - level.base, swing=-0.6 * level.base / (depth - level.base), low=0.5
        )
        says = of(Say("level", level, 5 * MINUTE_US), Say("depth_below_cover", cover, 5 * MINUTE_US))
        params = {"diameter_m": 0.8, "depth_m": depth}
        yield Device(f"dr-level-{number:02d}", "dr_manhole_level", spot, gateway, says, number, params=params)
    yield from _chain(places)
    for number, spot in enumerate((*places.manholes[:4], *places.well_cluster), 1):
        says = of(
            Say(
                "ch4_lel",
                Stream(1.6, "sun", 1.0, slow=0.5, fast=0.1, low=0, resolution=0.1),
                30 * MINUTE_US,
                3.0,
                MINUTE_US,
            ),
            Say(
                "h2s",
                Stream(0.8, "sun", 1.0, slow=0.3, fast=0.1, low=0, resolution=0.1),
                30 * MINUTE_US,
                2.0,
                MINUTE_US,
            ),
            Say("o2", Stream(20.6, slow=0.1, fast=0.05, high=20.9, resolution=0.1), 30 * MINUTE_US, 0.5),
            Say("water_flag", steady(0), 30 * MINUTE_US, 0.5),
        )
        yield Device(f"dr-gas-{number:02d}", "dr_well_gas", spot, gateway, says, number)


def _chain(places: Places) -> Iterator[Device]:
    """Level meters in manholes one below the other, and a flow meter below the last."""
    for number, spot in enumerate(places.drain_chain, 11):
        level = Stream(0.26, "sewage", 0.5, slow=0.015, fast=0.008, low=0.02, resolution=0.01)
        depth = round(spot.ground_m - spot.invert_m, 2)
        cover = replace(level, base=depth - level.base, swing=-0.5 * level.base / (depth - level.base))
        says = of(Say("level", level, 5 * MINUTE_US), Say("depth_below_cover", cover, 5 * MINUTE_US))
        params: dict[str, object] = {"diameter_m": 0.8, "depth_m": depth}
        role = "chain"
        yield Device(
            f"dr-level-{number:02d}",
            "dr_manhole_level",
            spot,
            "gw-sim-drain",
            says,
            number,
            role=role,
            params=params,
        )
    for spot in places.drain_chain[-1:]:
        flow = Stream(72, "sewage", 0.7, slow=3, fast=1.5, low=0, resolution=0.1)
        says = of(Say("flow", flow, 5 * MINUTE_US))
        yield Device("dr-flow-01", "dr_sewer_flow", spot, "gw-sim-drain", says, 1, role="chain")


def _gas(places: Places) -> Iterator[Device]:
    gateway = "gw-sim-gas"
    for number, spot in enumerate(places.gate_stations, 1):
        says = of(
            Say("inlet_pressure", Stream(1.52, slow=0.02, fast=0.002, resolution=0.001), MINUTE_US),
            Say("outlet_pressure", Stream(0.382, slow=0.002, fast=0.0006, resolution=0.001), MINUTE_US),
            Say("flow", Stream(8200, "gas", 0.7, slow=150, fast=40, low=0, resolution=1.0), MINUTE_US),
            Say("ch4_lel", Stream(0.2, fast=0.15, low=0, resolution=0.1), MINUTE_US, 2.0),
            Say("power_ok", steady(1), MINUTE_US, 0.5),
        )
        params: dict[str, object] = {"set_mpa": 0.38}
        yield Device(f"gas-gate-{number:02d}", "gas_station", spot, gateway, says, number, params=params)
    for number, spot in enumerate(places.regulators, 1):
        says = of(
            Say("inlet_pressure", Stream(0.36, slow=0.004, fast=0.001, resolution=0.001), 5 * MINUTE_US),
            Say(
                "outlet_kpa", Stream(2.55, "gas", -0.03, slow=0.03, fast=0.01, resolution=0.01), 5 * MINUTE_US
            ),
            Say("flow", Stream(160, "gas", 0.9, slow=8, fast=3, low=0, resolution=1.0), 5 * MINUTE_US),
            Say("ch4_lel", Stream(0.1, fast=0.1, low=0, resolution=0.1), 5 * MINUTE_US, 2.0),
        )
        params = {"set_kpa": 2.5}
        yield Device(f"gas-reg-{number:02d}", "gas_regulator", spot, gateway, says, number, params=params)
    for number, spot in enumerate((*places.valve_pits, *places.gas_cluster), 1):
        says = of(
            Say(
                "ch4_lel",
                Stream(0.4, slow=0.2, fast=0.1, low=0, resolution=0.1),
                30 * MINUTE_US,
                2.0,
                MINUTE_US,
            ),
            Say("water_flag", steady(0), 30 * MINUTE_US, 0.5),
        )
        yield Device(f"gas-pit-{number:02d}", "gas_valve_pit", spot, gateway, says, number)


def _sites(places: Places) -> Iterator[Device]:
    gateway = "gw-sim-site"
    for number, spot in enumerate(places.sites, 1):
        pm10 = Stream(62, "work", 0.35, slow=9, fast=3, low=8, resolution=1.0)
        says = of(
            Say("tsp", replace(pm10, base=118), MINUTE_US),
            Say("pm10", pm10, MINUTE_US),
            Say("pm25", replace(pm10, base=34, slow=5, fast=2), MINUTE_US),
            Say("laeq_1m", Stream(53.5, "work", 0.09, 0.98, 1.0, 0.8, low=40, resolution=0.1), MINUTE_US),
            Say("air_temp", Stream(13, "sun", 0.8, slow=1.0, fast=0.1, resolution=0.1), MINUTE_US),
            Say(
                "humidity",
                Stream(66, "sun", -0.6, slow=4, fast=0.5, low=20, high=99, resolution=0.1),
                MINUTE_US,
            ),
            Say("wind_speed", Stream(2.1, "sun", 0.8, slow=0.5, fast=0.3, low=0, resolution=0.1), MINUTE_US),
            Say("wind_dir", Stream(95, slow=25, fast=6, low=0, high=359, resolution=1.0), MINUTE_US),
        )
        role = "site" if number == 1 else ""
        yield Device(f"con-site-{number:02d}", "con_dust_noise", spot, gateway, says, number, role=role)
        power = Stream(85, "work", 1.0, weekends=0.8, slow=8, fast=4, low=2, resolution=0.1)
        says = of(
            Say("power_kw", power, 5 * MINUTE_US, deadband=80.0),
        )
        yield Device(f"con-power-{number:02d}", "con_power", spot, gateway, says, number, role=role)
    for number, spot in enumerate(places.noise_points[1:2], 1):
        says = of(
            Say("pm10", Stream(52, slow=8, fast=2, memory_us=6 * HOUR_US, low=6, resolution=1.0), HOUR_US),
            Say("pm25", Stream(30, slow=5, fast=1, memory_us=6 * HOUR_US, low=4, resolution=1.0), HOUR_US),
        )
        yield Device(f"con-background-{number:02d}", "con_background", spot, gateway, says, number)


def _fire(places: Places) -> Iterator[Device]:
    gateway = "gw-sim-fire"
    for number, spot in enumerate(places.buildings, 1):
        states: tuple[tuple[str, int], ...] = (
            ("sys_fire", 0), ("sys_fault", 0), ("sys_shield", 0), ("manual_mode", 0), ("main_power", 1),
            ("backup_power", 1),
        )  # fmt: skip
        says = tuple(Say(channel, steady(value), HOUR_US, 0.5) for channel, value in states)
        yield Device(f"fire-panel-{number:02d}", "fire_panel", spot, gateway, says, number)
        pressure = Stream(0.16, slow=0.004, fast=0.001, resolution=0.001)
        says = of(
            Say("water_pressure", pressure, 10 * MINUTE_US, deadband=0.02),
        )
        yield Device(f"fire-pipe-{number:02d}", "fire_pipe_pressure", spot, gateway, says, number)
        says = of(
            Say("tank_level", Stream(3.2, slow=0.05, fast=0.01, resolution=0.01), 10 * MINUTE_US, 0.2),
        )
        params: dict[str, object] = {"reserve_m": 2.5}
        yield Device(f"fire-tank-{number:02d}", "fire_tank", spot, gateway, says, number, params=params)
        states = (("running", 0), ("auto_mode", 1), ("power_ok", 1), ("fault", 0))
        says = tuple(Say(channel, steady(value), HOUR_US, 0.5) for channel, value in states)
        yield Device(f"fire-pump-{number:02d}", "fire_pump", spot, gateway, says, number)
        for head in range(1, 7 if number == 1 else 2):  # the first building has a floor full of them
            says = tuple(
                Say(channel, steady(0), 24 * HOUR_US, 0.5) for channel in ("alarm", "fault", "shield")
            )
            name = f"fire-smoke-{number:02d}" if head == 1 else f"fire-smoke-{number:02d}-{head}"
            yield Device(name, "fire_detector", spot, gateway, says, 10 * number + head)


def _reported(places: Places) -> Iterator[Device]:
    """Other systems of the city that report their figures: the hotline's own, and billing."""
    spot = places.buildings[0]
    calls = Stream(186, "calls", 0.9, weekends=0.7, slow=16, fast=4, low=5, resolution=1.0)
    figures = (
        ("calls_1h", calls), ("answer_1h", Stream(9.5, "calls", 0.25, slow=0.9, fast=0.3, low=3, resolution=0.1)),
        ("calls_24h", Stream(4200, slow=60, memory_us=12 * HOUR_US, resolution=1.0)),
        ("answered_24h", Stream(4080, slow=25, memory_us=12 * HOUR_US, high=4080, resolution=1.0)),
        ("due_month", steady(38_214)), ("in_time_month", steady(37_106)),
        ("callbacks_month", steady(21_530)), ("satisfied_month", steady(19_872)),
    )  # fmt: skip
    says = tuple(Say(channel, stream, 5 * MINUTE_US) for channel, stream in figures)
    yield Device("hot-statistics-01", "hotline_statistics", spot, "gw-sim-city", says)
    says = of(
        Say("supplied_month", steady(1_284_000), 24 * HOUR_US),
        Say("billed_month", steady(1_177_000), 24 * HOUR_US),
    )
    yield Device("ws-billing-01", "water_billing", spot, "gw-sim-city", says)
