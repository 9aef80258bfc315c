"""The two sides of the comparison, each in a process of its own: a bare echo, and the dossier service."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc

from motcua.dossier.v1.dossier_service_pb2 import SubmitDossierRequest

ECHO = ("motcua.loadtests.Echo", "Echo")
START_SECONDS = 60


@contextmanager
def spawned(serve: Callable[[Connection], None]) -> Iterator[Any]:
    """A process that runs `serve`; gives what it says when it is ready. It ends when the pipe does."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(START_SECONDS):
            raise TimeoutError(f"{serve.__name__} does not start")
        yield ours.recv()
    finally:
        ours.close()
        process.join(START_SECONDS)


def echo(pipe: Connection) -> None:
    async def main() -> None:
        async def answer(request: SubmitDossierRequest, _context: Any) -> SubmitDossierRequest:
            return request

        handler = grpc.unary_unary_rpc_method_handler(
            answer, SubmitDossierRequest.FromString, SubmitDossierRequest.SerializeToString
        )
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(ECHO[0], {ECHO[1]: handler}),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        pipe.send(f"127.0.0.1:{port}")
        await _closed(pipe)
        await server.stop(None)

    asyncio.run(main())


def dossier(pipe: Connection) -> None:
    """As in production, but that the subjects' keys are here and the other services' facts were written before."""
    from services.chassis.runner import run

    with TemporaryDirectory(prefix="motcua-bench-") as folder:
        run(_serve_dossier(pipe, Path(folder)))


async def _serve_dossier(pipe: Connection, folder: Path) -> int:
    from loadtests.world import LocalKeys, build
    from services.chassis import telemetry
    from services.chassis.platform import Platform
    from services.chassis.runner import Services
    from services.chassis.settings import Settings
    from services.dossier.service import DossierService

    telemetry.configure("vn-56", level="WARNING", sampled=0)
    keys = LocalKeys()
    service = type("Service", (DossierService,), {"key_ring": staticmethod(lambda _platform, _name: keys)})
    platform = await Platform.open(Settings(data=folder))
    world = await build(platform.store, keys)
    services = Services(platform, [service])
    await services.start()
    pipe.send((platform.addresses[DossierService.name], world))
    await _closed(pipe)
    await services.stop()
    await platform.close()
    return 0


async def _closed(pipe: Connection) -> None:
    closed = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pipe.fileno(), closed.set)
    try:
        await closed.wait()
    finally:
        loop.remove_reader(pipe.fileno())
