"""Histories of dossiers as the store holds them, with personal data in every place where it may stand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.status.model import Bilingual
from motcua.catalogue.events.v1 import definitions_pb2 as definitions
from motcua.dossier.events.v1 import events_pb2 as facts

LOCAL = ZoneInfo("Asia/Ho_Chi_Minh")
NOW = datetime(2026, 11, 20, 10, 0, tzinfo=LOCAL)
SECRET = "Nguyễn Thị Bí Mật 056190001234"
WARD, POLICE, FINANCE, LAND = "P56.22.336", "P56.22.336.1", "P56.1", "P56.2"


def local(month: int, day: int, hour: int = 9, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=LOCAL)


def stamp(at: datetime) -> Timestamp:
    result = Timestamp()
    result.FromDatetime(at.astimezone(UTC))
    return result


def fact(kind: type[Message], code: str, at: datetime, **said: Any) -> Message:
    """An event with its private fields filled in."""
    fields = kind.DESCRIPTOR.fields_by_name
    private: dict[str, Any] = {
        name: SECRET for name in ("by", "applicant_id", "fee_id", "payment_id") if name in fields
    }
    private |= {name: SECRET.encode() for name in ("reason", "explanation", "note", "comment") if name in fields}
    said = {name: stamp(value) if isinstance(value, datetime) else value for name, value in said.items()}
    return kind(**private | {"code": code, "at": stamp(at)} | said)


def submitted(
    code: str, at: datetime, procedure: str = "1.001456", agency: str = POLICE, channel: int = facts.CHANNEL_ONLINE
) -> Message:
    return fact(
        facts.DossierSubmitted,
        code,
        at,
        procedure_code=procedure,
        procedure_version=1,
        channel=channel,
        applicant_kind=facts.APPLICANT_KIND_CITIZEN,
        applicant_name=SECRET.encode(),
        email=SECRET.encode(),
        phone=SECRET.encode(),
        form=SECRET.encode(),
        components=[
            facts.Component(
                component_code="application",
                source=facts.COMPONENT_SOURCE_ATTACHMENT,
                sha256=SECRET,
                media_type=SECRET,
                document_id=SECRET,
            ),
            facts.Component(component_code="photo", source=facts.COMPONENT_SOURCE_WAREHOUSE),
        ],
        place_of_submission="online" if channel == facts.CHANNEL_ONLINE else WARD,
        reception_agency=WARD,
        competent_agency=agency,
        province="56",
        delivery_method=facts.DELIVERY_METHOD_POST,
        draft_id=SECRET,
        reuse_consent=True,
    )


def received(code: str, at: datetime, due: datetime, days: int = 8, agency: str = WARD) -> Message:
    return fact(
        facts.DossierReceived,
        code,
        at,
        receipt_number=f"{code[-7:]}/TNHS",
        due_at=due,
        term=facts.Term(amount=days, unit=facts.TERM_UNIT_WORKING_DAYS),
        calendar="vn/2026.1",
        procedure_version=1,
        agency=agency,
    )


def started(code: str, at: datetime, agency: str = POLICE) -> Message:
    return fact(facts.ProcessingStarted, code, at, agency=agency)


def assigned(code: str, at: datetime, step: str = "check", role: str = "processor", agency: str = POLICE) -> Message:
    return fact(facts.StepAssigned, code, at, step_code=step, role=role, assignee_id=SECRET, agency=agency)


def fee(code: str, at: datetime, amount: int = 160_000, condition: int = facts.FEE_CONDITION_PROCESSING) -> Message:
    items = [facts.FeeItem(name="Lệ phí cấp hộ chiếu", amount=amount)]
    return fact(facts.FeeAssessed, code, at, amount=amount, items=items, condition=condition, agency=POLICE)


def issued(code: str, at: datetime, on_time: bool = True, agency: str = POLICE) -> Message:
    return fact(
        facts.ResultIssued,
        code,
        at,
        result_number=SECRET,
        document_kind="passport",
        sha256=SECRET,
        media_type=SECRET,
        size=42,
        on_time=on_time,
        agency=agency,
        procedure_code="1.001456",
    )


def code(number: int) -> str:
    return f"P56.22.336-20261109-{number:07}"


def new(c: str) -> list[Message]:
    return [submitted(c, local(11, 20, 8, 12))]


def in_progress(c: str) -> list[Message]:
    return [
        submitted(c, local(11, 9, 20, 41)),
        fee(c, local(11, 9, 20, 42), condition=facts.FEE_CONDITION_RECEPTION),
        fact(facts.FeePaid, c, local(11, 9, 20, 45), amount=160_000),
        received(c, local(11, 12, 8, 5), local(11, 25, 17)),
        started(c, local(11, 12, 14)),
        assigned(c, local(11, 12, 14, 5)),
        fact(facts.StepCompleted, c, local(11, 16, 16, 30), step_code="check", agency=POLICE),
        fact(facts.DossierTransferred, c, local(11, 17, 9), from_agency=POLICE, to_agency=FINANCE),
        assigned(c, local(11, 18, 9), "approve", "approver", FINANCE),
        fact(facts.DossierSynchronised, c, local(11, 18, 9, 1), peer="vn", peer_revision=8),
    ]


def paused_for_supplement(c: str) -> list[Message]:
    return [
        submitted(c, local(11, 9), channel=facts.CHANNEL_COUNTER),
        received(c, local(11, 9, 10), local(11, 19, 17)),
        started(c, local(11, 10)),
        fact(facts.SupplementRequested, c, local(11, 13, 15), component_codes=["photo", "guardian-consent"]),
    ]


def supplemented(c: str) -> list[Message]:
    return [
        *paused_for_supplement(c),
        fact(
            facts.SupplementSupplied,
            c,
            local(11, 18, 11),
            components=[facts.Component(component_code="photo", sha256=SECRET)],
            due_at=local(11, 24, 17),
        ),
    ]


def fee_asked(c: str) -> list[Message]:
    return [
        submitted(c, local(11, 10)),
        received(c, local(11, 10, 14), local(11, 20, 17)),
        started(c, local(11, 11)),
        fee(c, local(11, 13, 9)),
    ]


def overdue(c: str) -> list[Message]:
    return [
        submitted(c, local(11, 2)),
        received(c, local(11, 2, 14), local(11, 16, 17)),
        started(c, local(11, 3)),
        fact(facts.DeadlinePassed, c, local(11, 16, 17), due_at=local(11, 16, 17), agency=POLICE),
    ]


def apologised(c: str) -> list[Message]:
    return [
        *overdue(c),
        fact(
            facts.DeadlineExtended,
            c,
            local(11, 17, 8),
            original_due_at=local(11, 16, 17),
            due_at=local(11, 25, 17),
            signer="Trưởng Công an phường Nha Trang",
        ),
    ]


def overdue_again(c: str) -> list[Message]:
    extended = fact(
        facts.DeadlineExtended,
        c,
        local(11, 17, 8),
        original_due_at=local(11, 16, 17),
        due_at=local(11, 19, 17),
        signer="Trưởng Công an phường Nha Trang",
    )
    passed = fact(facts.DeadlinePassed, c, local(11, 19, 17), due_at=local(11, 19, 17), agency=POLICE)
    return [*overdue(c), extended, passed]


def late(c: str) -> list[Message]:
    return [*apologised(c), issued(c, local(11, 19, 15), on_time=False)]


def returned(c: str) -> list[Message]:
    return [
        *supplemented(c),
        fact(facts.DossierApproved, c, local(11, 19, 9), agency=POLICE),
        issued(c, local(11, 19, 10)),
        fact(facts.ResultReturned, c, local(11, 19, 16), delivery_method=facts.DELIVERY_METHOD_POST),
        fact(facts.DossierRated, c, local(11, 19, 20), score=5),
    ]


def refused(c: str) -> list[Message]:
    return [submitted(c, local(11, 18)), fact(facts.DossierRefused, c, local(11, 19, 9))]


def withdrawal_asked(c: str) -> list[Message]:
    return [
        submitted(c, local(11, 16)),
        received(c, local(11, 16, 14), local(11, 26, 17)),
        started(c, local(11, 17)),
        fact(facts.WithdrawalRequested, c, local(11, 19, 9)),
    ]


def withdrawn(c: str) -> list[Message]:
    stopped = fact(facts.ProcessingStopped, c, local(11, 19, 15), cause=facts.STOP_CAUSE_WITHDRAWN)
    return [*withdrawal_asked(c), stopped]


def withdrawal_declined(c: str) -> list[Message]:
    return [*withdrawal_asked(c), fact(facts.WithdrawalDeclined, c, local(11, 19, 15))]


def refunded(c: str) -> list[Message]:
    return [
        *fee_asked(c),
        fact(facts.FeePaid, c, local(11, 16, 9), amount=160_000, due_at=local(11, 23, 17)),
        fact(facts.ProcessingStopped, c, local(11, 18, 9), cause=facts.STOP_CAUSE_CONDITIONS_NOT_MET),
        fact(facts.FeeRefunded, c, local(11, 18, 10), amount=160_000),
    ]


SAMPLES: dict[str, Callable[[str], list[Message]]] = {
    sample.__name__: sample
    for sample in (
        new,
        in_progress,
        paused_for_supplement,
        supplemented,
        fee_asked,
        overdue,
        apologised,
        overdue_again,
        late,
        returned,
        refused,
        withdrawal_asked,
        withdrawn,
        withdrawal_declined,
        refunded,
    )
}
CODES = {name: code(number) for number, name in enumerate(SAMPLES, 1)}
HISTORIES = {CODES[name]: sample(CODES[name]) for name, sample in SAMPLES.items()}

AGENCIES = {
    WARD: Bilingual("Ủy ban nhân dân phường Nha Trang", "People’s Committee of Nha Trang Ward"),
    POLICE: Bilingual("Công an phường Nha Trang", "Police of Nha Trang Ward"),
    FINANCE: Bilingual("Sở Tài chính tỉnh Khánh Hòa", "Khánh Hòa Department of Finance"),
    LAND: Bilingual("Văn phòng Đăng ký đất đai tỉnh Khánh Hòa", "Khánh Hòa Land Registration Office"),
}
CALENDARS = {"vn/2026.1": Bilingual("Lịch làm việc chung", "General calendar")}
PROVINCES = {"56": Bilingual("Khánh Hòa", "Khánh Hòa"), "92": Bilingual("Thành phố Cần Thơ", "Cần Thơ City")}


def _text(vi: str, en: str) -> definitions.Text:
    return definitions.Text(vi=vi, en=en)


def _days(channel: facts.Channel.ValueType, amount: int) -> definitions.ChannelRule:
    return definitions.ChannelRule(channel=channel, term=facts.Term(amount=amount, unit=facts.TERM_UNIT_WORKING_DAYS))


PASSPORT = definitions.Procedure(
    code="1.001456",
    version=1,
    name=_text("Cấp hộ chiếu phổ thông ở trong nước", "Issue of an ordinary passport within the country"),
    sector=definitions.Sector(code="xnc", name=_text("Quản lý xuất nhập cảnh", "Immigration")),
    valid_from="2026-01-01",
    channels=[
        _days(facts.CHANNEL_ONLINE, 8),
        definitions.ChannelRule(channel=facts.CHANNEL_POST, term_not_listed=True),
    ],
    fee=definitions.Fee(
        charges=[
            definitions.Charge(
                code="fee",
                name=_text("Lệ phí cấp hộ chiếu", "Passport fee"),
                basis=definitions.CHARGE_BASIS_FIXED,
                amount=160_000,
                channels=[facts.CHANNEL_ONLINE],
            ),
            definitions.Charge(
                code="copies",
                name=_text("Bản sao", "Copies"),
                basis=definitions.CHARGE_BASIS_TIERED,
                tiers=[definitions.Tier(start=1, amount=2000), definitions.Tier(start=3, amount=1000)],
                unit="page",
                maximum=200_000,
                per="copy",
            ),
            definitions.Charge(
                code="council", name=_text("Phí thẩm định", "Appraisal"), basis=definitions.CHARGE_BASIS_COUNCIL
            ),
        ],
        exemptions=[definitions.Exemption(code="child", name=_text("Trẻ em dưới 14 tuổi", "Under 14"), percent=50)],
    ),
    components=[
        definitions.Component(code="application", name=_text("Tờ khai TK01", "Application TK01"), required=True),
        definitions.Component(code="photo", name=_text("Ảnh chân dung 4×6", "Portrait, 4×6"), required=True),
        definitions.Component(
            code="guardian-consent", name=_text("Văn bản đồng ý của người giám hộ", "Guardian’s consent")
        ),
    ],
    steps=[
        definitions.Step(code="check", name=_text("Thẩm tra hồ sơ", "Examine the dossier"), role="processor"),
        definitions.Step(code="approve", name=_text("Phê duyệt", "Approve"), role="approver"),
    ],
    results=[definitions.Result(document_kind="passport", name=_text("Hộ chiếu phổ thông", "Ordinary passport"))],
    online_level=definitions.ONLINE_LEVEL_FULL,
    legal_basis=["Luật Xuất cảnh, nhập cảnh của công dân Việt Nam 2019"],
    unverified=[
        definitions.Unverified(path="fee", reason=_text("Mức phí lấy từ cổng dịch vụ.", "The fee is from the portal."))
    ],
)


def _other(number: int) -> definitions.Procedure:
    return definitions.Procedure(
        code=f"2.{number:06}",
        version=1,
        name=_text(f"Xác nhận thông tin cư trú, mẫu {number}", f"Confirmation of residence, form {number}"),
        sector=definitions.Sector(code="cu-tru", name=_text("Cư trú", "Residence")),
        valid_from="2026-01-01",
        channels=[
            definitions.ChannelRule(channel=facts.CHANNEL_COUNTER, term=facts.Term(unit=facts.TERM_UNIT_SAME_DAY))
        ],
    )


PROCEDURES = {item.code: item for item in (PASSPORT, *(_other(number) for number in range(1, 25)))}
