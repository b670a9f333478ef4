"""A TCP proxy in front of a broker that cuts, refuses, delays, stalls, and holds back single requests on order."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from enum import IntEnum
from types import TracebackType
from typing import Self, TypeVar

from demo.kafka.ports import LOOPBACK, free_ports

T = TypeVar("T")

_CHUNK_BYTES = 64 * 1024
_SIZE_BYTES = 4
_API_KEY_BYTES = 2
_ORDER_S = 10


class ApiKey(IntEnum):
    """The kinds of request that the suite asks about; Kafka's own numbers."""

    JOIN_GROUP = 11
    END_TXN = 26
    TXN_OFFSET_COMMIT = 28


class Trap:
    """Waits for the next request of a kind. Its methods may be called from any thread."""

    def __init__(self, api_key: ApiKey, loop: asyncio.AbstractEventLoop) -> None:
        """Set by Proxy.hold_next and Proxy.lose_next_answer."""
        self.api_key = api_key
        self.client_port: int | None = None
        """The port that the request came from, once there was one."""
        self.dropped = False
        self._loop = loop
        self._released = asyncio.Event()

    @property
    def sprung(self) -> bool:
        """Whether there was such a request."""
        return self.client_port is not None

    def release(self) -> None:
        """Let a held request go on to the broker."""
        self._loop.call_soon_threadsafe(self._released.set)

    def drop(self) -> None:
        """End the connection of a held request, which then never reaches the broker."""
        self.dropped = True
        self.release()

    async def until_released(self) -> None:
        """Return after `release`."""
        await self._released.wait()


