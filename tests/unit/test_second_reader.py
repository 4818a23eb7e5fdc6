"""The recount's reader against the loader's: whatever a file holds, they find the same records and fields."""

from __future__ import annotations

import gzip
import hashlib
import io
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sluice.proof.second_reader import landed as landed_for_the_recount
from sluice.proof.second_reader.fields import Field
from sluice.proof.second_reader.landed import DamagedFileError
from sluice.proof.second_reader.layout import Layout
from sluice.proof.second_reader.reader import Reading, read
from sluice.reading.csv_records import RecordReader
from sluice.reading.dialect import Dialect
from tests.architecture import imported
from tests.two_readers import Cuts, assert_they_agree

FOLDER = Path(landed_for_the_recount.__file__).parent
PROPERTY = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
ENCODINGS = ["utf-8", "latin-1", "cp1252", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
PIECES = [
    "a",
    "é",
    "🛒",
    ",",
    ";",
    '"',
    '""',
    "'",
    "\n",
    "\r",
    "\r\n",
    "\\",
    "\0",
    "1,2",
    " ",
    "\x85",
    "\u2028",
    "\ud83d",
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files are written; the reader's chunks are small enough to be cut anywhere."""
    monkeypatch.setattr(landed_for_the_recount, "CHUNK", 7)
    return tmp_path


def recounted(folder: Path, data: bytes, dialect: Dialect, *, name: str = "x.csv", longest: int = 1 << 20) -> Reading:
    path = folder / name
    path.write_bytes(data)
    return read(path, name, dialect, range(10_000), record_bytes_max=longest)


def test_the_second_reader_imports_nothing_of_sluice_but_itself() -> None:
    names = {name for path in FOLDER.glob("*.py") for name in imported(path.read_text(encoding="utf-8"))}
    own = {name for name in names if name.startswith("sluice.proof.second_reader.")}
    assert own
    assert {name for name in names - own if name.startswith("sluice")} == set()


@st.composite
def dialects(draw: st.DrawFn) -> Dialect:
    """Any dialect, what stands for null with an escape character too."""
    return Dialect(
        separator=draw(st.sampled_from(",;\t|")),
        quote=draw(st.sampled_from("\"'")),
        escape=draw(st.sampled_from([None, "\\"])),
        encoding=draw(st.sampled_from(ENCODINGS)),
        nulls=draw(st.sampled_from([("",), ("", "a"), ("\\a",), ()])),
    )


@PROPERTY
@given(dialects(), st.lists(st.sampled_from(PIECES), max_size=60), st.sampled_from(["x,y", "x;y", "x"]))
@example(Dialect(escape="\\"), ["\\", "\r\n"], "x,y")
@example(Dialect(), ['""', ","], "x,y")
def test_any_mixture_of_marks_is_read_alike(folder: Path, dialect: Dialect, pieces: list[str], header: str) -> None:
    errors = "surrogatepass" if dialect.encoding.startswith("utf") else "ignore"
    text = header + "\n" + "".join(pieces)
    assert_they_agree(folder, text.encode(dialect.encoding, errors), dialect)


@PROPERTY
@given(dialects(), st.binary(max_size=120))
@example(Dialect(escape="\\"), b"a,\\")
@example(Dialect(escape="\\"), b"a,\\\n")
@example(Dialect(), b'"\r')
@example(Dialect(encoding="utf-16-le"), b"1\x00\n\x00\r\x00x")
def test_any_bytes_are_read_alike(folder: Path, dialect: Dialect, body: bytes) -> None:
    assert_they_agree(folder, "x,y\n".encode(dialect.encoding) + body, dialect)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[list[str]], Dialect, bytes]:
    """A table, a dialect, and its bytes as a correct writer of that dialect writes them, cut or damaged somewhere."""
    dialect = draw(dialects())
    separator, quote, escape = dialect.separator, dialect.quote, dialect.escape
    letters = st.text(st.sampled_from(f"ab0é\n\r {separator}{quote}\\x"), max_size=6)
    width = draw(st.integers(1, 4))
    rows = draw(st.lists(st.lists(letters, min_size=width, max_size=width), max_size=8))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))

    def written(value: str) -> str:
        special = {separator, quote, "\n", "\r"} | ({escape} if escape else set())
        if value and not special.intersection(value) and draw(st.booleans()):
            return value
        value = value.replace(escape, escape * 2) if escape else value
        return quote + value.replace(quote, quote * 2) + quote

    lines = [separator.join(f"c{i}" for i in range(width)), *(separator.join(map(written, row)) for row in rows)]
    return rows, dialect, (end.join(lines) + draw(st.sampled_from([end, ""]))).encode(dialect.encoding)


