"""`authz audit …`: verification and export without a server, questions and captures with one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent import futures
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from authz._proto.authz.v1 import access_pb2, access_pb2_grpc, audit_pb2, audit_pb2_grpc
from authz.audit.query import query_records
from authz.audit.sinks.file import FileRules, FileSink
from authz.cli import audit
from authz.cli.audit.times import length_of, moment_of
from authz.cli.errors import UsageProblem
from authz.cli.main import app
from authz.clock import SystemClock
from authz.store.sql import migrate_datastore, open_datastore
from authz.store.trail import RecordFilter
from tests.audit.support import Database, completed, key, key_line, keys, opened, trailing
from tests.cli.support import run_cli

if all(group.name != "audit" for group in app.registered_groups):
    app.add_typer(audit.app, name="audit")

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A key file that the environment names."""
    path = tmp_path / "keys"
    path.write_text(key_line("k1"))
    monkeypatch.setenv("AUTHZ_AUDIT_KEY_FILE", str(path))
    return path


@pytest.fixture
def uri(tmp_path: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with calls in its trail, which the environment names."""
    made = f"sqlite:///{tmp_path}/authz.db"
    migrate_datastore(made)
    asyncio.run(_fill(made))
    monkeypatch.setenv("AUTHZ_DATASTORE_URI", made)
    return made


async def _fill(uri: str) -> None:
    async with opened(uri) as store, trailing(store, SystemClock()) as trail:
        for number in range(3):
            trail.recorder.record(completed(number, time=SystemClock().now(), allowed=number > 0))
        await trail.recorder.durable()


def test_a_whole_trail(uri: str) -> None:
    """Exit code 0, and how much was verified."""
    result = run_cli("audit", "verify")
    assert (result.code, result.err) == (0, "")
    assert "whole: 7 records in 2 chains, 2 checkpoints" in result.out
    found = run_cli("audit", "verify", "--json").json
    assert found["whole"] is True
    assert found["first"] is None


def test_a_record_that_was_changed(uri: str) -> None:
    """Exit code 1, and the first wrong record by chain and number."""
    database = Database(uri)
    chain = database.chain("node/")
    ((body,),) = database.run("SELECT body FROM audit_segments WHERE chain = ? AND first = 2", chain)
    database.run(
        "UPDATE audit_segments SET body = ? WHERE chain = ? AND first = 2", body.replace(b"denied", b"failed"), chain
    )
    result = run_cli("audit", "verify")
    assert result.code == 1
    assert "NOT whole" in result.out
    assert f"the first wrong record is 2 of {chain}" in result.out
    assert run_cli("audit", "verify", "--json").json["first"]["sequence"] == 2


def test_a_database_that_was_rolled_back(uri: str, tmp_path: Path) -> None:
    """Found with a checkpoint that was kept elsewhere."""
    saved, path = tmp_path / "saved", Database(uri).path
    before = path.read_bytes()
    asyncio.run(_fill(uri))
    saved.write_text(run_cli("audit", "export").out)
    path.write_bytes(before)
    assert run_cli("audit", "verify").code == 0
    result = run_cli("audit", "verify", "--checkpoint", saved)
    assert result.code == 1
    assert "the chain is gone; a checkpoint knows" in result.out
    saved.write_text(saved.read_text().replace('"kind":"checkpoint","time":"2', '"kind":"checkpoint","time":"3'))
    result = run_cli("audit", "verify", "--checkpoint", saved)
    assert result.code == 2
    assert "signature is wrong" in result.err


def test_a_file_of_records(tmp_path: Path, key_file: Path) -> None:
    """A file is verified like a datastore."""
    path = tmp_path / "audit.jsonl"
    from authz.audit.payloads import note_payload

    sink = FileSink(FileRules(path, 10**6, timedelta(hours=1), 5, is_synced=False), keys(), SystemClock())
    asyncio.run(sink.write([note_payload("a", NOW), note_payload("b", NOW)]))
    asyncio.run(sink.close())
    assert run_cli("audit", "verify", "--file", path).code == 0
    assert run_cli("audit", "export", "--file", path).out.count("\n") == 2
    path.write_bytes(path.read_bytes().replace(b'"note":"b"', b'"note":"c"'))
    result = run_cli("audit", "verify", "--file", path)
    assert result.code == 1
    assert "record is 2 of file/" in result.out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--file", "/nowhere/audit.jsonl"], 3, "cannot read"),
        (["--datastore-uri", "sqlite:////nowhere/authz.db"], 3, ""),
        (["--file", "x", "--datastore-uri", "sqlite:///y"], 2, "not both"),
        (["--key-file", "/nowhere/keys"], 2, "/nowhere/keys"),
        (["--checkpoint", "/nowhere/saved"], 2, "/nowhere/saved"),
    ],
)
def test_what_cannot_be_verified(uri: str, arguments: list[str], code: int, said: str) -> None:
    """Usage and reading have exit codes of their own: neither is a verdict."""
    result = run_cli("audit", "verify", *arguments)
    assert result.code == code
    assert said in result.err


def test_the_key_of_the_datastore_does_with_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key of one's own, the verdict is worth less, and that is said."""
    monkeypatch.delenv("AUTHZ_AUDIT_KEY_FILE", raising=False)
    made = f"sqlite:///{tmp_path}/authz.db"
    migrate_datastore(made)
    result = run_cli("audit", "verify", "--datastore-uri", made)
    assert result.code == 0
    assert "whoever can write there can forge" in result.err
    assert run_cli("audit", "verify", "--file", tmp_path / "authz.db").code == 2


def test_forms_of_export(uri: str) -> None:
    """One event a line, about oldest first, in a window if one is named."""
    events = [json.loads(line) for line in run_cli("audit", "export", "--format", "ocsf").out.splitlines()]
    assert {event["class_uid"] for event in events} == {6003, 6002}
    calls = [line for line in run_cli("audit", "export", "--format", "cef").out.splitlines() if "|Check|" in line]
    assert len(calls) == 3
    sealed = run_cli("audit", "export", "--format", "jsonl").out.splitlines()
    assert len(sealed) == 7
    assert run_cli("audit", "export", "--until", "1h").out == ""
    assert len(run_cli("audit", "export", "--since", "1h").out.splitlines()) == 7
    for since in ("yesterday", "999999d", "0001-01-01T00:00:00+05:00", "-1h"):
        assert run_cli("audit", "export", "--since", since).code == 2


def test_a_new_key(tmp_path: Path) -> None:
    """The line can be put into a key file as it is; two are never the same."""
    first, second = run_cli("audit", "key", "--id", "k9"), run_cli("audit", "key")
    assert first.out != second.out
    path = tmp_path / "keys"
    path.write_text(first.out + second.out)
    path.chmod(0o600)
    shown = run_cli("audit", "key", "--key-file", path, "--json").json["keys"]
    assert next(each["id"] for each in shown) == "k9"
    assert all(len(bytes.fromhex(each["public_key"])) == 32 for each in shown)
    assert first.out.strip().partition(":")[2] not in json.dumps(shown)
    assert run_cli("audit", "key", "--id", "not an id").code == 2
    path.write_text(key_line("k1"))
    assert key().public.hex() in run_cli("audit", "key", "--key-file", path).out


class _Audit(audit_pb2_grpc.AuditServiceServicer, access_pb2_grpc.AccessServiceServicer):
    """The audit service over a datastore, with one capture."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.asked: list[Any] = []

    def QueryRecords(self, request: audit_pb2.QueryRecordsRequest, context: Any) -> Iterator[Any]:
        self.asked.append(request)
        names = [name for name in RecordFilter._fields if name not in ("since", "until", "limit", "follow")]
        wanted = RecordFilter(**{name: getattr(request, name) for name in names})
        if request.HasField("since"):
            wanted = wanted._replace(since=request.since.ToDatetime(UTC))
        for line in asyncio.run(self._lines(wanted, request.limit or 1000)):
            yield audit_pb2.QueryRecordsResponse(record=line.decode())

    async def _lines(self, wanted: RecordFilter, limit: int) -> list[bytes]:
        store = open_datastore(self.uri)
        try:
            return [line async for line in query_records(store, wanted, limit=limit)]
        finally:
            await store.close()

    def StartCapture(self, request: audit_pb2.StartCaptureRequest, context: Any) -> Any:
        self.asked.append(request)
        return audit_pb2.StartCaptureResponse(directive=access_pb2.Directive(id="CAPTURE1", kind="capture"))

    def StopCapture(self, request: audit_pb2.StopCaptureRequest, context: Any) -> Any:
        self.asked.append(request)
        return audit_pb2.StopCaptureResponse(directive=access_pb2.Directive(id=request.id))

    def ListDirectives(self, request: access_pb2.ListDirectivesRequest, context: Any) -> Any:
        self.asked.append(request)
        held = access_pb2.Directive(id="CAPTURE1", kind="capture", body='{"call":"Check"}', created_by="idp/root")
        return access_pb2.ListDirectivesResponse(directives=[held])


@pytest.fixture
def service(uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Audit]:
    """A server with the audit service alone, which the environment names."""
    made = _Audit(uri)
    server = grpc.server(futures.ThreadPoolExecutor(2))
    audit_pb2_grpc.add_AuditServiceServicer_to_server(made, server)
    access_pb2_grpc.add_AccessServiceServicer_to_server(made, server)
    monkeypatch.setenv("AUTHZ_ADDR", f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    server.start()
    yield made
    server.stop(None).wait()


def test_questions(service: _Audit) -> None:
    """Filters are passed on; records are printed for people, or as they were sealed."""
    result = run_cli("audit", "query", "--decision", "denied", "--principal", "idp/alice", "--since", "1h")
    assert result.code == 0
    assert result.out.count("\n") == 1
    assert "idp/alice  Check  denied  document:0#viewer@user:anne" in result.out
    (request,) = service.asked
    assert (request.decision, request.limit, request.follow) == ("denied", 100, False)
    assert 3500 < datetime.now(UTC).timestamp() - request.since.ToDatetime(UTC).timestamp() < 3700
    lines = run_cli("audit", "query", "--object", "document:1", "--json").out.splitlines()
    assert [json.loads(line)["object"] for line in lines] == ["document:1"]
    assert run_cli("audit", "query", "--decision", "maybe").code == 2
    assert run_cli("audit", "query", "--limit", "1").out.count("\n") == 1


def test_tail(service: _Audit) -> None:
    """Following has no time limit of its own."""
    result = run_cli("audit", "tail", "--kind", "call", "--timeout", "0.001")
    assert result.out.count("\n") == 3
    assert service.asked[0].follow is True


def test_captures(service: _Audit) -> None:
    """A capture is started for a time, listed, and stopped."""
    started = run_cli("audit", "capture", "start", "--call", "Check", "--for", "30m", "--reason", "a bug")
    assert started.out.strip() == "CAPTURE1"
    request = service.asked[-1]
    assert (request.call, request.reason) == ("Check", "a bug")
    assert "idp/root" in run_cli("audit", "capture", "list").out
    assert run_cli("audit", "capture", "list", "--json").json["captures"][0]["id"] == "CAPTURE1"
    assert run_cli("audit", "capture", "stop", "CAPTURE1").code == 0
    assert run_cli("audit", "capture", "start").code == 2
    assert run_cli("audit", "capture", "start", "--call", "Check", "--for", "long").code == 2


def test_times() -> None:
    """Lengths and moments are what they say; anything else is refused."""
    assert length_of("90s", "--for") == timedelta(seconds=90)
    assert moment_of("2d", "--since", NOW) == NOW - timedelta(days=2)
    assert moment_of("2026-05-01T14:00:00+02:00", "--since", NOW) == NOW
    assert moment_of("2026-05-01T12:00:00Z", "--since", NOW) == NOW
    assert moment_of("", "--since", NOW) is None
    for wrong in ("1w", "h", "-1h", "99999999999d", "now"):
        with pytest.raises(UsageProblem):
            moment_of(wrong, "--since", NOW)
