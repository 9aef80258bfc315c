from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from services.chassis.decider import Rejected
from services.chassis.law.definitions import Channel, FeeOverlay, Procedure
from services.chassis.law.fees import Case, QuotedItem, quote
from tests.catalogue.samples import PROCEDURE, catalogue

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
