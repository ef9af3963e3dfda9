"""Domains are declarations: a folder each, read here, of which every room takes its own part (DESIGN §5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel

from core import yamlfile
from core.schema import Declared, Key
from core.yamlfile import Document, Mistake, Mistakes

SECTIONS = ("channels", "kinds", "rules", "incidents", "plans", "vitals")
ModelT = TypeVar("ModelT", bound=BaseModel)


class DomainInfo(Declared):
    """`domain.yaml`: who the domain is. Its names stand in `text/`."""

    key: Key
    order: int
    icon: str
    standards: list[str] = []


@dataclass(frozen=True, slots=True)
class Declaration(Generic[ModelT]):
    """One declared item and where it stands, so that a later check can still name file and line."""

    domain: str
    item: ModelT
    document: Document
    index: int

    def mistake(self, reason: str, *path: str | int) -> Mistake:
        return self.document.mistake((self.index, *path), reason)


@dataclass(frozen=True, slots=True)
class Domains:
    """All domains of a folder, in their order, with the raw documents of their sections."""

    infos: tuple[DomainInfo, ...]
    documents: dict[tuple[str, str], Document]
    folder: Path

    def __iter__(self) -> Iterator[DomainInfo]:
        return iter(self.infos)

    def section(self, name: str, model: type[ModelT]) -> list[Declaration[ModelT]]:
        """Every item of a section over all domains, validated. Raises `Mistakes` with all of them."""
        wrong: list[Mistake] = []
        found = self.gather(name, model, wrong)
        if wrong:
            raise Mistakes(wrong)
        return found

    def gather(self, name: str, model: type[ModelT], wrong: list[Mistake]) -> list[Declaration[ModelT]]:
        """The valid items of a section over all domains; the mistakes of the others are added to `wrong`."""
        return [
            Declaration(info.key, item, document, index)
            for info in self.infos
            if (document := self.documents.get((info.key, name))) is not None
            for index, item in yamlfile.gather_list(document, model, wrong)
        ]

    def keys(self, name: str) -> set[str]:
        """`domain.key` of every item of a section that names itself, valid or not."""
        return {
            f"{domain}.{item['key']}"
            for (domain, section), document in self.documents.items()
            if section == name and isinstance(document.data, list)
            for item in document.data
            if isinstance(item, dict) and "key" in item
        }


def load(folder: Path) -> Domains:
    """Read every domain of a folder. Raises `Mistakes`; a folder without `domain.yaml` is one."""
    infos: list[DomainInfo] = []
    documents: dict[tuple[str, str], Document] = {}
    wrong: list[Mistake] = []
    homes = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not homes:
        raise Mistakes([Mistake(str(folder), 1, "(folder)", "", "holds no domain")])
    for home in homes:
        try:
            infos.append(_info(home))
        except Mistakes as mistakes:
            wrong += mistakes.mistakes
        for path in (home / f"{section}.yaml" for section in SECTIONS):
            if path.exists():
                try:
                    documents[home.name, path.stem] = yamlfile.read(path, _shown(path))
                except Mistakes as mistakes:
                    wrong += mistakes.mistakes
    if wrong:
        raise Mistakes(wrong)
    return Domains(tuple(sorted(infos, key=lambda info: info.order)), documents, folder)


def _info(home: Path) -> DomainInfo:
    document = yamlfile.read(home / "domain.yaml", _shown(home / "domain.yaml"))
    info = yamlfile.parse(document, DomainInfo)
    if info.key != home.name:
        raise Mistakes([document.mistake(("key",), f"must be the folder's name, {home.name}")])
    return info


def _shown(path: Path) -> str:
    """domains/<key>/<file>, whatever stands before it."""
    return "/".join(path.parts[-3:])
