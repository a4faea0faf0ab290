"""The Python SDK: every question that can be asked."""

from __future__ import annotations

from typing import Any

import pytest
from openfga_sdk.client.models import (
    ClientBatchCheckItem,
    ClientBatchCheckRequest,
    ClientExpandRequest,
    ClientListObjectsRequest,
    ClientListRelationsRequest,
    ClientTuple,
)
from openfga_sdk.exceptions import ValidationException
from openfga_sdk.models import FgaObject, RelationshipCondition, UserTypeFilter
from openfga_sdk.models.list_users_request import ListUsersRequest

from tests.sdk.clients import Sdk, check, tuple_

NEAR = RelationshipCondition(name="near", context={"most": 5})
CONSISTENCIES = ("MINIMIZE_LATENCY", "HIGHER_CONSISTENCY", "UNSPECIFIED")


@pytest.fixture
def filled(documents: Sdk) -> Sdk:
    """A store with some tuples."""
    documents.write_tuples(
        [
            tuple_("user:anne", "owner", "document:a"),
            tuple_("user:*", "viewer", "document:public"),
            tuple_("group:g#member", "viewer", "document:b"),
            tuple_("user:bob", "member", "group:g"),
            tuple_("user:bob", "blocked", "document:public"),
            ClientTuple(user="user:carl", relation="viewer", object="document:near", condition=NEAR),
        ]
    )
    return documents


@pytest.mark.parametrize("consistency", CONSISTENCIES)
def test_check(filled: Sdk, consistency: str) -> None:
    """
    Yes and no, in every consistency that the SDK offers.
    """
    options = {"consistency": consistency}
    assert filled.check(check("user:anne", "can_view", "document:a"), dict(options)).allowed is True
    assert filled.check(check("user:bob", "can_view", "document:public"), dict(options)).allowed is False


def test_check_with_contextual_tuples_and_context(filled: Sdk) -> None:
    """
    Both reach the decision, together with a model that is named.
    """
    model = filled.read_latest_authorization_model().authorization_model.id
    contextual = [tuple_("user:dora", "member", "group:g")]
    options = {"authorization_model_id": model}
    assert filled.check(check("user:dora", "viewer", "document:b"), dict(options)).allowed is False
    asked = check("user:dora", "viewer", "document:b", contextual_tuples=contextual)
    assert filled.check(asked, dict(options)).allowed is True
    for distance, allowed in ((5, True), (6, False)):
        asked = check("user:carl", "viewer", "document:near", context={"distance": distance})
        assert filled.check(asked).allowed is allowed
    with pytest.raises(ValidationException) as refused:
        filled.check(check("user:carl", "viewer", "document:near"))
    assert refused.value.code == "validation_error"


def test_names_of_all_languages(documents: Sdk) -> None:
    """
    Users and objects come back as they went in, whichever way their letters are escaped.
    """
    user, name = "user:änne😀", "document:日本"
    documents.write_tuples([tuple_(user, "owner", name)])
    assert documents.check(check(user, "can_view", name)).allowed is True
    asked = ClientListObjectsRequest(user=user, relation="owner", type="document")
    assert documents.list_objects(asked).objects == [name]
    assert documents.streamed_list_objects(asked)[0].object == name


def test_batch_check_on_the_server(filled: Sdk) -> None:
    """
    More checks than one request may have go in several; each answer belongs to its question, and a bad question is
    told beside good ones.
    """
    checks = [
        ClientBatchCheckItem(user=f"user:{name}", relation="viewer", object="document:b", correlation_id=f"{name}-1")
        for name in ("anne", "bob")
    ]
    checks.append(
        ClientBatchCheckItem(
            user="user:carl",
            relation="viewer",
            object="document:near",
            context={"distance": 1},
            contextual_tuples=[tuple_("user:carl", "member", "group:g")],
            correlation_id="carl",
        )
    )
    checks.append(ClientBatchCheckItem(user="user:anne", relation="absent", object="document:b", correlation_id="bad"))
    checks += [ClientBatchCheckItem(user="user:bob", relation="viewer", object="document:b") for _ in range(100)]
    answer = filled.batch_check(ClientBatchCheckRequest(checks=checks), {"consistency": "HIGHER_CONSISTENCY"})
    by_id = {each.correlation_id: each for each in answer.result}
    assert len(checks) == len(by_id)
    assert [by_id[name].allowed for name in ("anne-1", "bob-1", "carl")] == [False, True, True]
    assert all(by_id[each.correlation_id].allowed for each in checks[4:])
    assert by_id["bob-1"].request.user == "user:bob"
    assert by_id["bad"].error.input_error == "validation_error"
    assert "absent" in by_id["bad"].error.message


