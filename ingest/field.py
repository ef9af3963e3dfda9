"""How the field protocols answer: what a frame means for the connection it came by. Pure; `ingest.tcp` moves bytes.

A frame's readings are the codec's business. Here stands what is said back, and when: at once, or when what the
frame carried is safe; and what belongs to somebody who asked (`reply`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from iot.codecs import gbt26875, hj212, sl651
from iot.codecs.china import Framer
from iot.codecs.frame import MalformedError, Reason

#: Packets of one report that may be waiting for the rest, and reports of one connection.
MOST_PACKETS = 64
MOST_REPORTS = 8


@dataclass(frozen=True, slots=True)
class Heard:
    """What one frame means.

    payload  goes to the intake; None = nothing to store
    topic    what the codec needs to know beside it
    safe     is sent when the payload is safe
    now      is sent at once
    station  who spoke, as it is registered
    reply    answers something that we asked, under this key
    """

    payload: bytes | None = None
    topic: str = ""
    safe: bytes = b""
    now: bytes = b""
    station: str = ""
    reply: str = ""


class FieldProtocol(Protocol):
    """One connection's side of a protocol."""

    source: str

    def framer(self) -> Framer:
        """Finds the frames in the stream."""

    def hear(self, frame: bytes, now_us: int) -> Heard:
        """What to do about a whole frame. Never raises on what came."""


@dataclass(slots=True)
class Hj212:
    """HJ 212 (clause 6.2 of 2017): data is answered 9014 when it asks for it; a wrong check is not answered.

    `modbus` are the MNs of loggers that compute the check as Modbus does.
    """

    modbus: frozenset[str] = frozenset()
    source: str = "hj212"
    _last: dict[tuple[str, str], str] = field(default_factory=dict)

    def framer(self) -> Framer:
        return hj212.framer()

    def hear(self, frame: bytes, now_us: int) -> Heard:  # noqa: ARG002 - its answers carry the asker's time
        message = self._parse(frame)
        if message is None:
            return Heard(frame)
        modbus = message.mn in self.modbus
        if modbus:
            frame = hj212.encode(message)  # what is kept and decoded has the standard's check
        if message.cn.startswith("90") and message.cn != hj212.HEARTBEAT:
            return Heard(
                station=message.mn, reply=f"{message.qn}:{message.cn}", payload=None, topic=frame.decode()
            )
        answer = hj212.answer_to(message)
        encoded = hj212.encode(answer, modbus=modbus) if answer else b""
        if message.cn in (hj212.HEARTBEAT, "1013"):
            return Heard(now=encoded, station=message.mn)
        return Heard(frame, self._time_of(message), encoded, station=message.mn)

    def _parse(self, frame: bytes) -> hj212.Message | None:
        for modbus in (False, True):
            try:
                message = hj212.parse(frame, modbus=modbus)
            except MalformedError:
                continue
            if not modbus or message.mn in self.modbus:
                return message
        return None

    def _time_of(self, message: hj212.Message) -> str:
        """DataTime, of a later packet that of the packets before it."""
        if message.pnum < 2:
            return ""
        key = (message.mn, message.cn)
        given = message.value("DataTime")
        if given:
            if len(self._last) > 1000:
                self._last.clear()
            self._last[key] = given
        return self._last.get(key, "")


@dataclass(slots=True)
class Gbt26875:
    """GB/T 26875.3 (clause 5): data is confirmed (3) when it is safe; what fails its check is denied (6)."""

    source: str = "gbt26875"

    def framer(self) -> Framer:
        return gbt26875.framer()

    def hear(self, frame: bytes, now_us: int) -> Heard:
        try:
            message = gbt26875.parse(frame)
        except MalformedError as wrong:
            return Heard(
                frame, now=self._denial(frame, now_us) if wrong.reason == Reason.BAD_CHECKSUM else b""
            )
        if message.command == gbt26875.SEND:
            confirm = gbt26875.encode(gbt26875.answer(message, gbt26875.CONFIRM, now_us))
            return Heard(frame, safe=confirm, station=message.station)
        reply = f"{message.serial}:{message.command}"
        payload = frame if message.command == gbt26875.ANSWER else None
        return Heard(payload, station=message.station, reply=reply)

    @staticmethod
    def _denial(frame: bytes, now_us: int) -> bytes:
        """With the serial number and the addresses that stood there, right or wrong: they are all we have."""
        mended = frame[:-3] + bytes((gbt26875.checksum(frame[2:-3]),)) + frame[-2:]
        try:
            return gbt26875.encode(gbt26875.answer(gbt26875.parse(mended), gbt26875.DENY, now_us))
        except MalformedError:
            return b""


@dataclass(slots=True)
class Sl651:
    """SL 651 (clause 6.6): reports are confirmed when they are safe; invalid frames are never answered.

    A report of several packets is confirmed once, when the last is there; a missing one is asked for again.
    `stay` keeps a station on line after its report, because something is to be said to it.
    """

    stay: Callable[[str], bool] = lambda _station: False
    source: str = "sl651"
    _reports: dict[tuple[str, int], dict[int, bytes]] = field(default_factory=dict)

    def framer(self) -> Framer:
        return sl651.framer()

    def hear(self, frame: bytes, now_us: int) -> Heard:
        try:
            message = sl651.parse(frame)
        except MalformedError:
            return Heard(frame)
        if message.down or message.function == sl651.KEEP_ALIVE:
            return Heard(station=message.station)
        if message.total > 1:
            return self._packet(message, frame, now_us)
        confirm = sl651.encode(sl651.confirm(message, now_us, stay=self.stay(message.station)))
        reply = f"{message.function:02X}"
        return Heard(frame, safe=confirm, station=message.station, reply=reply)

    def _packet(self, message: sl651.Message, frame: bytes, now_us: int) -> Heard:
        key = (message.station, message.function)
        if message.total > MOST_PACKETS:
            return Heard(frame, station=message.station)  # refused by the codec as one packet of many
        if key not in self._reports and len(self._reports) >= MOST_REPORTS:
            self._reports.clear()
        packets = self._reports.setdefault(key, {})
        packets[message.number] = frame
        missing = [number for number in range(1, message.total + 1) if number not in packets]
        if not missing:
            del self._reports[key]
            last = sl651.parse(packets[message.total])
            first = replace(last, total=0, number=0, body=sl651.parse(packets[1]).body)
            confirm = sl651.encode(sl651.confirm(first, now_us, stay=self.stay(message.station)))
            whole = b"".join(packets[number] for number in range(1, message.total + 1))
            return Heard(whole, safe=confirm, station=message.station)
        if message.number == message.total:
            return Heard(
                now=sl651.encode(sl651.ask_again(message, missing[0], now_us)), station=message.station
            )
        return Heard(station=message.station)


#: Format → how to make a connection's side of it.
PROTOCOLS: Mapping[str, Callable[[], FieldProtocol]] = {"hj212": Hj212, "gbt26875": Gbt26875, "sl651": Sl651}
