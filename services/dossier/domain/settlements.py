"""The states in words, and what may be done in each. Pure."""

from __future__ import annotations

from services.chassis.decider import Words
from services.dossier.refusals import Refused
from services.law.course import Settlement

NAMES = {
    Settlement.ABSENT: ("Chưa nộp", "Not submitted"),
    Settlement.NEWLY_REGISTERED: ("Mới đăng ký", "Newly registered"),
    Settlement.RECEIVED: ("Được tiếp nhận", "Received"),
    Settlement.NOT_RECEIVED: ("Không được tiếp nhận", "Not received"),
    Settlement.BEING_PROCESSED: ("Đang xử lý", "Being processed"),
    Settlement.SUPPLEMENT_REQUESTED: ("Yêu cầu bổ sung giấy tờ", "Supplement requested"),
    Settlement.FINANCIAL_OBLIGATION_REQUESTED: (
        "Yêu cầu thực hiện nghĩa vụ tài chính",
        "Financial obligation requested",
    ),
    Settlement.WITHDRAWAL_REQUESTED: ("Công dân yêu cầu rút hồ sơ", "Withdrawal requested"),
    Settlement.PROCESSING_STOPPED: ("Dừng xử lý", "Processing stopped"),
    Settlement.PROCESSED: ("Đã xử lý xong", "Processed"),
    Settlement.RESULT_RETURNED: ("Đã trả kết quả", "Result returned"),
}
DOINGS = {
    "SubmitDossier": ("nộp hồ sơ", "submit it"),
    "ReceiveDossier": ("tiếp nhận", "receive it"),
    "RefuseDossier": ("từ chối tiếp nhận", "refuse it"),
    "CorrectForm": ("sửa tờ khai", "correct the form"),
    "RequestSupplement": ("yêu cầu bổ sung", "ask for a supplement"),
    "SupplySupplement": ("nộp bổ sung", "supply what was asked for"),
    "AssignStep": ("giao bước xử lý", "assign the next step"),
    "CompleteStep": ("hoàn thành bước", "complete the step"),
    "TransferDossier": ("chuyển cơ quan khác", "transfer it"),
    "AssessFee": ("tính phí", "assess a fee"),
    "CancelFee": ("hủy khoản phí", "cancel the fee"),
    "WaiveFee": ("miễn khoản phí", "waive the fee"),
    "ApproveDossier": ("phê duyệt", "approve it"),
    "IssueResult": ("ban hành kết quả", "issue the result"),
    "ReturnResult": ("trả kết quả", "return the result"),
    "RequestWithdrawal": ("yêu cầu rút", "ask to withdraw it"),
    "GrantWithdrawal": ("đồng ý cho rút", "grant the withdrawal"),
    "DeclineWithdrawal": ("không cho rút", "decline the withdrawal"),
    "StopProcessing": ("dừng xử lý", "stop it"),
    "RateDossier": ("đánh giá", "rate it"),
}
# What leads on, first; the same as the rules allow, without what is always allowed while a dossier is open.
NOW = {
    Settlement.ABSENT: ("SubmitDossier",),
    Settlement.NEWLY_REGISTERED: (
        "ReceiveDossier",
        "RefuseDossier",
        "CorrectForm",
        "RequestSupplement",
        "RequestWithdrawal",
    ),
    Settlement.RECEIVED: ("AssignStep", "TransferDossier"),
    Settlement.NOT_RECEIVED: ("RateDossier",),
    Settlement.BEING_PROCESSED: (
        "AssignStep",
        "CompleteStep",
        "RequestSupplement",
        "AssessFee",
        "ApproveDossier",
        "IssueResult",
        "StopProcessing",
    ),
    Settlement.SUPPLEMENT_REQUESTED: ("SupplySupplement", "StopProcessing"),
    Settlement.FINANCIAL_OBLIGATION_REQUESTED: ("CancelFee", "WaiveFee", "StopProcessing"),
    Settlement.WITHDRAWAL_REQUESTED: ("GrantWithdrawal", "DeclineWithdrawal"),
    Settlement.PROCESSING_STOPPED: ("RateDossier",),
    Settlement.PROCESSED: ("ReturnResult", "RateDossier"),
    Settlement.RESULT_RETURNED: ("RateDossier",),
}


def wrong_state(state: Settlement) -> Refused:
    return Refused("WRONG_STATE", state=Words.of(*NAMES[state], state.name), now=_now(state))


def _now(state: Settlement) -> Words:
    vi, en = (", ".join(f"{DOINGS[rpc][language]} ({rpc})" for rpc in NOW[state]) for language in (0, 1))
    if state is Settlement.RECEIVED:
        vi += "; sửa tờ khai hay yêu cầu bổ sung được sau khi giao bước"
        en += "; the form is corrected by a supplement once the step is assigned"
    if state is Settlement.FINANCIAL_OBLIGATION_REQUESTED:
        vi, en = f"nộp tiền, {vi}", f"pay, {en}"
    return Words.of(vi, en, ", ".join(NOW[state]))
