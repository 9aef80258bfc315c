"""What a service class is given, as class attributes: `decisions`, `view`, `snapshot`, `clock`, `keys`, `platform`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from nameko.extensions import DependencyProvider
from sqlalchemy import Connection

from services.chassis.blobs.sealed import SealedBlobs
from services.chassis.clock import Clock
from services.chassis.decider import Decider
from services.chassis.deciding.codec import Codec
from services.chassis.deciding.handler import Handler
from services.chassis.following.views import Projection, RunningView, Snapshot
from services.chassis.frame.container import parts_of, wait_for
from services.chassis.frame.grpc_server import GrpcServer
from services.chassis.frame.http_server import HttpServer
from services.chassis.platform.parts import Parts
from services.chassis.platform.platform import Platform
from services.chassis.privacy.sealing import KeyRing
from services.chassis.work.batching import Batched

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")
T = TypeVar("T")
F = TypeVar("F", bound="Follower")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Decisions(DependencyProvider):  # type: ignore[misc]
    def __init__(self, category: str, decider: Decider[Any, Any, Any], codec: Codec[Any]) -> None:
        self._category = category
        self._decider = decider
        self._codec = codec

    def setup(self) -> None:
        parts = parts_of(self)
        platform, site = parts.platform, parts.platform.settings.site
        self._handler: Handler[Any, Any, Any] = Handler(
            self._category,
            self._decider,
            self._codec,
            platform.store,
            parts.keys,
            site,
            parts.service,
            platform.clock.now,
        )

    def get_dependency(self, worker_ctx: Any) -> Handler[Any, Any, Any]:
        return self._handler


class Follower(Protocol):
    """Follows the log from the service's start to its end."""

    caught_up: asyncio.Event

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class _Running(DependencyProvider):  # type: ignore[misc]
    server = GrpcServer()
    # Every service follows the log, and so has metrics and liveness.
    pages = HttpServer()

    def __init__(self, make: Callable[[Parts], Any]) -> None:
        self._make = make

    def setup(self) -> None:
        self._running: Any = self._make(parts_of(self))
        self.server.await_follower(self._running.caught_up)
        self._provided = self._running

    def start(self) -> None:
        wait_for(self._running.start())

    def stop(self) -> None:
        wait_for(self._running.stop())

    def get_dependency(self, worker_ctx: Any) -> Any:
        return self._provided


class _View(_Running):
    def __init__(self, projection: Projection) -> None:
        def make(parts: Parts) -> RunningView:
            return RunningView(projection, parts.database, parts.platform.store)

        super().__init__(make)
        self.projection = projection


class _Snapshot(_View):
    def __init__(self, projection: Projection, build: Callable[[Connection], Any]) -> None:
        super().__init__(projection)
        self._build = build

    def setup(self) -> None:
        super().setup()
        self._provided = Snapshot(self._running, self._build)


class _Made(DependencyProvider):  # type: ignore[misc]
    def __init__(self, make: Callable[[Parts], Any], close: Callable[[Any], Awaitable[None]] | None = None) -> None:
        self._make = make
        self._close = close

    def setup(self) -> None:
        self._made = self._make(parts_of(self))

    def stop(self) -> None:
        if self._close:
            wait_for(self._close(self._made))

    def get_dependency(self, worker_ctx: Any) -> Any:
        return self._made


def projections_of(service: type) -> list[Projection]:
    """The views that a service keeps."""
    return [held.projection for _, held in inspect.getmembers(service) if isinstance(held, _View)]


def _provided(provider: DependencyProvider) -> Any:
    """nameko replaces the provider by what it provides; the functions below tell the type checker so."""
    return provider


def decisions(category: str, decider: Decider[C, S, E], codec: Codec[E]) -> Handler[C, S, E]:
    """Load, decide, append on the streams `<category>-<id>`."""
    handler: Handler[C, S, E] = _provided(_Decisions(category, decider, codec))
    return handler


def view(projection: Projection) -> RunningView:
    """A projection that this service keeps and reads. It does not serve before its views have caught up once."""
    running: RunningView = _provided(_View(projection))
    return running


def follower(make: Callable[[Parts], F]) -> F:
    """What follows the log and is no view, made from the service's parts. The service does not serve before it caught up."""
    made: F = _provided(_Running(make))
    return made


def snapshot(projection: Projection, build: Callable[[Connection], T]) -> Snapshot[T]:
    """A small projection held in memory as `build` reads it; built again when its rows change."""
    held: Snapshot[T] = _provided(_Snapshot(projection, build))
    return held


def clock() -> Clock:
    made: Clock = _provided(_Made(lambda parts: parts.platform.clock))
    return made


def keys() -> KeyRing:
    """To open sealed fields with."""
    made: KeyRing = _provided(_Made(lambda parts: parts.keys))
    return made


def blobs() -> SealedBlobs:
    """Attachments and results."""
    made: SealedBlobs = _provided(_Made(lambda parts: parts.blobs))
    return made


def platform() -> Platform:
    """For what is neither a decision nor a view."""
    made: Platform = _provided(_Made(lambda parts: parts.platform))
    return made


def part(make: Callable[[Parts], T], close: Callable[[T], Awaitable[None]] | None = None) -> T:
    """Anything else, made once per service from its parts, and closed when the service stops."""
    thing: T = _provided(_Made(make, close))
    return thing


def batched(answer: Callable[[Connection, Sequence[K]], Mapping[K, V]], *, writes: bool = False) -> Batched[K, V]:
    """Questions to the service's database, of which `answer` takes a group at a time, in one transaction."""

    def make(parts: Parts) -> Batched[K, V]:
        database = parts.database

        async def run(keys: Sequence[K]) -> Mapping[K, V]:
            if writes:
                return await database.write(lambda db: answer(db, keys), lasting=True)
            return await database.read(lambda db: answer(db, keys))

        return Batched(run)

    return part(make)
