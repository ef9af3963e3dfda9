"""Units on the wire and the factors between them. A unit that stands nowhere here is refused, never guessed.

SenML names are those of RFC 8428 and RFC 8798; the others are aliases that field devices send.
"""

from __future__ import annotations

import math

# quantity → unit → factor to the quantity's base unit; value_in_base = value × factor
_SCALED: dict[str, dict[str, float]] = {
    "pressure": {"Pa": 1.0, "kPa": 1e3, "MPa": 1e6, "hPa": 100.0, "bar": 1e5, "mH2O": 9806.65},
    "volume_flow": {"m3/s": 1.0, "m3/h": 1 / 3600, "m³/h": 1 / 3600, "m³/s": 1.0, "l/s": 1e-3, "L/s": 1e-3},
    "volume": {"m3": 1.0, "m³": 1.0, "l": 1e-3, "L": 1e-3},
    "length": {"m": 1.0, "cm": 0.01, "mm": 0.001, "km": 1000.0},
    "speed": {"m/s": 1.0, "km/h": 1 / 3.6},
    "sound_level": {"dB": 1.0, "dB(A)": 1.0},
    "mass_concentration": {
        "kg/m3": 1.0,
        "µg/m³": 1e-9,
        "ug/m3": 1e-9,
        "µg/m3": 1e-9,
        "mg/m3": 1e-6,
        "mg/m³": 1e-6,
    },
    "solution": {"mg/L": 1.0, "mg/l": 1.0},
    "turbidity": {"NTU": 1.0, "FNU": 1.0},
    "acidity": {"pH": 1.0},
    "conductivity": {"S/m": 1.0, "µS/cm": 1e-4, "uS/cm": 1e-4, "mS/cm": 0.1, "mS/m": 1e-3},
    "share": {"/": 1.0, "%": 0.01, "%RH": 0.01, "%EL": 0.01},
    "gas_lel": {"%LEL": 1.0},
    "gas_volume": {"%vol": 0.01, "ppm": 1e-6},
    "angle": {"°": 1.0, "deg": 1.0, "rad": 180 / math.pi},
    "count": {"count": 1.0, "台": 1.0, "辆": 1.0, "1": 1.0},
    "acceleration": {"m/s2": 1.0, "g": 9.80665},
    "current": {"A": 1.0, "mA": 1e-3},
    "voltage": {"V": 1.0, "mV": 1e-3},
    "power": {"W": 1.0, "kW": 1e3},
    "energy": {"J": 1.0, "Wh": 3600.0, "kWh": 3.6e6},
    "radio": {"dBm": 1.0},
    "time": {"s": 1.0, "min": 60.0, "h": 3600.0},
    "position": {"lat": 1.0},
    "position_lon": {"lon": 1.0},
}
_QUANTITY = {unit: quantity for quantity, scale in _SCALED.items() for unit in scale}

# unit → (factor, offset) to kelvin: the one quantity whose zero points differ
_TEMPERATURE = {"K": (1.0, 0.0), "Cel": (1.0, 273.15), "°C": (1.0, 273.15), "degF": (5 / 9, 459.67 * 5 / 9)}

#: A conversion is value × factor + offset.
Conversion = tuple[float, float]
SAME: Conversion = (1.0, 0.0)


def conversion(wire: str, unit: str) -> Conversion | None:
    """Factor and offset that turn a value in `wire` into one in `unit`; None when there is none."""
    if wire == unit:
        return SAME
    if wire in _TEMPERATURE and unit in _TEMPERATURE:
        factor, offset = _TEMPERATURE[wire]
        to_factor, to_offset = _TEMPERATURE[unit]
        return factor / to_factor, (offset - to_offset) / to_factor
    quantity = _QUANTITY.get(wire)
    if quantity is None or quantity != _QUANTITY.get(unit):
        return None
    return _SCALED[quantity][wire] / _SCALED[quantity][unit], 0.0


def known(unit: str) -> bool:
    return unit in _QUANTITY or unit in _TEMPERATURE


def names() -> list[str]:
    """Every unit, by quantity."""
    return [*_QUANTITY, *_TEMPERATURE]


def convertible(wire: str, unit: str) -> bool:
    return conversion(wire, unit) is not None
