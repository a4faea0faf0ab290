"""Orders hold where they are given at once, elsewhere after one poll, and end for everybody."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url
from structlog.testing import capture_logs

from authz.commands import directives as module
from authz.commands.directives import CAPTURE, REVOCATION, SUSPENSION, Directives
from authz.errors import InvalidRequest, Unavailable
from authz.store.directives import Directive
from authz.store.sql import SqlDatastore, open_datastore
from authz.store.sql.sqlite import SqliteDialect
from tests.support.origins import ANNE, BOB

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

pytestmark = pytest.mark.anyio

START = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SECOND = timedelta(seconds=1)
EVE = {"principal": "eve"}


class JumpyClock:
    """A clock whose time of day can be set apart from the time that passes."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.set_by = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.passed + self.set_by)

    def monotonic(self) -> float:
        return self.passed


@pytest.fixture
def clock() -> JumpyClock:
    return JumpyClock()


@pytest.fixture
def here(sqlite_datastore: SqlDatastore, clock: JumpyClock) -> Directives:
    return Directives(sqlite_datastore, clock)


@pytest.fixture
def there(sqlite_datastore: SqlDatastore, clock: JumpyClock) -> Directives:
    """Another process."""
    return Directives(sqlite_datastore, clock)


def ids(found: Sequence[Directive]) -> list[str]:
    return [each.id for each in found]


async def test_an_order_holds_here_at_once_and_there_after_a_poll(here: Directives, there: Directives) -> None:
    """With all that was said about it; and the same when it is lifted."""
    given_ = await here.issue(SUSPENSION, EVE, by=ANNE, reason="too many", expires_at=START + SECOND)
    assert (given_.kind, given_.body, given_.reason) == (SUSPENSION, '{"principal":"eve"}', "too many")
    assert (given_.created_by, given_.created_at, given_.expires_at) == ("anne", START, START + SECOND)
    assert [given_] == here.current()
    assert there.current() == []
    await there.refresh()
    assert [given_] == there.current()
    lifted = await there.lift(given_.id, by=BOB)
    assert lifted is not None
    assert there.current() == []
    assert [given_] == here.current()
    await here.refresh()
    assert here.current() == []
    for node in (here, there):
        assert await node.lift(given_.id, by=BOB) is None


async def test_orders_are_asked_for_by_kind(here: Directives, there: Directives) -> None:
    """In the order in which they were given, on whichever node."""
    first = await there.issue(REVOCATION, {}, by=ANNE)
    second = await here.issue(CAPTURE, {}, by=ANNE)
    third = await here.issue(REVOCATION, {}, by=ANNE)
    await here.refresh()
    assert [first, second, third] == here.current()
    assert [first, third] == here.current(REVOCATION)
    assert here.current("unknown") == []


async def test_an_order_expires_by_itself(here: Directives, there: Directives, clock: JumpyClock) -> None:
    """At its very moment, without a poll."""
    await here.issue(SUSPENSION, EVE, by=ANNE, expires_at=START + SECOND)
    await there.refresh()
    clock.passed = 0.999999
    assert len(here.current()) == len(there.current()) == 1
    clock.passed = 1.0
    assert here.current() == there.current() == []


async def test_subscribers_hear_of_the_beginning_and_of_the_end(here: Directives, there: Directives) -> None:
    """Each once, of their kind alone, wherever the order was given; late ones hear of what holds."""
    heard: list[tuple[str, bool]] = []
    here.subscribe(SUSPENSION, lambda each: heard.append((each.id, each.lifted_at is None)))
    mine = await here.issue(SUSPENSION, EVE, by=ANNE)
    other = await there.issue(SUSPENSION, EVE, by=ANNE)
    await there.issue(CAPTURE, {}, by=ANNE)
    for _ in range(2):
        await here.refresh()
    assert heard == [(mine.id, True), (other.id, True)]
    await here.lift(other.id, by=ANNE)
    await there.refresh()
    await there.lift(mine.id, by=ANNE)
    for _ in range(2):
        await here.refresh()
    assert heard[2] == (other.id, False)
    assert heard[-1] == (mine.id, False)
    assert (mine.id, True) not in heard[2:]
    assert (other.id, True) not in heard[2:]
    kept = await here.issue(SUSPENSION, EVE, by=ANNE)
    late: list[str] = []
    here.subscribe(SUSPENSION, lambda each: late.append(each.id))
    assert late == [kept.id]


