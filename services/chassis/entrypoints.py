"""How the world reaches a service class: `@api` (a call), `@on` (a fact), `@every` (time)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import grpc
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from nameko.extensions import Entrypoint
from opentelemetry.trace import SpanKind

from services.chassis import requests, telemetry
from services.chassis.access import Policy
from services.chassis.caller import Caller
from services.chassis.container import platform_of, wait_for
from services.chassis.decider import Rejected
from services.chassis.errors import Errors
from services.chassis.facts import Fact, message_class
from services.chassis.grpc_server import GrpcServer
from services.chassis.privacy import SubjectErased
from services.chassis.reactions import Reaction
from services.chassis.store.port import Conflict, StoreUnavailable

F = TypeVar("F", bound=Callable[..., Any])

log = structlog.get_logger()
CODES = {code.value[0]: code for code in grpc.StatusCode}


class Api(Entrypoint):  # type: ignore[misc]
    """Serves the RPC of the method's name: `start_checkout` serves StartCheckout of the class's `rpcs`."""

    server = GrpcServer()

    def setup(self) -> None:
        service: ServiceDescriptor = self.container.service_cls.rpcs
        check_complete(self.container.service_cls)
        method: MethodDescriptor = service.methods_by_name[rpc_name(self.method_name)]
        self._settings = platform_of(self.container).settings
        self._verifier = platform_of(self.container).verifier
        self._policy = Policy(method)
        self._errors = Errors(self.container.service_cls.errors)
        self._span = f"{service.full_name}/{method.name}"
        self._labels = (self.container.service_name, method.name)
        self._in_flight = telemetry.RPC_IN_FLIGHT.labels(self.container.service_name)
        codecs = {
            "request_deserializer": message_class(method.input_type.full_name).FromString,
            "response_serializer": message_class(method.output_type.full_name).SerializeToString,
        }
        if method.server_streaming:
            handler = grpc.unary_stream_rpc_method_handler(self._stream, **codecs)
        else:
            handler = grpc.unary_unary_rpc_method_handler(self._unary, **codecs)
        self.server.register(service.full_name, method.name, handler)
        self._load = _Load.of(self.container)

    async def _unary(self, request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        began = time.perf_counter()
        code = "OK"
        metadata = dict(context.invocation_metadata() or ())
        self._in_flight.inc()
        self._load.calls += 1
        try:
            with telemetry.span(self._span, SpanKind.SERVER, str(metadata.get("traceparent", ""))):
                try:
                    if self._load.calls > self._settings.in_flight:
                        raise Rejected("OVERLOADED")
                    caller = await self._admit(request, metadata)
                    return await self.container.run_worker(self, request, caller)
                except Exception as error:
                    code = await self._refuse(error, context)
                    raise AssertionError("abort raises") from error
        finally:
            self._load.calls -= 1
            self._in_flight.dec()
            telemetry.RPC_SECONDS.labels(*self._labels, code).observe(time.perf_counter() - began)

    async def _stream(self, request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        metadata = dict(context.invocation_metadata() or ())
        self._load.streams += 1
        try:
            with telemetry.span(self._span, SpanKind.SERVER, str(metadata.get("traceparent", ""))):
                if self._load.streams > self._settings.streams:
                    raise Rejected("OVERLOADED")
                caller = await self._admit(request, metadata)
            async for answer in self.container.run_stream(self, request, caller):
                yield answer
        except Exception as error:
            await self._refuse(error, context)
        finally:
            self._load.streams -= 1

    async def _admit(self, request: Message, metadata: dict[str, Any]) -> Caller:
        caller = await self._verifier.caller(metadata.get("authorization"))
        self._policy.check(caller)
        requests.check(request)
        return caller

    async def _refuse(self, error: Exception, context: grpc.aio.ServicerContext[Any, Any]) -> str:
        """Answer with google.rpc.Status; returns the code's name after aborting has raised in the caller's place."""
        if isinstance(error, grpc.aio.AbortError):
            raise error
        rejected = _as_rejected(error)
        try:
            status = self._errors.status(rejected)
        except KeyError:
            log.error("a refusal that no proto lists", reason=rejected.reason, rpc=self._span)
            status = self._errors.status(Rejected("INTERNAL", trace_id=telemetry.trace_id()))
        if rejected.reason == "INTERNAL":
            log.exception("call failed", rpc=self._span, exc_info=error)
        code = CODES[status.code]
        telemetry.REFUSED.labels(*self._labels, rejected.reason).inc()
        details = (("grpc-status-details-bin", status.SerializeToString()),)
        await context.abort(code, status.message, trailing_metadata=details)
        return code.name


def _as_rejected(error: Exception) -> Rejected:
    match error:
        case Rejected():
            return error
        case SubjectErased():
            return Rejected("SUBJECT_ERASED")
        case StoreUnavailable():
            return Rejected("UNAVAILABLE", system="event store")
        case Conflict():
            return Rejected("OVERLOADED")
        case _:
            return Rejected("INTERNAL", trace_id=telemetry.trace_id())


class _Load:
    """Calls and streams that one service answers now."""

    def __init__(self) -> None:
        self.calls = 0
        self.streams = 0

    @classmethod
    def of(cls, container: Any) -> _Load:
        load: _Load = container.config.setdefault("load", {}).setdefault(container.service_name, cls())
        return load


def rpc_name(method_name: str) -> str:
    return "".join(word.title() for word in method_name.split("_"))


def check_complete(service_cls: type) -> None:
    """Raises TypeError for an RPC without a method."""
    api_methods = {rpc_name(name) for name in dir(service_cls)}
    api_descriptor: ServiceDescriptor = service_cls.rpcs  # type: ignore[attr-defined]
    if missing := [method.name for method in api_descriptor.methods if method.name not in api_methods]:
        raise TypeError(f"{service_cls.__name__} has no method for {', '.join(missing)}")


class On(Entrypoint):  # type: ignore[misc]
    """`@on(FeeAssessed)`: the method gets each such fact, in order per stream, until it succeeds or is parked."""

    server = GrpcServer()

    def __init__(self, *events: type[Message], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._types = [event.DESCRIPTOR.full_name for event in events]

    def setup(self) -> None:
        platform = platform_of(self.container)
        service = self.container.service_name
        self.reaction = Reaction(
            f"{service}.{self.method_name}", self._types, self._react, platform.database(service), platform.store
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
    """`@every(seconds=60)`: the method runs, then rests that long. A failure is reported and the next run comes."""

    def __init__(self, seconds: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        async def begin() -> None:
            self._task = asyncio.create_task(self._run(), name=f"every {self.method_name}")

        wait_for(begin())

    def stop(self) -> None:
        if self._task:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            try:
                await self.container.run_worker(self)
            except Exception:
                log.exception("periodic work failed", work=f"{self.container.service_name}.{self.method_name}")
            await asyncio.sleep(self._seconds)


def api(method: F) -> F:
    """Serve the RPC of the method's name."""
    decorated: F = Api.decorator(method)
    return decorated


def on(*events: type[Message]) -> Callable[[F], F]:
    """React to these facts."""
    decorator: Callable[[F], F] = On.decorator(*events)
    return decorator


def every(seconds: float) -> Callable[[F], F]:
    """Run again and again, with that rest between."""
    decorator: Callable[[F], F] = Every.decorator(seconds)
    return decorator
