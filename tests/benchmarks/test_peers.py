"""Peers: whatever takes part answers what is true, and whoever cannot take part says why."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from itertools import product

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.model.compile import compile_model
from authz.tuples import RelationshipTuple
from benchmarks.peers.arguments import parse_choices, parse_in_flight
from benchmarks.peers.batches import batches_of
from benchmarks.peers.measure import AGAIN, MIX, Plan, compare
from benchmarks.peers.peer import PEERS, Absent, Failed, Peer, Unsupported, open_peer
from benchmarks.peers.processes import cpu_of, listener
from benchmarks.peers.report import report
from benchmarks.peers.translation import MODEL_ID, original_id, safe_id, translate
from benchmarks.workloads.registry import BUILDERS, build
from benchmarks.workloads.size import Size
from benchmarks.workloads.world import Question, World
from schema_dsl import dsl_to_json
from tests.support.server import RunningServer

SIZE = Size(tuples=300, width=30, depth=4, questions=60)
LACKS = {("pemba", "conditions"), ("pemba", "contextual"), ("spicedb", "contextual")}
"""What these peers have no words for."""

OPERATORS = """
model
  schema 1.1
type user
type Team
  relations
    define m: [user, user:*, Team#m]
type doc
  relations
    define parent: [doc]
    define any: [user, Team#m]
    define blocked: [user]
    define editor: [user] or any
    define viewer: ([user, Team#m] or editor or viewer from parent) but not blocked
    define both: any and viewer
    define mixed: (any and editor) or (viewer but not any)
"""
"""Every operator, and names that the language of SpiceDB and pemba does not admit."""


@cache
def small(workload: str) -> World:
    """A world of some hundred tuples."""
    return build(workload, SIZE)


@contextmanager
def opened(name: str) -> Iterator[Peer]:
    """A peer, or a skipped test that says what is missing."""
    try:
        peer = open_peer(name)
    except Absent as error:
        pytest.skip(str(error))
    try:
        yield peer
    finally:
        peer.close()


@pytest.mark.parametrize("workload", BUILDERS)
@pytest.mark.parametrize("name", ["authz-engine", "authz", "pemba", "pemba=sqlite", "spicedb"])
def test_answers_are_true(name: str, workload: str) -> None:
    """
    A peer answers every question of every world rightly, or says what it lacks.
    """
    world = small(workload)
    with opened(name) as peer:
        if (name.partition("=")[0], workload) in LACKS:
            with pytest.raises(Unsupported):
                peer.load(world)
            return
        peer.load(world)
        assert peer.ask(world.questions) == [question.allowed for question in world.questions]
        for listing in world.listings[:3]:
            assert peer.list_objects(listing) == listing.objects
        assert peer.cpu_seconds() is not None


@pytest.mark.parametrize("in_flight", ["", ",in_flight=4"])
def test_openfga_is_any_server_of_its_interface(server: RunningServer, in_flight: str) -> None:
    """
    Over gRPC a world is written and asked as the public interface has it; the server's processor time is seen.
    """
    world = small("reference")
    with opened(f"openfga={server.address}{in_flight}") as peer:
        before = peer.cpu_seconds()
        peer.load(world)
        assert peer.ask(world.questions) == [question.allowed for question in world.questions]
        assert peer.list_objects(world.listings[0]) == world.listings[0].objects
        assert before is not None
        assert (peer.cpu_seconds() or 0) > before


@pytest.mark.parametrize("workload", ["conditions", "contextual"])
def test_openfga_carries_conditions_and_contextual_tuples(server: RunningServer, workload: str) -> None:
    """
    What questions bring with them reaches the server.
    """
    world = small(workload)
    with opened(f"openfga={server.address}") as peer:
        peer.load(world)
        assert peer.ask(world.questions) == [question.allowed for question in world.questions]


def test_an_address_without_server_fails() -> None:
    """
    Nobody there is a failure, not an answer.
    """
    with opened("openfga=127.0.0.1:9") as peer, pytest.raises(Failed, match="UNAVAILABLE"):
        peer.load(small("reference"))


@pytest.mark.ops
def test_our_own_server_is_a_peer() -> None:
    """
    It starts, holds a world, answers rightly, and its processor time is known.
    """
    world = small("reference")
    with opened("authz-server=in_flight=2,log_level=error") as peer:
        peer.load(world)
        assert peer.ask(world.questions) == [question.allowed for question in world.questions]
        assert (peer.cpu_seconds() or 0) > 0


@pytest.mark.parametrize(
    "name", ["nobody", "pemba=postgres", "authz=1", "authz-engine=1", "openfga", "openfga=host", "openfga=h:1,x=2"]
)
def test_unknown_names_are_refused(name: str) -> None:
    """
    A peer that does not exist, or one with an argument that it does not take.
    """
    with pytest.raises(ValueError, match=r"`"):
        open_peer(name)


def test_every_peer_opens_or_says_what_is_missing() -> None:
    """
    A package that is not installed is told in words.
    """
    for name in set(PEERS) - {"openfga", "authz-server"}:
        why_not = ""
        try:
            open_peer(name).close()
        except Absent as error:
            why_not = str(error)
        assert not why_not or "missing" in why_not or "not installed" in why_not


def _tuples() -> st.SearchStrategy[list[RelationshipTuple]]:
    users = st.sampled_from([f"user:{name}" for name in ("anne", "bob.x", "c@d")])
    teams = st.integers(0, 2)
    team_users = st.one_of(users, st.just("user:*"))
    return st.lists(
        st.one_of(
            st.builds(_tuple, teams.map("Team:t{}".format), st.just("m"), team_users),
            # Upwards only: the peers differ in what a cycle means.
            st.builds(lambda low, up: _member(low, low + 1 + up), teams, teams),
            st.builds(_tuple, _docs(), st.sampled_from(["any", "viewer"]), teams.map("Team:t{}#m".format) | users),
            st.builds(_tuple, _docs(), st.sampled_from(["blocked", "editor"]), users),
            st.builds(lambda low, up: _parent(low, low + 1 + up), teams, teams),
        ),
        max_size=12,
        unique_by=lambda tuple_: tuple_.key,
    )


def _docs() -> st.SearchStrategy[str]:
    return st.integers(0, 5).map("doc:{}%".format)


def _tuple(object_: str, relation: str, user: str) -> RelationshipTuple:
    return RelationshipTuple(object_, relation, user)


def _member(low: int, high: int) -> RelationshipTuple:
    return RelationshipTuple(f"Team:t{low}", "m", f"Team:t{high}#m")


def _parent(low: int, high: int) -> RelationshipTuple:
    return RelationshipTuple(f"doc:{low}%", "parent", f"doc:{high}%")


@given(_tuples())
def test_translated_models_mean_the_same(tuples: list[RelationshipTuple]) -> None:
    """
    Through the translated schema another engine answers as ours does, whatever the tuples.
    """
    relations = ["any", "blocked", "editor", "viewer", "both", "mixed"]
    users = ["user:anne", "user:bob.x", "user:c@d", "user:nobody"]
    questions = [
        Question("all", f"doc:{number}%", relation, user, allowed=False)
        for number, relation, user in product(range(6), relations, users)
    ]
    world = World("operators", 1, {"tuples": len(tuples)}, OPERATORS, lambda: tuples, questions)
    with opened("pemba") as theirs, opened("authz-engine") as ours:
        theirs.load(world)
        ours.load(world)
        assert theirs.ask(questions) == ours.ask(questions)


def test_a_translation_shows_its_names() -> None:
    """
    A relation that names users and computes others is stored under a name of its own; odd names are replaced.
    """
    body = dsl_to_json(OPERATORS)
    schema = translate(compile_model(MODEL_ID, body), body)
    assert schema.asked["doc", "viewer"] == "viewer"
    assert schema.stored["doc", "viewer"] == "viewer_direct"
    assert schema.stored["doc", "parent"] == "parent"
    assert schema.asked["doc", "any"] != "any"
    assert "Team" not in schema.text
    assert len(set(schema.types.values())) == len(schema.types)


@given(st.text(min_size=1))
def test_ids_come_back(id_: str) -> None:
    """
    An id survives the alphabet of ids, and no two become one.
    """
    assert original_id(safe_id(id_)) == id_


def test_comparison_takes_turns(tmp_path: object) -> None:
    """
    Peers are measured over questions of their own in each repeat; one that is not there is told beside the others.
    """
    plan = Plan(checks=10, repeats=2, lists=1)
    told: list[str] = []
    names = ["authz-engine", "pemba", "pemba=nowhere"]
    results = compare(partial(build, "reference", SIZE), names, plan, told.append)
    by_name = {result.name: result for result in results}
    assert "keeps its tuples" in by_name["pemba=nowhere"].why_not
    for name in names[:2]:
        result = by_name[name]
        if result.why_not:
            assert "not installed" in result.why_not
            continue
        assert result.wrong == 0
        assert {MIX, AGAIN, "list"} <= set(result.costs)
        assert all(cost.asking > 0 for cost in result.costs.values())
    text = report(small("reference"), plan, results)
    assert "| `authz-engine` |" in text
    assert "- `pemba=nowhere`: `pemba` keeps its tuples" in text
    assert told[-1] == "repeat 2 of 2"


def test_choices_are_read() -> None:
    """
    What follows the name of a peer: an address first, then choices with names.
    """
    assert parse_choices("") == ("", {})
    assert parse_choices("host:1,in_flight=2") == ("host:1", {"in_flight": "2"})
    assert parse_choices("workers=2,transport=native") == ("", {"workers": "2", "transport": "native"})
    with pytest.raises(ValueError, match="`b` is no choice"):
        parse_choices("a,b")
    choices = {"in_flight": "3", "workers": "2"}
    assert parse_in_flight(choices) == 3
    assert choices == {"workers": "2"}
    for wrong in ("0", "-1", "many"):
        with pytest.raises(ValueError, match="whole number"):
            parse_in_flight({"in_flight": wrong})


def test_batches_hold_everything_once() -> None:
    """
    Cut into batches, nothing is lost and nothing comes twice.
    """
    assert list(batches_of(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batches_of([], 2)) == []


def test_processor_time_of_another_process_is_seen() -> None:
    """
    A process that works has spent more afterwards; one that is gone counts nothing.
    """
    code = "import sys; sys.stdin.readline(); sum(range(10**6)); print('done', flush=True); sys.stdin.readline()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        seen = psutil.Process(process.pid)
        before = cpu_of(seen)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()
        assert cpu_of(seen) > before
    assert cpu_of(seen) == 0


def test_a_listener_is_found(server: RunningServer) -> None:
    """
    Who listens on a port of this machine is known by it; of a port without listener nobody is.
    """
    found = listener(int(server.address.rpartition(":")[2]))
    assert found is not None
    assert found.pid in {server.process.pid, *(each.pid for each in psutil.Process(server.process.pid).children())}
    assert found.pid != os.getpid()
    assert listener(1) is None
