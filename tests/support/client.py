"""A small client for tests that talk to real servers: one store with a simple model, tuples in and answers out."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from google.protobuf.json_format import ParseDict

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz._proto.openfga.v1.authzmodel_pb2 import AuthorizationModel
from authz._proto.openfga.v1.openfga_pb2 import TupleKey, TupleKeyWithoutCondition
from authz._proto.openfga.v1.openfga_service_pb2_grpc import OpenFGAServiceStub
from schema_dsl import dsl_to_json

TOKEN = "authz-consistency-token"
CALL_SECONDS = 20.0

DOCUMENTS = """
model
  schema 1.1
type user
type document
  relations
    define viewer: [user]
    define blocked: [user]
    define can_view: viewer but not blocked
"""

Key = tuple[str, str, str]
"""Object, relation, user."""


class Client:
    """Calls on one store of one server."""

    def __init__(self, address: str, store: str = "") -> None:
        self._channel = grpc.insecure_channel(address)
        self.stub = OpenFGAServiceStub(self._channel)
        self.store = store or self._create()

    def _create(self) -> str:
        store = self.stub.CreateStore(pb.CreateStoreRequest(name="test"), timeout=CALL_SECONDS).id
        model = ParseDict(dsl_to_json(DOCUMENTS), AuthorizationModel())
        request = pb.WriteAuthorizationModelRequest(
            store_id=store, schema_version=model.schema_version, type_definitions=model.type_definitions
        )
        self.stub.WriteAuthorizationModel(request, timeout=CALL_SECONDS)
        return store

    def write(self, writes: Sequence[Key] = (), deletes: Sequence[Key] = ()) -> str:
        """One write transaction; returns the consistency token."""
        request = pb.WriteRequest(store_id=self.store)
        request.writes.tuple_keys.extend(TupleKey(object=o, relation=r, user=u) for o, r, u in writes)
        request.deletes.tuple_keys.extend(TupleKeyWithoutCondition(object=o, relation=r, user=u) for o, r, u in deletes)
        if not writes:
            request.ClearField("writes")
        if not deletes:
            request.ClearField("deletes")
        _, call = self.stub.Write.with_call(request, timeout=CALL_SECONDS)
        return dict(call.initial_metadata())[TOKEN]

    def check(self, key: Key, consistency: str = "") -> bool:
        """Check, with a consistency mode if given."""
        name, relation, user = key
        request = pb.CheckRequest(
            store_id=self.store, tuple_key=pb.CheckRequestTupleKey(object=name, relation=relation, user=user)
        )
        metadata = [("authz-consistency", consistency)] if consistency else []
        return self.stub.Check(request, timeout=CALL_SECONDS, metadata=metadata).allowed

    def read(self) -> set[Key]:
        """All tuples."""
        found: set[Key] = set()
        token = ""
        while True:
            page = self.stub.Read(pb.ReadRequest(store_id=self.store, continuation_token=token), timeout=CALL_SECONDS)
            for each in page.tuples:
                key = (each.key.object, each.key.relation, each.key.user)
                assert key not in found, "a tuple came twice"
                found.add(key)
            token = page.continuation_token
            if not token:
                return found

    def changes(self) -> list[tuple[int, Key]]:
        """The whole changelog: operation and key, oldest first."""
        found: list[tuple[int, Key]] = []
        token = ""
        while True:
            request = pb.ReadChangesRequest(store_id=self.store, continuation_token=token)
            page = self.stub.ReadChanges(request, timeout=CALL_SECONDS)
            if not page.changes:
                return found
            for each in page.changes:
                key = each.tuple_key
                found.append((each.operation, (key.object, key.relation, key.user)))
            token = page.continuation_token

    def close(self) -> None:
        """Let go of the connection."""
        self._channel.close()
