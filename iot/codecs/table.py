"""CSV for back-fill, as spreadsheets and historians write it: a header, then one reading a line.

Columns by name, in any order: `device`, `channel`, `time`, `value`, optional `unit` and `quality`. Times are
RFC 3339, a number of seconds since 1970, or `YYYY-MM-DD hh:mm:ss` without a zone, which is Beijing time.
UTF-8 with or without a mark, or GB 18030, which Chinese spreadsheets write; separated by comma, semicolon or tab.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from datetime import datetime

from core.batch import FROM_GATEWAY
from core.clock import SECOND_US, to_us
from iot.codecs import china
from iot.codecs.frame import SANE_S, Columns, Decoder, MalformedError, Parcel, Reason, each

WANTED = ("device", "channel", "time", "value")
MOST_ROWS = 1_000_000
#: A longer field is no id, time or number.
FIELD_CHARS = 200


def decode_one(payload: bytes, parcel: Parcel, into: Columns) -> None:  # noqa: ARG001 - all is in the file
    """Append the rows; a bad one is refused by its number, the first below the header being 0."""
    lines = text_of(payload).splitlines()
    if len(lines) > MOST_ROWS:
        raise MalformedError(f"more than {MOST_ROWS} rows")
    place = header(lines[0] if lines else "")
    separator = separator_of(lines[0])
    try:
        for number, row in enumerate(rows_of(lines[1:], separator)):
            add(number, row, place, into)
    except csv.Error as wrong:
        raise MalformedError(str(wrong)) from None


def text_of(payload: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return payload.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise MalformedError("is neither UTF-8 nor GB 18030")


def separator_of(line: str) -> str:
    return max(",;\t", key=line.count)


def header(line: str) -> dict[str, int]:
    """Column → its place. Raises `MalformedError` naming what is missing."""
    names = [name.strip().strip('"').lower() for name in line.split(separator_of(line))]
    place = {name: at for at, name in enumerate(names)}
    missing = [name for name in WANTED if name not in place]
    if missing:
        raise MalformedError(f"no column {', '.join(missing)} in the header")
    return place


def rows_of(lines: Iterable[str], separator: str) -> Iterator[list[str]]:
    """Rows of one line each: no id, time or number has a line break in it."""
    for line in lines:
        if line.strip():
            yield from csv.reader([line[: FIELD_CHARS * 10]], delimiter=separator)


def add(number: int, row: list[str], place: dict[str, int], into: Columns) -> None:
    found = {name: row[at].strip() if at < len(row) else "" for name, at in place.items()}
    name = f"{found['device']}/{found['channel']}"
    time_s = moment(found["time"])
    if time_s is None:
        into.refuse(number, Reason.BAD_TIME, f"{name} time={found['time']!r}")
        return
    raw = found["value"]
    if not raw:
        into.refuse(number, Reason.NO_VALUE, name)
        return
    quality = found.get("quality", "")
    mark = int(quality) & FROM_GATEWAY if quality.isascii() and quality.isdigit() else 0
    into.add(number, name, value_of(raw), time_s, found.get("unit", ""), mark)


def value_of(raw: str) -> float | str:
    """A number, or the word of a state. NaN and infinity stay numbers, which the assembler refuses."""
    try:
        return float(raw)
    except ValueError:
        return raw[:FIELD_CHARS]


def moment(raw: str) -> float | None:
    """Seconds since 1970; None = no time."""
    try:
        time_s = float(raw)
    except ValueError:
        try:
            found = datetime.fromisoformat(raw.replace("/", "-"))
        except ValueError:
            return None
        if found.tzinfo is None:
            found = found.replace(tzinfo=china.CHINA)
        try:
            time_s = to_us(found) / SECOND_US
        except OverflowError:
            return None
    return time_s if math.isfinite(time_s) and -SANE_S < time_s < SANE_S else None


decode: Decoder = each(decode_one)
