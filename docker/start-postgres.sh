#!/bin/sh
# In the container of postgres: the image's own entry, with memory and WAL sized to what the container has, as
# sluice/ledger/server_settings.py sizes the embedded server's. Here PostgreSQL has the memory for itself: a quarter.
set -eu
memory=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || echo max)
machine=$(($(awk '/^MemTotal/ {print $2}' /proc/meminfo) * 1024))
case $memory in max) memory=$machine ;; esac
[ "$memory" -lt "$machine" ] || memory=$machine
free=$(($(df -Pk /var/lib/postgresql/data | awk 'NR == 2 {print $4}') * 1024))
# between VALUE LEAST MOST: in MB
between() {
    value=$(($1 / 1048576))
    [ "$value" -ge "$2" ] || value=$2
    [ "$value" -le "$3" ] || value=$3
    echo "$value"
}
exec docker-entrypoint.sh postgres \
    "-cshared_buffers=$(between $((memory / 4)) 128 4096)MB" \
    "-cmax_wal_size=$(between $((free / 10)) 1024 8192)MB" "$@"
