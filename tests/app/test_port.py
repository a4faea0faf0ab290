"""The port that workers share: theirs alone, whoever else asks for it."""

from __future__ import annotations

import socket

import pytest

from authz.app.port import HeldPort
from authz.errors import Unavailable


def bind(port: int, *, shared: bool) -> socket.socket:
    """A socket on a port of loopback, as a worker or a stranger opens it."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        made.bind(("127.0.0.1", port))
    except OSError:
        made.close()
        raise
    return made


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def test_port_0_is_a_free_port_that_workers_can_share() -> None:
    """
    The address names it, several sockets can listen on it, and connections reach them all.
    """
    with HeldPort("127.0.0.1:0") as held:
        port = port_of(held.address)
        assert port > 0
        workers = [bind(port, shared=True) for _ in range(2)]
        for worker in workers:
            worker.listen()
            worker.setblocking(False)
        callers = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(64)]
        for worker in workers:
            worker.accept()[0].close()
        for each in (*workers, *callers):
            each.close()


def test_connections_reach_nobody_before_a_worker_listens() -> None:
    """
    The port is held, not listened on: a caller is refused, and does not wait for ever.
    """
    with HeldPort("127.0.0.1:0") as held, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port_of(held.address)), timeout=5)


@pytest.mark.parametrize("listening", [True, False])
def test_a_second_service_cannot_join(listening: bool) -> None:
    """
    Two services on one port would each get a part of the other's calls: the second is refused, whether the workers of
    the first listen already or not.
    """
    with HeldPort("127.0.0.1:0") as held:
        worker = bind(port_of(held.address), shared=True)
        if listening:
            worker.listen()
        with pytest.raises(Unavailable, match="cannot listen on"):
            HeldPort(held.address)
        worker.close()


def test_a_port_that_somebody_else_has_is_refused() -> None:
    """
    Also when he would share it.
    """
    for shared in (True, False):
        stranger = bind(0, shared=shared)
        stranger.listen()
        with pytest.raises(Unavailable):
            HeldPort(f"127.0.0.1:{stranger.getsockname()[1]}")
        stranger.close()


def test_a_port_is_free_again_at_once() -> None:
    """
    Connections that a former process has ended, and the system still remembers, keep nobody from starting again.
    """
    with HeldPort("127.0.0.1:0") as held:
        worker = bind(port_of(held.address), shared=True)
        worker.listen()
        caller = socket.create_connection(("127.0.0.1", port_of(held.address)), timeout=5)
        accepted, _ = worker.accept()
        for each in (accepted, caller, worker):
            each.close()
    with HeldPort(held.address) as again:
        assert again.address == held.address


@pytest.mark.parametrize("address", ["192.0.2.1:0", "192.0.2.1:1", "no.such.name.invalid:0"])
def test_an_address_of_somebody_else_is_refused(address: str) -> None:
    """
    With the same words as for one process.
    """
    with pytest.raises(Unavailable, match="cannot listen on"):
        HeldPort(address)


def test_a_name_holds_all_its_addresses() -> None:
    """
    `localhost` is held on every family that the machine has, with one port.
    """
    with HeldPort("localhost:0") as held:
        assert held.address.startswith("localhost:")
        with pytest.raises(OSError, match="in use"):
            bind(port_of(held.address), shared=False)
