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
        found: list[Declaration[ModelT]] = []
        wrong: list[Mistake] = []
        for info in self.infos:
            document = self.documents.get((info.key, name))
            if document is None:
                continue
            try:
                items = yamlfile.parse_list(document, model)
            except Mistakes as mistakes:
                wrong += mistakes.mistakes
                continue
            found += [Declaration(info.key, item, document, index) for index, item in enumerate(items)]
        if wrong:
            raise Mistakes(wrong)
        return found


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
            document = yamlfile.read(home / "domain.yaml", f"{folder.name}/{home.name}/domain.yaml")
            info = yamlfile.parse(document, DomainInfo)
            if info.key != home.name:
                raise Mistakes([document.mistake(("key",), f"must be the folder's name, {home.name}")])
            infos.append(info)
            for section in SECTIONS:
                path = home / f"{section}.yaml"
                if path.exists():
                    shown = f"{folder.name}/{home.name}/{path.name}"
                    documents[home.name, section] = yamlfile.read(path, shown)
        except Mistakes as mistakes:
            wrong += mistakes.mistakes
    if wrong:
        raise Mistakes(wrong)
    return Domains(tuple(sorted(infos, key=lambda info: info.order)), documents, folder)
