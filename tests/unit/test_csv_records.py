"""Rules of the record scanner, by example and by property: any table, any dialect, any damage."""

from __future__ import annotations

import codecs
import io
import re
import tracemalloc
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sluice.reading import quote_proof, stray_quotes
from sluice.reading.block import BrokenRecord
from sluice.reading.csv_records import RecordReader
from sluice.reading.dialect import Dialect
from sluice.reading.quote_proof import Proof

LINE_END = re.compile(rb"\r\n|\n|\r")
STRAY_QUOTES = st.sampled_from([None, "warn", "reject"])
PROPERTY = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass
class Everything:
    """All blocks of a file in one."""

    header: list[str] | None
    rows: list[list[str | None]]
    numbers: list[int]
    lines: list[int]
    raws: list[bytes]
    broken: list[BrokenRecord]
    strays: list[int]


PLAIN = Dialect()


def read(data: bytes, dialect: Dialect = PLAIN, *, chunk: int = 1 << 20, longest: int = 1 << 20) -> Everything:
    reader = RecordReader(io.BytesIO(data), dialect, chunk_bytes=chunk, record_bytes_max=longest)
    everything = Everything(reader.header(), [], [], [], [], [], [])
    if everything.header is None:
        return everything
    for block in reader.blocks(len(everything.header)):
        everything.rows += [list(row.values()) for row in block.columns.to_pylist()]
        everything.numbers += block.record_numbers.tolist()
        everything.lines += block.line_numbers.tolist()
        everything.raws += [block.raw(i) for i in range(len(block.record_numbers))]
        everything.broken += block.broken
        everything.strays += block.record_numbers[block.stray_quotes].tolist()
    return everything


def broken(data: bytes, **how: int) -> list[tuple[int, int, bytes, str]]:
    return [(b.record_number, b.line_number, b.raw, b.rule) for b in read(data, **how).broken]


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"a,b\n1,2\n", [["1", "2"]]),
        (b"a,b\r\n1,2\r\n3,4", [["1", "2"], ["3", "4"]]),
        (b"a,b\r1,2\r3,4\r", [["1", "2"], ["3", "4"]]),
        (b"a,b\n1,2\r\n3,4\r5,6\n", [["1", "2"], ["3", "4"], ["5", "6"]]),
        (b'a,b\n"1\n2","3,4"\n', [["1\n2", "3,4"]]),
        (b'a,b\n"say ""hi""",\n', [['say "hi"', None]]),
        (b'a,b\n"",\n', [["", None]]),
        (b'a,b\n5" pipe,x\n', [['5" pipe', "x"]]),
        (b"\n\na,b\n\n1,2\n\n", [["1", "2"]]),
        (b"a,b\n", []),
        (b"a,b", []),
        (b"a\n1\n\n2\n", [["1"], ["2"]]),
    ],
)
def test_records_are_read_as_written(data: bytes, rows: list[list[str | None]]) -> None:
    for chunk in (1, 2, 3, 7, 1 << 20):
        found = read(data, chunk=chunk)
        assert (found.rows, found.broken) == (rows, [])


def test_a_ragged_row_is_broken_with_its_line_and_bytes() -> None:
    data = b'a,b\n"x\ny",1\n1,2,3\n4\n5,6\n'
    assert broken(data) == [
        (2, 4, b"1,2,3", "record.too_many_fields"),
        (3, 5, b"4", "record.too_few_fields"),
    ]


def test_an_unclosed_quote_costs_one_record() -> None:
    found = read(b'a,b\n1,"never closed\n2,x\n3,y\n')
    assert [b.rule for b in found.broken] == ["record.bad_quote"]
    assert found.rows == [["2", "x"], ["3", "y"]]
    assert found.numbers == [2, 3]


def test_text_after_a_closing_quote_costs_one_record() -> None:
    assert broken(b'a,b\n"x"y,1\n2,3\n') == [(1, 2, b'"x"y,1', "record.bad_quote")]


