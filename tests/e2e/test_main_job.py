"""The main job as its users see it: `cityops run`, a wall in a browser, a responder, a gateway. Nothing is faked.

The tests are one story on one running product and stand in its order.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import paho.mqtt.client as mqtt
import psutil
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from playwright.async_api import expect

from core.clock import SystemClock
from tests.dashboard.browser import browser
from tests.e2e.product import Product, running, settings_file, until

GATEWAY, DEVICE = "gateway-1", "test-pressure"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("product")
    for above in (folder, *folder.parents[:3]):
        above.chmod(above.stat().st_mode | 0o711)  # as root the database runs as another user
    with running(settings_file(folder)) as found:
        yield found


@pytest.mark.browser
async def test_the_wall_shows_an_incident_with_its_explanation_within_ninety_seconds(
    product: Product,
) -> None:
    async with browser() as opened:
        page = await opened.new_page(viewport={"width": 1920, "height": 1080})
        await page.goto(product.links["wall"])
        card = page.locator("#stream .incident").first
        await expect(card).to_be_visible(timeout=90_000)
        await expect(page.locator("#stream .incident", has_text="爆管")).to_be_visible(timeout=90_000)


def test_what_is_usual_is_known_from_the_first_start(product: Product) -> None:
    items = {each["id"]: each for each in product.get("viewer", "/api/v1/vitals")["items"]}
    measured = (
        "ws_pressure_min",
        "ws_supply_flow",
        "gas_worst_lel",
        "fl_depth_max",
        "fl_river_margin",
        "we_rain",
    )
    assert [key for key in measured if items[key]["history_days"] < 7] == []


def test_a_reading_became_an_alert_an_incident_a_case_and_an_order(product: Product) -> None:
    def whole() -> bool:
        counts = product.get("operator", "/api/v1/status")["counts"]
        return all(counts[noun] for noun in ("readings", "alerts", "incidents", "cases", "orders"))

    until("reading → alert → incident → case → order", 120, whole)
    incident = burst(product)
    assert incident["provenance"] == "simulated"
    whole_incident = product.get("operator", f"/api/v1/incidents/{incident['id']}")
    assert len(whole_incident["evidence"]) >= 2
    assert whole_incident["explanation"]


def burst(product: Product) -> dict[str, Any]:
    found = product.get("operator", "/api/v1/incidents?type=water_burst")["items"]
    assert found
    first: dict[str, Any] = found[0]
    return first


def test_who_reports_fixed_while_the_sensors_disagree_is_refused_with_their_readings(
    product: Product,
) -> None:
    order = until(
        "an order of the responder", 60, lambda: product.get("responder", "/api/v1/orders")["items"]
    )[0]
    for action in ("accept", "depart", "arrive"):
        answer = act(product, order["id"], action)
        assert answer.status_code == 200, answer.text
    refused = act(product, order["id"], "finish")
    assert refused.status_code == 409, refused.text
    assert refused.json()["objections"]


@pytest.mark.long
def test_after_the_repair_the_sensors_agree_and_the_case_is_closed(product: Product) -> None:
    order = product.get("responder", "/api/v1/orders")["items"][0]
    assert act(product, order["id"], "handle").status_code == 200
    until("the report is believed", 180, lambda: act(product, order["id"], "finish").status_code == 200)

    def closed() -> bool:
        return bool(product.get("operator", f"/api/v1/cases/{order['case']}")["state"] == "closed")

    until("the case is observed, checked and closed", 300, closed)


def act(product: Product, order: str, action: str) -> httpx.Response:
    return product.ask("responder", "POST", f"/api/v1/orders/{order}/actions", {"action": action})


def test_a_pack_of_any_mqtt_client_is_readable_within_a_second(product: Product) -> None:
    register(product)
    with gateway(product) as (client, _told):
        send(client, [record(0.31)])
        until("the reading by HTTP", 1.0, lambda: newest(product) == pytest.approx(0.31))


def test_what_cannot_be_a_reading_is_refused_by_name_counted_and_stops_nothing(product: Product) -> None:
    bad = {
        "unknown_device": json.dumps([{**record(0.3), "bn": "nobody-9/"}]),
        "unknown_unit": json.dumps([{**record(0.3), "u": "furlong"}]),
        "malformed": '[{"bn": ',
        "not_a_number": json.dumps([record(math.nan)]),
        "time_out_of_range": json.dumps([{**record(0.3), "t": 253_370_764_800}]),
    }
    before = product.get("operator", "/api/v1/status")["refused"]
    with gateway(product) as (client, told):
        for payload in bad.values():
            send(client, payload)
        until("five refusals told to the gateway", 10, lambda: len(told) >= len(bad))
        assert all(notice["first"]["reason"] and notice["first"]["record"] >= 0 for notice in told)
        until(
            "five refusals counted", 10,
            lambda: sum(product.get("operator", "/api/v1/status")["refused"].values()) >= sum(before.values()) + 5,
        )  # fmt: skip
        send(client, [record(0.32)])
        until("readings go on", 3, lambda: newest(product) == pytest.approx(0.32))
    assert len({notice["first"]["reason"] for notice in told}) >= 4


def register(product: Product) -> None:
    device = {
        "kind": "ws_pressure_logger", "name": {"zh": "测试测压点", "en": "Pressure logger of the test"},
        "lon": 121.49, "lat": 31.23, "gateway": GATEWAY, "provenance": "real",
    }  # fmt: skip
    answer = product.ask("admin", "PUT", f"/api/v1/devices/{DEVICE}", device)
    assert answer.status_code == 200, answer.text
    time.sleep(1.5)  # every process takes the registry up within a second


def record(value: float) -> dict[str, object]:
    return {"bn": f"{DEVICE}/", "n": "pressure", "u": "MPa", "t": SystemClock().now_us() / 1e6, "v": value}


@contextmanager
def gateway(product: Product) -> Iterator[tuple[mqtt.Client, list[Any]]]:
    """Signed in over MQTT 5, and what it is told about what was refused."""
    told: list[Any] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "test", protocol=mqtt.MQTTv5)
    client.username_pw_set(GATEWAY, product.credentials["gateways"][GATEWAY])
    client.on_message = lambda _client, _data, message: told.append(json.loads(message.payload))
    client.connect("127.0.0.1", product.mqtt_port)
    client.loop_start()
    try:
        until("the gateway is connected", 5, client.is_connected)
        client.subscribe(f"refused/{GATEWAY}", 1)
        yield client, told
    finally:
        client.disconnect()
        client.loop_stop()


def send(client: mqtt.Client, payload: object) -> None:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    client.publish(f"telemetry/{GATEWAY}", text, 1).wait_for_publish(5)


def newest(product: Product) -> float | None:
    items = product.get("operator", f"/api/v1/readings?device={DEVICE}&channel=pressure")["items"]
    return items[-1]["value"] if items else None


def test_the_house_is_small(product: Product) -> None:
    """PSS of all our processes, PostgreSQL aside, at most 900 MB."""
    whole = psutil.Process(product.process.pid)
    ours = [p for p in (whole, *whole.children(recursive=True)) if "postgres" not in p.name()]
    assert len(ours) >= 4
    assert sum(p.memory_full_info().pss for p in ours) < 900e6
