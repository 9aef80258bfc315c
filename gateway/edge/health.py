"""GET /healthz: whether every service says that it serves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

# Also a service of a busy machine has said by then that it serves, over a connection that is yet to be made.
SECONDS = 5.0


class Health:
    def __init__(self, names: Callable[[], Iterable[str]], channel: Callable[[str], grpc.aio.Channel]) -> None:
        """Both are asked again for each answer."""
        self._names = names
        self._channel = channel

    async def waiting(self) -> list[str]:
        """The services that do not serve."""

        async def serves(name: str) -> bool:
            try:
                stub = health_pb2_grpc.HealthStub(self._channel(name))
                reply = await stub.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)
            except grpc.aio.AioRpcError:
                return False
            return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

        names = list(self._names())
        answers = await asyncio.gather(*map(serves, names))
        return [name for name, answer in zip(names, answers, strict=True) if not answer]

    async def page(self, _request: Request) -> Response:
        waiting = await self.waiting()
        return JSONResponse({"serving": not waiting, "waiting_for": waiting}, status_code=503 if waiting else 200)
