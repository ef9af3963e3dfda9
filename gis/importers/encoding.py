"""Texts of files whose encoding nobody states: UTF-8, or the GBK family of Chinese systems."""

from __future__ import annotations

from gis.importers.found import FileRefused

#: GB 18030 holds GBK and GB 2312 whole.
CHINESE = "gb18030"


def decode(data: bytes, encoding: str, file: str) -> tuple[str, str]:
    """(text, encoding) of a file. A stated encoding must fit; otherwise UTF-8 is tried, then GB 18030.

    Raises `FileRefused` naming the first byte that fits neither.
    """
    if encoding:
        try:
            return data.decode(encoding), encoding
        except LookupError:
            raise FileRefused("import.unknown_encoding", file=file, encoding=encoding) from None
        except UnicodeDecodeError as wrong:
            raise FileRefused(
                "import.not_in_encoding",
                file=file,
                encoding=encoding,
                byte=wrong.start,
                line=_line(data, wrong.start),
            ) from None
    try:
        return data.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError as wrong:
        try:
            return data.decode(CHINESE), CHINESE
        except UnicodeDecodeError:
            raise FileRefused(
                "import.broken_encoding", file=file, byte=wrong.start, line=_line(data, wrong.start)
            ) from None


def _line(data: bytes, at: int) -> int:
    return data.count(b"\n", 0, at) + 1


def mend(text: str) -> str | None:
    """A text that was read as Latin-1, as it was meant: UTF-8, else GB 18030; None when it is neither."""
    data = text.encode("latin-1", errors="replace")
    for encoding in ("utf-8", CHINESE):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None
