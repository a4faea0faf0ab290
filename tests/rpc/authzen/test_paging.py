"""Pages of searches: how fresh each of them is."""

from __future__ import annotations

import pytest

from authz.consistency import Consistency, Mode
from authz.errors import InvalidConsistencyToken
from authz.rpc.authzen.paging import Page
from authz.store.sql.datastore import SqlDatastore
from tests.commands.support import services_over

pytestmark = pytest.mark.anyio


async def test_a_later_page_is_not_older_than_the_one_before(sqlite_datastore: SqlDatastore) -> None:
    """Whatever is asked for, but for a snapshot; a newer token that the caller has still counts."""
    services = services_over(sqlite_datastore)
    store = "01HZZZZZZZZZZZZZZZZZZZZZZZ"
    first = Page("SubjectSearch", store, "", 1, is_asked=True, after="", since=0)
    later = first._replace(after="a", since=5)
    older, newer, before = (services.tokens.encode(store, revision) for revision in (3, 7, 5))
    least = Consistency(Mode.AT_LEAST_AS_FRESH, before)
    assert later.consistency(services, Consistency()) == least
    assert later.consistency(services, Consistency(Mode.AT_LEAST_AS_FRESH, older)) == least
    for asked in (
        Consistency(Mode.AT_LEAST_AS_FRESH, newer),
        Consistency(Mode.AT_EXACT_SNAPSHOT, older),
        Consistency(Mode.FULLY_CONSISTENT),
    ):
        assert later.consistency(services, asked) == asked
    assert first.consistency(services, Consistency()) == Consistency()
    with pytest.raises(InvalidConsistencyToken):
        later.consistency(services, Consistency(Mode.AT_LEAST_AS_FRESH, services.tokens.encode("other", 7)))
