"""Certificates made on the spot: in memory, or in files. For tests of TLS and of identities that come from it."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)
_SERVER, _CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its private key, both as PEM."""

    certificate: bytes
    key: bytes

    @property
    def thumbprint(self) -> bytes:
        """SHA-256 of the certificate's DER form."""
        return x509.load_pem_x509_certificate(self.certificate).fingerprint(hashes.SHA256())

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Put both into files; returns the paths of certificate and key."""
        paths = folder / f"{name}.crt", folder / f"{name}.key"
        paths[0].write_bytes(self.certificate)
        paths[1].write_bytes(self.key)
        return paths


class CertificateAuthority:
    """Signs certificates with a key of its own. `kind` is the kind of all keys: `ec` or `rsa`."""

    def __init__(self, name: str = "test authority", kind: str = "ec") -> None:
        self._kind = kind
        self._key = _new_key(kind)
        self._name = _name(name)
        now = datetime.now(UTC)
        self._builder = x509.CertificateBuilder().issuer_name(self._name)
        own = (
            self._builder.subject_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + 10 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = own.public_bytes(Encoding.PEM)
        """The authority's own certificate as PEM."""

    def context(self, folder: Path, client: Issued | None = None) -> ssl.SSLContext:
        """How a client connects to servers of this authority, with a certificate of its own or without."""
        context = ssl.create_default_context(cadata=self.certificate.decode())
        if client is not None:
            context.load_cert_chain(*client.write(folder, "client"))
        return context

    def server(self, *names: str) -> Issued:
        """A certificate for a server on loopback, and for other names."""
        everywhere = ["localhost", "127.0.0.1", "::1", *names]
        return self._issue("server", [_host(name) for name in everywhere], [_SERVER])

    def client(
        self,
        common_name: str = "",
        *,
        uris: Sequence[str] = (),
        hosts: Sequence[str] = (),
        begins: datetime | None = None,
        ends: datetime | None = None,
    ) -> Issued:
        """A certificate for a client; `uris` and `hosts` become alternative names."""
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
        names += [_host(host) for host in hosts]
        return self._issue(common_name, names, [_CLIENT], begins, ends)

    def peer(self, common_name: str, *, uris: Sequence[str] = (), hosts: Sequence[str] = ()) -> Issued:
        """A certificate for a server on loopback that is a client as well."""
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
        return self._issue(common_name, names + [_host(name) for name in (*hosts, "127.0.0.1")], [_SERVER, _CLIENT])

    def _issue(
        self,
        common_name: str,
        names: list[x509.GeneralName],
        purposes: Sequence[x509.ObjectIdentifier],
        begins: datetime | None = None,
        ends: datetime | None = None,
    ) -> Issued:
        key = _new_key(self._kind)
        now = datetime.now(UTC)
        builder = (
            self._builder.subject_name(_name(common_name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins or now - timedelta(minutes=5))
            .not_valid_after(ends or now + DAY)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not common_name)
        signed = builder.sign(self._key, hashes.SHA256())
        return Issued(signed.public_bytes(Encoding.PEM), _key_pem(key))


@dataclass(frozen=True)
class Pair:
    """A certificate with its key, in files."""

    cert: Path
    key: Path

    @property
    def cert_pem(self) -> bytes:
        """The certificate."""
        return self.cert.read_bytes()

    @property
    def key_pem(self) -> bytes:
        """The key."""
        return self.key.read_bytes()

    def replace(self, other: Pair) -> None:
        """Become another pair, in these files: the certificate first."""
        self.cert.write_bytes(other.cert_pem)
        self.key.write_bytes(other.key_pem)


class Authority:
    """A certificate authority that issues into a folder."""

    def __init__(self, folder: Path, name: str = "authority", kind: str = "ec") -> None:
        self._folder = folder
        self._authority = CertificateAuthority(name, kind)
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(self.pem)

    @property
    def pem(self) -> bytes:
        """Its own certificate."""
        return self._authority.certificate

    def issue(self, name: str, *, uris: Sequence[str] = (), dns: Sequence[str] = ("localhost",)) -> Pair:
        """A certificate for loopback and the given names, with `name` as its common name."""
        issued = self._authority.peer(name, uris=uris, hosts=dns)
        pair = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        pair.cert.write_bytes(issued.certificate)
        pair.key.touch(mode=0o600)
        pair.key.write_bytes(issued.key)
        return pair


def encrypted(pair: Pair, password: bytes) -> bytes:
    """The key of a pair, encrypted."""
    key = load_pem_private_key(pair.key_pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    return _key_pem(key, password)


def _new_key(kind: str) -> _Key:
    return rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())


def _key_pem(key: _Key, password: bytes | None = None) -> bytes:
    protection = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
