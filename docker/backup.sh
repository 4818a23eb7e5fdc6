#!/bin/bash
# backup.sh [FILE]: dump the pipeline's database out of its container; the pipeline runs on meanwhile. The contracts are
# kept beside it, in FILE.contracts.tar.
# What the reader of earlier releases has made in report_staging stays out: a restore would run it as superuser.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${1:-backups/sluice-$(date +%Y%m%d-%H%M%S).dump}
[ ! -d "$target" ] || target=${target%/}/sluice-$(date +%Y%m%d-%H%M%S).dump
[ ! -e "$target" ] || { echo "$target exists already: name another file, or delete it first" >&2; exit 2; }
mkdir -p "$(dirname "$target")"
trap 'rm -f "$target.part" "$target.contracts.part"' EXIT
docker compose exec -T postgres pg_dump --format=custom --exclude-schema=report_staging --username=postgres sluice >"$target.part"
contracts=(include/contracts/*.odcs.yaml)
tar --create --file "$target.contracts.part" --directory include/contracts "${contracts[@]##*/}"
mv "$target.contracts.part" "$target.contracts.tar"
mv "$target.part" "$target"
echo "the backup is $target, $(stat -c %s "$target") bytes: \`make restore $(printf %q "FILE=$target")\` goes back to it"
