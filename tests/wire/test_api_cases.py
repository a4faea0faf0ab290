"""The handed-out API cases over a real socket: one call each against a fresh store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from ulid import ULID

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.codes import NUMBERS
from authz.settings import Settings
from schema_dsl import dsl_to_json
from tests.support.conformance import conformance_dir
from tests.wire.support import Client, reason_of

pytestmark = pytest.mark.anyio

_FOLDER = conformance_dir()
_TUPLES_PER_WRITE = 40
_OF_VALIDATION = {2000, *range(2030, 2052)}
"""Codes that request validation gives, which the cases know as InvalidArgument."""


def cases(folder: Path) -> list[dict[str, Any]]:
    """All cases; timestamps stay text."""

    class Loader(yaml.CSafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }
    with (folder / "api_cases.yaml").open() as file:
        loaded: dict[str, Any] = yaml.load(file, Loader)
    return list(loaded["cases"])


async def prepare(client: Client, case: dict[str, Any]) -> dict[str, str]:
    """A fresh store with the case's model and tuples; returns the values of its placeholders."""
    store_id = (await client.stub.CreateStore(pb.CreateStoreRequest(name="case"))).id
    ids = {"STORE": store_id, "MODEL": str(ULID())}
    if "model" in case:
        model = case["model"]
        body = {"store_id": store_id, **(dsl_to_json(model) if isinstance(model, str) else model)}
        request = ParseDict(body, pb.WriteAuthorizationModelRequest(), ignore_unknown_fields=True)
        ids["MODEL"] = (await client.stub.WriteAuthorizationModel(request)).authorization_model_id
    tuples = case.get("tuples") or []
    for start in range(0, len(tuples), _TUPLES_PER_WRITE):
        chunk = {"store_id": store_id, "writes": {"tuple_keys": tuples[start : start + _TUPLES_PER_WRITE]}}
        await client.stub.Write(ParseDict(chunk, pb.WriteRequest()))
    return ids


def filled(value: Any, ids: dict[str, str]) -> Any:
    """The request with its placeholders replaced."""
    if isinstance(value, dict):
        return {key: filled(member, ids) for key, member in value.items()}
    if isinstance(value, list):
        return [filled(member, ids) for member in value]
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+)\}", lambda match: ids.get(match.group(1)) or str(ULID()), value)
    return value


async def outcome(client: Client, case: dict[str, Any]) -> tuple[list[int], dict[str, Any]]:
    """The numbers that the answer may be known by (0 for success), and the answer."""
    ids = await prepare(client, case)
    request = filled(case.get("request") or {}, ids)
    request_type = getattr(pb, f"{case['call']}Request")
    if not str(case.get("source", "")).endswith("functional_test.go"):
        for field, name in (("store_id", "STORE"), ("authorization_model_id", "MODEL")):
            if field in request_type.DESCRIPTOR.fields_by_name and (name == "STORE" or "model" in case):
                request.setdefault(field, ids[name])
    try:
        message = ParseDict(request, request_type(), ignore_unknown_fields=True)
    except ParseError:
        return [3], {}
    try:
        answer = await getattr(client.stub, case["call"])(message)
    except grpc.aio.AioRpcError as error:
        number = NUMBERS[reason_of(error)]
        return [number, *([3] if number in _OF_VALIDATION else [])], {}
    return [0], MessageToDict(answer, always_print_fields_with_no_presence=True, preserving_proto_field_name=True)


def differs(expected: Any, actual: Any) -> bool:
    """Whether an expected member is missing or another; lists of texts are compared as sets."""
    if isinstance(expected, dict):
        return any(differs(member, (actual or {}).get(key)) for key, member in expected.items())
    if isinstance(expected, list) and all(isinstance(entry, str) for entry in expected):
        return set(expected) != set(actual or [])
    return bool(expected != actual) and bool(expected or actual)


@pytest.mark.skipif(_FOLDER is None, reason="the conformance data is not here; set AUTHZ_CONFORMANCE_DIR")
async def test_every_case_is_answered_as_expected(client: Client, settings: Settings) -> None:
    """
    Each case gives one of its codes, and the response members that it names.
    """
    assert _FOLDER is not None
    failures = []
    for case in cases(_FOLDER):
        numbers, answer = await outcome(client, case)
        expected = case["expect"]
        is_known = any(number in expected["codes"] for number in numbers)
        if not is_known or (numbers == [0] and differs(expected.get("response") or {}, answer)):
            failures.append((case["id"], expected, numbers, answer))
    assert not failures, "\n".join(map(str, failures))
