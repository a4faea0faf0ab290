"""Tokens that writes leave behind: which reads they reach, and which they do not."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.client import (
    FULLY_CONSISTENT,
    MINIMIZE_LATENCY,
    AsyncClient,
    Client,
    Tuple,
    at_least_as_fresh,
    errors,
    exact_snapshot,
)
from authz.client.carried import Carried
from tests.client.support import STORE, TOKEN, Fail, Give, Scripted

_INVALID = grpc.StatusCode.INVALID_ARGUMENT
ONE = [Tuple("user:anne", "viewer", "document:1")]


@dataclass
class World:
    """A store, its clients' calls in the air, and what the client under test has been told."""

    carried: Carried = field(default_factory=lambda: Carried(60, lambda: 0.0))
    revision: int = 0
    told: int = 0
    flying: list[tuple[str, int, int]] = field(default_factory=list)

    def begin_write(self) -> None:
        """A write leaves; it commits at some moment before its answer."""
        self.flying.append(("write", self.carried.begin(), 0))

    def commit(self, which: int) -> None:
        """One of the writes commits."""
        waiting = [index for index, (kind, _, revision) in enumerate(self.flying) if kind == "write" and not revision]
        if waiting:
            index = waiting[which % len(waiting)]
            self.revision += 1
            self.flying[index] = ("write", self.flying[index][1], self.revision)

    def answer(self, which: int) -> None:
        """One of the calls is answered, in whatever order."""
        ready = [each for each in self.flying if each[2]]
        if not ready:
            return
        call = ready[which % len(ready)]
        self.flying.remove(call)
        kind, began, revision = call
        if kind == "write":
            self.carried.wrote(f"r{revision}", began)
            self.told = max(self.told, revision)
        else:
            self.carried.looked(f"r{revision}", began)

    def begin_read(self) -> None:
        """A read leaves. It must ask for everything that was answered before."""
        began, needed = self.carried.begin(), self.carried.needed()
        if needed == FULLY_CONSISTENT:
            self.flying.append(("read", began, self.revision))
        elif needed is None:
            assert self.told == 0
        else:
            assert int(needed.header.removeprefix("at-least-as-fresh=r")) >= self.told


@given(st.lists(st.tuples(st.sampled_from("wcarx"), st.integers(0, 5)), max_size=60))
def test_reads_ask_for_every_write_before_them(events: list[tuple[str, int]]) -> None:
    """However calls overlap and whichever answer comes first, no read may be older than a write answered before it."""
    world = World()
    for event, which in events:
        match event:
            case "w":
                world.begin_write()
            case "c":
                world.commit(which)
            case "a":
                world.answer(which)
            case _:
                world.begin_read()


def test_one_after_another_needs_one_token() -> None:
    """Writes that do not overlap leave the last token alone, and reads stay cheap."""
    carried = Carried(60, lambda: 0.0)
    for number in range(5):
        carried.wrote(f"r{number}", carried.begin())
    assert carried.token == "r4"
    assert carried.needed() == at_least_as_fresh("r4")


def test_overlapping_writes_cost_one_full_read() -> None:
    """Nobody can tell which of two overlapping writes is newer: the next read covers both, and ends the question."""
    carried = Carried(60, lambda: 0.0)
    first, second = carried.begin(), carried.begin()
    carried.wrote("r2", second)
    carried.wrote("r1", first)
    assert carried.token == "r2.r1"
    assert at_least_as_fresh(carried.token) == FULLY_CONSISTENT
    read = carried.begin()
    assert carried.needed() == FULLY_CONSISTENT
    carried.looked("r7", read)
    assert carried.needed() == at_least_as_fresh("r7")


def test_tokens_are_carried_for_a_time() -> None:
    """After that a read asks for nothing: the service bounds by itself how old an answer may be."""
    times = itertools.chain([0.0, 0.0, 0.0, 59.0], itertools.repeat(60.0))
    carried = Carried(60, lambda: next(times))
    carried.wrote("r1", carried.begin())
    while carried.needed() is not None:
        pass
    assert carried.token == ""


