"""Certificates made on the spot, for tests of TLS and of identities that come from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


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
    """Issues certificates into a folder. `kind` is the kind of all keys: `ec` or `rsa`."""

    def __init__(self, folder: Path, name: str = "authority", kind: str = "ec") -> None:
        self._folder = folder
        self._kind = kind
        self._key = _new_key(kind)
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        cert = _builder(self._name, self._name, self._key).add_extension(x509.BasicConstraints(True, None), True)
        self._cert = cert.sign(self._key, hashes.SHA256())
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(self._cert.public_bytes(serialization.Encoding.PEM))

    @property
    def pem(self) -> bytes:
        """Its own certificate."""
        return self.path.read_bytes()

    def issue(self, name: str, *, uris: tuple[str, ...] = (), dns: tuple[str, ...] = ("localhost",)) -> Pair:
        """A certificate for loopback and the given names, with `name` as its common name."""
        key = _new_key(self._kind)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = [
            *map(x509.UniformResourceIdentifier, uris),
            *map(x509.DNSName, dns),
            x509.IPAddress(ip_address("127.0.0.1")),
        ]
        builder = _builder(subject, self._name, key).add_extension(x509.SubjectAlternativeName(names), False)
        cert = builder.sign(self._key, hashes.SHA256())
        pair = Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        pair.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        pair.key.touch(mode=0o600)
        pair.key.write_bytes(key_pem(key))
        return pair


def key_pem(key: _Key, password: bytes | None = None) -> bytes:
    """A private key, encrypted if there is a password."""
    protection = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)


def encrypted(pair: Pair, password: bytes) -> bytes:
    """The key of a pair, encrypted."""
    key = serialization.load_pem_private_key(pair.key_pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    return key_pem(key, password)


def _new_key(kind: str) -> _Key:
    return rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())


def _builder(subject: x509.Name, issuer: x509.Name, key: _Key) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
    )
