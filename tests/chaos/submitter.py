"""A submitter beside Airflow's: takes the lease if it can and drains with a driver of its own. Prints what it did."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sluice import database, leases
from sluice.settings import PROJECT, load


def main() -> int:
    """0 when the lease was another's, or the driver ended as it should."""
    read = load()
    with database.connect(read.writer_dsn) as connection:
        lease = leases.take(connection, submitted_by="a second submitter", seconds=read.submit_seconds)
    if lease is None:
        print("no lease: another stream lives")
        return 0
    programs = Path(sys.executable).parent
    environment = os.environ | {
        "SLUICE_STREAM_TOKEN": lease.token,
        "SLUICE_SUBMITTER_PID": str(os.getpid()),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    job = str(PROJECT / "spark_jobs" / "stream_events.py")
    command = ["spark-submit", "--master", read.spark_master, "--properties-file", str(read.spark_conf_file)]
    code = subprocess.run([*command, job, "--drain"], env=environment).returncode
    with database.connect(read.writer_dsn) as connection:
        leases.end(connection, epoch=lease.epoch, because="its driver ended")
    print(f"stream {lease.epoch} drained: exit code {code}")
    return code


if __name__ == "__main__":
    sys.exit(main())
