"""Payloads that somebody else designed: where the parts of a reading stand in them, declared in `config.yaml`.

`iot.codecs.plain` reads such payloads. The places are JMESPath expressions.
"""

from __future__ import annotations

from typing import Annotated, Literal

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, Field, model_validator

from core.schema import Declared, Key


def compiled(text: str) -> str:
    """A JMESPath expression, checked. Raises ValueError."""
    try:
        jmespath.compile(text)
    except JMESPathError as wrong:
        raise ValueError(f"is no JMESPath expression: {wrong}") from None
    return text


Path = Annotated[str, AfterValidator(compiled)]


class PayloadMapping(Declared):
    """Where the parts of a reading stand in a payload.

    topic    levels of an MQTT topic; `{gateway}` and `{device}` each stand for one level
    items    the list of things to read; the whole payload when it is not given
    device   the device's name in a thing; not needed when the topic names it
    time     when it was; missing = now
    format   of the time: s, ms, us since 1970, rfc3339, or china (YYYY-MM-DD hh:mm:ss of Beijing)
    channel, value, unit   one reading a thing; `channels` translates its names into ours
    values   our channel → where its value stands: several readings a thing
    units    our channel → the unit that is meant
    """

    name: Key
    topic: str = ""
    items: Path = "@"
    device: Path | None = None
    time: Path | None = None
    format: Literal["s", "ms", "us", "rfc3339", "china"] = "ms"
    channel: Path | None = None
    value: Path | None = None
    unit: Path | None = None
    channels: dict[str, str] = {}
    values: dict[str, Path] = {}
    units: dict[str, str] = Field(default={})

    @model_validator(mode="after")
    def _whole(self) -> PayloadMapping:
        if bool(self.values) == bool(self.channel and self.value):
            raise ValueError("needs either channel and value, or values")
        if self.device is None and "{device}" not in self.topic:
            raise ValueError("needs device, or a topic with {device}")
        if self.topic and "{gateway}" not in self.topic:
            raise ValueError("topic needs {gateway}: a gateway speaks for itself only")
        return self
