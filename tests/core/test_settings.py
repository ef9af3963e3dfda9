"""A wrong configuration is named whole: file, line, key, value and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import settings
from core.settings import Settings
from core.yamlfile import Mistakes
from tests.conftest import ROOT


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


def mistakes(tmp_path: Path, text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(Mistakes) as found:
        settings.load(write(tmp_path, text))
    return [(mistake.line, mistake.key, mistake.reason) for mistake in found.value.mistakes]


def test_the_shipped_settings_are_good_and_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    assert settings.load(ROOT / "config.yaml").web.port == 8050
    assert settings.load(write(tmp_path, "")).model_dump() == Settings().model_dump()


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        "web:\n  port: 99999\n  prot: 1\nmqtt:\n  mode: broker\n"
        "city:\n  timezone: Mars/Olympus\ningest:\n  late_after: 10\n",
    )
    assert [(line, key) for line, key, _ in found] == [
        (2, "web.port"), (3, "web.prot"), (5, "mqtt.mode"), (7, "city.timezone"), (9, "ingest.late_after"),
    ]  # fmt: skip
    told = {key: reason for _, key, reason in found}
    assert "less than or equal to 65535" in told["web.port"]
    assert "did you mean port?" in told["web.prot"]
    assert "'embedded' or 'external'" in told["mqtt.mode"]
    assert "30s, 5m" in told["ingest.late_after"]


def test_a_key_that_stands_twice_is_a_mistake(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "scene: both\nlog:\n  level: info\nscene: off\n") == [
        (4, "scene", "stands here a second time")
    ]


def test_off_is_a_word_and_not_a_truth_value(tmp_path: Path) -> None:
    read = settings.load(write(tmp_path, "scene: off\ndatabase:\n  timescale: off\n"))
    assert (read.scene, read.database.timescale) == ("off", "off")


def test_the_environment_overrides_secrets_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITYOPS_DATABASE_URL", "postgresql://u:hush@db/city")
    monkeypatch.setenv("CITYOPS_WEB_PORT", "1")
    read = settings.load(write(tmp_path, "web:\n  port: 8051\n"))
    assert read.database.url.get_secret_value() == "postgresql://u:hush@db/city"
    assert read.web.port == 8051
    assert "hush" not in repr(read)


def test_two_listeners_on_one_port_are_refused(tmp_path: Path) -> None:
    found = mistakes(tmp_path, "web:\n  port: 1883\n")
    assert "must differ" in found[0][2]


def test_a_missing_file_and_broken_yaml_are_named(tmp_path: Path) -> None:
    with pytest.raises(Mistakes, match="does not exist"):
        settings.load(tmp_path / "none.yaml")
    assert mistakes(tmp_path, "web: [1, 2\n")[0][1] == "(file)"
    (tmp_path / "config.yaml").write_bytes(b"city:\n  name_zh: \xc4\xcf\xbe\xa9\n")
    with pytest.raises(Mistakes, match="not UTF-8"):
        settings.load(tmp_path / "config.yaml")
