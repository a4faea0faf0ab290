"""When certificates end. Asked by `rpc` of the pair that it serves with."""

from __future__ import annotations

from cryptography import x509


def ends_at(chain: bytes) -> float:
    """The first moment at which not all certificates of a chain in PEM form are valid any more, in seconds since 1970.

    Raises:
        ValueError: there is none, or one cannot be read.

    """
    return min(each.not_valid_after_utc.timestamp() + 1 for each in x509.load_pem_x509_certificates(chain))
