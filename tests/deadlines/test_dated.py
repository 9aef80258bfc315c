"""What the law says from a day on: each rule on both sides of its day."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from services.law.dated import counts_from, forward_by, holds, owner, reply_term, site_terms
from services.law.deadlines import Term, Unit
from tests.deadlines.test_deadlines import OFFICE, POLICE

ZONE = ZoneInfo("Asia/Ho_Chi_Minh")
ONE_DAY, EIGHT_HOURS = Term(1, Unit.WORKING_DAYS), Term(8, Unit.HOURS)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


@pytest.mark.parametrize(
    ("rule", "since"),
    [
        ("competent_clock", "2026-08-05"),
        ("nationwide", "2026-08-05"),
        ("one_notice", "2026-08-05"),
        ("forwarding", "2026-08-05"),
        ("full_notices", "2026-07-01"),
        ("full_online", "2026-07-01"),
        ("place_codes", "2026-09-01"),
        ("reply", "2025-07-01"),
    ],
)
def test_a_rule_holds_from_its_first_day_in_vietnam(rule: str, since: str) -> None:
    first = at(since)
    eve = datetime.fromtimestamp(first.timestamp() - 1, ZONE)
    assert (holds(rule, eve), holds(rule, first)) == (False, True)


@pytest.mark.parametrize(
    ("rule", "after"), [("forms_owner", "Bộ Tư pháp"), ("code_rule_owner", "Bộ Công an"), ("index_owner", "Bộ Tư pháp")]
)
def test_forms_codes_and_index_have_another_owner_since_5_august_2026(rule: str, after: str) -> None:
    days = ("2025-06-30", "2025-07-01", "2026-08-04T23:59", "2026-08-05")
    assert [owner(rule, at(day)) for day in days] == ["", "Văn phòng Chính phủ", "Văn phòng Chính phủ", after]


@pytest.mark.parametrize(
    ("moment", "decided", "term"),
    [
        ("2025-06-30T23:59", "", None),
        ("2025-07-01T00:00", "", ONE_DAY),
        ("2026-09-30T23:59", "2026-10-01:8h", ONE_DAY),
        ("2026-10-01T00:00", "2026-10-01:8h", EIGHT_HOURS),
        ("2026-12-31T23:59", "2027-01-01:1d,2026-10-01:8h", EIGHT_HOURS),
        ("2027-01-01T00:00", "2027-01-01:1d, 2026-10-01:8h", ONE_DAY),
    ],
)
def test_an_online_dossier_is_to_be_received_in_the_province_s_time_or_the_nation_s(
    moment: str, decided: str, term: Term | None
) -> None:
    assert reply_term(at(moment), site_terms(decided)) == term


@pytest.mark.parametrize("text", ["8h", "2026-10-01:8", "2026-10-01:0h", "2026-13-01:8h", "2026-10-01 8h", "x"])
def test_what_is_no_time_of_a_province_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|month"):
        site_terms(text)


@pytest.mark.parametrize(
    ("received", "at_counter", "latest", "counted_from"),
    [
        ("2026-08-04T16:00", True, None, "2026-08-04T16:00"),
        ("2026-08-05T09:00", True, "2026-08-05T17:00", "2026-08-05T09:00"),
        ("2026-08-05T15:00", True, "2026-08-05T17:00", "2026-08-05T15:00"),
        ("2026-08-05T15:01", True, "2026-08-06T07:30", "2026-08-06T07:30"),
        ("2026-08-05T15:01", False, "2026-08-05T17:00", "2026-08-05T15:01"),
        ("2026-08-05T18:00", False, "2026-08-06T07:30", "2026-08-06T07:30"),
        ("2026-08-07T15:01", True, "2026-08-10T07:30", "2026-08-10T07:30"),
        ("2026-08-28T15:01", True, "2026-09-03T07:30", "2026-09-03T07:30"),
    ],
)
def test_what_is_received_after_three_at_the_counter_is_passed_on_when_the_next_working_day_begins(
    received: str, at_counter: bool, latest: str | None, counted_from: str
) -> None:
    assert forward_by(OFFICE, at(received), at_counter) == (at(latest) if latest else None)
    assert counts_from(OFFICE, at(received), at_counter) == at(counted_from)


def test_a_short_day_ends_before_three() -> None:
    assert forward_by(POLICE, at("2026-08-08T11:00"), True) == at("2026-08-08T11:30")
    assert forward_by(POLICE, at("2026-08-08T12:00"), True) == at("2026-08-10T07:30")


def test_a_worked_saturday_is_a_day_like_others() -> None:
    assert forward_by(OFFICE, at("2026-08-21T16:00"), True) == at("2026-08-22T07:30")
    assert date(2026, 8, 22).weekday() == 5
