"""TLS of the gRPC listener, and what it knows of a peer. Used by `server`.

Certificates are looked at again at every handshake: a new pair serves new connections, and old ones go on.
"""

from __future__ import annotations

import socket
import ssl
import stat
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

import grpc
import structlog

from authz.access.authentication.expiry import ends_at
from authz.settings import InvalidSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz.settings.tls import TlsSettings

_PROBE_SECONDS = 5.0
_CERTIFICATE = "x509_pem_cert"
_UNIX = "unix"

_log = structlog.get_logger(__name__)

_State = tuple[tuple[int, int, int], ...]


def open_certificates(settings: TlsSettings) -> ServerCertificates:
    """The pair to serve with. Blocks for a moment.

    Raises:
        InvalidSettings: a file that cannot be read or does not fit the others.

    """
    try:
        return ServerCertificates(settings)
    except (OSError, ValueError) as error:
        raise InvalidSettings(f"setting `tls`: {_why(error)}") from None


def server_credentials(settings: TlsSettings, certificates: ServerCertificates | None = None) -> grpc.ServerCredentials:
    """Credentials that follow their files, and speak no older version than the settings say. Blocks for a moment.

    Raises:
        InvalidSettings: as `open_certificates`, or TLS 1.2 that cannot be refused because grpc was imported before
            `environment.prepare_environment` was called.

    """
    certificates = open_certificates(settings) if certificates is None else certificates
    credentials = grpc.dynamic_ssl_server_credentials(
        certificates.configuration,
        cast("Callable[[], grpc.ServerCertificateConfiguration]", certificates.changed),  # None is allowed: no change
        require_client_authentication=settings.client_auth == "required",
    )
    if settings.min_version == "1.3":
        _check_refuses_tls_1_2(certificates.pair)
    return credentials


class ServerCertificates:
    """Certificate, key, and the authority of clients, as their files say. grpc asks from threads of its own.

    Raises:
        OSError: a file cannot be read.
        ValueError: the files are not a certificate with its key, or authorities.

    """

    def __init__(self, settings: TlsSettings) -> None:
        if settings.cert_file is None or settings.key_file is None:
            raise ValueError("`cert_file` and `key_file` are not given")
        self._cert = settings.cert_file
        self._key = settings.key_file
        self._authority = settings.client_ca_file
        self._lock = Lock()
        self._complaint = ""
        self._seen = self._look()
        self.pair = (b"", b"")
        """Key and certificate."""
        self.ends_at = 0.0
        """When that certificate, or one that it rests on, ends: in seconds since 1970."""
        self.configuration = self._read(self._seen)
        """What they said first."""
        if self._key.stat().st_mode & stat.S_IROTH:
            _log.warning("private_key_readable_by_everybody", path=str(self._key))

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """What the files say if they have changed, else None. Files that do not fit each other change nothing."""
        with self._lock:
            try:
                state = self._look()
                if state == self._seen:
                    return None
                self._seen = state
                configuration = self._read(state)
            except (OSError, ValueError) as error:
                self._complain(_why(error))
                return None
            self._complaint = ""
        _log.info("tls_certificates_reloaded", path=str(self._cert))
        return configuration

    def _complain(self, why: str) -> None:
        # Once, not at every handshake.
        if why != self._complaint:
            self._complaint = why
            _log.error("tls_certificates_not_reloaded", why=why)

    def _look(self) -> _State:
        paths = (self._cert, self._key, *(() if self._authority is None else (self._authority,)))
        return tuple((found.st_ino, found.st_mtime_ns, found.st_size) for found in map(Path.stat, paths))

    def _read(self, state: _State) -> grpc.ServerCertificateConfiguration:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # An encrypted key fails here, instead of asking for its password on a terminal.
            context.load_cert_chain(self._cert, self._key, password=lambda: b"")
        except ssl.SSLError:
            raise ValueError(f"`{self._cert}` and `{self._key}` are not a certificate and its plain key") from None
        authority = None
        if self._authority is not None:
            authority = self._authority.read_bytes()
            _check_authority(context, authority, self._authority)
        pair = (self._key.read_bytes(), self._cert.read_bytes())
        if self._look() != state:  # what was checked may not be what was read
            raise ValueError("the files are being changed")
        self.pair, self.ends_at = pair, ends_at(pair[1])
        return grpc.ssl_server_certificate_configuration([pair], authority)


def peer_certificate(context: grpc.aio.ServicerContext[Any, Any]) -> bytes | None:
    """The certificate that the peer proved to have, as PEM. Worth asking (4 µs) only when clients must show one."""
    found = context.auth_context().get(_CERTIFICATE)
    return next(iter(found)) if found else None


@lru_cache(maxsize=16_384)
def peer_address(peer: str) -> str:
    """The address in grpc's name of a peer, without port: `10.0.0.1`, `2001:db8::1`, or `unix`."""
    kind, _, rest = unquote(peer).partition(":")
    if kind.startswith(_UNIX):
        return _UNIX
    if not rest:
        return kind
    return address_of(rest.rpartition(":")[0].removeprefix("[").removesuffix("]") or rest)


@lru_cache(maxsize=16_384)
def address_of(host: str) -> str:
    """An address as it is written everywhere here: an IPv4 address that came through an IPv6 socket is that one."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def _check_authority(context: ssl.SSLContext, pem: bytes, path: Path) -> None:
    try:
        context.load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise ValueError(f"`{path}` holds no certificates of authorities") from None


def _check_refuses_tls_1_2(pair: tuple[bytes, bytes]) -> None:
    """Try it, on a listener that nobody knows: a promise that depends on the inside of a library must be held to."""
    # Without client certificates, for whose lack a handshake would fail too.
    credentials = grpc.ssl_server_credentials([pair])
    with ThreadPoolExecutor(1) as threads:
        server = grpc.server(threads, options=[("grpc.so_reuseport", 0)])
        try:
            port = server.add_secure_port("127.0.0.1:0", credentials)
            server.start()
            speaks = [_speaks(port, version) for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)]
        except (RuntimeError, OSError):
            raise InvalidSettings(
                "setting `tls`: grpc does not accept the certificate, its key or authorities"
            ) from None
        finally:
            server.stop(None).wait()
    if speaks == [True, True]:
        raise InvalidSettings(
            "setting `tls.min_version`: this process cannot refuse TLS 1.2, for grpc was loaded before the setting was"
            " known: start it as `authz serve`, or allow 1.2"
        )
    if speaks != [False, True]:
        raise InvalidSettings("setting `tls`: grpc does not speak TLS 1.3 with the certificate and its key")


def _speaks(port: int, version: ssl.TLSVersion) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only the version is asked about
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", port), _PROBE_SECONDS) as plain:
        try:
            with context.wrap_socket(plain):
                return True
        except (ssl.SSLError, ConnectionError):
            return False


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"cannot read `{error.filename}`: {(error.strerror or 'unreadable').lower()}"
    return str(error)
