"""Counters and gauges of a process: plain numbers, carried by the heartbeat and exposed by the web."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


class Metrics:
    """Named numbers. A name may carry labels in the Prometheus way: `refused_total{reason="nan"}`."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.gauges: dict[str, float] = {}

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        self.counters[labelled(name, labels)] += amount

    def set(self, name: str, value: float, **labels: str) -> None:
        self.gauges[labelled(name, labels)] = value

    def snapshot(self) -> dict[str, dict[str, float]]:
        return {"counters": dict(self.counters), "gauges": dict(self.gauges)}


def labelled(name: str, labels: Mapping[str, str]) -> str:
    if not labels:
        return name
    inside = ",".join(f'{key}="{escaped(value)}"' for key, value in sorted(labels.items()))
    return f"{name}{{{inside}}}"


def escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def with_label(name: str, key: str, value: str) -> str:
    """The name with one more label: `a{b="1"}` and role=worker → `a{b="1",role="worker"}`."""
    label = f'{key}="{escaped(value)}"'
    return f"{name[:-1]},{label}}}" if name.endswith("}") else f"{name}{{{label}}}"


def exposition(parts: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Prometheus text format of the snapshots of all roles."""
    lines: list[str] = []
    for kind, prometheus in (("counters", "counter"), ("gauges", "gauge")):
        series: dict[str, list[str]] = {}
        for role, snapshot in sorted(parts.items()):
            for name, value in sorted(snapshot.get(kind, {}).items()):
                family = "cityops_" + name.split("{")[0]
                series.setdefault(family, []).append(f"cityops_{with_label(name, 'role', role)} {value:g}")
        for family, samples in sorted(series.items()):
            lines += [f"# TYPE {family} {prometheus}", *samples]
    return "\n".join(lines) + "\n"
