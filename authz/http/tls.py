"""TLS of the HTTP listener: the same files as for gRPC, looked at again at every handshake. Used by `server`."""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from authz.settings import InvalidSettings

if TYPE_CHECKING:
    from authz.settings.tls import TlsSettings

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

_log = structlog.get_logger(__name__)

_State = tuple[tuple[int, int, int], ...]


class _Context(ssl.SSLContext):
    """A context that knows since when its files say what they say; 0 for the first one."""

    began = 0.0


def is_outdated(connection: ssl.SSLObject) -> bool:
    """Whether a handshake took up a session from before the files changed: nothing of it was held against them."""
    if not connection.session_reused or connection.session is None:
        return False
    context = connection.context
    return isinstance(context, _Context) and connection.session.time <= context.began


class FollowingContext:
    """A context whose handshakes use what the files say at that moment. Blocks for a moment when they have changed.

    Raises:
        InvalidSettings: a file that cannot be read or does not fit the others.

    """

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._state = self._look()
        try:
            self._newest = self._read()
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise InvalidSettings(f"setting `tls`: the HTTP listener cannot use its files: {error}") from None
        self.context: ssl.SSLContext = self._newest
        """What the listener is given."""
        # Called at every handshake, also of clients that name no server.
        self.context.sni_callback = self._follow

    def _follow(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        try:
            state = self._look()
            if state != self._state:
                self._state = state
                newest = self._read()
                # Sessions count in seconds of the machine's clock.
                newest.began = time.time()
                self._newest = newest
                _log.info("http_certificates_reloaded", path=str(self._settings.cert_file))
        except (OSError, ValueError) as error:
            _log.error("http_certificates_not_reloaded", why=str(error))
        connection.context = self._newest

    def _look(self) -> _State:
        found = (self._settings.cert_file, self._settings.key_file, self._settings.client_ca_file)
        states = (path.stat() for path in found if path is not None)
        return tuple((state.st_ino, state.st_mtime_ns, state.st_size) for state in states)

    def _read(self) -> _Context:
        settings = self._settings
        context = _Context(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[settings.min_version]
        # Who comes again by a ticket shows no certificate again, however long ago its authority was withdrawn.
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
        context.num_tickets = 0
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(_given(settings.cert_file), _given(settings.key_file), password=_no_password)
        if settings.client_ca_file is not None:
            context.load_verify_locations(cafile=settings.client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def _given(path: Path | None) -> Path:
    assert path is not None, "the settings hold both files or none"
    return path


def _no_password(*_given: Any) -> bytes:
    # An encrypted key fails, instead of asking for its password on a terminal.
    return b""