async def test_a_subscriber_that_fails_keeps_nobody_from_hearing(here: Directives, there: Directives) -> None:
    """Neither the others, nor itself of what comes after; the log names the order, and not what it says."""
    heard: list[str] = []

    def fail(directive: Directive) -> None:
        heard.append(directive.id)
        raise ValueError("cannot read it")

    here.subscribe(SUSPENSION, fail)
    here.subscribe(SUSPENSION, lambda each: heard.append(each.id))
    orders = [await there.issue(SUSPENSION, {"principal": "secret"}, by=ANNE) for _ in range(2)]
    with capture_logs() as logs:
        await here.refresh()
    assert heard == [orders[0].id, orders[0].id, orders[1].id, orders[1].id]
    assert orders == here.current()
    assert [(log["event"], log["directive"]) for log in logs] == [("directive_not_taken", id_) for id_ in ids(orders)]
    assert "secret" not in str(logs)


async def test_many_orders_come_in_pages(
    here: Directives, there: Directives, sqlite_datastore: SqlDatastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One poll brings them all."""
    monkeypatch.setattr(module, "PAGE", 3)
    for wanted in (7, 9, 9):
        while len(here.current()) < wanted:
            await here.issue(SUSPENSION, EVE, by=ANNE)
        await there.refresh()
        assert ids(here.current()) == ids(there.current())


async def test_a_body_that_is_no_json_is_refused(here: Directives) -> None:
    """As an error of the caller; nothing is stored."""
    for body in ({"principal": "\ud800"}, 2**70):
        with pytest.raises(InvalidRequest, match="suspension"):
            await here.issue(SUSPENSION, body, by=ANNE)
    await here.refresh()
    assert here.current() == []


async def test_the_age_is_the_time_since_the_datastore_told(
    here: Directives, clock: JumpyClock, sqlite_datastore: SqlDatastore
) -> None:
    """Infinite at first, and growing while it does not answer; what was known still holds."""
    assert here.age == float("inf")
    clock.passed = 5.0
    given_ = await here.issue(SUSPENSION, EVE, by=ANNE)
    await here.refresh()
    assert here.age == 0.0
    await sqlite_datastore.close()
    clock.passed = 7.5
    with pytest.raises(Unavailable):
        await here.refresh()
    assert here.age == 2.5
    assert [given_] == here.current()


async def test_a_clock_that_was_ahead_for_a_while_loses_no_order(here: Directives, clock: JumpyClock) -> None:
    """What expired only by that clock holds again, and its subscribers are told."""
    heard: list[str] = []
    here.subscribe(REVOCATION, lambda each: heard.append(each.id))
    given_ = await here.issue(REVOCATION, {"jti": "1"}, by=ANNE, expires_at=START + 100 * SECOND)
    await here.refresh()
    clock.set_by = 86_400.0
    await here.refresh()
    assert here.current() == []
    clock.set_by = 0.0
    clock.passed = 1.0
    await here.refresh()
    assert [given_] == here.current()
    assert heard == [given_.id, given_.id]


async def test_an_order_that_ended_meanwhile_does_not_come_back(here: Directives, there: Directives) -> None:
    """Its giver may be late to hear that it was stored: after a poll that brought its end."""
    store = here._store
    stored, told = asyncio.Event(), asyncio.Event()

    class Slow:
        """The datastore, whose answer to an addition takes its time."""

        async def add_directive(self, directive: Directive, **by: Any) -> Directive:
            added = await store.add_directive(directive, **by)
            stored.set()
            await told.wait()
            return added

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

    here._store = Slow()  # type: ignore[assignment]
    giving = asyncio.create_task(here.issue(SUSPENSION, EVE, by=ANNE))
    await stored.wait()
    await there.refresh()
    await there.lift(ids(there.current())[0], by=BOB)
    await here.refresh()
    told.set()
    await giving
    assert here.current() == []


@pytest.mark.parametrize("is_lifted", [False, True])
async def test_orders_of_a_server_that_took_over(
    here: Directives, there: Directives, sqlite_uri: str, monkeypatch: pytest.MonkeyPatch, *, is_lifted: bool
) -> None:
    """It may have lost some, and given their versions to others: these hold here too, what ended there ends here."""
    first = await there.issue(SUSPENSION, EVE, by=ANNE)
    await there.lift((await there.issue(CAPTURE, {}, by=ANNE)).id, by=ANNE)
    lost = await there.issue(CAPTURE, {}, by=ANNE)
    await here.refresh()
    with closing(sqlite3.connect(sqlite_uri.removeprefix("sqlite:///"))) as database:
        database.execute("DELETE FROM directives WHERE version > 1")
        database.execute("UPDATE counters SET value = 1 WHERE name = 'directives'")
        database.commit()
    monkeypatch.setattr(SqliteDialect, "lineage", 1)
    if is_lifted:
        await there.lift(first.id, by=BOB)
    given_ = await there.issue(SUSPENSION, {"principal": "mallory"}, by=BOB)
    await here.refresh()
    expected = {given_.id, lost.id} | (set() if is_lifted else {first.id})
    assert set(ids(here.current())) == set(ids(there.current())) == expected


async def test_polls_go_on_when_the_datastore_fails(
    here: Directives, there: Directives, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log tells when it begins and when it is over, not at each poll."""
    monkeypatch.setattr(module, "POLL_SECONDS", 0.001)
    store, failures = here._store, iter([True] * 5)

    class Shaky:
        """The datastore, which does not answer at first."""

        lineage = 0

        async def directives_after(self, version: int, *, limit: int) -> Sequence[Directive]:
            if next(failures, False):
                raise Unavailable("the datastore cannot be reached")
            return await store.directives_after(version, limit=limit)

    here._store = Shaky()  # type: ignore[assignment]
    given_ = await there.issue(SUSPENSION, EVE, by=ANNE)
    with capture_logs() as logs:
        following = asyncio.create_task(here.follow_forever())
        await _until(lambda: here.current() == [given_])
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following
    assert [log["event"] for log in logs] == ["directives_not_refreshed", "directives_refreshed"]


async def test_an_order_is_effective_elsewhere_within_a_second(here: Directives, there: Directives) -> None:
    """By the poll alone."""
    loop = asyncio.get_running_loop()
    following = asyncio.create_task(there.follow_forever())
    await _until(lambda: there.age < 1)
    given_ = await here.issue(SUSPENSION, EVE, by=ANNE)
    began = loop.time()
    await _until(lambda: there.current() == [given_])
    assert loop.time() - began < 1.0
    following.cancel()


async def _until(holds: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + 5
    while not holds():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.002)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("issue"), st.integers(0, 1), st.none() | st.integers(1, 6)),
        st.tuples(st.just("lift"), st.integers(0, 1), st.integers(0, 9)),
        st.tuples(st.just("refresh"), st.integers(0, 1), st.none()),
        st.tuples(st.just("pass"), st.just(0), st.integers(1, 3)),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=steps)
