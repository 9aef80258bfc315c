from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from services.catalogue.commands import (
    AdoptFeeOverlay,
    CloseAgency,
    MergeProvince,
    OpenAgency,
    PublishCalendar,
    PublishProcedure,
    PublishTerritory,
    WithdrawProcedure,
)
from services.catalogue.domain.agency import agencies
from services.catalogue.domain.calendar import calendars
from services.catalogue.domain.overlay import overlays
from services.catalogue.domain.procedure import procedures
from services.catalogue.domain.territory import territories
from services.catalogue.events import (
    AgencyClosed,
    AgencyOpened,
    CalendarPublished,
    FeeOverlayAdopted,
    ProcedurePublished,
    ProcedureWithdrawn,
    ProvinceMerged,
    TerritoryPublished,
)
from services.catalogue.values import TerritoryState, Version
from services.law.definitions import (
    Agency,
    AgencyKind,
    CalendarVersion,
    Channel,
    ChargeBasis,
    Fee,
    FeeCondition,
    FeeOverlay,
    Interval,
    Level,
    TerritorialUnit,
    Territory,
    UnitKind,
    Weekday,
)
from services.law.validity import Validity
from tests.catalogue.samples import CHARGE, PROCEDURE, text
from tests.support.given import given

# 10 August in Vietnam.
AT, BY = datetime(2026, 8, 9, 18, tzinfo=UTC), "editor-1"
EARLIER = datetime(2026, 1, 5, tzinfo=UTC)
CODE = PROCEDURE.code


# Procedures


def published(**changes: Any) -> ProcedurePublished:
    return ProcedurePublished(procedure=replace(PROCEDURE, **changes), at=EARLIER, by=BY)


def publish(*faults: str, **changes: Any) -> PublishProcedure:
    return PublishProcedure(procedure=replace(PROCEDURE, **changes), faults=faults, at=AT, by=BY)


def withdrawn(valid_until: str) -> ProcedureWithdrawn:
    return ProcedureWithdrawn(code=CODE, valid_until=valid_until, legal_basis="QĐ 1", at=EARLIER, by=BY)


def withdraw(valid_until: str = "2026-12-31", legal_basis: str = "QĐ 1") -> WithdrawProcedure:
    return WithdrawProcedure(code=CODE, valid_until=valid_until, legal_basis=legal_basis, at=AT, by=BY)


def test_the_first_version_may_be_law_already() -> None:
    given(procedures).when(publish()).then(ProcedurePublished(procedure=PROCEDURE, at=AT, by=BY))


@pytest.mark.parametrize("since", ["2026-08-11", "2027-01-01"])
def test_a_new_version_follows_an_open_ended_one_from_tomorrow(since: str) -> None:
    version = replace(PROCEDURE, version=2, valid_from=since)
    given(procedures, published()).when(publish(version=2, valid_from=since)).then(
        ProcedurePublished(procedure=version, at=AT, by=BY)
    )


def test_a_new_version_after_the_end_of_the_last() -> None:
    history = published(valid_until="2026-09-30")
    version = replace(PROCEDURE, version=2, valid_from="2026-10-01")
    given(procedures, history).when(publish(version=2, valid_from="2026-10-01")).then(
        ProcedurePublished(procedure=version, at=AT, by=BY)
    )


def test_a_withdrawn_procedure_may_come_back() -> None:
    version = replace(PROCEDURE, version=2, valid_from="2026-08-01")
    given(procedures, published(), withdrawn("2026-03-31")).when(publish(version=2, valid_from="2026-08-01")).then(
        ProcedurePublished(procedure=version, at=AT, by=BY)
    )


def test_a_faulty_definition_is_refused_with_every_fault() -> None:
    given(procedures).when(publish("FORM_MISSING", "LOA_MISSING")).then_rejected(
        "PROCEDURE_FAULTY", code=CODE, count="2", faults="FORM_MISSING, LOA_MISSING"
    )


@pytest.mark.parametrize("version", [1, 3])
def test_versions_rise_by_one(version: int) -> None:
    given(procedures, published()).when(publish(version=version, valid_from="2026-09-01")).then_rejected(
        "VERSION_NOT_NEXT", version=str(version), expected="2"
    )


def test_dates_are_iso() -> None:
    given(procedures).when(publish(valid_from="1/7/2025")).then_rejected("DATE_INVALID", value="1/7/2025")
    given(procedures).when(publish(valid_until="20261231")).then_rejected("DATE_INVALID", value="20261231")


