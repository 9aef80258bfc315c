"""What the edge itself answers, in the shape that the services give: google.rpc.Status with ErrorInfo."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

DOMAIN = "motcua"
RETRY_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to an HTTP status that the edge gives by itself."""

    http: int
    code: int
    reason: str
    message: str
    retryable: bool

    @property
    def status(self) -> status_pb2.Status:
        details: list[Message] = [error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN)]
        if self.retryable:
            details.append(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=RETRY_SECONDS)))
        status = status_pb2.Status(code=self.code, message=self.message)
        for detail in details:
            any_ = Any()
            any_.Pack(detail)
            status.details.append(any_)
        return status

    @property
    def json(self) -> dict[str, object]:
        """As a JSON format of Envoy. Where a fault has its own explanation, that is the message."""
        body = MessageToDict(self.status)
        return body | {"message": "%LOCAL_REPLY_BODY%"} if self.explained else body

    @property
    def explained(self) -> bool:
        return self.code in (code_pb2.INVALID_ARGUMENT, code_pb2.UNAUTHENTICATED) and self.http not in (413, 431)

    @property
    def header(self) -> str:
        """grpc-status-details-bin, with the code that gRPC gives the HTTP status."""
        status = self.status
        status.code = code_pb2.UNIMPLEMENTED if self.http == 404 else self.code
        return b64encode(status.SerializeToString()).decode().rstrip("=")


REPLIES = (
    Reply(400, code_pb2.INVALID_ARGUMENT, "INVALID_REQUEST", "The request cannot be read.", False),
    Reply(401, code_pb2.UNAUTHENTICATED, "TOKEN_INVALID", "The access token is not valid.", False),
    Reply(403, code_pb2.PERMISSION_DENIED, "ROLE_MISSING", "The call is not allowed.", False),
    Reply(404, code_pb2.NOT_FOUND, "INVALID_REQUEST", "There is no such method.", False),
    Reply(405, code_pb2.UNIMPLEMENTED, "INVALID_REQUEST", "There is no such method.", False),
    Reply(408, code_pb2.DEADLINE_EXCEEDED, "INVALID_REQUEST", "The request did not arrive in time.", False),
    Reply(413, code_pb2.INVALID_ARGUMENT, "INVALID_REQUEST", "The request is too large.", False),
    Reply(415, code_pb2.INVALID_ARGUMENT, "INVALID_REQUEST", "The body must be JSON.", False),
    Reply(431, code_pb2.INVALID_ARGUMENT, "INVALID_REQUEST", "The headers are too large.", False),
    Reply(429, code_pb2.RESOURCE_EXHAUSTED, "OVERLOADED", "Too many calls.", True),
    Reply(502, code_pb2.UNAVAILABLE, "UNAVAILABLE", "The service does not answer.", True),
    Reply(503, code_pb2.UNAVAILABLE, "UNAVAILABLE", "The service does not answer.", True),
    Reply(504, code_pb2.DEADLINE_EXCEEDED, "UNAVAILABLE", "The service did not answer in time.", True),
)
