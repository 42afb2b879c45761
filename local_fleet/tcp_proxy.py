"""A TCP link that can be cut, slowed, held and made silent, per direction.

Stands between a client and a server of the fleet, on the loopback. It knows bytes only: TLS passes
through, certificates hold as long as they are valid for 127.0.0.1.

``UP`` is client to server (requests), ``DOWN`` server to client (answers, watch events). A work agent whose
status reports are lost while its orders arrive is ``hold(UP)`` on a link that only reports use.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

CHUNK: Final = 64 * 1024  # bytes read at a time

_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: closing sends RST, which is what a cut looks like to both ends."""


class Way(Enum):
    """A direction."""

    UP = "client to server"
    DOWN = "server to client"


UP, DOWN = Way.UP, Way.DOWN
BOTH: Final = (UP, DOWN)


@dataclass(slots=True)
class _Flow:
    """One direction of all connections; ``delay`` in seconds."""

    delay: float = 0.0
    dropping: bool = False
    passing: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.passing.set()


class TcpProxy:
    """Forwards what connects to ``127.0.0.1:port`` to ``host:target_port``.

    ``port`` 0 takes a free one; it stays the proxy's, also while cut. The faults of a direction hold for the
    connections that exist and for those that come.
    """

    def __init__(self, target_port: int, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._target = (host, target_port)
        self._wanted_port = port
        self._flows = {way: _Flow() for way in BOTH}
        self._reserved: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    @property
    def port(self) -> int:
        """The port that clients connect to. RuntimeError while the proxy is not started."""
        if self._reserved is None:
            raise RuntimeError("the proxy is not started")
        port: int = self._reserved.getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    async def start(self) -> None:
        """Take the port and serve."""
        # Bound and never listening: while the listener is away, the kernel refuses connections, and no other
        # program can get the port.
        self._reserved = _bound(self._wanted_port)
        await self._listen()

    async def stop(self) -> None:
        """Reset all connections and give the port back."""
        await self.cut()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None

    async def cut(self) -> None:
        """Reset all connections and refuse new ones, until ``heal``."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._reset(self._connections)

    async def heal(self) -> None:
        """End every fault: listen again, no delay, and forward what was held.

        Connections that lost bytes by ``drop`` cannot go on and are reset.
        """
        for flow in self._flows.values():
            flow.delay, flow.dropping = 0.0, False
            flow.passing.set()
        await self._reset(connection for connection in self._connections if connection.lost)
        if self._server is None:
            await self._listen()

    def delay(self, seconds: float, *ways: Way) -> None:
        """Forward what arrives from now on this much later, in order. Both ways by default, as below."""
        for way in ways or BOTH:
            self._flows[way].delay = seconds

    def hold(self, *ways: Way) -> None:
        """Take what arrives and forward nothing until ``release``: the sender notices nothing."""
        for way in ways or BOTH:
            self._flows[way].passing.clear()

    def release(self, *ways: Way) -> None:
        """Forward what was held, in order, and go on."""
        for way in ways or BOTH:
            self._flows[way].passing.set()

    def drop(self, *ways: Way) -> None:
        """Take what arrives and forget it, ends of streams too, until ``heal``: a black hole.

        Still, connecting succeeds: a lost SYN needs a packet filter.
        """
        for way in ways or BOTH:
            self._flows[way].dropping = True

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, sock=_bound(self.port))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self._flows, reader, writer)
        self._connections.add(connection)
        try:
            await connection.run(*self._target)
        finally:
            self._connections.discard(connection)

    async def _reset(self, connections: Iterable["_Connection"]) -> None:
        chosen = list(connections)
        for connection in chosen:
            connection.reset()
        for connection in chosen:
            await connection.ended.wait()


class _Connection:
    """One client's connection and ours to the target. ``lost``: bytes of it were dropped."""

    def __init__(
        self, flows: dict[Way, _Flow], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.lost = False
        self.ended = asyncio.Event()
        self._flows = flows
        self._reader, self._writers = reader, [writer]
        self._task: asyncio.Task[None] | None = None

    def reset(self) -> None:
        """End it by RST on both sides."""
        if self._task is not None:
            self._task.cancel()

    async def run(self, host: str, port: int) -> None:
        """Forward until both sides have ended their stream, one of them breaks, or it is reset."""
        self._task = asyncio.create_task(self._forward(host, port))
        leave: Callable[[asyncio.StreamWriter], None] = _abort
        try:
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await self._task
                leave = asyncio.StreamWriter.close
        finally:
            self._task.cancel()
            for writer in self._writers:
                leave(writer)
            self.ended.set()

    async def _forward(self, host: str, port: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        self._writers.append(writer)
        await _all(
            self._pass_on(UP, self._reader, writer),
            self._pass_on(DOWN, reader, self._writers[0]),
        )

    async def _pass_on(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Reading goes on whatever happens to writing: only then does the sender notice nothing."""
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        await _all(self._take(way, reader, chunks), self._give(way, writer, chunks))

    async def _take(
        self, way: Way, reader: asyncio.StreamReader, chunks: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        flow, clock = self._flows[way], asyncio.get_running_loop().time
        while True:
            data = await reader.read(CHUNK)
            if flow.dropping:
                self.lost = True
            else:
                chunks.put_nowait((clock() + flow.delay, data))
            if not data:
                return

    async def _give(
        self, way: Way, writer: asyncio.StreamWriter, chunks: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        flow, clock = self._flows[way], asyncio.get_running_loop().time
        while True:
            due, data = await chunks.get()
            await asyncio.sleep(max(0.0, due - clock()))
            await flow.passing.wait()
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()


async def _all(*works: Coroutine[None, None, None]) -> None:
    """Both to their end; the first error ends the other and is raised as it is."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _bound(port: int) -> socket.socket:
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    found.bind(("127.0.0.1", port))
    found.setblocking(False)  # noqa: FBT003 - the socket's own signature
    return found


def _abort(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
