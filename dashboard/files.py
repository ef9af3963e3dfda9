"""Our modules, styles and browser libraries as files: under the version of their content, where browsers keep them for
good, and under plain addresses, where browsers ask each time whether they changed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

HERE = Path(__file__).parent
FOLDERS = (HERE / "assets", HERE / "vendor")
ASK_EACH_TIME = "no-cache"
KEEP = "public, max-age=31536000, immutable"


def version(*made: str) -> str:
    """Twelve hex digits that change with every byte of the files, and of what is `made` beside them."""
    told = hashlib.sha256("\0".join(made).encode())
    for path in sorted(path for folder in FOLDERS for path in folder.rglob("*") if path.is_file()):
        told.update(str(path.relative_to(HERE)).encode())
        told.update(path.read_bytes())
    return told.hexdigest()[:12]


class Files(StaticFiles):
    """A folder, with what browsers are told about keeping its files; `sheet` stands in it as `theme.css`."""

    def __init__(self, folder: Path, keeping: str, sheet: str = "") -> None:
        super().__init__(directory=folder)
        self.keeping, self.sheet = keeping, sheet

    async def get_response(self, path: str, scope: Scope) -> Response:
        if path == "theme.css" and self.sheet:
            return Response(self.sheet, media_type="text/css", headers={"Cache-Control": self.keeping})
        return await super().get_response(path, scope)

    def file_response(self, *args: Any, **kwargs: Any) -> Response:  # noqa: ANN401 - handed on as it came
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = self.keeping
        return response