def test_validity_runs_forward() -> None:
    given(procedures).when(publish(valid_until="2025-06-30")).then_rejected(
        "VALIDITY_BACKWARDS", valid_from="2025-07-01", valid_until="2025-06-30"
    )


@pytest.mark.parametrize("since", ["2026-08-10", "2025-07-02"])
def test_what_is_in_force_is_not_changed(since: str) -> None:
    eve = {"2026-08-10": "2026-08-09", "2025-07-02": "2025-07-01"}[since]
    given(procedures, published()).when(publish(version=2, valid_from=since)).then_rejected(
        "CHANGES_THE_PAST", day=eve, today="2026-08-10"
    )


@pytest.mark.parametrize(
    ("until", "since"), [("2026-09-30", "2026-09-30"), ("2026-09-30", "2025-01-01"), ("", "2025-07-01")]
)
def test_validities_do_not_overlap(until: str, since: str) -> None:
    given(procedures, published(valid_until=until)).when(publish(version=2, valid_from=since)).then_rejected(
        "VALIDITY_OVERLAPS", valid_from="2025-07-01", valid_until=until
    )


def test_a_version_to_come_is_not_overlapped_either() -> None:
    history = (published(), published(version=2, valid_from="2026-10-01"))
    given(procedures, *history).when(publish(version=3, valid_from="2026-09-01")).then_rejected(
        "VALIDITY_OVERLAPS", valid_from="2025-07-01", valid_until="2026-09-30"
    )


@pytest.mark.parametrize("until", ["2026-08-10", "2026-12-31"])
def test_a_procedure_is_withdrawn(until: str) -> None:
    given(procedures, published()).when(withdraw(until)).then(
        ProcedureWithdrawn(code=CODE, valid_until=until, legal_basis="QĐ 1", at=AT, by=BY)
    )


def test_withdrawal_drops_what_was_to_come() -> None:
    history = (published(), published(version=2, valid_from="2026-10-01"), withdrawn("2026-08-31"))
    version = replace(PROCEDURE, version=3, valid_from="2026-09-01")
    given(procedures, *history).when(publish(version=3, valid_from="2026-09-01")).then(
        ProcedurePublished(procedure=version, at=AT, by=BY)
    )


def test_withdrawal_is_refused() -> None:
    given(procedures).when(withdraw()).then_rejected("PROCEDURE_UNKNOWN", code=CODE)
    given(procedures, published()).when(withdraw("soon")).then_rejected("DATE_INVALID", value="soon")
    given(procedures, published()).when(withdraw(legal_basis="")).then_rejected("LEGAL_BASIS_MISSING")
    given(procedures, published()).when(withdraw("2026-08-09")).then_rejected(
        "CHANGES_THE_PAST", day="2026-08-09", today="2026-08-10"
    )
    given(procedures, published(), withdrawn("2026-09-30")).when(withdraw()).then_rejected(
        "PROCEDURE_WITHDRAWN", code=CODE, valid_until="2026-09-30"
    )


# Fee overlays

CHARGES = frozenset({"copy"})
ONLINE_FREE = FeeOverlay("31", "", "", (Channel.ONLINE,), 0, "2026-08-08", "", "23/2026/NQ-HĐND")


def adopted(**changes: Any) -> FeeOverlayAdopted:
    return FeeOverlayAdopted(overlay=replace(ONLINE_FREE, **changes), at=EARLIER, by=BY)


def adopt(province_known: bool = True, procedure_known: bool = True, **changes: Any) -> AdoptFeeOverlay:
    return AdoptFeeOverlay(
        overlay=replace(ONLINE_FREE, **changes),
        province_known=province_known,
        procedure_known=procedure_known,
        charges=CHARGES,
        at=AT,
        by=BY,
    )


def test_an_overlay_is_adopted() -> None:
    given(overlays).when(adopt()).then(FeeOverlayAdopted(overlay=ONLINE_FREE, at=AT, by=BY))


def test_a_later_overlay_ends_an_open_ended_one() -> None:
    later = replace(ONLINE_FREE, valid_from="2027-01-01", amount=5_000)
    given(overlays, adopted()).when(adopt(valid_from="2027-01-01", amount=5_000)).then(
        FeeOverlayAdopted(overlay=later, at=AT, by=BY)
    )


