"""ReadChanges: order, types, times and the token that is always there."""

from __future__ import annotations

from datetime import timedelta

import pytest

from authz.commands.housekeeping import trim
from authz.commands.limits import Limits
from authz.commands.read_changes import ReadChangesQuery, read_changes
from authz.commands.services import Services
from authz.commands.write import WriteQuery, write
from authz.errors import ContinuationTokenMismatch, InvalidContinuationToken, InvalidStartTime
from authz.store.api import Operation
from authz.store.sql import SqlDatastore
from authz.tuples import RelationshipTuple
from tests.commands.support import CALL, SettableClock, new_world, put, services_over

pytestmark = pytest.mark.anyio

DOCUMENT = RelationshipTuple("document:1", "viewer", "user:anne")
DAY = 86_400.0
GROUP = RelationshipTuple("group:1", "member", "user:anne")


async def test_an_untouched_store_has_no_token(services: Services) -> None:
    """
    Before the first change there is nothing to continue from.
    """
    store_id = await new_world(services)
    assert await read_changes(services, CALL, ReadChangesQuery(store_id)) == ((), "")


async def test_changes_come_in_order_and_once(services: Services) -> None:
    """
    Following the token shows every change once, oldest first; it repeats itself while nothing is new, then goes on.
    """
    store_id = await new_world(services)
    await put(services, store_id, DOCUMENT, GROUP)
    await write(services, CALL, WriteQuery(store_id, "", deletes=[DOCUMENT.key]))
    seen = []
    token = ""
    for _ in range(3):
        page = await read_changes(services, CALL, ReadChangesQuery(store_id, "", 1, token))
        seen += [(change.operation, change.tuple.object) for change in page.changes]
        token = page.continuation_token
    write_, delete = Operation.WRITE, Operation.DELETE
    assert {(write_, "document:1"), (write_, "group:1")} == set(seen[:2])
    assert [(delete, "document:1")] == seen[2:]
    again = await read_changes(services, CALL, ReadChangesQuery(store_id, "", 1, token))
    assert ((), token) == again
    await put(services, store_id, DOCUMENT)
    more = await read_changes(services, CALL, ReadChangesQuery(store_id, "", 1, token))
    assert [write_] == [change.operation for change in more.changes]
    assert token != more.continuation_token


async def test_types_filter_and_bind_the_token(services: Services) -> None:
    """
    Only changes of the type are shown, and their token serves no other type.
    """
    store_id = await new_world(services)
    await put(services, store_id, DOCUMENT, GROUP)
    page = await read_changes(services, CALL, ReadChangesQuery(store_id, "group"))
    assert [change.tuple for change in page.changes] == [GROUP]
    for type_ in ("document", ""):
        query = ReadChangesQuery(store_id, type_, continuation_token=page.continuation_token)
        with pytest.raises(ContinuationTokenMismatch):
            await read_changes(services, CALL, query)
    other = await new_world(services)
    with pytest.raises(InvalidContinuationToken):
        await read_changes(services, CALL, ReadChangesQuery(other, "group", 0, page.continuation_token))


async def test_a_start_time_skips_what_was_before(services: Services) -> None:
    """
    Changes since a time are shown; a time in the future is refused.
    """
    store_id = await new_world(services)
    await put(services, store_id, DOCUMENT)
    assert isinstance(services.clock, SettableClock)
    services.clock.move(60)
    await put(services, store_id, GROUP)
    now = services.clock.now()
    found = await read_changes(services, CALL, ReadChangesQuery(store_id, start_time=now - timedelta(seconds=30)))
    assert [change.tuple for change in found.changes] == [GROUP]
    with pytest.raises(InvalidStartTime):
        await read_changes(services, CALL, ReadChangesQuery(store_id, start_time=now + timedelta(seconds=1)))


async def test_the_horizon_hides_what_is_young(sqlite_datastore: SqlDatastore) -> None:
    """
    With a horizon, changes are shown once they are old enough.
    """
    services = services_over(sqlite_datastore, Limits(changelog_horizon=10))
    store_id = await new_world(services)
    await put(services, store_id, DOCUMENT)
    assert not (await read_changes(services, CALL, ReadChangesQuery(store_id))).changes
    assert isinstance(services.clock, SettableClock)
    services.clock.move(11)
    assert (await read_changes(services, CALL, ReadChangesQuery(store_id))).changes


async def test_a_token_older_than_what_is_kept_is_refused(sqlite_datastore: SqlDatastore) -> None:
    """
    Whoever stays away for longer than changes are kept is told so; whoever comes back in time is not, though nothing
    of the type it asks for has happened.
    """
    services = services_over(sqlite_datastore, Limits(changelog_retention=DAY))
    assert isinstance(services.clock, SettableClock)
    store_id = await new_world(services)
    await put(services, store_id, GROUP)
    tokens = {type_: (await read_changes(services, CALL, ReadChangesQuery(store_id, type_))) for type_ in ("", "group")}
    away = tokens["group"].continuation_token
    following = {type_: page.continuation_token for type_, page in tokens.items()}
    for number in range(8):
        services.clock.move(DAY / 2)
        await put(services, store_id, RelationshipTuple(f"document:{number}", "viewer", "user:anne"))
        await trim(sqlite_datastore, services.clock, retention=DAY)
        for type_, token in following.items():
            page = await read_changes(services, CALL, ReadChangesQuery(store_id, type_, 0, token))
            assert len(page.changes) == (0 if type_ else 1)
            following[type_] = page.continuation_token
    with pytest.raises(InvalidContinuationToken, match="no longer kept"):
        await read_changes(services, CALL, ReadChangesQuery(store_id, "group", 0, away))
    assert (await read_changes(services, CALL, ReadChangesQuery(store_id, "document"))).changes


async def test_a_token_does_not_pass_what_the_horizon_hides(sqlite_datastore: SqlDatastore) -> None:
    """
    Where changes are removed, tokens of a quiet type move on, but not beyond changes that are still to be shown.
    """
    services = services_over(sqlite_datastore, Limits(changelog_retention=DAY, changelog_horizon=3600))
    assert isinstance(services.clock, SettableClock)
    store_id = await new_world(services)
    await put(services, store_id, GROUP)
    services.clock.move(7200)
    token = (await read_changes(services, CALL, ReadChangesQuery(store_id, "group"))).continuation_token
    await put(services, store_id, DOCUMENT, RelationshipTuple("group:2", "member", "user:anne"))
    hidden = await read_changes(services, CALL, ReadChangesQuery(store_id, "group", 0, token))
    assert not hidden.changes
    services.clock.move(7200)
    shown = await read_changes(services, CALL, ReadChangesQuery(store_id, "group", 0, hidden.continuation_token))
    assert [change.tuple.object for change in shown.changes] == ["group:2"]
