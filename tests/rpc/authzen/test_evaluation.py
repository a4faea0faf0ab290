"""One evaluation: who is asked about, what conditions see, what an answer says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz.store.sql import SqlDatastore
from tests.commands.support import new_model, put
from tests.rpc.authzen.conftest import MODEL, tuple_
from tests.rpc.authzen.support import World, access, new_world

pytestmark = pytest.mark.anyio


async def test_a_decision_is_all_that_is_said(world: World) -> None:
    """
    The answer is `decision` and nothing else; what it rests on stands in the metadata.
    """
    answer = await world.ask("Evaluation", access("user:ann", "viewer", "doc:plan"))
    assert answer.body == {"decision": True}
    assert {"authz-consistency-token", "openfga-authorization-model-id"} <= answer.headers.keys()
    assert (await world.ask("Evaluation", access("user:zoe", "viewer", "doc:plan"))).body == {"decision": False}


async def test_groups_and_wildcards_count(world: World) -> None:
    """
    A subject is allowed by way of a group and of a typed wildcard, as in Check.
    """
    assert await world.allows("user:eve", "editor", "doc:plan")
    assert await world.allows("user:stranger", "viewer", "doc:news")
    assert not await world.allows("user:mallory", "public", "doc:news")


@pytest.mark.parametrize(
    ("subject", "resource"),
    [
        ({"type": "group", "id": "eng#member"}, {"type": "doc", "id": "plan"}),
        ({"type": "group:eng#member", "id": "x"}, {"type": "doc", "id": "plan"}),
        ({"type": "group:eng", "id": "#member"}, {"type": "doc", "id": "plan"}),
        ({"type": "user", "id": "*"}, {"type": "doc", "id": "news"}),
        ({"type": "user", "id": "**"}, {"type": "doc", "id": "news"}),
        ({"type": "user:*", "id": "*"}, {"type": "doc", "id": "news"}),
        ({"type": "us", "id": "er:ann"}, {"type": "doc", "id": "plan"}),
        ({"type": "user", "id": "ann "}, {"type": "doc", "id": "plan"}),
        ({"type": "user", "id": "ann\n"}, {"type": "doc", "id": "plan"}),
        ({"type": "user", "id": "ann\x00"}, {"type": "doc", "id": "plan"}),
        ({"type": "user", "id": "a" * 600}, {"type": "doc", "id": "plan"}),
        ({"type": "user", "id": "ann"}, {"type": "doc", "id": "plan#owner"}),
        ({"type": "user", "id": "ann"}, {"type": "doc:plan", "id": "x"}),
        ({"type": "user", "id": "ann"}, {"type": "doc", "id": "*"}),
        ({"type": "user", "id": "ann"}, {"type": "nothing", "id": "plan"}),
        ({"type": "x" * 300, "id": "ann"}, {"type": "doc", "id": "plan"}),
    ],
)
@pytest.mark.parametrize("action", ["viewer", "editor", "public", "nothing", "doc#viewer", "v" * 999])
async def test_names_that_no_tuple_can_hold_are_denied(
    world: World, subject: dict[str, str], resource: dict[str, str], action: str
) -> None:
    """
    A name that would read as a userset, a wildcard or another type is denied, and so is what the model does not define.
    """
    answer = await world.ask("Evaluation", {"subject": subject, "action": {"name": action}, "resource": resource})
    assert answer.body == {"decision": False}


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    type_=st.sampled_from(["user", "group", "us", "user:*"]),
    id_=st.text(st.sampled_from("*#:@ \tann"), min_size=1, max_size=6),
    rest=st.sampled_from(["", "#member", ":*", ":ann"]),
)
async def test_only_who_everybody_is_may_see_what_everybody_may(world: World, type_: str, id_: str, rest: str) -> None:
    """
    Whatever its name, a subject is a plain one of its type or none: `*` never stands for everybody.
    """
    subject = {"type": type_, "id": id_ + rest}
    answer = await world.ask(
        "Evaluation",
        {"subject": subject, "action": {"name": "viewer"}, "resource": {"type": "doc", "id": "news"}},
    )
    is_plain = type_ == "user" and not set(id_ + rest) & set("#: \t") and not id_.startswith("*")
    assert answer.body == {"decision": is_plain}


async def test_properties_are_parameters_of_conditions(world: World) -> None:
    """
    Properties of the three entities come with their prefixes, entries of the context as they are.
    """
    body = access("user:ann", "limited", "doc:plan")
    body["subject"]["properties"] = {"role": "admin"}
    body["resource"]["properties"] = {"status": "open"}
    assert (await world.ask("Evaluation", body)).body == {"decision": True}
    assert await world.allows("user:ann", "office", "doc:plan", {"ip": "10.0.0.1", "else": [1]})
    assert not await world.allows("user:ann", "office", "doc:plan", {"ip": "10.0.0.2"})


async def test_nothing_passes_itself_off_as_a_property(world: World) -> None:
    """
    An entry of the context that is named like a property counts for nothing, whether there is such a property or not.
    """
    spoof = {"subject_role": "admin", "resource_status": "open"}
    assert not await world.allows("user:ann", "limited", "doc:plan", spoof)
    body = {**access("user:ann", "limited", "doc:plan"), "context": spoof}
    body["subject"]["properties"] = {"role": "guest"}
    body["resource"]["properties"] = {"status": "open"}
    assert (await world.ask("Evaluation", body)).body == {"decision": False}
    body["action"]["properties"] = {"role": "admin", "subject_role": "admin"}
    assert (await world.ask("Evaluation", body)).body == {"decision": False}
    office = access("user:ann", "office", "doc:plan")
    office["subject"]["properties"] = office["action"]["properties"] = {"ip": "10.0.0.1"}
    assert (await world.ask("Evaluation", office)).body == {"decision": False}


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({}, "denied", "`user:zoe` does not have the relation `viewer` to `doc:plan`"),
        ({"subject": {"type": "user", "id": "ann"}}, "allowed", "`user:ann` has the relation `viewer` to `doc:plan`"),
        ({"subject": {"type": "robot", "id": "x"}}, "type_not_found", "type `robot` is not defined"),
        ({"action": {"name": "fly"}}, "relation_not_found", "action `fly`"),
        ({"subject": {"type": "user", "id": "a#b"}}, "validation_error", "id `a#b` of the subject"),
        (
            {"subject": {"type": "user", "id": "ann"}, "action": {"name": "office"}},
            "condition_failed",
            "needs parameters that the context does not give: `ip`",
        ),
    ],
)
async def test_reasons_are_given_when_asked_for(world: World, change: dict[str, Any], code: str, told: str) -> None:
    """
    With `options.reasons` the context says why, at which model and revision; without it nothing is said.
    """
    body = {**access("user:zoe", "viewer", "doc:plan"), **change}
    is_allowed = code == "allowed"
    assert (await world.ask("Evaluation", body)).body == {"decision": is_allowed}
    answer = await world.ask("Evaluation", {**body, "options": {"reasons": True}})
    context, status = answer.body["context"], "200" if is_allowed else "403"
    assert answer.body["decision"] is is_allowed
    assert context["code"] == code
    assert told in context["reason_admin"][status]
    assert context["reason_user"] == {status: "access is allowed" if is_allowed else "access is denied"}
    assert context["metadata"] == {
        "authorization_model_id": answer.headers["openfga-authorization-model-id"],
        "consistency_token": answer.headers["authz-consistency-token"],
    }


@pytest.mark.parametrize(
    "broken",
    [
        {"subject": None},
        {"subject": {"type": "user"}},
        {"subject": {"type": "", "id": "ann"}},
        {"action": {}},
        {"action": {"name": 5}},
        {"resource": {"id": "plan"}},
        {"resource": {"type": ["doc"], "id": "plan"}},
        {"context": "here"},
        {"subject": {"type": "user", "id": "ann", "properties": [1]}},
        {"options": {"reasons": "yes"}},
        {"context": {"deep": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}},
    ],
)
async def test_what_is_malformed_is_refused(world: World, broken: dict[str, Any]) -> None:
    """
    A part that is missing or of the wrong kind is an error of the request, not a denial.
    """
    answer = await world.ask("Evaluation", {**access("user:ann", "viewer", "doc:plan"), **broken})
    assert answer.failure is not None
    assert answer.failure.status.name == "INVALID_ARGUMENT"


async def test_the_model_is_chosen_by_a_header(world: World) -> None:
    """
    A model can be named; one that does not exist, or that is no id at all, is an error.
    """
    body = access("user:ann", "viewer", "doc:plan")
    old = (await world.ask("Evaluation", body)).headers["openfga-authorization-model-id"]
    await new_model(world.services, world.store_id, MODEL.replace("define viewer", "define reader"))
    assert (await world.ask("Evaluation", body)).body == {"decision": False}
    assert (await world.ask("Evaluation", body, ("openfga-authorization-model-id", old))).body == {"decision": True}
    for wrong in ("nonsense", "01HZZZZZZZZZZZZZZZZZZZZZZZ", ""):
        answer = await world.ask("Evaluation", body, ("openfga-authorization-model-id", wrong))
        assert answer.failure is not None, wrong
        assert answer.failure.status.name == "INVALID_ARGUMENT"


async def test_the_answer_is_as_fresh_as_asked(world: World) -> None:
    """
    A token of the past shows the past; the token of an answer is that of its revision.
    """
    body = access("user:new", "viewer", "doc:plan")
    before = (await world.ask("Evaluation", body)).headers["authz-consistency-token"]
    await put(world.services, world.store_id, tuple_("doc:plan", "viewer", "user:new"))
    now = await world.ask("Evaluation", body, ("authz-consistency", "fully-consistent"))
    assert now.body == {"decision": True}
    assert now.headers["authz-consistency-token"] != before
    then = await world.ask("Evaluation", body, ("authz-consistency", f"at-exact-snapshot={before}"))
    assert then.body == {"decision": False}


async def test_a_default_store_answers_calls_that_name_none(sqlite_datastore: SqlDatastore) -> None:
    """
    Without a store in the path the default one is asked, and without a default the caller is told what to do.
    """
    body = access("user:ann", "owner", "doc:plan")
    ready = await new_world(sqlite_datastore, MODEL, tuple_("doc:plan", "owner", "user:ann"), default=True)
    assert (await ready.ask("Evaluation", body, store="")).body == {"decision": True}
    bare = World(ready.services, ready.store_id)
    failure = (await bare.ask("Evaluation", body, store="")).failure
    assert failure is not None
    assert "`authzen.store`" in failure.message
    assert "/stores/STORE/access/v1/" in failure.message


async def test_what_is_asked_is_recorded(world: World) -> None:
    """
    The record of a call has the key that was asked about, cut where it is longer than any name, and the decision.
    """
    answer = await world.ask("Evaluation", access("user:ann", "viewer", f"doc:{'x' * 5000}"))
    assert answer.exchange is not None
    ((object_, relation, user),) = answer.exchange.keys
    assert (relation, user, len(object_)) == ("viewer", "user:ann", len("doc:") + 512)
    assert answer.exchange.decisions == [None]
