"""Something between a client and PostgreSQL that cuts, holds up or rewrites what passes. Used by tests of failures."""

from __future__ import annotations

import contextlib
import socket
import threading
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import make_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHUNK = 65_536


class Cut(Enum):
    """When a connection breaks."""

    BEFORE = "before"
    """The server does not get what the client sends."""
    AFTER = "after"
    """The server gets it and does it; its answer does not arrive."""


class Proxy:
    """Passes everything on, unless told otherwise. Listens on loopback; `uri` leads through it."""

    def __init__(self, uri: str) -> None:
        url = make_url(uri)
        place = url.query.get("host") or url.host or "127.0.0.1"
        assert isinstance(place, str)
        self._place, self._port = place, url.port or 5432
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        through = url.difference_update_query(["host"]).set(host="127.0.0.1", port=port)
        self.uri = through.update_query_dict({"sslmode": "disable"}).render_as_string(hide_password=False)
        self.cut: Callable[[bytes], Cut | None] = lambda _chunk: None
        """Asked of each piece that a client sends."""
        self.watch: Callable[[bytes], None] = lambda _chunk: None
        """Told of each piece."""
        self.rewrites: dict[bytes, bytes] = {}
        """What to replace in it, by something of the same length."""
        self.flowing = threading.Event()
        """While it is cleared, answers are held back."""
        self.flowing.set()
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_all(self) -> None:
        """Break every connection."""
        for each in list(self._open):
            _shut(each)

    def close(self) -> None:
        """Take no more connections, and break those that are."""
        _shut(self._listener)
        self.flowing.set()
        self.cut_all()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = self._connect()
                silenced = threading.Event()
                self._open |= {client, server}
                for pump in (self._up, self._down):
                    threading.Thread(target=pump, args=(client, server, silenced), daemon=True).start()

    def _connect(self) -> socket.socket:
        path = Path(self._place) / f".s.PGSQL.{self._port}"
        if not path.is_socket():
            return socket.create_connection((self._place, self._port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(path))
        return server

    def _up(self, client: socket.socket, server: socket.socket, silenced: threading.Event) -> None:
        with self._closing(client, server), contextlib.suppress(OSError):
            while chunk := client.recv(_CHUNK):
                for old, new in self.rewrites.items():
                    chunk = chunk.replace(old, new)
                self.watch(chunk)
                cut = self.cut(chunk)
                if cut is Cut.BEFORE:
                    return
                if cut is Cut.AFTER:
                    silenced.set()
                server.sendall(chunk)

    def _down(self, client: socket.socket, server: socket.socket, silenced: threading.Event) -> None:
        with self._closing(client, server), contextlib.suppress(OSError):
            while chunk := server.recv(_CHUNK):
                self.flowing.wait()
                if silenced.is_set():
                    return
                client.sendall(chunk)

    @contextlib.contextmanager
    def _closing(self, *ends: socket.socket) -> Iterator[Any]:
        yield
        for each in ends:
            self._open.discard(each)
            _shut(each)


@contextlib.contextmanager
def proxied(uri: str) -> Iterator[Proxy]:
    """A proxy before the server of a URI, while the block runs."""
    proxy = Proxy(uri)
    try:
        yield proxy
    finally:
        proxy.close()


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
