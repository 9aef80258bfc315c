"""The catalogue over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from joserfc.jwk import OKPKey

from motcua.catalogue.v1 import catalogue_service_pb2 as pb
from motcua.catalogue.v1 import definitions_pb2 as d
from motcua.catalogue.v1.catalogue_service_pb2_grpc import CatalogueServiceStub
from motcua.types.v1 import types_pb2 as types
from services.catalogue import remote
from services.catalogue.loader import DATA
from services.catalogue.seed import Report, seed
from services.catalogue.service import CatalogueService
from services.chassis.platform.platform import Platform
from services.chassis.platform.settings import Settings
from services.chassis.text.search import matches
from services.law.days import local_day
from tests.support.hosted import hosted
from tests.support.keys import MemoryKeys
from tests.support.postgresql import Engine, settings_of
from tests.support.tokens import mint, signing_key
from tests.support.waiting import eventually

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
COUNTER, ONLINE = types.CHANNEL_COUNTER, types.CHANNEL_ONLINE


def day(offset: int) -> str:
    return local_day(datetime.now(UTC) + timedelta(days=offset))


@dataclass
class Catalogue:
    """The stub, with an editor's token."""

    channel: grpc.Channel
    token: str

    def __call__(self, name: str, **fields: Any) -> Any:
        """The reply to the RPC. A mutation gets a request id of its own."""
        request = getattr(pb, f"{name}Request")
        if "request_id" in request.DESCRIPTOR.fields_by_name:
            fields.setdefault("request_id", str(uuid4()))
        return self.send(name, request(**fields))

    def send(self, name: str, request: Any) -> Any:
        call = getattr(CatalogueServiceStub(self.channel), name)
        return call(request, metadata=(("authorization", f"Bearer {self.token}"),))

    def refusal(self, name: str, **fields: Any) -> tuple[str, dict[str, str], list[str]]:
        """The reason, its facts, and the fields with faults."""
        with pytest.raises(grpc.RpcError) as refused:
            self(name, **fields)
        status = rpc_status.from_call(refused.value)  # type: ignore[arg-type]
        assert status is not None
        info, violations = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        for detail in status.details:
            detail.Unpack(info)
            detail.Unpack(violations)
        return info.reason, dict(info.metadata), [each.field for each in violations.field_violations]


async def prepare(folder: Path, *, provinces: tuple[str, ...]) -> OKPKey:
    platform = await Platform.open(settings_of(folder))
    key = await signing_key(platform.store)
    await seed(platform, provinces)
    await platform.close()
    return key


