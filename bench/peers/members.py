"""Who takes part, in the order of the table."""

from __future__ import annotations

import importlib

from bench.peers.base import Peer

# module of bench.peers : class
MEMBERS = {
    "sluice": "sluice_tasks:SluiceTasks",
    "copy": "psql_copy:Copy",
    "copy-per-core": "psql_copy:CopyPerCore",
    "duckdb": "duckdb_postgres:DuckDB",
    "spark-jdbc": "spark_jdbc:SparkJdbc",
    "spark-jdbc-rewrite": "spark_jdbc:SparkJdbcRewrite",
    "dlt": "dlt_arrow:Dlt",
    "pgloader": "pgloader:PgLoader",
    "sling": "sling:Sling",
}


def member(name: str) -> Peer:
    """The member of that name."""
    module, kind = MEMBERS[name].split(":")
    made: Peer = getattr(importlib.import_module(f"bench.peers.{module}"), kind)()
    return made
