"""An API behind a gateway that tells what reached it, over HTTP and over gRPC. For tests of gateways."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc

SERVICE = "documents.v1.Documents"


class Upstream:
    """HTTP and gRPC that tell what reached them."""

    def __init__(self) -> None:
        self.count = 0
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        self._grpc = grpc.server(ThreadPoolExecutor(2))
        calls: dict[str, Any] = {
            name: grpc.unary_unary_rpc_method_handler(self._answer_call) for name in ("Get", "Delete")
        }
        self._grpc.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, calls),))
        self.http_port = int(self._http.server_address[1])
        self.grpc_port = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()

    keys: tuple[Any, ...] = ()
    """It makes no tokens."""

    def begin(self, _authz: object) -> None:
        """Nothing: it answers already, and asks nobody."""

    def close(self) -> None:
        """Stop both."""
        self._http.shutdown()
        self._http.server_close()
        self._grpc.stop(None).wait()

    def _answer_call(self, _payload: bytes, context: Any) -> bytes:
        self.count += 1
        return json.dumps({"headers": [[name, str(value)] for name, value in context.invocation_metadata()]}).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                upstream.count += 1
                self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = [[name.lower(), value] for name, value in self.headers.items()]
                body = json.dumps({"method": self.command, "path": self.path, "headers": headers}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self.do_GET
                raise AttributeError(name)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by the library
                """Nothing is written."""

        return Handler
