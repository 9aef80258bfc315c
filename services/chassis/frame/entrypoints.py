"""How the world reaches a service class: `@api` (a call), `@on` (a fact), `@every` (time)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, TypeVar

import grpc
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from nameko.extensions import Entrypoint
from opentelemetry.trace import SpanKind

from services.chassis.access.access import Policy, token_invalid
from services.chassis.access.tls import connection_of
from services.chassis.blobs.port import BlobsUnavailable
from services.chassis.calls import requests
from services.chassis.calls.reading import reader
from services.chassis.calls.statuses import CODES, Errors
from services.chassis.database.database import DatabaseUnavailable
from services.chassis.decider import Rejected
from services.chassis.deciding.caller import Caller
from services.chassis.deciding.facts import Fact, message_class
from services.chassis.following.followers import Rounds
from services.chassis.following.reactions import Reaction, When
from services.chassis.frame.container import platform_of, wait_for
from services.chassis.frame.grpc_server import GrpcServer
from services.chassis.frame.load import Load, counted
from services.chassis.grounds.uses import Reading, Readings
from services.chassis.machine import moments
from services.chassis.privacy.sealing import KeyLost, SubjectErased
from services.chassis.store.port import Conflict, StoreUnavailable
from services.chassis.telemetry import telemetry
from services.chassis.telemetry.gauges import Sample, observe
from services.chassis.work.tasks import Owned

F = TypeVar("F", bound=Callable[..., Any])

log = structlog.get_logger()

# Periodic work that failed is tried again after so long, growing; at the latest after its own rest.
RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0
# Beside three of its rests: for so long one run may last.
PERIODIC_SECONDS = 300.0


class Api(Entrypoint):  # type: ignore[misc]
    """Serves the RPC of the method's name: `start_checkout` serves StartCheckout of the class's `rpcs`."""

    server = GrpcServer()

    def setup(self) -> None:
        service: ServiceDescriptor = self.container.service_cls.rpcs
        check_complete(self.container.service_cls)
        method: MethodDescriptor = service.methods_by_name[rpc_name(self.method_name)]
        self._settings = platform_of(self.container).settings
        self._verifier = platform_of(self.container).verifier
        self._mutual_site = platform_of(self.container).mutual_site
        self._policy = Policy(method, self._settings.site)
        request = message_class(method.input_type.full_name)
        self._readings = Readings(platform_of(self.container), self._policy, request)
        self._errors = Errors(self.container.service_cls.errors)
        self._span = f"{service.full_name}/{method.name}"
        self._labels = (self.container.service_name, method.name)
        kind = "stream" if method.server_streaming else "mutation" if self._policy.mutation else "read"
        self._seconds = partial(telemetry.RPC_SECONDS.labels, *self._labels, kind)
        self._in_flight = telemetry.RPC_IN_FLIGHT.labels(self.container.service_name)
        codecs: dict[str, Any] = {
            "request_deserializer": reader(request, self._policy.roles),
            "response_serializer": message_class(method.output_type.full_name).SerializeToString,
        }
        handler: grpc.RpcMethodHandler[Any, Any]
        if method.server_streaming:
            handler = grpc.unary_stream_rpc_method_handler(self._stream, **codecs)
        else:
            handler = grpc.unary_unary_rpc_method_handler(self._unary, **codecs)
        self.server.register(service.full_name, method.name, handler)
        self._load = Load.of(self.container)

    async def _unary(self, request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        began = moments.monotonic()
        code = grpc.StatusCode.CANCELLED
        metadata = dict(context.invocation_metadata() or ())
        self._in_flight.inc()
        try:
            with telemetry.span(self._span, SpanKind.SERVER, str(metadata.get("traceparent", ""))):
                try:
                    with self._load.calls.held(self._settings.in_flight):
                        caller, reading, address = await self._admit(request, metadata, context)
                        with self._load.call(caller, address, self._settings):
                            answer = await self.container.run_worker(self, request, caller)
                            await reading.record()
                except Exception as error:
                    status = self._status(error)
                    code = CODES[status.code]
                    return await _abort(context, status)
                code = grpc.StatusCode.OK
                return answer
        finally:
            self._in_flight.dec()
            self._seconds(code.name).observe(moments.monotonic() - began)

    async def _stream(self, request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        began = moments.monotonic()
        code = grpc.StatusCode.CANCELLED
        metadata = dict(context.invocation_metadata() or ())
        places = ExitStack()
        try:
            with telemetry.span(self._span, SpanKind.SERVER, str(metadata.get("traceparent", ""))):
                places.enter_context(self._load.streams.held(self._settings.streams))
                caller, reading, address = await self._admit(request, metadata, context)
                places.enter_context(self._load.stream(caller, address, self._settings))
            async for answer in self.container.run_stream(self, request, caller):
                await reading.record()
                yield answer
                # A silent stream says so every now and then: it ends soon after the caller's token does.
                self._verifier.require_same_rights(caller)
            code = grpc.StatusCode.OK
        except Exception as error:
            status = self._status(error)
            code = CODES[status.code]
            await _abort(context, status)
        finally:
            places.close()
            self._seconds(code.name).observe(moments.monotonic() - began)

    async def _admit(
        self, request: Message, metadata: dict[str, Any], context: grpc.aio.ServicerContext[Any, Any]
    ) -> tuple[Caller, Reading, str]:
        """Who calls, what is to be recorded of it, and from where."""
        if not self.server.ready:
            # A view that is behind does not know yet what was asked before.
            raise Rejected("NOT_READY")
        connection = connection_of(context, metadata, self._mutual_site)
        shown = [value for name, value in context.invocation_metadata() or () if name == "authorization"]
        if len(shown) > 1:
            # The edge may have read another one than we would.
            raise token_invalid("có nhiều tiêu đề authorization", "there are several authorization headers")
        caller = await self._verifier.caller(metadata.get("authorization"), connection)
        self._policy.check(caller)
        requests.check(request)
        caller, reading = await self._readings.begin(request, caller)
        return caller, reading, counted(connection.client)

    def _status(self, error: Exception) -> Status:
        rejected = _as_rejected(error)
        try:
            status = self._errors.status(rejected)
        except KeyError:
            log.error("a refusal that no proto lists", reason=rejected.reason, rpc=self._span)
            rejected = Rejected("INTERNAL", trace_id=telemetry.trace_id())
            status = self._errors.status(rejected)
        if rejected.reason == "INTERNAL":
            log.error("call failed", rpc=self._span, exc_info=error)
        telemetry.REFUSED.labels(*self._labels, rejected.reason).inc()
        return status


async def _abort(context: grpc.aio.ServicerContext[Any, Any], status: Status) -> None:
    """Answer with google.rpc.Status. Raises in the caller's place."""
    details = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(CODES[status.code], status.message, trailing_metadata=details)


