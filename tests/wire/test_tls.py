"""TLS over real sockets: versions, client certificates, certificates that change while the service runs."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog

from authz.rpc.tls import ServerCertificates, peer_address, peer_certificate, server_credentials
from authz.rpc.transport import channel_options
from authz.settings import InvalidSettings
from authz.settings.limits import LimitsSettings
from authz.settings.tls import TlsSettings
from tests.cli.support import run_cli
from tests.support.certificates import Authority, Pair, encrypted
from tests.support.server import running_server

pytestmark = pytest.mark.anyio

METHOD = "/test.Echo/WhoAmI"
V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
# What grpc read when it was imported holds for all tests of this process; only processes of their own refuse 1.2.
HERE = {"min_version": "1.2"}


def settings_of(pair: Pair, authority: Authority | None = None, **more: Any) -> TlsSettings:
    """Settings that demand client certificates of an authority, if there is one."""
    clients = {"client_ca_file": authority.path, "client_auth": "required"} if authority else {}
    return TlsSettings.model_validate({"cert_file": pair.cert, "key_file": pair.key, **HERE, **clients, **more})


@asynccontextmanager
async def listening(settings: TlsSettings) -> AsyncIterator[int]:
    """A server that answers with the peer's certificate; yields its port."""

    async def who_am_i(_payload: bytes, context: Any) -> bytes:
        assert peer_address(context.peer()) == "127.0.0.1"
        return peer_certificate(context) or b"nobody"

    server = grpc.aio.server(options=channel_options(LimitsSettings(), 1000))
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {"WhoAmI": grpc.unary_unary_rpc_method_handler(who_am_i)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
    port = server.add_secure_port("127.0.0.1:0", server_credentials(settings))
    await server.start()
    yield port
    await server.stop(None)


def channel(port: int, authority: Authority, pair: Pair | None = None) -> grpc.aio.Channel:
    """A connection of its own."""
    shown = (pair.key_pem, pair.cert_pem) if pair else (None, None)
    credentials = grpc.ssl_channel_credentials(authority.pem, *shown)
    return grpc.aio.secure_channel(f"localhost:{port}", credentials, [("grpc.use_local_subchannel_pool", 1)])


async def who_am_i(channel: grpc.aio.Channel) -> bytes:
    """The answer; b"" when no connection comes about."""
    call: Any = channel.unary_unary(METHOD)
    try:
        return bytes(await call(b"", timeout=10))
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return b""


def version_spoken(address: str, version: ssl.TLSVersion, pair: Pair | None = None) -> str | None:
    """What a client that knows one version only gets, after it has spoken HTTP/2; None for no connection."""
    host, _, port = address.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    context.set_ciphers("ALL:@SECLEVEL=0")
    if pair is not None:
        context.load_cert_chain(pair.cert, pair.key)
    try:
        with socket.create_connection((host, int(port)), 10) as plain, context.wrap_socket(plain) as secure:
            secure.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
            return secure.version() if secure.recv(9) else None
    except (ssl.SSLError, ConnectionError):
        return None


@pytest.mark.parametrize("kind", ["ec", "rsa"])
@pytest.mark.parametrize("is_mutual", [False, True])
def test_versions(tmp_path: Path, kind: str, is_mutual: bool) -> None:
    """By default TLS 1.3 is spoken and 1.2 is not, whatever the keys, with client certificates and without."""
    authority = Authority(tmp_path, kind=kind)
    client = authority.issue("client") if is_mutual else None
    with process_of(authority, "1.3", is_mutual) as address:
        assert [version_spoken(address, version, client) for version in (V1_2, V1_3)] == [None, "TLSv1.3"]
        assert version_spoken(address, V1_3) == (None if is_mutual else "TLSv1.3")


def test_1_2_on_request(tmp_path: Path) -> None:
    """The setting lets TLS 1.2 in, and nothing older."""
    with process_of(Authority(tmp_path), "1.2", False) as address:
        assert [version_spoken(address, version) for version in (V1_2, V1_3)] == ["TLSv1.2", "TLSv1.3"]
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            assert version_spoken(address, ssl.TLSVersion.TLSv1_1) is None


PROCESS = """
import sys
from authz.rpc.environment import prepare_environment
from authz.settings.tls import TlsSettings
tls = TlsSettings.model_validate_json(sys.argv[1])
prepare_environment(tls)
import grpc
from concurrent.futures import ThreadPoolExecutor
from authz.rpc.tls import server_credentials
server = grpc.server(ThreadPoolExecutor(1))
print(server.add_secure_port("127.0.0.1:0", server_credentials(tls)), flush=True)
server.start()
sys.stdin.read()
"""


@contextmanager
def process_of(authority: Authority, version: str, is_mutual: bool) -> Iterator[str]:
    """A process with a listener and nothing behind it; yields its address."""
    settings = settings_of(authority.issue("server"), authority if is_mutual else None, min_version=version)
    command = [sys.executable, "-c", PROCESS, settings.model_dump_json()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            process.wait(20)


def serve_flags(pair: Pair, authority: Authority | None = None) -> Mapping[str, object]:
    """Settings of a server process."""
    flags: dict[str, object] = {"tls_cert_file": pair.cert, "tls_key_file": pair.key}
    if authority is not None:
        flags |= {"tls_client_ca_file": authority.path, "tls_client_auth": "required"}
    return flags


def test_a_promise_that_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    """A process in which grpc would speak TLS 1.2 does not serve as one that refuses it, with client certificates or
    without."""
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    for clients in (None, authority):
        with pytest.raises(InvalidSettings, match=r"cannot refuse TLS 1\.2"):
            server_credentials(settings_of(pair, clients, min_version="1.3"))


async def test_clients_must_prove_themselves(tmp_path: Path) -> None:
    """Only certificates of the clients' authority are let in; the service gets what the client showed."""
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    client = authority.issue("client")
    async with listening(settings_of(authority.issue("server"), authority)) as port:
        assert await who_am_i(channel(port, authority, client)) == client.cert_pem
        assert await who_am_i(channel(port, authority, other.issue("stranger"))) == b""
        assert await who_am_i(channel(port, authority)) == b""


async def test_clients_need_not_prove_themselves(tmp_path: Path) -> None:
    """Without the setting no certificate is asked for, and one that a client has is nobody's proof."""
    authority = Authority(tmp_path)
    async with listening(settings_of(authority.issue("server"))) as port:
        assert await who_am_i(channel(port, authority)) == b"nobody"
        assert await who_am_i(channel(port, authority, authority.issue("client"))) == b"nobody"


async def test_a_new_pair_serves_new_connections(tmp_path: Path) -> None:
    """After the files have changed new connections see the new certificate, and old ones go on."""
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new", "rsa")
    pair = old.issue("server")
    async with listening(settings_of(pair)) as port:
        early = channel(port, old)
        assert await who_am_i(early) == b"nobody"
        pair.replace(new.issue("renewed"))
        assert await who_am_i(channel(port, new)) == b"nobody"
        assert await who_am_i(channel(port, old)) == b""
        assert await who_am_i(early) == b"nobody"


async def test_a_new_authority_of_clients(tmp_path: Path) -> None:
    """After the file of authorities has changed it decides about new connections."""
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    clients = Authority(tmp_path, "clients")
    before, after = clients.issue("before"), other.issue("after")
    async with listening(settings_of(authority.issue("server"), clients)) as port:
        assert await who_am_i(channel(port, authority, after)) == b""
        clients.path.write_bytes(other.pem)
        assert await who_am_i(channel(port, authority, after)) == after.cert_pem
        assert await who_am_i(channel(port, authority, before)) == b""


@pytest.mark.parametrize("damage", ["another key", "no certificate", "no file", "encrypted key", "no authority"])
async def test_a_broken_pair_changes_nothing(tmp_path: Path, damage: str) -> None:
    """Files that do not fit leave the former ones in use, and say so once, not at every handshake."""
    authority = Authority(tmp_path)
    clients = Authority(tmp_path, "clients")
    pair, client = authority.issue("server"), clients.issue("client")
    with structlog.testing.capture_logs() as logs:
        async with listening(settings_of(pair, clients)) as port:
            match damage:
                case "another key":
                    pair.key.write_bytes(authority.issue("other").key_pem)
                case "no certificate":
                    pair.cert.write_text("nothing of the kind")
                case "no file":
                    pair.cert.unlink()
                case "encrypted key":
                    pair.key.write_bytes(encrypted(pair, b"secret"))
                case "no authority":
                    clients.path.write_text("nothing of the kind")
            for _ in range(3):
                assert await who_am_i(channel(port, authority, client)) == client.cert_pem
            assert [entry["event"] for entry in logs] == ["tls_certificates_not_reloaded"]
            pair.replace(authority.issue("renewed"))
            clients.path.write_bytes(authority.pem)
            assert await who_am_i(channel(port, authority, authority.issue("new client"))) != b""
    assert logs[-1]["event"] == "tls_certificates_reloaded"
    assert "PRIVATE" not in str(logs)


@pytest.mark.parametrize("damage", ["another key", "no certificate", "no file", "encrypted key"])
def test_a_broken_pair_at_the_start(tmp_path: Path, damage: str) -> None:
    """Files that do not fit are told at the start, by name, and without asking for a password."""
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    settings = settings_of(pair)
    match damage:
        case "another key":
            pair.key.write_bytes(authority.issue("other").key_pem)
        case "no certificate":
            pair.cert.write_text("nothing of the kind")
        case "no file":
            pair.cert.unlink()
        case "encrypted key":
            pair.key.write_bytes(encrypted(pair, b"secret"))
    with pytest.raises(InvalidSettings, match=r"server\.pem"):
        server_credentials(settings)


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of files are those of POSIX")
def test_a_key_that_everybody_can_read(tmp_path: Path) -> None:
    """The log warns of it."""
    pair = Authority(tmp_path).issue("server")
    with structlog.testing.capture_logs() as logs:
        ServerCertificates(settings_of(pair))
        pair.key.chmod(0o644)
        ServerCertificates(settings_of(pair))
    assert [entry["event"] for entry in logs] == ["private_key_readable_by_everybody"]


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.0.0.1:53210", "10.0.0.1"),
        ("ipv6:%5B2001:db8::1%5D:53210", "2001:db8::1"),
        ("ipv6:[2001:DB8:0::1]:53210", "2001:db8::1"),
        ("ipv6:%5B::ffff:10.0.0.1%5D:53210", "10.0.0.1"),
        ("ipv6:%5Bfe80::1%25eth0%5D:53210", "fe80::1%eth0"),
        ("unix:", "unix"),
        ("unix:/run/authz.sock", "unix"),
        ("unix-abstract:x", "unix"),
        ("", ""),
    ],
)
def test_addresses_of_peers(peer: str, address: str) -> None:
    """The address is what is left without kind and port, in its shortest form."""
    assert peer_address(peer) == address


