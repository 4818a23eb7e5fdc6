"""dlt by its fastest route: pyarrow reads the CSV, dlt passes Arrow on as Parquet, ADBC copies it in."""

from __future__ import annotations

import importlib.util
import os

from bench.peers.base import COLUMNS, Job, Peer

_NEEDED = ("dlt", "adbc_driver_postgresql", "pyarrow")


class Dlt(Peer):
    """A resource of Arrow tables, one a file."""

    name = "dlt, Arrow and ADBC"
    settings = "pyarrow.csv → resource of Arrow tables → Parquet → ADBC; two workers to load, no columns of dlt's added"

    def missing(self) -> str:
        """The first package that is not there."""
        absent = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
        return f"{absent[0]} is not installed" if absent else ""

    def version(self) -> str:
        """Of dlt and of ADBC's driver."""
        import importlib.metadata

        return f"{importlib.metadata.version('dlt')}, ADBC {importlib.metadata.version('adbc-driver-postgresql')}"

    def warm(self, job: Job) -> None:
        """Import everything; make the pipeline."""
        os.environ |= {
            "DLT_DATA_DIR": f"{job.folder}/dlt",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "LOAD__WORKERS": "2",
            "NORMALIZE__WORKERS": "1",  # Arrow needs none: its files are passed on
            "DATA_WRITER__DISABLE_COMPRESSION": "true",
        }
        import adbc_driver_postgresql.dbapi  # noqa: F401
        import dlt
        import pyarrow.csv  # noqa: F401

        where = dlt.destinations.postgres(job.url, create_indexes=False)
        self._pipeline = dlt.pipeline("bench", destination=where, dataset_name="public", pipelines_dir=job.folder)

    def load(self, job: Job) -> None:
        """Run the pipeline over all files."""
        import dlt

        @dlt.resource(name=job.table, write_disposition="append")
        def rows():  # type: ignore[no-untyped-def]
            for file in job.files:
                yield _read(file)

        self._pipeline.run(rows(), loader_file_format="parquet").raise_on_failed_jobs()


def _read(file: str):  # type: ignore[no-untyped-def]
    import pyarrow as pa
    from pyarrow import csv

    kinds = {
        "uuid": pa.string(),
        "text": pa.string(),
        "numeric(20,4)": pa.decimal128(20, 4),
        "timestamptz": pa.timestamp("us", "UTC"),
        "bigint": pa.int64(),
    }
    converting = csv.ConvertOptions(
        column_types={name: kinds[kind] for name, kind in COLUMNS.items()},
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=[""],
    )
    table = csv.read_csv(file, convert_options=converting, parse_options=csv.ParseOptions(newlines_in_values=True))
    # ADBC copies in binary and sends text as text: a uuid must be its 16 bytes.
    ids = table["event_id"].combine_chunks()
    raw = bytes.fromhex(ids.buffers()[2].to_pybytes().decode().replace("-", ""))
    table_ids = pa.Array.from_buffers(pa.binary(16), len(ids), [None, pa.py_buffer(raw)])
    return table.set_column(0, "event_id", table_ids)
