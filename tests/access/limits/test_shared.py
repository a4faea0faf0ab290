"""Rates that all nodes count together, in a real Valkey; and what happens when it fails."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from authz.access.limits.account import pace_of
from authz.access.limits.building import build_limiter
from authz.access.limits.counter import SharedCounter, SharedFailure
from authz.access.limits.limiter import LocalLimiter
from authz.access.limits.shared import SharedLimiter
from authz.access.limits.work import Work
from authz.clock import SystemClock
from authz.settings import InvalidSettings
from authz.settings.limits import LimitsSettings, Tier
from tests.access.limits.conftest import PASSWORD, Valkey

pytestmark = pytest.mark.anyio

CHECK = Work.CHECK
PATIENT = 5.0


@asynccontextmanager
async def node(url: str, rate: str = "100/hour", **settings: Any) -> AsyncIterator[SharedLimiter]:
    """The limiter of one node, which waits patiently, for this machine does other things too."""
    tier = {"t": Tier(check=rate)}
    chosen = {"tiers": tier, "tier": "t", "store_tier": "t", "shared_url": url, "shared_timeout": PATIENT, **settings}
    limiter = build_limiter(LimitsSettings(**chosen), SystemClock(), workers=2)
    assert isinstance(limiter, SharedLimiter)
    yield limiter
    await limiter.close()


async def admit(limiter: SharedLimiter, principal: str = "a", cost: float = 1) -> float | None:
    """The verdict, however it comes."""
    verdict = limiter.admit(principal, CHECK, cost)
    return verdict if verdict is None or isinstance(verdict, float) else await verdict


async def admit_store(limiter: SharedLimiter, store: str, principal: str, extra: float) -> float | None:
    """The verdict, however it comes."""
    verdict = limiter.admit_store(store, principal, CHECK, 1, extra)
    return verdict if verdict is None or isinstance(verdict, float) else await verdict


async def test_nodes_count_together(valkey: Valkey) -> None:
    """Three nodes together admit what one would, however their calls come."""
    url = valkey.url
    async with node(url) as one, node(url) as two, node(url) as three:
        verdicts = await asyncio.gather(*(admit(each) for _ in range(60) for each in (one, two, three)))
        assert verdicts.count(None) == 100
        waits = [wait for wait in verdicts if wait is not None]
        assert all(30 < wait <= 36 for wait in waits)
        assert one.refused_principals + two.refused_principals + three.refused_principals == 80
        assert await admit(one, "b") is None


async def test_stores_and_items_count_together(valkey: Valkey) -> None:
    """The store's allowance and the items of a request are shared as well."""
    url = valkey.url
    async with node(url) as one, node(url) as two:
        assert await admit_store(one, "S", "a", 60) is None
        assert await admit_store(two, "S", "a", 60) is not None
        assert await admit_store(two, "S", "b", 60) is not None
        assert await admit_store(two, "S", "b", 10) is None
        assert (one.refused_stores, two.refused_stores, two.refused_principals) == (0, 1, 1)


async def test_most_calls_wait_for_nothing(valkey: Valkey) -> None:
    """At a high rate a node takes many units at a time and spends them at once."""
    async with node(valkey.url, "10000/second") as limiter:
        assert await admit(limiter) is None
        assert [limiter.admit("a", CHECK, 1) for _ in range(900)] == [None] * 900


async def test_the_wait_is_right(valkey: Valkey) -> None:
    """Who waits as long as told is admitted."""
    async with node(valkey.url, "20/second") as limiter:
        for _ in range(3):
            while (wait := await admit(limiter, cost=10)) is None:
                pass
            await asyncio.sleep(wait)
            assert await admit(limiter, cost=10) is None


async def test_never_admits_more_than_rate_and_burst(valkey: Valkey) -> None:
    """Over a second of hammering by two nodes no more is admitted than the rate, one burst, and what was leased."""
    url = valkey.url
    async with node(url, "200/second") as one, node(url, "200/second") as two:
        started, count = time.monotonic(), 0
        while time.monotonic() < started + 1:
            verdicts = await asyncio.gather(*(admit(each) for each in (one, two) for _ in range(20)))
            count += verdicts.count(None)
            await asyncio.sleep(0.002)
        passed = time.monotonic() - started
        assert 300 < count <= 200 * passed + 200 + 1


async def test_a_call_dearer_than_everything_is_paid_off(valkey: Valkey) -> None:
    """As in memory: admitted once the allowance is whole, and paid off before anything else."""
    async with node(valkey.url, "10/minute") as limiter:
        assert await admit(limiter, cost=50) is None
        wait = await admit(limiter, cost=1)
        assert wait is not None
        assert 240 < wait <= 246


@pytest.mark.parametrize("rate", ["10/minute", "1000/minute"])
async def test_a_batch_dearer_than_everything_is_served_from_a_whole_allowance(valkey: Valkey, rate: str) -> None:
    """What is paid before it is known how many items there are does not stand in the way of the rest."""
    async with node(valkey.url, rate, store_tier="standard") as limiter:
        assert await admit(limiter) is None
        assert await admit_store(limiter, "s", "a", 4999) is None
        assert await admit(limiter) is not None


