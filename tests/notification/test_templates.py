from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from google.protobuf.message import Message
from jinja2 import UndefinedError

from motcua.dossier.events.v1 import events_pb2 as dossier
from services.notification.letters import TOLD, Letter, is_told, letter
from services.notification.templates import FOLDER, LOCALES, Dossier, Handling, Ours, Text, render, render_html, version
from services.notification.values import Language, MessageKind

AT = datetime(2026, 3, 2, 2, 5, tzinfo=UTC)  # 09:05 in Hà Nội
DUE = datetime(2026, 3, 9, 10, tzinfo=UTC)
FAULT = dossier.DataFault
CODE = "P56.22.336-20260302-0000001"
URL = "https://motcua.example.vn"
NUMBER = "056095001234"
LANGUAGES = tuple(LOCALES)
DOSSIER = Dossier(
    applicant_name=f"Nguyễn Thị Bình {NUMBER}",
    organisation=False,
    procedure_name="Đăng ký thường trú",
    agency_name="Công an phường Nha Trang",
    delivery="DELIVERY_METHOD_COUNTER",
    status_url=Ours(f"{URL}/dossiers/{CODE}"),
    component_names={"ct01": "Tờ khai CT01"},
)
OPENED = {"reason": f"Lý do {NUMBER}", "explanation": f"Giải thích {NUMBER}"}


def fact(kind: type[Message], **changed: Any) -> Message:
    """A fact with every field filled."""
    values: dict[str, Any] = {
        "code": CODE,
        "at": AT,
        "due_at": DUE,
        "original_due_at": AT,
        "receipt_number": "0001/TN",
        "component_codes": ["ct01", "housing"],
        "amount": 1_250_000,
        "items": [dossier.FeeItem(name="Lệ phí", amount=1_250_000)],
        "payment_id": "PAY-1",
        "signer": "Trưởng Công an phường",
        "result_number": "12/KQ",
        "on_time": True,
        "legal_basis": ["45/2019/QH14", "28/2026/QH16"],
    }
    names = {field.name for field in kind.DESCRIPTOR.fields}
    return kind(**{name: value for name, value in {**values, **changed}.items() if name in names})


def variants() -> list[Message]:
    """Each fact, and each that a template tells in several ways."""
    several: dict[type[Message], list[dict[str, Any]]] = {
        dossier.FeeAssessed: [{"condition": n} for n in dossier.FeeCondition.values()],
        dossier.ProcessingStopped: [{"cause": n} for n in dossier.StopCause.values()],
        dossier.ResultIssued: [{"on_time": flag} for flag in (True, False)],
        dossier.ResultReturned: [{"delivery_method": n} for n in dossier.DeliveryMethod.values()],
        dossier.DossierReceived: [{}, {"due_at": None}, {"provisional": True}],
        dossier.SupplementRequested: [
            {"form_fields": ["mother_name", "children.0.name"]},
            *(
                {"data_faults": [FAULT(kind=n, database="Cơ sở dữ liệu quốc gia về dân cư", component_code=code)]}
                for n in dossier.DataFaultKind.values()[1:]
                for code in ("", "ct01")
            ),
        ],
        dossier.DossierTransferred: [{}, {"due_at": None}, {"provisional": True}],
        dossier.DeadlineRecounted: [{"original_due_at": at} for at in (AT, DUE, datetime(2026, 4, 1, tzinfo=UTC))],
        dossier.SupplementSupplied: [{}, {"due_at": None}],
        dossier.FeePaid: [{}, {"due_at": None}],
        dossier.FeeCancelled: [{}, {"due_at": None, "paid": True}, {"provisional": True}],
    }
    return [fact(kind, **changed) for kind in TOLD for changed in several.get(kind, [{}])]


def everything() -> list[tuple[Message, Dossier, dict[str, str]]]:
    dossiers = [
        DOSSIER,
        Dossier("", False, "P", "A", "DELIVERY_METHOD_POST", DOSSIER.status_url),
        Dossier("Công ty An Bình", True, "P", "A", "DELIVERY_METHOD_ELECTRONIC", DOSSIER.status_url),
        Dossier("", True, "P", "A", "DELIVERY_METHOD_COUNTER", DOSSIER.status_url),
        replace(DOSSIER, handling=Handling()),
        replace(DOSSIER, handling=Handling("Lê Thị Nhận", AT, "Trần Văn Xử", AT, DUE, True)),
        replace(DOSSIER, handling=Handling("", AT, "", AT, DUE, False, DUE)),
    ]
    return list(product(variants(), dossiers, [OPENED, {}]))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_letter_says_what_it_must(language: Language) -> None:
    for told, about, opened in everything():
        text = render(letter(told, opened), about, language)
        assert CODE in text.subject
        assert about.status_url in text.body
        assert about.agency_name in text.body
        assert len(text.subject) <= 100
        assert "\n\n\n" not in text.body
        assert not re.search(r"[ \t]+$| {2}| [.,;:]|: ?\.|_METHOD_|_CAUSE_|None|\{|\}", text.body, re.MULTILINE), (
            text.body
        )


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_subject_holds_no_personal_data(language: Language) -> None:
    for told, about, opened in everything():
        subject = render(letter(told, opened), about, language).subject
        assert not re.search(r"\d{9,}", subject.replace(CODE, ""))
        assert NUMBER not in subject
        assert "Bình" not in subject
        assert DOSSIER.procedure_name not in subject


