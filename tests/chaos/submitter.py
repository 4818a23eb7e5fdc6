"""A submitter beside Airflow's: takes the lease if it can and drains with a driver of its own. Prints what it did."""

from __future__ import annotations

import subprocess
import sys

from sluice.base import database
from sluice.base.settings import load
from sluice.ledger import lanes, leases
from tests.streaming import spark_environment, submit_command


def main() -> int:
    """0 when the lease was another's, or the driver ended as it should."""
    settings = load()
    with database.connect(settings.writer_dsn) as connection:
        lease = leases.take(connection, submitted_by="a second submitter", seconds=settings.submit_seconds)
    if lease is None:
        print("no lease: another stream lives")
        return 0
    command = submit_command("--drain", master=settings.spark_master or lanes.local_master(settings))
    command[1:1] = ["--driver-memory", settings.spark_driver_memory]
    code = subprocess.run(command, env=spark_environment(SLUICE_STREAM_TOKEN=lease.token)).returncode
    with database.connect(settings.writer_dsn) as connection:
        leases.end(connection, epoch=lease.epoch, how=leases.EndedHow.FAILED, because="its driver ended")
    print(f"stream {lease.epoch} drained: exit code {code}")
    return code


if __name__ == "__main__":
    sys.exit(main())