async def test_after_a_poll_every_node_knows_exactly_what_holds(
    sqlite_uri: str, history: list[tuple[str, int, int | None]]
) -> None:
    """And what its subscribers make of what they heard is the same."""
    clock = JumpyClock()
    store = _copied(sqlite_uri)
    nodes = [Directives(store, clock), Directives(store, clock)]
    heard: list[dict[str, Directive]] = [{}, {}]
    for node, known in zip(nodes, heard, strict=True):
        node.subscribe(SUSPENSION, lambda each, known=known: known.__setitem__(each.id, each))  # type: ignore[misc]
    given_: dict[str, datetime | None] = {}
    for action, place, value in history:
        if action == "issue":
            ends = None if value is None else clock.now() + value * SECOND
            given_[(await nodes[place].issue(SUSPENSION, EVE, by=ANNE, expires_at=ends)).id] = ends
        elif action == "lift" and given_:
            name = list(given_)[(value or 0) % len(given_)]
            if await nodes[place].lift(name, by=ANNE) is not None:
                given_[name] = clock.now()
        elif action == "refresh":
            await nodes[place].refresh()
        elif action == "pass":
            clock.passed += value or 0
    for node, known in zip(nodes, heard, strict=True):
        await node.refresh()
        holding = [name for name, ends in given_.items() if ends is None or ends > clock.now()]
        assert holding == ids(node.current())
        assert set(holding) == {name for name, each in known.items() if module.holds(each, clock.now())}
    await store.close()


def _copied(uri: str) -> SqlDatastore:
    """A datastore over a copy of an empty one, which nobody uses."""
    file = Path(str(make_url(uri).database))
    copy = file.with_name("copy.db")
    for part in file.parent.glob("copy.db*"):
        part.unlink()
    shutil.copyfile(file, copy)
    return open_datastore(f"sqlite:///{copy}")