def test_nul_and_invalid_bytes_cost_their_record() -> None:
    found = read(b"a,b\n1,\x00\n2,\xff\n3,ok\n4,\xc3\n")
    assert [(b.record_number, b.rule) for b in found.broken] == [
        (1, "record.nul_byte"),
        (2, "record.invalid_bytes"),
        (4, "record.invalid_bytes"),
    ]
    assert found.rows == [["3", "ok"]]


def test_a_record_longer_than_the_bound_costs_one_record_in_bounded_memory() -> None:
    data = b"a,b\n1," + b"x" * 300_000 + b"\n2,y\n"
    found = read(data, chunk=1000, longest=10_000)
    assert [(b.rule, len(b.raw) <= 64 * 1024) for b in found.broken] == [("record.too_long", True)]
    assert (found.rows, found.numbers, found.lines) == ([["2", "y"]], [2], [3])


def test_a_record_that_is_just_short_enough_is_one_wherever_the_file_is_cut() -> None:
    record = b'1,"x\nxxxx"'
    for end in (b"\n", b"\r", b"\r\n"):
        for chunk in (1, 2, 3, 5, 11, 1 << 20):
            data = b"a,b" + end + (b"3,y" + end) * 30 + record + end + b"3,y" + end
            found = read(data, chunk=chunk, longest=len(record))
            assert (found.raws[30:], found.broken) == ([record, b"3,y"], [])


def test_utf_16_is_read_and_its_raw_bytes_are_the_files_own() -> None:
    text = "a,b\r\nœ,☃\r\nonly one\r\n"
    data = text.encode("utf-16-le")
    found = read(data, Dialect(encoding="utf-16-le"))
    assert found.rows == [["œ", "☃"]]
    assert found.broken[0].raw == "only one".encode("utf-16-le")


SHIFTED = [
    b'$78.07"All-Weather Table, Round 48""",x',
    b'x,$78.07"Table, round"',
    b'a,5" x 7"b, c"',
    b'a"""Round"" table, 48",b',
    b'"q",b"c, d"',
]
NOT_SHIFTED = [
    b'27" monitor,x,y',
    b'5" x 7",x,y',
    b'27" a,32" b,y',
    b'5",6",7"',
    b'a"b""c,d,e',
    b'x"",y"",z',
    b'a"b, c"d,e',
    b'"a, b",c"d"e,f',
]


@pytest.mark.parametrize("row", SHIFTED)
def test_a_row_whose_separator_was_lost_before_a_quote_is_set_aside(row: bytes) -> None:
    data = b"a,b,c\n" + row + b"\n1,2,3\n"
    found = read(data)
    assert [(b.record_number, b.rule, b.raw, len(b.fields)) for b in found.broken] == [
        (1, "record.stray_quote", row, 3)
    ]
    assert (found.numbers, found.strays) == ([2], [])
    assert read(data, Dialect(stray_quote="warn")).strays == [1]
    assert read(data, Dialect(stray_quote="warn")).rows[0] == found.broken[0].fields


@pytest.mark.parametrize("row", NOT_SHIFTED)
def test_a_row_with_quotes_inside_its_unquoted_fields_is_read_and_counts_a_warning(row: bytes) -> None:
    data = b"a,b,c\n1,2,3\n" + row + b"\n"
    for stray_quote in (None, "warn"):
        found = read(data, Dialect(stray_quote=stray_quote))
        assert (found.broken, found.numbers, found.strays) == ([], [1, 2], [2])
    strict = read(data, Dialect(stray_quote="reject"))
    assert [(b.record_number, b.rule, b.raw) for b in strict.broken] == [(2, "record.stray_quote", row)]


def test_quotes_that_are_escaped_or_well_placed_are_not_stray() -> None:
    data = b'a,b\n"x ""y""",\\"z\\"\nit\'s,"5"" x 7"\n'
    assert read(data, Dialect(escape="\\", stray_quote="reject")).broken == []
    found = read(b"a;b\n'it''s';27' x\n5'x; y';z\n1'a; b'\n", Dialect(separator=";", quote="'"))
    assert (found.strays, [(b.record_number, b.rule) for b in found.broken]) == (
        [1],
        [(2, "record.too_many_fields"), (3, "record.stray_quote")],
    )


