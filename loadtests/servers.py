"""What is compared, each in a process of its own: a bare echo, the dossier service, the edge before it."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc

from gateway.edge.envoy import Address, Edge, Jwt
from gateway.edge.process import EdgeProcess
from motcua.dossier.v1.dossier_service_pb2 import SubmitDossierRequest

ECHO = ("motcua.loadtests.Echo", "Echo")
START_SECONDS = 60
DESCRIPTORS = Path(__file__).parents[1] / "build" / "descriptors.binpb"


@contextmanager
def spawned(serve: Callable[..., None], *args: Any) -> Iterator[Any]:
    """A process that runs `serve`; gives what it says when it is ready. It ends when the pipe does."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, *args), daemon=True)
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
    from services.chassis.frame.runner import run

    with TemporaryDirectory(prefix="motcua-bench-") as folder:
        run(_serve_dossier(pipe, Path(folder)))


def forgetful(pipe: Connection) -> None:
    """The same, but that nobody records who opened whose data: to measure what the record costs. Nothing else can do without."""
    from services.chassis.grounds.uses import Opening

    async def forget(_reading: Opening) -> None:
        return

    Opening.record = forget  # type: ignore[method-assign, assignment]
    dossier(pipe)


async def _serve_dossier(pipe: Connection, folder: Path) -> int:
    from loadtests.world import LocalKeys, build
    from services.chassis.frame.runner import Services
    from services.chassis.platform.platform import Platform
    from services.chassis.platform.settings import Settings
    from services.chassis.telemetry import telemetry
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


def edge(pipe: Connection, address: str, jwk: str) -> None:
    """Envoy before the dossier service, as `motcua up` configures it, but for its rate limit."""

    async def main(folder: Path) -> None:
        keys = folder / "jwks.json"
        keys.write_text(json.dumps({"keys": [json.loads(jwk)]}))
        host, _, port = address.rpartition(":")
        gate = EdgeProcess(
            Edge(
                port=0,
                descriptors=DESCRIPTORS,
                services={"dossier": Address(host, int(port))},
                pages={},
                jwt=Jwt(jwks=keys),
                rate=1_000_000,
                burst=1_000_000,
                access_log=folder / "access.jsonl",
            ),
            folder,
        )
        await gate.start()
        pipe.send(f"127.0.0.1:{gate.port}")
        await _closed(pipe)
        await gate.stop()

    with TemporaryDirectory(prefix="motcua-bench-") as folder:
        asyncio.run(main(Path(folder)))


async def _closed(pipe: Connection) -> None:
    closed = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pipe.fileno(), closed.set)
    try:
        await closed.wait()
    finally:
        loop.remove_reader(pipe.fileno())
