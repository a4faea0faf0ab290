#!/bin/bash
# A copy of the primary that follows it. The slot keeps what the copy has not received yet, as far as the disk may hold:
# on the primary, set max_slot_wal_keep_size.
set -euo pipefail
export PGDATA="${PGDATA:-/var/lib/postgresql/18/docker}"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p -m 0700 "$PGDATA"
    pg_basebackup -d "host=primary user=replicator" -D "$PGDATA" -R -X stream -S standby -c fast
fi
# Reads of a node are short; it asks the primary when one of them has to give way to the replay.
exec postgres -c max_standby_streaming_delay=1s -c hot_standby_feedback=off
