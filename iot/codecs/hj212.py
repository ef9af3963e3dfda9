"""HJ 212: environmental monitoring over TCP, editions 2005, 2017 and 2025 (HJ/T 212-2005, HJ 212-2017, HJ 212-2025).

Frame: `##`, four digits of length, data segment, CRC, CR LF. The CRC is the standard's own (Annex A): it is not
Modbus's, whose low byte it throws away; a logger that uses Modbus's is met with `modbus=True`.
Readings are named `MN/code`: realtime values (CN 2011), and noise statistics of minutes (CN 2051 `-Data`).
Means of minutes, hours and days are named `MN/2051:code` and so on, for devices whose registration takes them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from core.batch import Quality
from iot.codecs import china
from iot.codecs.china import CRC_TABLE, Cut, Framer, crc16_modbus
from iot.codecs.frame import NO_TIME, Columns, Decoder, MalformedError, Parcel, Reason, each

HEAD = b"##"
#: The data segment has at most 1024 bytes; some makers ignore that.
MOST_DATA = 9999
MOST = MOST_DATA + 12

REALTIME, MINUTE, HOUR, DAY = "2011", "2051", "2061", "2031"
DATA_ANSWER, NOTICE_ANSWER, REQUEST_ANSWER, RESULT = "9014", "9013", "9011", "9012"
HEARTBEAT = "9015"
INTERACTION = "91"

#: Data marks (HJ 212-2017, 6.6.4 and Annex) → quality. N is normal; T (over range) stays a reading.
MARKS: Mapping[str, Quality] = {
    "M": Quality.MAINTENANCE,
    "C": Quality.CALIBRATING,
    "D": Quality.DEVICE_FAULT,
    "B": Quality.DEVICE_FAULT,
    "F": Quality.DEVICE_FAULT,
    "S": Quality.ESTIMATED,
}

_FIELD = re.compile(r"([A-Za-z]+)=([^;]*)")


@dataclass(frozen=True, slots=True)
class Message:
    """A frame as it is meant. `items` are the `;` parts of the data area, each its names and values in order."""

    qn: str
    st: str
    cn: str
    mn: str
    pw: str = ""
    flag: int | None = None
    pnum: int = 0
    pno: int = 0
    resent: bool = False
    items: tuple[tuple[tuple[str, str], ...], ...] = field(default=())

    @property
    def edition(self) -> int:
        """2005, 2017 or 2025."""
        return {0: 2005, 1: 2017, 2: 2025}.get((self.flag or 0) >> 2, 2025)

    @property
    def wants_answer(self) -> bool:
        return bool((self.flag or 0) & 1)

    def value(self, name: str) -> str | None:
        """The value of a name anywhere in the data area."""
        for item in self.items:
            for key, value in item:
                if key == name:
                    return value
        return None

    @property
    def time_s(self) -> float | None:
        """`DataTime` as seconds since 1970 UTC; None when there is none that exists."""
        return moment(self.value("DataTime") or "")


def crc16(data: bytes) -> int:
    """The check of Annex A: the register's low byte is replaced by each byte, not mixed with it."""
    register = 0xFFFF
    for byte in data:
        register = CRC_TABLE[(register >> 8) ^ byte]
    return register


def cut(data: bytes) -> Cut:
    """What stands at `##`. A missing CR LF is forgiven; a check as Modbus has it counts as sound here."""
    if len(data) < 6:
        return Cut(0)
    if not data[2:6].isdigit():
        return Cut(2)
    end = 10 + int(data[2:6])
    tail = data[end : end + 2]
    if len(data) < end:
        return Cut(0)
    sound = data[end - 4 : end].upper() in (
        b"%04X" % crc16(data[6 : end - 4]),
        b"%04X" % crc16_modbus(data[6 : end - 4]),
    )
    return Cut(end + 2 if tail == b"\r\n" else end, frame=True, sound=sound)


def framer() -> Framer:
    return Framer(HEAD, cut, MOST, b"\r\n")


def parse(frame: bytes, *, modbus: bool = False) -> Message:
    """A whole frame, with or without its CR LF. Raises `MalformedError`."""
    body = frame.removesuffix(b"\r\n")
    if len(body) < 10 or not body.startswith(HEAD) or not body[2:6].isdigit():
        raise MalformedError("no HJ 212 frame")
    length = int(body[2:6])
    data, check = body[6 : 6 + length], body[6 + length :]
    if len(data) != length or len(check) != 4:
        raise MalformedError(f"length {length} of {len(body) - 10}")
    expected = crc16_modbus(data) if modbus else crc16(data)
    if check.upper() != b"%04X" % expected:
        raise MalformedError(f"CRC {check.decode('latin-1')}, expected {expected:04X}", Reason.BAD_CHECKSUM)
    return parse_data(data.decode("utf-8", "replace"))