def test_stray_quotes_are_judged_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = 0
    original = stray_quotes._reaches_over

    def counting(buffer: bytes, start: int, separator: int, stop: int, dialect: Dialect) -> bool:
        nonlocal looked_at
        match = dialect.quoted_field.match(buffer, start, stop)
        looked_at += (match.end() if match else stop) - start
        return original(buffer, start, separator, stop, dialect)

    monkeypatch.setattr(stray_quotes, "_reaches_over", counting)
    for unit in (b'a"b""c,', b'a"b,', b'a""b,', b'a"""b,', b'x"', b'x"a""', b'x"a"""",b'):
        data = b"a\n" + unit * 1000 + b"\n"
        looked_at = 0
        everything = read(data)
        assert len(everything.strays) + len(everything.broken) == 1
        assert looked_at <= 2 * len(data)


@PROPERTY
@given(
    st.lists(st.text("ab0 ", min_size=1, max_size=4), min_size=1, max_size=3),
    st.text('ab "', max_size=4).filter(lambda left: left.strip('"') != ""),
    st.text('ab "', max_size=4),
    st.lists(st.text("ab0", min_size=1, max_size=3), max_size=3),
    st.integers(1, 20),
)
def test_a_separator_that_is_lost_before_a_quote_never_shifts_values(
    before: list[str], left: str, right: str, after: list[str], chunk: int
) -> None:
    field = '"' + f"{left},{right}".replace('"', '""') + '"'
    width = len(before) + 1 + len(after)
    header = ",".join(f"c{i}" for i in range(width))
    data = "\n".join([header, ",".join(before) + field + "".join(f",{value}" for value in after), header]).encode()
    found = read(data, chunk=chunk)
    assert [b.record_number for b in found.broken] == [1]
    assert found.broken[0].rule == ("record.bad_quote" if right[:1] in ("", '"') else "record.stray_quote")


UNICODES = ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
NO_LETTERS = [b"1", b"\n", b"\0", b"\xd8\x3d", b"\x3d\xd8", b"\xd8\x3d1", b"\xff\xff\xff", b"\xff\xff\xff\xff\xff"]


def is_letter(data: bytes, encoding: str) -> bool:
    try:
        return bool(data.decode(encoding))
    except UnicodeDecodeError:
        return False


@pytest.mark.parametrize(
    ("encoding", "tail"), [(e, tail) for e in UNICODES for tail in NO_LETTERS if not is_letter(tail, e)]
)
@pytest.mark.parametrize("body", ["1,2\n3,4\n", "1,2\n3,4", '1,2\n"3","4"', '1,2\n3,"4'])
def test_bytes_at_the_end_that_are_no_letter_cost_a_record_that_keeps_them(
    encoding: str, tail: bytes, body: str
) -> None:
    dialect, data = Dialect(encoding=encoding), ("x,y\n" + body).encode(encoding) + tail
    lost = "" if body.endswith("\n") else body.rpartition("\n")[2]
    for chunk in (1, 2, 3, 7, 1 << 20):
        found = read(data, dialect, chunk=chunk)
        whole = [["1", "2"], ["3", "4"]][: 1 if lost else 2]
        assert (found.rows, [b.rule for b in found.broken]) == (whole, ["record.invalid_bytes"])
        assert found.broken[0].raw == lost.encode(encoding) + tail


def test_what_is_no_letter_inside_a_file_costs_its_record_alone() -> None:
    for encoding in UNICODES:
        one = "1,2\n".encode(encoding)
        bad = "\ud83d".encode(encoding, "surrogatepass") if "16" in encoding else b"\xff\xff\xff\xff"
        found = read("x,y\n".encode(encoding) + one + bad + one + one, Dialect(encoding=encoding), chunk=5)
        assert (found.numbers, found.rows) == ([1, 3], [["1", "2"]] * 2)
        [lost] = found.broken
        assert (lost.rule, lost.raw, lost.line_number) == ("record.invalid_bytes", bad + one[: -len(bad)], 3)
        assert str(lost.fields[0]).replace("\\x", "").startswith(bad.hex())


