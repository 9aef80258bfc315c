"""Every RPC there is, read from the descriptors, and a way to call any of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from motcua.operations.v1 import operations_service_pb2
from motcua.options.v1 import options_pb2
from services.chassis.deciding.facts import message_class
from services.registry import SERVICES
from tests.support.hosted import Host

CALL_SECONDS = 30
NAMES = tuple(name for name, service in SERVICES.items() if service.api)


@dataclass(frozen=True, slots=True)
class Rpc:
    descriptor: MethodDescriptor
    # The one of ours that serves it.
    server: str

    def __str__(self) -> str:
        return f"{self.server}.{self.descriptor.name}"

    @property
    def path(self) -> str:
        return f"/{self.descriptor.containing_service.full_name}/{self.descriptor.name}"

    @property
    def access(self) -> options_pb2.Access:
        return self.descriptor.GetOptions().Extensions[options_pb2.access]

    @property
    def request(self) -> type[Message]:
        return message_class(self.descriptor.input_type.full_name)

    @property
    def response(self) -> type[Message]:
        return message_class(self.descriptor.output_type.full_name)


def _rpcs() -> Iterator[Rpc]:
    for name in NAMES:
        api = import_module(f"motcua.{name}.v1.{name}_service_pb2")
        for service in api.DESCRIPTOR.services_by_name.values():
            yield from (Rpc(method, name) for method in service.methods)
        # Every service answers it beside its API.
        operations = operations_service_pb2.DESCRIPTOR.services_by_name["OperationsService"]
        yield from (Rpc(method, name) for method in operations.methods)


RPCS = tuple(_rpcs())
MUTATIONS = tuple(rpc for rpc in RPCS if rpc.access.mutation)


@dataclass(frozen=True)
class Answer:
    """A reply, or a refusal with what it says."""

    code: grpc.StatusCode
    # A stream's first message.
    reply: Any = None
    status: Status | None = None

    @cached_property
    def reason(self) -> str:
        info = error_details_pb2.ErrorInfo()
        return info.reason if any(detail.Unpack(info) for detail in self._details) else ""

    @cached_property
    def languages(self) -> set[str]:
        texts = [error_details_pb2.LocalizedMessage() for _ in self._details]
        return {
            text.locale
            for text, detail in zip(texts, self._details, strict=True)
            if detail.Unpack(text) and text.message
        }

    @property
    def _details(self) -> Any:
        return self.status.details if self.status else ()

    @cached_property
    def faults(self) -> dict[str, str]:
        request = error_details_pb2.BadRequest()
        any(detail.Unpack(request) for detail in self._details)
        return {fault.field: fault.description for fault in request.field_violations}

    def __str__(self) -> str:
        return f"{self.code.name} {self.reason} {self.faults or (self.status.message if self.status else '')}"


class Client:
    """Calls the services of a host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._channels = {name: grpc.insecure_channel(host.address(name)) for name in NAMES}

    def close(self) -> None:
        for channel in self._channels.values():
            channel.close()

    def call(
        self, rpc: Rpc, request: Message, authorization: str | None = None, stated: Mapping[str, str] | None = None
    ) -> Answer:
        metadata = [*([("authorization", authorization)] if authorization else ()), *(stated or {}).items()]
        codecs = {
            "request_serializer": rpc.request.SerializeToString,
            "response_deserializer": rpc.response.FromString,
        }
        channel: Any = self._channels[rpc.server]
        try:
            if rpc.descriptor.server_streaming:
                stream = channel.unary_stream(rpc.path, **codecs)(request, metadata=metadata, timeout=CALL_SECONDS)
                first = next(stream, None)
                stream.cancel()
                return Answer(grpc.StatusCode.OK, first)
            reply = channel.unary_unary(rpc.path, **codecs)(request, metadata=metadata, timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            return _refusal(error)
        return Answer(grpc.StatusCode.OK, reply)


def _refusal(error: Any) -> Answer:
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    return Answer(error.code(), None, Status.FromString(details) if details else None)


@contextmanager
def client(host: Host) -> Iterator[Client]:
    made = Client(host)
    try:
        yield made
    finally:
        made.close()