def test_writes_reach_later_reads(service: Scripted) -> None:
    """Every kind of question carries the token of the last write; what the caller asks for wins."""
    with Client(service.address, store=STORE) as client:
        assert client.check("user:anne", "viewer", "document:1").token == "r0"
        token = client.write(ONE).token
        assert client.token == token == "r1"
        client.check("user:anne", "viewer", "document:1")
        client.list_objects("user:anne", "viewer", "document")
        client.list_users("document:1", "viewer", "user")
        list(client.read())
        list(client.stream_objects("user:anne", "viewer", "document"))
        client.batch_check([])
        for chosen in (MINIMIZE_LATENCY, FULLY_CONSISTENT, at_least_as_fresh("abc"), exact_snapshot("abc")):
            client.check("user:anne", "viewer", "document:1", consistency=chosen)
        client.forget_tokens()
        client.check("user:anne", "viewer", "document:1")
    found = [each.metadata.get("authz-consistency", "") for each in service.asked]
    assert found == [
        "",
        "",
        *["at-least-as-fresh=r1"] * 5,
        "minimize-latency",
        "fully-consistent",
        "at-least-as-fresh=abc",
        "at-exact-snapshot=abc",
        "",
    ]


def test_tokens_are_of_a_store(service: Scripted) -> None:
    """A token is never sent with a question about another store; views of one store share theirs."""
    other = "01ARZ3NDEKTSV4RRFFQ69G5FAX"
    with Client(service.address, store=STORE) as client:
        client.write(ONE)
        client.on(other).check("user:anne", "viewer", "document:1")
        client.on(STORE).check("user:anne", "viewer", "document:1")
    assert [each.metadata.get("authz-consistency", "") for each in service.asked[1:]] == ["", "at-least-as-fresh=r1"]


def test_sessions_are_apart(service: Scripted) -> None:
    """A session begins with the token it was handed, keeps its own, and leaves the client's alone."""
    with Client(service.address, store=STORE) as client:
        session = client.session("given")
        session.check("user:anne", "viewer", "document:1")
        client.check("user:anne", "viewer", "document:1")
        session.write(ONE)
        client.check("user:anne", "viewer", "document:1")
        session.check("user:anne", "viewer", "document:1")
        assert (session.token, client.token) == ("r1", "")
    found = [each.metadata.get("authz-consistency", "") for each in service.asked]
    assert found == ["at-least-as-fresh=given", "", "", "", "at-least-as-fresh=r1"]


@pytest.mark.parametrize("token", ["", "a b", "a\nauthorization: x", "é", "a=b", "a..b", "x" * 5000, "a;b"])
def test_what_is_no_token(token: str) -> None:
    """Texts of strangers never become metadata."""
    with pytest.raises(errors.UnknownToken):
        at_least_as_fresh(token)
    if token:
        with Client("127.0.0.1:1", store=STORE) as client, pytest.raises(errors.UnknownToken):
            client.session(token)


def test_a_token_that_the_service_does_not_know_any_more(service: Scripted) -> None:
    """After a restore or failover the error says what happened, for each question until the tokens are forgotten."""
    lost = Fail(_INVALID, "validation_error", "the consistency token names revision 7, not yet in store `x`")
    with Client(service.address, store=STORE) as client:
        client.write(ONE)
        service.will("Check", lost, lost)
        for _ in range(2):
            with pytest.raises(errors.UnknownToken, match="restored"):
                client.check("user:anne", "viewer", "document:1")
        client.forget_tokens()
        assert client.check("user:anne", "viewer", "document:1")


def test_a_service_without_tokens(service: Scripted) -> None:
    """A service that says nothing of its freshness does not pass for one that keeps the promise."""
    with Client(service.address, store=STORE) as client:
        service.will("Check", Give(pb.CheckResponse(allowed=True)))
        assert client.check("user:anne", "viewer", "document:1")
        service.will("Check", Give(pb.CheckResponse(allowed=True)))
        with pytest.raises(errors.MalformedAnswer):
            client.check("user:anne", "viewer", "document:1", consistency=at_least_as_fresh("abc"))


@pytest.mark.anyio
async def test_async_writes_reach_later_reads(service: Scripted) -> None:
    """The asynchronous client carries tokens alike."""
    async with AsyncClient(service.address, store=STORE) as client:
        await client.write(ONE)
        await client.check("user:anne", "viewer", "document:1")
        assert [each async for each in client.stream_objects("user:anne", "viewer", "document")] == []
        session = client.session(client.token)
        await session.check("user:anne", "viewer", "document:1")
    assert [each.metadata["authz-consistency"] for each in service.asked[1:]] == ["at-least-as-fresh=r1"] * 3
    assert TOKEN not in service.asked[0].metadata