@pytest.fixture(scope="module")
def catalogue(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    folder, keys = tmp_path_factory.mktemp("catalogue"), MemoryKeys()
    key = asyncio.run(prepare(folder, provinces=("56", "31")))
    service = type("Hosted", (CatalogueService,), {"key_ring": staticmethod(lambda *_: keys)})
    with hosted(folder, [service]) as host, grpc.insecure_channel(host.address("catalogue")) as channel:
        yield Catalogue(channel, mint(key, "editor"))


def test_a_new_version_governs_from_its_day_on(catalogue: Catalogue) -> None:
    old = catalogue("GetProcedure", code="1.001193").procedure
    new = d.Procedure()
    new.CopyFrom(old)
    new.version, new.valid_from, new.loa = 2, day(10), 2
    request = pb.PublishProcedureRequest(request_id=str(uuid4()), procedure=new, expected_revision=0)
    reply = catalogue.send("PublishProcedure", request)
    assert catalogue.send("PublishProcedure", request) == reply
    assert reply.revision == 1
    for on, version in ((day(9), 1), (day(10), 2)):
        found = catalogue("GetProcedure", code=old.code, day=on, min_position=reply.position)
        assert (found.procedure.version, found.revision) == (version, 1)
    assert catalogue("GetProcedure", code=old.code, version=1).procedure.valid_until == day(9)
    listed = catalogue("ListProcedures", search=old.code, day=day(10)).procedures
    assert [(each.code, each.version, each.valid_from) for each in listed] == [(old.code, 2, day(10))]


def test_what_is_published_in_the_past_stays(catalogue: Catalogue) -> None:
    new = catalogue("GetProcedure", code="1.000894").procedure
    new.version, new.valid_from = 2, day(-5)
    assert catalogue.refusal("PublishProcedure", procedure=new)[0] == "CHANGES_THE_PAST"
    new.version = 3
    reason, facts, _ = catalogue.refusal("PublishProcedure", procedure=new)
    assert (reason, facts["expected"]) == ("VERSION_NOT_NEXT", "2")


def test_a_withdrawn_procedure_ends(catalogue: Catalogue) -> None:
    reply = catalogue("WithdrawProcedure", code="2.000986", valid_until=day(3), legal_basis="1/QĐ")
    found = catalogue("GetProcedure", code="2.000986", min_position=reply.position)
    assert (found.procedure.valid_until, found.revision) == (day(3), 1)
    reason, facts, _ = catalogue.refusal("GetProcedure", code="2.000986", day=day(4))
    assert (reason, facts) == ("PROCEDURE_NOT_IN_FORCE", {"code": "2.000986", "day": day(4)})
    again = catalogue.refusal("WithdrawProcedure", code="2.000986", valid_until=day(5), legal_basis="1/QĐ")
    assert again[0] == "PROCEDURE_WITHDRAWN"


def test_every_fault_of_a_definition_at_once(catalogue: Catalogue) -> None:
    procedure = catalogue("GetProcedure", code="2.000635").procedure
    procedure.version = 2
    procedure.fee.charges[0].amount = 8
    procedure.channels[0].term.unit = 0
    procedure.components[0].document_kind = "birth-certificate"
    found = catalogue("LintProcedure", procedure=procedure).faults
    codes = {(fault.code, fault.path) for fault in found}
    assert {("AMOUNT_SUSPECT", "fee.charges[0].amount"), ("TERM_WITHOUT_UNIT", "channels[0].term")} <= codes
    assert all(fault.text.vi and fault.text.en for fault in found)
    reason, facts, fields = catalogue.refusal("PublishProcedure", procedure=procedure)
    assert (reason, facts["code"]) == ("PROCEDURE_FAULTY", "2.000635")
    assert fields == [f"procedure.{fault.path}" for fault in found]


def test_a_number_that_no_enum_lists(catalogue: Catalogue) -> None:
    procedure = catalogue("GetProcedure", code="2.000635").procedure
    procedure.authorities[0].level = 77
    assert catalogue.refusal("LintProcedure", procedure=procedure)[::2] == (
        "INVALID_REQUEST",
        ["procedure.authorities[0].level"],
    )


@pytest.mark.parametrize("form", ["[]", '{"fields": []}', '{"fields": {"copies": "two"}}'])
def test_odd_hints_are_faults(catalogue: Catalogue, form: str) -> None:
    procedure = catalogue("GetProcedure", code="2.000635").procedure
    procedure.form.ui = form
    assert "FIELD_WITHOUT_TITLE" in {fault.code for fault in catalogue("LintProcedure", procedure=procedure).faults}


@pytest.mark.parametrize(
    ("on", "channel", "amount", "resolution"),
    [
        ("2026-08-07", ONLINE, 150_000, "Chưa rõ số nghị quyết"),
        ("2026-08-08", ONLINE, 0, "23/2026/NQ-HĐND"),
        ("2026-08-08", COUNTER, 150_000, "Chưa rõ số nghị quyết"),
    ],
)
def test_hai_phong_waives_online_fees_from_8_august(
    catalogue: Catalogue, on: str, channel: int, amount: int, resolution: str
) -> None:
    quoted = catalogue("QuoteFee", procedure_code="1.001612", province="31", channel=channel, day=on)
    assert [(item.amount, item.resolution) for item in quoted.items] == [(amount, resolution)]
    assert (quoted.total, quoted.condition) == (amount, types.FEE_CONDITION_RECEPTION)


def test_a_fee_by_count(catalogue: Catalogue) -> None:
    asked = {"procedure_code": "2.000815", "province": "56", "channel": COUNTER}
    quoted = catalogue("QuoteFee", **asked, counts={"page": 12, "copy": 2})
    assert [item.amount for item in quoted.items] == [quoted.total]
    assert quoted.total > 0
    assert catalogue.refusal("QuoteFee", **asked, counts={"page": 12})[:2] == ("COUNT_MISSING", {"unit": "copy"})


@pytest.mark.parametrize(
    ("code", "form", "faults"),
    [
        ("1.004222", {"birth_date": "5/1/2021"}, ["form.birth_date"]),
        ("1.004222", {"birth_date": "2999-01-01"}, ["form.birth_date"]),
        ("1.004222", {"birth_date": 2021}, ["form.birth_date"]),
        ("2.000635", {"copies": "3"}, ["form.copies"]),
        ("1.004222", {"birth_date": "2021-01-05"}, []),
        ("1.004222", {"birth_date": "2021", "phone": 5}, []),
    ],
)
def test_no_price_leaves_out_an_answer_that_would_be_refused(
    catalogue: Catalogue, code: str, form: dict[str, Any], faults: list[str]
) -> None:
    asked = {"procedure_code": code, "province": "56", "channel": COUNTER, "form": form}
    if not faults:
        assert catalogue("QuoteFee", **asked).total >= 0
        return
    assert catalogue.refusal("QuoteFee", **asked)[:2] == ("FORM_INVALID", {"count": str(len(faults))})


def test_what_cannot_be_quoted(catalogue: Catalogue) -> None:
    asked = {"procedure_code": "1.001612", "province": "56", "channel": COUNTER}
    assert catalogue.refusal("QuoteFee", **asked | {"province": "01"})[0] == "FEE_NOT_SET"
    assert catalogue.refusal("QuoteFee", **asked | {"province": "00"})[0] == "PROVINCE_UNKNOWN"
    assert catalogue.refusal("QuoteFee", **asked | {"procedure_code": "0.000000"})[0] == "PROCEDURE_UNKNOWN"
    assert catalogue.refusal("QuoteFee", **asked | {"channel": 9})[0] == "INVALID_REQUEST"
    assert catalogue.refusal("QuoteFee", **asked | {"day": "8/8/2026"})[0] == "DATE_INVALID"
    _, _, fields = catalogue.refusal("QuoteFee")
    assert fields == ["procedure_code", "province", "channel"]


def test_an_overlay_counts_from_its_day_on(catalogue: Catalogue) -> None:
    overlay = d.FeeOverlay(province="56", procedure_code="1.001612", charge_code="registration")
    overlay.amount, overlay.valid_from, overlay.resolution = 50_000, day(7), "9/NQ-HĐND"
    reply = catalogue("AdoptFeeOverlay", overlay=overlay)
    asked = {"procedure_code": "1.001612", "province": "56", "channel": COUNTER, "min_position": reply.position}
    assert catalogue("QuoteFee", **asked, day=day(6)).total == 150_000
    assert catalogue("QuoteFee", **asked, day=day(7)).total == 50_000
    for on, amounts in ((day(6), [150_000]), (day(7), [50_000])):
        found = catalogue("ListFeeOverlays", province="56", procedure_code="1.001612", day=on).overlays
        assert [each.amount for each in found] == amounts
    overlay.procedure_code = "0.000000"
    assert catalogue.refusal("AdoptFeeOverlay", overlay=overlay)[0] == "PROCEDURE_UNKNOWN"


def at(month: int, date: int, hour: int = 9, minute: int = 0, year: int = 2026) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(datetime(year, month, date, hour, minute, tzinfo=ZONE))
    return stamp


@pytest.mark.parametrize(
    ("code", "agency", "received", "due", "provisional"),
    [
        ("1.001612", "P56.22.366", at(2, 13), at(2, 25, 17), False),
        ("2.000635", "P56.22.366", at(3, 2, 15), at(3, 2, 17), False),
        ("2.000635", "P56.22.366", at(3, 2, 15, 1), at(3, 3, 17), False),
        ("2.000635", "P56.22.366", at(11, 23, 16), at(11, 25, 17), False),
        ("2.000635", "P56.22.366.1", at(3, 6, 15, 1), at(3, 7, 11, 30), False),
    ],
)
def test_deadlines(
    catalogue: Catalogue, code: str, agency: str, received: Timestamp, due: Timestamp, provisional: bool
) -> None:
    found = catalogue("PreviewDeadline", procedure_code=code, channel=COUNTER, agency=agency, received_at=received)
    assert (found.due_at, found.provisional, found.calendar_version) == (due, provisional, 2)


def test_a_deadline_beyond_the_known_holidays_is_provisional(catalogue: Catalogue) -> None:
    asked = {"procedure_code": "1.001612", "channel": COUNTER, "agency": "P56.22.366"}
    found = catalogue("PreviewDeadline", **asked, received_at=at(12, 31, year=2027))
    assert (found.provisional, found.calendar_id) == (True, "general")
    assert catalogue.refusal("PreviewDeadline", **asked | {"agency": "P56.99"})[0] == "AGENCY_UNKNOWN"


def test_a_closed_agency_names_its_successor(catalogue: Catalogue) -> None:
    listed = everything(catalogue, "ListAgencies", "agencies", kind=d.AGENCY_KIND_POLICE, province="56")
    code = listed[-1].agency.code
    closing = {"code": code, "successor": "P56.22.366", "valid_until": day(1), "legal_basis": "1/NQ"}
    refused = catalogue.refusal("CloseAgency", **closing | {"successor": "P56.99"})
    assert refused[:2] == ("SUCCESSOR_UNKNOWN", {"successor": "P56.99"})
    reply = catalogue("CloseAgency", **closing)
    found = catalogue("GetAgency", code=code, min_position=reply.position)
    assert (found.agency.valid_until, found.agency.successor, found.revision) == (day(1), "P56.22.366", 1)
    asked = {"procedure_code": "1.001612", "channel": COUNTER, "agency": code}
    later = Timestamp()
    later.FromDatetime(datetime.now(UTC) + timedelta(days=3))
    assert catalogue.refusal("PreviewDeadline", **asked, received_at=later)[0] == "AGENCY_CLOSED"
    assert catalogue.refusal("CloseAgency", **closing)[0] == "AGENCY_CLOSED"


def test_an_agency_is_opened_once(catalogue: Catalogue) -> None:
    agency = catalogue("GetAgency", code="P56.22.366").agency.agency
    assert catalogue.refusal("OpenAgency", agency=agency)[0] == "AGENCY_EXISTS"
    agency.code, agency.calendar_id = "P56.77", "lunar"
    assert catalogue.refusal("OpenAgency", agency=agency)[:2] == ("CALENDAR_UNKNOWN", {"calendar_id": "lunar"})
    agency.calendar_id, agency.parent = "general", "P56.99"
    assert catalogue.refusal("OpenAgency", agency=agency)[:2] == ("AGENCY_UNKNOWN", {"code": "P56.99"})
    agency.parent = "P56"
    reply = catalogue("OpenAgency", agency=agency)
    assert catalogue("GetAgency", code="P56.77", min_position=reply.position).agency.agency == agency


def test_an_agency_has_another_name_from_its_day_on(catalogue: Catalogue) -> None:
    name = types.LocalizedText(
        vi="Trung tâm Phục vụ hành chính công phường Bắc Nha Trang", en="Service Centre, Bắc Nha Trang Ward"
    )
    before = catalogue("GetAgency", code="P56.22.333").agency.agency
    fields: dict[str, Any] = {"code": before.code, "legal_basis": "1/NQ-HĐND"}
    assert catalogue.refusal("ChangeAgency", **fields, calendar_id="police", valid_from=day(0))[0] == "CHANGES_THE_PAST"
    change = pb.ChangeAgencyRequest(request_id=str(uuid4()), **fields, name=name, valid_from=day(9))
    reply = catalogue.send("ChangeAgency", change)
    assert catalogue("GetAgency", code=before.code, min_position=reply.position).agency.agency == before
    again = catalogue("ChangeAgency", **fields, calendar_id="police", valid_from=day(9), replaces=True)
    gone = catalogue("WithdrawAgencyVersion", code=before.code, version=3, reason="Nhập sai")
    assert (reply.revision + 2, again.revision + 1) == (again.revision, gone.revision)
    refused = catalogue.refusal("WithdrawAgencyVersion", code=before.code, version=3, reason="Sai")
    assert refused[0] == "VERSION_UNKNOWN"


def test_a_charge_typed_wrong_is_replaced_or_withdrawn_before_its_first_day(catalogue: Catalogue) -> None:
    scope: dict[str, Any] = {"province": "40", "procedure_code": "1.001612", "charge_code": "registration"}
    scope["valid_from"] = day(30)
    catalogue("AdoptFeeOverlay", overlay=d.FeeOverlay(**scope, amount=2_000_000, resolution="9/NQ"))
    right = d.FeeOverlay(**scope, amount=20_000, resolution="9/NQ")
    assert catalogue.refusal("AdoptFeeOverlay", overlay=right)[0] == "VALIDITY_OVERLAPS"
    reply = catalogue("AdoptFeeOverlay", overlay=right, replaces=True)

    def amounts(on: str, position: str) -> list[int]:
        found = catalogue("ListFeeOverlays", province="40", day=on, min_position=position).overlays
        return [each.amount for each in found]

    assert (amounts(day(29), reply.position), amounts(day(30), reply.position)) == ([], [20_000])
    gone = catalogue("WithdrawFeeOverlay", **scope, reason="Nghị quyết chưa thông qua")
    assert amounts(day(30), gone.position) == []
    assert catalogue.refusal("WithdrawFeeOverlay", **scope, reason="Sai")[0] == "OVERLAY_UNKNOWN"


def test_communes_are_found_by_the_code_that_they_had(catalogue: Catalogue) -> None:
    (found,) = catalogue("ListCommunes", province="56", search="22408").communes
    assert (found.code, found.name.vi, list(found.earlier_codes)) == ("22411", "Phường Bắc Cam Ranh", ["22408"])
    named = [each.agency.code for each in catalogue("ListAgencies", commune="22408").agencies]
    assert named == [each.agency.code for each in catalogue("ListAgencies", commune="22411").agencies] != []


@pytest.mark.parametrize(
    ("search", "codes"),
    [
        *((search, ["05665"]) for search in ("Văn Lăng", "xã Văn Lăng", "Xã. VĂN-LĂNG", "va\u0306n la\u0306ng", "x. Văn Lăng")),
        *((search, ["02143", "05665"]) for search in ("van lang", "xa van lang", "Văn Lang", "VAN LANG commune")),
        *((search, ["05707"]) for search in ("Nam Hòa", "xã nam hoà", "\uff10\uff15\uff17\uff10\uff17", " 05707 ")),
    ],
)  # fmt: skip
def test_communes_are_found_however_they_are_written(catalogue: Catalogue, search: str, codes: list[str]) -> None:
    assert [unit.code for unit in catalogue("ListCommunes", province="19", search=search).communes] == codes


def test_a_code_that_is_another_s_now_leads_to_both(catalogue: Catalogue) -> None:
    found = catalogue("ListCommunes", province="01", search="00226").communes
    assert [(unit.code, unit.name.vi) for unit in found] == [
        ("00226", "Phường Văn Miếu - Quốc Tử Giám"),
        ("00229", "Phường Kim Liên"),
    ]


def test_a_calendar_changes_only_ahead(catalogue: Catalogue) -> None:
    calendar = catalogue("GetCalendar", calendar_id="police").calendar
    calendar.version = 3
    calendar.closed.append(day(50))
    reply = catalogue("PublishCalendar", calendar=calendar)
    newest = catalogue("GetCalendar", calendar_id="police", min_position=reply.position)
    assert (newest.calendar, newest.revision) == (calendar, 2)
    assert day(50) not in catalogue("GetCalendar", calendar_id="police", version=2).calendar.closed
    calendar.version = 4
    calendar.closed.append("2026-01-05")
    assert catalogue.refusal("PublishCalendar", calendar=calendar)[0] == "CHANGES_THE_PAST"
    assert catalogue.refusal("GetCalendar", calendar_id="lunar")[0] == "CALENDAR_UNKNOWN"


def test_a_merged_province_passes_to_its_successor(catalogue: Catalogue) -> None:
    merging = {"code": "96", "successor": "92", "valid_until": day(2), "legal_basis": "1/QH"}
    assert catalogue.refusal("MergeProvince", **merging | {"successor": "00"})[0] == "SUCCESSOR_UNKNOWN"
    reply = catalogue("MergeProvince", **merging)
    now = {each.unit.code: each for each in catalogue("ListProvinces", min_position=reply.position).provinces}
    assert (now["96"].successor, now["96"].valid_until, now["96"].commune_count) == ("92", day(2), 64)
    later = {each.unit.code for each in catalogue("ListProvinces", day=day(3)).provinces}
    assert set(now) - later == {"96"}
    assert catalogue("ListCommunes", province="96", page_size=1).communes
    assert catalogue.refusal("ListCommunes", province="96", day=day(3))[0] == "PROVINCE_MERGED"
    assert catalogue.refusal("ListCommunes", province="00")[0] == "PROVINCE_UNKNOWN"


def test_a_province_by_its_days(catalogue: Catalogue) -> None:
    for on, kind, version in (("2026-04-29", d.UNIT_KIND_PROVINCE, 1), ("2026-04-30", d.UNIT_KIND_CITY, 2)):
        found = {each.unit.code: each for each in catalogue("ListProvinces", day=on).provinces}
        assert (found["75"].unit.kind, found["75"].version, len(found)) == (kind, version, 34)
    assert not catalogue("ListProvinces", day="2025-06-30").provinces


def test_a_new_territory(catalogue: Catalogue) -> None:
    province = {each.unit.code: each for each in catalogue("ListProvinces").provinces}["92"]
    communes = everything(catalogue, "ListCommunes", "communes", province="92")
    territory = d.Territory(province=province.unit, communes=communes[1:], version=2, valid_from=day(5))
    assert catalogue.refusal("PublishTerritory", territory=territory)[0] == "LEGAL_BASIS_MISSING"
    territory.legal_basis = "2/NQ"
    reply = catalogue("PublishTerritory", territory=territory)
    after = everything(catalogue, "ListCommunes", "communes", province="92", day=day(5), min_position=reply.position)
    assert after == communes[1:]


@pytest.mark.parametrize("search", ["nha trang", "Nha Trang", "NHA TRANG WARD", "trang nha", "22366", "phuong nha tr"])
def test_communes_are_found(catalogue: Catalogue, search: str) -> None:
    found = catalogue("ListCommunes", province="56", search=search).communes
    assert "Phường Nha Trang" in [unit.name.vi for unit in found]
    assert len(found) < 10


@pytest.mark.parametrize("search", ["đăng ký khai tử", "ĐĂNG KÝ KHAI TỬ", "khai tử", "death registr", "1.000656"])
def test_procedures_are_found(catalogue: Catalogue, search: str) -> None:
    assert [each.code for each in catalogue("ListProcedures", search=search).procedures] == ["1.000656"]


def test_without_diacritics_more_is_found(catalogue: Catalogue) -> None:
    found = [each.code for each in catalogue("ListProcedures", search="dang ky khai tu").procedures]
    assert "1.000656" in found
    assert len(found) < 8


@pytest.mark.parametrize("search", ["Khánh Hòa", "Khánh Hoà", "khanh hoa"])
def test_a_tone_may_stand_on_either_vowel(search: str) -> None:
    assert matches(search, ["Tỉnh Khánh Hòa", "Khánh Hòa Province"], "56")
    assert not matches(search, ["Xã Khánh Hoa"], "1") or search == "khanh hoa"


def test_procedures_are_filtered(catalogue: Catalogue) -> None:
    whole = everything(catalogue, "ListProcedures", "procedures")
    for filter_, kept in (
        ({"sector": whole[0].sector.code}, lambda each: each.sector.code == whole[0].sector.code),
        ({"channel": ONLINE}, lambda each: ONLINE in each.channels),
        ({"level": d.LEVEL_PROVINCE}, lambda each: d.LEVEL_PROVINCE in {a.level for a in each.authorities}),
        ({"online_level": d.ONLINE_LEVEL_FULL}, lambda each: each.online_level == d.ONLINE_LEVEL_FULL),
    ):
        found = everything(catalogue, "ListProcedures", "procedures", **filter_)
        assert found == [each for each in whole if kept(each)]
        assert len(found) > 0


def everything(catalogue: Catalogue, name: str, items: str, **fields: Any) -> list[Any]:
    found, token = [], ""
    while True:
        reply = catalogue(name, page_size=7, page_token=token, **fields)
        assert len(getattr(reply, items)) <= 7
        found += getattr(reply, items)
        token = reply.next_page_token
        if not token:
            return found


def test_pages_cover_everything_once(catalogue: Catalogue) -> None:
    codes = [each.agency.code for each in everything(catalogue, "ListAgencies", "agencies", include_closed=True)]
    assert codes == sorted(set(codes))
    assert len([code for code in codes if code.startswith("P56")]) >= 19 + 2 * 65
    assert catalogue.refusal("ListAgencies", page_token="x")[0] == "INVALID_POSITION"
    one_stop = everything(catalogue, "ListAgencies", "agencies", one_stop_shop=True, province="56")
    assert all(each.agency.one_stop_shop for each in one_stop)
    page = catalogue("ListAgencies", page_size=1, one_stop_shop=True)
    assert catalogue.refusal("ListAgencies", page_token=page.next_page_token)[0] == "INVALID_POSITION"


def test_lists_are_narrowed(catalogue: Catalogue) -> None:
    whole = everything(catalogue, "ListAgencies", "agencies", province="56")
    of_communes = everything(catalogue, "ListAgencies", "agencies", province="56", level=d.LEVEL_COMMUNE)
    assert of_communes == [each for each in whole if each.agency.level == d.LEVEL_COMMUNE] != whole
    code = whole[-1].agency.code
    assert whole[-1] in everything(catalogue, "ListAgencies", "agencies", search=code)
    assert [each.unit.code for each in catalogue("ListProvinces", search="khanh hoa").provinces] == ["56"]
    assert [each.unit.code for each in catalogue("ListProvinces", search="56").provinces] == ["56"]
    overlays = everything(catalogue, "ListFeeOverlays", "overlays")
    online = everything(catalogue, "ListFeeOverlays", "overlays", channel=ONLINE)
    assert online == [each for each in overlays if not each.channels or ONLINE in each.channels] != []


def test_only_editors_publish(catalogue: Catalogue) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        CatalogueServiceStub(catalogue.channel).CloseAgency(pb.CloseAgencyRequest())
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_folder_that_is_published_already(catalogue: Catalogue) -> None:
    found = [entry for entry in remote.entries(DATA, ["31"]) if entry.name not in ("96 1", "92 1")]
    report = remote.load(catalogue.channel, catalogue.token, found)
    assert (report.published, report.refused) == ([], [])
    assert len(report.unchanged) == len(found)


FILE = """
agencies:
  - {code: P31.88, name: {vi: Sở Thử nghiệm, en: Department of Trials}, level: province, kind: department,
     province: "31", calendar_id: general, valid_from: 2026-01-01, parent: PARENT}
  - {code: P31.89, name: {vi: Phòng Thử nghiệm, en: Trials Office}, level: province, kind: department,
     province: "31", calendar_id: lunar, valid_from: 2026-01-01, parent: P31.88}
"""


def codes_of(catalogue: Catalogue) -> list[str]:
    return [each.agency.code for each in everything(catalogue, "ListAgencies", "agencies", province="31")]


def test_a_file_is_published_and_each_refusal_told(catalogue: Catalogue, tmp_path: Path) -> None:
    path = tmp_path / "agencies.yaml"
    path.write_text(FILE.replace("PARENT", catalogue("ListAgencies", province="31").agencies[0].agency.code))
    for published, unchanged in ((["P31.88"], []), ([], ["P31.88"])):
        report = remote.load(catalogue.channel, catalogue.token, remote.entries(path))
        assert [entry.name for entry in report.published] == published
        assert [entry.name for entry in report.unchanged] == unchanged
        ((entry, said),) = report.refused
        assert (entry.where, said.splitlines()[0]) == (
            "agencies.yaml:5",
            "Không có lịch làm việc lunar. Kiểm tra lại mã lịch.",
        )
        eventually(lambda: "P31.88" in codes_of(catalogue))


def test_seeding_twice_writes_once(tmp_path: Path) -> None:
    async def run() -> list[Report | None]:
        platform = await Platform.open(Settings(data=tmp_path))
        try:
            return [await seed(platform, provinces) for provinces in (("56",), ("56",), ("56", "92"))]
        finally:
            await platform.close()

    first, second, third = asyncio.run(run())
    assert first is not None
    assert (first.unchanged, first.refused, second) == (0, [], None)
    assert third is not None
    assert (third.published, third.unchanged, third.refused) == (19 + 2 * 103, first.published, [])


def test_a_long_search_is_refused_and_a_repeated_word_sought_once(catalogue: Catalogue) -> None:
    assert catalogue.refusal("ListProcedures", search="đ " * 101)[::2] == ("INVALID_REQUEST", ["search"])
    once = catalogue("ListProcedures", search="đăng").procedures
    assert once
    assert catalogue("ListProcedures", search="đăng " * 40).procedures == once
