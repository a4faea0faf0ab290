"""The Python SDK: writing tuples, reading them, and what changed."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from openfga_sdk.client.models import (
    ClientReadChangesRequest,
    ClientTuple,
    ClientWriteRequest,
    ClientWriteRequestOnDuplicateWrites,
    ClientWriteRequestOnMissingDeletes,
    ConflictOptions,
    WriteTransactionOpts,
)
from openfga_sdk.exceptions import ApiException, ValidationException
from openfga_sdk.models import ReadRequestTupleKey, RelationshipCondition

from tests.sdk.clients import Sdk, tuple_

ANNE, BOB = tuple_("user:anne", "viewer", "document:a"), tuple_("user:bob", "viewer", "document:a")
ALL_CHANGES: Any = ClientReadChangesRequest("")
IGNORE = ConflictOptions(
    on_duplicate_writes=ClientWriteRequestOnDuplicateWrites.IGNORE,
    on_missing_deletes=ClientWriteRequestOnMissingDeletes.IGNORE,
)

_A_MOMENT = 0.02
"""Times of changes are whole milliseconds."""


def test_a_transaction_is_written_whole_or_not_at_all(documents: Sdk) -> None:
    """
    Writes and deletes of one request take place together; one that cannot keeps the others from it.
    """
    answer = documents.write(ClientWriteRequest(writes=[ANNE, BOB]))
    assert [(e.tuple_key, e.success, e.error) for e in answer.writes] == [(ANNE, True, None), (BOB, True, None)]
    carl = tuple_("user:carl", "viewer", "document:a")
    documents.write(ClientWriteRequest(writes=[carl], deletes=[BOB]))
    assert {"user:anne", "user:carl"} == _users(documents)
    with pytest.raises(ValidationException) as refused:
        documents.write(ClientWriteRequest(writes=[BOB, carl]))
    assert refused.value.code == "write_failed_due_to_invalid_input"
    assert {"user:anne", "user:carl"} == _users(documents)


def test_without_a_transaction_each_part_stands_for_itself(documents: Sdk) -> None:
    """
    The SDK writes chunk by chunk: what fails is told beside what was written.
    """
    documents.write_tuples([ANNE])
    carl, dora = (tuple_(f"user:{name}", "viewer", "document:a") for name in ("carl", "dora"))
    body = ClientWriteRequest(writes=[ANNE, BOB, carl], deletes=[dora])
    answer = documents.write(body, {"transaction": WriteTransactionOpts(disabled=True, max_parallel_requests=2)})
    assert [each.success for each in answer.writes] == [False, True, True]
    assert isinstance(answer.writes[0].error, ValidationException)
    assert [each.success for each in answer.deletes] == [False]
    assert answer.deletes[0].error.code == "write_failed_due_to_invalid_input"
    assert {"user:anne", "user:bob", "user:carl"} == _users(documents)


def test_many_tuples_go_in_chunks(documents: Sdk) -> None:
    """
    More tuples than one request may have are written as several, in chunks of the greatest size.
    """
    many = [tuple_(f"user:{number}", "viewer", "document:a") for number in range(230)]
    chunks = WriteTransactionOpts(disabled=True, max_per_chunk=100)
    answer = documents.write(ClientWriteRequest(writes=many), {"transaction": chunks})
    assert all(each.success for each in answer.writes)
    assert {each.user for each in many} == _users(documents)
    with pytest.raises(ValidationException) as refused:
        documents.write(ClientWriteRequest(writes=many))
    assert refused.value.code == "exceeded_entity_limit"


def test_duplicates_and_missing_tuples(documents: Sdk) -> None:
    """
    They are failures by default, and nothing when the SDK's options say so; another condition is a conflict.
    """
    documents.write_tuples([ANNE])
    documents.write_tuples([ANNE, BOB], {"conflict": IGNORE})
    assert {"user:anne", "user:bob"} == _users(documents)
    documents.delete_tuples([ANNE])
    with pytest.raises(ValidationException) as refused:
        documents.delete_tuples([ANNE, BOB])
    assert refused.value.code == "write_failed_due_to_invalid_input"
    documents.delete_tuples([ANNE, BOB], {"conflict": IGNORE})
    assert set() == _users(documents)
    documents.write_tuples([ANNE])
    near = RelationshipCondition(name="near", context={"most": 5})
    other = ClientTuple(user=ANNE.user, relation=ANNE.relation, object=ANNE.object, condition=near)
    with pytest.raises(ApiException) as conflict:
        documents.write_tuples([other], {"conflict": IGNORE})
    assert conflict.value.status == 409


def test_reading(documents: Sdk) -> None:
    """
    All tuples come page by page, and a key without some of its parts finds those that fit.
    """
    near = RelationshipCondition(name="near", context={"most": 5})
    some = [tuple_(f"user:{number}", "viewer", f"document:{number % 3}") for number in range(7)]
    some.append(ClientTuple(user="user:x", relation="viewer", object="document:x", condition=near))
    documents.write_tuples(some)
    assert {(each.user, each.object) for each in some} == {
        (each.key.user, each.key.object) for each in _read(documents, ReadRequestTupleKey(), 3)
    }
    fitting = _read(documents, ReadRequestTupleKey(user="user:4", object="document:"), 50)
    assert [each.key.object for each in fitting] == ["document:1"]
    assert abs((datetime.now(UTC) - fitting[0].timestamp).total_seconds()) < 60
    assert fitting[0].key.condition is None
    read = _read(documents, ReadRequestTupleKey(relation="viewer", object="document:x"), 50)[0].key.condition
    assert (read.name, read.context) == ("near", {"most": 5})


def test_changes(documents: Sdk) -> None:
    """
    The changelog is read on from where the last page ended, for one type and from one time on.
    """
    documents.write_tuples([ANNE, tuple_("user:anne", "member", "group:g")])
    time.sleep(_A_MOMENT)
    later = datetime.now(UTC)
    time.sleep(_A_MOMENT)
    documents.delete_tuples([ANNE])
    page = documents.read_changes(ALL_CHANGES, {"page_size": 2})
    rest = documents.read_changes(ALL_CHANGES, {"page_size": 2, "continuation_token": page.continuation_token})
    found = [(each.operation, each.tuple_key.object) for each in (*page.changes, *rest.changes)]
    assert found == [
        ("TUPLE_OPERATION_WRITE", "document:a"),
        ("TUPLE_OPERATION_WRITE", "group:g"),
        ("TUPLE_OPERATION_DELETE", "document:a"),
    ]
    end = documents.read_changes(ALL_CHANGES, {"continuation_token": rest.continuation_token})
    assert ([], rest.continuation_token) == (end.changes, end.continuation_token)
    groups = documents.read_changes(ClientReadChangesRequest("group"))
    assert [each.tuple_key.object for each in groups.changes] == ["group:g"]
    newest = documents.read_changes(ClientReadChangesRequest("document", later))
    assert [each.operation for each in newest.changes] == ["TUPLE_OPERATION_DELETE"]


def _read(sdk: Sdk, key: ReadRequestTupleKey, size: int) -> list[Any]:
    found: list[Any] = []
    token = ""
    while True:
        page = sdk.read(key, {"page_size": size, "continuation_token": token})
        assert len(page.tuples) <= size
        found += page.tuples
        token = page.continuation_token
        if not token:
            return found


def _users(sdk: Sdk) -> set[str]:
    return {each.key.user for each in _read(sdk, ReadRequestTupleKey(object="document:a"), 100)}
