"""Rules of separators of any length, comments, and what stands above and below the records."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluice.reading.block import BrokenRecord
from sluice.reading.csv_records import RecordReader
from sluice.reading.dialect import Dialect
from sluice.reading.landed_bytes import UnreadableFileError
from sluice.reading.layout import Layout

PROPERTY = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
CHUNKS = (1, 2, 3, 5, 7, 1 << 20)
Row = list[str | None]


@dataclass
class Found:
    header: list[str] | None
    rows: list[Row] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    raws: list[bytes] = field(default_factory=list)
    broken: list[BrokenRecord] = field(default_factory=list)
    footer: int = 0


def read(
    data: bytes,
    dialect: Dialect = Dialect(),  # noqa: B008
    layout: Layout = Layout(),  # noqa: B008
    *,
    width: int = 2,
    chunk: int = 1 << 20,
    longest: int = 1 << 20,
) -> Found:
    reader = RecordReader(io.BytesIO(data), dialect, layout, chunk_bytes=chunk, record_bytes_max=longest)
    found = Found(reader.header())
    if found.header is None:
        return found
    for block in reader.blocks(len(found.header) or width):
        found.rows += [list(row.values()) for row in block.columns.to_pylist()]
        found.places += zip(block.record_numbers.tolist(), block.line_numbers.tolist(), strict=True)
        found.raws += [block.raw(i) for i in range(len(block.record_numbers))]
        found.broken += block.broken
    found.footer = reader.footer_records
    return found


@pytest.mark.parametrize(
    ("separator", "record", "fields"),
    [
        ("||", "1||2", ["1", "2"]),
        ("||", "1|||2", ["1", "|2"]),
        ("||", "||||x", [None, None, "x"]),
        ("||", '"a||b"||"c"', ["a||b", "c"]),
        ("||", '"a"|||b', ["a", "|b"]),
        ("||", 'a|"b||c"', ['a|"b', 'c"']),
        ("~|~", "a~|~|~b", ["a", "|~b"]),
        ("~|~", '"x~|~"~|~~|~', ["x~|~", None, None]),
        ("§", "a§b", ["a", "b"]),
        ("→→", '"→→"→→2', ["→→", "2"]),
        (", ", "a, b,c", ["a", "b,c"]),
    ],
)
def test_a_separator_of_any_length_parts_fields(separator: str, record: str, fields: Row) -> None:
    header = separator.join("abc"[: len(fields)])
    for encoding in ("utf-8", "utf-16-le") + (("cp1252",) if "→" not in separator else ()):
        data = f"{header}\n{record}\n{record}".encode(encoding)
        for chunk in CHUNKS:
            found = read(data, Dialect(separator=separator, encoding=encoding, stray_quote="warn"), chunk=chunk)
            assert (found.rows, found.broken) == ([fields] * 2, [])
            assert found.raws == [record.encode(encoding)] * 2


def test_a_separator_whose_beginning_is_escaped_is_text() -> None:
    dialect = Dialect(separator="||", escape="\\")
    assert read(b"a||b\nx\\||y||z\nx\\|||z\n", dialect).rows == [["x||y", "z"], ["x|", "z"]]


def test_text_between_a_closing_quote_and_a_long_separator_breaks_the_record() -> None:
    for chunk in CHUNKS:
        found = read(b'a||b\n"x"|y||1\n1||2\n', Dialect(separator="||"), chunk=chunk)
        assert [(b.rule, b.raw) for b in found.broken] == [("record.bad_quote", b'"x"|y||1')]
        assert found.rows == [["1", "2"]]


@pytest.mark.parametrize(
    ("escape", "nulls", "field_text", "value"),
    [
        ("\\", ("\\N",), "\\N", None),
        ("\\", ("\\N",), '"\\N"', "N"),
        ("\\", ("\\N",), "\\\\N", "\\N"),
        ("\\", ("\\N",), "N", "N"),
        ("\\", ("\\N",), "\\Nx", "Nx"),
        ("\\", ("N",), "\\N", "N"),
        ("\\", ("N",), "N", None),
        ("\\", ("", "\\N"), "", None),
        (None, ("\\N",), "\\N", None),
        (None, ("\\N",), '"\\N"', "\\N"),
    ],
)
def test_a_null_is_looked_for_before_escapes_are_read(
    escape: str | None, nulls: tuple[str, ...], field_text: str, value: str | None
) -> None:
    for separator, end in ((",", "\n"), ("||", "\r\n"), ("\t", "\r")):
        data = end.join(["a" + separator + "b", separator.join([field_text, "\\,x" if escape else "1"]), ""])
        dialect = Dialect(separator=separator, escape=escape, nulls=nulls)
        assert read(data.encode(), dialect).rows == [[value, ",x" if escape else "1"]]
        data = end.join(["a" + separator + "b", separator.join(["1", field_text])])
        assert read(data.encode(), dialect).rows == [["1", value]]


def test_a_null_may_hold_a_quote() -> None:
    for chunk in CHUNKS:
        assert read(b'a,b\n5",1\n5",5"x\n', Dialect(nulls=('5"',)), chunk=chunk).rows == [[None, "1"], [None, '5"x']]


def test_records_that_leave_no_byte_free_are_read_too() -> None:
    everything = bytes({*range(1, 128)} - {*b'\r\n"|'})
    data = b"a||b\n" + everything + b"||1\n" + everything + b'||"2"\n'
    assert read(data, Dialect(separator="||")).rows == [[everything.decode(), "1"], [everything.decode(), "2"]]


LETTERS_WITH_A_PIPE = [
    ("shift_jis", b"\x83|"),
    ("cp932", b"\x81|"),
    ("gbk", b"\x83|"),
    ("big5", b"\xa4|"),
    ("big5hkscs", b"\xfe|"),
    ("johab", b"\x89|"),
]


@pytest.mark.parametrize(("encoding", "letter"), LETTERS_WITH_A_PIPE)
@pytest.mark.parametrize("mark", ["separator", "quote", "escape"])
def test_a_byte_of_a_letter_is_no_mark_though_it_looks_like_one(encoding: str, letter: bytes, mark: str) -> None:
    dialect, text = Dialect(**{mark: "|"}, encoding=encoding), letter.decode(encoding)
    assert len(text) == 1
    rows: list[Row] = [[text, f"x{text}{text}"], [text * 3, "1"], [f"{text},|", text], [f'2{text}"', "3"]]
    quoted = dialect.quote + f"{text},||" + dialect.quote if mark != "separator" else f'"{text},|"'
    lines = [["a", "b"], rows[0], rows[1], [quoted, text], rows[3]]
    data = "\n".join(dialect.separator.join(map(str, line)) for line in lines).encode(encoding)
    for chunk in CHUNKS:
        found = read(data, dialect, chunk=chunk)
        assert (found.rows, found.broken) == (rows, [])


def test_four_bytes_of_a_letter_are_no_marks() -> None:
    letter = b"\x810\x810"
    rows: list[Row] = [[letter.decode("gb18030"), "1"], ["1", letter.decode("gb18030") * 2]]
    data = b"a0b\n" + letter + b"01\n10" + letter * 2
    assert read(data, Dialect(separator="0", encoding="gb18030")).rows == rows


COMMENTED = b'# top\na,b\n#1,"2\n1,2\n# it\'s "odd"\n"3\n#x",4\n#\n5,6\n#,"x\n7,8\n#\xff\0 end'


def test_a_comment_is_a_line_and_no_record_whatever_is_in_it() -> None:
    for chunk in CHUNKS:
        found = read(COMMENTED, Dialect(comment="#"), chunk=chunk)
        assert (found.header, found.broken) == (["a", "b"], [])
        assert found.rows == [["1", "2"], ["3\n#x", "4"], ["5", "6"], ["7", "8"]]
        assert found.places == [(1, 4), (2, 6), (3, 9), (4, 11)]


def test_an_escape_at_the_end_of_a_comment_does_not_take_the_next_line_along() -> None:
    for chunk in CHUNKS:
        found = read(b"a,b\n# x\\\n1,2\n# y\\", Dialect(comment="# ", escape="\\"), chunk=chunk)
        assert (found.rows, found.places) == ([["1", "2"]], [(1, 3)])


def test_a_quoted_or_a_shorter_beginning_is_no_comment() -> None:
    for chunk in CHUNKS:
        found = read(b'a,b\n"//1",2\n/3,4\n//5,6\n/', Dialect(comment="//"), chunk=chunk)
        assert found.rows == [["//1", "2"], ["/3", "4"]]
        assert [b.raw for b in found.broken] == [b"/"]


def test_a_comment_may_be_longer_than_a_record() -> None:
    for chunk in (7, 1000, 1 << 20):
        data = b"a,b\n1,2\n#" + b'x"' * 20_000 + b"\n3,4\n"
        found = read(data, Dialect(comment="#"), chunk=chunk, longest=1000)
        assert (found.rows, found.places, found.broken) == ([["1", "2"], ["3", "4"]], [(1, 2), (2, 4)], [])


def test_lines_at_the_top_are_passed_over_and_count() -> None:
    data = b'Report "of\r\n\r\n,,\r\na,b\r\n1,2\r\n'
    for chunk in CHUNKS:
        found = read(data, layout=Layout(skip_lines=3), chunk=chunk)
        assert (found.header, found.rows, found.places) == (["a", "b"], [["1", "2"]], [(1, 5)])
    assert read(b"a\nb", layout=Layout(skip_lines=5)).header is None


def test_without_a_header_the_first_line_is_a_record() -> None:
    for chunk in CHUNKS:
        found = read(b"1,2\n3,4", layout=Layout(header="none"), chunk=chunk)
        assert (found.header, found.rows, found.places) == ([], [["1", "2"], ["3", "4"]], [(1, 1), (2, 2)])


def test_a_header_that_is_ignored_may_hold_anything() -> None:
    for chunk in CHUNKS:
        layout = Layout(skip_lines=1, header="ignore", header_lines=2)
        data = b'title\n\n# c\n"a,b\r\n\r\n"",x",\r\n1,2\r\n'
        found = read(data, Dialect(comment="# "), layout, chunk=chunk)
        assert (found.header, found.rows, found.places, found.broken) == ([], [["1", "2"]], [(1, 7)], [])


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        (["a,b", "c,d"], ["a c", "b d"]),
        (["Sales,,Costs", "net,gross,"], ["Sales net", "Sales gross", "Costs"]),
        ([",2024,", "id,Q1,Q2"], ["id", "2024 Q1", "2024 Q2"]),
        (["x", "a,b"], ["x a", "x b"]),
        (["A,", " ,B", "1,2"], ["A 1", "A B 2"]),
        (['"A\nx",', "1,2"], ["A\nx 1", "A\nx 2"]),
    ],
)
def test_names_of_several_lines_are_joined(lines: list[str], names: list[str]) -> None:
    data = "\n".join([lines[0], "", *lines[1:], "1,2,3"[: 2 * len(names) - 1]]).encode()
    for chunk in CHUNKS:
        found = read(data, layout=Layout(header_lines=len(lines)), chunk=chunk)
        assert (found.header, len(found.rows)) == (names, 1)


def test_a_footer_is_the_last_records_that_begin_as_it_says() -> None:
    data = b'a,b\n1,2\nTotal,3\n5,6\n\nTotal,1,2,3\n"Total",9\nTotal "x\n\n'
    for chunk in CHUNKS:
        found = read(data, layout=Layout(footer='"?Total'), chunk=chunk)
        assert found.rows == [["1", "2"], ["Total", "3"], ["5", "6"]]
        assert (found.broken, found.footer) == ([], 3)
        assert read(data + b"7,8", layout=Layout(footer='"?Total'), chunk=chunk).footer == 0
    assert read(b"a,b\nSum,1\nSum,2\n", layout=Layout(footer="Sum")).footer == 2


def test_a_record_that_is_too_long_is_never_of_the_footer() -> None:
    data = b"a,b\n1,2\nSum,1\nSum" + b"x" * 5000 + b",1\nSum,2\n"
    for chunk in (1, 700, 1 << 20):
        found = read(data, layout=Layout(footer="Sum"), chunk=chunk, longest=1000)
        assert (found.rows, found.footer) == ([["1", "2"], ["Sum", "1"]], 1)
        assert [b.rule for b in found.broken] == ["record.too_long"]


def test_a_footer_that_is_half_the_file_is_refused_in_bounded_memory() -> None:
    data = b"a,b\n" + (b"Sum," + b"1" * 91 + b"\n") * (1 << 18)
    with pytest.raises(UnreadableFileError, match="only totals begin with"):
        read(data, layout=Layout(footer="Sum"), chunk=1 << 22, longest=1 << 20)


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;"])
def test_a_first_line_that_names_the_separator_is_passed_over(line: str) -> None:
    data, semicolon = f"{line}\r\na;b\r\n1;2".encode(), Dialect(separator=";")
    for chunk in CHUNKS:
        for layout in (Layout(), Layout(skip_lines=1)):
            found = read(data, semicolon, layout, chunk=chunk)
            assert (found.header, found.rows, found.places) == (["a", "b"], [["1", "2"]], [(1, 3)])
        assert read(data, chunk=chunk).header is None
    found = read(data.decode().encode("utf-16-be"), Dialect(separator=";", encoding="utf-16-be"))
    assert found.rows == [["1", "2"]]


SEPARATORS = st.sampled_from([",", ";", "||", "~|~", "|~|", "::", "\t", "§", "→|", ", ", "aba", "aab"])
MARKS = st.sampled_from(
    ['"', "'", "\\", "#", "//", "|", "~", ":", "a", "b", ",", "§", "→", "\n", "\r", "\r\n", " ", "T"]
)
VALUES = st.lists(MARKS, max_size=6).map("".join)


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, Dialect, Layout, list[Row], list[tuple[int, int]], list[bytes], int]:
    """A file by an independent writer: its bytes, how it is to be read, and what is to be found in it."""
    encoding = draw(st.sampled_from(["utf-8", "utf-16-le", "utf-32-be"]))
    separator, escape = draw(SEPARATORS), draw(st.sampled_from([None, "\\"]))
    quote = draw(st.sampled_from(['"', "'"]))
    comment = draw(st.sampled_from([None, "#", "//"]))
    null = draw(st.sampled_from(["", "\\N", "NULL"]))
    dialect = Dialect(separator, quote, escape, encoding, (null,), None, comment)
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    width = draw(st.integers(2, 4))
    header = draw(st.sampled_from(["first", "none", "ignore"]))
    header_lines = 1 if header == "none" else draw(st.integers(1, 3))
    footer = draw(st.sampled_from([None, "TT", f"{re.escape(quote)}?TT"]))
    skip = draw(st.integers(0, 2))
    layout = Layout(skip, header, header_lines, footer)

    def written(value: str | None) -> str:
        if value is None:
            return null
        special = [separator, *separator, quote, "\n", "\r", *(escape or "")]
        plain = not any(each in value for each in special) and value != null and not value.startswith(comment or "\0")
        if plain and value and not draw(st.booleans()):
            return value
        value = value.replace(escape, escape * 2) if escape else value
        doubled = (escape + quote) if escape and draw(st.booleans()) else quote * 2
        return quote + value.replace(quote, doubled) + quote

    pieces: list[str] = [draw(st.text("x\"',\\#", max_size=6)) + end for _ in range(skip)]
    rows, places, raws = list[Row](), list[tuple[int, int]](), list[bytes]()

    def noise() -> None:
        kinds = [end] + ([comment + draw(st.text("x\"',\\# ;|", max_size=8)) + end] if comment else [])
        pieces.extend(draw(st.lists(st.sampled_from(kinds), max_size=2)))

    if header != "none":
        for _ in range(header_lines):
            noise()
            if header == "ignore":
                pieces.append("h" + draw(st.text("x\"',\\", max_size=6)) + end)
            else:
                pieces.append(separator.join([quote + "h" + quote] * width) + end)
    for _ in range(draw(st.integers(0, 6))):
        noise()
        row: Row = [draw(VALUES | st.none()) for _ in range(width)]
        record = separator.join(map(written, row))
        line = len(re.findall("\r\n|\n|\r", "".join(pieces))) + 1
        pieces.append(record + end)
        rows.append(row)
        places.append((len(rows), line))
        raws.append(record.encode(encoding))
    noise()
    while footer and rows and re.match(footer, raws[-1].decode(encoding)):
        rows.pop(), places.pop(), raws.pop()
    totals = draw(st.integers(0, 2)) if footer else 0
    for _ in range(totals):
        pieces.append("TT" + draw(st.sampled_from(["", separator, separator * 9])) + end)
        noise()
    return "".join(pieces).encode(encoding), dialect, layout, rows, places, raws, width


@PROPERTY
@given(files(), st.sampled_from([1, 2, 3, 5, 17, 1 << 20]))
def test_any_file_in_any_dialect_and_layout_reads_back(
    file: tuple[bytes, Dialect, Layout, list[Row], list[tuple[int, int]], list[bytes], int], chunk: int
) -> None:
    data, dialect, layout, rows, places, raws, width = file
    found = read(data, dialect, layout, width=width, chunk=chunk)
    assert found.header is not None
    assert (found.rows, found.places, found.raws, found.broken) == (rows, places, raws, [])
