"""What is asked over the wire: requests as bytes, each with its right answer. Made by `run`, asked by `client`."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Struct

from authz._proto.openfga.v1 import openfga_pb2 as pb
from authz._proto.openfga.v1 import openfga_service_pb2 as service
from authz._proto.openfga.v1.openfga_service_consistency_pb2 import HIGHER_CONSISTENCY
from authz.tuples import JsonValue, RelationshipTuple
from benchmarks.workloads.world import BatchQuestion, ListQuestion, Question, Toggle, World

SERVICE = "/openfga.v1.OpenFGAService/"
METHODS = {"check": "Check", "batch": "BatchCheck", "list": "ListObjects"}


class Place(NamedTuple):
    """Where a world lies on a server."""

    store_id: str
    model_id: str


class Item(NamedTuple):
    """One call: what it is, how it is written, what is right."""

    operation: str
    kind: str
    payload: bytes
    expected: object


class Flip(NamedTuple):
    """A toggle on the wire. The probes ask for its question: as of a token, and as of the head revision."""

    write: bytes
    delete: bytes
    probe: bytes
    probe_of_head: bytes
    allowed: bool


class Script(NamedTuple):
    """All that a client process asks."""

    items: Sequence[Item]
    flips: Sequence[Flip]


def script(world: World, place: Place, mix: Mapping[str, float]) -> Script:
    """The calls of a world in the shares of the mix, in the order of asking; shorter kinds come round again.

    Raises:
        ValueError: the world has no questions of a kind.

    """
    pools: dict[str, list[Item]] = {
        "check": [check_item(question, place) for question in world.questions] if "check" in mix else [],
        "batch": [_batch_item(batch, place) for batch in world.batches] if "batch" in mix else [],
        "list": [_list_item(listing, place) for listing in world.listings] if "list" in mix else [],
    }
    for operation in mix:
        if not pools[operation]:
            raise ValueError(f"the workload `{world.name}` has no questions for `{operation}`")
    return Script(list(_in_shares(pools, mix)), [_flip(toggle, place) for toggle in world.toggles])


def _in_shares(pools: Mapping[str, list[Item]], mix: Mapping[str, float]) -> Iterator[Item]:
    """Spread evenly: each turn goes to the operation that is furthest behind its share."""
    whole = sum(mix.values())
    shares = {operation: share / whole for operation, share in mix.items() if share > 0}
    given = dict.fromkeys(shares, 0)
    total = max(len(pools[operation]) for operation in shares)
    for turn in range(1, total + 1) if len(shares) == 1 else range(1, 2 * total + 1):
        operation = max(shares, key=lambda each: shares[each] * turn - given[each])
        yield pools[operation][given[operation] % len(pools[operation])]
        given[operation] += 1


def check_item(question: Question, place: Place) -> Item:
    """A Check."""
    return Item("check", question.kind, _check(question, place).SerializeToString(), question.allowed)


def _check(question: Question, place: Place) -> service.CheckRequest:
    request = service.CheckRequest(store_id=place.store_id, authorization_model_id=place.model_id)
    _ask(request, question)
    return request


def _ask(request: Any, question: Question) -> None:
    """Fill in a check, alone or in a batch."""
    request.tuple_key.CopyFrom(
        service.CheckRequestTupleKey(object=question.object, relation=question.relation, user=question.user)
    )
    if question.contextual:
        request.contextual_tuples.tuple_keys.extend(tuple_key(item) for item in question.contextual)
    if question.context:
        request.context.CopyFrom(_struct(question.context))


def _struct(values: Mapping[str, JsonValue]) -> Struct:
    return ParseDict(dict(values), Struct())


def tuple_key(item: RelationshipTuple) -> pb.TupleKey:
    """A tuple as it is written."""
    key = pb.TupleKey(object=item.object, relation=item.relation, user=item.user)
    if item.condition is not None:
        key.condition.name = item.condition.name
        key.condition.context.CopyFrom(_struct(item.condition.context))
    return key


def _batch_item(batch: BatchQuestion, place: Place) -> Item:
    request = service.BatchCheckRequest(store_id=place.store_id, authorization_model_id=place.model_id)
    for number, question in enumerate(batch.checks):
        _ask(request.checks.add(correlation_id=str(number)), question)
    expected = {str(number): question.allowed for number, question in enumerate(batch.checks)}
    return Item("batch", batch.kind, request.SerializeToString(), expected)


def _list_item(listing: ListQuestion, place: Place) -> Item:
    request = service.ListObjectsRequest(
        store_id=place.store_id,
        authorization_model_id=place.model_id,
        type=listing.object_type,
        relation=listing.relation,
        user=listing.user,
    )
    return Item("list", listing.kind, request.SerializeToString(), listing.objects)


def _flip(toggle: Toggle, place: Place) -> Flip:
    item = toggle.tuple
    write = write_request([item], place)
    delete = service.WriteRequest(store_id=place.store_id, authorization_model_id=place.model_id)
    delete.deletes.tuple_keys.add(object=item.object, relation=item.relation, user=item.user)
    probe = _check(toggle.question, place)
    plain = probe.SerializeToString()
    probe.consistency = HIGHER_CONSISTENCY
    head = probe.SerializeToString()
    return Flip(write.SerializeToString(), delete.SerializeToString(), plain, head, toggle.question.allowed)


def write_request(tuples: Iterable[RelationshipTuple], place: Place) -> service.WriteRequest:
    """One write transaction."""
    request = service.WriteRequest(store_id=place.store_id, authorization_model_id=place.model_id)
    request.writes.tuple_keys.extend(tuple_key(item) for item in tuples)
    return request


def differs(item: Item, answer: bytes) -> str:
    """How an answer differs from what is right; empty when it does not."""
    try:
        found = _found(item, answer)
    except DecodeError:
        return f"{item.operation} {item.kind}: {len(answer)} bytes that are no answer"
    return "" if found == item.expected else _difference(item, found)


def _found(item: Item, answer: bytes) -> object:
    """What an answer says, in the form in which the truth is kept."""
    if item.operation == "check":
        return service.CheckResponse.FromString(answer).allowed
    if item.operation == "batch":
        results = service.BatchCheckResponse.FromString(answer).result
        return {name: each.allowed for name, each in results.items() if each.WhichOneof("check_result") == "allowed"}
    objects = service.ListObjectsResponse.FromString(answer).objects
    distinct = frozenset(objects)
    # An object that is named twice is one too many.
    return distinct if len(distinct) == len(objects) else tuple(objects)


def _difference(item: Item, found: object) -> str:
    if isinstance(found, frozenset | tuple) and isinstance(item.expected, frozenset):
        less = len(item.expected.difference(found))
        more = len(found) - (len(item.expected) - less)
        return f"{item.operation} {item.kind}: {more} too many, {less} missing"
    if isinstance(found, dict) and isinstance(item.expected, dict):
        wrong = [name for name, value in item.expected.items() if found.get(name) is not value]
        more = len(found.keys() - item.expected.keys())
        said = f"{item.operation} {item.kind}: {len(wrong)} of {len(item.expected)} answers are wrong or missing"
        return f"{said}, {more} too many" if more else said
    request = service.CheckRequest.FromString(item.payload).tuple_key
    return f"{item.operation} {item.kind}: `{request.object}#{request.relation}@{request.user}` is {found}"


def save(path: Path, whole: Script) -> None:
    """Write a script for client processes."""
    with path.open("wb") as file:
        pickle.dump(whole, file, protocol=pickle.HIGHEST_PROTOCOL)


def read(path: Path) -> Script:
    """Read what `save` wrote, in another process of the same run."""
    with path.open("rb") as file:
        found: Script = pickle.load(file)
    return found
