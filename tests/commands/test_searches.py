"""Searches: windows over many names, and an honest end when time runs out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.call import Call
from authz.commands.accesses import Access, Action, Entity
from authz.commands.searches import SearchQuery, search_resources
from authz.commands.services import Services
from authz.commands.windows import Collector, Names, Window
from authz.tuples import RelationshipTuple
from tests.commands.support import new_world, put

pytestmark = pytest.mark.anyio

DOCUMENTS = 2500


@given(
    st.lists(st.text(st.sampled_from("abc"), min_size=1, max_size=4), unique=True),
    st.integers(0, 5),
    st.text(st.sampled_from("abc"), max_size=3),
)
def test_a_window_is_a_slice_of_the_sorted_names(names: list[str], size: int, after: str) -> None:
    """
    In whatever order names come, a window shows the first of those that come after its beginning, and counts all.
    """
    collector = Collector(Window(size, after))
    for name in names:
        assert collector.emit(f"doc:{name}")
    wanted = sorted(name for name in names if name > after)
    expected = Names(wanted[:size], has_more=len(wanted) > size, total=len(names))
    assert collector.names() == expected


def test_a_window_keeps_what_it_shows() -> None:
    """
    However many names come, not many more than the window holds are kept.
    """
    collector = Collector(Window(10))
    for number in range(10_000, 0, -1):
        collector.take(f"{number:06}")
        assert len(collector._kept) <= 22
    assert list(collector.names().found) == [f"{number:06}" for number in range(1, 11)]


async def test_a_search_that_runs_out_of_time_says_so(services: Services) -> None:
    """
    What was found in time is the answer; how much there is in all is not claimed.
    """
    store_id = await new_world(services)
    for start in range(0, DOCUMENTS, 100):
        await put(
            services,
            store_id,
            *(RelationshipTuple(f"document:{number}", "owner", "user:ann") for number in range(start, start + 100)),
        )
    access = Access(Entity("user", "ann"), Action("viewer"), Entity("document"))
    query = SearchQuery(store_id, "", access, Window(100))
    whole = (await search_resources(services, Call(), query)).names
    assert (len(whole.found), whole.total, whole.truncated) == (100, DOCUMENTS, "")
    late = Call(deadline=services.clock.monotonic() - 1)
    cut = (await search_resources(services, late, query)).names
    assert (cut.total, cut.truncated) == (None, "deadline")
    assert len(cut.found) <= 100