def test_overlays_of_other_charges_and_channels_stand_beside_it() -> None:
    for changes in ({"charge_code": "copy"}, {"channels": ()}, {"channels": (Channel.POST,)}):
        given(overlays, adopted()).when(adopt(**changes)).then(
            FeeOverlayAdopted(overlay=replace(ONLINE_FREE, **changes), at=AT, by=BY)
        )


def test_a_charge_that_the_council_does_not_set_is_refused() -> None:
    for procedure_code, code in (("1.001612", "1.001612"), ("", "-")):
        given(overlays).when(adopt(procedure_code=procedure_code, charge_code="registraton")).then_rejected(
            "CHARGE_UNKNOWN", code=code, charge="registraton"
        )
    council = replace(CHARGE, code="late", basis=ChargeBasis.COUNCIL, amount=0)
    set_by_council = replace(PROCEDURE, fee=Fee(FeeCondition.RECEPTION, (CHARGE, council)))
    known = procedures.fold(
        [ProcedurePublished(procedure=set_by_council, at=EARLIER, by=BY), published(version=2, valid_from="2026-10-01")]
    )
    assert known.council == {"late"}


def test_an_overlay_is_refused() -> None:
    given(overlays).when(adopt(province_known=False)).then_rejected("PROVINCE_UNKNOWN", province="31")
    given(overlays).when(adopt(procedure_known=False)).then_rejected("PROCEDURE_UNKNOWN", code="")
    for amount in (135, -1):
        given(overlays).when(adopt(amount=amount)).then_rejected("AMOUNT_INVALID", amount=str(amount))
    given(overlays).when(adopt(resolution="")).then_rejected("LEGAL_BASIS_MISSING")
    given(overlays).when(adopt(valid_from="")).then_rejected("DATE_INVALID", value="")
    given(overlays).when(adopt(valid_until="2026-08-07")).then_rejected(
        "VALIDITY_BACKWARDS", valid_from="2026-08-08", valid_until="2026-08-07"
    )
    given(overlays, adopted()).when(adopt(valid_from="2026-08-10")).then_rejected(
        "CHANGES_THE_PAST", day="2026-08-09", today="2026-08-10"
    )
    given(overlays, adopted(valid_until="2026-12-31")).when(adopt(valid_from="2026-12-31")).then_rejected(
        "VALIDITY_OVERLAPS", valid_from="2026-08-08", valid_until="2026-12-31"
    )
    given(overlays, adopted()).when(
        adopt(channels=(Channel.ONLINE, Channel.POST), valid_from="2027-01-01")
    ).then_rejected("VALIDITY_OVERLAPS", valid_from="2026-08-08", valid_until="")


# Agencies

AGENCY = Agency(
    "P56.22.366",
    text(),
    Level.COMMUNE,
    AgencyKind.PEOPLES_COMMITTEE,
    "56",
    "general",
    "2025-07-01",
    commune="22366",
    parent="P56",
)
OPENED = AgencyOpened(agency=AGENCY, at=EARLIER, by=BY)
THERE = TerritoryState(1, (Version(1, Validity("2025-07-01"), frozenset({"22366", "22333"})),))


def opening(
    calendar_known: bool = True, parent_known: bool = True, territory: TerritoryState | None = THERE, **changes: Any
) -> OpenAgency:
    return OpenAgency(
        agency=replace(AGENCY, **changes),
        calendar_known=calendar_known,
        parent_known=parent_known,
        at=AT,
        by=BY,
        territory=territory,
    )


def closing(**changes: Any) -> CloseAgency:
    return replace(
        CloseAgency(
            code=AGENCY.code,
            successor="P56.22.333",
            successor_open=True,
            valid_until="2026-12-31",
            legal_basis="NQ 1",
            at=AT,
            by=BY,
        ),
        **changes,
    )


def test_an_agency_opens_and_closes() -> None:
    given(agencies).when(opening()).then(AgencyOpened(agency=AGENCY, at=AT, by=BY))
    given(agencies, OPENED).when(closing()).then(
        AgencyClosed(
            code=AGENCY.code, successor="P56.22.333", valid_until="2026-12-31", legal_basis="NQ 1", at=AT, by=BY
        )
    )


def test_an_agency_without_parent() -> None:
    given(agencies).when(opening(parent="", parent_known=False)).then(
        AgencyOpened(agency=replace(AGENCY, parent=""), at=AT, by=BY)
    )


