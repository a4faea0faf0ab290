"""What a whole service tells: every documented metric, health that is true, and one trace id in three places."""

from __future__ import annotations

import asyncio
import io
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from joserfc.jwk import ECKey
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_prometheus

from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz._proto.openfga.v1.openfga_service_pb2_grpc import OpenFGAServiceStub
from authz.access.authentication import new_key
from authz.app import Serving, serving
from authz.logs import configure_logs
from authz.settings import Settings
from authz.telemetry.catalogue import METRICS
from authz.telemetry.readiness import KEPT_SECONDS
from tests.support.certificates import Authority, Pair
from tests.telemetry.support import PARENT, TRACE, Received, attributes, collector, traceparent
from tests.wire.support import check_request

pytestmark = pytest.mark.anyio

QUESTION = "document:1#viewer@user:anne"


class Whole:
    """A service with everything on, and a caller."""

    def __init__(self, service: Serving, stub: Any, received: Received, pair: Pair) -> None:
        self.service = service
        self.stub = stub
        self.received = received
        self.pair = pair

    async def page(self, path: str, accept: str = "*/*") -> tuple[int, str]:
        """A page of the operator: status and text."""
        return await asyncio.to_thread(_get, f"http://{self.service.telemetry.address}{path}", accept)


@asynccontextmanager
async def whole(folder: Path, **more: Any) -> AsyncIterator[Whole]:
    """The service while the block runs."""
    secret, line = new_key("root")
    (folder / "keys").write_text(line)
    key = ECKey.generate_key("P-256", {"kid": "1", "use": "sig", "alg": "ES256"})
    (folder / "jwks").write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    authority = Authority(folder)
    pair = authority.issue("server")
    issuer = {"name": "corp", "issuer": "https://a.example.com", "audiences": ["a"], "jwks_file": folder / "jwks"}
    with collector() as received:
        settings = Settings.model_validate(
            {
                "grpc_addr": "127.0.0.1:0",
                "datastore_uri": f"sqlite:///{folder}/authz.db",
                "shutdown_grace": 0.2,
                # grpc was loaded long ago: only `authz serve` can refuse TLS 1.2
                "tls": {"cert_file": pair.cert, "key_file": pair.key, "min_version": "1.2"},
                "access": {"keys_file": folder / "keys", "admins": ["key/root"], "issuers": [issuer]},
                "audit": {"sinks": ["database", "file"], "file": folder / "audit.jsonl"},
                "telemetry": {
                    "metrics_addr": "127.0.0.1:0",
                    "metrics_push": "otlp",
                    "traces": "otlp",
                    "otlp_endpoint": received.url,
                },
                **more,
            }
        )
        credentials = grpc.composite_channel_credentials(
            grpc.ssl_channel_credentials(authority.pem), grpc.access_token_call_credentials(secret)
        )
        async with (
            serving(settings) as service,
            grpc.aio.secure_channel(service.grpc_address, credentials) as channel,
        ):
            yield Whole(service, OpenFGAServiceStub(channel), received, pair)  # type: ignore[no-untyped-call]


def _get(url: str, accept: str) -> tuple[int, str]:
    request = urllib.request.Request(url, headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def test_every_documented_metric_has_a_source(tmp_path: Path) -> None:
    """A dashboard or an alert over a metric that nobody measures would never say anything."""
    async with whole(tmp_path, limits={"peer": "100000/second"}) as served:
        sourced = {family.metric.name for family in served.service.telemetry.meter.collect()}
        # Those of a supervisor and of a replica are asked for where there is one.
        elsewhere = {"authz.worker.ready", "authz.worker.restarts", "authz.replica.lag", "authz.replica.reads"}
        assert set(METRICS) - sourced == elsewhere


async def test_metrics_are_scraped(tmp_path: Path) -> None:
    """In both formats that Prometheus reads; and the certificate that is served is the one whose end is told."""
    async with whole(tmp_path) as served:
        await served.stub.CreateStore(pb.CreateStoreRequest(name="shop"))
        for accept, parse in (
            ("*/*", parse_prometheus),
            ("application/openmetrics-text; version=1.0.0", parse_open_metrics),
        ):
            status, text = await served.page("/metrics", accept)
            assert status == 200
            samples = {
                (each.name, *sorted(each.labels.values())): each.value for one in parse(text) for each in one.samples
            }
            ends = x509.load_pem_x509_certificate(served.pair.cert_pem).not_valid_after_utc.timestamp() + 1
            assert samples["authz_certificate_expiry_time_seconds", "server"] == ends
            assert samples["authz_calls_total", "CreateStore", "OK"] == 1
            assert samples["authz_keys_age_seconds", "corp"] == 0


async def test_a_trace_joins_span_record_and_log_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The caller's trace goes on: its span, the record of the call and the line in the log have one and the same id."""
    configure_logs("json", "info")
    async with whole(tmp_path) as served:
        store_id = (await served.stub.CreateStore(pb.CreateStoreRequest(name="shop"))).id
        with pytest.raises(grpc.aio.AioRpcError):  # there is no model: a refusal is traced like an answer
            await served.stub.Check(check_request(store_id, QUESTION), metadata=(("traceparent", traceparent()),))
    (span,) = [each for each in served.received.spans() if each.name.endswith("/Check")]
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    found = attributes(span)
    assert (found["authz.store_id"], found["rpc.method"]) == (store_id, "Check")
    assert "anne" not in str(found)
    records = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [each["trace_id"] for each in records if str(each.get("call", "")).endswith("Check")] == [TRACE]
    lines = [json.loads(line) for line in io.StringIO(capsys.readouterr().err) if line.startswith("{")]
    assert [each["trace_id"] for each in lines if each.get("grpc_method") == "Check"] == [TRACE]


async def test_health_tells_the_truth(tmp_path: Path) -> None:
    """A datastore that does not answer, and draining, make the service unready, never dead."""
    async with whole(tmp_path) as served:
        assert (await served.page("/livez"))[0] == (await served.page("/readyz"))[0] == 200
        await served.service.services.datastore.close()
        await asyncio.sleep(KEPT_SECONDS)
        status, text = await served.page("/readyz")
        checks = json.loads(text)["checks"]
        assert (status, checks["serving"]) == (503, "ok")
        assert checks["datastore"] != "ok"
        assert (await served.page("/livez"))[0] == 200
        stopping = asyncio.create_task(_watch(served.page))
    assert "draining" in await stopping


async def _watch(page: Any) -> set[str]:
    """What `/readyz` says of serving until it is gone."""
    found = set()
    try:
        while True:
            found.add(json.loads((await page("/readyz"))[1])["checks"]["serving"])
    except OSError:
        return found
