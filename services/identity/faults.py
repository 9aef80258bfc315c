"""What the OAuth endpoints answer when they refuse (RFC 6749, section 5.2; RFC 8693, section 2.2.2)."""

from __future__ import annotations

from enum import Enum


class Fault(Enum):
    """OAuth error code, HTTP status, and what to tell a person in Vietnamese and English."""

    REQUEST_MALFORMED = (
        "invalid_request",
        400,
        "Yêu cầu thiếu hoặc lặp tham số.",
        "A parameter is missing or repeated.",
    )
    GRANT_UNSUPPORTED = (
        "unsupported_grant_type",
        400,
        "Kiểu cấp quyền không được hỗ trợ.",
        "The grant type is not supported. Use token-exchange or client_credentials.",
    )
    CLIENT_INVALID = (
        "invalid_client",
        401,
        "Không xác thực được hệ thống.",
        "The client is unknown, suspended, or its assertion is not valid.",
    )
    ASSERTION_REPLAYED = (
        "invalid_client",
        401,
        "Chứng thực đã được dùng; hãy ký một chứng thực mới.",
        "The assertion was used before. Sign a new one with another jti.",
    )
    CERTIFICATE_MISSING = (
        "invalid_client",
        401,
        "Hệ thống này phải xuất trình chứng thư máy khách qua TLS.",
        "The client is registered to show a client certificate. Call the token endpoint over TLS with it.",
    )
    SCOPE_INVALID = (
        "invalid_scope",
        400,
        "Phạm vi không hợp lệ: hệ thống phải nêu mục đích đã đăng ký; cán bộ phải nêu nhiệm vụ đang hiệu lực.",
        "The scope is not granted: a system must name purposes that it is registered for, an official an appointment in"
        " force.",
    )
    APPOINTMENT_NOT_YOURS = (
        "invalid_scope",
        400,
        "Nhiệm vụ này không phải của tài khoản vừa đăng nhập. Hãy đăng xuất khỏi VNeID rồi đăng nhập bằng tài khoản của người được"
        " giao nhiệm vụ, hoặc đăng nhập cho việc của chính mình.",
        "This appointment is not one of the account that has logged in. Log out of VNeID and log in as whoever was appointed, or"
        " log in for your own affairs.",
    )
    APPOINTMENT_OVER = (
        "invalid_scope",
        400,
        "Nhiệm vụ này đã kết thúc; đăng nhập lại không mở lại được. Hãy đề nghị quản trị viên của cơ quan giao nhiệm vụ mới, hoặc"
        " đăng nhập cho việc của chính mình.",
        "This appointment is over; logging in again does not help. Ask your agency's administrator for a new one, or log in for"
        " your own affairs.",
    )
    APPOINTMENT_NOT_STARTED = (
        "invalid_scope",
        400,
        "Nhiệm vụ này chưa đến ngày bắt đầu. Hãy đăng nhập lại khi đến ngày, hoặc đề nghị quản trị viên sửa ngày bắt đầu.",
        "This appointment has not started yet. Log in again when it has, or ask an administrator to change its beginning.",
    )
    APPOINTMENT_MALFORMED = (
        "invalid_scope",
        400,
        "Địa chỉ đăng nhập không đúng: phần scope phải là appointment:<mã nhiệm vụ>. Hãy mở lại đường dẫn mà quản trị viên đã gửi,"
        " hoặc bỏ scope để đăng nhập cho việc của chính mình.",
        "The address to log in is not right: its scope must be appointment:<the appointment's id>. Open the link that the"
        " administrator sent again, or leave scope out to log in for your own affairs.",
    )
    SUBJECT_TOKEN_INVALID = (
        "invalid_grant",
        400,
        "Mã định danh của VNeID không hợp lệ hoặc đã hết hạn; hãy đăng nhập lại.",
        "The VNeID token is not valid or has expired. Log in again.",
    )
    ACCOUNT_REFUSED = (
        "invalid_grant",
        400,
        "Không thể đăng nhập bằng tài khoản này.",
        "The account cannot log in.",
    )
    LOGIN_EXPIRED = (
        "invalid_request",
        400,
        "Lần đăng nhập này đã hết hạn hoặc không bắt đầu từ trình duyệt này; hãy đăng nhập lại.",
        "This login has expired or did not start in this browser. Log in again.",
    )
    LOGIN_CANCELLED = (
        "access_denied",
        403,
        "Bạn đã hủy đăng nhập, hoặc VNeID từ chối.",
        "The login was cancelled, or VNeID refused it.",
    )
    ASSURANCE_TOO_LOW = (
        "access_denied",
        403,
        "Tài khoản VNeID chưa đạt mức định danh cần thiết.",
        "The VNeID account does not reach the level of assurance that is needed.",
    )
    PROVIDER_UNAVAILABLE = (
        "temporarily_unavailable",
        503,
        "VNeID đang không trả lời. Hồ sơ nháp vẫn được giữ; hãy thử lại sau ít phút.",
        "VNeID does not answer. Drafts are kept; try again in a few minutes.",
    )

    def __init__(self, error: str, status: int, vi: str, en: str) -> None:
        self.error = error
        self.status = status
        self.vi = vi
        self.en = en


class OAuthError(Exception):
    def __init__(self, fault: Fault, why: str = "") -> None:
        super().__init__(fault.name, why)
        self.fault = fault
        self.why = why

    @property
    def status(self) -> int:
        return self.fault.status

    @property
    def headers(self) -> dict[str, str]:
        headers = {"cache-control": "no-store"}
        if self.status == 503:
            headers["retry-after"] = "30"
        return headers

    @property
    def body(self) -> dict[str, str]:
        """`error_description` is ASCII by RFC 6749; the Vietnamese text has its own member."""
        detail = f" ({self.why})" if self.why else ""
        description = (self.fault.en + detail).encode("ascii", "replace").decode().replace('"', "'").replace("\\", "/")
        return {
            "error": self.fault.error,
            "error_description": description,
            "error_description_vi": self.fault.vi + (f" ({self.why})" if self.why else ""),
        }
