"""A stand-in for KurrentDB that speaks its protocol: it proves an adapter against the protocol, not against a server.

    python -m tests.doubles.kurrentdb --port 2113

It keeps everything in memory and needs nothing but grpc, protobuf and kurrentdbclient's generated messages.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections import deque
from collections.abc import Sequence
from typing import Any

import grpc

from tests.doubles.kurrentdb_faults import Faults
from tests.doubles.kurrentdb_log import Log
from tests.doubles.kurrentdb_node import Node

KEPT_REQUESTS = 10_000
# As a server has it if it is not told otherwise: MaxAppendSize, MaxAppendEventSize.
LARGEST_APPEND = 1024 * 1024
LARGEST_EVENT = 2**31 - 1


class Double:
    """Nodes that serve one log, one of them the leader."""

    def __init__(self, nodes: int = 1, host: str = "127.0.0.1") -> None:
        self.log = Log()
        self.faults = Faults()
        self.nodes = [Node(self, number, host) for number in range(nodes)]
        self.leader = self.nodes[0]
        self.requests: deque[Any] = deque(maxlen=KEPT_REQUESTS)
        """What clients sent last, as they sent it."""
        self.largest_append = LARGEST_APPEND
        self.largest_event = LARGEST_EVENT
        self.generation = 0
        self.drop: tuple[grpc.StatusCode, str] | None = None

    @property
    def uri(self) -> str:
        return f"esdb://{','.join(node.address for node in self.nodes)}?Tls=false"

    async def start(self, port: int = 0) -> None:
        for number, node in enumerate(self.nodes):
            await node.start(port + number if port else 0)

    async def stop(self) -> None:
        """Everything it keeps is there when it starts again, on the same ports, but not its cache of ids."""
        await asyncio.gather(*(node.stop() for node in self.nodes))
        self.log.forget_ids()

    def elect(self, number: int) -> None:
        """Another leader. The old one goes on as a follower: it refuses what must go to a leader."""
        self.leader = self.nodes[number]

    def drop_subscriptions(self, code: grpc.StatusCode | None = grpc.StatusCode.UNAVAILABLE, details: str = "") -> None:
        """Break every subscription off, in the middle of what it is sending; without an error if `code` is None."""
        self.drop = code and (code, details)
        self.generation += 1
        self.log.wake()

    async def unless_silent(self) -> None:
        while self.faults.silent:
            await self.log.changed.wait()
            await asyncio.sleep(0)

    def speak(self) -> None:
        self.faults.silent = False
        self.log.wake()


async def serve(host: str, port: int, nodes: int) -> None:
    double = Double(nodes, host)
    await double.start(port)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    print(f"a stand-in for KurrentDB listens: {double.uri}", flush=True)
    await stopping.wait()
    await double.stop()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.doubles.kurrentdb", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=2113, help="of the first node; 0 takes any free one")
    parser.add_argument("--nodes", type=int, default=1)
    given = parser.parse_args(arguments)
    asyncio.run(serve(given.host, given.port, given.nodes))


if __name__ == "__main__":
    main()