def test_a_notice_names_agency_persons_and_times_and_what_is_provisional() -> None:
    about = replace(DOSSIER, handling=Handling("Lê Thị Nhận", AT, "Trần Văn Xử", AT, DUE, True))
    for kind in TOLD:
        body = render(letter(fact(kind), {}), about, Language.VIETNAMESE).body
        assert (
            "Cơ quan: Công an phường Nha Trang.\n"
            "Tiếp nhận: 09:05 ngày 02/03/2026, người tiếp nhận Lê Thị Nhận.\n"
            "Giải quyết: từ 09:05 ngày 02/03/2026, người giải quyết Trần Văn Xử.\n"
            "Hẹn trả kết quả: 17:00 ngày 09/03/2026 (tạm tính).\n\n"
            "Theo dõi hồ sơ tại:"
        ) in body


@pytest.mark.parametrize("kind", [kind for kind in TOLD if "provisional" in kind.DESCRIPTOR.fields_by_name])
@pytest.mark.parametrize(
    ("language", "day", "mark", "words"),
    [
        (Language.VIETNAMESE, "09/03/2026", " (tạm tính)", "tính lại"),
        (Language.ENGLISH, "9 March 2026", " (provisional)", "provisional: "),
    ],
)
def test_wherever_a_letter_names_a_due_date_it_says_whether_it_is_provisional(
    kind: type[Message], language: Language, day: str, mark: str, words: str
) -> None:
    for provisional in (True, False):
        text = render(letter(fact(kind, provisional=provisional), {}), DOSSIER, language)
        for said in (text.subject, text.body):
            named = re.findall(rf"{day}(?:, \d\d:\d\d)?( \([^)]*\))?", said)
            assert all(found == (mark if provisional else "") for found in named), said
        assert re.search(day, text.body)
        assert kind is dossier.DeadlineRecounted or (words in text.body) is provisional


def test_no_letter_names_a_due_date_in_its_own_way() -> None:
    """Past ones and appointments are certain."""
    own = {
        path.name
        for path in FOLDER.glob("*/*.txt")
        if re.search(r"(?<!original_)\bdue_at \| (?:moment|day)\b", path.read_text(encoding="utf-8"))
    }
    assert own == {"overdue.txt", "deadline_extended.txt"}


def test_a_later_due_date_is_told_with_the_words_of_form_04() -> None:
    text = render(letter(fact(dossier.DeadlineRecounted), {}), DOSSIER, Language.VIETNAMESE)
    assert text.subject == f"Xin lỗi và hẹn lại: hồ sơ {CODE}, ngày 09/03/2026"
    assert "Hẹn trước: 09:05 ngày 02/03/2026.\nHẹn lại: 17:00 ngày 09/03/2026.\n" in text.body
    assert "(45/2019/QH14; 28/2026/QH16)" in text.body


def test_a_notice_says_that_a_database_could_not_be_read() -> None:
    fault = FAULT(kind=dossier.DATA_FAULT_KIND_UNREADABLE, database="CSDL dân cư", component_code="ct01")
    text = render(letter(fact(dossier.SupplementRequested, data_faults=[fault]), {}), DOSSIER, Language.VIETNAMESE)
    assert "- housing\n- Không đọc được CSDL dân cư; thay bằng: Tờ khai CT01\n" in text.body


@pytest.mark.parametrize(
    ("told", "day", "is_so"),
    [
        (dossier.ProcessingStarted, datetime(2026, 6, 30, 16, 59, tzinfo=UTC), False),
        (dossier.ProcessingStarted, datetime(2026, 6, 30, 17, 0, tzinfo=UTC), True),
        (dossier.DossierReceived, datetime(2026, 6, 30, 16, 59, tzinfo=UTC), True),
    ],
)
def test_every_change_is_told_from_the_law_s_day_on(told: type[Message], day: datetime, is_so: bool) -> None:
    assert is_told(fact(told, at=day)) is is_so


