"""One theme file, readable in every pair that is drawn."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.yamlfile import Mistakes
from dashboard import theme as themes
from dashboard.theme import Shade, contrast
from gis import style

DASHBOARD = Path(themes.__file__).parent
SHADES: tuple[Shade, ...] = ("dark", "light")


@pytest.fixture
def theme() -> themes.Theme:
    return themes.load()


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("shade", SHADES)
def test_every_pair_that_is_drawn_can_be_read(theme: themes.Theme, shade: Shade) -> None:
    colours = theme.palette(shade).model_dump()
    low = [
        f"{text} on {ground}: {ratio:.2f} < {least}"
        for text, ground, least in themes.pairs()
        if (ratio := contrast(colours[text][:7], colours[ground][:7])) < least
    ]
    assert low == []


@pytest.mark.parametrize("shade", SHADES)
def test_lines_that_are_compared_stand_out_from_their_ground(theme: themes.Theme, shade: Shade) -> None:
    colours = theme.palette(shade)
    assert all(contrast(line, colours.surface) >= 3 for line in colours.series)


@pytest.mark.parametrize("shade", SHADES)
def test_map_labels_can_be_read_on_the_ground(theme: themes.Theme, shade: Shade) -> None:
    tokens = theme.map_tokens(shade)
    for name in ("label", "label_dim"):
        assert contrast(tokens[name], tokens["ground"]) >= 4.5, name
    for level in ("l1", "l2", "l3", "l4"):
        assert contrast(theme.palette(shade).model_dump()[level], tokens["ground"]) >= 3, level


@pytest.mark.parametrize("shade", SHADES)
def test_the_theme_gives_every_colour_of_the_base_map(theme: themes.Theme, shade: Shade) -> None:
    known = style.DARK if shade == "dark" else style.LIGHT
    assert known.keys() - theme.map_tokens(shade).keys() == {"font"}


def test_the_style_sheet_names_every_token_in_both_shades(theme: themes.Theme) -> None:
    sheet = themes.css(theme)
    for name, value in theme.dark.model_dump(exclude={"series"}).items():
        assert f"--{themes.dashed(name)}: {value}" in sheet
    for name, value in theme.light.model_dump(exclude={"series"}).items():
        assert sheet.count(f"--{themes.dashed(name)}: {value}") >= 2, f"{name} for light and for print"


def test_no_style_sheet_or_script_names_a_colour_of_its_own() -> None:
    hexes = re.compile(r"#[0-9a-fA-F]{3,8}\b(?![^<]*</)")
    for path in [*DASHBOARD.glob("assets/**/*.css"), *DASHBOARD.glob("assets/**/*.mjs")]:
        found = [
            match for match in hexes.findall(path.read_text("utf-8")) if re.search(r"\d|[a-f]{3}", match)
        ]
        assert found == [], path.name


def test_a_colour_that_is_none_is_named_with_its_line(tmp_path: Path) -> None:
    wrong = tmp_path / "theme.yaml"
    wrong.write_text((DASHBOARD / "theme.yaml").read_text("utf-8").replace("'#FF4055'", "'red'", 1), "utf-8")
    with pytest.raises(Mistakes, match=r"theme\.yaml:\d+: dark\.l1"):
        themes.load(wrong)
