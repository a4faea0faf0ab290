"""A certificate authority in memory, for tests of identities and bindings that come from client certificates."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DAY = timedelta(days=1)


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
    """Signs certificates with a key of its own."""

    def __init__(self, name: str = "test authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
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
        return self._issue("server", [_host(name) for name in everywhere], ExtendedKeyUsageOID.SERVER_AUTH)

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
        return self._issue(common_name, names, ExtendedKeyUsageOID.CLIENT_AUTH, begins, ends)

    def _issue(
        self,
        common_name: str,
        names: list[x509.GeneralName],
        purpose: x509.ObjectIdentifier,
        begins: datetime | None = None,
        ends: datetime | None = None,
    ) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        builder = (
            self._builder.subject_name(_name(common_name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins or now - timedelta(minutes=5))
            .not_valid_after(ends or now + DAY)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not common_name)
        signed = builder.sign(self._key, hashes.SHA256())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Issued(signed.public_bytes(Encoding.PEM), private)


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
