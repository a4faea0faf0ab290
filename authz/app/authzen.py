"""Build the metadata of AuthZEN from the settings. Called when HTTP is served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz.access.signing import Signer
from authz.rpc.authzen.configuration import Configuration
from authz.settings import InvalidSettings, Settings

if TYPE_CHECKING:
    from pathlib import Path

    from authz.clock import Clock


def build_configuration(settings: Settings, clock: Clock, public_url: str) -> Configuration:
    """The metadata of a service that its clients reach by a URL. Reads the key that signs it.

    Raises:
        InvalidSettings: there is no usable key in the file that the settings name.

    """
    path = settings.authzen.signing_key_file
    signer = None if path is None else _signer(path)
    return Configuration(public_url, clock, signer, has_store=bool(settings.authzen.store))


def _signer(path: Path) -> Signer:
    try:
        return Signer(path)
    except OSError as error:
        why = (error.strerror or "unreadable").lower()
        raise InvalidSettings(f"setting `authzen.signing_key_file`: cannot read `{path}`: {why}") from None
    except ValueError as error:
        raise InvalidSettings(f"setting `authzen.signing_key_file`: {error}") from None
