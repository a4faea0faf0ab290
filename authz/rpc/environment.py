"""What grpc reads from the environment, once, when it is imported. Called by `cli` before that; checked by `tls`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authz.settings.tls import TlsSettings

CIPHER_SUITES = "GRPC_SSL_CIPHER_SUITES"
VERBOSITY = "GRPC_VERBOSITY"

# grpcio has no setting for the oldest version of TLS. It does have one for the cipher suites of TLS 1.2, which TLS 1.3
# does not heed. With suites that need a secret shared beforehand, which nobody here has, no handshake of TLS 1.2 can
# succeed, whatever the certificate. That holds for all of grpc in this process, its own clients included.
_NOT_TO_BE_HAD = "ECDHE-PSK-CHACHA20-POLY1305"


def prepare_environment(tls: TlsSettings) -> None:
    """Let this process, and those that it starts, refuse TLS older than `min_version`, and write no lines of grpc's
    own: one for every failed handshake, which anybody can cause."""
    os.environ.setdefault(VERBOSITY, "NONE")
    if tls.is_on and tls.min_version == "1.3":
        os.environ[CIPHER_SUITES] = _NOT_TO_BE_HAD
