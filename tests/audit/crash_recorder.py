"""A process that records calls until it is killed. Started by `test_crash`; prints what it was told is written."""

from __future__ import annotations

import asyncio
import sys

from authz.audit.trail import AuditTrail, open_sealing
from authz.clock import SystemClock
from authz.store.sql import open_datastore
from tests.audit.support import completed, keys, settings


async def _main(uri: str, interval: float) -> None:
    chosen = settings(flush_interval=interval)
    clock = SystemClock()
    store = open_datastore(uri)
    trail = AuditTrail(chosen, open_sealing(chosen, keys()), store, clock)
    await trail.start()
    number = 0
    while True:
        for _ in range(5):
            number += 1
            trail.recorder.record(completed(number, time=clock.now()))
        written = trail.recorder.statistics().written - 1  # without the record of the start
        print(f"at {number} {written} {clock.monotonic()}", flush=True)
        await asyncio.sleep(0.002)


asyncio.run(_main(sys.argv[1], float(sys.argv[2])))
