"""Channels and kinds: what ships is whole, and every mistake is named with its file and line, all at once."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from core import domains, text
from core.domains import Domains
from core.text import LANGUAGES, Texts
from core.yamlfile import Mistakes
from iot import kinds
from iot.kinds import COMMON, Catalogue, KindDecl
from tests.conftest import ROOT

FIRST = {"water_supply", "drainage", "gas", "construction", "flood", "fire"}
CODES = {
    "hj212": r"[aw]\d{5}|LA|Leq|LMx|L10|L90|\d{3}|B01",
    "sl651": r"[0-9A-F]{2}H|!?45H\.\d{1,2}",
    "gbt26875": r"!?(1|2|21|24)\.\d{1,2}|3\.\d{1,2}",
}


@pytest.fixture(scope="module")
def catalogue(shipped: Domains) -> Catalogue:
    return kinds.load(shipped)


@pytest.fixture(scope="module")
def texts(shipped: Domains) -> Texts:
    return text.load(shipped.folder / info.key for info in shipped)


def test_the_first_domains_ship_with_their_kinds(shipped: Domains, catalogue: Catalogue) -> None:
    assert {info.key for info in shipped} >= {*FIRST, COMMON}
    assert {kind.domain for kind in catalogue.kinds.values()} >= FIRST
    assert all(kind.channels for kind in catalogue.kinds.values())
    assert len({info.order for info in shipped}) == len(shipped.infos)


def test_every_domain_channel_kind_and_state_has_a_name_in_both_languages(
    shipped: Domains, catalogue: Catalogue, texts: Texts
) -> None:
    keys = [f"domain.{info.key}.name" for info in shipped]
    keys += [f"channel.{name}.name" for name in catalogue.channels]
    keys += [f"kind.{key}.name" for key in catalogue.kinds]
    keys += [f"state.{state}" for channel in catalogue.channels.values() for state in channel.states]
    assert [(key, language) for language in LANGUAGES for key in keys if not texts.has(key, language)] == []


def test_no_channel_or_kind_is_named_that_is_not_declared(
    shipped: Domains, catalogue: Catalogue, texts: Texts
) -> None:
    keys = [key.split(".") for key in texts.all("zh")]
    assert {".".join(key[1:3]) for key in keys if key[0] == "channel"} == set(catalogue.channels)
    assert {key[1] for key in keys if key[0] == "kind"} == set(catalogue.kinds)
    assert {key[1] for key in keys if key[0] == "domain"} == {info.key for info in shipped}


def test_factor_codes_are_written_as_their_standard_writes_them(catalogue: Catalogue) -> None:
    codes = [
        (wire, code)
        for kind in catalogue.kinds.values()
        for wire, factors in kind.decl.factors.items()
        for code in factors
    ]
    assert [pair for pair in codes if not re.fullmatch(CODES[pair[0]], pair[1])] == []
    for wire, kind, code, channel in (
        ("hj212", "con_dust_noise", "a34001", "tsp"),
        ("sl651", "fl_river", "39H", "river_level"),
        ("gbt26875", "fire_utd", "!21.3", "main_power"),
    ):
        assert catalogue.kinds[kind].decl.factors[wire][code] == channel  # type: ignore[index]


def test_switches_counters_and_events_may_stay_the_same(catalogue: Catalogue) -> None:
    rests = {"state", "event", "total"}
    assert [
        (kind.key, name)
        for kind in catalogue.kinds.values()
        for name, full in kind.channels.items()
        if catalogue.channels[full].quantity in rests and name not in kind.decl.stuck_exempt
    ] == []


def test_a_concentration_of_gas_is_never_flagged_as_a_spike(catalogue: Catalogue) -> None:
    """A flagged reading raises no alarm, and a true jump must."""
    gases = [channel for channel in catalogue.channels.values() if channel.unit in {"%LEL", "%vol", "ppm"}]
    assert gases
    assert all(channel.spike == 0 for channel in gases)


def test_a_common_channel_stands_in_for_one_that_a_domain_does_not_declare() -> None:
    channels = {"gas.flow", "common.battery", "common.flow"}
    assert kinds.resolve(channels, "gas", "flow") == "gas.flow"
    assert kinds.resolve(channels, "gas", "battery") == "common.battery"
    assert kinds.resolve(channels, "fire", "flow") == "common.flow"
    assert kinds.resolve(channels, "gas", "nothing") == ""


def kind(**fields: object) -> KindDecl:
    return KindDecl.model_validate(
        {"key": "k", "channels": ["c"], "asset": "a", "formats": ["senml"], **fields}
    )


def test_silence_means_something_after_three_periods_or_one_and_a_half_heartbeats() -> None:
    assert kind(period="5m").silent_after_s == 900
    assert kind(heartbeat="24h").silent_after_s == 36 * 3600
    assert kind(period="4h", heartbeat="24h").silent_after_s == 36 * 3600
    assert kind().silent_after_s == math.inf


CHANNELS = """\
- key: level
  unit: m
  aliases: [cm]
  low: 0
  high: 15
"""
KINDS = """\
- key: gauge
  asset: manhole
  channels: [level]
  period: 5m
  formats: [senml, sl651]
  factors:
    sl651:
      "39H": level
  stuck_exempt: [level]
"""


def home(
    folder: Path, channels: str = CHANNELS, kinds_: str = KINDS, domain: str = "", key: str = "x"
) -> Path:
    """A folder with one domain."""
    (folder / key).mkdir()
    (folder / key / "domain.yaml").write_text(domain or f"key: {key}\norder: 1\nicon: device\n")
    (folder / key / "channels.yaml").write_text(channels)
    (folder / key / "kinds.yaml").write_text(kinds_)
    return folder


def mistakes(folder: Path) -> list[str]:
    """What loading says, without the folder's own name."""
    with pytest.raises(Mistakes) as raised:
        kinds.load(domains.load(folder))
    return [line.removeprefix(f"{folder.name}/") for line in str(raised.value).splitlines()]