def test_the_service_and_its_program(tmp_path: Path) -> None:
    """`authz serve` refuses TLS 1.2 and strangers without a word in its log; `--tls-cert` and `--tls-key` get the
    operator in."""
    authority = Authority(tmp_path)
    client = authority.issue("operator", dns=("operator",))
    settings = {**serve_flags(authority.issue("server"), authority), "access_admins": '["cert/operator"]'}
    with running_server(tmp_path, settings) as server:
        host, _, port = server.address.rpartition(":")
        with socket.create_connection((host, int(port))) as plain:
            plain.sendall(os.urandom(100))
            plain.recv(100)
        assert version_spoken(server.address, V1_2, client) is None
        assert version_spoken(server.address, V1_3) is None
        assert version_spoken(server.address, V1_3, client) == "TLSv1.3"
        flags = ("--addr", server.address, "--tls-ca", authority.path, "--timeout", "5")
        assert run_cli("store", "list", *flags).code == 3
        assert run_cli("store", "list", *flags, "--tls-cert", client.cert).code == 2
        assert run_cli("store", "list", *flags, "--tls-cert", client.cert, "--tls-key", client.key).code == 0
        foreign = [line for line in server.log.read_text().splitlines() if not line.startswith("{")]
        assert foreign == [f"ready grpc={server.address} http={server.http}"]