def test_a_recount_that_changes_nothing_is_not_told() -> None:
    same = {"due_at": DUE, "original_due_at": DUE}
    assert not is_told(fact(dossier.DeadlineRecounted, **same, provisional=True))
    assert is_told(fact(dossier.DeadlineRecounted, **same))


def test_the_officials_own_words_are_in_the_body() -> None:
    text = render(letter(fact(dossier.DossierRefused), OPENED), DOSSIER, Language.VIETNAMESE)
    assert f"Lý do:\n> {OPENED['reason']}\n" in text.body


def test_words_that_were_erased_leave_no_gap() -> None:
    text = render(letter(fact(dossier.DossierRefused), {}), DOSSIER, Language.VIETNAMESE)
    assert "Lý do" not in text.body


def test_a_received_dossier() -> None:
    text = render(letter(fact(dossier.DossierReceived), {}), DOSSIER, Language.VIETNAMESE)
    assert text == Text(
        f"Hồ sơ {CODE} đã được tiếp nhận, hẹn trả ngày 09/03/2026",
        f"""Kính gửi Ông/Bà Nguyễn Thị Bình {NUMBER},

Hồ sơ “Đăng ký thường trú” của Ông/Bà, mã {CODE}, đã được tiếp nhận lúc 09:05 ngày 02/03/2026. \
Số giấy tiếp nhận hồ sơ và hẹn trả kết quả: 0001/TN.
Thời điểm hẹn trả kết quả: 17:00 ngày 09/03/2026.

Hiện nay Ông/Bà chưa cần làm gì thêm. Công an phường Nha Trang sẽ báo ngay khi có kết quả hoặc khi cần Ông/Bà bổ sung.

Theo dõi hồ sơ tại: https://motcua.example.vn/dossiers/{CODE}

Trân trọng,
Công an phường Nha Trang

Thư này được gửi tự động, xin không trả lời. Nếu cần hỗ trợ, xin liên hệ Bộ phận Một cửa nơi nộp hồ sơ.
""",
    )


def test_money_and_moments_are_written_in_the_readers_way() -> None:
    fee = letter(fact(dossier.FeePaid), {})
    vietnamese, english = (render(fee, DOSSIER, language) for language in LANGUAGES)
    assert vietnamese.subject.endswith("đã nhận 1.250.000 đồng")
    assert english.subject.endswith("1,250,000 đồng received")
    assert "lúc 09:05 ngày 02/03/2026" in vietnamese.body
    assert "on 2 March 2026, 09:05" in english.body


def test_a_granted_withdrawal_is_not_told_as_a_stop() -> None:
    withdrawn = letter(fact(dossier.ProcessingStopped, cause=dossier.STOP_CAUSE_WITHDRAWN), {})
    stopped = letter(fact(dossier.ProcessingStopped, cause=dossier.STOP_CAUSE_NOT_SUPPLIED), {})
    assert (withdrawn.template, stopped.template) == ("withdrawn", "stopped")


def test_a_component_without_a_name_is_told_by_its_code() -> None:
    text = render(letter(fact(dossier.SupplementRequested), {}), DOSSIER, Language.ENGLISH)
    assert "- Tờ khai CT01\n- housing\n" in text.body


def test_a_missing_variable_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        render(Letter("received", MessageKind.PROGRESS, {}), DOSSIER, Language.ENGLISH)


def test_every_template_is_used_and_exists_in_both_languages() -> None:
    used = {letter(told, {}).template for told in variants()} | {"letter"}
    for locale in LOCALES.values():
        assert {path.stem for path in (FOLDER / locale).iterdir()} == used | {"provisional"}


def test_the_html_says_the_same_and_is_escaped() -> None:
    html = render_html(Text("A & B", f"<b>x</b>\n\nXem {DOSSIER.status_url}\nhết\n"), Language.VIETNAMESE, URL)
    assert '<html lang="vi">' in html
    assert "<title>A &amp; B</title>" in html
    assert "<p>&lt;b&gt;x&lt;/b&gt;</p>" in html
    assert f'<p>Xem <a href="{DOSSIER.status_url}">{DOSSIER.status_url}</a><br>hết</p>' in html
    for address, linked in ((f"{DOSSIER.status_url}?lang=en", True), (f"{DOSSIER.status_url}?lang=en&x=1", False)):
        html = render_html(Text("A", f"At: {address}\n"), Language.ENGLISH, URL)
        assert (f'<p>At: <a href="{address}">{address}</a></p>' in html) is linked


def test_the_version_is_the_wordings_own() -> None:
    versions = {version(letter(told, {}).template, language) for told in variants() for language in LANGUAGES}
    templates = {letter(told, {}).template for told in variants()}
    assert len(versions) == 2 * len(templates)
    assert all(re.fullmatch(r"[0-9a-f]{16}", each) for each in versions)
