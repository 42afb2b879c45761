"""The proxy between real sockets. Everything that must not happen is waited for a short while only."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from local_fleet.tcp_proxy import DOWN, UP, TcpProxy, Way

SOON = 5.0  # seconds within which the loopback surely delivers
A_WHILE = 0.05  # seconds within which nothing must arrive

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]

pytestmark = pytest.mark.timeout(30)


class Server:
    """Accepts connections and leaves what comes to the test."""

    def __init__(self) -> None:
        self.accepted: asyncio.Queue[Stream] = asyncio.Queue()
        self.port = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[TcpProxy]:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.accepted.put_nowait((reader, writer))

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        proxy = TcpProxy(self.port)
        await proxy.start()
        try:
            yield proxy
        finally:
            await proxy.stop()
            server.close()
            while not self.accepted.empty():
                self.accepted.get_nowait()[1].close()
            await server.wait_closed()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def proxy(server: Server) -> AsyncIterator[TcpProxy]:
    async with server.running() as proxy:
        yield proxy


async def connected(server: Server, proxy: TcpProxy) -> tuple[Stream, Stream]:
    """A client's end and the server's end of one connection."""
    async with asyncio.timeout(SOON):
        client = await asyncio.open_connection("127.0.0.1", proxy.port)
        return client, await server.accepted.get()


async def closed(*ends: Stream) -> None:
    for _, writer in ends:
        writer.transport.abort()
    await asyncio.sleep(0)


async def arrives(end: Stream, want: bytes) -> None:
    async with asyncio.timeout(SOON):
        assert await end[0].readexactly(len(want)) == want


async def nothing_arrives(end: Stream) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(A_WHILE):
            await end[0].read(1)


async def is_reset(end: Stream) -> None:
    with pytest.raises(ConnectionResetError):
        async with asyncio.timeout(SOON):
            await end[0].read(1)


async def test_bytes_pass_both_ways_and_the_ends_too(server: Server, proxy: TcpProxy) -> None:
    client, peer = await connected(server, proxy)
    much = bytes(range(256)) * 4096  # 1 MiB, many chunks

    client[1].write(much)
    await arrives(peer, much)
    client[1].write_eof()
    async with asyncio.timeout(SOON):
        assert await peer[0].read() == b""
    peer[1].write(b"the answer after the client's end")
    await arrives(client, b"the answer after the client's end")
    peer[1].close()
    async with asyncio.timeout(SOON):
        assert await client[0].read() == b""
    await closed(client, peer)


async def test_a_slow_reader_gets_all_that_was_sent_before_the_end(server: Server, proxy: TcpProxy) -> None:
    client, peer = await connected(server, proxy)
    much = b"x" * (4 << 20)

    client[1].write_eof()
    peer[1].write(much)
    peer[1].close()
    await asyncio.sleep(A_WHILE)

    async with asyncio.timeout(SOON):
        assert await client[0].read() == much
    await closed(client)


async def test_cut_resets_and_refuses_and_heal_serves_again_on_the_same_port(
    server: Server, proxy: TcpProxy
) -> None:
    client, peer = await connected(server, proxy)
    port = proxy.port

    await proxy.cut()

    await is_reset(client)
    await is_reset(peer)
    assert proxy.connections == 0
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    assert proxy.port == port

    await proxy.heal()
    again, other = await connected(server, proxy)
    again[1].write(b"back")
    await arrives(other, b"back")
    await closed(client, peer, again, other)


async def test_a_target_that_refuses_resets_the_client(server: Server) -> None:
    async with server.running() as proxy:
        silent = TcpProxy(1)  # tcpmux: nobody listens
        await silent.start()
        client = await asyncio.open_connection("127.0.0.1", silent.port)
        await is_reset(client)
        await silent.stop()
        await closed(client)
        assert proxy.connections == 0


@pytest.mark.parametrize(("way", "other"), [(UP, DOWN), (DOWN, UP)], ids=lambda way: way.name)
async def test_hold_is_one_way_and_loses_nothing(
    server: Server, proxy: TcpProxy, way: Way, other: Way
) -> None:
    client, peer = await connected(server, proxy)
    ends = {UP: (client, peer), DOWN: (peer, client)}
    sender, receiver = ends[way]

    proxy.hold(way)
    sender[1].write(b"held ")
    ends[other][0][1].write(b"free")
    await arrives(ends[other][1], b"free")
    await nothing_arrives(receiver)
    sender[1].write(b"in order")
    proxy.release(way)

    await arrives(receiver, b"held in order")
    await closed(client, peer)


async def test_the_sender_does_not_notice_a_hold(server: Server, proxy: TcpProxy) -> None:
    client, peer = await connected(server, proxy)
    much = b"x" * (16 << 20)  # more than all socket buffers on the way

    proxy.hold(UP)
    client[1].write(much)
    async with asyncio.timeout(SOON):
        await client[1].drain()
    proxy.release(UP)

    await arrives(peer, much)
    await closed(client, peer)


async def test_a_black_hole_is_silent_and_ends_in_a_reset(server: Server, proxy: TcpProxy) -> None:
    client, peer = await connected(server, proxy)

    proxy.drop(DOWN)
    peer[1].write(b"lost")
    peer[1].write_eof()
    client[1].write(b"arrives")
    await arrives(peer, b"arrives")
    await nothing_arrives(client)  # not even the end of the stream

    await proxy.heal()
    await is_reset(client)
    await closed(client, peer)


async def test_a_connection_that_lost_nothing_survives_a_black_hole(server: Server, proxy: TcpProxy) -> None:
    client, peer = await connected(server, proxy)

    proxy.drop()
    await proxy.heal()

    client[1].write(b"alive")
    await arrives(peer, b"alive")
    await closed(client, peer)


async def test_delay_is_per_direction(server: Server, proxy: TcpProxy) -> None:
    client, peer = await connected(server, proxy)
    clock = asyncio.get_running_loop().time

    proxy.delay(4 * A_WHILE, UP)
    began = clock()
    client[1].write(b"late")
    peer[1].write(b"early")
    await arrives(client, b"early")
    await nothing_arrives(peer)
    await arrives(peer, b"late")

    assert clock() - began >= 4 * A_WHILE
    await closed(client, peer)


async def test_faults_hold_for_new_connections_too(server: Server, proxy: TcpProxy) -> None:
    proxy.hold(UP)
    client, peer = await connected(server, proxy)

    client[1].write(b"held")
    await nothing_arrives(peer)
    await proxy.heal()

    await arrives(peer, b"held")
    await closed(client, peer)


async def test_stop_gives_the_port_back(server: Server) -> None:
    async with server.running() as proxy:
        client, peer = await connected(server, proxy)
        port = proxy.port
        await proxy.stop()
        await is_reset(client)

        with pytest.raises(RuntimeError, match="not started"):
            _ = proxy.port
        (await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)).close()
        await closed(client, peer)
