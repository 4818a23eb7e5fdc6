"""In any dialect and layout that a contract can declare, both readers find the same, and no byte of a file is lost."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sluice.contracts.dialect import parse_dialect, parse_layout
from sluice.contracts.model import ContractError
from sluice.reading.dialect import Dialect
from sluice.reading.layout import Layout
from tests.two_readers import Cuts, assert_they_agree, encoded

PROPERTY = settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
ENCODINGS = [
    "utf-8", "latin-1", "cp1252", "utf-16-le", "utf-16-be", "utf-16", "utf-32-le", "utf-32-be", "utf-32",
    "shift_jis", "cp932", "gbk", "big5hkscs", "gb18030", "johab", "euc_jp",
]  # fmt: skip
# Letters whose second byte is | \ ~ a 0 in one of these encodings, or whose bytes are several of UTF-16.
LETTERS = [
    "a", "b", "1", "é", "§", "→", "🛒", "ソ", "表", "ポ", "弌", "嚼", "丂", "誠", "功", "가", "\u2028", "\x85",
    "\ud83d",
]  # fmt: skip
SEPARATORS = [
    ",", ";", "\t", "|", "~", "||", "|||", "~|~", "|~|", "::", "§", "§→", ", ", "aba", "aab", "a", "\\", "\\N", "#",
    "=;", "TT", "12345678",
]  # fmt: skip
QUOTES = "\"'|~"
ESCAPES = [None, "\\", "^", "|"]
COMMENTS = [None, "#", "//", "a", "§", "h", "# "]
NULLS = [[""], ["", "NULL"], ["\\N"], [], ["a", '\\"'], ["^a"]]
FOOTERS = ["T", "TT", '"?T', "'?TT", "T.*\n", "(?i)t+$", "[^a1]"]
cuts = st.builds(
    Cuts,
    chunk=st.sampled_from([1, 2, 3, 5, 8, 17, 60, 1 << 20]),
    window=st.sampled_from([1, 2, 3, 7, 16, 50, 200, 2 << 20]),
    near=st.sampled_from([1, 5, 1 << 16]),
    slow_run=st.sampled_from([1, 2, 64]),
    second_chunk=st.sampled_from([1, 7, 1 << 20]),
)


@st.composite
def dialects(draw: st.DrawFn) -> Dialect:
    """Any that a contract may declare."""
    marks = {
        "separator": draw(st.sampled_from(SEPARATORS) | st.text(",;|~:ab# \t§\\", min_size=1, max_size=8)),
        "quote": draw(st.sampled_from(QUOTES)),
        "escape": draw(st.sampled_from(ESCAPES)),
        "encoding": draw(st.sampled_from(ENCODINGS)),
        "comment": draw(st.sampled_from(COMMENTS)),
        "nulls": draw(st.sampled_from(NULLS)),
        "strayQuote": draw(st.sampled_from([None, "warn", "reject"])),
    }
    try:
        return parse_dialect(marks)
    except ContractError:
        assume(False)
        raise


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """Any that a contract may declare."""
    layout = {
        "skipLines": draw(st.sampled_from([0, 0, 1, 2, 3])),
        "header": (header := draw(st.sampled_from(["first", "none", "ignore"]))),
        "footer": draw(st.sampled_from([None, None, *FOOTERS])),
    }
    return parse_layout(layout if header == "none" else {**layout, "headerLines": draw(st.integers(1, 3))})


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, Dialect, Layout, int]:
    """Bytes that have whatever means something in a dialect and a layout, the two, and how many fields a record has."""
    dialect, layout, width = draw(dialects()), draw(layouts()), draw(st.integers(1, 3))
    separator, quote, escape = dialect.separator, dialect.quote, dialect.escape or "\\"
    ends = st.sampled_from(["\n", "\r\n", "\r"])
    end = draw(ends)
    texts = [
        separator,
        separator,
        separator[:1],
        separator[1:],
        quote,
        quote,
        quote * 2,
        escape,
        dialect.comment or "#",
    ]
    texts += [
        escape + quote,
        escape + separator,
        escape + escape,
        escape + "\n",
        "\n",
        "\r",
        "\r\n",
        end,
        end,
        end + end,
    ]
    texts += ["\0", "T", "TT", " ", *LETTERS, *dialect.nulls]
    soup = st.lists(st.sampled_from(texts), max_size=12).map("".join)

    def written(value: str) -> str:
        """As a correct writer does, that may quote or not."""
        special = [*separator, quote, "\n", "\r", *(dialect.escape or "")]
        if value and not any(each in value for each in special) and draw(st.booleans()):
            return value
        value = value.replace(dialect.escape, dialect.escape * 2) if dialect.escape else value
        return quote + value.replace(quote, quote * 2) + quote

    def line() -> str:
        kind = draw(st.integers(0, 9))
        if kind < 4:
            return separator.join(written(draw(soup)) for _ in range(width)) + end
        if kind < 6:
            return separator.join(draw(st.sampled_from([*LETTERS, *dialect.nulls])) for _ in range(width)) + draw(ends)
        if kind == 6:
            # A quote that looks well placed, and must not be counted.
            inside = st.sampled_from([separator + quote, separator + quote * 3, dialect.escape or "", end]) | soup
            return draw(st.sampled_from([end, (dialect.comment or "") + draw(inside) + end]))
        if kind == 7:
            return draw(st.sampled_from(["T", "TT", quote + "T" + quote, "T" + separator])) + draw(soup) + end
        return draw(soup)

    pieces = [draw(st.sampled_from(["", "", "", f"sep={separator}", f'"sep={separator}"', "sep=;"]))]
    pieces[0] += end if pieces[0] else ""
    pieces += [draw(soup).replace("\n", "").replace("\r", "") + end for _ in range(layout.skip_lines)]
    if layout.header == "first":
        pieces += [
            separator.join(written("h" + draw(soup)) for _ in range(width)) + end for _ in range(layout.header_lines)
        ]
    pieces += [line() for _ in range(draw(st.integers(0, 8)))]
    text = "".join(pieces)
    data = encoded(text, dialect.encoding)
    mark = draw(st.sampled_from([b"", b"", "\ufeff".encode("utf-8"), "\ufeff".encode("utf-16-be"), "own"]))
    if mark == "own":
        mark = "\ufeff".encode(dialect.encoding, "ignore")
    data = (mark if dialect.comment is None or dialect.comment.isascii() else b"") + data
    if draw(st.integers(0, 3)) == 0:
        at, damage = (
            draw(st.integers(0, len(data))),
            draw(st.binary(max_size=3) | st.sampled_from([b"\x81", b"\xff", b"\0"])),
        )
        data = data[:at] + damage + data[at + draw(st.integers(0, 2)) :]
    return data, dialect, layout, width


@PROPERTY
@given(files(), cuts, st.sampled_from([1 << 20, 1 << 20, 40, 9]))
def test_both_readers_find_the_same_in_any_file_however_it_is_cut(
    tmp_path: Path, file: tuple[bytes, Dialect, Layout, int], cuts: Cuts, longest: int
) -> None:
    data, dialect, layout, width = file
    assert_they_agree(tmp_path, data, dialect, layout, width=width, longest=longest, cuts=cuts)
