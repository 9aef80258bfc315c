"""GET /healthz: whether every service says that it serves, and does what it does without being called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from services.chassis.frame.grpc_server import BACKGROUND
from services.chassis.work.tasks import troubles

# Also a service of a busy machine has said by then that it serves, over a connection that is yet to be made.
SECONDS = 5.0


class Health:
    def __init__(self, names: Callable[[], Iterable[str]], channel: Callable[[str], grpc.aio.Channel]) -> None:
        """Both are asked again for each answer."""
        self._names = names
        self._channel = channel

    async def waiting(self) -> list[str]:
        """The services that do not answer calls."""
        return await self._unhealthy(list(self._names()), "")

    async def idle(self) -> list[str]:
        """Those that answer calls, and do not do what they do without being called; and what this process does not."""
        return await self._unhealthy(list(self._names()), BACKGROUND) + list(await troubles())

    async def _unhealthy(self, names: list[str], of: str) -> list[str]:
        async def healthy(name: str) -> bool:
            try:
                stub = health_pb2_grpc.HealthStub(self._channel(name))
                reply = await stub.Check(health_pb2.HealthCheckRequest(service=of), timeout=SECONDS)
            except grpc.aio.AioRpcError as error:
                # One that begins has not said yet how that is; nor has one of an older version, ever.
                return of == BACKGROUND and error.code() is grpc.StatusCode.NOT_FOUND
            return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

        answers = await asyncio.gather(*map(healthy, names))
        return [name for name, answer in zip(names, answers, strict=True) if not answer]

    async def page(self, _request: Request) -> Response:
        waiting, idle = await asyncio.gather(self.waiting(), self.idle())
        idle = [name for name in idle if name not in waiting]
        well = not waiting and not idle
        told = {"serving": not waiting, "waiting_for": waiting, "background": not idle, "not_at_work": idle}
        return JSONResponse(told, status_code=200 if well else 503)
