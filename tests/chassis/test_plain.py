"""One rule for names, where they enter; what may be one, and what may not."""

from __future__ import annotations

import unicodedata
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox.people import citizen, organisation
from motcua.catalogue.v1 import catalogue_service_pb2 as catalogue
from motcua.dossier.v1 import dossier_service_pb2 as dossiers
from motcua.identity.v1 import identity_service_pb2 as identity
from services.chassis.calls import requests
from services.chassis.calls.statuses import RequestInvalid
from services.chassis.text.plain import LONGEST_NAME, LONGEST_PERSON, name_fault, plain, quoted
from tests.notification.test_harmless import ATTACKS
from tests.support.loops import MOST_SECONDS
from tests.support.shipped import shipped
from tests.support.spending import least_spent

PEOPLE = [
    *("Nguyễn Thị Ngọc Ánh", "Đặng Thùy Trâm", "Lê Nguyễn Hoàng Phương Uyên", "NGUYỄN VĂN Ứ", "Ỷ Lan", "An"),
    *("H'Hen Niê", "H’Hen Niê", "K'Brơi", "Y Bhin Êban", "Y Moan Ênuôl", "Rơ Ô Kim-Hạnh", "Rơ Chăm Phiang"),
    *("Giàng A Páo", "Vừ Thị Mỷ", "Lò Văn Ún", "Đinh Núp", "Siu Black", "Ksor H'Bơ Khăp", "Ƀih Kĭ Ŭ Č̆iang", "A Tuăt"),
    *(
        "Thạch Sa Rây",
        "Trần Thanh Hải (tức Hai Lúa)",
        "Jean-Pierre O'Connor, Jr.",
        "Müller",
        "Đào Thị  Hoa",
        "Bùi Văn A·B",
    ),
]
ORGANISATIONS = [
    *("Công ty TNHH Một thành viên 28-1", "CÔNG TY CỔ PHẦN T.H.A", "Trường THCS 19/5", "UBND phường Nha Trang"),
    *(
        "Công ty Cổ phần Xây dựng số 479",
        "Ban QLDA 2021-2025",
        "Hợp tác xã “Tân Tiến”",
        "R&D + Co. (VN)",
        "TP. Hồ Chí Minh",
    ),
]


@pytest.mark.parametrize("name", PEOPLE)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_people_s_names(name: str, form: Any) -> None:
    written = unicodedata.normalize(form, name)
    assert name_fault(written, person=True) is None
    assert plain(written) == " ".join(unicodedata.normalize("NFC", name).split())


@pytest.mark.parametrize("name", ORGANISATIONS)
def test_organisations_names(name: str) -> None:
    assert name_fault(name) is None


def test_everybody_in_the_sandbox_and_everything_in_the_catalogue_has_a_name() -> None:
    for index in range(3000):
        assert name_fault(citizen(index).full_name, person=True) is None
    for index in range(300):
        assert name_fault(organisation(index).name) is None
    for agency in shipped().agencies("56"):
        assert name_fault(agency.name.vi) is None, agency.name.vi


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("before", ["", "Nguyễn Văn A "])
def test_no_name_holds_an_address(attack: str, before: str) -> None:
    assert name_fault(before + attack, person=True)
    # Strange for an organisation, and no address.
    if attack not in ("&#46; evil&#46;example", "{{ 7 * 7 }} {% raw %}"):
        assert name_fault(before + attack)


@pytest.mark.parametrize(
    "hidden", ["\u202e", "\u200b", "\u00ad", "\n", "\r\n", "\t", "\u2028", "\u2060", "\ufe0f", "\u3164", "\u034f"]
)
def test_no_name_hides_anything(hidden: str) -> None:
    assert name_fault(f"Nguyễn{hidden}Văn A")


@given(st.text(max_size=60))
def test_what_may_be_a_name_stands_in_a_letter_as_it_is(text: str) -> None:
    if name_fault(text) is None:
        assert plain(text) == " ".join(unicodedata.normalize("NFC", text).split())


def submission(**more: Any) -> Any:
    common: dict[str, Any] = {"request_id": str(uuid4()), "procedure_code": "1", "reception_agency": "P56.1"}
    return dossiers.SubmitDossierRequest(**common, **{"channel": 2, "delivery_method": 1} | more)


