"""What a file is that is no CSV, by its first bytes, and what to do with it."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

_AS_CSV = "save its table as CSV and land that"
_UNPACK = "unpack it and land what is in it (.gz and .zst are read as they are)"
_SHEETS = "save each sheet as CSV and land that"

# By the bytes at a place of the file; the first that fits is it.
_SIGNATURES: tuple[tuple[int, bytes, str, str], ...] = (
    (
        0,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an Office file of the old kind, such as an Excel workbook (.xls)",
        _SHEETS,
    ),
    (0, b"PK\x05\x06", "an empty zip archive", "land the file that was meant to be in it"),
    (0, b"BZh", "bzip2 data", _UNPACK),
    (0, b"\xfd7zXZ\0", "xz data", _UNPACK),
    (0, b"7z\xbc\xaf'\x1c", "a 7z archive", _UNPACK),
    (0, b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (0, b"\x04\x22\x4d\x18", "lz4 data", _UNPACK),
    (257, b"ustar", "a tar archive", _UNPACK),
    (0, b"%PDF-", "a PDF", "ask for the table behind it as CSV"),
    (0, b"PAR1", "a Parquet file", _AS_CSV),
    (0, b"Obj\x01", "an Avro file", _AS_CSV),
    (0, b"ARROW1\0", "an Arrow file", _AS_CSV),
    (0, b"FEA1", "a Feather file", _AS_CSV),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file", _AS_CSV),
    (0, b"SQLite format 3\0", "an SQLite database", _AS_CSV),
    (0, b"PGDMP", "a dump of a PostgreSQL database", _AS_CSV),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image", "ask for the table as CSV"),
    (0, b"\xff\xd8\xff", "a JPEG image", "ask for the table as CSV"),
    (0, b"GIF8", "a GIF image", "ask for the table as CSV"),
    (0, b"II*\0", "a TIFF image", "ask for the table as CSV"),
    (0, b"MM\0*", "a TIFF image", "ask for the table as CSV"),
    (8, b"WEBPVP8", "a WebP image", "ask for the table as CSV"),
    (0, b"{\\rtf", "a text document (RTF)", _AS_CSV),
    (
        0,
        b"version https://git-lfs.github.com/spec/",
        "a Git LFS pointer, which stands for the file",
        "fetch the file itself (git lfs pull) and land that",
    ),
)
_HTML = re.compile(r"(<!--.*?-->\s*)*<(!doctype html|html|head|body|table)\b", re.IGNORECASE | re.DOTALL)
_XML = re.compile(r"<(\?xml|[A-Za-z_][\w.:-]*(\s[^<>]*)?/?>)")
_SQL = re.compile(r"(--[^\n]*\n\s*|/\*.*?\*/;?\s*)*(CREATE|INSERT|DROP|SET|BEGIN|COPY)\s[^,;|\t]*[;(\n]", re.DOTALL)
_LOOKED_AT = 64 * 1024


class Kind(NamedTuple):
    """What the file is, and the remedy; as a string a sentence."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"the file is {self.what}: {self.remedy}"


def kind_of(beginning: bytes, name: str, marked_encoding: str | None = None) -> Kind | None:
    """The kind of the file of this ``name`` that begins so after decompression; None when it may well be CSV.

    ``marked_encoding`` is what a byte order mark said, which ``beginning`` is without. Only to be asked of a file that
    could not be read: a CSV may begin like something else.
    """
    beginning = beginning[:_LOOKED_AT]
    if marked_encoding is not None:
        return _of_text(beginning.decode(marked_encoding, "replace"))
    packed = _packed(beginning, name.lower())
    if packed or beginning.startswith(b"PK\x03\x04"):
        return packed or _of_zip(beginning)
    for at, bytes_there, what, remedy in _SIGNATURES:
        if beginning.startswith(bytes_there, at):
            return Kind(what, remedy)
    if encoding := unmarked_encoding(beginning):
        return _of_text(beginning.decode(encoding, "replace")) or Kind(
            f"{encoding[:6].upper()} without a byte order mark, which no contract says",
            f"let its contract say encoding: {encoding} under csv, or write the file as UTF-8",
        )
    return _of_binary(beginning) or _of_text(beginning.decode("utf-8", "replace"))


