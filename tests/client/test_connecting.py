"""How clients reach servers: addresses, TLS, several servers, the trace of a call, forks, and the end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz.client import AsyncClient, Client, RetryPolicy, Tls, errors
from tests.client.support import STORE, Fail, Give, Hang, Scripted, scripted
from tests.support.certificates import CertificateAuthority

if TYPE_CHECKING:
    from pathlib import Path

    from authz.client.sync_calls import Calls


@pytest.mark.parametrize(
    ("address", "named", "tls"),
    [
        ("authz.internal:8081", {"token": "x"}, None),
        ("authz.internal:8081", {"token": "x", "insecure": True}, None),
        ("authz.internal:8081", {}, None),
        ("10.0.0.1:8081", {}, None),
        ("127.0.0.1.example.com:8081", {}, None),
        ("dns:///authz.internal:8081", {}, None),
        ("dns://127.0.0.1/authz.internal:8081", {}, None),
        (["127.0.0.1:1", "10.0.0.1:1"], {}, None),
        (["localhost:1", "localhost:2"], {}, None),
        (["127.0.0.1:1", "[::1]:1"], {}, None),
        ("", {}, None),
        ([], {}, None),
    ],
)
def test_what_is_refused(address: Any, named: dict[str, Any], tls: Tls | None) -> None:
    """Tokens are not sent in clear text beyond this machine, and answers from there are not believed."""
    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError, match=r"clear text|address|IP:PORT|IPv"):
            kind(address, store=STORE, tls=tls, **named)


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("localhost:8081", {"token": "x"}),
        ("[::1]:8081", {"token": "x"}),
        ("unix:/run/authz.sock", {"token": "x"}),
        ("dns:///localhost:8081", {"token": "x"}),
        ("authz.internal:8081", {"token": "x", "tls": Tls()}),
        ("authz.internal:8081", {"insecure": True}),
        (["10.0.0.1:1", "10.0.0.2:1"], {"insecure": True}),
    ],
)
def test_what_is_taken(address: Any, named: dict[str, Any]) -> None:
    """Everything else; nothing is connected before the first call."""
    Client(address, store=STORE, **named).close()


def test_mutual_tls(tmp_path: Path) -> None:
    """Both sides prove who they are; a server of another authority is not asked, and gets no token."""
    authority, stranger = CertificateAuthority(), CertificateAuthority("stranger")
    own, ours = authority.server(), authority.client("api")
    credentials = grpc.ssl_server_credentials(
        [(own.key, own.certificate)], authority.certificate, require_client_auth=True
    )
    tls = Tls(authority.certificate, ours.certificate, ours.key)
    assert ours.key.decode()[30:60] not in repr(tls)
    with scripted(credentials) as service:
        with Client(service.address, store=STORE, token="secret", tls=tls) as client:
            assert client.check("user:anne", "viewer", "document:1")
        assert service.asked[0].metadata["authorization"] == "Bearer secret"
        once = RetryPolicy(attempts=1)
        for wrong in (Tls(stranger.certificate, ours.certificate, ours.key), Tls(authority.certificate)):
            with (
                Client(service.address, store=STORE, token="secret", tls=wrong, retry=once) as client,
                pytest.raises(errors.Unavailable),
            ):
                client.check("user:anne", "viewer", "document:1")
        assert service.count() == 1
    with pytest.raises(ValueError, match="both"):
        Tls(cert=b"x")


def test_several_servers() -> None:
    """Calls go to all servers in turns, and to those that are left when one is gone."""
    with scripted() as first:
        with scripted() as second, Client([first.address, second.address], store=STORE) as client:
            for _ in range(40):
                client.check("user:anne", "viewer", "document:1")
            assert first.count() >= 10
            assert second.count() >= 10
        with Client([first.address, second.address], store=STORE) as client:
            for _ in range(10):
                assert client.check("user:anne", "viewer", "document:1")


def test_one_connection_serves_all_calls(service: Scripted) -> None:
    """Views and sessions share the connection of their client."""
    with Client(service.address, store=STORE) as client:
        client.check("user:anne", "viewer", "document:1")
        opened = client._connection._channel
        client.session().check("user:anne", "viewer", "document:1")
        client.on(STORE).check("user:anne", "viewer", "document:1")
        assert client._connection._channel is opened


def test_traces(service: Scripted) -> None:
    """The trace context of the caller travels with the call; its baggage does not."""
    tracer = TracerProvider().get_tracer("test")
    with Client(service.address, store=STORE) as client:
        client.check("user:anne", "viewer", "document:1")
        token = context.attach(baggage.set_baggage("email", "anne@example.com"))
        try:
            with tracer.start_as_current_span("request") as span:
                client.check("user:anne", "viewer", "document:1")
        finally:
            context.detach(token)
    assert "traceparent" not in service.asked[0].metadata
    sent = service.asked[1].metadata
    assert trace.format_trace_id(span.get_span_context().trace_id) in sent["traceparent"]
    assert "baggage" not in sent


def test_streams(service: Scripted) -> None:
    """A stream is asked again only before its first message, and says when it was cut short or broke."""
    objects = [pb.StreamedListObjectsResponse(object=f"document:{number}") for number in range(3)]
    unavailable = Fail(grpc.StatusCode.UNAVAILABLE)
    with Client(service.address, store=STORE) as client:
        service.will("StreamedListObjects", unavailable, Give(objects))
        assert list(client.stream_objects("user:anne", "viewer", "document")) == [each.object for each in objects]
        service.will("StreamedListObjects", Give(objects, (), (("authz-truncated", "deadline"),)))
        with pytest.raises(errors.Truncated) as cut:
            list(client.stream_objects("user:anne", "viewer", "document"))
        assert cut.value.why == "deadline"
        before = service.count()
        service.will("StreamedListObjects", Give(objects, then=unavailable))
        broken = client.stream_objects("user:anne", "viewer", "document")
        assert [next(broken) for _ in objects] == [each.object for each in objects]
        with pytest.raises(errors.Unavailable):
            next(broken)
        assert service.count() == before + 1
        service.will("StreamedListObjects", Give([b"\x0a"]))
        with pytest.raises(errors.ClientError):
            list(client.stream_objects("user:anne", "viewer", "document"))
        service.will("StreamedListObjects", Give(objects))
        stream = client.stream_objects("user:anne", "viewer", "document")
        assert next(stream) == "document:0"
        stream.close()  # type: ignore[attr-defined]


@pytest.mark.anyio
async def test_async_streams(service: Scripted) -> None:
    """The same from the asynchronous client."""
    objects = [pb.StreamedListObjectsResponse(object=f"document:{number}") for number in range(3)]
    async with AsyncClient(service.address, store=STORE) as client:
        service.will("StreamedListObjects", Fail(grpc.StatusCode.UNAVAILABLE), Give(objects))
        assert len([each async for each in client.stream_objects("user:anne", "viewer", "document")]) == 3
        for step in (Give(objects, then=Fail(grpc.StatusCode.UNAVAILABLE)), Give([b"\x0a"])):
            service.will("StreamedListObjects", step)
            with pytest.raises(errors.ClientError):
                _ = [each async for each in client.stream_objects("user:anne", "viewer", "document")]
        service.will("Check", Give(b"\x08"))
        with pytest.raises(errors.ClientError):
            await client.check("user:anne", "viewer", "document:1")


def test_the_end(service: Scripted) -> None:
    """A closed client answers nothing; calls that run when it is closed fail, also those that wait to be repeated."""
    client = Client(service.address, store=STORE)
    client.check("user:anne", "viewer", "document:1")
    problems: list[BaseException] = []

    def ask(calls: Calls) -> None:
        try:
            calls.check("user:anne", "viewer", "document:1", timeout=30)
        except errors.ClientError as error:
            problems.append(error)

    waiting = Fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "resource_exhausted", retry_after=20)
    service.will("Check", waiting, Hang(1))
    threads = [threading.Thread(target=ask, args=(client.session(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    while service.count() < 3:
        time.sleep(0.01)
    time.sleep(0.05)
    client.close()
    client.close()
    for thread in threads:
        thread.join(5)
    assert len(problems) == 2
    with pytest.raises(errors.Unusable):
        client.check("user:anne", "viewer", "document:1")
    with pytest.raises(errors.Unusable):
        client.session().check("user:anne", "viewer", "document:1")


@pytest.mark.anyio
async def test_the_end_for_tasks(service: Scripted) -> None:
    """Tasks get an error, not a cancellation that nobody asked for; one that is cancelled is cancelled."""
    client = AsyncClient(service.address, store=STORE)
    await client.check("user:anne", "viewer", "document:1")
    service.will("Check", Hang(1), Hang(1))
    tasks = [asyncio.create_task(client.check("user:anne", "viewer", "document:1")) for _ in range(2)]
    while service.count() < 3:  # noqa: ASYNC110 - what it waits for is in another thread
        await asyncio.sleep(0.01)
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    await client.close()
    with pytest.raises(errors.ClientError):
        await tasks[1]
    with pytest.raises(errors.Unusable):
        await client.check("user:anne", "viewer", "document:1")


def test_one_loop(service: Scripted) -> None:
    """An asynchronous client that is used in another event loop says so, instead of waiting for ever."""
    client = AsyncClient(service.address, store=STORE)

    async def ask() -> bool:
        return bool(await client.check("user:anne", "viewer", "document:1"))

    async def both() -> None:
        assert await ask()
        with pytest.raises(errors.Unusable):
            await asyncio.to_thread(asyncio.run, ask())
        await client.close()

    asyncio.run(both())


def test_forks(service: Scripted) -> None:
    """A client that was not used before a fork works in the child; one that was refuses there, instead of hanging."""
    script = f"""
        import os, sys
        from authz.client import Client, errors
        fresh = Client({service.address!r}, store={STORE!r})
        if not (child := os.fork()):
            os._exit(0 if fresh.check("user:anne", "viewer", "document:1") else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert fresh.check("user:anne", "viewer", "document:1")
        if not (child := os.fork()):
            try:
                fresh.check("user:anne", "viewer", "document:1")
            except errors.Unusable:
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert fresh.check("user:anne", "viewer", "document:1")
        fresh.close()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        _, log = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, log.decode()


def test_what_is_imported() -> None:
    """The client needs no framework, no OpenTelemetry, no database, and nothing of the server."""
    script = """
        import sys
        sys.modules["opentelemetry"] = None
        import authz.client
        from authz.client.tracing import trace_metadata
        assert trace_metadata() == ()
        loaded = {name.partition(".")[0] for name in sys.modules}
        others = {"fastapi", "starlette", "flask", "uvicorn", "sqlalchemy", "pydantic", "jwt", "structlog"}
        print(sorted(loaded & others))
        ours = {name.split(".")[1] for name in sys.modules if name.startswith("authz.")}
        print(sorted(ours))
        print(sorted(set(authz.client.__all__) - set(dir(authz.client))))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.splitlines() == ["[]", "['_proto', 'addresses', 'client', 'codes']", "[]"], done.stderr
