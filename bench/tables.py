"""The tables of docs/performance.md, each made of its result alone: a test compares the page with the kept results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Result = dict[str, Any]


def of(measured: Result) -> str:
    """Its table in Markdown, with a line above it that says what was run, on what and when."""
    return TABLES[measured["name"]](measured)


def league(measured: Result) -> str:
    """Rows/s, how much faster Sluice is, CPU of client and server, and whether the rows are all there and the same."""
    rows = [[_member(one), *_figures(one)] for one in measured["members"]]
    head = ["", "rows/s", "Sluice against it", "CPU, client", "CPU, PostgreSQL", "rows"]
    what = (
        f"`make bench`: {measured['rows']:,} rows in {measured['files']} files ({measured['bytes'] / 1e6:,.0f} MB), "
        f"medians of {measured['rounds']} rounds. CPU is in µs a row."
    )
    settings = [f"- **{one['name']}** {one['version']}: {one['settings']}" for one in measured["members"]]
    return "\n\n".join([f"{what} {_where(measured)}", table(head, rows), "\n".join(settings)])


def _member(one: Result) -> str:
    return f"**{one['name']}**" if one["key"] == "sluice" else one["name"]


def _figures(one: Result) -> list[str]:
    if why := one["missing"] or one["error"]:
        return ["–", "–", "–", "–", _cell(why)]
    ratio = "" if one["key"] == "sluice" else f"{one['sluice_against_it']:.2f}"
    cpu = [f"{one[name]:.1f}" for name in ("client_us", "server_us")]
    return [f"{one['rows_per_second']:,.0f}", ratio, *cpu, _content(one)]


def _content(one: Result) -> str:
    return _arrived(one) + (f"; hung {one['hung']} times" if one["hung"] else "")


def _arrived(one: Result) -> str:
    if one["rows_off"]:
        return f"{abs(one['rows_off']):,} {'lost' if one['rows_off'] < 0 else 'too many'}"
    return "all, unchanged" if one["same"] else "all, but changed"


def kinds(measured: Result) -> str:
    """Clean rows per second of each kind, against ``\\copy``."""
    head = ["file", "Sluice, rows/s", "\\copy, rows/s", "Sluice / \\copy", "CPU, client", "PostgreSQL", "\\copy, both"]
    rows = [
        [
            one["what"],
            *(f"{one[name]:,.0f}" for name in ("sluice", "copy")),
            f"{one['ratio']:.2f}",
            *(f"{one[name]:.1f}" for name in ("client_us", "server_us", "copy_us")),
        ]
        for one in measured["kinds"]
    ]
    what = (
        f"`make bench-kinds`: {measured['rows']:,} rows in {measured['files']} files, medians of {measured['rounds']} "
        "pairs. CPU is in µs a row."
    )
    return "\n\n".join([f"{what} {_where(measured)}", table(head, rows)])


def pipeline(measured: Result) -> str:
    """The backlog through everything, against the tasks' own rate."""
    before, after = measured["tasks"]
    rows = [
        ["the tasks alone, before and after", f"{before:,.0f} and {after:,.0f}", ""],
        ["the whole pipeline", f"{measured['pipeline']['rows_per_second']:,.0f}", f"{measured['ratio']:.2f} of it"],
    ]
    what = f"`make bench-pipeline`: {measured['rows']:,} rows in {measured['files']} files, dropped at once."
    return "\n\n".join([f"{what} {_where(measured)}", table(["", "rows/s", ""], rows)])


def big(measured: Result) -> str:
    """Small files alone and beside a big one, and memory."""
    alone, beside = measured["alone"], measured["beside"]
    rows = [
        [
            "a file of 1,000 rows, alone",
            f"{alone['p50']:.2f} s",
            f"at most {alone['max']:.2f} s, {alone['files']} files",
        ],
        [
            "a file of 1,000 rows, while the big one loads",
            f"{beside['p50']:.2f} s",
            f"at most {beside['max']:.2f} s, {beside['files']} files; {beside['p50'] / alone['p50']:.2f} times as long",
        ],
        [
            "the big one",
            f"{measured['big_seconds']:.1f} s",
            f"{measured['rows'] / measured['big_seconds']:,.0f} rows/s",
        ],
        ["memory of the driver's JVM", f"{measured['driver_bytes'] / 1e6:,.0f} MB", "the most it held"],
        ["memory of a Python worker", f"{measured['python_bytes'][0] / 1e6:,.0f} MB", "the largest one"],
    ]
    what = f"`make bench-big`: {measured['rows']:,} rows in one file of {measured['bytes'] / 1e6:,.0f} MB."
    return "\n\n".join([f"{what} {_where(measured)}", table(["", "p50", ""], rows)])


