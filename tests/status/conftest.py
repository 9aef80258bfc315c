from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import pytest
import uvicorn

from gateway.status.pages import application
from gateway.status.settings import Settings
from tests.status.memory import MemoryReader
from tests.status.samples import NOW


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def reader() -> MemoryReader:
    return MemoryReader(lambda: NOW)


@pytest.fixture
async def site(reader: MemoryReader, listener: socket.socket) -> AsyncIterator[str]:
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = Settings(
        address, b"k" * 32, receipt_address="/ledger/{code}/{revision}", heartbeat_seconds=0.2, live_limit=3
    )
    config = uvicorn.Config(
        application(reader, settings, lambda: NOW), log_level="warning", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield address
    server.should_exit = True
    await serving
