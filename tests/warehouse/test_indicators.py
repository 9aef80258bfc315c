from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given as for_all
from hypothesis import strategies as st

from motcua.dossier.events.v1 import events_pb2 as dossier
from motcua.warehouse.v1 import warehouse_pb2
from services.warehouse.indicators import COUNTERS, Key, Rates, increments, key, overdue_open, rates, remembered


def stamp(at: datetime) -> Timestamp:
    stamped = Timestamp()
    stamped.FromDatetime(at)
    return stamped


MOMENT = datetime(2026, 3, 2, 2, tzinfo=UTC)
AT = stamp(MOMENT)
DAY = Key(date(2026, 3, 2), "56", "P56.22.336.1", "1.004222")
ATTACHED = dossier.Component(component_code="ct01", source=dossier.COMPONENT_SOURCE_ATTACHMENT)
REUSED = dossier.Component(component_code="housing", source=dossier.COMPONENT_SOURCE_WAREHOUSE)

SUBMITTED = dossier.DossierSubmitted(
    at=AT,
    procedure_code="1.004222",
    channel=dossier.CHANNEL_ONLINE,
    components=[ATTACHED, REUSED],
    competent_agency="P56.22.336.1",
    reception_agency="P56.22.336",
    province="56",
)
RECEIVED = dossier.DossierReceived(at=AT, agency="P56.22.336")
REFUSED = dossier.DossierRefused(at=AT)
REQUESTED = dossier.SupplementRequested(at=AT, component_codes=["ct01"])
SUPPLIED = dossier.SupplementSupplied(at=AT, components=[REUSED])
TRANSFERRED = dossier.DossierTransferred(at=AT, from_agency="P56.22.336.1", to_agency="P56.1")
LATE = dossier.DeadlinePassed(at=AT, agency="P56.1")
NOT_RECEIVED = dossier.ReceptionDeadlinePassed(at=AT, agency="P56.22.336")
EXTENDED = dossier.DeadlineExtended(at=AT)
ISSUED = dossier.ResultIssued(at=AT, on_time=True, agency="P56.1")
ISSUED_LATE = dossier.ResultIssued(at=AT, on_time=False, agency="P56.1")
RETURNED = dossier.ResultReturned(at=AT)
WITHDRAWN = dossier.ProcessingStopped(at=AT, cause=dossier.STOP_CAUSE_WITHDRAWN)
STOPPED = dossier.ProcessingStopped(at=AT, cause=dossier.STOP_CAUSE_NOT_SUPPLIED)
RATED = dossier.DossierRated(at=AT, score=4)


def counted(*events: Message) -> dict[Key, dict[str, int]]:
    """One dossier's events, folded as the view folds them."""
    row = None
    totals: dict[Key, Counter[str]] = {}
    for event in events:
        before, row = row, remembered(event, row)
        if current := before or row:
            totals.setdefault(key(event, current), Counter()).update(increments(event, current))
    return {where: {name: n for name, n in sums.items() if n} for where, sums in totals.items() if any(sums.values())}


def after_submission(*events: Message) -> dict[str, int]:
    """What the events add to a submitted dossier's day."""
    sums = Counter(counted(SUBMITTED, *events)[DAY])
    sums.subtract(counted(SUBMITTED)[DAY])
    return {name: n for name, n in sums.items() if n}


def test_a_submission_counts_with_its_channel_and_components() -> None:
    counts = {"submitted": 1, "submitted_online": 1, "components": 2, "reused_components": 1}
    assert counted(SUBMITTED) == {DAY: counts}


@pytest.mark.parametrize(
    ("channel", "counter"),
    [(dossier.CHANNEL_COUNTER, "submitted_counter"), (dossier.CHANNEL_POST, "submitted_post")],
)
def test_each_channel_has_its_counter(channel: dossier.Channel.ValueType, counter: str) -> None:
    assert counted(dossier.DossierSubmitted(at=AT, channel=channel)) == {
        Key(DAY.day, "", "", ""): {"submitted": 1, counter: 1}
    }


@pytest.mark.parametrize(
    ("events", "counts"),
    [
        ([RECEIVED], {"received": 1}),
        ([REFUSED], {"refused": 1}),
        ([REQUESTED, SUPPLIED], {"components": 1, "reused_components": 1}),
        ([ISSUED], {"settled": 1, "settled_on_time": 1}),
        ([ISSUED_LATE], {"settled": 1, "settled_overdue": 1}),
        ([REQUESTED, ISSUED], {"settled": 1, "settled_on_time": 1}),
        ([REQUESTED, REQUESTED, ISSUED], {"settled": 1, "settled_overdue": 1}),
        ([ISSUED, RETURNED], {"settled": 1, "settled_on_time": 1, "returned": 1}),
        ([WITHDRAWN], {"settled": 1, "settled_on_time": 1, "withdrawn": 1}),
        ([LATE, WITHDRAWN], {"settled": 1, "settled_overdue": 1, "withdrawn": 1, "overdue": 1, "overdue_ended": 1}),
        ([STOPPED], {"stopped": 1}),
        ([LATE], {"overdue": 1}),
        ([NOT_RECEIVED, RECEIVED], {"received": 1, "reception_late": 1}),
        ([LATE, EXTENDED, LATE], {"overdue": 1}),
        ([LATE, EXTENDED, ISSUED], {"settled": 1, "settled_overdue": 1, "overdue": 1, "overdue_ended": 1}),
        ([LATE, STOPPED], {"stopped": 1, "overdue": 1, "overdue_ended": 1}),
        ([RATED], {"ratings": 1, "satisfaction_sum": 4}),
        ([TRANSFERRED, EXTENDED], {}),
    ],
)
def test_each_fact_adds_to_its_counters(events: list[Message], counts: dict[str, int]) -> None:
    assert after_submission(*events) == counts


