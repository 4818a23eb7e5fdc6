"""The steps of a restore that run in a container of service init; docker/restore.sh calls them in order."""

from __future__ import annotations

from collections.abc import Sequence

from sluice.base.settings import load
from sluice.containers.instance import AllSecrets
from sluice.containers.log import say
from sluice.containers.waiting import wait_for_database
from sluice.loading import restore


def restore_begin(arguments: Sequence[str] = ()) -> int:
    """First step of a restore: a database for pg_restore to fill; with ``discard-replaced``, whatever it costs."""
    instance = AllSecrets(load())
    wait_for_database(instance.server_url("postgres"))
    restore.begin(instance.settings, instance.server_url, discard_replaced="discard-replaced" in arguments)
    return 0


def restore_finish(arguments: Sequence[str] = ()) -> int:
    """Last step of a restore: what was restored becomes the pipeline's, and what it does not know lands again.

    With ``copy-sealed``, rows of files whose bytes are gone are copied over.
    """
    instance = AllSecrets(load())
    restored = restore.finish(
        instance.settings, instance.server_url, instance.owner_url, say, copy_sealed="copy-sealed" in arguments
    )
    for line in restored.lines():
        say(line)
    return 0


def copy_sealed(_: Sequence[str] = ()) -> int:
    """After a restore: copy rows over whose files are gone, from the database that it replaced."""
    instance = AllSecrets(load())
    wait_for_database(instance.server_url("postgres"))
    for line in restore.copy_sealed(instance.settings, instance.server_url, instance.owner_url).lines():
        say(line)
    return 0