EVIL = "Nguyễn Văn A https://evil.example"
FORM = {"form": {"child_name": EVIL, "parents": [{"mother_name": EVIL}], "place": "https://ok.example"}}
FEE = ParseDict(
    {"requestId": str(uuid4()), "code": "x", "condition": 1, "items": [{"name": EVIL}]}, dossiers.AssessFeeRequest()
)
LOOK_UP = identity.LookUpPersonRequest(
    request_id=str(uuid4()), personal_number="1", full_name=EVIL, birth_date="1990", legal_basis="x"
)
DRAFT = {"requestId": str(uuid4()), "procedureCode": "1", **FORM}


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (submission(applicant_name=EVIL), ["applicant_name"]),
        (submission(applicant_name="A\nB"), ["applicant_name"]),
        (submission(form=ParseDict(FORM, dossiers.SaveDraftRequest()).form), ["form.child_name", "form.parents[0].mother_name"]),
        (LOOK_UP, ["full_name"]),
        (
            identity.RegisterSystemRequest(
                request_id=str(uuid4()), client_id="x", name=EVIL, operator_agency="x", purposes=["x"], public_jwk="x"
            ),
            ["name"],
        ),
        (
            FEE,
            ["items[0].name"],
        ),
        (catalogue.OpenAgencyRequest(request_id=str(uuid4()), agency={"name": {"vi": EVIL, "en": "evil.example"}}),  # type: ignore[arg-type]
         ["agency.name.vi", "agency.name.en"]),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, list) else ", ".join(value),
)  # fmt: skip
def test_wherever_a_name_enters_it_is_one(request_: Any, fields: list[str]) -> None:
    with pytest.raises(RequestInvalid) as refused:
        requests.check(request_)
    assert [violation.field for violation in refused.value.violations] == fields
    for violation in refused.value.violations:
        assert violation.vi
        assert violation.en


def test_a_draft_s_names_are_names() -> None:
    with pytest.raises(RequestInvalid) as refused:
        requests.check(ParseDict(DRAFT, dossiers.SaveDraftRequest()))
    assert [violation.field for violation in refused.value.violations] == [
        "form.child_name",
        "form.parents[0].mother_name",
    ]


LONG = 20_000
REPEATED = (
    "a",
    "0",
    ".",
    "a.",
    "+",
    "+-",
    "0-",
    "1900 ",
    ":",
    "a:",
    "@",
    " @",
    "www.",
    "1.",
    "-",
    "\\",
    "\u0300\u0316",
    "\u0316\u200b",
    "é\u0316",
    " ",
)


@pytest.mark.parametrize("unit", REPEATED)
@pytest.mark.parametrize("before", ["", "+", "a", "0"])
@pytest.mark.parametrize("after", ["", ":", "!"])
def test_what_is_long_is_read_in_a_moment(unit: str, before: str, after: str) -> None:
    text = before + unit * (LONG // len(unit)) + after
    for read in (plain, quoted, name_fault):
        assert least_spent(partial(read, text), MOST_SECONDS) < MOST_SECONDS


@given(st.lists(st.sampled_from([*REPEATED, *"0a.:+- "]), max_size=6), st.integers(1, LONG))
def test_whatever_is_repeated_is_read_in_a_moment(units: list[str], times: int) -> None:
    text = ("".join(units) * times)[:LONG]
    assert least_spent(lambda: quoted(text), MOST_SECONDS) < MOST_SECONDS


NO_NAMES = ("  ", "\u00a0", "\u200b", "\u202e", "Lan\u202eAn", "...", "·", "1234", "\u3164", "\u0301", "Lan\nAn")


@pytest.mark.parametrize("text", NO_NAMES)
def test_a_name_is_one_line_with_a_letter_that_is_seen(text: str) -> None:
    assert name_fault(text)
    assert name_fault(text, person=True)


def test_a_name_has_an_end() -> None:
    assert name_fault("a" * LONGEST_PERSON, person=True) is None
    assert name_fault("a" * (LONGEST_PERSON + 1), person=True)
    assert name_fault("a" * LONGEST_NAME) is None
    assert name_fault("a" * (LONGEST_NAME + 1))
    assert name_fault("a" + "\u0316" * 40)
