"""A process that is killed loses what it recorded within the flush interval at most, and the trail stays whole."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from authz.audit.chain import NODE
from authz.audit.verify import verify_trail
from authz.store.sql import open_datastore
from tests.audit.support import Clock, completed, opened, records, ring, trailing

ROOT = Path(__file__).resolve().parents[2]
INTERVAL = 0.1
SLACK = 1.0
"""How long one write may take on a busy machine, in seconds."""


@pytest.mark.ops
def test_a_kill_loses_no_more_than_the_flush_interval(sqlite_uri: str) -> None:
    """What was recorded longer ago than the interval and one write is there; a new process begins a new chain."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.audit.crash_recorder", sqlite_uri, str(INTERVAL)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    seen = []
    try:
        until = time.monotonic() + 60
        for line in process.stdout:
            seen += _told(line)
            if time.monotonic() > until or (len(seen) > 200 and seen[-1][1] > 100):
                break
    finally:
        process.kill()
        rest, _ = process.communicate()
    seen += [told for line in rest.splitlines() for told in _told(line)]
    recorded, told_written, last = seen[-1]
    there = asyncio.run(_numbers(sqlite_uri))
    assert there == list(range(1, len(there) + 1))
    assert len(there) >= told_written
    due = max((int(each[0]) for each in seen if last - each[2] > INTERVAL + SLACK), default=0)
    assert due <= len(there) <= recorded
    asyncio.run(_go_on(sqlite_uri))


def _told(line: str) -> list[list[float]]:
    """Records made, records known to be written, and when."""
    word, *numbers = line.split() or [""]
    return [[float(part) for part in numbers]] if word == "at" and len(numbers) == 3 else []


async def _numbers(uri: str) -> list[int]:
    store = open_datastore(uri)
    try:
        assert (await verify_trail(store, ring())).is_whole
        found = [each for each in await records(store, NODE) if each["kind"] == "call"]
        return [int(each["request_id"].removeprefix("request-")) for each in found]
    finally:
        await store.close()


async def _go_on(uri: str) -> None:
    async with opened(uri) as store, trailing(store, Clock()) as trail:
        trail.recorder.record(completed(1))
        await trail.recorder.durable()
        chains = {each["chain"] for each in await records(store, NODE)}
        assert len(chains) == 2
        assert (await verify_trail(store, ring())).is_whole