def test_opening_is_refused() -> None:
    given(agencies, OPENED).when(opening()).then_rejected("AGENCY_EXISTS", code=AGENCY.code)
    for code in ("P56.22366", "p56", "000.00.01", "P56.1.1.1.1.1", "P५6"):
        given(agencies).when(opening(code=code)).then_rejected("AGENCY_CODE_INVALID", code=code)
    given(agencies).when(opening(valid_from="today")).then_rejected("DATE_INVALID", value="today")
    given(agencies).when(opening(calendar_known=False)).then_rejected("CALENDAR_UNKNOWN", calendar_id="general")
    given(agencies).when(opening(parent_known=False)).then_rejected("AGENCY_UNKNOWN", code="P56")
    under = replace(opening(parent="P79"), parent_province="79")
    given(agencies).when(under).then_rejected("PARENT_ELSEWHERE", parent="P79", province="56")


@pytest.mark.parametrize(
    ("province", "merged_into", "refused"),
    [("56", "", False), ("", "", False), ("79", "", True), ("66", "66", False), ("79", "66", True)],
)
def test_open_dossiers_pass_to_an_agency_of_the_same_province(province: str, merged_into: str, refused: bool) -> None:
    told = given(agencies, OPENED).when(closing(successor_province=province, merged_into=merged_into))
    if refused:
        told.then_rejected("SUCCESSOR_ELSEWHERE", successor="P56.22.333", province=province)
    else:
        told.then(
            AgencyClosed(
                code=AGENCY.code, successor="P56.22.333", valid_until="2026-12-31", legal_basis="NQ 1", at=AT, by=BY
            )
        )


def test_an_agency_lies_where_there_is_a_place() -> None:
    def refused(reason: str, facts: dict[str, str], **changes: Any) -> None:
        given(agencies).when(opening(**changes)).then_rejected(reason, **facts)

    merged = replace(THERE, merged_until="2025-06-30")
    for nowhere in (None, TerritoryState(), merged):
        refused("PROVINCE_UNKNOWN", {"province": "56"}, territory=nowhere)
    refused("COMMUNE_UNKNOWN", {"commune": "99999", "province": "56"}, commune="99999")
    ended = TerritoryState(
        2,
        (
            Version(1, Validity("2025-01-01"), frozenset({"22366"})),
            Version(2, Validity("2025-07-01"), frozenset({"22333"})),
        ),
    )
    refused("COMMUNE_UNKNOWN", {"commune": "22366", "province": "56"}, territory=ended)
    refused("AGENCY_ELSEWHERE", {"code": AGENCY.code, "province": "79"}, province="79")
    refused("AGENCY_PLACE_MISSING", {"level": "COMMUNE"}, commune="")
    refused("AGENCY_PLACE_MISSING", {"level": "PROVINCE"}, province="", commune="", level=Level.PROVINCE)
    refused("PROVINCE_UNKNOWN", {"province": ""}, province="", level=Level.CENTRAL, territory=None)
    of_the_nation: dict[str, Any] = {
        "code": "G09",
        "province": "",
        "commune": "",
        "level": Level.CENTRAL,
        "territory": None,
    }
    assert agencies.decide(opening(**of_the_nation), agencies.initial)


def test_the_territory_knows_the_communes_of_each_version() -> None:
    state = territories.fold([PUBLISHED])
    codes = frozenset(commune.code for commune in TERRITORY.communes)
    assert (state.has("2026-01-01"), state.communes_since("2026-01-01")) == (True, codes)
    fewer = replace(TERRITORY, version=2, valid_from="2027-01-01", communes=TERRITORY.communes[:1])
    after = territories.fold([PUBLISHED, TerritoryPublished(territory=fewer, at=EARLIER, by=BY)])
    assert after.communes_since("2026-12-31") == codes
    assert after.communes_since("2027-01-01") == frozenset({TERRITORY.communes[0].code})


def test_a_code_is_never_used_again() -> None:
    closed = AgencyClosed(
        code=AGENCY.code, successor="P56.22.333", valid_until="2026-03-31", legal_basis="NQ 1", at=EARLIER, by=BY
    )
    given(agencies, OPENED, closed).when(opening()).then_rejected("AGENCY_EXISTS", code=AGENCY.code)


