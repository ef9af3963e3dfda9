from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from gis import mvt, style, tiles
from gis.city import City
from gis.views import CityMap


def centre_tile(zoom: int) -> tuple[int, int, int]:
    u, v = mvt.mercator(121.5, 31.2387)
    return zoom, int(u * 2**zoom), int(v * 2**zoom)


def test_every_layer_that_the_style_draws_is_in_the_tiles(made: Path) -> None:
    told = tiles.Reader(made).metadata()["vector_layers"]
    there = {layer["id"] for layer in told}
    drawn = {
        layer["source-layer"]
        for layer in style.style(style.DARK, "pmtiles:///x", style.View((121.5, 31.24)))["layers"]
        if "source-layer" in layer
    }
    assert drawn <= there
    assert {"id", "kind"} <= set(next(layer for layer in told if layer["id"] == "pipes")["fields"])


def test_the_same_city_gives_the_same_file_and_it_is_not_made_twice(made: Path, city: City) -> None:
    stamp = made.stat().st_mtime_ns
    assert tiles.build(enumerate(city.assets.values(), 1), made.parent) == made
    assert made.stat().st_mtime_ns == stamp
    assert tiles.current(made.parent) == made


def test_old_files_are_pruned_but_the_newest_stay(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"city-{number:012d}.pmtiles").touch()
    assert tiles.prune(tmp_path) == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_tiles_can_be_made_without_tippecanoe(
    city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "_tippecanoe", lambda *_: False)
    some = [a for a in city.assets.values() if a.kind in {"water", "pipe", "building"}]
    reader = tiles.Reader(tiles.build(enumerate(some, 1), tmp_path))
    assert {layer["id"] for layer in reader.metadata()["vector_layers"]} == {
        "water", "water_lines", "pipes", "buildings",
    }  # fmt: skip
    tile = reader.tile(*centre_tile(14))
    assert tile is not None
    assert b"pipes" in gzip.decompress(tile)


def test_the_map_serves_single_tiles(made: Path, city: City) -> None:
    shown = CityMap(lambda: city, made.parent)
    tile = shown.base_tile(*centre_tile(14))
    assert tile is not None
    assert b"buildings" in gzip.decompress(tile)
    assert shown.base_tile(14, 0, 0) is None


@pytest.mark.parametrize("tokens", [style.DARK, style.LIGHT])
@pytest.mark.parametrize("pitch", [0.0, 55.0])
def test_the_style_asks_nothing_of_any_other_address(tokens: style.Tokens, pitch: float) -> None:
    made = style.style(tokens, "pmtiles:///tiles/city.pmtiles", style.View((121.5, 31.24), pitch=pitch))
    text = json.dumps(made)
    assert "http" not in text
    assert "glyphs" not in made
    assert "sprite" not in made
    names = [layer["id"] for layer in made["layers"]]
    assert len(names) == len(set(names))
    fonts = {tuple(layer["layout"]["text-font"]) for layer in made["layers"] if layer["type"] == "symbol"}
    assert fonts == {(tokens["font"],)}


def test_both_themes_have_the_same_tokens() -> None:
    assert style.DARK.keys() == style.LIGHT.keys()
