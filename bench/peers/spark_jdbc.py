"""Spark reads the CSV and appends it over JDBC: as it is by default, and with the driver's batches rewritten."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.peers.base import COLUMNS, Job, Peer

JAR = Path("/usr/share/java/postgresql.jar")
_TYPES = {"text": "STRING", "uuid": "STRING", "numeric(20,4)": "DECIMAL(20,4)", "timestamptz": "TIMESTAMP"}


class SparkJdbc(Peer):
    """``df.write.jdbc`` on local[2]."""

    name = "Spark → JDBC"
    settings = "local[2], schema given, multiLine; `stringtype=unspecified`, without which a uuid is refused"
    install = "apt-get install libpostgresql-jdbc-java"
    in_project = True
    url_options = "stringtype=unspecified"
    write_options: dict[str, str] = {}  # noqa: RUF012

    def missing(self) -> str:
        """The driver of PostgreSQL comes from Debian."""
        return "" if JAR.exists() else f"there is no {JAR}: `{self.install}`"

    def version(self) -> str:
        """Of Spark and the driver."""
        import pyspark

        return f"{pyspark.__version__}, JDBC {_driver()}"

    def warm(self, job: Job) -> None:
        """Start the JVM; count the first file."""
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.master("local[2]").config("spark.jars", str(JAR))
        builder = builder.config("spark.ui.enabled", "false").config("spark.sql.session.timeZone", "UTC")
        # A file a task, as many as there are; without it some tasks get three files, others one.
        builder = builder.config(
            "spark.sql.files.maxPartitionBytes", str(max(Path(f).stat().st_size for f in job.files))
        )
        self._spark = builder.getOrCreate()
        self._read(job.files[:1]).count()

    def load(self, job: Job) -> None:
        """Append all files."""
        at = job.server
        writer = self._read(job.files).write.format("jdbc").mode("append").options(**self.write_options)
        writer.options(
            url=f"jdbc:postgresql://{at.host}:{at.port}/{at.database}?{self.url_options}",
            driver="org.postgresql.Driver",
            dbtable=f"public.{job.table}",
            user=at.user,
            password=at.password,
        ).save()

    def close(self) -> None:
        """Stop the JVM."""
        self._spark.stop()

    def _read(self, files: list[str]):  # type: ignore[no-untyped-def]
        schema = ", ".join(f"`{name}` {_TYPES.get(kind, kind)}" for name, kind in COLUMNS.items())
        reader = self._spark.read.schema(schema).option("header", True).option("multiLine", True)
        return reader.option("quote", '"').option("escape", '"').option("mode", "FAILFAST").csv(files)


class SparkJdbcRewrite(SparkJdbc):
    """The same with reWriteBatchedInserts."""

    name = "Spark → JDBC, reWriteBatchedInserts"
    settings = "the same with `reWriteBatchedInserts=true`, `batchsize=10000`"
    url_options = "stringtype=unspecified&reWriteBatchedInserts=true"
    write_options = {"batchsize": "10000"}  # noqa: RUF012


def _driver() -> str:
    told = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "libpostgresql-jdbc-java"], capture_output=True)
    return told.stdout.decode() or "?"