def test_a_sound_domain_loads(tmp_path: Path) -> None:
    found = kinds.load(domains.load(home(tmp_path)))
    assert found.kinds["gauge"].channels == {"level": "x.level"}


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("low: 0", "low: 15", "x/channels.yaml:1: [0]: low 15.0 must be below high 15.0"),
        (
            "unit: m",
            "unit: mm3",
            "x/channels.yaml:2: [0].unit = 'mm3': is not a unit of iot/units.py; did you mean mm?",
        ),
        ("[cm]", "[cm, Pa]", "x/channels.yaml:3: [0].aliases: Pa cannot be converted to m"),
        ("high: 15", "hihg: 15", "x/channels.yaml:5: [0].hihg = 15: is not a known key; did you mean high?"),
        ("high: 15", "high: 15\n  states: [a, b]", "x/channels.yaml:1: [0]: 2 states are the values 0 to 1"),
        ("key: level", "key: Level", "x/channels.yaml:1: [0].key = 'Level': string should match pattern"),
    ],
)
def test_a_mistake_in_a_channel_is_told_with_its_line(
    tmp_path: Path, right: str, wrong: str, told: str
) -> None:
    assert any(
        line.startswith(told) for line in mistakes(home(tmp_path, channels=CHANNELS.replace(right, wrong)))
    )


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        (
            "channels: [level]",
            "channels: [level, rssi]",
            "x/kinds.yaml:3: [0].channels[1] = 'rssi': channel rssi is declared neither in x nor in common",
        ),
        (
            '"39H": level',
            '"39H": level\n      "27H": flow',
            "x/kinds.yaml:9: [0].factors.sl651.27H = 'flow': channel flow is none of this kind",
        ),
        (
            "stuck_exempt: [level]",
            "stuck_exempt: [levle]",
            "x/kinds.yaml:9: [0].stuck_exempt[0] = 'levle': channel levle is none of this kind",
        ),
        ("sl651:", "hj212:", "x/kinds.yaml:7: [0].factors.hj212: hj212 is none of this kind's formats"),
        ("    sl651:", "    sl615:", "x/kinds.yaml:7: [0].factors.sl615: input should be 'senml', 'arrow'"),
        ("period: 5m", "period: 5", "x/kinds.yaml:4: [0].period = 5: must be a span of time such as 30s"),
        ("period:", "preiod:", "x/kinds.yaml:4: [0].preiod = '5m': is not a known key; did you mean period?"),
        ("period: 5m", "period: 5m\n  period: 6m", "x/kinds.yaml:5: [0].period: stands here a second time"),
    ],
)
def test_a_mistake_in_a_kind_is_told_with_its_line(tmp_path: Path, right: str, wrong: str, told: str) -> None:
    (line,) = mistakes(home(tmp_path, kinds_=KINDS.replace(right, wrong)))
    assert line.startswith(told)


def test_a_channel_or_kind_that_is_declared_twice_is_told_at_its_second_place(tmp_path: Path) -> None:
    home(tmp_path, CHANNELS + CHANNELS, KINDS)
    home(tmp_path, CHANNELS, KINDS, "key: y\norder: 2\nicon: device\n", "y")
    assert mistakes(tmp_path) == [
        "x/channels.yaml:6: [1].key = 'level': channel level is declared twice",
        "y/kinds.yaml:1: [0].key = 'gauge': kind gauge is declared twice",
    ]


def test_all_mistakes_of_all_files_come_at_once_and_none_follows_from_another(tmp_path: Path) -> None:
    home(
        tmp_path,
        CHANNELS.replace("low: 0", "low: 99")
        + CHANNELS.replace("key: level", "key: flow").replace("m\n", "Mpa\n"),
        KINDS.replace("asset", "aset").replace("5m", "5")
        + KINDS.replace("[level]", "[level, flow, more]", 1),
    )
    lines = [re.sub(r": \[.*", "", line) for line in mistakes(tmp_path)]
    assert lines == [
        "x/channels.yaml:1",  # low above high; kinds that use this channel are not told that it is unknown
        "x/channels.yaml:7",  # Mpa
        "x/kinds.yaml:1",  # no asset
        "x/kinds.yaml:2",  # aset
        "x/kinds.yaml:4",  # no unit
        "x/kinds.yaml:12",  # more
    ]


def test_a_folder_that_is_no_domain_is_a_mistake_beside_those_of_the_others(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    home(tmp_path, CHANNELS + "  low: 1\n", KINDS + "  key: again\n", "key: z\norder: 1\nicon: device\n")
    assert mistakes(tmp_path) == [
        "empty/domain.yaml:1: (file): does not exist",
        "x/channels.yaml:6: [0].low: stands here a second time",
        "x/domain.yaml:1: key = 'z': must be the folder's name, x",
        "x/kinds.yaml:10: [0].key: stands here a second time",
    ]
    with pytest.raises(Mistakes, match="holds no domain"):
        domains.load(tmp_path / "nowhere")


def test_codes_are_quoted_so_that_no_reader_takes_them_for_numbers() -> None:
    bare = [
        f"{path.name}:{number}"
        for path in (ROOT / "domains").glob("*/kinds.yaml")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.match(r"\s*!?[\dA-Z][\w.]*:", line)
    ]
    assert bare == []