def workers(measured: Result) -> str:
    """Rates of one and two workers, and where the processors' time went."""
    rows = []
    for count in ("1", "2"):
        plays = [pair[count] for pair in measured["plays"]]
        cost = [sum(one[name] for one in plays) / len(plays) / measured["rows"] * 1e6 for name in _COSTS]
        speed = sorted(one["rows_per_second"] for one in plays)[len(plays) // 2]
        rows.append([f"{count} worker{'s' * (count > '1')}", f"{speed:,.0f}", *(f"{us:.1f}" for us in cost)])
    what = (
        f"`make bench-workers`: {measured['rows']:,} rows in {measured['files']} files, {measured['rounds']} rounds; "
        f"two workers are {measured['ratio']:.2f} times as fast as one. CPU is in µs a row, the executors' start in it."
    )
    head = ["", "rows/s", "CPU, PostgreSQL", "CPU, workers"]
    return "\n\n".join([f"{what} {_where(measured)}", table(head, rows)])


def scale(measured: Result) -> str:
    """A row a size: how fast files load behind so many events, and what an unload does."""
    head = ["events before", "in files", "100,000 rows: rows/s", "against empty", "CPU, PostgreSQL", "WAL, bytes/row",
            "1,000 rows", "unload of those", "a load waited meanwhile", "recounted, rows/s",
            "largest index"]  # fmt: skip
    what = (
        f"`make bench-scale ROWS={measured['asked']}{' ONE_TABLE=1' if measured['one_table'] else ''}`: events over "
        f"{measured['months']} months, files of 100,000 rows of now right after a checkpoint; medians, CPU in µs a "
        "row; in brackets what it is into empty events."
    )
    if measured["rows"] < measured["asked"]:
        what += f" The disk had room for {measured['rows']:,}."
    shown = table(head, map(_size, measured["sizes"]))
    picture = [] if measured["one_table"] else ["![Rows per second against the number of events](scale.svg)"]
    return "\n\n".join([f"{what} {_where(measured)}", *picture, shown, *_at_the_largest(measured)])


def _size(one: Result) -> list[str]:
    speeds, recount = one["rows_per_second"], one["recount"]
    return [
        f"{one['rows']:,}",
        f"{one['files']:,}",
        f"{_median(speeds):,.0f} ({min(speeds):,.0f} to {max(speeds):,.0f})",
        f"{one['ratio']:.2f}",
        f"{one['server_us']:.1f} ({one['server_us_into_empty']:.1f})",
        f"{one['wal_bytes']:,.0f} ({one['wal_bytes_into_empty']:,.0f})",
        f"{one['small_seconds'] * 1000:.0f} ms, {one['small_seconds'] / one['small_into_empty']:.2f} times",
        f"{_median(one['unload_seconds']):.2f} s",
        f"{one['longest_wait_of_a_load']:.2f} s",
        f"{recount['rows'] / recount['seconds']:,.0f}",
        f"{one['index_bytes'] / 1e6:,.0f} MB",
    ]


def _at_the_largest(measured: Result) -> list[str]:
    if "merge" not in measured:
        return []
    merged, beside, dropped = (measured[name] for name in ("merge", "merge_beside", "drop"))
    cores = (merged["server_cpu"] + merged["client_cpu"]) / merged["seconds"]
    return [
        f"Behind {measured['rows']:,} events: the nightly merge of {merged['rows']:,} new events, "
        f"{merged['conflicts']:,} of them conflicts, took {merged['seconds']:.1f} s and {cores:.2f} of a core; "
        f"beside loads {beside['seconds']:.1f} s, and the longest of {beside['loads_beside']:,} loads waited "
        f"{beside['longest_wait_of_a_load']:.2f} s. The drop of a month of {dropped['rows']:,} events beside "
        f"loads took {dropped['seconds']:.1f} s; the longest of {dropped['loads_beside']:,} loads waited "
        f"{dropped['longest_wait_of_a_load']:.2f} s."
    ]


def reports(measured: Result) -> str:
    """A row a size: the first refresh, a refresh after a small file, an unload; then what loads notice of it."""
    sizes = measured["sizes"]
    head = ["events", "first refresh", "report_cells and report", "refresh after 1,000 rows", "against the fewest",
            "CPU, PostgreSQL", "WAL", "unload of 1,000 rows, reports and all"]  # fmt: skip
    what = (
        f"`make bench-reports ROWS={measured['rows']}`: {measured['a_day']:,} events a day; medians of "
        f"{len(sizes[0]['refresh_seconds'])} refreshes, in brackets the longest."
    )
    shown = table(head, [_reports_at(one, sizes[0]) for one in sizes])
    return "\n\n".join([f"{what} {_where(measured)}", shown, _beside_reports(measured), _rates(measured)])


def _reports_at(one: Result, fewest: Result) -> list[str]:
    seconds = one["refresh_seconds"]
    return [
        f"{one['rows']:,}",
        f"{one['first']['seconds']:,.1f} s",
        f"{one['bytes']['report_cells'] / 1e6:,.0f} and {one['bytes']['report'] / 1e6:,.0f} MB",
        f"{_median(seconds):.2f} s ({max(seconds):.2f})",
        f"{_median(seconds) / _median(fewest['refresh_seconds']):.2f}",
        f"{one['refresh_cpu']:.2f} s",
        f"{one['refresh_wal'] / 1e6:.1f} MB",
        f"{_median(one['unload_seconds']):.2f} s",
    ]


def _beside_reports(measured: Result) -> str:
    refreshes, unloads = (measured["beside"][name] for name in ("refreshes", "unloads"))
    return (
        f"Behind {measured['rows']:,} events, while another process loads such files: a refresh takes "
        f"{_median(refreshes['refresh_seconds']):.2f} s, an unload {_median(unloads['unload_seconds']):.2f} s; "
        f"of {refreshes['loads']:,} loads beside refreshes the longest took {refreshes['longest']:.2f} s, of "
        f"{unloads['loads']:,} beside unloads {unloads['longest']:.2f} s, alone the median takes "
        f"{refreshes['alone']:.2f} s."
    )


def _rates(measured: Result) -> str:
    rates, last = measured["rates"], measured["sizes"][-1]
    of_cores = last["refresh_cpu"] / measured["interval"] / measured["machine"]["cores"]
    kept = 1 - measured["share"] * (1 - rates["ratio"])
    return (
        f"Two processes that load such files as fast as they can, in windows of {rates['window']:.0f} s: "
        f"{_median(rates['without']):,.0f} rows/s without refreshes, {_median(rates['with']):,.0f} while one follows "
        f"the other, {rates['ratio']:.2f} of it. As shipped, refreshes take at most {100 * measured['share']:.0f} % of "
        f"the time (`SLUICE_REPORT_SHARE`), so loads keep {kept:.2f}. One every {measured['interval']:.0f} s after "
        f"1,000 rows takes {100 * of_cores:.2f} % of the cores."
    )


def page(measured: Result) -> str:
    """A row a view of the page; then Airflow's health alone and while ten viewers look."""
    what = (
        f"`make bench-page`: {measured['files']:,} files, {measured['rejects']:,} rejects, {measured['rows']:,} rows, "
        f"{measured['asked']} answers of the web server to each view, ms."
    )
    views = [
        [name, *(f"{one[part]:.0f}" for part in ("p50", "p95", "max")), f"{one['bytes']:,}"]
        for name, one in measured["views"].items()
    ]
    alone, beside = (measured["health"][name] for name in ("alone", "beside"))
    health = (
        f"`/monitor/health` of Airflow answers in {alone['p50']:.0f} ms (p95 {alone['p95']:.0f}) when nobody looks, in "
        f"{beside['p50']:.0f} ms (p95 {beside['p95']:.0f}, at most {beside['max']:.0f}) while {measured['viewers']} "
        f'viewers look: of {measured["answers"]:,} answers to them {measured["not_answered"]} were "come again".'
    )
    shown = table(["view", "p50", "p95", "longest", "bytes"], views)
    return "\n\n".join([f"{what} {_where(measured)}", shown, health])


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def ledger(measured: Result) -> str:
    """A row a question to the ledger: milliseconds and pages with few and with many files in it."""
    few, many = f"{measured['few']:,} files", f"{measured['files']:,} files"
    head = ["question", f"{few}, ms", "pages", f"{many}, ms", "pages", "grows"]
    rows = [
        [
            one["question"],
            *(
                f"{one[size][what]:,.{places}f}"
                for size in ("few", "many")
                for what, places in (("ms", 1), ("pages", 0))
            ),
            f"{one['many']['pages'] / one['few']['pages']:.0f} times" if grows(one["few"], one["many"]) else "",
        ]
        for one in measured["asked"]
    ]
    what = (
        f"`make bench-ledger FILES={measured['files']}`: as many rejects and duplicates as files; the fastest of seven "
        "answers, and the pages of 8 kB that it looks at."
    )
    return "\n\n".join([f"{what} {_where(measured)}", table(head, rows)])


def grows(few: dict[str, float], many: dict[str, float]) -> bool:
    """Whether a question looks at more pages, the more files there are: the deeper trees of indexes are not more."""
    return many["pages"] > 3 * few["pages"] and many["pages"] > 1000


def airflow(measured: Result) -> str:
    """Airflow's metadata after so many days: rows, what cleaning takes, and the pages before and after."""
    cleaned, again = measured["cleaning"]
    rows, left, of_all = (_rows_of_tables(measured[of]) for of in ("rows", "left", "left_of_all"))
    runs = ", ".join(f"{count:,} of {dag}" for dag, count in measured["runs"].items())
    what = (
        f"`make bench-airflow DAYS={measured['days']:g}`: a file every {measured['every']:g} s, landed by the "
        f"generator's DAG, for {measured['days']:g} days without cleaning. {_where(measured)} Rows: {rows}; runs: "
        f"{runs}; {measured['bytes'] / 1e6:,.0f} MB. `keep_house` cleans that in {cleaned:.0f} s, and an hour later "
        f"in {again:.0f} s; left are {left}. A cleaning of all that came before the oldest active run leaves of tables "
        f"with more than a few rows: {of_all or 'none'}."
    )
    head = ["answer of the web server, ms: p50 (p95)", "after minutes", "after days", "cleaned"]
    pages = [
        [one["page"], *(f"{one[when]['p50']:.0f} ({one[when]['p95']:.0f})" for when in ("few", "many", "cleaned"))]
        for one in measured["pages"]
    ]
    return "\n\n".join([what, table(head, pages)])


def _rows_of_tables(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} in {name}" for name, count in counts.items())


_COSTS = ("server_cpu", "workers_cpu")


def latency(measured: Result) -> str:
    """How long a file takes, and what each part of the pipeline costs, busy and idle."""
    legs = [
        [
            what,
            *(f"{measured['legs'][leg][rank]:.2f}" for rank in ("p50", "p95")),
            f"{measured['legs'][leg]['max']:.2f}",
        ]
        for leg, what in (
            ("moved", "landed to moved"),
            ("loaded", "moved to loaded"),
            ("queryable", "landed to queryable"),
        )
    ]
    busy, idle = measured["cpu"]["busy"], measured["cpu"]["idle"]
    parts = [[part, f"{100 * share:.1f}", f"{100 * idle.get(part, 0):.1f}"] for part, share in busy.items()]
    what = (
        f"`make bench-latency`: a file of {measured['rows']:,} rows every {measured['every']:g} s for "
        f"{measured['minutes']:g} minutes."
    )
    start = ", ".join(f"{step} after {seconds:.0f} s" for step, seconds in measured["start"].items())
    return "\n\n".join(
        [
            f"{what} The start: {start}. {_where(measured)}",
            table(["seconds", "p50", "p95", "max"], legs),
            table(["CPU, % of a core", "busy", "idle"], parts),
        ]
    )


def mover(measured: Result) -> str:
    """Files per second of the mover, its CPU time and memory."""
    rows = [
        ["files/s", f"{measured['files_per_second']:,.0f}", f"{measured['seconds']:.1f} s in all"],
        ["CPU a file, µs", f"{measured['mover_cpu_us_per_file']:.0f}", "the mover"],
        ["CPU a file, µs", f"{measured['server_cpu_us_per_file']:.0f}", "PostgreSQL"],
        ["memory, MB", f"{measured['peak_rss_mb']:.0f}", f"{measured['peak_rss_grew_mb']:.0f} of it while moving"],
    ]
    what = f"`make bench-mover`: {measured['files']:,} small files wait in `incoming`."
    return "\n\n".join([f"{what} {_where(measured)}", table(["", "", ""], rows)])


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """A table in Markdown; every column but the first and last is of numbers."""
    rule = ["---", *["---:"] * (len(head) - 2), "---"]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _where(measured: Result) -> str:
    here = measured["machine"]
    said = f"{here['cores']} cores of {here['processor']}, {here['memory_gb']} GB, {here['system']}, {measured['when']}"
    server = dict(measured.get("server", {}))
    if not server:
        return f"{said}."
    version = server.pop("server_version")
    return f"{said}; PostgreSQL {version} ({', '.join(f'{name} {value}' for name, value in server.items())})."


def _cell(text: str) -> str:
    return text.splitlines()[0][:120].replace("|", "\\|")


TABLES = {
    "league": league,
    "kinds": kinds,
    "pipeline": pipeline,
    "big": big,
    "workers": workers,
    "latency": latency,
    "mover": mover,
    "scale": scale,
    "scale_before": scale,
    "reports": reports,
    "ledger": ledger,
    "airflow": airflow,
    "page": page,
}
