"""What the edge itself answers, in the shape that the services give: google.rpc.Status with ErrorInfo."""

from __future__ import annotations

import json
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
    vi: str
    message: str
    retryable: bool

    @property
    def status(self) -> status_pb2.Status:
        details: list[Message] = [error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN)]
        words = {"vi": self.vi, "en": self.message}
        if self.retryable:
            details.append(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=RETRY_SECONDS)))
        details += [error_details_pb2.LocalizedMessage(locale=each, message=text) for each, text in words.items()]
        status = status_pb2.Status(code=self.code, message=self.message)
        for detail in details:
            any_ = Any()
            any_.Pack(detail)
            status.details.append(any_)
        return status

    @property
    def json(self) -> dict[str, object]:
        """As a JSON format of Envoy. Where a fault has its own explanation, in English only, the message ends with it."""
        if not self.explained:
            return MessageToDict(self.status)
        return MessageToDict(self.status) | {"message": f"{self.message} %LOCAL_REPLY_BODY%"}

    def text(self, more: str) -> str:
        """The same, written by the edge's own filter, with room for `more` details."""
        written = json.dumps(MessageToDict(self.status), ensure_ascii=False)
        assert written.endswith("]}")
        return f"{written[:-2]}{more}]}}"

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
    Reply(
        400,
        code_pb2.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        "Không đọc được yêu cầu. Xem lại đường dẫn (không có dấu gạch chéo đã mã hóa; ngày ghi như 2026-11-30) và các giá trị.",
        "The request cannot be read. Look at its path (which has no escaped slash; days are written as 2026-11-30) and its values.",
        False,
    ),
    Reply(
        401,
        code_pb2.UNAUTHENTICATED,
        "TOKEN_INVALID",
        "Mã truy cập không hợp lệ. Đăng nhập lại để lấy mã mới.",
        "The access token is not valid. Log in again for a new one.",
        False,
    ),
    Reply(403, code_pb2.PERMISSION_DENIED, "ROLE_MISSING", "Không được phép gọi.", "The call is not allowed.", False),
    Reply(404, code_pb2.NOT_FOUND, "INVALID_REQUEST", "Không có phương thức này.", "There is no such method.", False),
    Reply(
        405,
        code_pb2.UNIMPLEMENTED,
        "INVALID_REQUEST",
        "Địa chỉ này không nhận phương thức đó.",
        "The path does not take this method.",
        False,
    ),
    Reply(
        408,
        code_pb2.DEADLINE_EXCEEDED,
        "INVALID_REQUEST",
        "Yêu cầu không đến kịp.",
        "The request did not arrive in time.",
        False,
    ),
    Reply(413, code_pb2.INVALID_ARGUMENT, "INVALID_REQUEST", "Yêu cầu quá lớn.", "The request is too large.", False),
    Reply(415, code_pb2.INVALID_ARGUMENT, "INVALID_REQUEST", "Nội dung phải là JSON.", "The body must be JSON.", False),
    Reply(431, code_pb2.INVALID_ARGUMENT, "INVALID_REQUEST", "Phần đầu quá lớn.", "The headers are too large.", False),
    Reply(429, code_pb2.RESOURCE_EXHAUSTED, "OVERLOADED", "Quá nhiều lần gọi.", "Too many calls.", True),
    Reply(502, code_pb2.UNAVAILABLE, "UNAVAILABLE", "Dịch vụ không trả lời.", "The service does not answer.", True),
    Reply(503, code_pb2.UNAVAILABLE, "UNAVAILABLE", "Dịch vụ không trả lời.", "The service does not answer.", True),
    Reply(
        504,
        code_pb2.DEADLINE_EXCEEDED,
        "UNAVAILABLE",
        "Dịch vụ không trả lời kịp.",
        "The service did not answer in time.",
        True,
    ),
)
