"""DuckDB: ``read_csv`` into an attached PostgreSQL, by its extension postgres (binary COPY over one connection)."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from bench.peers.base import COLUMNS, Job, Peer

# DuckDB knows numeric as DECIMAL and reads moments with a zone as TIMESTAMPTZ.
_TYPES = {"text": "VARCHAR", "numeric(20,4)": "DECIMAL(20,4)"}


class DuckDB(Peer):
    """One ``INSERT … SELECT`` of all files."""

    name = "DuckDB's extension postgres"
    settings = "one `INSERT INTO pg.table SELECT … FROM read_csv(files)`; columns and types given, nothing sniffed"

    def missing(self) -> str:
        """The extension must be of the very version of DuckDB."""
        return "" if _extension().exists() else f"there is no {_extension().name} for this DuckDB"

    def version(self) -> str:
        """Of both."""
        import duckdb

        return duckdb.__version__

    def warm(self, job: Job) -> None:
        """Load the extension and attach the server."""
        import duckdb

        self._duckdb = duckdb.connect()
        self._duckdb.execute("SET TimeZone = 'UTC'")
        # Its entry point is named after its first name, and DuckDB looks for one named after the file.
        renamed = Path(job.folder) / "postgres_scanner.duckdb_extension"
        shutil.copyfile(_extension(), renamed)
        self._duckdb.execute(f"LOAD '{renamed}'")
        at = job.server
        where = f"host={at.host} port={at.port} user={at.user} password={at.password} dbname={at.database}"
        self._duckdb.execute(f"ATTACH '{where}' AS pg (TYPE postgres)")

    def load(self, job: Job) -> None:
        """All files in one transaction."""
        names = ", ".join(f'"{name}"' for name in COLUMNS)
        kinds = {name: _TYPES.get(kind, kind.upper()) for name, kind in COLUMNS.items()}
        self._duckdb.execute(
            f"INSERT INTO pg.public.{job.table} ({names}) SELECT {names} FROM read_csv({job.files!r}, "
            f"auto_detect=false, header=true, delim=',', quote='\"', escape='\"', new_line='\\n', columns={kinds!r})"
        )

    def close(self) -> None:
        """Disconnect."""
        self._duckdb.close()


def _extension() -> Path:
    import duckdb

    package = importlib.util.find_spec("duckdb_extension_postgres")
    if package is None or package.origin is None:
        raise ImportError("duckdb_extension_postgres is not installed")
    folder = Path(package.origin).parent / "extensions" / f"v{duckdb.__version__}"
    return folder / "postgres.duckdb_extension"
