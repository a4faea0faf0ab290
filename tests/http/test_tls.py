"""TLS of the HTTP listener over real sockets: versions, client certificates, files that change, slow handshakes."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from authz.app import Serving, serving
from authz.http.tls import FollowingContext
from authz.settings import InvalidSettings
from authz.settings.tls import TlsSettings
from tests.support.certificates import CertificateAuthority
from tests.support.raw_http import SHORT, get, http_settings, peer_of

pytestmark = pytest.mark.anyio

PAGE = "/healthz"
V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    """Who signs the server's certificate and the clients'."""
    return CertificateAuthority()


def _tls(folder: Path, authority: CertificateAuthority, *, asks: bool = False, **more: Any) -> dict[str, Any]:
    cert, key = authority.server().write(folder, "server")
    if asks:
        (folder / "clients.pem").write_bytes(authority.certificate)
        more |= {"client_ca_file": folder / "clients.pem", "client_auth": "required"}
    # What grpc read when it was imported holds for all tests of this process: it cannot refuse 1.2 any more.
    return {"cert_file": cert, "key_file": key, "min_version": "1.2", **more}


@asynccontextmanager
async def served(folder: Path, tls: dict[str, Any], **given: Any) -> AsyncIterator[Serving]:
    """A service with TLS."""
    async with serving(http_settings(folder, tls=tls, **given)) as service:
        yield service


async def test_an_answer_over_tls(tmp_path: Path, authority: CertificateAuthority) -> None:
    """It tells browsers to come by TLS only; what is not TLS gets no answer at all."""
    async with served(tmp_path, _tls(tmp_path, authority)) as service:
        async with peer_of(service.http_address, authority.context(tmp_path)) as peer:
            answer = await peer.call(get())
            assert (answer.status, answer.header("strict-transport-security")) == (200, "max-age=31536000")
        async with peer_of(service.http_address) as peer:
            peer.send(get())
            assert b"HTTP/" not in await peer.rest()


async def test_without_the_certificate_that_is_asked_for(tmp_path: Path, authority: CertificateAuthority) -> None:
    """Nobody is answered who shows none, or one of somebody else's authority."""
    async with served(tmp_path, _tls(tmp_path, authority, asks=True)) as service:
        known = authority.context(tmp_path, authority.client("anne"))
        async with peer_of(service.http_address, known) as peer:
            assert (await peer.call(get(PAGE))).status == 200
        stranger = CertificateAuthority("other").client("anne")
        for context in (authority.context(tmp_path), authority.context(tmp_path, stranger)):
            with pytest.raises((OSError, asyncio.IncompleteReadError)):
                async with peer_of(service.http_address, context) as peer:
                    await peer.call(get(PAGE))


async def test_a_handshake_that_never_ends(tmp_path: Path, authority: CertificateAuthority) -> None:
    """It is cut, with nothing said and nothing in the log but what is ours; others are answered meanwhile."""
    limits = {"handshake_timeout": SHORT}
    async with served(tmp_path, _tls(tmp_path, authority), limits=limits) as service:
        with structlog.testing.capture_logs() as logs:
            async with peer_of(service.http_address) as silent, peer_of(service.http_address) as slow:
                slow.send(b"\x16\x03\x01\x02\x00\x01")
                async with peer_of(service.http_address, authority.context(tmp_path)) as peer:
                    assert (await peer.call(get())).status == 200
                assert await silent.is_closed()
                assert await slow.is_closed()
        assert not [each for each in logs if each["log_level"] == "error"]


async def test_files_that_change(tmp_path: Path, authority: CertificateAuthority) -> None:
    """New connections are served with the new pair; open ones go on; a pair that does not fit changes nothing."""
    tls = _tls(tmp_path, authority)
    async with served(tmp_path, tls) as service:
        context = authority.context(tmp_path)
        async with peer_of(service.http_address, context) as old:
            before = _shown(old)
            newer = CertificateAuthority("newer")
            newer.server().write(tmp_path, "server")
            async with peer_of(service.http_address, newer.context(tmp_path)) as peer:
                assert (await peer.call(get())).status == 200
                assert _shown(peer) != before
            assert (await old.call(get())).status == 200
            tls["key_file"].write_bytes(authority.server().key)
            async with peer_of(service.http_address, newer.context(tmp_path)) as peer:
                assert (await peer.call(get())).status == 200


def _shown(peer: Any) -> bytes:
    found: bytes = peer.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return found


@pytest.mark.parametrize("version", [V1_2, V1_3])
async def test_an_authority_that_is_withdrawn(
    tmp_path: Path, authority: CertificateAuthority, version: ssl.TLSVersion
) -> None:
    """Who proved himself by it comes in no more, nor by resuming a session from before."""
    async with served(tmp_path, _tls(tmp_path, authority, asks=True)) as service:
        port = int(service.http_address.rpartition(":")[2])
        context = authority.context(tmp_path, authority.client("anne"))
        context.minimum_version = context.maximum_version = version
        session, status = await asyncio.to_thread(_visit, context, port, None)
        assert status.startswith(b"HTTP/1.1 200")
        newer = CertificateAuthority("newer")
        (tmp_path / "clients.pem").write_bytes(newer.certificate)
        with pytest.raises(OSError, match=r".*"):  # noqa: PT012 - what must fail is either of the two
            _, status = await asyncio.to_thread(_visit, context, port, session)
            raise OSError("closed") if not status else AssertionError(status)


def _visit(context: ssl.SSLContext, port: int, session: ssl.SSLSession | None) -> tuple[ssl.SSLSession | None, bytes]:
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost", session=session) as wrapped,
    ):
        wrapped.sendall(get(PAGE))
        answer = wrapped.recv(65536)
        return wrapped.session, answer


def test_versions(tmp_path: Path, authority: CertificateAuthority) -> None:
    """The oldest version is the one that the settings say; renegotiation is off, and HTTP/1.1 the only protocol."""
    for name, version in (("1.2", V1_2), ("1.3", V1_3)):
        tls = _tls(tmp_path, authority) | {"min_version": name}
        context = FollowingContext(TlsSettings.model_validate(tls)).context
        assert context.minimum_version is version
        assert context.options & ssl.OP_NO_RENEGOTIATION


def test_files_that_cannot_be_used(tmp_path: Path, authority: CertificateAuthority) -> None:
    """The service does not start, and says which setting is wrong, without what the files hold."""
    tls = _tls(tmp_path, authority)
    tls["key_file"].write_bytes(authority.server().key)
    with pytest.raises(InvalidSettings, match="setting `tls`") as caught:
        FollowingContext(TlsSettings.model_validate(tls))
    assert "BEGIN" not in str(caught.value)
    tls["key_file"].write_bytes(b"")
    with pytest.raises(InvalidSettings, match="setting `tls`"):
        FollowingContext(TlsSettings.model_validate(tls))


async def test_many_handshakes(tmp_path: Path, authority: CertificateAuthority) -> None:
    """Hundreds that wait keep nobody out."""
    limits = {"handshake_timeout": 8.0}
    async with served(tmp_path, _tls(tmp_path, authority), limits=limits) as service:
        port = int(service.http_address.rpartition(":")[2])
        waiting = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
        began = time.monotonic()
        async with peer_of(service.http_address, authority.context(tmp_path)) as peer:
            assert (await peer.call(get())).status == 200
        assert time.monotonic() - began < 8
        for _, writer in waiting:
            writer.transport.abort()
