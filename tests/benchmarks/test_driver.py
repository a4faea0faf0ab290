"""When calls are made and how they are counted, by a clock that only the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from itertools import islice

import pytest

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from benchmarks.driver.flips import Flips, Reply
from benchmarks.driver.items import Flip, Place, differs, script
from benchmarks.driver.latencies import Latencies
from benchmarks.driver.loops import closed_loop, open_loop, poisson
from benchmarks.driver.tally import RIGHT, TIMED_OUT, Outcome, Tally, Window
from benchmarks.driver.timer import Timer
from benchmarks.workloads.registry import build
from benchmarks.workloads.size import Size

MS = 1_000_000


class FakeTime:
    """A clock that stands still until everybody waits, and then jumps to what comes next."""

    def __init__(self) -> None:
        self._now = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def now(self) -> int:
        return self._now

    async def until(self, moment: int) -> None:
        if moment > self._now:
            rung: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((moment, rung))
            await rung

    async def run(self, what: Awaitable[None]) -> None:
        """Let time pass until it is over."""
        task = asyncio.ensure_future(what)
        while not task.done():
            for _ in range(5):
                await asyncio.sleep(0)
            if self._waiting and not task.done():
                self._waiting.sort(key=lambda each: each[0])
                self._now, rung = self._waiting.pop(0)
                rung.set_result(None)
        await task


class Stalling:
    """A server that answers in a millisecond, but for a pause in which it answers nothing."""

    def __init__(self, time: FakeTime, pause: range) -> None:
        self._time = time
        self._pause = pause
        self.asked = 0

    def do(self) -> tuple[str, Awaitable[Outcome]]:
        return "check/any", self._answer()

    async def _answer(self) -> Outcome:
        self.asked += 1
        now = self._time.now()
        begin = self._pause.stop if now in self._pause else now
        await self._time.until(begin + MS)
        return RIGHT


def _latencies(tally: Tally) -> Latencies:
    return Latencies(tally.counted(0.0).latencies.values())


@pytest.mark.anyio
async def test_a_stall_is_felt_by_every_call_that_was_due() -> None:
    """
    In the open loop, a pause of half a second delays half of a second's calls; the closed loop would see one.
    """
    window, pause = Window(0, 1_000 * MS), range(200 * MS, 700 * MS)
    time = FakeTime()
    tally, server = Tally(window), Stalling(time, pause)
    await time.run(open_loop(server.do, time, tally, iter(range(0, 1_000 * MS, 10 * MS))))
    found = _latencies(tally)
    assert found.count == 100 == server.asked
    slow = [found.at(percentile) for percentile in (49.0, 52.0, 75.0, 99.0)]
    assert slow[0] == pytest.approx(1_000, rel=0.01)
    assert slow[1] > 10_000
    assert slow[2] == pytest.approx(251_000, rel=0.1)
    assert slow[3] == pytest.approx(491_000, rel=0.05)

    time = FakeTime()
    closed, server = Tally(window), Stalling(time, pause)
    await time.run(closed_loop(server.do, time, closed, 1))
    assert _latencies(closed).at(99.0) == pytest.approx(1_000, rel=0.01)


@pytest.mark.anyio
async def test_calls_that_cannot_be_made_in_time_have_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    With no more calls allowed at a time, those that are due wait, and those left over count as unsent, not as nothing.
    """
    monkeypatch.setattr("benchmarks.driver.loops.MAX_RUNNING", 1)
    time, tally = FakeTime(), Tally(Window(0, 100 * MS))

    async def slow() -> Outcome:
        await time.until(time.now() + 60 * MS)
        return RIGHT

    await time.run(open_loop(lambda: ("check/any", slow()), time, tally, iter(range(0, 200 * MS, 10 * MS))))
    counted = tally.counted(0.0)
    found = _latencies(tally)
    assert found.count == 10
    assert counted.unsent == 8
    assert found.at(100.0) >= 90_000


@pytest.mark.anyio
async def test_beyond_capacity_throughput_is_what_is_answered() -> None:
    """
    Behind a queue that grows, calls that were due in the window end after it, and are none of its throughput; those
    that end in it are, whenever they were due.
    """
    time, tally, turn = FakeTime(), Tally(Window(100 * MS, 200 * MS)), asyncio.Lock()

    async def one_at_a_time() -> Outcome:
        async with turn:
            await time.until(time.now() + 10 * MS)
        return RIGHT

    await time.run(open_loop(lambda: ("check/any", one_at_a_time()), time, tally, iter(range(0, 200 * MS, 2 * MS))))
    counted = tally.counted(0.0)
    assert _latencies(tally).count == 50
    assert counted.finished == {"check": 10}


