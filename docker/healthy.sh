#!/bin/bash
# healthy.sh SERVICE: exit code 0 when the service in this container does its work. Runs every few seconds: no Python.
set -euo pipefail

get() {  # HOST PORT PATH
    exec 3<>"/dev/tcp/$1/$2"
    printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "$3" "$1" >&3
    timeout 5 cat <&3
}

case "$1" in
    api-server) get 127.0.0.1 8080 /api/v2/monitor/health | head -n 1 | grep -q ' 200 ' ;;
    spark-master) get 127.0.0.1 8080 /json/ | grep -Eq '"status" *: *"ALIVE"' ;;
    # The master must know this worker: one that only runs does no work.
    spark-worker) get spark-master 8080 /json/ | tr -d ' \n' | sed 's/"id":/\n/g' | grep "\"host\":\"$HOSTNAME\"" | grep -q '"state":"ALIVE"' ;;
    *) echo "healthy.sh: unknown service '$1'" >&2; exit 2 ;;
esac
