from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from services.chassis.decider import Rejected
from services.law.cases import NO_ELIGIBILITY, Eligibility, case_of
from services.law.definitions import Channel, Exemption, Fee, FeeCondition, FeeOverlay, Procedure
from services.law.fees import Case, QuotedItem, quote
from tests.catalogue.samples import CHARGE, PROCEDURE, catalogue, text

COUNTER, ONLINE, POST = Channel.COUNTER, Channel.ONLINE, Channel.POST
HOUSEHOLD_BUSINESS, CERTIFIED_COPY, PASSPORT = "1.001612", "2.000815", "1.001456"


def procedure(code: str) -> Procedure:
    return next(each for each in catalogue().procedures if each.code == code)


def case(province: str = "31", channel: Channel = COUNTER, day: str = "2026-08-08", **counts: int) -> Case:
    return Case(province, channel, day, counts)


def total(code: str, case: Case) -> int:
    return sum(item.amount for item in quote(procedure(code), catalogue().overlays, case))


@pytest.mark.parametrize(
    ("channel", "day", "amount", "resolution"),
    [
        (ONLINE, "2026-08-07", 150_000, "Chưa rõ số nghị quyết"),
        (ONLINE, "2026-08-08", 0, "23/2026/NQ-HĐND"),
        (COUNTER, "2026-08-08", 150_000, "Chưa rõ số nghị quyết"),
    ],
)
def test_hai_phong_charges_nothing_online_for_what_is_submitted_from_8_august(
    channel: Channel, day: str, amount: int, resolution: str
) -> None:
    definition = procedure(HOUSEHOLD_BUSINESS)
    assert definition.fee is not None
    name = definition.fee.charges[0].name
    items = quote(definition, catalogue().overlays, case(channel=channel, day=day))
    assert items == (QuotedItem("registration", name, amount, resolution),)


@pytest.mark.parametrize(
    ("counts", "amount"),
    [
        ({"page": 1, "copy": 1}, 2_000),
        ({"page": 2, "copy": 1}, 4_000),
        ({"page": 3, "copy": 1}, 5_000),
        ({"page": 12, "copy": 2}, 28_000),
        ({"page": 198, "copy": 1}, 200_000),
        ({"page": 500, "copy": 3}, 600_000),
    ],
)
def test_a_certified_copy_costs_by_the_page_up_to_a_limit(counts: Mapping[str, int], amount: int) -> None:
    assert total(CERTIFIED_COPY, replace(case(), counts=counts)) == amount


def test_a_lost_passport_costs_twice_as_much() -> None:
    assert total(PASSPORT, case()) == 160_000
    assert total(PASSPORT, replace(case(), circumstances=("lost",))) == 320_000


def test_residence_costs_less_online() -> None:
    assert total("1.004222", case(channel=COUNTER)) == 20_000
    assert total("1.004222", case(channel=ONLINE)) == 10_000


def test_the_greatest_exemption_counts() -> None:
    assert total("3.000333", replace(case(), exemptions=("student",))) == 100_000
    assert total("3.000333", replace(case(), exemptions=("student", "poor"))) == 0


DIGITAL = ("1.004222", "1.004194", "2.000986", "2.000635", "1.014063", "1.014064", "1.001456", "3.000333", "1.013080")
ADULT = {"birth_date": "1990-02-14", "child_birth_date": "2005-01-01", "copies": 2}


def owed(code: str, day: str, answers: Mapping[str, Any], eligibility: Eligibility = NO_ELIGIBILITY) -> int:
    return total(code, case_of(procedure(code), "56", COUNTER, day, answers, eligibility))


@pytest.mark.parametrize("code", DIGITAL)
def test_holders_of_a_level_2_account_owe_nothing_from_15_august_2026_to_28_february_2027(code: str) -> None:
    citizen = Eligibility(account_level=2)
    full = owed(code, "2026-08-14", ADULT)
    assert full > 0
    days = {"2026-08-14": full, "2026-08-15": 0, "2027-02-28": 0, "2027-03-01": full}
    assert {day: owed(code, day, ADULT, citizen) for day in days} == days
    assert [owed(code, day, ADULT, Eligibility(account_level=1)) for day in days] == [full] * 4
    assert [owed(code, day, ADULT) for day in days] == [full] * 4


def test_no_other_procedure_of_the_sample_knows_that_waiver() -> None:
    found = {
        each.code
        for each in catalogue().procedures
        if each.fee and "digital-citizen" in {x.code for x in each.fee.exemptions}
    }
    assert found == set(DIGITAL)