def test_a_day_begins_at_midnight_in_viet_nam() -> None:
    before, after = (
        dossier.DossierReceived(at=stamp(datetime(2026, 3, 2, h, m, tzinfo=UTC))) for h, m in ((16, 59), (17, 0))
    )
    row = remembered(SUBMITTED, None)
    assert row
    assert [key(event, row).day for event in (before, after)] == [date(2026, 3, 2), date(2026, 3, 3)]


def test_a_dossier_stays_with_the_agency_that_was_competent_at_its_submission() -> None:
    assert set(counted(SUBMITTED, TRANSFERRED, RECEIVED, ISSUED)) == {DAY}


def test_a_dossier_whose_submission_is_not_known_counts_nowhere() -> None:
    assert counted(RECEIVED, ISSUED) == {}


FACTS = st.sampled_from(
    [RECEIVED, REQUESTED, SUPPLIED, LATE, EXTENDED, ISSUED, ISSUED_LATE, RETURNED, STOPPED, WITHDRAWN, RATED]
)
AGENCIES = st.sampled_from(["P56", "P56.1", "P56.2", "H26"])


@st.composite
def transfers(draw: st.DrawFn) -> Message:
    at = stamp(MOMENT + timedelta(hours=draw(st.integers(0, 1000))))
    return dossier.DossierTransferred(at=at, from_agency=draw(AGENCIES), to_agency=draw(AGENCIES))


@for_all(st.lists(st.tuples(FACTS, st.lists(transfers(), max_size=4)), max_size=12))
def test_counters_never_depend_on_transfers(history: list[tuple[Message, list[Message]]]) -> None:
    moved = (each for fact, transferred in history for each in (*transferred, fact))
    assert counted(SUBMITTED, *moved) == counted(SUBMITTED, *(fact for fact, _ in history))


@for_all(st.lists(FACTS, max_size=12))
def test_counters_only_grow_and_add_up(history: list[Message]) -> None:
    sums = counted(SUBMITTED, *history)[DAY]
    assert set(sums) <= set(COUNTERS)
    assert min(sums.values()) > 0
    assert sums.get("settled", 0) == sums.get("settled_on_time", 0) + sums.get("settled_overdue", 0)
    assert sums.get("withdrawn", 0) <= sums.get("settled", 0)
    assert sums.get("reused_components", 0) <= sums["components"]
    assert sums.get("overdue", 0) <= 1


def test_the_counters_are_those_of_the_api() -> None:
    assert tuple(field.name for field in warehouse_pb2.Counters.DESCRIPTOR.fields) == COUNTERS


def summed(dossiers: Iterable[tuple[Message, ...]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for events in dossiers:
        for counts in counted(SUBMITTED, *events).values():
            total.update(counts)
    return total


def test_rates_of_a_period() -> None:
    period = summed([(ISSUED, RATED), (ISSUED,), (ISSUED_LATE,), (LATE,), (LATE, STOPPED), ()])
    assert overdue_open(period) == 1
    assert rates(period, period) == Rates(
        on_time_percent=Decimal("50.00"),  # 2 of 3 settled and 1 unfinished
        online_percent=Decimal("100.00"),
        reuse_percent=Decimal("50.00"),
        satisfaction=Decimal("4.00"),
        reception_on_time_percent=Decimal("100.00"),
    )


def test_online_dossiers_that_waited_too_long_for_their_reception() -> None:
    period = summed([(NOT_RECEIVED, RECEIVED, ISSUED), (RECEIVED, ISSUED), ()])
    assert period["reception_late"] == 1
    assert rates(period, period).reception_on_time_percent == Decimal("66.67")


def test_what_was_overdue_before_the_period_weighs_in_it() -> None:
    period = summed([(ISSUED,), (ISSUED,)])
    assert rates(period, period + summed([(LATE,)])).on_time_percent == Decimal("66.67")


def test_a_zero_denominator_is_not_applicable() -> None:
    assert rates({}, {}) == Rates(None, None, None, None, None)


def test_two_decimals_rounded_half_up() -> None:
    assert rates({"satisfaction_sum": 641, "ratings": 200}, {}).satisfaction == Decimal("3.21")
