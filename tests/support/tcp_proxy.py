"""A TCP proxy that makes a server slow, silent or rude: what toxiproxy does, as far as the fault tests need it."""

import asyncio
import socket
import struct
from threading import Thread
from types import TracebackType
from typing import Self

from tests.support.ports import LOOPBACK, free_ports

PIECE_BYTES = 16_384
LIMIT_S = 10.0


class TcpProxy:
    """Forwards to a port of this machine as long as its `with` block lasts. Settings apply to open connections too."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        (self.port,) = free_ports(1)
        self.latency_s = 0.0  # of each piece, both ways
        self.piece_bytes = PIECE_BYTES
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._thread = Thread(target=self._loop.run_forever, name="tcp-proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"{LOOPBACK}:{self.port}"

    def freeze(self) -> None:
        """Half-open: connections stay, connections are made, and no byte goes through."""
        self._call(self._flowing.clear)

    def thaw(self) -> None:
        """Let bytes go through again."""
        self._call(self._flowing.set)

    def reset(self) -> None:
        """Break every open connection with a TCP reset."""
        self._call(self._abort)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(LIMIT_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(LIMIT_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT_S)
        self._loop.close()

    def _call(self, change: object) -> None:
        async def done() -> None:
            assert callable(change)
            change()

        asyncio.run_coroutine_threadsafe(done(), self._loop).result(LIMIT_S)

    def _abort(self) -> None:
        for writer in list(self._open):
            open_socket = writer.get_extra_info("socket")
            if open_socket.fileno() >= 0:  # else the other side was quicker
                open_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _listen(self) -> None:
        self._flowing.set()
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        self._flowing.set()
        self._abort()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(LOOPBACK, self._target_port)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, back}
        try:
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
        finally:
            self._open -= {writer, back}
            writer.transport.abort()
            back.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(self.piece_bytes):
                await self._flowing.wait()
                if self.latency_s:
                    await asyncio.sleep(self.latency_s)
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
