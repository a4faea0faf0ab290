"""Standard output and OTLP receivers get every record, each in a chain that can be verified."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import orjson
import pytest

from authz.audit.chain import Payload
from authz.audit.inspect import Inspection
from authz.audit.payloads import note_payload
from authz.audit.sinks import stdout
from authz.audit.sinks.sink import SinkProblem
from authz.audit.sinks.stdout import StdoutSink
from tests.audit.support import START, Clock, completed, keys, opened, ring, trailing

pytestmark = pytest.mark.anyio


def _notes(*names: str) -> list[Payload]:
    return [note_payload(name, START) for name in names]


async def test_standard_output_gets_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even when the reader takes a few bytes at a time, and writing fails between them."""
    reading, writing = os.pipe()
    sink = StdoutSink(keys(), Clock(), writing)
    real, count = os.write, [0]

    def write(descriptor: int, body: Any) -> int:
        count[0] += 1
        if count[0] == 2:
            raise BrokenPipeError(32, "Broken pipe")
        return real(descriptor, bytes(body)[:100])

    monkeypatch.setattr(os, "write", write)
    batch = _notes("a", "b")
    with pytest.raises(BrokenPipeError):
        await sink.write(batch)
    await sink.write(batch)
    await sink.write(_notes("c"))
    monkeypatch.setattr(os, "write", real)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        lines = file.read().splitlines()
    assert [orjson.loads(line)["note"] for line in lines] == ["a", "b", "c"]
    assert _follows(lines)


async def test_standard_output_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The write fails instead of holding a thread for ever, which would keep the process from ending; nothing is
    torn when the reader comes."""
    monkeypatch.setattr(stdout, "PATIENCE", 0.05)
    reading, writing = os.pipe()
    sink, batch = StdoutSink(keys(), Clock(), writing), _notes(*(f"{number:01000}" for number in range(100)))
    with pytest.raises(SinkProblem, match="nobody reads"):
        await asyncio.wait_for(sink.write(batch), 5)
    found: list[bytes] = []

    def read() -> None:
        with os.fdopen(reading, "rb") as file:
            found.extend(file)

    reader = threading.Thread(target=read)
    reader.start()
    await sink.write(batch)
    os.close(writing)
    reader.join(5)
    assert len(found) == 100
    assert _follows([line.rstrip() for line in found])


def _follows(lines: list[bytes]) -> bool:
    inspection = Inspection(orjson.loads(lines[0])["chain"], 0, bytes(32), ring())
    return all(inspection.take_line(line) for line in lines)


class _Receiver:
    """Takes OTLP logs over HTTP, and fails when it is told to."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.failures = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

                raw = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.failures:
                    receiver.failures -= 1
                    self.send_response(400)
                else:
                    receiver.lines += _bodies(ExportLogsServiceRequest.FromString(raw))
                    self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/logs"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})


def _bodies(request: Any) -> list[bytes]:
    return [
        record.body.string_value.encode()
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


@pytest.fixture
def receiver() -> Iterator[_Receiver]:
    """A receiver of OTLP logs on loopback."""
    made = _Receiver()
    made.thread.start()
    yield made
    made.server.shutdown()
    made.thread.join()
    made.server.server_close()


async def test_an_otlp_receiver_gets_the_sealed_lines(sqlite_uri: str, receiver: _Receiver) -> None:
    """Over HTTP; what it did not take is sent again as it was."""
    given: dict[str, Any] = {"sinks": ("otlp",), "otlp_endpoint": receiver.url}
    async with opened(sqlite_uri, **given) as store, trailing(store, Clock(), **given) as trail:
        receiver.failures = 1
        trail.recorder.record(completed(1))
        await trail.recorder.durable()
        assert trail.recorder.statistics().by_sink["otlp"][1] == 1
    assert _follows(receiver.lines)
    kinds = [orjson.loads(line).get("note", orjson.loads(line)["kind"]) for line in receiver.lines]
    # the datastore has a chain of checkpoints only when changes or calls moved there
    assert [kind for kind in kinds if kind != "checkpoint"] == ["start", "call", "stop"]


async def test_an_otlp_receiver_over_grpc(sqlite_uri: str) -> None:
    """The other protocol carries the same."""
    import grpc
    from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc

    lines: list[bytes] = []

    class Logs(logs_service_pb2_grpc.LogsServiceServicer):
        def Export(self, request: Any, _context: Any) -> Any:
            lines.extend(_bodies(request))
            return logs_service_pb2.ExportLogsServiceResponse()

    server = grpc.server(futures.ThreadPoolExecutor(1))
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(Logs(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    given: dict[str, Any] = {"sinks": ("otlp",), "otlp_protocol": "grpc", "otlp_endpoint": f"http://127.0.0.1:{port}"}
    try:
        async with opened(sqlite_uri, **given) as store, trailing(store, Clock(), **given) as trail:
            trail.recorder.record(completed(1))
            await trail.recorder.durable()
    finally:
        server.stop(None).wait()
    assert _follows(lines)
    assert len(lines) >= 3
