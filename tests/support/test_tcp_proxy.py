"""The proxy: bytes go through; frozen, none do; reset, the connection is gone."""

import contextlib
import socket
from collections.abc import Iterator
from threading import Thread

import pytest

from tests.support.ports import LOOPBACK
from tests.support.tcp_proxy import TcpProxy


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that gives back what it gets, over one connection."""
    with socket.create_server((LOOPBACK, 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(ConnectionResetError):
                while piece := connection.recv(100):
                    connection.sendall(piece)

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(60.0)


def test_bytes_go_through_stand_still_and_go_on(echo: int) -> None:
    with TcpProxy(echo) as proxy, socket.create_connection((LOOPBACK, proxy.port), timeout=60.0) as client:
        client.sendall(b"one")
        assert client.recv(10) == b"one"

        proxy.freeze()
        client.sendall(b"two")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(10)

        proxy.thaw()
        client.settimeout(60.0)
        assert client.recv(10) == b"two"


def test_a_reset_breaks_the_connection(echo: int) -> None:
    with TcpProxy(echo) as proxy, socket.create_connection((LOOPBACK, proxy.port), timeout=60.0) as client:
        client.sendall(b"one")
        assert client.recv(10) == b"one"

        proxy.reset()

        with pytest.raises(ConnectionResetError):
            client.recv(10)