def test_closing_is_refused() -> None:
    code = AGENCY.code
    given(agencies).when(closing()).then_rejected("AGENCY_UNKNOWN", code=code)
    given(
        agencies,
        OPENED,
        AgencyClosed(
            code=code, successor="P56.22.333", valid_until="2026-12-31", legal_basis="NQ 1", at=EARLIER, by=BY
        ),
    ).when(closing()).then_rejected("AGENCY_CLOSED", code=code, valid_until="2026-12-31")
    given(agencies, OPENED).when(closing(successor=code)).then_rejected("SUCCESSOR_IS_ITSELF", code=code)
    given(agencies, OPENED).when(closing(successor_open=False)).then_rejected(
        "SUCCESSOR_UNKNOWN", successor="P56.22.333"
    )
    given(agencies, OPENED).when(closing(valid_until="")).then_rejected("DATE_INVALID", value="")
    given(agencies, OPENED).when(closing(legal_basis="")).then_rejected("LEGAL_BASIS_MISSING")
    given(agencies, OPENED).when(closing(valid_until="2026-08-09")).then_rejected(
        "CHANGES_THE_PAST", day="2026-08-09", today="2026-08-10"
    )
    given(agencies, AgencyOpened(agency=replace(AGENCY, valid_from="2027-01-01"), at=EARLIER, by=BY)).when(
        closing()
    ).then_rejected("VALIDITY_BACKWARDS", valid_from="2027-01-01", valid_until="2026-12-31")


# Calendars

FULL = Weekday((Interval("07:30", "11:30"), Interval("13:00", "17:00")))
CALENDAR = CalendarVersion(
    calendar_id="general",
    version=1,
    name=text(),
    zone="Asia/Ho_Chi_Minh",
    known_until="2026-12-31",
    week=(FULL,) * 5 + (Weekday(),) * 2,
    closed=("2026-01-01", "2026-11-24"),
    worked=("2026-01-10", "2026-08-22"),
    legal_basis=("45/2019/QH14",),
)


def calendar(**changes: Any) -> PublishCalendar:
    return PublishCalendar(calendar=replace(CALENDAR, **changes), at=AT, by=BY)


def test_a_calendar_is_published_and_its_future_amended() -> None:
    given(calendars).when(calendar()).then(CalendarPublished(calendar=CALENDAR, at=AT, by=BY))
    amended = replace(CALENDAR, version=2, closed=("2026-01-01", "2026-11-24", "2026-12-24"))
    given(calendars, CalendarPublished(calendar=CALENDAR, at=EARLIER, by=BY)).when(
        calendar(version=2, closed=amended.closed)
    ).then(CalendarPublished(calendar=amended, at=AT, by=BY))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"week": (FULL,)}, "a week has 7 days, Monday first, and not 1"),
        ({"week": (Weekday(),) * 7}, "office hours: seven weekdays, at least one of them worked"),
        ({"worked": ("2026-01-01",)}, "closed and worked at once: 2026-01-01"),
        (
            {"week": (Weekday((Interval("07:30", "11:30+07:00"),)),) * 7},
            "hours are local times, not '11:30+07:00'",
        ),
        ({"zone": "Asia/Nha_Trang"}, "'No time zone found with key Asia/Nha_Trang'"),
        ({"closed": ("Tết",)}, "Invalid isoformat string: 'Tết'"),
    ],
)
def test_a_faulty_calendar_is_refused(changes: dict[str, Any], why: str) -> None:
    given(calendars).when(calendar(**changes)).then_rejected("CALENDAR_FAULTY", why=why)


def test_an_unknown_zone_is_refused() -> None:
    rejected = given(calendars).when(calendar(zone="Asia/Atlantis")).rejected
    assert rejected is not None
    assert rejected.reason == "CALENDAR_FAULTY"


def test_a_calendar_is_refused() -> None:
    given(calendars).when(calendar(version=2)).then_rejected("VERSION_NOT_NEXT", version="2", expected="1")
    given(calendars).when(calendar(known_until="")).then_rejected("DATE_INVALID", value="")
    given(calendars).when(calendar(closed=("20261124",))).then_rejected("DATE_INVALID", value="20261124")
    history = CalendarPublished(calendar=CALENDAR, at=EARLIER, by=BY)
    for changes in ({"closed": ("2026-11-24",)}, {"closed": ("2026-01-01", "2026-01-02", "2026-11-24")}):
        day = {1: "2026-01-01", 3: "2026-01-02"}[len(changes["closed"])]
        given(calendars, history).when(calendar(version=2, **changes)).then_rejected(
            "CHANGES_THE_PAST", day=day, today="2026-08-10"
        )


# Territory

