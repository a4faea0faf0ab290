"""Documents for other programs, over gRPC: `documents.v1.Documents/Get`. Stands behind a gateway that asks authz.

Here nothing is checked once more: `deploy/envoy` decides about each call by the header `document-id`, so the id is read
from that very header, and the port is opened on loopback alone. `python -m examples.documents.calls` serves it.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct

from examples.documents.database import Database

SERVICE, HEADER = "documents.v1.Documents", "document-id"
_THREADS = 8
_MOST_DIGITS = 18


def serve(address: str = "127.0.0.1:9000") -> tuple[grpc.Server, int]:
    """A server that answers, and its port; the documents are those of the file in the environment."""
    database = Database(Path(os.environ.get("DOCUMENTS_DB", "documents.db")))

    def get(_request: Empty, context: Any) -> Struct:
        named = [value for name, value in context.invocation_metadata() if name == HEADER]
        is_number = len(named) == 1 and named[0].isdecimal() and len(named[0]) <= _MOST_DIGITS
        document = database.get(int(named[0])) if is_number else None
        answer = Struct()
        if document is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such document")
        else:
            answer.update(document._asdict())
        return answer

    handler = grpc.unary_unary_rpc_method_handler(get, Empty.FromString, Struct.SerializeToString)
    server = grpc.server(ThreadPoolExecutor(_THREADS))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Get": handler}),))
    port = server.add_insecure_port(address)
    server.start()
    return server, port


if __name__ == "__main__":
    serve()[0].wait_for_termination()
