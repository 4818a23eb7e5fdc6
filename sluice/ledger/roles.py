"""What a new PostgreSQL server needs before the owner can migrate: login roles, and databases that they own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.rows import dict_row

from sluice.base import queries

Connection = psycopg.Connection[dict[str, Any]]
ROLES = ("sluice_owner", "sluice_writer", "sluice_reader", "airflow")
SCHEMA_IS_CLOSED_SINCE = 150_000
OWNER = "sluice_owner"
DATABASES = {"sluice": OWNER, "airflow": "airflow"}


def make_roles(connection: Connection, passwords: Mapping[str, str]) -> None:
    """Login roles with their passwords (as SCRAM verifiers), and the databases sluice and airflow that they own.

    ``connection`` is a superuser's, autocommit. What is there already stays; passwords are set anew.
    """
    for role in ROLES:
        verifier = connection.pgconn.encrypt_password(passwords[role].encode(), role.encode(), b"scram-sha-256")
        _execute_row(connection, "embedded.role_statement", role=role, password=verifier.decode())
    for name, owner in DATABASES.items():
        make_database(connection, name, owner)


def make_database(connection: Connection, name: str, owner: str) -> None:
    """A database of ``owner``, unless it is there, that nobody else may connect to until it is granted.

    In the pipeline's own, only owner and writer may take the locks that loads wait for.
    """
    _execute_row(connection, "embedded.database_statement", database=name, owner=owner)
    _execute_row(connection, "embedded.closing_statement", database=name)
    info = connection.info
    with psycopg.connect(
        host=info.host,
        port=info.port,
        user=info.user,
        password=info.password,
        dbname=name,
        autocommit=True,
        row_factory=dict_row,
    ) as inside:
        if info.server_version < SCHEMA_IS_CLOSED_SINCE:
            queries.run(inside, "embedded.close_schema_public")
        if owner == OWNER:
            _execute_row(inside, "embedded.locks_statement")


def generator_commands(connection: Connection, *, wanted: bool) -> list[list[str]]:
    """The airflow commands that make generate_events follow SLUICE_GENERATOR; ``connection`` is to Airflow's database.

    A DAG that is not known there yet begins as it should by itself.
    """
    row = queries.one(connection, "embedded.dag_is_paused", dag_id="generate_events")
    if row is None or row["is_paused"] != wanted:
        return []
    return [["dags", "unpause" if wanted else "pause", "--yes", "generate_events"]]


def _execute_row(connection: Connection, query: str, **params: str) -> None:
    row = queries.one(connection, query, **params)
    if row is not None and row["statement"] is not None:
        connection.execute(row["statement"])