def parse_data(text: str) -> Message:
    """A data segment. Raises `MalformedError`."""
    head, found, area = text.partition("CP=&&")
    if not found:
        raise MalformedError("no data area CP=&&…&&")
    area, closed, _ = area.rpartition("&&")
    if not closed:
        raise MalformedError("the data area is not closed")
    fields = dict(_FIELD.findall(head))
    if "MN" not in fields or "CN" not in fields:
        raise MalformedError("no MN or no CN")
    try:
        flag = int(fields["Flag"]) if fields.get("Flag") else None
        pnum, pno = int(fields.get("PNUM") or 0), int(fields.get("PNO") or 0)
    except ValueError:
        raise MalformedError("Flag, PNUM or PNO is no number") from None
    return Message(
        fields.get("QN", ""), fields.get("ST", ""), fields["CN"], fields["MN"], fields.get("PW", ""), flag, pnum, pno,
        fields.get("RF") == "1", tuple(_items(area)),
    )  # fmt: skip


def _items(area: str) -> Iterator[tuple[tuple[str, str], ...]]:
    for item in area.split(";"):
        pairs = [part.partition("=") for part in item.split(",") if part.strip()]
        if pairs:
            yield tuple((name.strip(), value.strip()) for name, _, value in pairs)


def moment(text: str) -> float | None:
    """YYYYMMDDhhmmss, with milliseconds or without, as seconds since 1970 UTC."""
    if len(text) < 14 or not text[:14].isdigit() or not text.isascii():
        return None
    parts = (text[:4], text[4:6], text[6:8], text[8:10], text[10:12], text[12:14])
    return china.seconds(*(int(part) for part in parts))


def stamp(time_us: int) -> str:
    """A time as QN has it: with milliseconds."""
    return china.local(time_us).strftime("%Y%m%d%H%M%S%f")[:17]


def decode_one(payload: bytes, parcel: Parcel, into: Columns, *, modbus: bool = False) -> None:
    """Append the readings of one frame; `parcel.topic` may give the DataTime of the packets before it."""
    message = parse(payload, modbus=modbus)
    if message.cn not in (REALTIME, MINUTE, HOUR, DAY):
        return
    time_s = message.time_s
    if time_s is None:
        given = message.value("DataTime")
        if given:
            into.refuse(0, Reason.BAD_TIME, f"DataTime={given}")
            return
        time_s = moment(parcel.topic)
    for number, item in enumerate(message.items):
        found = _reading(message.cn, item)
        if found is None:
            continue
        code, raw, mark = found
        name = f"{message.mn}/{code}"
        value = number_of(raw)
        if value is None:
            into.refuse(number, Reason.NOT_A_NUMBER, f"{name}={raw}")
            continue
        into.add(number, name, value, NO_TIME if time_s is None else time_s, mark=int(MARKS.get(mark, 0)))


def _reading(cn: str, item: Sequence[tuple[str, str]]) -> tuple[str, str, str] | None:
    """Code, value and mark of an item that is a reading."""
    mark = ""
    best: tuple[int, str, str] | None = None
    for name, raw in item:
        code, _, suffix = name.rpartition("-")
        if suffix == "Flag":
            mark = raw
            continue
        rank = _RANK.get((cn == REALTIME, suffix))
        if code and rank is not None and (best is None or rank < best[0]):
            direct = cn == REALTIME or (cn == MINUTE and suffix == "Data")
            best = (rank, code if direct else f"{cn}:{code}", raw)
    return best and (best[1], best[2], mark)


#: (realtime frame?, suffix) → which value of an item is the reading: the lowest.
_RANK = {
    (True, "Rtd"): 0,
    (True, "Avg"): 1,
    (False, "Avg"): 0,
    (False, "Data"): 0,
    (False, "DayData"): 0,
    (False, "Rtd"): 2,
}


def number_of(raw: str) -> float | None:
    """A decimal number in ASCII; nothing else that Python would take for one."""
    if not raw.isascii() or "_" in raw:
        return None
    try:
        value = float(raw)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


decode: Decoder = each(decode_one)


# -- writing -------------------------------------------------------------------------------------------------


def encode(message: Message, *, modbus: bool = False) -> bytes:
    """The frame of a message."""
    fields = [f"QN={message.qn}"] if message.qn else []
    fields += [f"ST={message.st}", f"CN={message.cn}", f"PW={message.pw}", f"MN={message.mn}"]
    if message.flag is not None:
        fields.append(f"Flag={message.flag}")
    if message.pnum:
        fields += [f"PNUM={message.pnum}", f"PNO={message.pno}"]
    if message.resent:
        fields.append("RF=1")
    area = ";".join(",".join(f"{name}={value}" for name, value in item) for item in message.items)
    data = f"{';'.join(fields)};CP=&&{area}&&".encode()
    check = crc16_modbus(data) if modbus else crc16(data)
    return b"##%04d%s%04X\r\n" % (len(data), data, check)


def answer(to: Message, cn: str = DATA_ANSWER, items: Sequence[tuple[tuple[str, str], ...]] = ()) -> Message:
    """What is said back to a message: same QN, PW, MN; ST 91; Flag without the answer bit."""
    flag = None if to.flag is None else to.flag & 0xFC
    return Message(to.qn, INTERACTION, cn, to.mn, to.pw, flag, items=tuple(items))


def answer_to(message: Message) -> Message | None:
    """The answer that the standard asks for: to data that wants one, to notices and heartbeats; else None."""
    if message.cn == HEARTBEAT:
        return answer(message, NOTICE_ANSWER)
    if message.cn.startswith("9") or not message.wants_answer:
        return None
    return answer(message, NOTICE_ANSWER if message.cn == "1013" else DATA_ANSWER)