@pytest.mark.parametrize(
    ("born", "amount"),
    [
        ("2026-01-01", 0),
        ("2010-03-03", 0),
        ("2010-03-02", 20_000),
        # Only the year, or the month, is known: it has to be so on every day.
        ("2010", 20_000),
        ("2011", 0),
        ("2010-03", 20_000),
        ("2010-04", 0),
        ("1966-03-02", 0),
        ("1966-03-03", 20_000),
        ("1966", 20_000),
        ("1965", 0),
        ("2026-03-03", 20_000),
        ("2027", 20_000),
        ("14/02/2020", 20_000),
        (2020, 20_000),
        (None, 20_000),
    ],
)
def test_a_child_and_an_elderly_person_are_exempt_by_their_birth_date(born: Any, amount: int) -> None:
    assert owed("1.004222", "2026-03-02", {"birth_date": born}) == amount


def test_a_child_under_six_owes_nothing_for_the_interlinked_procedure() -> None:
    for channel, full in ((COUNTER, 20_000), (ONLINE, 10_000)):
        for born, left in (("2026-02-20", 0), ("1990-01-01", full)):
            asked = case_of(procedure("2.000986"), "56", channel, "2026-03-02", {"child_birth_date": born})
            assert total("2.000986", asked) == left


def test_a_document_in_the_warehouse_or_an_answer_of_the_form_proves_an_exemption() -> None:
    assert owed("1.004222", "2026-03-02", ADULT, Eligibility(document_kinds=("disability-certificate",))) == 0
    assert owed("1.004222", "2026-03-02", ADULT, Eligibility(document_kinds=("driving-licence",))) == 20_000
    for relation, amount in (("none", 400_000), ("step-parent", 0), ("aunt-uncle", 0)):
        assert owed("2.001263", "2026-03-02", {"relation": relation}) == amount


def test_each_charge_gets_the_highest_single_benefit() -> None:
    charges = tuple(replace(CHARGE, code=code, amount=20_000, per="") for code in ("a", "b"))
    exemptions = (
        Exemption("half", text(), 50, "Luật"),
        Exemption("third", text(), 30, "Luật", charge_codes=("a",)),
        Exemption("all-of-b", text(), 100, "Luật", charge_codes=("b",), maximum=15_000),
    )
    definition = replace(PROCEDURE, fee=Fee(FeeCondition.RECEPTION, charges, exemptions))

    def left(*codes: str) -> list[tuple[int, int, str]]:
        asked = Case("56", COUNTER, "2026-03-02", {"page": 1, "copy": 1}, (), codes)
        return [(item.amount, item.waived, item.exemption_code) for item in quote(definition, (), asked)]

    assert left() == [(20_000, 0, ""), (20_000, 0, "")]
    assert left("third", "all-of-b") == [(14_000, 6_000, "third"), (5_000, 15_000, "all-of-b")]
    assert left("half", "third", "all-of-b") == [(10_000, 10_000, "half"), (5_000, 15_000, "all-of-b")]


def test_free_is_no_item() -> None:
    assert quote(procedure("1.001193"), (), case()) == ()
    assert quote(procedure("1.000656"), (), case()) == ()


def test_of_one_day_the_more_specific_overlay_prevails() -> None:
    general = FeeOverlay("31", "", "", (), 10_000, "2026-01-01", "", "general")
    specific = replace(general, procedure_code=HOUSEHOLD_BUSINESS, amount=20_000, resolution="specific")
    elsewhere = replace(general, province="56", amount=1_000)
    ended = replace(general, valid_from="2026-02-01", valid_until="2026-03-01", amount=5_000)
    for overlays in ((general, specific, elsewhere, ended), (ended, elsewhere, specific, general)):
        (item,) = quote(procedure(HOUSEHOLD_BUSINESS), overlays, case())
        assert (item.amount, item.resolution) == (20_000, "specific")


@pytest.mark.parametrize(
    ("code", "asked", "reason", "facts"),
    [
        (HOUSEHOLD_BUSINESS, case(province="01"), "FEE_NOT_SET", {"code": HOUSEHOLD_BUSINESS, "province": "01"}),
        (CERTIFIED_COPY, case(channel=POST), "CHANNEL_NOT_OFFERED", {"code": CERTIFIED_COPY, "channel": "POST"}),
        (CERTIFIED_COPY, case(page=3), "COUNT_MISSING", {"unit": "copy"}),
        (CERTIFIED_COPY, case(copy=1), "COUNT_MISSING", {"unit": "page"}),
        (
            PASSPORT,
            replace(case(), circumstances=("stolen",)),
            "CIRCUMSTANCE_UNKNOWN",
            {"code": PASSPORT, "circumstance": "stolen"},
        ),
        (PASSPORT, replace(case(), exemptions=("vip",)), "EXEMPTION_UNKNOWN", {"code": PASSPORT, "exemption": "vip"}),
    ],
)
def test_a_quote_is_refused(code: str, asked: Case, reason: str, facts: dict[str, str]) -> None:
    with pytest.raises(Rejected) as rejected:
        quote(procedure(code), catalogue().overlays, asked)
    assert (rejected.value.reason, rejected.value.facts) == (reason, facts)


def test_a_definition_without_fee_is_refused() -> None:
    with pytest.raises(Rejected, match="FEE_NOT_SET"):
        quote(replace(PROCEDURE, fee=None), (), case())