def unmarked_encoding(beginning: bytes) -> str | None:
    """UTF-16 or UTF-32, when the bytes that are 0 stand where its letters have them; None otherwise."""
    part = beginning[: min(len(beginning), 2000) // 4 * 4] or beginning[:2]
    if len(part) < 2 or not part.strip(b"\0"):
        return None
    zeros = [part[start::4].count(0) / max(1, len(part) // 4) for start in range(4)]
    if min(zeros[1:]) > 0.5 > zeros[0]:
        return "utf-32-le"
    if min(zeros[:3]) > 0.5 > zeros[3]:
        return "utf-32-be"
    even, odd = (part[start::2].count(0) / (len(part) // 2) for start in (0, 1))
    if max(even, odd) > 0.5 > min(even, odd) * 2:
        return "utf-16-be" if even > odd else "utf-16-le"
    return None


def _packed(beginning: bytes, name: str) -> Kind | None:
    for mark, ending, what in ((b"\x1f\x8b", ".gz", "gzip"), (b"\x28\xb5\x2f\xfd", ".zst", "zstd")):
        if beginning.startswith(mark):
            if name.endswith((".gz", ".zst")):
                return Kind(f"{what} data inside compressed data", "compress it once only, and land it again")
            return Kind(f"{what} data, which its name does not say", f"name it …{ending} and land it again")
    return None


def _of_zip(beginning: bytes) -> Kind:
    if b"xl/" in beginning or b"[Content_Types].xml" in beginning:
        is_other = b"word/" in beginning or b"ppt/" in beginning
        what = "an Office document" if is_other else "an Excel workbook (.xlsx)"
        return Kind(what, _AS_CSV if is_other else _SHEETS)
    if beginning.startswith(b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet", 30):
        return Kind("an OpenDocument workbook (.ods)", _SHEETS)
    return Kind("a zip archive", _UNPACK)


def _of_binary(beginning: bytes) -> Kind | None:
    """Of bytes that are no text: at least one in ten is a control character that no text has."""
    if beginning and not beginning.strip(b"\0"):
        return Kind("nothing but NUL bytes at its start", "copying it broke off, most likely: land it again")
    controls = sum(beginning[:4096].count(code) for code in range(32) if code not in b"\t\n\r\f\x1b")
    if controls * 10 > len(beginning[:4096]):
        if beginning.startswith(b"ORC"):
            return Kind("an ORC file", _AS_CSV)
        return Kind(f"no text (it begins with the bytes {beginning[:8].hex(' ')})", "export it as CSV and land that")
    return None


def _of_text(text: str) -> Kind | None:
    text = text.lstrip("\ufeff \t\r\n")
    if _HTML.match(text):
        return Kind("a web page (HTML)", "was it an error page or a login? Fetch the file itself and land that")
    if _XML.match(text):
        return Kind("XML", "convert it to CSV and land that")
    if text[:1] in ("{", "["):
        return _of_json(text)
    if _SQL.match(text):
        return Kind("SQL statements", _AS_CSV)
    return None


def _of_json(text: str) -> Kind | None:
    line = text.splitlines()[0].strip()
    try:
        json.loads(line)
        is_value = True
    except ValueError:
        is_value = False
    if is_value and len(text.splitlines()) > 1 and text.splitlines()[1].lstrip()[:1] in ("{", "["):
        return Kind("JSON lines", "convert it to CSV and land that")
    if is_value or re.match(r'\{\s*("|\})|\[\s*[\[{"\]0-9-]', text):
        return Kind("JSON", "convert it to CSV and land that")
    return None
