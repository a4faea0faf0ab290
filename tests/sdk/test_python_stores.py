"""The Python SDK: stores, models and assertions."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from openfga_sdk.client.models import ClientAssertion
from openfga_sdk.models.create_store_request import CreateStoreRequest

from schema_dsl import dsl_to_json
from tests.sdk.clients import DOCUMENTS, Sdk


def test_stores(sdk: Sdk) -> None:
    """
    A store is created, found by its id, and gone once it is deleted.
    """
    created = sdk.create_store(CreateStoreRequest(name="papers"))
    sdk.set_store_id(created.id)
    found = sdk.get_store()
    assert (created.id, "papers") == (found.id, found.name)
    assert abs((datetime.now(UTC) - found.created_at).total_seconds()) < 60
    assert found.created_at == created.created_at == found.updated_at
    assert sdk.delete_store() is None
    assert created.id not in {each.id for each in _all_stores(sdk, {})}


def test_stores_are_listed_by_pages_and_by_name(sdk: Sdk) -> None:
    """
    Pages follow each other without gap or overlap, and a name finds its stores alone.
    """
    name = f"n{uuid.uuid4().hex}"
    made = [sdk.create_store(CreateStoreRequest(name=name)).id for _ in range(3)]
    assert sorted(made) == sorted(each.id for each in _all_stores(sdk, {"name": name, "page_size": 2}))
    assert _all_stores(sdk, {"name": name[:-1]}) == []


def test_models(sdk: Sdk) -> None:
    """
    A model made from text is read as it was written; the newest stands first and is the latest.
    """
    sdk.set_store_id(sdk.create_store(CreateStoreRequest(name="models")).id)
    body = dsl_to_json(DOCUMENTS)
    first, second = (sdk.write_authorization_model(body).authorization_model_id for _ in range(2))
    model = sdk.read_authorization_model({"authorization_model_id": first}).authorization_model
    assert (first, "1.1") == (model.id, model.schema_version)
    assert [each.type for each in model.type_definitions] == ["user", "group", "document"]
    document = model.type_definitions[2]
    difference = document.relations["can_view"].difference
    assert (
        difference.base.computed_userset.relation,
        difference.subtract.computed_userset.relation,
    ) == ("viewer", "blocked")
    references = document.metadata.relations["viewer"].directly_related_user_types
    found = [(each.type, each.relation, each.wildcard is not None, each.condition) for each in references]
    assert found == [
        ("user", None, False, ""),
        ("user", None, True, ""),
        ("group", "member", False, ""),
        ("user", None, False, "near"),
    ]
    condition = model.conditions["near"]
    assert {"distance", "most"} == set(condition.parameters)
    assert condition.parameters["most"].type_name == "TYPE_NAME_INT"
    assert second == sdk.read_latest_authorization_model().authorization_model.id
    page = sdk.read_authorization_models({"page_size": 1})
    rest = sdk.read_authorization_models({"page_size": 1, "continuation_token": page.continuation_token})
    assert [second, first] == [each.id for each in (*page.authorization_models, *rest.authorization_models)]


def test_a_store_without_a_model_has_no_latest_one(sdk: Sdk) -> None:
    """
    The list of models is empty, as the SDK wants it, and no failure.
    """
    sdk.set_store_id(sdk.create_store(CreateStoreRequest(name="empty")).id)
    assert sdk.read_latest_authorization_model().authorization_model is None
    assert sdk.read_authorization_models().continuation_token == ""


def test_assertions(documents: Sdk) -> None:
    """
    Assertions are read as they were written; writing replaces all; before the first there are none.
    """
    model = documents.read_latest_authorization_model().authorization_model.id
    options = {"authorization_model_id": model}
    assert documents.read_assertions(dict(options)).assertions == []
    written = [
        ClientAssertion(user="user:anne", relation="viewer", object="document:a", expectation=True),
        ClientAssertion(user="user:bob", relation="viewer", object="document:a", expectation=False),
    ]
    for some in (written, written[1:]):
        assert documents.write_assertions(some, dict(options)) is None
        answer = documents.read_assertions(dict(options))
        assert model == answer.authorization_model_id
        assert [(each.user, each.expectation) for each in some] == [
            (each.tuple_key.user, each.expectation) for each in answer.assertions
        ]


def _all_stores(sdk: Sdk, options: dict[str, object]) -> list[object]:
    found: list[object] = []
    token = ""
    while True:
        page = sdk.list_stores({**options, "continuation_token": token})
        found += page.stores
        token = page.continuation_token
        if not token:
            return found
