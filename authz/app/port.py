"""Hold a port for workers that share it. Used by `supervisor`.

With SO_REUSEPORT any process of the same user could join a port: a second service started by mistake would take every
other connection of the first. So the port is bound alone first, as if it were not shared, and opened to others then.
"""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack, suppress
from types import TracebackType

from authz.errors import Unavailable

_ATTEMPTS = 20


class HeldPort:
    """An address that is bound and not listened on; `address` is HOST:PORT, with the port that was free for port 0.

    Raises:
        Unavailable: the address is taken or not of this machine.

    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._sockets: list[socket.socket] = []
        for _ in range(_ATTEMPTS):
            with suppress(OSError):
                self._sockets = _bound(host.strip("[]"), int(port))
                break
            if int(port):
                break
        if not self._sockets:
            raise Unavailable(f"cannot listen on `{address}`: the address is taken or not of this machine")
        self.address = f"{host}:{self._sockets[0].getsockname()[1]}"

    def __enter__(self) -> HeldPort:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._sockets:
            each.close()


def _bound(host: str, port: int) -> list[socket.socket]:
    """A socket for every address of a host, all with the same port; raises OSError when one is taken, or there is none.

    A name may have an address of a family that this machine does not speak, which is passed over.
    """
    with ExitStack() as stack:
        made: list[socket.socket] = []
        unspoken: OSError | None = None
        for family, kind, _, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            chosen = made[0].getsockname()[1] if made else port
            try:
                each = socket.socket(family, kind)
                stack.callback(each.close)
                _bind_alone(each, (place[0], chosen, *place[2:]))
            except OSError as error:
                if error.errno not in _UNSPOKEN:
                    raise
                unspoken = error
            else:
                made.append(each)
        if not made and unspoken is not None:
            raise unspoken
        stack.pop_all()
        return made


_UNSPOKEN = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def _bind_alone(each: socket.socket, place: tuple[str | int, ...]) -> None:
    # Connections of an earlier process that are not forgotten yet are no hindrance; a socket that is bound is.
    each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    each.bind(place)
    each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
