"""Searches: who, what and which actions, page by page, and what the results do not say."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest

from authz.commands.limits import Limits
from authz.store.sql import SqlDatastore
from tests.commands.support import put
from tests.rpc.authzen.conftest import MODEL, tuple_
from tests.rpc.authzen.support import Answer, Json, World, entity, new_world

pytestmark = pytest.mark.anyio

WHO, WHAT, WHICH = "SubjectSearch", "ResourceSearch", "ActionSearch"


def who(action: str, resource: str, type_: str = "user", **more: Any) -> Json:
    """Which subjects may do this."""
    return {"subject": {"type": type_}, "action": {"name": action}, "resource": entity(resource), **more}


def what(subject: str, action: str, type_: str = "doc", **more: Any) -> Json:
    """On which resources may the subject do this."""
    return {"subject": entity(subject), "action": {"name": action}, "resource": {"type": type_}, **more}


def which(subject: str, resource: str, **more: Any) -> Json:
    """What may the subject do."""
    return {"subject": entity(subject), "resource": entity(resource), **more}


def ids(answer: Answer) -> list[str]:
    """What was found."""
    assert answer.failure is None, answer.failure
    return [each.get("id") or each["name"] for each in answer.body["results"]]


async def all_pages(world: World, name: str, body: Json, limit: int) -> list[list[str]]:
    """Every page of a search."""
    pages, token = [], None
    while token != "":
        page = {"limit": limit} if token is None else {"limit": limit, "token": token}
        answer = await world.ask(name, {**body, "page": page})
        pages.append(ids(answer))
        assert answer.body["page"]["count"] == len(pages[-1])
        token = answer.body["page"]["next_token"]
        assert len(pages) < 100
    return pages


async def test_results_are_sorted_entities_of_the_type(world: World) -> None:
    """
    Subjects and resources have type and id, actions a name; without pages there is nothing else in the answer.
    """
    found = await world.ask(WHO, who("editor", "doc:plan"))
    assert found.body == {"results": [{"type": "user", "id": "ann"}, {"type": "user", "id": "eve"}]}
    found = await world.ask(WHAT, what("user:bob", "viewer"))
    assert found.body == {"results": [{"type": "doc", "id": "news"}, {"type": "doc", "id": "plan"}]}
    found = await world.ask(WHICH, which("user:bob", "doc:plan"))
    assert found.body == {"results": [{"name": "viewer"}]}


async def test_the_id_of_what_is_searched_is_ignored(world: World) -> None:
    """
    An id where none belongs changes nothing, whatever it is.
    """
    for id_ in ("eve", "*", 5, None, {"a": 1}):
        body = who("editor", "doc:plan")
        body["subject"]["id"] = id_
        assert ids(await world.ask(WHO, body)) == ["ann", "eve"]


async def test_every_result_is_allowed_and_nothing_is_forgotten(world: World) -> None:
    """
    What a search finds, an evaluation allows; what it does not find, an evaluation denies.
    """
    people, resources = ("ann", "bob", "eve", "mallory"), ("plan", "news", "note")
    actions = ("owner", "viewer", "editor", "public", "blocked", "parent")
    for user in people:
        for resource in resources:
            found = ids(await world.ask(WHICH, which(f"user:{user}", f"doc:{resource}")))
            allowed = [each for each in actions if await world.allows(f"user:{user}", each, f"doc:{resource}")]
            assert found == sorted(allowed)
    for action in actions[:3]:
        for user in people:
            found = ids(await world.ask(WHAT, what(f"user:{user}", action)))
            assert found == sorted(
                [each for each in resources if await world.allows(f"user:{user}", action, f"doc:{each}")]
            )


async def test_everybody_is_no_subject(world: World) -> None:
    """
    A typed wildcard is never a result: the answer names who tuples name, and says that all others are allowed too.
    """
    viewers = await world.ask(WHO, who("viewer", "doc:news"))
    assert viewers.body == {"context": {"wildcard": True}, "results": [{"type": "user", "id": "bob"}]}
    assert (await world.ask(WHO, who("public", "doc:news"))).body == {"context": {"wildcard": True}, "results": []}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (WHO, who("viewer", "doc:plan", "robot")),
        (WHO, who("viewer", "robot:plan")),
        (WHO, who("fly", "doc:plan")),
        (WHO, who("viewer", "doc:none")),
        (WHO, who("viewer", "doc:plan", "group#member")),
        (WHO, who("viewer", "doc:plan", "user:*")),
        (WHO, {**who("viewer", "doc:x"), "resource": {"type": "doc", "id": "plan#owner"}}),
        (WHAT, what("robot:ann", "viewer")),
        (WHAT, what("user:nobody", "editor")),
        (WHAT, what("user:ann", "fly")),
        (WHAT, what("user:ann", "viewer", "robot")),
        (WHAT, {**what("user:x", "viewer"), "subject": {"type": "user", "id": "*"}}),
        (WHAT, {**what("user:x", "editor"), "subject": {"type": "group", "id": "eng#member"}}),
        (WHICH, which("robot:ann", "doc:plan")),
        (WHICH, which("user:nobody", "doc:plan")),
        (WHICH, which("user:ann", "robot:plan")),
        (WHICH, {**which("user:x", "doc:news"), "subject": {"type": "user", "id": "*"}}),
        (WHICH, {**which("user:x", "doc:plan"), "subject": {"type": "group", "id": "eng#member"}}),
    ],
)
async def test_what_is_not_there_is_found_nowhere(world: World, name: str, body: Json) -> None:
    """
    Unknown names and names that no tuple can hold give no results, and no error.
    """
    assert (await world.ask(name, body)).body["results"] == []


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (WHO, {"subject": {"type": "user"}, "resource": entity("doc:plan")}),
        (WHO, who("viewer", "doc")),
        (WHO, {**who("viewer", "doc:plan"), "subject": {}}),
        (WHAT, {"action": {"name": "viewer"}, "resource": {"type": "doc"}}),
        (WHAT, what("user", "viewer")),
        (WHICH, {"subject": entity("user:ann")}),
        (WHICH, which("user", "doc:plan")),
        (WHICH, which("user:ann", "doc")),
        (WHO, who("viewer", "doc:plan", page={"limit": -1})),
        (WHO, who("viewer", "doc:plan", page={"limit": "many"})),
        (WHO, who("viewer", "doc:plan", page={"token": "nonsense"})),
        (WHO, who("viewer", "doc:plan", context=[])),
    ],
)
async def test_what_is_malformed_is_refused(world: World, name: str, body: Json) -> None:
    """
    A part that is missing, or a page that cannot be, is an error of the request.
    """
    answer = await world.ask(name, body)
    assert answer.failure is not None
    assert answer.failure.status.name == "INVALID_ARGUMENT"


async def test_open_conditions_leave_names_out_and_say_so(world: World) -> None:
    """
    Where a condition lacks parameters, what it decides about is not found, and the answer says which were missing.
    """
    for name, body in (
        (WHO, who("office", "doc:plan")),
        (WHAT, what("user:ann", "office")),
        (WHICH, which("user:ann", "doc:note")),
    ):
        answer = await world.ask(name, body)
        assert answer.body["results"] == []
        assert "`ip`" in answer.body["context"]["undecided"]
        closed = await world.ask(name, {**body, "context": {"ip": "10.0.0.1"}})
        assert closed.body["results"]
        assert "context" not in closed.body
        assert (await world.ask(name, {**body, "context": {"ip": "no"}})).body == {"results": []}


async def test_properties_count_in_searches(world: World) -> None:
    """
    What is known of the entities decides, as in an evaluation; the context cannot stand in for it.
    """
    admin = {**entity("user:ann"), "properties": {"role": "admin"}}
    status = {"properties": {"status": "open"}}
    body = {**what("user:ann", "limited"), "subject": admin, "resource": {"type": "doc", **status}}
    assert ids(await world.ask(WHAT, body)) == ["plan"]
    body = {**who("limited", "doc:plan"), "subject": {"type": "user", "properties": {"role": "admin"}}}
    body["resource"] = {**entity("doc:plan"), **status}
    assert ids(await world.ask(WHO, body)) == ["ann"]
    spoofed = {**what("user:ann", "limited"), "context": {"subject_role": "admin", "resource_status": "open"}}
    assert ids(await world.ask(WHAT, spoofed)) == []


async def test_pages_cover_everything_once(sqlite_datastore: SqlDatastore) -> None:
    """
    Pages follow one another in order, without a gap and without repetition, however long they are.
    """
    tuples = [tuple_(f"doc:{number:03}", "owner", "user:ann") for number in range(50)]
    tuples += [tuple_("doc:000", "viewer", f"user:{number:03}") for number in range(50)]
    world = await new_world(sqlite_datastore, MODEL, *tuples)
    for limit in (1, 7, 25, 49, 50, 51):
        pages = await all_pages(world, WHAT, what("user:ann", "owner"), limit)
        assert list(chain(*pages)) == [f"{number:03}" for number in range(50)]
        assert all(len(page) == limit for page in pages[:-1])
        pages = await all_pages(world, WHO, who("viewer", "doc:000"), limit)
        assert list(chain(*pages)) == [*(f"{number:03}" for number in range(50)), "ann"]
    assert await all_pages(world, WHICH, which("user:ann", "doc:000"), 2) == [["editor", "owner"], ["viewer"]]


async def test_a_page_says_how_much_there_is(sqlite_datastore: SqlDatastore) -> None:
    """
    `count` is of the page, `total` of all; a limit of nothing counts alone, and one above the setting is cut to it.
    """
    tuples = [tuple_(f"doc:{number}", "owner", "user:ann") for number in range(9)]
    world = await new_world(sqlite_datastore, MODEL, *tuples, limits=Limits(max_found=4))
    body = what("user:ann", "owner")
    page = (await world.ask(WHAT, {**body, "page": {"limit": 2}})).body["page"]
    assert (page["count"], page["total"]) == (2, 9)
    nothing = await world.ask(WHAT, {**body, "page": {"limit": 0}})
    assert nothing.body["results"] == []
    assert (nothing.body["page"]["count"], nothing.body["page"]["total"]) == (0, 9)
    assert nothing.body["page"]["next_token"]
    much = await world.ask(WHAT, {**body, "page": {"limit": 100}})
    assert len(much.body["results"]) == 4
    # Without a word of pages a list that is longer than one has a page nevertheless.
    unasked = await world.ask(WHAT, body)
    assert len(unasked.body["results"]) == 4
    following = await world.ask(WHAT, {**body, "page": {"token": unasked.body["page"]["next_token"]}})
    assert ids(following) == ["4", "5", "6", "7"]
    assert (await world.ask(WHAT, {**body, "page": {}})).body["page"]["next_token"]


async def test_a_token_continues_only_its_own_search(world: World) -> None:
    """
    Whatever differs from the request that a token came from is an error; the limit may be left out.
    """
    body = what("user:bob", "viewer", context={"a": 1})
    token = (await world.ask(WHAT, {**body, "page": {"limit": 1}})).body["page"]["next_token"]
    for page in ({"token": token}, {"token": token, "limit": 1}):
        assert ids(await world.ask(WHAT, {**body, "page": page})) == ["plan"]
    changes: list[Json] = [
        {"page": {"token": token, "limit": 2}},
        {"page": {"token": token[:-2] + "AA"}},
        {"context": {"a": 2}},
        {"context": {}},
        {"action": {"name": "owner"}},
        {"action": {"name": "viewer", "properties": {"a": 1}}},
        {"subject": entity("user:ann")},
        {"resource": {"type": "doc", "properties": {"a": 1}}},
    ]
    for change in changes:
        answer = await world.ask(WHAT, {**body, "page": {"token": token}, **change})
        assert answer.failure is not None, change
        assert answer.failure.reason == "invalid_continuation_token"
    model = (await world.ask(WHAT, body)).headers["openfga-authorization-model-id"]
    named = ("openfga-authorization-model-id", model)
    assert (await world.ask(WHAT, {**body, "page": {"token": token}}, named)).failure is not None
    assert (await world.ask(WHO, who("viewer", "doc:plan", page={"token": token}))).failure is not None


async def test_pages_survive_writes(sqlite_datastore: SqlDatastore) -> None:
    """
    While tuples come and go between pages, what stays is found just once, and a page is not older than the last write.
    """
    tuples = [tuple_(f"doc:{number:02}", "owner", "user:ann") for number in range(10)]
    world = await new_world(sqlite_datastore, MODEL, *tuples)
    body = what("user:ann", "owner")
    found, token = [], None
    for step in range(6):
        page = {"limit": 2} if token is None else {"limit": 2, "token": token}
        answer = await world.ask(WHAT, {**body, "page": page})
        found += ids(answer)
        token = answer.body["page"]["next_token"]
        if not token:
            break
        await put(world.services, world.store_id, tuple_(f"doc:00{step}", "owner", "user:ann"))
        await put(world.services, world.store_id, tuple_(f"doc:99{step}", "owner", "user:ann"))
    assert len(found) == len(set(found))
    assert [each for each in found if len(each) == 2] == [f"{number:02}" for number in range(10)]


async def test_actions_are_what_the_operator_calls_so(sqlite_datastore: SqlDatastore) -> None:
    """
    All relations that the subject's type can have are actions, unless the setting keeps roles out of the search.
    """
    model = MODEL.replace("define public", "define can_read: viewer\n    define can_edit: editor\n    define public")
    facts = (tuple_("doc:1", "owner", "user:ann"), tuple_("doc:1", "parent", "folder:x"))
    world = await new_world(sqlite_datastore, model, *facts)
    found = ids(await world.ask(WHICH, which("user:ann", "doc:1")))
    assert found == ["can_edit", "can_read", "editor", "owner", "viewer"]
    assert ids(await world.ask(WHICH, which("folder:x", "doc:1"))) == ["parent"]
    narrow = await new_world(sqlite_datastore, model, *facts, limits=Limits(actions=("can_*",)))
    assert ids(await narrow.ask(WHICH, which("user:ann", "doc:1"))) == ["can_edit", "can_read"]
    assert await narrow.allows("user:ann", "owner", "doc:1")


async def test_actions_are_many(sqlite_datastore: SqlDatastore) -> None:
    """
    A type may have any number of relations: none is dropped, beyond the fifty of a batch of checks too.
    """
    names = [f"can_{number:03}" for number in range(180)]
    model = "model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define owner: [user]\n"
    model += "".join(f"    define {name}: owner\n" for name in names)
    world = await new_world(sqlite_datastore, model, tuple_("doc:1", "owner", "user:ann"))
    assert ids(await world.ask(WHICH, which("user:ann", "doc:1"))) == [*names, "owner"]


async def test_what_is_asked_is_recorded(world: World) -> None:
    """
    The record has the question with what it leaves open, and how many results there were.
    """
    expected = {
        WHO: (who("editor", "doc:plan"), ("doc:plan", "editor", "user:"), 2),
        WHAT: (what("user:bob", "viewer"), ("doc:", "viewer", "user:bob"), 2),
        WHICH: (which("user:bob", "doc:plan"), ("doc:plan", "", "user:bob"), 1),
    }
    for name, (body, key, results) in expected.items():
        exchange = (await world.ask(name, body)).exchange
        assert exchange is not None
        assert [tuple(each) for each in exchange.keys] == [key]
        assert exchange.results == results