TERRITORY = Territory(
    TerritorialUnit("56", UnitKind.PROVINCE, text("Tỉnh Khánh Hòa", "Khánh Hòa Province"), ("58 Ninh Thuận",)),
    (TerritorialUnit("22366", UnitKind.WARD, text("Phường Nha Trang", "Nha Trang Ward")),),
    1,
    "2025-07-01",
    "202/2025/QH15",
)
PUBLISHED = TerritoryPublished(territory=TERRITORY, at=EARLIER, by=BY)
MERGED = ProvinceMerged(code="56", successor="66", valid_until="2026-12-31", legal_basis="NQ 2", at=EARLIER, by=BY)


def territory(**changes: Any) -> PublishTerritory:
    return PublishTerritory(territory=replace(TERRITORY, **changes), at=AT, by=BY)


def merging(**changes: Any) -> MergeProvince:
    return replace(
        MergeProvince(
            code="56", successor="66", successor_known=True, valid_until="2026-12-31", legal_basis="NQ 2", at=AT, by=BY
        ),
        **changes,
    )


def test_territory_is_published_and_changed_from_a_day_on() -> None:
    given(territories).when(territory()).then(TerritoryPublished(territory=TERRITORY, at=AT, by=BY))
    later = replace(TERRITORY, version=2, valid_from="2027-01-01")
    given(territories, PUBLISHED).when(territory(version=2, valid_from="2027-01-01")).then(
        TerritoryPublished(territory=later, at=AT, by=BY)
    )


def test_a_province_is_merged() -> None:
    given(territories, PUBLISHED).when(merging()).then(
        ProvinceMerged(code="56", successor="66", valid_until="2026-12-31", legal_basis="NQ 2", at=AT, by=BY)
    )


WARD = TERRITORY.communes[0]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"province": replace(TERRITORY.province, code="5")}, "5 PROVINCE"),
        ({"province": replace(TERRITORY.province, kind=UnitKind.WARD)}, "56 WARD"),
        ({"communes": (WARD, WARD)}, "twice: 22366"),
        ({"communes": (replace(WARD, code="223"),)}, "223 WARD"),
        ({"communes": (replace(WARD, kind=UnitKind.CITY),)}, "22366 CITY"),
        ({"communes": ()}, "0 communes"),
    ],
)
def test_a_faulty_territory_is_refused(changes: dict[str, Any], why: str) -> None:
    given(territories).when(territory(**changes)).then_rejected("TERRITORY_FAULTY", why=why)


def test_territory_is_refused() -> None:
    given(territories, PUBLISHED).when(territory()).then_rejected("VERSION_NOT_NEXT", version="1", expected="2")
    given(territories).when(territory(legal_basis="")).then_rejected("LEGAL_BASIS_MISSING")
    given(territories).when(territory(valid_from="")).then_rejected("DATE_INVALID", value="")
    given(territories, PUBLISHED).when(territory(version=2, valid_from="2026-01-01")).then_rejected(
        "CHANGES_THE_PAST", day="2025-12-31", today="2026-08-10"
    )
    given(territories, PUBLISHED).when(territory(version=2, valid_from="2025-07-01")).then_rejected(
        "VALIDITY_OVERLAPS", valid_from="2025-07-01", valid_until=""
    )
    given(territories, PUBLISHED, MERGED).when(territory(version=2, valid_from="2027-01-01")).then_rejected(
        "PROVINCE_MERGED", province="56", valid_until="2026-12-31"
    )


def test_a_merger_is_refused() -> None:
    given(territories).when(merging()).then_rejected("PROVINCE_UNKNOWN", province="56")
    given(territories, PUBLISHED, MERGED).when(merging()).then_rejected(
        "PROVINCE_MERGED", province="56", valid_until="2026-12-31"
    )
    given(territories, PUBLISHED).when(merging(successor="56")).then_rejected("SUCCESSOR_IS_ITSELF", code="56")
    given(territories, PUBLISHED).when(merging(successor_known=False)).then_rejected(
        "SUCCESSOR_UNKNOWN", successor="66"
    )
    given(territories, PUBLISHED).when(merging(valid_until="2026")).then_rejected("DATE_INVALID", value="2026")
    given(territories, PUBLISHED).when(merging(legal_basis="")).then_rejected("LEGAL_BASIS_MISSING")
    given(territories, PUBLISHED).when(merging(valid_until="2026-08-09")).then_rejected(
        "CHANGES_THE_PAST", day="2026-08-09", today="2026-08-10"
    )
