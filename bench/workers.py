"""One and two Spark workers of a standalone cluster, a core each: rows per second of the same backlog.

    python -m bench.workers [--rows 1000000] [--files 20] [--rounds 3] [--write]

The stream drains what is registered; its rate is that from the first commit to the last, so the start of the JVMs is
not in it. PostgreSQL, the driver and the workers share this machine's cores: what each took is told.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import cpu, report
from bench.peers.sluice_tasks import register
from bench.pipeline import rate
from bench.server import Bench, bench, make_files
from sluice.base import database
from sluice.base.settings import PROJECT
from sluice.landing import folders
from sluice.ledger import leases
from tests.streaming import Tree, spark_environment, submit_command

HOSTS = ("127.0.0.1", "127.0.0.2")


def main() -> None:
    """Measure; print the table, keep it with --write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    parsed = parser.parse_args()
    with bench() as here:
        files = make_files(here.folder, parsed.rows, parsed.files)
        rounds = [{str(count): drain(here, files, count) for count in (1, 2)} for _ in range(parsed.rounds)]
        server = here.told()
    result = {"rows": parsed.rows, "files": parsed.files, "rounds": len(rounds), "server": server, "plays": rounds}
    ratios = [pair["2"]["rows_per_second"] / pair["1"]["rows_per_second"] for pair in rounds]
    report.publish(report.result("workers", **result, ratio=statistics.median(ratios)), keep=parsed.write)


def drain(here: Bench, files: list[Path], workers: int) -> dict[str, Any]:
    """Rows/s, and cores that the server and the rest took, of a stream on so many workers."""
    here.empty()
    settings = here.settings
    shutil.rmtree(settings.checkpoint_dir, ignore_errors=True)  # it is ahead of an emptied ledger
    # Executors have the environment of their worker.
    ours = {"SLUICE_HOME": settings.home, "SLUICE_DATABASE_URL": here.url, "PYTHONPATH": str(PROJECT)}
    with database.connect(here.url) as connection, cluster(here.folder, workers, ours) as (url, trees):
        folders.check(settings, connection)
        for path in files:
            register(settings, path)
        lease = leases.take(connection, submitted_by="bench", seconds=settings.submit_seconds)
        assert lease is not None
        environment = spark_environment(**ours, SLUICE_STREAM_TOKEN=lease.token)
        conf = {"spark.driver.host": HOSTS[0], "spark.executor.memory": "512m"}
        server, clients = cpu.seconds(here.pid), sum(cpu.seconds(tree.pid) for tree in trees)
        with Tree(submit_command("--drain", master=url, conf=conf), environment, here.folder / "driver") as driver:
            if driver.wait() != 0:
                raise RuntimeError((here.folder / "driver").read_text()[-3000:])
        states = connection.execute("SELECT state, count(*) AS files FROM ledger.files GROUP BY state").fetchall()
        if states != [{"state": "loaded", "files": len(files)}]:
            raise RuntimeError(f"not all is loaded: {states}")
        found = rate(connection, "events-%")
        server = cpu.seconds(here.pid) - server
        clients = sum(cpu.seconds(tree.pid) for tree in trees) - clients
        for path in settings.processing_dir.glob("*.csv"):
            path.unlink()
    print(f"{workers} workers: {found['rows_per_second']:,.0f} rows/s", flush=True)
    return found | {"server_cpu": server, "workers_cpu": clients}


@contextlib.contextmanager
def cluster(folder: Path, workers: int, ours: dict[str, str]) -> Iterator[tuple[str, list[Tree]]]:
    """A standalone cluster: its master's URL, and workers of one core with addresses of their own."""
    with contextlib.ExitStack() as stack:

        def start(host: str, what: str, *arguments: str) -> Tree:
            deploy = ["spark-class", f"org.apache.spark.deploy.{what}", "--host", host, "--webui-port", "0"]
            environment = spark_environment(**ours, SPARK_LOCAL_IP=host, SPARK_DAEMON_MEMORY="256m")
            return stack.enter_context(Tree([*deploy, *arguments], environment, folder / f"log-{host}-{what}"))

        master = start(HOSTS[0], "master.Master", "--port", "0")

        def urls() -> list[str]:
            return re.findall(r"Starting Spark master at (\S+)", master.log.read_text())

        master.wait_for(urls)
        options = ["--cores", "1", "--memory", "512m", "--work-dir", str(folder / "work"), *urls()]
        yield urls()[0], [start(host, "worker.Worker", *options) for host in HOSTS[:workers]]


if __name__ == "__main__":
    main()