def _as_rejected(error: Exception) -> Rejected:
    match error:
        case Rejected():
            return error
        case SubjectErased():
            return Rejected("SUBJECT_ERASED")
        case KeyLost():
            return Rejected("KEY_LOST")
        case StoreUnavailable():
            return Rejected("UNAVAILABLE", system="event store")
        case BlobsUnavailable():
            return Rejected("UNAVAILABLE", system="blob store")
        case DatabaseUnavailable():
            return Rejected("UNAVAILABLE", system="database")
        case Conflict():
            return Rejected("OVERLOADED")
        case _:
            return Rejected("INTERNAL", trace_id=telemetry.trace_id())


def rpc_name(method_name: str) -> str:
    return "".join(word.title() for word in method_name.split("_"))


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
        platform = platform_of(self.container)
        service = self.container.service_name
        self.reaction = Reaction(
            f"{service}.{self.method_name}",
            self._types,
            self._react,
            platform.database(service),
            platform.store,
            self._when,
            standby=platform.replicated,
        )
        self.container.config.setdefault("reactions", {})[self.reaction.name] = self.reaction

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
        platform, service = platform_of(self.container), self.container.service_name
        if platform.replicated and not self._each_replica:
            self._rounds = Rounds(self._work, self._seconds, platform.database(service))
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
