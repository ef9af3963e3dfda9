"""The vendor's side: good frames of every format, a live look at a gateway, a report that tells right from wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from core import text
from core.access import Policy
from core.actor import Actor
from core.clock import SECOND_US, ManualClock
from core.db import Database
from core.domains import Domains
from ingest import mqtt, vendor_api
from ingest.assemble import DECODERS, Assembler
from ingest.conformance import Counts, Outcome, Verdict, judged
from ingest.examples import SAMPLES, examples
from ingest.sparkplug import SparkplugHost
from ingest.stream import NoReceipt
from ingest.tap import MOST_FRAMES, TappedIntake, Watch
from ingest.watch_store import Lookout
from iot import kinds
from iot.codecs import gbt26875
from iot.codecs.frame import Parcel, Reason
from iot.kinds import Channel
from iot.registry import Device, Gateway, Registry, build
from tests.conftest import ROOT
from tests.ingest.house import House
from tests.ingest.wire import Client
from tests.iot.sample import NOW_US, stored_registry
from tests.iot.test_api import serve

TEXTS = text.load([ROOT / "core", ROOT / "iot", ROOT / "ingest"])
ADMIN = Actor("admin", "Admin", frozenset({"admin"}))
GATEWAY = Actor("gateway:gw-0", "gw-0", frozenset({"gateway"}), gateway="gw-0")


# -- examples -----------------------------------------------------------------------------------------------------


def city(shipped: Domains) -> Registry:
    """The devices of the sample names, and one of each kind that speaks a field protocol under its gateway."""
    catalogue = kinds.load(shipped)
    own = [("gw-1", "ws_pressure_logger", SAMPLES["senml"].device)]
    field = [
        ("hj212", "con_dust_noise", SAMPLES["hj212"].device),
        ("sl651", "fl_river", SAMPLES["sl651"].device),
    ]
    fire = [
        ("gbt26875", "fire_detector", SAMPLES["gbt26875"].device),
        ("gbt26875", "fire_utd", "060504030201"),
    ]
    devices = [
        Device(n, f"d{n}", kind, catalogue.kinds[kind].domain, {}, 121.5, 31.2, gateway, wire)
        for n, (gateway, kind, wire) in enumerate([*own, *field, *fire], 1)
    ]  # fmt: skip
    gateways = [Gateway(n, name) for n, name in enumerate(("gw-1", "hj212", "sl651", "gbt26875"), 1)]
    channels = [
        Channel(n, name.partition(".")[0], decl)
        for n, (name, decl) in enumerate(catalogue.channels.items(), 1)
    ]
    return build(gateways, devices, channels, catalogue)


@pytest.mark.parametrize("gateway", ["", "gw-1", "hj212", "sl651", "gbt26875"])
def test_every_example_is_accepted_as_it_stands(shipped: Domains, gateway: str) -> None:
    registry = city(shipped)
    found = examples(registry, gateway, NOW_US)
    assert found
    for example in found:
        host = SparkplugHost(ManualClock(NOW_US), lambda _topic, _payload: None, born=True)
        speaker = gateway or {"tcp": example.format}.get(example.door, "gw-1")
        parcel = Parcel(speaker, example.format, [example.frame], NOW_US, NoReceipt(), example.place)
        assembled = Assembler(registry, House.limits, {**DECODERS, "sparkplug": host}).assemble([parcel])
        assert assembled.refused == {}, example
        assert len(assembled.batch) >= ("NBIRTH" not in example.place), example
        assert not assembled.batch.quality.any(), example


@pytest.mark.parametrize("code", ["1.1", "2.1", "3.4", "4.2", "21.1", "24.2"])
def test_an_example_of_every_type_of_a_fire_alarm_can_be_read(shipped: Domains, code: str) -> None:
    from ingest.examples import _gbt26875

    frame = _gbt26875(replace(SAMPLES["gbt26875"], code=code), NOW_US)
    registry = city(shipped)
    parcel = Parcel("gbt26875", "gbt26875", [frame], NOW_US, NoReceipt())
    found = Assembler(registry, House.limits).assemble([parcel]).refused.get(0, [])
    assert all(each.reason == Reason.UNKNOWN_DEVICE for each in found)  # read, whoever it is
    assert gbt26875.parse(frame).unit[0] == int(code.partition(".")[0])


# -- counting and judging -------------------------------------------------------------------------------------------


def verdicts(counts: Counts, *registered: str) -> dict[str, str]:
    return {check.key: check.verdict.value for check in judged(counts, registered)}


def test_a_gateway_that_was_not_heard_has_passed_nothing() -> None:
    assert set(verdicts(Counts(), "d0").values()) == {Verdict.UNSEEN.value}


def test_refusals_fail_the_check_that_they_belong_to() -> None:
    from ingest import conformance

    grouped = [conformance.UNREADABLE, conformance.UNNAMED, conformance.UNMEANT, conformance.MISTIMED]
    assert frozenset().union(*grouped) == frozenset(Reason)
    assert sum(map(len, grouped)) == len(Reason)
    for reasons, key in zip(grouped, ("readable", "named", "meant", "timed"), strict=True):
        for reason in reasons:
            counts = Counts()
            counts.heard(Outcome(NOW_US, "senml", "", b"x", 0, [(0, reason, "")]))
            assert [key for key, found in verdicts(counts).items() if found == "failed"] == [key]


def test_missing_numbers_are_gaps_and_a_resend_or_a_wrap_is_none() -> None:
    counts = Counts()
    for serial in (65_534, 65_535, 65_535, 0, 1, 4):
        message = gbt26875.Message(serial, gbt26875.SEND, 7, 0, gbt26875.clock(NOW_US))
        counts._number(Outcome(NOW_US, "gbt26875", "", gbt26875.encode(message), 0))
    assert (counts.totals["numbered"], counts.totals["gaps"]) == (5, 1)


def test_counts_of_two_processes_add_up() -> None:
    one, other = Counts(), Counts()
    one.heard(Outcome(NOW_US, "senml", "", b"xx", 1))
    other.heard(Outcome(NOW_US + 5, "csv", "", b"x", 2, [(0, Reason.NO_VALUE, "")]))
    one.offsets_s, other.offsets_s = [-1.0, 2.0, 0.5], [-3.0, 1.0, -2.0]
    whole = Counts.added([one.shown(), other.shown(), Counts().shown()])
    assert whole.totals == {"frames": 2, "bytes": 3, "readings": 3}
    assert (whole.formats, whole.refused) == ({"senml": 1, "csv": 1}, {"no_value": 1})
    assert whole.offsets_s == [-3.0, 2.0, -2.0]
    assert (whole.first_us, whole.last_us) == (NOW_US, NOW_US + 5)


def test_what_comes_too_fast_is_counted_and_not_kept() -> None:
    watch = Watch("gw-0", 0)
    for _ in range(MOST_FRAMES + 7):
        watch.heard(Outcome(NOW_US, "senml", "", b"x", 1))
    assert len(watch.taken()) == MOST_FRAMES
    assert (watch.counts.totals["frames"], watch.counts.totals["skipped"]) == (MOST_FRAMES + 7, 7)


def test_only_the_frames_of_a_watched_gateway_are_taken_apart() -> None:
    intake = TappedIntake()
    intake.watch({"gw-0": 1})
    for gateway in ("gw-0", "gw-1"):
        intake.put(Parcel(gateway, "senml", [b"1", b"2", b"3"], NOW_US, NoReceipt()))
    assert [len(parcel.payloads) for parcel in intake.take()] == [1, 1, 1, 3]


# -- the whole way --------------------------------------------------------------------------------------------------


class Ears(TappedIntake):
    """What the doors do for a worker: pass on who was turned away."""


@pytest.fixture
async def house(dsn: str, database: Database, tmp_path: Path) -> AsyncIterator[House]:
    async with House(dsn, await stored_registry(database), tmp_path) as opened:
        opened.endpoint.listener.turned_away = opened.intake.turned_away  # type: ignore[method-assign] # as the doors do
        yield opened


@pytest.fixture
def lookout(house: House) -> Lookout:
    return Lookout(house.intake, lambda: house.registry, lambda found: Assembler(found, house.limits), "1")


def client_of(database: Database, house: House, actor: Actor) -> httpx.AsyncClient:
    app = serve(database, actor)
    app.state.policy = Policy(
        {"gateway.watch": frozenset({"admin"})}, {"gateway.watch": frozenset({"gateway"})}
    )
    app.include_router(vendor_api.router(vendor_api.Place(lambda: house.registry, TEXTS, {"mqtt": 1883})))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


async def publish(house: House, *packs: object) -> None:
    async with Client(house.port) as client:
        await client.acknowledged([client.send("telemetry/gw-0", pack) for pack in packs])


def reading(name: str, second: int, value: float = 300.0, **more: object) -> list[dict[str, object]]:
    return [{"n": name, "v": value, "t": NOW_US // SECOND_US + second, **more}]


async def test_a_watched_gateway_sees_each_frame_and_gets_its_report(
    house: House, database: Database, lookout: Lookout
) -> None:
    now_us = NOW_US
    async with client_of(database, house, GATEWAY) as vendor:
        await publish(house, reading("d0/pressure", 0))  # nobody looks yet
        assert (await vendor.get("/gateways/gw-0/report")).status_code == 404
        assert (await vendor.post("/gateways/gw-0/watch", json={})).status_code == 202
        await lookout.look(database, now_us)
        good = reading("d0/pressure", 1)
        await publish(
            house, good, good, reading("d0/pressure", 2, u="furlong"), b"no json", reading("d0/nothing", 3)
        )
        async with Client(house.port, version=mqtt.V5) as client:
            client.subscribe("command/gw-1")
            await client.packet(mqtt.Kind.SUBACK)
        await lookout.look(database, now_us)
        frames = (await vendor.get("/gateways/gw-0/frames")).json()
        assert frames["watched"]
        shown = [(each["accepted"], [r["reason"] for r in each["refused"]]) for each in frames["items"]]
        assert shown == [
            (1, []), (1, []), (0, ["unknown_unit"]), (0, ["malformed"]), (0, ["unknown_channel"]),
        ]  # fmt: skip
        assert frames["items"][0]["readings"][0]["value"] == 300.0
        last = frames["items"][-1]["id"]
        assert (await vendor.get(f"/gateways/gw-0/frames?after={last}")).json()["items"] == []
        report = (await vendor.get("/gateways/gw-0/report")).json()
        paper = await vendor.get("/gateways/gw-0/report?format=html&lang=zh")
    assert report["totals"]["frames"] == 5
    assert report["totals"]["resent"] == 1
    assert report["refused"] == {"unknown_unit": 1, "malformed": 1, "unknown_channel": 1}
    assert report["not_permitted"] == {"subscribe command/gw-1": 1}
    found = {check["check"]: check["verdict"] for check in report["checks"]}
    assert found == {
        "permitted": "failed", "readable": "failed", "named": "failed", "meant": "failed", "timed": "passed",
        "clock": "passed", "in_time": "failed", "sequence": "unseen", "resend": "passed", "complete": "failed",
    } | {"in_time": found["in_time"]}  # fmt: skip
    assert "网关联调符合性报告" in paper.text
    assert "⟦" not in paper.text
    assert "{" not in paper.text.partition("<body>")[2]


async def test_a_gateway_looks_at_itself_only(house: House, database: Database) -> None:
    async with client_of(database, house, GATEWAY) as vendor:
        for method, path in (
            ("POST", "watch"), ("GET", "frames"), ("GET", "report"), ("GET", "examples"),
        ):  # fmt: skip
            body: Any = {} if method == "POST" else None
            assert (await vendor.request(method, f"/gateways/gw-1/{path}", json=body)).status_code == 403
        assert (await vendor.get("/gateways/gw-0/examples")).json()["points"]
        assert {each["format"] for each in (await vendor.get("/vendors")).json()["examples"]} >= {
            "senml",
            "hj212",
        }


async def test_a_watch_begins_anew_and_names_a_gateway_that_exists(
    house: House, database: Database, lookout: Lookout
) -> None:
    now_us = NOW_US
    async with client_of(database, house, ADMIN) as admin:
        assert (await admin.post("/gateways/nobody/watch", json={})).status_code == 404
        await admin.post("/gateways/gw-0/watch", json={"minutes": 5})
        await lookout.look(database, now_us)
        await publish(house, reading("d0/pressure", 1))
        await lookout.look(database, now_us)
        await admin.post("/gateways/gw-0/watch", json={"minutes": 5})
        await lookout.look(database, NOW_US)
        assert (await admin.get("/gateways/gw-0/frames")).json()["items"] == []
        assert (await admin.get("/gateways/gw-0/report")).json()["totals"] == {}
        await lookout.look(database, now_us + 3600 * SECOND_US)
        assert not house.intake.watches  # its time is over


async def test_a_wrong_secret_is_told_to_whoever_watches(
    house: House, database: Database, lookout: Lookout
) -> None:
    async with client_of(database, house, ADMIN) as admin:
        await admin.post("/gateways/gw-0/watch", json={})
        await lookout.look(database, NOW_US)
        stranger = Client(house.port, password="guessed")
        await stranger.connect()
        await stranger.close()
        await lookout.look(database, NOW_US)
        report = (await admin.get("/gateways/gw-0/report")).json()
    assert report["not_permitted"] == {"bad credentials": 1}
