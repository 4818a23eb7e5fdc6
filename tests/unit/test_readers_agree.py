"""In any dialect and layout that a contract can declare, both readers find the same, and no byte of a file is lost."""

from __future__ import annotations

import codecs
from pathlib import Path

from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from sluice.contracts.dialect import parse_dialect, parse_layout
from sluice.contracts.model import ContractError
from sluice.reading.dialect import Dialect
from sluice.reading.layout import Layout
from tests.two_readers import Cuts, assert_they_agree, encoded

# `make fuzz` tries thousands more.
PROPERTY = settings(
    max_examples=200,
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
]  # fmt: skip
SEPARATORS = [
    ",", ";", "\t", "|", "~", "||", "|||", "~|~", "|~|", "::", "§", "§→", ", ", "aba", "aab", "a", "\\", "\\N", "#",
    "=;", "TT", "12345678",
]  # fmt: skip
NO_HEADER = Layout(header="none")
QUOTES = "\"'|~"
ESCAPES = [None, "\\", "^", "|"]
COMMENTS = [None, "#", "//", "a", "§", "h", "# "]
NULLS = [[""], ["", "NULL"], ["\\N"], ["N", "\\N"], [], ["a", '\\"'], ["^a"]]
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
def dialects(draw: st.DrawFn, *, plain: bool) -> Dialect:
    """Any that a contract may declare; a ``plain`` one has nothing that the proof of quotes leaves alone."""
    separators = (
        st.sampled_from(",;|\t")
        if plain
        else st.sampled_from(SEPARATORS) | st.text(",;|~:ab# \t§\\", min_size=1, max_size=8)
    )
    marks = {
        "separator": draw(separators),
        "quote": draw(st.sampled_from(QUOTES)),
        "escape": None if plain else draw(st.sampled_from(ESCAPES)),
        "encoding": draw(st.sampled_from(["utf-8", "utf-16"] if plain else [*ENCODINGS, *ENCODINGS[9:15]])),
        "comment": None if plain else draw(st.sampled_from(COMMENTS)),
        "nulls": draw(st.sampled_from(NULLS)),
        "strayQuote": draw(st.sampled_from([None, "warn", "reject"])),
    }
    try:
        return parse_dialect(marks)
    except ContractError:
        assume(False)
        raise


@st.composite
def layouts(draw: st.DrawFn, *, plain: bool) -> Layout:
    """Any that a contract may declare; a ``plain`` one has no footer."""
    layout = {
        "skipLines": draw(st.sampled_from([0, 0, 1, 2, 3])),
        "header": (header := draw(st.sampled_from(["first", "none", "ignore"]))),
        "footer": None if plain else draw(st.sampled_from([None, None, *FOOTERS])),
    }
    return parse_layout(layout if header == "none" else {**layout, "headerLines": draw(st.integers(1, 3))})


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, Dialect, Layout, int]:
    """Bytes that have whatever means something in a dialect and a layout, the two, and how many fields a record has."""
    plain = draw(st.booleans())
    dialect, layout, width = draw(dialects(plain=plain)), draw(layouts(plain=plain)), draw(st.integers(1, 3))
    separator, quote, escape, comment = dialect.separator, dialect.quote, dialect.escape or "\\", dialect.comment or "#"
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
        comment,
        end + comment,
    ]
    texts += [escape + quote, escape + separator, escape + escape, escape + "\n", "\n", "\r", "\r\n", end, end, end * 2]
    texts += ["T", "TT", " ", *LETTERS, *dialect.nulls]
    soup = st.lists(st.sampled_from(texts), max_size=6).map("".join)
    # What stands in a field without quotes, and looks like a mark.
    odd = [separator[:-1], separator[-1:] * (len(separator) > 1), "x" + quote, "x" + quote * 2, "x" + comment]
    odd += [escape + mark for mark in (separator, quote, escape, end, "N")] if dialect.escape else []
    values = st.sampled_from([*odd, *odd, *LETTERS, *dialect.nulls])

    def written(value: str) -> str:
        """As a correct writer does, that may quote or not."""
        special = [*separator, quote, "\n", "\r", *(dialect.escape or "")]
        if value and not any(each in value for each in special) and draw(st.booleans()):
            return value
        value = value.replace(dialect.escape, dialect.escape * 2) if dialect.escape else value
        return quote + value.replace(quote, quote * 2) + quote

    def line() -> str:
        kind = draw(st.integers(0, 11))
        if kind < 5:
            return separator.join(written(draw(soup)) for _ in range(width)) + end
        if kind < 9:
            return separator.join(
                draw(values) if draw(st.integers(0, 3)) else written(draw(soup)) for _ in range(width)
            ) + draw(ends)
        if kind == 9:
            # A quote that looks well placed, and must not be counted.
            inside = (
                st.sampled_from(["x" * 50, separator + quote, separator + quote * 3, dialect.escape or "", end]) | soup
            )
            return draw(st.sampled_from([end, (dialect.comment or "") + draw(inside) + end]))
        if kind == 10:
            return draw(st.sampled_from(["T", "TT", quote + "T" + quote, "T" + separator])) + draw(soup) + end
        return draw(soup)

    pieces = [draw(st.sampled_from(["", "", "", f"sep={separator}", f'"sep={separator}"', "sep=;"]))]
    pieces[0] += end if pieces[0] else ""
    pieces += [draw(soup).replace("\n", "").replace("\r", "") + end for _ in range(layout.skip_lines)]
    if layout.header == "first":
        pieces += [
            separator.join(written("h" + draw(soup)) for _ in range(width)) + end for _ in range(layout.header_lines)
        ]
    pieces += [line() for _ in range(draw(st.integers(1, 10)))]
    totals = ["T", "TT", "TT" + separator, quote + "TT" + quote] if layout.footer else []
    pieces += [draw(st.sampled_from(totals)) + draw(values) + end for _ in totals[: draw(st.integers(0, 3))]]
    text = "".join(pieces) + draw(st.sampled_from(["", "", "", "", separator, quote, escape, "\r", "x"]))
    data = encoded(text, dialect.encoding)
    own = "\ufeff".encode(dialect.encoding, "ignore") if (dialect.comment or "").isascii() else b""
    another = codecs.BOM_UTF8 if not dialect.is_transcoded else own
    data = draw(st.sampled_from([b"", b"", b"", own, another])) + data
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(data)))
        damage = draw(st.binary(max_size=3) | st.sampled_from([b"\x81", b"\xff", b"\0", b"\xd8"]))
        data = data[:at] + damage + data[at + draw(st.integers(0, 2)) :]
    return data, dialect, layout, width


@PROPERTY
@given(files(), cuts, st.sampled_from([1 << 20] * 6 + [40, 9]))
@example((b"1,2,3\n" * 20 + b'x"y,"a\nb",c\\"d\n', Dialect(escape="\\"), NO_HEADER, 3), Cuts(chunk=1), 1 << 20)
@example((b"N,\\N\n", Dialect(escape="\\", nulls=("N",)), NO_HEADER, 2), Cuts(), 1 << 20)
def test_both_readers_find_the_same_in_any_file_however_it_is_cut(
    tmp_path: Path, file: tuple[bytes, Dialect, Layout, int], cuts: Cuts, longest: int
) -> None:
    data, dialect, layout, width = file
    assert_they_agree(tmp_path, data, dialect, layout, width=width, longest=longest, cuts=cuts)
