"""One API, two ways to call it: gRPC, and JSON by the same protos' HTTP mappings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

import grpc
import httpx
from google.api import annotations_pb2
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2, error_details_pb2
from google.rpc.status_pb2 import Status

SECONDS = 60
# Headers beside the request (services/chassis/calls/stated.py).
Stated = Mapping[str, str] | tuple[()]


class Refused(Exception):
    """A refusal as its caller gets it, whichever way it came."""

    def __init__(self, status: Status) -> None:
        self.code = code_pb2.Code.Name(code_pb2.Code.ValueType(status.code))
        self.reason = self.domain = ""
        self.facts: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self.violations: dict[str, str] = {}
        self.retry_seconds: float | None = None
        for detail in status.details:
            self._learn(detail)
        super().__init__(f"{self.reason} {self.facts} {self.violations} {status.message}")

    def _learn(self, detail: Any) -> None:
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        told, retry = error_details_pb2.LocalizedMessage(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            self.reason, self.domain, self.facts = info.reason, info.domain, dict(info.metadata)
        elif detail.Unpack(told):
            self.texts[told.locale] = told.message
        elif detail.Unpack(bad):
            self.violations = {each.field: each.description for each in bad.field_violations}
        elif detail.Unpack(retry):
            self.retry_seconds = retry.retry_delay.ToTimedelta().total_seconds()


class Transport(Protocol):
    def call(self, request: Message, token: str = "", stated: Stated = ()) -> Any:
        """The reply. The request's type says which method. Raises Refused."""
        ...

    def stream(self, request: Message, token: str = "", stated: Stated = ()) -> Iterator[Any]:
        """The replies as they come. Raises Refused."""
        ...


def method_of(request: type[Message]) -> Any:
    """`<Rpc>Request` belongs to `<Rpc>` of the service that its file declares."""
    descriptor = request.DESCRIPTOR
    (service,) = descriptor.file.services_by_name.values()
    return service.methods_by_name[descriptor.name.removesuffix("Request")]


@dataclass
class Grpc:
    channel: grpc.Channel

    def call(self, request: Message, token: str = "", stated: Stated = ()) -> Any:
        return self._call(self.channel.unary_unary, request, token, stated)

    def stream(self, request: Message, token: str = "", stated: Stated = ()) -> Iterator[Any]:
        replies = self._call(self.channel.unary_stream, request, token, stated)
        try:
            yield from replies
        except grpc.RpcError as error:
            raise _refused(error) from None
        finally:
            replies.cancel()

    def _call(self, kind: Any, request: Message, token: str, stated: Stated) -> Any:
        method = method_of(type(request))
        path = f"/{method.containing_service.full_name}/{method.name}"
        call = kind(path, type(request).SerializeToString, GetMessageClass(method.output_type).FromString)
        metadata = [*([("authorization", f"Bearer {token}")] if token else ()), *dict(stated).items()]
        try:
            return call(request, metadata=metadata, timeout=SECONDS)
        except grpc.RpcError as error:
            raise _refused(error) from None


def _refused(error: grpc.RpcError) -> Exception:
    metadata: Any = error.trailing_metadata() or ()
    for key, value in metadata:
        if key == "grpc-status-details-bin":
            return Refused(Status.FromString(bytes(value)))
    return error


@dataclass
class Json:
    http: httpx.Client

    def call(self, request: Message, token: str = "", stated: Stated = ()) -> Any:
        got = self.http.send(self._built(request, token, stated))
        _require_ok(got)
        return ParseDict(got.json(), GetMessageClass(method_of(type(request)).output_type)())

    def stream(self, request: Message, token: str = "", stated: Stated = ()) -> Iterator[Any]:
        """The replies of a stream are the elements of one array, which ends with the stream."""
        got = self.http.send(self._built(request, token, stated), stream=True)
        try:
            if not got.is_success:
                got.read()
            _require_ok(got)
            reply = GetMessageClass(method_of(type(request)).output_type)
            for element in _elements(got.iter_text()):
                yield ParseDict(element, reply())
        finally:
            got.close()

    def _built(self, request: Message, token: str, stated: Stated) -> httpx.Request:
        rule = method_of(type(request)).GetOptions().Extensions[annotations_pb2.http]
        verb = str(rule.WhichOneof("pattern"))
        fields = MessageToDict(request, preserving_proto_field_name=True)

        def bound(found: re.Match[str]) -> str:
            return quote(str(fields.pop(found[1], "")), safe="")

        path = re.sub(r"{(\w+)}", bound, getattr(rule, verb))
        headers = dict(stated) | ({"authorization": f"Bearer {token}"} if token else {})
        if rule.body:
            return self.http.build_request(verb.upper(), path, json=fields, headers=headers)
        return self.http.build_request(verb.upper(), path, params=list(_flat(fields)), headers=headers)


def _flat(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            for each in value if isinstance(value, list) else [value]:
                yield f"{prefix}{name}", json.dumps(each) if isinstance(each, bool) else str(each)


def _elements(chunks: Iterator[str]) -> Iterator[Any]:
    decoder, buffer = json.JSONDecoder(), ""
    for chunk in chunks:
        buffer += chunk
        while text := buffer.lstrip("[, \n"):
            try:
                element, end = decoder.raw_decode(text)
            except json.JSONDecodeError:
                break
            yield element
            buffer = text[end:]


def _require_ok(got: httpx.Response) -> None:
    if not got.is_success:
        raise Refused(ParseDict(got.json(), Status()))