@st.composite
def unicode_soup(draw: st.DrawFn) -> tuple[str, bytes]:
    """An encoding, and bytes that are mostly letters of it: what makes records, halves of pairs, single bytes."""
    encoding = draw(st.sampled_from(UNICODES))
    letters = st.sampled_from(["a", ",", '"', "\n", "\r", "\r\n", "\\", "é", "🛒", "\ud83d", "\uded2", "\0"])
    pieces = letters.map(lambda text: text.encode(encoding, "surrogatepass")) | st.binary(min_size=1, max_size=4)
    return encoding, b"".join(draw(st.lists(pieces, max_size=40)))


@PROPERTY
@given(unicode_soup(), st.integers(1, 40), st.sampled_from([None, "\\"]))
def test_every_byte_of_utf_16_and_utf_32_is_in_a_record_or_ends_a_line(
    soup: tuple[str, bytes], chunk: int, escape: str | None
) -> None:
    encoding, body = soup
    dialect, header = Dialect(encoding=encoding, escape=escape), "x,y\n".encode(encoding)
    found = read(header + body, dialect, chunk=chunk)
    raws = dict(zip(found.numbers, found.raws, strict=True)) | {b.record_number: b.raw for b in found.broken}
    rest, line_ends = body, ("\n".encode(encoding), "\r".encode(encoding))
    for raw in [raws[number] for number in sorted(raws)] + [b""]:
        while rest.startswith(line_ends):
            rest = rest[len(line_ends[0]) :]
        assert rest.startswith(raw)
        rest = rest[len(raw) :]
    assert rest == b""
    reader = RecordReader(io.BytesIO(header + body), dialect, chunk_bytes=chunk)
    assert reader.header() == ["x", "y"]
    assert reader.count() == len(raws)


def test_a_record_that_is_too_long_is_so_wherever_it_is_cut() -> None:
    for text in ("é" * 50_000, "x" + "é" * 50_000, "☃" * 50_000):
        for encoding in ("utf-8", "utf-16-le"):
            data = f"a\n{text}\nb\n".encode(encoding)
            found = read(data, Dialect(encoding=encoding), chunk=1000, longest=80_000)
            assert ([b.rule for b in found.broken], found.rows) == (["record.too_long"], [["b"]])
            assert data.find(found.broken[0].raw) > 0


def test_records_that_are_not_of_the_encoding_are_found_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    copied, decode = 0, codecs.decode

    def counting(view: memoryview, encoding: str) -> str:
        nonlocal copied
        try:
            return decode(view, encoding)
        except UnicodeDecodeError:
            copied += len(view)  # the error keeps a copy of what was decoded
            raise

    data = b"a,b\n" + b"1234567,\xff\n" * 20_000
    monkeypatch.setattr("sluice.reading.problems.codecs.decode", counting)
    assert len(read(data).broken) == 20_000
    assert copied < 200 * len(data)


def test_latin_1_is_read_when_the_dialect_says_so() -> None:
    found = read("a,b\né,ü\n".encode("latin-1"), Dialect(encoding="latin-1"))
    assert found.rows == [["é", "ü"]]


def test_an_escape_character_keeps_quotes_separators_and_line_ends_inside() -> None:
    data = b'a;b\n"x\\"y;z\\\\";1\n'
    assert read(data, Dialect(separator=";", escape="\\")).rows == [['x"y;z\\', "1"]]


