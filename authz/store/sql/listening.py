"""Hear of commits on other nodes: notifications of PostgreSQL, and a poll for lost ones. Built by `postgresql`.

One thread with one connection of its own. NOTIFY takes a lock of the whole server when it commits, hence one for all
the transactions of some milliseconds, and none inside them.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg

from authz.errors import Unavailable
from authz.store.sql.lineage import Lineage

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy
    from psycopg import Connection

    from authz.store.api import WriteMark

CHANNEL = "authz_changes"
NOTIFY_INTERVAL = 0.02
"""Seconds between two notifications of one process."""
_FIRST_PAUSE = 0.1
_LAST_PAUSE = 5.0
"""Seconds between attempts to connect, doubled from the first to the last."""

_LISTEN = f"LISTEN {CHANNEL}"
_NOTIFY = f"NOTIFY {CHANNEL}"
# Revisions only grow, so that an equal sum means that no store has moved.
_POLL = "SELECT coalesce(sum(revision), 0) FROM store_revisions"


class Listener:
    """The change signal of a PostgreSQL datastore. Says "may have changed" as long as it does not know better."""

    def __init__(self, conninfo: str, poll_interval: float, lineage: Lineage | None = None) -> None:
        self._conninfo = conninfo
        self._poll_interval = poll_interval
        self._lineage = lineage or Lineage()
        self._met = self._lineage.number
        self._changed = True
        self._to_announce = False
        self._confirmed = float("-inf")
        self._stopping = False
        self._wakeup, self._waker = socket.socketpair()
        self._wakeup.setblocking(False)  # noqa: FBT003 - the socket's own signature
        self._waker.setblocking(False)  # noqa: FBT003 - the socket's own signature
        self._thread = threading.Thread(target=self._run, name="store-signal", daemon=True)
        self._thread.start()

    def may_have_changed(self) -> bool:
        """See `TupleReader.may_have_changed`; always true while the database has not been heard of for two polls."""
        if self._stopping:
            raise Unavailable("the datastore is closed")
        met = self._lineage.number
        if self._changed or met != self._met or time.monotonic() - self._confirmed > 2 * self._poll_interval:
            self._changed, self._met = False, met
            return True
        return False

    def place(self, connection: sqlalchemy.Connection) -> None:
        """Nobody counts changes here: a notification does not say whose it is."""

    def heard(self, mark: WriteMark) -> None:
        """Never called: no write has a mark here."""

    def announce(self) -> None:
        """Notify the other nodes, together with what else is committed in these milliseconds."""
        self._changed = True
        self._to_announce = True
        self._wake()

    def close(self) -> None:
        """Send what is to be announced and end the thread."""
        if self._stopping:
            return
        self._stopping = True
        self._wake()
        self._thread.join()
        self._wakeup.close()
        self._waker.close()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):  # full: it will wake anyway
            self._waker.send(b"\0")

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stopping:
            try:
                with psycopg.connect(self._conninfo, autocommit=True) as connection:
                    self._lineage.meet(connection)
                    conversation = _Conversation(connection, self._hear)
                    pause = _FIRST_PAUSE
                    self._follow(conversation)
            except (psycopg.Error, OSError):
                self._confirmed = float("-inf")
                self._to_announce = True  # the last notification may have gone down with the connection
                self._sleep(pause)
                pause = min(2 * pause, _LAST_PAUSE)

    def _follow(self, conversation: _Conversation) -> None:
        notified = float("-inf")
        with selectors.DefaultSelector() as selector:
            selector.register(self._wakeup, selectors.EVENT_READ)
            selector.register(conversation.connection, selectors.EVENT_READ)
            while True:
                is_last = self._stopping  # what was announced before is seen below
                if time.monotonic() - self._confirmed >= self._poll_interval:
                    self._poll(conversation)
                if self._to_announce and (is_last or time.monotonic() - notified >= NOTIFY_INTERVAL):
                    self._to_announce = False
                    conversation.notify()
                    notified = time.monotonic()
                if is_last:
                    return
                selector.select(self._wait(notified))
                self._drain()
                conversation.listen()

    def _hear(self) -> None:
        self._changed = True

    def _poll(self, conversation: _Conversation) -> None:
        asked = time.monotonic()
        if conversation.has_moved():
            self._changed = True
        self._confirmed = asked

    def _wait(self, notified: float) -> float:
        """Seconds until there is something to do unasked."""
        now = time.monotonic()
        wait = self._confirmed + self._poll_interval - now
        if self._to_announce:
            wait = min(wait, notified + NOTIFY_INTERVAL - now)
        return max(wait, 0.0)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wakeup.recv(4096):
                pass

    def _sleep(self, seconds: float) -> None:
        """Wait, unless the listener is closed meanwhile."""
        ends = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._wakeup, selectors.EVENT_READ)
            while not self._stopping and (left := ends - time.monotonic()) > 0:
                selector.select(left)
                self._drain()


class _Conversation:
    """What is said on one connection, from LISTEN on. `hear` is called of each notification, whenever it comes."""

    def __init__(self, connection: Connection[Any], hear: Callable[[], None]) -> None:
        self.connection = connection
        self._hear = hear
        self._seen: int | None = None
        self._can_listen = True
        # One that comes while a statement is answered is handed to the handler, and the socket does not tell of it.
        connection.add_notify_handler(lambda _notification: hear())
        try:
            connection.execute(_LISTEN)
        except (psycopg.errors.FeatureNotSupported, psycopg.errors.SyntaxError):
            self._can_listen = False  # relatives of PostgreSQL without notifications: the poll must do

    def notify(self) -> None:
        """Tell the other nodes."""
        if self._can_listen:
            self.connection.execute(_NOTIFY)

    def listen(self) -> None:
        """Take in what has come by itself."""
        pgconn = self.connection.pgconn
        pgconn.consume_input()
        while pgconn.notifies() is not None:
            self._hear()

    def has_moved(self) -> bool:
        """Whether the revision of some store differs from the last call's; true on the first."""
        row = self.connection.execute(_POLL).fetchone()
        total = int(row[0]) if row else 0
        seen, self._seen = self._seen, total
        return total != seen