async def test_callers_who_leave_take_nothing_from_others(valkey: Valkey) -> None:
    """A caller cancelled while it waits harms neither those who wait with it nor later answers."""
    async with node(valkey.url, "1000/minute") as limiter:
        tasks = [asyncio.create_task(admit(limiter)) for _ in range(50)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [verdict for verdict in found if not isinstance(verdict, asyncio.CancelledError)] == [None] * 25
        assert await admit(limiter) is None
        assert limiter.shared_failures == 0


async def test_a_store_that_dies_and_comes_back(valkey: Valkey, start_valkey: Callable[..., Valkey]) -> None:
    """While the store is away every process allows its share, says so once, and returns to the store by itself."""
    with structlog.testing.capture_logs() as logs:
        async with node(valkey.url, "100/hour") as limiter:
            assert await admit(limiter, cost=90) is None
            valkey.stop()
            verdicts = [await admit(limiter) for _ in range(60)]
            assert verdicts.count(None) == 50  # half of the rate, for there are two workers
            for _ in range(500):  # it looks again and again, in its own time
                if limiter.shared_failures >= 2:
                    break
                await asyncio.sleep(0.02)
            assert limiter.shared_failures >= 2
            start_valkey(valkey.port)
            for _ in range(500):
                if len(logs) == 2:
                    break
                await asyncio.sleep(0.02)
            assert await admit(limiter, "b", cost=100) is None
            assert await admit(limiter, "b") is not None
    assert [entry["event"] for entry in logs] == ["shared_limits_lost", "shared_limits_back"]
    assert PASSWORD not in str(logs)


async def test_a_store_that_dies_may_refuse_instead(valkey: Valkey) -> None:
    """By configuration nothing is admitted that the store did not admit."""
    async with node(valkey.url, on_shared_failure="refuse") as limiter:
        assert await admit(limiter) is None
        valkey.stop()
        assert await admit(limiter) == 1.0


async def test_a_store_that_is_silent_costs_a_bounded_wait() -> None:
    """A store that accepts and never answers delays the first calls by the timeout, and later ones not at all."""
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the system accepts, and nobody reads
        port = silent.getsockname()[1]
        async with node(f"redis://127.0.0.1:{port}", shared_timeout=0.05) as limiter:
            started = time.monotonic()
            assert await asyncio.gather(*(admit(limiter) for _ in range(20))) == [None] * 20
            assert 0.04 < time.monotonic() - started < 1
            started = time.monotonic()
            assert await admit(limiter) is None
            assert time.monotonic() - started < 0.04
            assert limiter.shared_failures == 1


async def test_answers_after_a_timeout_belong_to_their_questions(valkey: Valkey) -> None:
    """An answer that comes too late is never taken for that of the next question."""
    counter = SharedCounter(lambda: valkey.url, 0.2)
    small, large = pace_of(10, 3600), pace_of(1000, 3600)
    assert (await counter.take("x", small, 10, 10)).units == pytest.approx(10)
    with valkey.client() as client:
        client.execute_command("CLIENT", "PAUSE", "400", "ALL")
    with pytest.raises(SharedFailure):
        await counter.take("x", small, 1, 1)
    await asyncio.sleep(0.4)
    assert (await counter.take("y", large, 500, 500)).units == pytest.approx(500)
    assert (await counter.take("x", small, 1, 1)).wait > 300
    await counter.close()


async def test_a_clock_that_is_set_back_locks_nobody_out(valkey: Valkey) -> None:
    """A key from the future, as a store whose clock was set back has it, is a spent allowance and no more."""
    counter = SharedCounter(lambda: valkey.url, PATIENT)
    with valkey.client() as client:
        client.set("authz:limit:k", str(4_000_000_000_000_000))
    pace = pace_of(100, 10)
    assert (await counter.take("k", pace, 1, 1)).wait == pytest.approx(0.1, abs=0.01)
    await asyncio.sleep(0.15)
    with valkey.client() as client:
        client.set("authz:limit:k", str(int(time.time() * 1e6) + 10_000_000))
    assert (await counter.take("k", pace, 1, 1)).wait == pytest.approx(0.1, abs=0.05)
    await counter.close()


async def test_what_the_store_keeps_goes_by_itself(valkey: Valkey) -> None:
    """Every key expires when its allowance is whole again."""
    async with node(valkey.url, "100/second") as limiter:
        assert await admit(limiter) is None
        with valkey.client() as client:
            keys = client.keys("*")
            assert keys == [b"authz:limit:principal:a:CHECK"]
            assert 0 < client.pttl(keys[0]) <= 1001


async def test_the_url_comes_from_a_file_that_may_change(valkey: Valkey, tmp_path: Path) -> None:
    """The file is read again for every new connection, so that a new password serves without a restart."""
    path = tmp_path / "url"
    path.write_text("redis://:wrong@127.0.0.1:1/0\n")
    async with node("", shared_url=None, shared_url_file=path) as limiter:
        assert await admit(limiter) is None
        assert limiter.shared_failures == 1
        path.write_text(valkey.url + "\n")
        await asyncio.sleep(1.2)
        assert await admit(limiter, "b", 100) is None
        assert await admit(limiter, "b", 1) is not None


def test_a_limiter_by_settings(tmp_path: Path) -> None:
    """Off means none, no URL means one per process, and a file that cannot be read is told at the start."""
    assert build_limiter(LimitsSettings(enabled=False), SystemClock()) is None
    assert isinstance(build_limiter(LimitsSettings(), SystemClock()), LocalLimiter)
    with pytest.raises(InvalidSettings, match=r"no such file"):
        build_limiter(LimitsSettings(shared_url_file=tmp_path / "none"), SystemClock())
    (tmp_path / "empty").touch()
    with pytest.raises(InvalidSettings, match="is empty"):
        build_limiter(LimitsSettings(shared_url_file=tmp_path / "empty"), SystemClock())
    assert PASSWORD not in repr(LimitsSettings(shared_url=SecretStr(f"redis://:{PASSWORD}@x")))
