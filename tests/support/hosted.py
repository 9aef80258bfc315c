"""Services running for real in a thread of their own: eventlet's hub, and so their loop, is one per thread."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.chassis.platform.platform import Platform
from tests.support.postgresql import settings_of

START_SECONDS = 120

T = TypeVar("T")


class Host:
    """What a test knows of running services: where they listen."""

    def __init__(self, platform: Platform, loop: asyncio.AbstractEventLoop) -> None:
        self.platform = platform
        self._loop = loop

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it on the services' loop, where the platform's parts belong."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(START_SECONDS)

    def address(self, service: str) -> str:
        return self.platform.addresses[service]

    def service_token(self, service: str = "test") -> str:
        return self.platform.verifier.service_token(service)


@contextmanager
def hosted(folder: Path, classes: Sequence[type], **settings: Any) -> Iterator[Host]:
    """Start `classes` with their data in `folder`, wait until all serve, stop them in the end."""
    os.environ["EVENTLET_HUB"] = "asyncio"
    from services.chassis.frame.runner import Services, run

    ready = threading.Event()
    shared: dict[str, Any] = {}

    async def main() -> int:
        shared["loop"], shared["stop"] = asyncio.get_running_loop(), asyncio.Event()
        platform = await Platform.open(settings_of(folder, **settings))
        services = Services(platform, classes)
        try:
            await services.start()
            await asyncio.gather(*(_serving(platform.channel(cls.name)) for cls in classes))  # type: ignore[attr-defined]
            shared["host"] = Host(platform, shared["loop"])
            ready.set()
            await shared["stop"].wait()
        finally:
            await services.stop()
            await platform.close()
        return 0

    def life() -> None:
        try:
            run(main())
        except BaseException as error:
            shared["error"] = error
        finally:
            ready.set()

    thread = threading.Thread(target=life, name="hosted services")
    thread.start()
    ready.wait(START_SECONDS)
    if "error" in shared:
        raise shared["error"]
    if "host" not in shared:
        shared["loop"].call_soon_threadsafe(shared["stop"].set)
        raise TimeoutError("the services do not serve: a view that does not catch up says why in the log")
    try:
        yield shared["host"]
    finally:
        shared["loop"].call_soon_threadsafe(shared["stop"].set)
        thread.join(START_SECONDS)
    if "error" in shared:
        raise shared["error"]


async def _serving(channel: grpc.aio.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    async with asyncio.timeout(START_SECONDS):
        while True:
            reply = await stub.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True)
            if reply.status == health_pb2.HealthCheckResponse.SERVING:
                return
            await asyncio.sleep(0.02)
