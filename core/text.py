"""Every word that a person sees comes from `text/zh.yaml` and `text/en.yaml` of a room or a domain.

One mechanism for Python and browser: flat keys, `{name}` where a value goes. Nesting becomes dots.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from core import yamlfile
from core.yamlfile import KeyPath, Mistake, Mistakes

LANGUAGES = ("zh", "en")


class Texts:
    """All texts of all rooms and domains in every language. A missing key shows itself: `⟦key⟧`."""

    def __init__(self, by_language: Mapping[str, Mapping[str, str]]) -> None:
        self._by_language = by_language

    def __call__(self, key: str, language: str, /, **values: object) -> str:
        pattern = self._by_language.get(language, {}).get(key)
        if pattern is None:
            return f"⟦{key}⟧"
        return fill(pattern, values) if values else pattern

    def has(self, key: str, language: str = "zh") -> bool:
        return key in self._by_language.get(language, {})

    def all(self, language: str) -> Mapping[str, str]:
        return self._by_language[language]


def fill(pattern: str, values: Mapping[str, object]) -> str:
    """Put values into `{name}` places; a name without a value stays as it stands, so that it is seen."""
    for name, value in values.items():
        pattern = pattern.replace("{" + name + "}", str(value))
    return pattern


def load(homes: Iterable[Path]) -> Texts:
    """Texts of every `text/` folder. Raises `Mistakes`: a key in one language only, or a key in two homes."""
    by_language: dict[str, dict[str, str]] = {language: {} for language in LANGUAGES}
    wrong: list[Mistake] = []
    for home in homes:
        found: dict[str, dict[str, int]] = {}
        for language in LANGUAGES:
            path = home / "text" / f"{language}.yaml"
            if not path.exists():
                continue
            shown = f"{home.name}/text/{language}.yaml"
            document = yamlfile.read(path, shown)
            paths = dict(_flatten(document.data))
            flat = {key: str(document.at(path)) for key, path in paths.items()}
            found[language] = {key: document.line(path) for key, path in paths.items()}
            wrong += [
                Mistake(shown, found[language][key], key, "", "stands in another folder already")
                for key in flat.keys() & by_language[language].keys()
            ]
            by_language[language].update(flat)
        for one, other in (("zh", "en"), ("en", "zh")):
            for key in found.get(one, {}).keys() - found.get(other, {}).keys():
                shown = f"{home.name}/text/{one}.yaml"
                wrong.append(Mistake(shown, found[one][key], key, "", f"has no text in {other}.yaml"))
    if wrong:
        raise Mistakes(wrong)
    return Texts(by_language)


def _flatten(data: object, path: KeyPath = ()) -> Iterable[tuple[str, KeyPath]]:
    """(dotted key, path) of every leaf; a key may itself contain dots."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _flatten(value, (*path, str(key)))
    elif data is not None:
        yield ".".join(str(part) for part in path), path
