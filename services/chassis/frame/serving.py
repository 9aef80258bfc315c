"""How an RPC is served, whoever answers it: admission, the answer or the refusal, and what is measured of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import grpc
import structlog
from google.protobuf.descriptor import EnumDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from opentelemetry.trace import SpanKind

from services.chassis.access.access import Policy, token_invalid
from services.chassis.access.tls import connection_of
from services.chassis.blobs.port import BlobsUnavailable
from services.chassis.calls import requests
from services.chassis.calls.call import Call
from services.chassis.calls.reading import reader
from services.chassis.calls.statuses import CODES, Errors, Violation
from services.chassis.database.database import DatabaseUnavailable
from services.chassis.decider import Rejected
from services.chassis.deciding.facts import message_class
from services.chassis.frame.load import Load, counted
from services.chassis.grounds.uses import Opening, Readings
from services.chassis.machine import moments
from services.chassis.platform.parts import Parts
from services.chassis.privacy.sealing import KeyLost, SubjectErased
from services.chassis.store.port import Conflict, StoreUnavailable
from services.chassis.telemetry import telemetry

log = structlog.get_logger()

Context = grpc.aio.ServicerContext[Any, Any]


class Method:
    """One RPC. `answer` gets the Call and is awaited, or iterated over where the RPC is a stream.

    `ready`: whether what the answer reads has caught up once; until then calls are refused with NOT_READY.
    """

    def __init__(
        self,
        method: MethodDescriptor,
        errors: EnumDescriptor,
        parts: Parts,
        load: Load,
        answer: Callable[[Call[Any]], Any],
        ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self._platform, self._pages, self._load = parts.platform, parts.pages, load
        self._answer, self._ready = answer, ready
        self._settings, self._verifier = parts.platform.settings, parts.platform.verifier
        self._policy = Policy(method, self._settings.site)
        requests.require_kinds(method.input_type)
        request = message_class(method.input_type.full_name)
        self._readings = Readings(parts.platform, self._policy, request)
        self._errors = Errors(errors)
        self._span = f"{method.containing_service.full_name}/{method.name}"
        self._labels = (parts.service, method.name)
        kind = "stream" if method.server_streaming else "mutation" if self._policy.mutation else "read"
        self._seconds = partial(telemetry.RPC_SECONDS.labels, *self._labels, kind)
        self._in_flight = telemetry.RPC_IN_FLIGHT.labels(parts.service)
        codecs: dict[str, Any] = {
            "request_deserializer": reader(request, self._policy.roles),
            "response_serializer": message_class(method.output_type.full_name).SerializeToString,
        }
        self.handler: grpc.RpcMethodHandler[Any, Any]
        if method.server_streaming:
            self.handler = grpc.unary_stream_rpc_method_handler(self._stream, **codecs)
        else:
            self.handler = grpc.unary_unary_rpc_method_handler(self._unary, **codecs)

    async def _unary(self, request: Message, context: Context) -> Any:
        began = moments.monotonic()
        code = grpc.StatusCode.CANCELLED
        metadata = dict(context.invocation_metadata() or ())
        self._in_flight.inc()
        try:
            with telemetry.span(self._span, SpanKind.SERVER, str(metadata.get("traceparent", ""))):
                try:
                    with self._load.calls.held(self._settings.in_flight):
                        call, reading, address = await self._admit(request, metadata, context)
                        with self._load.call(call.caller, address, self._settings):
                            answer = await self._answer(call)
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

    async def _stream(self, request: Message, context: Context) -> AsyncIterator[Any]:
        began = moments.monotonic()
        code = grpc.StatusCode.CANCELLED
        metadata = dict(context.invocation_metadata() or ())
        places = ExitStack()
        try:
            with telemetry.span(self._span, SpanKind.SERVER, str(metadata.get("traceparent", ""))):
                places.enter_context(self._load.streams.held(self._settings.streams))
                call, reading, address = await self._admit(request, metadata, context)
                places.enter_context(self._load.stream(call.caller, address, self._settings))
            async for answer in self._answer(call):
                await reading.record()
                yield answer
                # A silent stream says so every now and then: it ends soon after the caller's token does.
                self._verifier.require_same_rights(call.caller)
            code = grpc.StatusCode.OK
        except Exception as error:
            status = self._status(error)
            code = CODES[status.code]
            await _abort(context, status)
        finally:
            places.close()
            self._seconds(code.name).observe(moments.monotonic() - began)

    async def _admit(
        self, request: Message, metadata: dict[str, Any], context: Context
    ) -> tuple[Call[Any], Opening, str]:
        """The call, what is to be recorded of it, and from where it comes."""
        if not self._ready():
            # A view that is behind does not know yet what was asked before.
            raise Rejected("NOT_READY")
        connection = connection_of(context, metadata, self._platform.mutual_site)
        shown = [value for name, value in context.invocation_metadata() or () if name == "authorization"]
        if len(shown) > 1:
            # The edge may have read another one than we would.
            raise token_invalid("có nhiều tiêu đề authorization", "there are several authorization headers")
        caller = await self._verifier.caller(metadata.get("authorization"), connection)
        self._policy.check(caller)
        violations: list[Violation] = []
        stated = self._readings.stated(context.invocation_metadata() or (), violations)
        requests.check(request, violations)
        caller, reading = await self._readings.begin(request, stated, caller)
        call = Call(request, caller, self._platform.clock.now(), self._pages, stated)
        return call, reading, counted(connection.client)

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


async def _abort(context: Context, status: Status) -> None:
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


def method_name(rpc: str) -> str:
    """The other way round: `start_checkout` of StartCheckout."""
    return re.sub("(?<!^)(?=[A-Z])", "_", rpc).lower()
