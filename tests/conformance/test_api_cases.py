"""Single calls, most of them wrong on purpose, end in the code and the answer that is written down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from ulid import ULID

from authz._proto.openfga.v1 import openfga_service_pb2 as service
from tests.conformance.client import Json, Refused, error_name
from tests.conformance.data import load_yaml, needs_data, with_ids
from tests.conformance.judge import Judge, is_own_fault

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet
    from google.protobuf.message import Message

    from tests.conformance.client import RemoteStore
    from tests.conformance.conftest import NewStore

pytestmark = needs_data

OK, INVALID_ARGUMENT = 0, 3
_OF_FIELDS = frozenset({error_name(number) for number in (2000, 2030, *range(2033, 2035), *range(2036, 2052), 2059)})
"""The reasons that request validation gives."""


def _cases() -> list[ParameterSet]:
    return with_ids((case["id"], case) for case in load_yaml("api_cases").get("cases", []))


@pytest.mark.parametrize("case", _cases())
def test_case(case: Json, new_store: NewStore) -> None:
    """The call ends with one of the codes, and the response has the members that are given."""
    store = new_store()
    if case.get("model"):
        store.write_model(case["model"])
    store.write(case.get("tuples") or [])
    answer = store.try_call(case["call"], _request(case, store))
    judge = Judge(f"api_cases/{case['id']}")
    codes = case["expect"]["codes"]
    if not _is_one_of(answer, codes):
        names = " or ".join(str(code) if code < 1000 else error_name(code) for code in codes)
        judge.differs(case["call"], f"code {names}", answer if isinstance(answer, Refused) else "OK")
    elif not isinstance(answer, Refused):
        wanted = case["expect"].get("response") or {}
        given = MessageToDict(answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
        for path in _lacking(wanted, given):
            judge.differs(f"{case['call']} response{path}", str(wanted), str(given))
    judge.verdict()


def _request(case: Json, store: RemoteStore) -> Message:
    request: Message = getattr(service, f"{case['call']}Request")()
    body = _filled(case["request"] or {}, store)
    if not case["source"].endswith("functional_test.go"):
        fields = request.DESCRIPTOR.fields_by_name
        for name, id_ in (("store_id", store.id), ("authorization_model_id", store.model_id)):
            if name in fields and id_:
                body.setdefault(name, id_)
    return ParseDict(body, request, ignore_unknown_fields=True)


def _filled(value: Any, store: RemoteStore) -> Any:
    """The request with fresh ids in place of `${...}`."""
    if isinstance(value, dict):
        return {key: _filled(item, store) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, store) for item in value]
    if isinstance(value, str) and "${" in value:
        for name, id_ in (("STORE", store.id), ("MODEL", store.model_id), ("ULID", str(ULID()))):
            value = value.replace(f"${{{name}}}", id_)
    return value


def _is_one_of(answer: Message | Refused, codes: list[int]) -> bool:
    if not isinstance(answer, Refused):
        return OK in codes
    if is_own_fault(answer):
        return False
    if INVALID_ARGUMENT in codes and answer.status is grpc.StatusCode.INVALID_ARGUMENT and answer.reason in _OF_FIELDS:
        return True
    return answer.reason in {error_name(code) for code in codes if code not in (OK, INVALID_ARGUMENT)}


def _lacking(wanted: Any, given: Any, path: str = "") -> list[str]:
    """Where the given value lacks something wanted; lists of text are sets."""
    if isinstance(wanted, dict):
        if not isinstance(given, dict):
            return [path]
        return [found for key, item in wanted.items() for found in _lacking(item, given.get(key), f"{path}.{key}")]
    if isinstance(wanted, list):
        if not isinstance(given, list) or len(given) != len(wanted):
            return [path]
        if all(isinstance(item, str) for item in wanted):
            return [] if set(wanted) == set(given) else [path]
        pairs = enumerate(zip(wanted, given, strict=True))
        return [found for number, pair in pairs for found in _lacking(*pair, f"{path}[{number}]")]
    return [] if wanted == given else [path]
