#!/bin/bash
# copy-sealed.sh: after a restore, copy the rows of files whose bytes are gone from the database that it replaced.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
trap 'docker compose start scheduler' EXIT
docker compose stop scheduler
docker compose run --rm --no-deps -T init copy-sealed