def test_errors_are_no_throughput() -> None:
    """A call that used up its time in vain was not answered."""
    tally = Tally(Window(0, 10 * MS))
    tally.settle("check/any", 1, 5 * MS, Outcome(error=TIMED_OUT))
    tally.settle("list/any", 1, 5 * MS, RIGHT)
    assert tally.counted(0.0).finished == {"list": 1}


@pytest.mark.anyio
async def test_warm_up_does_not_count_but_wrong_answers_always_do() -> None:
    """A call that begins before the window is not measured; a wrong answer is wrong at any time."""
    tally = Tally(Window(100, 200))
    tally.settle("check/any", 50, 120, Outcome(wrong="no"))
    tally.settle("check/any", 150, 250, RIGHT)
    tally.settle("check/any", 200, 260, RIGHT)
    counted = tally.counted(0.0)
    assert (_latencies(tally).count, counted.wrong, counted.examples) == (1, 1, ["no"])


def test_quick_refusals_do_not_flatter_latencies() -> None:
    """Errors are counted by their code; only those that used up their time are latencies too."""
    tally = Tally(Window(0, 10 * MS))
    tally.settle("check/any", 1, 2, Outcome(error="UNAVAILABLE"))
    tally.settle("check/any", 1, 5 * MS, Outcome(error=TIMED_OUT))
    counted = tally.counted(0.0)
    assert counted.errors == {"check: UNAVAILABLE": 1, f"check: {TIMED_OUT}": 1}
    assert _latencies(tally).count == 1


def test_histograms_of_processes_add_up() -> None:
    """What two processes have counted is what one would have counted of both."""
    first, second, both = Latencies(), Latencies(), Latencies()
    for value in range(1, 2_000):
        (first if value % 3 else second).record(value * 1_000)
        both.record(value * 1_000)
    merged = Latencies([first.encoded, second.encoded])
    assert merged.count == both.count == 1_999
    assert merged.summary() == both.summary()
    assert merged.at(50.0) == pytest.approx(1_000, rel=0.002)


def test_a_poisson_schedule_has_its_rate() -> None:
    """Times grow, repeat with the seed, and come as often as asked."""
    times = list(islice(poisson(1_000, 5 * MS, "seed"), 5_000))
    assert times == sorted(times) == list(islice(poisson(1_000, 5 * MS, "seed"), 5_000))
    assert times[0] > 5 * MS
    assert (times[-1] - times[0]) / 1e9 == pytest.approx(5.0, rel=0.1)


@pytest.mark.anyio
async def test_the_timer_rings_at_its_time() -> None:
    """It never rings early, and not milliseconds late as a rule."""
    with Timer() as timer:
        late = []
        for _ in range(20):
            moment = timer.now() + 2 * MS + 300_000
            await timer.until(moment)
            late.append(timer.now() - moment)
        await timer.until(timer.now() - MS)
    assert min(late) >= 0
    assert sorted(late)[5] < 5 * MS


PLACE = Place("01HZZZZZZZZZZZZZZZZZZZZZZZ", "01HZZZZZZZZZZZZZZZZZZZZZZY")


def test_a_script_keeps_the_shares_of_its_mix() -> None:
    """Operations come in their shares from the first call on."""
    world = build("reference", Size(tuples=3_000, questions=200))
    items = script(world, PLACE, {"check": 0.8, "batch": 0.1, "list": 0.1}).items
    for count in (50, len(items)):
        found = [item.operation for item in items[:count]]
        assert found.count("check") / count == pytest.approx(0.8, abs=0.03)
        assert found.count("list") > 0 < found.count("batch")
    with pytest.raises(ValueError, match="no questions for `list`"):
        script(build("deep", Size(questions=10)), PLACE, {"list": 1.0})