class _Connection:
    """Both ends of one connection through the proxy."""

    def __init__(self, client: tuple[asyncio.StreamReader, asyncio.StreamWriter], broker_port: int) -> None:
        self.from_client, self.to_client = client
        self.client_port: int = self.to_client.get_extra_info("peername")[1]
        self.broker_port = broker_port
        self.loses_answers = False
        self._to_broker: asyncio.StreamWriter | None = None

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the broker. Raises OSError."""
        reader, self._to_broker = await asyncio.open_connection(LOOPBACK, self.broker_port)
        return reader, self._to_broker

    @property
    def source_port(self) -> int | None:
        """The port that the broker sees, while there is a connection to it."""
        if self._to_broker is None:
            return None
        name = self._to_broker.get_extra_info("sockname")
        return None if name is None else int(name[1])

    def cut(self) -> None:
        """End both ends at once; what is under way is lost."""
        for writer in (self.to_client, self._to_broker):
            if writer is not None:
                writer.transport.abort()


class Proxy:
    """Listens on a port of its own and forwards to a broker; a context manager with a thread of its own.

    Everything public may be called from any thread.
    """

    def __init__(self) -> None:
        """Choose a port; `forward_to` says to where."""
        (self.port,) = free_ports(1)
        self.accepted = 0
        """How many connections were forwarded so far."""
        self.requests: Counter[int] = Counter()
        """How many requests of each API key were seen."""
        self._broker_port: int | None = None
        self._connections: set[_Connection] = set()
        self._refusing = False
        self._delay_s = 0.0
        self._holds: list[Trap] = []
        self._losses: list[Trap] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._flowing = asyncio.Event()
        self._flowing.set()

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"{LOOPBACK}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, LOOPBACK, self.port), self._loop
        ).result(_ORDER_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(_ORDER_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    def forward_to(self, broker_port: int) -> None:
        """From now on new connections go to this port of this machine."""
        self._broker_port = broker_port

    def source_ports(self) -> frozenset[int]:
        """The ports that the broker sees this proxy's connections come from."""
        return self._on_loop(lambda: frozenset(c.source_port for c in self._connections if c.source_port is not None))

    def cut(self, share: float, seed: int = 0) -> int:
        """End this share of the connections, at least one where there is one; how many that were."""
        return self._on_loop(lambda: self._cut(share, seed))

    def _cut(self, share: float, seed: int) -> int:
        there = sorted(self._connections, key=lambda c: c.client_port)
        chosen = random.Random(seed).sample(there, min(len(there), max(1, round(share * len(there)))))
        for connection in chosen:
            connection.cut()
        return len(chosen)

    def refuse(self) -> None:
        """End all connections, and each new one at once, until `accept`."""

        def begin() -> None:
            self._refusing = True
            self._cut(1.0, 0)

        self._on_loop(begin)

    def accept(self) -> None:
        """The end of `refuse`."""
        self._refusing = False

    def stall(self) -> None:
        """Forward nothing, in no direction, while all connections stay open, until `flow`."""
        self._on_loop(self._flowing.clear)

    def flow(self) -> None:
        """The end of `stall`."""
        self._on_loop(self._flowing.set)

    def delay(self, seconds: float) -> None:
        """Forward everything this much later than it came; 0: at once."""
        self._delay_s = seconds

    def hold_next(self, api_key: ApiKey) -> Trap:
        """Hold back the next request of this kind, and what follows on its connection, until it is released."""
        return self._set(self._holds, api_key)

    def lose_next_answer(self, api_key: ApiKey) -> Trap:
        """Forward the next request of this kind, and end its connection in place of the answer."""
        return self._set(self._losses, api_key)

    def _set(self, traps: list[Trap], api_key: ApiKey) -> Trap:
        def set_trap() -> Trap:
            trap = Trap(api_key, self._loop)
            traps.append(trap)
            return trap

        return self._on_loop(set_trap)

    def forget(self, trap: Trap) -> None:
        """Wait for its kind of request no more, and let a held one go."""

        def remove() -> None:
            for traps in (self._holds, self._losses):
                if trap in traps:
                    traps.remove(trap)

        self._on_loop(remove)
        trap.release()

    def _on_loop(self, order: Callable[[], T]) -> T:
        done: Future[T] = Future()

        def carry_out() -> None:
            try:
                done.set_result(order())
            except BaseException as error:  # noqa: BLE001  # raised again where it was ordered
                done.set_exception(error)

        self._loop.call_soon_threadsafe(carry_out)
        return done.result(_ORDER_S)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing or self._broker_port is None:
            writer.transport.abort()
            return
        connection = _Connection((reader, writer), self._broker_port)
        self._connections.add(connection)
        pumps: list[asyncio.Task[None]] = []
        # Either end going away, or being cut, is what all this is for; the other end is then cut too.
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                from_broker, to_broker = await connection.open()
                self.accepted += 1
                pumps = [
                    asyncio.ensure_future(self._pass_requests(connection, to_broker)),
                    asyncio.ensure_future(self._pass_answers(connection, from_broker)),
                ]
                done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                for pump in done:
                    pump.result()
            finally:
                self._connections.discard(connection)
                connection.cut()
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)

    async def _pass_requests(self, connection: _Connection, to_broker: asyncio.StreamWriter) -> None:
        while True:
            size = await connection.from_client.readexactly(_SIZE_BYTES)
            request = await connection.from_client.readexactly(int.from_bytes(size))
            api_key = int.from_bytes(request[:_API_KEY_BYTES])
            self.requests[api_key] += 1
            held = self._spring(self._holds, api_key, connection)
            if held is not None:
                await held.until_released()
                if held.dropped:
                    return
            if self._spring(self._losses, api_key, connection) is not None:
                connection.loses_answers = True
            await self._in_time()
            to_broker.write(size + request)
            await to_broker.drain()

    async def _pass_answers(self, connection: _Connection, from_broker: asyncio.StreamReader) -> None:
        while chunk := await from_broker.read(_CHUNK_BYTES):
            if connection.loses_answers:
                return
            await self._in_time()
            connection.to_client.write(chunk)
            await connection.to_client.drain()

    def _spring(self, traps: list[Trap], api_key: int, connection: _Connection) -> Trap | None:
        for trap in traps:
            if trap.api_key == api_key:
                traps.remove(trap)
                trap.client_port = connection.client_port
                return trap
        return None

    async def _in_time(self) -> None:
        await self._flowing.wait()
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
