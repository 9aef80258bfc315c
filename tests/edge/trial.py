"""A small real gRPC service and web site to put the edge before."""

from __future__ import annotations

import asyncio
import importlib
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import uvicorn
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from scripts.build_protos import ROOT, build


@dataclass
class Trial:
    """The compiled protos and what was called."""

    descriptors: Path
    pb: Any
    rpc: Any
    calls: int = 0
    failure: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    ready: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    servers: dict[int, grpc.aio.Server] = field(default_factory=dict)


def compile_trial(folder: Path) -> Trial:
    protos = folder / "protos"
    shutil.copytree(ROOT / "protos/motcua/options", protos / "motcua/options", ignore=shutil.ignore_patterns("*_pb2*"))
    package = protos / "motcua/trial/v1"
    package.mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("trial_service.proto"), package)
    build(protos, folder / "build")
    sys.path.append(str(protos))
    name = "motcua.trial.v1.trial_service_pb2"
    return Trial(
        folder / "build/descriptors.binpb", importlib.import_module(name), importlib.import_module(f"{name}_grpc")
    )


@asynccontextmanager
async def grpc_server(trial: Trial) -> AsyncIterator[int]:
    pb = trial.pb
    base: Any = trial.rpc.TrialServiceServicer

    class Service(base):  # type: ignore[misc]
        async def GetTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
            if request.trial_code == "missing":
                await context.abort(grpc.StatusCode.NOT_FOUND, "no such trial")
            headers = {k: v for k, v in context.invocation_metadata() if isinstance(v, str)}
            fields = {"trial_code": request.trial_code, "colour": request.colour, "amount": request.amount}
            return pb.GetTrialResponse(**fields, headers=headers)

        async def UpdateTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
            return pb.UpdateTrialResponse(most_often=request.most_often, paths=request.update_mask.paths)

        async def ReadFlaky(self, request: Any, context: Any) -> Any:  # noqa: N802
            return pb.ReadFlakyResponse(calls=await self.fail(request.failures, context))

        async def ChangeFlaky(self, request: Any, context: Any) -> Any:  # noqa: N802
            return pb.ChangeFlakyResponse(calls=await self.fail(request.failures, context))

        async def fail(self, failures: int, context: Any) -> int:
            trial.calls += 1
            if trial.calls <= failures:
                await context.abort(trial.failure, "not now")
            return trial.calls

        async def CountAmount(self, request: Any, context: Any) -> Any:  # noqa: N802
            return pb.CountAmountResponse(amount=request.amount)

        async def WatchTrial(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
            for number in range(3):
                yield pb.WatchTrialResponse(number=number)

    server = grpc.aio.server()
    trial.rpc.add_TrialServiceServicer_to_server(Service(), server)
    checks = health.aio.HealthServicer()
    await checks.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    trial.servers[port] = server
    yield port
    await server.stop(0)
    trial.servers.pop(port, None)


@asynccontextmanager
async def any_service(calls: list[str]) -> AsyncIterator[int]:
    """Answers every method of every service, and notes which was called."""

    class Anything(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
            calls.append(details.method)

            async def answer(_request: bytes, _context: Any) -> bytes:
                return b""

            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Anything(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield port
    await server.stop(0)


@asynccontextmanager
async def web_server(trial: Trial) -> AsyncIterator[int]:
    async def page(request: Request) -> Response:
        trial.headers = dict(request.headers)
        trial.paths.append(request.url.path)
        body = await request.body()
        return PlainTextResponse(f"{request.url.path} {len(body)}")

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("", 200 if trial.ready else 503)

    async def live(_: Request) -> Response:
        async def frames() -> AsyncIterator[str]:
            yield "data: 1\n\n"
            await trial.changed.wait()
            yield "data: 2\n\n"

        return StreamingResponse(frames(), media_type="text/event-stream")

    routes = [
        Route("/healthz", healthz),
        Route("/dossiers/{code}/live", live),
        Route("/{path:path}", page, methods=["GET", "POST"]),
    ]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=0, log_level="warning", lifespan="off"))
    sockets = [server.config.bind_socket()]
    serving = asyncio.create_task(server.serve(sockets))
    yield sockets[0].getsockname()[1]
    server.should_exit = True
    with suppress(asyncio.CancelledError):
        await serving
