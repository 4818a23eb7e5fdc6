"""The recount of files in each dialect and layout: it holds, and names the record of which one byte is another one."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from sluice.base.settings import Settings
from sluice.proof.reconcile import reconcile
from tests.integration.test_layouts_load import FILES, Load, load, write_contract
from tests.loading import Connection

__all__ = ["load"]  # the fixture

# The contract's csv; the file, in which record 1 holds "good" and is loaded, and record 2 holds "bad!" and is set
# aside; the lines that they stand on.
CASES: dict[str, tuple[dict[str, Any], str, int, int]] = {
    "as csv is by default": ({}, 'article,amount\n"good\r\n""x",1\nb,bad!\n', 2, 4),
    "a separator of several characters": ({"separator": "~|~"}, 'article~|~amount\n"good~|~"~|~1\n~|b~|~bad!', 2, 3),
    "a separator that is not ASCII": ({"separator": "→§"}, "article→§amount\ngood→→§1\nb→§bad!\n", 2, 3),
    "another quote": ({"quote": "'"}, "article,amount\n'good,''\n',1\n\"b,bad!\n", 2, 4),
    "an escape character": ({"escape": "\\"}, 'article,amount\ngood\\,\\"\\\n,1\nb,bad!\\\\\n', 2, 4),
    "an escape that is the quote": ({"escape": '"'}, 'article,amount\n"good""",1\nb,bad!\n', 2, 3),
    "nulls": ({"nulls": ["-", "\\N"], "escape": "\\"}, "article,amount\ngood,\\N\nb,bad!\n", 2, 3),
    "comments": ({"comment": "//"}, '//"x\narticle,amount\n//"\n\ngood,1\n//\\\nb,bad!\n//', 5, 7),
    "stray quotes": ({"strayQuote": "reject"}, 'article,amount\ngood,1\nb"c,bad!\n', 2, 3),
    "lines above the header": ({"skipLines": 2}, '"title\n\narticle,amount\ngood,1\nb,bad!\n', 4, 5),
    "a line that names the separator": ({"separator": ";"}, "sep=;\r\narticle;amount\r\ngood;1\r\nb;bad!\r\n", 3, 4),
    "no header": ({"header": "none"}, "good,1\nb,bad!\n", 1, 2),
    "a header that is ignored": ({"header": "ignore", "headerLines": 2}, '"a\n\nb,c,d\ngood,1\nb,bad!\n', 4, 5),
    "a header of several lines": ({"headerLines": 2}, ',\n\narticle,"amount"\ngood,1\nb,bad!\n', 4, 5),
    "a footer": ({"footer": '"?Sum'}, 'article,amount\ngood,1\n"b\nSum",bad!\nSum,1,2\n\n"Sum"\n', 2, 3),
    "all kinds of line ends": ({}, "article,amount\rgood,1\r\n\n\rb,bad!\r", 2, 5),
    "a bit of everything": (
        {"separator": "||", "comment": "#", "skipLines": 1, "headerLines": 2, "footer": "Sum", "encoding": "utf-16-be"},
        '"\n#\n||\narticle||amount\n#"\n"good\n#||"||1\n|b||bad!\nSum||"\n',
        6,
        8,
    ),
    **{
        encoding: ({"encoding": encoding}, 'article,amount\n"é good",1\nb,bad!\n', 2, 3)
        for encoding in ("latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be", "gb18030")
    },
    "Shift-JIS and pipes": (
        {"encoding": "shift_jis", "separator": "|", "escape": "\\"},
        "article|amount\nポ表good\\|ポ|1\n表|bad!\n",
        2,
        3,
    ),
}


@pytest.mark.parametrize(("csv", "text", "good", "bad"), CASES.values(), ids=CASES)
def test_a_record_of_which_one_byte_is_another_is_named(
    own_contracts: Settings, load: Load, connection: Connection, csv: dict[str, Any], text: str, good: int, bad: int
) -> None:
    write_contract(own_contracts, csv, files=FILES)
    encoding = csv.get("encoding", "utf-8")
    tally = load(text.encode(encoding))
    assert (tally.state, tally.rows_read, tally.rows_loaded, tally.rows_rejected) == ("loaded", 2, 1, 1)
    found = reconcile(own_contracts, own_contracts.reader_dsn)
    assert found.broken == []
    [path] = own_contracts.archive_dir.rglob("*.csv")
    for before, after, says in [
        ("good", "gooD", f"record 1 (line {good}): extra.article is "),
        ("bad!", "bad?", f"record 2 (line {bad}): its reject keeps "),
    ]:
        path.write_bytes(text.replace(before, after).encode(encoding))
        [sentence] = reconcile(own_contracts, own_contracts.reader_dsn).broken
        assert "not those that were registered" in sentence
        as_if_registered(connection, path.read_bytes())
        [sentence] = reconcile(own_contracts, own_contracts.reader_dsn).broken
        assert sentence.startswith(f"file {tally.file_id} (shop-1.csv): {says}")
    path.write_bytes(text.encode(encoding))
    as_if_registered(connection, path.read_bytes())
    assert reconcile(own_contracts, own_contracts.reader_dsn).holds


def as_if_registered(connection: Connection, data: bytes) -> None:
    """Let the only file of the ledger be these bytes: no hash tells that they are others."""
    sha256 = hashlib.sha256(data).hexdigest()
    connection.execute("UPDATE ledger.files SET sha256 = %s, bytes = %s", [sha256, len(data)])


@pytest.mark.parametrize(
    ("csv", "text", "changed", "says"),
    [
        ({"footer": "Sum"}, "article,amount\na,1\nSum,1\n", b"Bum,1", "2 rows in the file, but 1 loaded"),
        ({"comment": "#"}, "article,amount\na,1\n#um,1\n", b"Sum,1", "2 rows in the file, but 1 loaded"),
        ({"header": "none"}, "a,1\nb,1\n", b"a,1;b", "1 rows in the file, but 2 loaded"),
        ({"escape": "\\"}, "article,amount\na\\\n,1\n", b"a,\n,1", "2 rows in the file, but 1 loaded"),
        ({"separator": "||"}, "article||amount\nab||1\n", b"ab|!1", "cannot be read as 2 fields"),
    ],
)
def test_a_byte_that_makes_other_records_of_a_file_is_told(
    own_contracts: Settings,
    load: Load,
    connection: Connection,
    csv: dict[str, Any],
    text: str,
    changed: bytes,
    says: str,
) -> None:
    write_contract(own_contracts, csv, amount="string", files=FILES)
    assert load(text.encode()).state == "loaded"
    assert reconcile(own_contracts, own_contracts.reader_dsn).broken == []
    [path] = own_contracts.archive_dir.rglob("*.csv")
    data = path.read_bytes()
    [at] = [
        i
        for i in range(len(data))
        if sum(map(int.__ne__, data[i : i + len(changed)], changed)) == 1 and len(data) - i >= len(changed)
    ]
    path.write_bytes(data[:at] + changed + data[at + len(changed) :])
    as_if_registered(connection, path.read_bytes())
    [sentence] = reconcile(own_contracts, own_contracts.reader_dsn).broken
    assert says in sentence