def test_batch_check_by_the_client(filled: Sdk) -> None:
    """
    Many checks at once over several connections; a bad one is told beside good ones.
    """
    asked = [check("user:bob", "viewer", "document:b") for _ in range(30)]
    asked.append(check("user:bob", "absent", "document:b"))
    answers = filled.client_batch_check(asked, {"max_parallel_requests": 8})
    assert [each.allowed for each in answers] == [True] * 30 + [False]
    assert [each.error for each in answers[:30]] == [None] * 30
    assert isinstance(answers[30].error, ValidationException)


def test_expand(filled: Sdk) -> None:
    """
    The tree has its leaves, computed parts and differences; contextual tuples are in it.
    """
    asked = ClientExpandRequest("viewer", "document:b", [tuple_("user:dora", "viewer", "document:b")])
    root = filled.expand(asked).tree.root
    assert root.name == "document:b#viewer"
    direct, computed = root.union.nodes
    assert {"group:g#member", "user:dora"} == set(direct.leaf.users.users)
    assert computed.leaf.computed.userset == "document:b#owner"
    difference = filled.expand(ClientExpandRequest("can_view", "document:b", None)).tree.root.difference
    assert difference.subtract.leaf.computed.userset == "document:b#blocked"


def test_list_objects(filled: Sdk) -> None:
    """
    At once and as a stream, with context and contextual tuples.
    """
    asked = ClientListObjectsRequest(
        user="user:bob",
        relation="can_view",
        type="document",
        contextual_tuples=[tuple_("user:bob", "owner", "document:own")],
        context={"distance": 3},
    )
    expected = {"document:b", "document:own"}
    assert expected == set(filled.list_objects(asked).objects)
    assert expected == {each.object for each in filled.streamed_list_objects(asked)}
    nothing = ClientListObjectsRequest(user="user:nobody", relation="owner", type="document")
    assert filled.list_objects(nothing).objects == []
    assert filled.streamed_list_objects(nothing) == []


def test_a_long_stream_arrives_whole(documents: Sdk) -> None:
    """
    Thousands of objects come, however the bytes are cut on their way.
    """
    names = [f"document:{'x' * 200}{number}" for number in range(2000)]
    for start in range(0, len(names), 100):
        documents.write_tuples([tuple_("user:anne", "owner", name) for name in names[start : start + 100]])
    asked = ClientListObjectsRequest(user="user:anne", relation="viewer", type="document")
    found = [each.object for each in documents.streamed_list_objects(asked)]
    assert sorted(names) == sorted(found)
    assert len(set(documents.list_objects(asked).objects)) == 1000


def test_list_users(filled: Sdk) -> None:
    """
    Objects, usersets and wildcards come as the SDK's own kinds.
    """
    people = _users(filled, "document:b", UserTypeFilter(type="user"))
    assert [(each.object.type, each.object.id) for each in people] == [("user", "bob")]
    groups = _users(filled, "document:b", UserTypeFilter(type="group", relation="member"))
    assert [(e.userset.type, e.userset.id, e.userset.relation) for e in groups] == [("group", "g", "member")]
    everybody = _users(filled, "document:public", UserTypeFilter(type="user"))
    assert [each.wildcard.type for each in everybody] == ["user"]
    more = _users(
        filled,
        "document:near",
        UserTypeFilter(type="user"),
        contextual_tuples=[tuple_("user:dora", "owner", "document:near")],
        context={"distance": 1},
    )
    assert {"carl", "dora"} == {each.object.id for each in more}


def test_list_relations(filled: Sdk) -> None:
    """
    Those of the relations that a user has; a relation that there is not fails the question.
    """
    relations = ["owner", "viewer", "blocked", "can_view"]
    asked = ClientListRelationsRequest(user="user:anne", object="document:a", relations=relations)
    assert filled.list_relations(asked) == ["owner", "viewer", "can_view"]
    asked = ClientListRelationsRequest(user="user:anne", object="document:a", relations=["owner", "absent"])
    with pytest.raises(ValidationException):
        filled.list_relations(asked)


def _users(sdk: Sdk, name: str, filter_: UserTypeFilter, **more: Any) -> list[Any]:
    type_, _, id_ = name.partition(":")
    asked = ListUsersRequest(object=FgaObject(type=type_, id=id_), relation="viewer", user_filters=[filter_], **more)
    return list(sdk.list_users(asked).users)