@PROPERTY
@given(tables(), st.integers(0, 200), st.sampled_from([b"", b'"', b"\n", b"\\", b"\xff", b"\0"]))
def test_any_table_in_any_dialect_with_any_damage_is_read_alike(
    folder: Path, table: tuple[list[list[str]], Dialect, bytes], at: int, damage: bytes
) -> None:
    rows, dialect, data = table
    if damage:
        data = data[:at] + damage + data[at:]
        assert_they_agree(folder, data, dialect)
        return
    found = assert_they_agree(folder, data, dialect)
    assert [[field.text for field in found.wanted[n + 1].fields or ()] for n in range(len(rows))] == rows


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16", "utf-32", "utf-16-be"])
def test_a_byte_order_mark_wins_over_the_contract(folder: Path, mark: str) -> None:
    text = ("\ufeff" if mark == "utf-16-be" else "") + 'a,b\n"é\n",☃\n'
    found = assert_they_agree(folder, text.encode(mark), Dialect(encoding="latin-1"))
    assert [field.text for field in found.wanted[1].fields or ()] == ["é\n", "☃"]


@pytest.mark.parametrize("name", ["x.csv.gz", "x.csv.zst", "X.CSV.GZ"])
@pytest.mark.parametrize("chunk", [7, 1 << 20])
def test_compressed_files_are_read_and_hashed_as_they_lie_on_disk(folder: Path, name: str, chunk: int) -> None:
    text = b"a,b\n" + b"".join(b'%d,"x\n%d"\n' % (n, n) for n in range(3000))
    parts = [text[:1000], text[1000:]]
    data = b"".join(map(gzip.compress, parts)) if "gz" in name.lower() else bytes(pa.compress(text, "zstd"))
    found = assert_they_agree(folder, data, Dialect(), name=name, cuts=Cuts(second_chunk=chunk))
    assert (found.records, found.size, found.sha256) == (3000, len(data), hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("name", ["x.csv.gz", "x.csv.zst"])
def test_compressed_data_that_breaks_off_is_said(folder: Path, name: str) -> None:
    text = b"a,b\n" + b"1,2\n" * 1000
    data = gzip.compress(text) if "gz" in name else bytes(pa.compress(text, "zstd"))
    with pytest.raises(DamagedFileError, match="compressed data"):
        recounted(folder, data[:-6], Dialect(), name=name)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_a_line_that_is_too_long_is_one_record_in_bounded_memory(folder: Path, end: bytes, encoding: str) -> None:
    lines = ["a,b", "1," + "x" * 300_000, "2,y", '"3,' + "z" * 300_000, "4,y"]
    data = end.decode().join([*lines, ""]).encode(encoding)
    found = recounted(folder, data, Dialect(encoding=encoding), longest=20_000)
    reader = RecordReader(io.BytesIO(data), Dialect(encoding=encoding), chunk_bytes=1000, record_bytes_max=10_000)
    reader.header()
    assert found.records == reader.count() == 4
    assert [(number, record.is_cut, record.line) for number, record in found.wanted.items()] == [
        (1, True, 2),
        (2, False, 3),
        (3, True, 4),
        (4, False, 5),
    ]
    assert data.find(found.wanted[1].raw) > 0
    assert len(found.wanted[1].raw) <= 64 * 1024


def test_a_byte_that_is_left_over_after_a_long_line_is_a_record_wherever_the_file_is_cut(folder: Path) -> None:
    data = ("a,b\n" + "x" * 50 + "\r").encode("utf-16-le") + b"1"
    for chunk in range(1, 40):
        found = assert_they_agree(
            folder, data, Dialect(encoding="utf-16-le"), longest=20, cuts=Cuts(second_chunk=chunk)
        )
        assert [record.raw for record in found.wanted.values()][1:] == [b"1"]


def test_a_quote_that_never_closes_costs_one_record_and_bounded_memory(folder: Path) -> None:
    data = b'a,b\n1,"open\n' + b"2,x\n" * 20_000
    assert recounted(folder, data, Dialect(), longest=5_000).records == 20_001


@pytest.mark.parametrize("spare", [0, 1], ids=["one byte too many", "just short enough"])
def test_an_escaped_cr_that_makes_a_record_too_long_is_left_to_the_line_end(folder: Path, spare: int) -> None:
    data = b"x,y\na|b,c|\r\nd,e\n"
    second = assert_they_agree(folder, data, Dialect(escape="|"), longest=len(b"a|b,c|") + spare)
    assert second.wanted[1].raw == b"a|b,c|\r"[: 6 + spare]


def test_of_a_record_that_is_far_too_wide_only_the_first_fields_are_kept_apart(folder: Path) -> None:
    path = folder / "x.csv"
    path.write_bytes(b"a,b\n" + b"," * 10_000 + b"\n1,2\n")
    found = read(path, "x.csv", Dialect(), {1, 2}, record_bytes_max=1 << 20, fields_max=2)
    assert [len(record.fields or ()) for record in found.wanted.values()] == [3, 2]


@PROPERTY
@given(
    dialects(),
    st.lists(st.one_of(st.sampled_from(PIECES), st.sampled_from(["x" * 9, "é" * 6, '"', "\n"])), max_size=60),
    st.integers(8, 40),
    st.integers(1, 60),
)
@example(Dialect(), ['"', "x" * 9, "\n", "1,2", "\n"], 8, 15)
@example(Dialect(), ["1,", '"', "x" * 9, "\n", "x" * 9, '"', "\n", "1,2"], 12, 60)
@example(Dialect(encoding="utf-16-le"), ['"', "\n", "\ud83d", "\ud83d", "\n", '"'], 8, 4)
def test_a_record_that_is_too_long_is_read_alike_whatever_is_in_hand(
    folder: Path, dialect: Dialect, pieces: list[str], longest: int, chunk: int
) -> None:
    errors = "surrogatepass" if dialect.encoding.startswith("utf") else "ignore"
    data = ("x,y\n" + "".join(pieces)).encode(dialect.encoding, errors)
    assert_they_agree(folder, data, dialect, longest=longest, cuts=Cuts(chunk=chunk))


# --- layouts, and marks of several characters


def in_layout(folder: Path, text: str, dialect: Dialect, layout: Layout) -> list[tuple[int, str, list[str] | None]]:
    """(line, text, fields) of each record, in the order of their numbers, which are from 1 on without a gap."""
    path = folder / "x.csv"
    path.write_bytes(text.encode(dialect.encoding))
    found = read(path, "x.csv", dialect, range(100), record_bytes_max=1 << 20, layout=layout)
    assert list(found.wanted) == list(range(1, found.records + 1))
    return [
        (
            one.line,
            one.raw.decode(dialect.encoding),
            None if one.fields is None else [field.text for field in one.fields],
        )
        for one in found.wanted.values()
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-32-be"])
@pytest.mark.parametrize("separator", ["||", "~|~", "§", "§🛒", "|||"])
def test_a_separator_of_several_characters_counts_where_it_first_stands_whole(
    folder: Path, separator: str, encoding: str
) -> None:
    cells = ["1", f'"a{separator}b"', "a|b", "é🛒"]
    text = f"a\n{separator.join(cells)}\n{separator}\n"
    assert in_layout(folder, text, Dialect(separator, encoding=encoding), Layout()) == [
        (2, separator.join(cells), ["1", f"a{separator}b", "a|b", "é🛒"]),
        (3, separator, ["", ""]),
    ]


def test_of_separators_that_overlap_the_first_counts(folder: Path) -> None:
    assert in_layout(folder, 'a\nx|||"y\n', Dialect("||"), Layout()) == [(2, 'x|||"y', ["x", '|"y'])]


def test_comments_are_no_records_and_mean_nothing_inside_a_record(folder: Path) -> None:
    text = '# "made\na,b\n#\n1,"x\n# y"\n #,2\n3,# z\n#'
    assert in_layout(folder, text, Dialect(comment="#"), Layout()) == [
        (4, '1,"x\n# y"', ["1", "x\n# y"]),
        (6, " #,2", [" #", "2"]),
        (7, "3,# z", ["3", "# z"]),
    ]


@pytest.mark.parametrize(
    ("above", "layout", "line"),
    [
        ('a "title\n\na,b\n', Layout(skip_lines=2), 4),
        ("sep=,\na,b\n", Layout(), 3),
        ('"sep=,"\r\na,b\n', Layout(skip_lines=1), 3),
        ("", Layout(header="none"), 1),
        ("sep=,\n", Layout(header="none"), 2),
        ('\n\na,"b\n', Layout(header="ignore"), 4),
        ('#\n\n"\n#\n"\n', Layout(header="ignore", header_lines=2), 6),
        ('t\n"\n', Layout(skip_lines=1, header="ignore"), 3),
        ('a,"b\nc"\n\nd,e\n', Layout(header_lines=2), 5),
    ],
)
def test_what_stands_above_the_records_counts_as_lines_only(
    folder: Path, above: str, layout: Layout, line: int
) -> None:
    assert in_layout(folder, above + "1,2\n", Dialect(comment="#"), layout) == [(line, "1,2", ["1", "2"])]


@pytest.mark.parametrize(("header", "records"), [("first", 0), ("ignore", 0), ("none", 1)])
def test_a_file_that_is_over_before_its_records_has_none(folder: Path, header: str, records: int) -> None:
    assert len(in_layout(folder, "a,b\n", Dialect(), Layout(header=header))) == records
    assert in_layout(folder, "a,b", Dialect(), Layout(3, header, 2)) == []


def test_the_footer_is_the_longest_run_of_such_records_at_the_end(folder: Path) -> None:
    text = 'a,b\nTotal,1\n1,2\n"Total",3\n\n#\nTotal,"4\n"\n'
    layout = Layout(footer='"?Total')
    assert [line for line, _, _ in in_layout(folder, text, Dialect(comment="#"), layout)] == [2, 3]
    assert in_layout(folder, "a,b\nTotal,1\n", Dialect(), layout) == []


def test_a_field_is_known_as_it_is_written(folder: Path) -> None:
    path = folder / "x.csv"
    path.write_text('a,b\n\\N,"\\N"\n')
    [record] = read(path, "x.csv", Dialect(escape="\\"), {1}, record_bytes_max=100).wanted.values()
    assert record.fields == [Field("N", "\\N", False), Field("N", '"\\N"', True)]
