"""Settings of TLS of the listeners and of client certificates. A section of `tree`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from authz.settings.types import Section


class TlsSettings(Section):
    """The table `[tls]`. Files are PEM, and are read again when they change."""

    cert_file: Path | None = None
    """Certificate of the server, followed by the authorities between it and the root. Serves TLS when given."""
    key_file: Path | None = None
    """Private key of that certificate, unencrypted; nobody but the service should be able to read it."""
    client_ca_file: Path | None = None
    """Authorities that clients' certificates must come from."""
    client_auth: Literal["none", "required"] = "none"
    """Whether clients must prove themselves with a certificate of `client_ca_file`."""
    min_version: Literal["1.3", "1.2"] = "1.3"
    """The oldest version of TLS that is spoken."""

    @model_validator(mode="after")
    def _is_complete(self) -> TlsSettings:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("`cert_file` and `key_file` go together")
        if self.client_ca_file is not None and self.cert_file is None:
            raise ValueError("`client_ca_file` needs `cert_file` and `key_file`")
        if (self.client_auth == "required") != (self.client_ca_file is not None):
            raise ValueError("`client_auth = required` and `client_ca_file` go together")
        return self

    @property
    def is_on(self) -> bool:
        """Whether the listeners speak TLS."""
        return self.cert_file is not None

    @property
    def has_client_certificates(self) -> bool:
        """Whether every caller has shown a certificate that was verified."""
        return self.is_on and self.client_auth == "required"
