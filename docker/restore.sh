#!/bin/bash
# restore.sh FILE: go back to a backup. Until the restored database has taken the place of the living one, which is one
# step, nothing is changed; what landed since the backup lands again. COPY_SEALED and DISCARD_REPLACED: as `make help` says.
set -euo pipefail
backup=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -f "$backup" ] || { echo "$1 is not a file: name a backup that \`make backup\` made" >&2; exit 2; }

# Whatever happens: the pipeline goes on, with the database that is in place then.
trap 'docker compose start scheduler' EXIT
docker compose stop scheduler
once() { docker compose run --rm --no-deps -T init "$@"; }
once restore-begin ${DISCARD_REPLACED:+discard-replaced}
docker compose exec -T postgres pg_restore --exit-on-error --single-transaction --exclude-schema=report_staging \
    --username=postgres --dbname=sluice_restoring <"$backup" || { echo "$1 could not be read: nothing was changed" >&2; exit 1; }
once restore-finish ${COPY_SEALED:+copy-sealed}

# Contracts that are missing come back; those that have changed since stay as they are.
contracts=$backup.contracts.tar
[ -f "$contracts" ] || { echo "no contracts came with the backup: those in include/contracts stay"; exit 0; }
tar --extract --file "$contracts" --directory include/contracts --skip-old-files --touch --no-same-owner
changed=$(tar --compare --file "$contracts" --directory include/contracts 2>/dev/null | sed -nE 's/: (Contents|Size) differs?$//p' | sort -u || true)
[ -z "$changed" ] || echo "contracts that have changed since the backup stay as they are today:" $changed
