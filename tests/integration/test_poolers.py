"""A real PgBouncer in front of PostgreSQL: what shares sessions is refused by each part that relies on them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from sluice.base import database
from sluice.base.poolers import SharedSessionsError, refuse_shared_sessions
from sluice.base.settings import Settings
from sluice.landing import mover
from sluice.ledger import migrate
from sluice.proof import sealing
from sluice.running import embedded
from spark_jobs import stream_events

Pool = Callable[..., str]
PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
CONFIG = """
[databases]
* = host=127.0.0.1 port={port} user=sluice_writer password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 3
server_round_robin = {in_turns}
"""


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    """Starts a pooler of a mode; returns a URL that leads through it to the test's database, as the writer."""
    if PGBOUNCER is None:
        pytest.skip("there is no pgbouncer: install the package of that name")
    with ExitStack() as stack:

        def start(mode: str, *, in_turns: bool = False) -> str:
            known = conninfo_to_dict(database_url)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-pooler-")))
            own = embedded.free_port()
            values = {"port": known["port"], "password": known["password"], "in_turns": int(in_turns)}
            config = folder / "pgbouncer.ini"
            config.write_text(CONFIG.format(own=own, mode=mode, **values))
            folder.chmod(0o755)
            who = {"user": embedded.SYSTEM_USER, "group": embedded.SYSTEM_USER} if os.geteuid() == 0 else {}
            process = stack.enter_context(
                subprocess.Popen([str(PGBOUNCER), str(config)], stderr=subprocess.PIPE, text=True, **who)  # type: ignore[call-overload]
            )
            stack.callback(process.kill)
            said = [process.stderr.readline()]
            while said[-1] and "process up" not in said[-1]:
                said.append(process.stderr.readline())
            assert said[-1], said
            return f"postgresql://anybody@127.0.0.1:{own}/{known['dbname']}"

        yield start


@pytest.mark.parametrize("mode", ["transaction", "statement"])
@pytest.mark.parametrize("in_turns", [False, True])
def test_a_pooler_that_shares_sessions_is_refused_with_the_remedy(pool: Pool, mode: str, in_turns: bool) -> None:
    url = pool(mode, in_turns=in_turns)
    with ExitStack() as stack:
        opened = [stack.enter_context(database.connect(url)) for _ in range(3)]
        # At the same time, so that the pool has as many sessions as it may and can take turns.
        for each in opened:
            each.pgconn.send_query(b"SELECT pg_sleep(0.2)")
        for each in opened:
            while each.pgconn.get_result() is not None:
                pass
        for each in opened:
            with pytest.raises(SharedSessionsError, match="pool_mode = session"):
                refuse_shared_sessions(each)


def test_a_pool_of_whole_sessions_is_taken(pool: Pool) -> None:
    with database.connect(pool("session")) as connection:
        refuse_shared_sessions(connection)


def test_postgresql_itself_is_taken_and_asked_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with database.connect(settings.writer_dsn) as connection:
        monkeypatch.setattr(database, "connect", None)
        refuse_shared_sessions(connection)


def test_the_mover_and_housekeeping_refuse_it_and_move_nothing(pool: Pool, settings: Settings) -> None:
    (settings.incoming_dir / "a.csv").write_text("a,b\n1,2\n")
    settle = replace(settings, settle_seconds=0.001)
    with database.connect(pool("transaction")) as connection:
        with pytest.raises(SharedSessionsError):
            mover.move_landed(settle, connection)
        with pytest.raises(SharedSessionsError):
            sealing.seal_archive(settings, connection)
    assert [path.name for path in settings.incoming_dir.iterdir()] == ["a.csv"]


def test_migrations_and_the_driver_refuse_it(
    pool: Pool, settings: Settings, epoch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = pool("transaction")
    with pytest.raises(SharedSessionsError):
        migrate.migrate(url)
    with pytest.raises(stream_events.StreamStoppedError, match="pool_mode = session"):
        stream_events.begin(replace(settings, writer_url=url))


def test_the_mover_moves_through_a_pool_of_whole_sessions(pool: Pool, settings: Settings) -> None:
    (settings.incoming_dir / "a.csv").write_text("a,b\n1,2\n")
    with database.connect(pool("session")) as connection:
        assert len(mover.move_landed(replace(settings, settle_seconds=0.001), connection).moved) == 1


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_is_not_in_utf8_is_refused_with_the_remedy(
    postgres_server: embedded.Server, encoding: str
) -> None:
    name = f"in_{encoding.lower()}"
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    try:
        with pytest.raises(migrate.MigrationError, match=f"{name} is in {encoding}.*ENCODING 'UTF8'"):
            migrate.migrate(postgres_server.url(name))
    finally:
        with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