@pytest.mark.parametrize(
    ("data", "values"),
    [
        (b'a\n\\1,\\""2"\n', ['\\1,\\""2"']),
        (b"a\n\xef\xbb\xbfx\n", ["\ufeffx"]),
        (b'a\n2|3"\n', ['2|3"']),
    ],
)
def test_values_that_look_like_syntax_stay_values(data: bytes, values: list[str]) -> None:
    assert read(data, Dialect(separator="|" if b"|" not in data else ";")).rows == [[value] for value in values]


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[list[str]], Dialect, bytes]:
    """A table, a dialect, and its bytes as a correct writer of that dialect writes them."""
    separator = draw(st.sampled_from(",;\t|"))
    quote = draw(st.sampled_from("\"'"))
    escape = draw(st.sampled_from([None, "\\"]))
    encoding = draw(st.sampled_from(["utf-8", "utf-16-le"]))
    letters = st.text(st.sampled_from(f"ab0é☃\n\r {separator}{quote}\\x,\"'"), max_size=6)
    anything = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)
    width = draw(st.integers(1, 4))
    rows = draw(st.lists(st.lists(letters | anything, min_size=width, max_size=width), max_size=8))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))

    def written(value: str) -> str:
        special = {separator, quote, "\n", "\r"} | ({escape} if escape else set())
        if value and not special.intersection(value) and draw(st.booleans()):
            return value
        if escape:
            value = value.replace(escape, escape * 2)
        return quote + value.replace(quote, quote * 2) + quote

    lines = [separator.join(f"c{i}" for i in range(width))]
    lines += [separator.join(map(written, row)) for row in rows]
    text = end.join(lines) + (end if draw(st.booleans()) else "")
    return rows, Dialect(separator, quote, escape, encoding), text.encode(encoding)


@PROPERTY
@given(tables(), st.integers(1, 64))
def test_every_undamaged_row_arrives_with_its_exact_values(
    table: tuple[list[list[str]], Dialect, bytes], chunk: int
) -> None:
    rows, dialect, data = table
    found = read(data, dialect, chunk=chunk)
    assert found.broken == []
    assert found.rows == rows
    assert found.numbers == list(range(1, len(rows) + 1))


def lines_where(raw: bytes, data: bytes) -> set[int]:
    """The lines on which ``raw`` begins in ``data``."""
    starts = {0} | {end.end() for end in LINE_END.finditer(data)}
    return {
        1 + sum(1 for end in LINE_END.finditer(data) if end.end() <= start)
        for start in starts
        if data.startswith(raw, start)
    }


soup = st.lists(
    st.sampled_from([b"a", b",", b'"', b'""', b"\n", b"\r", b"\r\n", b"\\", b"\0", b"\xff", b"\xc3\xa9", b"1,2", b" "]),
    max_size=60,
).map(b"".join)


SOUND = [
    b"1,2\n",
    b"\xc3\xa9,x\r\n",
    b'"a\nb","c"""\n',
    b'"",\r',
    b',"\r\n"\r\n',
    b'"a,b",\xef\xbb\xbf\n',
    b"\xef\xbb\xbf,\n",
]
UNSOUND = [b'5" pipe,x\n', b"1\n", b"1,2,3\n", b"\n", b"\xff,1\n", b"\0,1\n", b'"a" ,1\n', b'"a,1\n', b'1,"2', b"1,2"]
lines = st.lists(st.sampled_from(SOUND * 6 + UNSOUND), max_size=40).map(b"".join)


@PROPERTY
@given(soup | lines, STRAY_QUOTES, st.sampled_from([";", ","]), st.integers(1, 80), st.sampled_from([3, 20, 1 << 20]))
def test_what_is_proven_many_at_once_is_what_is_found_record_by_record(
    body: bytes, stray_quote: str | None, separator: str, chunk: int, window: int
) -> None:
    data = b"x,y\n".replace(b",", separator.encode()) + body.replace(b",", separator.encode())
    dialect = Dialect(separator, stray_quote=stray_quote)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quote_proof, "_WINDOW", window)
        proven = read(data, dialect, chunk=chunk)
        patch.setattr(Proof, "of", lambda *_: None)
        assert proven == read(data, dialect, chunk=chunk)


def test_a_sound_file_is_proven_and_what_follows_an_offender_after_it_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    scanned: list[int] = []
    monkeypatch.setattr(
        RecordReader, "_search", lambda self, search=RecordReader._search: scanned.append(1) or search(self)
    )
    data = b"x,y\n" + b"".join(SOUND) * 9
    assert len(read(data).rows) == 9 * len(SOUND)
    at_the_end = len(scanned)
    assert len(read(data + b'5" pipe,x\n').rows) == 9 * len(SOUND) + 1
    assert (at_the_end, len(scanned)) == (1, 3)


