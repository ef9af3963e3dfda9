"""Which topics a gateway may use. Pure; everything that is not named here is refused (DESIGN §6.1, §6.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from iot.codecs.plain import Mapper

#: What a publish to a topic is, beside the formats of telemetry.
STATUS = "status"
REPLY = "reply"
#: What devices say they are: `twin/<gateway>`, and the attributes of ThingsBoard, which have the same shape.
TWIN = "twin"
OWN_TWIN = "own-twin"
#: To be passed on to subscribers and nothing else; no gateway topic is, only tests of the endpoint use it.
MESSAGE = "message"
#: All that is no reading.
SAID = frozenset({STATUS, REPLY, TWIN, OWN_TWIN, MESSAGE})

#: The part of a telemetry topic after the gateway → the format of what is published there.
TELEMETRY: Mapping[str, str] = {"": "senml", "cbor": "senml-cbor", "arrow": "arrow"}
#: ThingsBoard topics, whose gateway is whoever is signed in.
THINGSBOARD: Mapping[str, str] = {
    "v1/gateway/telemetry": "thingsboard-gateway",
    "v1/devices/me/telemetry": "thingsboard-device",
    "v1/gateway/attributes": TWIN,
    "v1/devices/me/attributes": OWN_TWIN,
}


class Rights(Protocol):
    """What a signed-in gateway may do on the wire."""

    def publish(self, gateway: str, topic: str) -> str | None:
        """What a message to this topic is: a format of telemetry, STATUS, REPLY or TWIN; None = not permitted."""

    def subscribe(self, gateway: str, topic_filter: str) -> bool:
        """May the gateway have what is published there?"""


class GatewayRights:
    """A gateway speaks for itself and hears what is meant for it. `mappers` read payloads that were declared."""

    def __init__(self, mappers: Sequence[Mapper] = ()) -> None:
        self._mappers = mappers

    def publish(self, gateway: str, topic: str) -> str | None:
        for mapper in self._mappers:
            if mapper.gateway_of(topic) == gateway:
                return mapper.source
        if topic in THINGSBOARD:
            return THINGSBOARD[topic]
        first, _, rest = topic.partition("/")
        if first == "spBv1.0":
            parts = rest.split("/")
            return "sparkplug" if len(parts) in (3, 4) and parts[2] == gateway else None
        owner, _, what = rest.partition("/")
        if owner != gateway:
            return None
        if first == "telemetry":
            return TELEMETRY.get(what)
        if first == "status" and not what:
            return STATUS
        if first == "twin" and not what:
            return TWIN
        return REPLY if first == "command" and what == "reply" else None

    def subscribe(self, gateway: str, topic_filter: str) -> bool:
        first, _, rest = topic_filter.partition("/")
        if first in ("command", "refused", "status"):
            return rest == gateway
        if first == "twin":
            return rest == f"{gateway}/desired"
        if first == "spBv1.0":
            parts = rest.split("/")
            commands = len(parts) in (3, 4) and parts[1] in ("NCMD", "DCMD") and parts[2] == gateway
            return parts[0] == "STATE" or commands
        return False
