"""nameko's container with asyncio workers: the one place that knows how the two meet.

nameko owns the life cycle, the dependencies and the entry points; workers are asyncio tasks. EVENTLET_HUB=asyncio must be set
before eventlet picks a hub; nothing is monkey-patched.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import contextmanager
from typing import Any, TypeVar

from eventlet.asyncio import spawn_for_awaitable
from nameko.containers import ServiceContainer, WorkerContext
from nameko.extensions import Extension

from services.chassis.following.reactions import Reaction
from services.chassis.frame.load import Load
from services.chassis.platform.parts import Parts
from services.chassis.platform.platform import Platform
from services.chassis.platform.remote_keys import RemoteKeys

T = TypeVar("T")


def wait_for(awaitable: Awaitable[T]) -> T:
    """Block this green thread, not the loop, until `awaitable` is done. For extensions' start and stop."""
    result: T = spawn_for_awaitable(awaitable).wait()
    return result


def container_of(extension: Extension) -> AsyncContainer:
    container: AsyncContainer = extension.container
    return container


def parts_of(extension: Extension) -> Parts:
    return container_of(extension).parts


class AsyncContainer(ServiceContainer):  # type: ignore[misc]
    def __init__(self, service_cls: type, platform: Platform) -> None:
        super().__init__(service_cls, config={})
        make_keys = getattr(service_cls, "key_ring", RemoteKeys)
        self.parts = Parts(self.service_name, platform, make_keys)
        self.load = Load()
        self.reactions: dict[str, Reaction] = {}
        """By their names."""
        self.ready = False
        """Whether calls are answered: all that they read has caught up once."""

    def start(self) -> None:
        """What answers the world starts last: when a call can arrive, all it needs is there."""
        self.started = True
        self.extensions.all.setup()
        self.dependencies.all.start()
        self.entrypoints.all.start()
        self.subextensions.all.start()

    def stop(self) -> None:
        """Answer no more, finish what is being answered, then take away what answers needed."""
        if self._died.ready() or not self.started:  # a service before this one failed to start
            return
        self.subextensions.all.stop()
        self.entrypoints.all.stop()
        self.dependencies.all.stop()
        self.started = False
        self._died.send(None)

    @contextmanager
    def _worker(self, entrypoint: Any, args: tuple[Any, ...]) -> Any:
        service = self.service_cls()
        worker = WorkerContext(self, service, entrypoint, args)
        # One by one: nameko's `dependencies.all` switches green threads, which the loop itself must not.
        for dependency in self.dependencies:
            setattr(service, dependency.attr_name, dependency.get_dependency(worker))
            dependency.worker_setup(worker)
        failure = None
        try:
            yield getattr(service, entrypoint.method_name)
        except Exception as error:
            failure = (type(error), error, error.__traceback__)
            raise
        finally:
            for dependency in self.dependencies:
                dependency.worker_result(worker, None, failure)
                dependency.worker_teardown(worker)

    async def run_worker(self, entrypoint: Any, *args: Any) -> Any:
        """nameko's worker life cycle as a coroutine: inject, set up, call, report, tear down."""
        with self._worker(entrypoint, args) as method:
            return await method(*args)

    async def run_stream(self, entrypoint: Any, *args: Any) -> AsyncIterator[Any]:
        """The same for a method that yields its answers."""
        with self._worker(entrypoint, args) as method:
            async for answer in method(*args):
                yield answer