@PROPERTY
@given(soup | st.binary(max_size=80), st.integers(1, 40), st.sampled_from([None, "\\"]), STRAY_QUOTES)
@example(b'"\r', 1, None, None)
@example(b"a,\\", 3, "\\", None)
def test_whatever_the_damage_every_record_is_accounted_for_at_its_line(
    body: bytes, chunk: int, escape: str | None, stray_quote: str | None
) -> None:
    data = b"x,y\n" + body
    dialect = Dialect(escape=escape, stray_quote=stray_quote)
    found = read(data, dialect, chunk=chunk)
    numbers = sorted(found.numbers + [b.record_number for b in found.broken])
    assert numbers == list(range(1, len(numbers) + 1))
    for line, raw in [*zip(found.lines, found.raws, strict=True), *((b.line_number, b.raw) for b in found.broken)]:
        assert line in lines_where(raw, data)


@PROPERTY
@given(soup, st.integers(1, 40), st.sampled_from([None, "\\"]), STRAY_QUOTES)
@example(b'a"\n\\\r\n', 1, "\\", None)
def test_how_a_file_is_cut_into_chunks_changes_nothing(
    body: bytes, chunk: int, escape: str | None, stray_quote: str | None
) -> None:
    data, dialect = b"x,y\n" + body, Dialect(escape=escape, stray_quote=stray_quote)
    whole = read(data, dialect)
    assert read(data, dialect, chunk=chunk) == whole
    reader = RecordReader(io.BytesIO(data), dialect, chunk_bytes=chunk)
    reader.header()
    assert reader.count() == len(whole.numbers) + len(whole.broken)


@pytest.mark.parametrize(
    ("data", "dialect", "header"),
    [
        (b"'a''x';'b'\n", Dialect(separator=";", quote="'"), ["a'x", "b"]),
        (b'"a\\"x",b\\,c,"d""e"\n', Dialect(escape="\\"), ['a"x', "b,c", 'd"e']),
    ],
)
def test_header_names_are_read_in_the_dialect_of_the_file(data: bytes, dialect: Dialect, header: list[str]) -> None:
    assert read(data, dialect).header == header


def test_of_a_record_that_is_far_too_wide_only_the_first_fields_are_kept_apart() -> None:
    tracemalloc.start()
    data = b"a,b\n" + b"," * 200_000 + b'\n"' + b'","' * 50_000 + b'"\n1,2\n'
    found = read(data, Dialect(), longest=len(data))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [(b.rule, b.width, len(b.fields), len(b.raw)) for b in found.broken] == [
        ("record.too_many_fields", 200_001, 102, 200_000),
        ("record.too_many_fields", 50_001, 102, 150_002),
    ]
    assert found.rows == [["1", "2"]]
    assert peak < 25 * len(data)


@pytest.mark.parametrize("chunk", [7, 1000, 10_000, 1 << 20])
@pytest.mark.parametrize("first", [b'"open\n', b'"open' + b"x" * 6000 + b"\n"])
def test_a_quote_that_is_never_closed_costs_one_record_however_much_follows(chunk: int, first: bytes) -> None:
    rows = 20_000 if chunk >= 1000 else 5_000  # four times the longest record at least
    found = read(b"a,b\n" + first + b"2,x\n" * rows, Dialect(), chunk=chunk, longest=5000)
    assert [(b.record_number, b.line_number) for b in found.broken] == [(1, 2)]
    assert found.numbers == list(range(2, rows + 2))


@pytest.mark.parametrize("chunk", [7, 100, 350, 1 << 20])
def test_a_record_that_is_too_long_ends_with_its_first_line_whatever_is_in_hand(chunk: int) -> None:
    long = b'1,"' + b"x\n" * 200 + b'"\n'
    found = read(
        b"a,b\n" + long + b"3," + b"y" * 301 + b"\n4," + b"z" * 298 + b"\n", Dialect(), chunk=chunk, longest=300
    )
    rules = [b.rule for b in found.broken]
    assert (rules[0], rules[-1], len(rules)) == ("record.bad_quote", "record.too_long", 202)
    assert found.rows == [["4", "z" * 298]]


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_an_empty_last_field_is_null_also_after_a_quoted_one_at_the_end_of_the_file(end: str) -> None:
    assert read(f'a,b\n"x",{end}'.encode(), Dialect()).rows == [["x", None]]
