"""What a platform on one machine has, in one process or many: a locked data folder, ports, the edge, a beginning and an end."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import sys
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from command.registry import PRIVATE_POSTGRESQL
from gateway.edge import certificates
from gateway.edge.envoy import Addresses, Edge, Jwt, Mutual, Tls
from gateway.edge.process import EdgeError, EdgeProcess
from services.chassis.database.database import Database, DatabaseUnavailable
from services.chassis.files.private import keep_private
from services.chassis.platform.settings import Settings
from services.chassis.store.port import StoreUnavailable
from services.chassis.telemetry import telemetry
from services.registry import SERVICES

DESCRIPTORS = Path(__file__).parents[2] / "build" / "descriptors.binpb"
TLS_ABOVE = 363
LOOPBACK = "127.0.0.1"
# Those with pages.
SITES = tuple(name for name, service in SERVICES.items() if service.pages)
# It opens when identity has told it the keys.
EDGE_SECONDS = 60.0
# Somebody waits for the answer. A service that runs is more patient.
EVENT_STORE_SECONDS = 5.0

log = structlog.get_logger()


class StartFailed(Exception):
    """What is wrong, and what to do about it."""

    def __init__(self, what: str, action: str) -> None:
        super().__init__(what)
        self.action = action


def lock(folder: Path) -> int:
    """One platform per data folder. Raises StartFailed."""
    keep_private(folder)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StartFailed(
            f"{folder} is in use by another running platform.", "Stop that one, or set MOTCUA_DATA to another folder."
        ) from None
    return descriptor


def require_free(host: str, port: int) -> None:
    """Raises StartFailed."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise StartFailed(f"Port {port} is taken.", "Set MOTCUA_PORT to a free one, for example 8090.") from None


def hold_ports(names: Iterable[str], stack: AsyncExitStack) -> dict[str, int]:
    """A port for each server that starts later, so that the edge can start beside them: /healthz tells when all serve.

    The sockets are bound and do not listen: Linux lets a server that sets SO_REUSEADDR have the port, and nobody else.
    """
    ports = {}
    for name in names:
        held = socket.socket()
        stack.callback(held.close)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((LOOPBACK, 0))
        ports[name] = held.getsockname()[1]
        if sys.platform != "linux":
            held.close()
    return ports


def configure_logs(settings: Settings) -> Path:
    """Logs go to a file beside the data; the terminal is for people."""
    folder = settings.data / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "motcua.jsonl"
    telemetry.configure(settings.site, level=settings.log_level, sampled=settings.trace_sampled, path=path)
    return path


async def open_database(settings: Settings, stack: AsyncExitStack) -> Settings:
    """A PostgreSQL server of our own in the data folder, where the settings ask for one, or it has one. Raises StartFailed."""
    ours = (settings.data / "postgresql" / "cluster").exists()
    private = settings.database == PRIVATE_POSTGRESQL or (ours and not settings.database)
    # Persons' keys are in no log: another database would begin without them, and nothing sealed before could be opened.
    if settings.database and (settings.data / "keys.db").exists():
        raise StartFailed(
            f"The databases of {settings.data} are SQLite files, with persons' keys in them.",
            "Start it without --database and MOTCUA_DATABASE, or move the site with `motcua backup` and `motcua restore`.",
        )
    if ours and not private:
        raise StartFailed(
            f"The databases of {settings.data} are in a PostgreSQL server of its own, with persons' keys in them.",
            "Start it with --database postgresql, or move the site with `motcua backup` and `motcua restore`.",
        )
    if not private:
        await _require_database(settings)
        return settings
    from command.run.postgresql import PostgresqlError, PrivatePostgresql

    try:
        server = PrivatePostgresql(settings.data / "postgresql")
        stack.callback(server.stop)
        await asyncio.to_thread(server.start)
    except PostgresqlError as error:
        raise StartFailed(str(error), "Its log is in the data folder, under postgresql/.") from None
    return settings.model_copy(update={"database": server.url})


async def _require_database(settings: Settings) -> None:
    if not settings.database:
        return
    database = Database(settings.database, "motcua")
    try:
        await database.ping()
    except (DatabaseUnavailable, SQLAlchemyError) as error:
        what = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise StartFailed(f"The database does not answer: {what}", "Start it, or correct its address.") from None
    finally:
        await database.close()


async def require_event_store(settings: Settings) -> None:
    """One that is a server. Raises StartFailed."""
    if not settings.distributed:
        return
    # Its client takes a moment to load.
    from services.chassis.store.kurrentdb import KurrentStore

    try:
        store = KurrentStore(settings.event_store, EVENT_STORE_SECONDS)
    except ValueError as error:
        raise StartFailed(str(error), "docs/event-store.md says what an address may be.") from None
    try:
        await store.head()
    except StoreUnavailable as error:
        what = f"The event store does not answer: {error}"
        raise StartFailed(what, "Start it, or correct MOTCUA_EVENT_STORE.") from None
    finally:
        await store.close()


def edge_of(
    settings: Settings, grpc: Mapping[str, Addresses], pages: Mapping[str, Addresses], *, own: Iterable[str] = ()
) -> Edge:
    """`own` pages are served by this process without certificates."""
    pair = certificates.ensure(settings.data / "tls")
    files = settings.tls_files
    return Edge(
        port=settings.port,
        host=settings.edge_listens,
        sandbox_anybody_is_administrator=settings.sandbox_anybody_is_administrator,
        tls=Tls(
            port=settings.port + TLS_ABOVE,
            certificate=pair.certificate,
            key=pair.key,
            client_ca=settings.client_authority,
        ),
        mutual=Mutual(site=settings.site, certificate=files.certificate, key=files.key, authority=files.authority)
        if files
        else None,
        descriptors=DESCRIPTORS,
        services={name: at for name, at in grpc.items() if SERVICES[name].api},
        platform=grpc["status"],
        pages=pages,
        own_pages=frozenset(own),
        jwt=Jwt(),
        access_log=settings.data / "logs" / "edge.jsonl",
        rate=settings.edge_rate,
        burst=settings.edge_burst,
        trace_percent=100 * settings.trace_sampled if telemetry.exporting() else 0,
    )


async def ended(task: asyncio.Task[None]) -> None:
    """Whatever becomes of it: what failed first is what is said."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def start_edge(edge: EdgeProcess) -> None:
    """Raises StartFailed."""
    try:
        await edge.start(EDGE_SECONDS)
    except EdgeError as error:
        raise StartFailed(str(error), "The edge's log is in the data folder, under edge/.") from None
