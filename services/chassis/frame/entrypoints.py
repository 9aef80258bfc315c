"""How the world reaches a service class: `@api` (a call), `@on` (a fact), `@every` (time)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from google.protobuf.descriptor import EnumDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from nameko.extensions import Entrypoint
from opentelemetry.trace import SpanKind

from services.chassis.deciding.facts import Fact
from services.chassis.following.followers import Rounds
from services.chassis.following.reactions import Reaction, When
from services.chassis.frame.container import container_of, parts_of, wait_for
from services.chassis.frame.grpc_server import GrpcServer
from services.chassis.frame.serving import Method, rpc_name
from services.chassis.machine import moments
from services.chassis.telemetry import telemetry
from services.chassis.telemetry.gauges import Sample, observe
from services.chassis.work.tasks import Owned

F = TypeVar("F", bound=Callable[..., Any])

# Periodic work that failed is tried again after so long, growing; at the latest after its own rest.
RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0
# Beside three of its rests: for so long one run may last.
PERIODIC_SECONDS = 300.0


class Api(Entrypoint):  # type: ignore[misc]
    """Serves the RPC of the method's name: `start_checkout` serves StartCheckout of the class's `rpcs`."""

    server = GrpcServer()

    def setup(self) -> None:
        container = container_of(self)
        service: ServiceDescriptor = container.service_cls.rpcs
        check_complete(container.service_cls)
        rpc = service.methods_by_name[rpc_name(self.method_name)]
        run = container.run_stream if rpc.server_streaming else container.run_worker
        errors: EnumDescriptor = container.service_cls.errors
        method = Method(rpc, errors, container.parts, container.load, partial(run, self), lambda: container.ready)
        self.server.register(service.full_name, rpc.name, method.handler)


def check_complete(service_cls: type) -> None:
    """Raises TypeError for an RPC without a method."""
    api_methods = {rpc_name(name) for name in dir(service_cls)}
    api_descriptor: ServiceDescriptor = service_cls.rpcs  # type: ignore[attr-defined]
    if missing := [method.name for method in api_descriptor.methods if method.name not in api_methods]:
        raise TypeError(f"{service_cls.__name__} has no method for {', '.join(missing)}")


class On(Entrypoint):  # type: ignore[misc]
    """`@on(FeeAssessed)`: the method gets each such fact, in order per stream, until it succeeds or is parked.

    The service answers calls however far behind its reactions are.
    """

    def __init__(self, *events: type[Message], when: When | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._when = when
        self._types = [event.DESCRIPTOR.full_name for event in events]

    def setup(self) -> None:
        container = container_of(self)
        platform, service = container.parts.platform, container.parts.service
        self.reaction = Reaction(
            f"{service}.{self.method_name}",
            self._types,
            self._react,
            container.parts.database,
            platform.store,
            self._when,
            standby=platform.replicated,
        )
        container.reactions[self.reaction.name] = self.reaction

    def start(self) -> None:
        wait_for(self.reaction.start())

    def stop(self) -> None:
        wait_for(self.reaction.stop())

    async def _react(self, fact: Fact[Any]) -> None:
        with telemetry.span(self.reaction.name, SpanKind.CONSUMER, fact.traceparent, event=fact.event_type):
            await self.container.run_worker(self, fact)


class Every(Entrypoint):  # type: ignore[misc]
    """`@every(seconds=60)`: the method runs, then rests that long. A failure is reported and the next run comes.

    Of several replicas one runs it, the others take over when it does not; `each_replica`: all do.
    """

    def __init__(self, seconds: float, each_replica: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._seconds = seconds
        self._each_replica = each_replica
        self._rounds: Rounds | None = None
        self._owned: Owned | None = None
        self._runs = 0
        self._running = False

    def start(self) -> None:
        self._work = f"{self.container.service_name}.{self.method_name}"
        parts = parts_of(self)
        if parts.platform.replicated and not self._each_replica:
            self._rounds = Rounds(self._work, self._seconds, parts.database)
        telemetry.PERIODIC_INTERVAL.labels(self._work).set(self._seconds)
        telemetry.PERIODIC_SUCCESS.labels(self._work).set_to_current_time()

        self._owned = owned = Owned(
            f"periodic {self._work}",
            self._run,
            failed=telemetry.PERIODIC_FAILURES.labels(self._work).inc,
            rest_seconds=min(self._seconds, RETRY_SECONDS),
            longest_seconds=min(self._seconds, LONGEST_RETRY_SECONDS),
            proving=True,
            waiting=self._at,
            still_seconds=PERIODIC_SECONDS + 3 * self._seconds,
        )

        async def begin() -> None:
            owned.start()

        wait_for(begin())

    def stop(self) -> None:
        if self._owned:
            self._owned.leave()

    async def _at(self) -> int | None:
        """Which run it is at; None while it rests."""
        return self._runs if self._running else None

    async def _run(self) -> None:
        while True:
            self._runs, self._running = self._runs + 1, True
            try:
                if self._rounds:
                    await self._rounds.take(partial(self.container.run_worker, self))
                else:
                    await self.container.run_worker(self)
            finally:
                self._running = False
            telemetry.PERIODIC_SUCCESS.labels(self._work).set_to_current_time()
            if self._owned:
                self._owned.worked()
            await moments.sleep(self._seconds)


class Observation(Entrypoint):  # type: ignore[misc]
    """Asked at each scrape of the metrics."""

    _forget: Callable[[], None] | None = None

    def start(self) -> None:
        async def read() -> Sequence[Sample]:
            found: Sequence[Sample] = await self.container.run_worker(self)
            return found

        self._forget = observe(f"{self.container.service_name}.{self.method_name}", read)

    def stop(self) -> None:
        if self._forget:
            self._forget()


def api(method: F) -> F:
    """Serve the RPC of the method's name."""
    decorated: F = Api.decorator(method)
    return decorated


def on(*events: type[Message], when: When | None = None) -> Callable[[F], F]:
    """React to these facts, or to those of them for which `when(event)` holds: the others cost next to nothing."""
    decorator: Callable[[F], F] = On.decorator(*events, when=when)
    return decorator


def every(seconds: float, *, each_replica: bool = False) -> Callable[[F], F]:
    """Run again and again, with that rest between; by one of the replicas, or by each."""
    decorator: Callable[[F], F] = Every.decorator(seconds, each_replica)
    return decorator


def observed(method: F) -> F:
    """At each scrape of the metrics: the method returns samples of gauges."""
    decorated: F = Observation.decorator(method)
    return decorated