def test_every_answer_is_compared_with_the_truth() -> None:
    """A check, batch or list that differs is described; one that is right is not."""
    world = build("reference", Size(tuples=3_000, questions=200))
    check, batch, listing = (script(world, PLACE, {name: 1.0}).items[0] for name in ("check", "batch", "list"))
    for allowed in (True, False):
        answer = pb.CheckResponse(allowed=allowed).SerializeToString()
        assert bool(differs(check, answer)) is (allowed is not check.expected)
    truth = batch.expected
    assert isinstance(truth, dict)
    result = {name: pb.BatchCheckSingleResult(allowed=allowed) for name, allowed in truth.items()}
    assert not differs(batch, pb.BatchCheckResponse(result=result).SerializeToString())
    result.popitem()
    assert "1 of 20" in differs(batch, pb.BatchCheckResponse(result=result).SerializeToString())
    objects = listing.expected
    assert isinstance(objects, frozenset)
    assert not differs(listing, pb.ListObjectsResponse(objects=sorted(objects)).SerializeToString())
    for named, said in (
        (sorted(objects)[1:], "0 too many, 1 missing"),
        ([*objects, min(objects)], "1 too many, 0 missing"),
        ([*sorted(objects)[1:], "document:none"], "1 too many, 1 missing"),
    ):
        assert said in differs(listing, pb.ListObjectsResponse(objects=named).SerializeToString())
    for item in (check, batch, listing):
        assert "2 bytes that are no answer" in differs(item, b"\xff\xff")


class _Store:
    """Tuples that come and go; tells the truth, or what was true a write ago."""

    def __init__(self, *, is_stale: bool, has_tokens: bool = True) -> None:
        self._is_stale = is_stale
        self._has_tokens = has_tokens
        self._written = self._before = False
        self.demands: list[str] = []

    async def call(self, method: str, payload: bytes, demand: str) -> Reply:
        if method == "Write":
            self._before, self._written = self._written, payload == b"write"
            return Reply(b"", "token" if self._has_tokens else "")
        self.demands.append(demand or payload.decode())
        answer = self._before if self._is_stale else self._written
        return Reply(pb.CheckResponse(allowed=answer).SerializeToString())


FLIP = Flip(b"write", b"delete", b"plain", b"head", allowed=True)


def _flipping(store: _Store, count: int, *, fresh: bool) -> Tally:
    tally = Tally(Window(0, 10))

    async def flip() -> None:
        flips = Flips([FLIP], store.call, fresh=fresh)
        for _ in range(count):
            await flips.flip(tally, lambda: 1)

    asyncio.run(flip())
    return tally


def test_reads_of_own_writes_are_checked() -> None:
    """Every write is followed by a check, by its token or plainly; right answers are right."""
    store = _Store(is_stale=False)
    tally = _flipping(store, 8, fresh=True)
    assert (tally.wrong, tally.stale, tally.done) == (0, 0, 8)
    assert set(store.demands) == {"at-least-as-fresh=token", "plain"}


def test_a_write_is_not_charged_with_the_check_after_it() -> None:
    """The latency of a write ends with its acknowledgement; the check is a call of its own."""
    store, tally, ticks = _Store(is_stale=False), Tally(Window(0, 10)), iter([3, 7])
    flips = Flips([FLIP], store.call, fresh=True)
    outcome = asyncio.run(flips.flip(tally, lambda: next(ticks)))
    assert outcome == RIGHT._replace(ended=3)
    assert Latencies([tally.counted(0.0).latencies["probe/after write"]]).count == 1


def test_a_write_that_cannot_be_made_is_none() -> None:
    """Without tuples left, nothing was written in no time: that is an error."""
    flips = Flips([], _Store(is_stale=False).call, fresh=True)
    assert "no tuple is left" in asyncio.run(flips.flip(Tally(Window(0, 10)), lambda: 1)).error


def test_what_may_be_there_is_deleted_at_the_end() -> None:
    """A write without an answer may have come to pass; whoever writes next begins with nothing."""
    payloads = []

    async def call(_method: str, payload: bytes, _demand: str) -> Reply:
        payloads.append(payload)
        return Reply(error=TIMED_OUT)

    async def run() -> None:
        flips = Flips([FLIP], call, fresh=True)
        await flips.flip(Tally(Window(0, 10)), lambda: 1)
        await flips.clear()

    asyncio.run(run())
    assert payloads == [FLIP.write, FLIP.delete]


@pytest.mark.parametrize(("fresh", "stale"), [(True, 0), (False, 4)])
def test_a_stale_answer_is_wrong_where_freshness_is_promised(fresh: bool, stale: int) -> None:
    """By token it is wrong anywhere; plainly it is wrong of a server that promises to be fresh."""
    tally = _flipping(_Store(is_stale=True), 8, fresh=fresh)
    assert (tally.wrong, tally.stale) == (8 - stale, stale)


def test_a_server_without_tokens_is_asked_as_of_its_head() -> None:
    """OpenFGA knows no tokens; its strongest consistency stands in for them."""
    store = _Store(is_stale=False, has_tokens=False)
    _flipping(store, 4, fresh=False)
    assert set(store.demands) == {"head", "plain"}
