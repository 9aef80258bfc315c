"""The indicators: what each fact of a dossier adds to the counters of a day, province, agency and procedure.

Every counter only grows, and a dossier belongs for good to the agency that was competent when it was submitted: however
often it is transferred, it counts once, and where it counts does not change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from google.protobuf.message import Message

from motcua.dossier.events.v1 import events_pb2 as dossier
from services.law.days import local_date

# Fields of motcua.warehouse.v1.Counters, and columns of the view.
COUNTERS = (
    "submitted",
    "submitted_counter",
    "submitted_online",
    "submitted_post",
    "received",
    "refused",
    "settled",
    "settled_on_time",
    "settled_overdue",
    "withdrawn",
    "stopped",
    "returned",
    "overdue",
    "overdue_ended",
    "components",
    "reused_components",
    "ratings",
    "satisfaction_sum",
    "reception_late",
)
Counts = Mapping[str, int]

_BY_CHANNEL = {
    dossier.CHANNEL_COUNTER: "submitted_counter",
    dossier.CHANNEL_ONLINE: "submitted_online",
    dossier.CHANNEL_POST: "submitted_post",
}


class Key(NamedTuple):
    day: date
    province: str
    agency: str
    procedure_code: str


@dataclass(frozen=True, slots=True)
class DossierRow:
    """What is remembered of a dossier between its facts."""

    code: str
    province: str
    agency: str
    procedure_code: str
    # Supplements that were asked for.
    supplements: int = 0
    # It passed a due date.
    overdue: bool = False


def remembered(event: Message, row: DossierRow | None) -> DossierRow | None:
    """The row after the event; None for a dossier whose submission is not known."""
    match event:
        case dossier.DossierSubmitted():
            return DossierRow(event.code, event.province, event.competent_agency, event.procedure_code)
        case dossier.SupplementRequested() if row:
            return replace(row, supplements=row.supplements + 1)
        case dossier.DeadlinePassed() if row:
            return replace(row, overdue=True)
        case _:
            return row


def key(event: Message, row: DossierRow) -> Key:
    day = local_date(event.at.ToDatetime(tzinfo=UTC))  # type: ignore[attr-defined]  # every event has `at`
    return Key(day, row.province, row.agency, row.procedure_code)


def increments(event: Message, row: DossierRow) -> Counts:
    """What the event adds; `row` is the dossier's before the event, or for a submission the new one."""
    match event:
        case dossier.DossierSubmitted():
            return {"submitted": 1, _BY_CHANNEL[event.channel]: 1, **_components(event.components)}
        case dossier.SupplementSupplied() | dossier.FormCorrected():
            return _components(event.components)
        case dossier.DossierReceived():
            return {"received": 1}
        case dossier.DossierRefused():
            return {"refused": 1, **_ended(row)}
        case dossier.ResultIssued():
            return {"settled": 1, **_punctuality(row, event.on_time), **_ended(row)}
        case dossier.ProcessingStopped() if event.cause == dossier.STOP_CAUSE_WITHDRAWN:
            return {"settled": 1, "withdrawn": 1, **_punctuality(row, True), **_ended(row)}
        case dossier.ProcessingStopped():
            return {"stopped": 1, **_ended(row)}
        case dossier.ResultReturned():
            return {"returned": 1}  # settled already when the result was issued
        case dossier.DeadlinePassed():
            return {} if row.overdue else {"overdue": 1}
        case dossier.ReceptionDeadlinePassed():
            return {"reception_late": 1}
        case dossier.DossierRated():
            return {"ratings": 1, "satisfaction_sum": event.score}
        case (
            dossier.SupplementRequested()
            | dossier.FeeAssessed()
            | dossier.FeeWaived()
            | dossier.FeeCancelled()
            | dossier.FeePaid()
            | dossier.FeeRefunded()
            | dossier.ProcessingStarted()
            | dossier.StepAssigned()
            | dossier.StepCompleted()
            | dossier.DossierTransferred()
            | dossier.WithdrawalRequested()
            | dossier.WithdrawalDeclined()
            | dossier.DossierApproved()
            | dossier.DeadlineExtended()
            | dossier.DeadlineRecounted()
            | dossier.DossierSynchronised()
        ):
            return {}
        case _:
            raise TypeError(f"nobody said what {event.DESCRIPTOR.full_name} counts for")


def _components(components: Sequence[dossier.Component]) -> Counts:
    reused = sum(component.source == dossier.COMPONENT_SOURCE_WAREHOUSE for component in components)
    return {"components": len(components), "reused_components": reused}


def _punctuality(row: DossierRow, on_time: bool) -> Counts:
    """A new appointment does not mend a missed one, and more than one supplement counts as overdue."""
    good = on_time and not row.overdue and row.supplements <= 1
    return {"settled_on_time" if good else "settled_overdue": 1}


def _ended(row: DossierRow) -> Counts:
    return {"overdue_ended": 1} if row.overdue else {}


def overdue_open(until: Counts) -> int:
    """Dossiers that are overdue and unfinished at the end of a day, from the sums of all days until then."""
    return until.get("overdue", 0) - until.get("overdue_ended", 0)


@dataclass(frozen=True, slots=True)
class Rates:
    """Two decimals; None: not applicable, because there was nothing to measure."""

    on_time_percent: Decimal | None
    online_percent: Decimal | None
    reuse_percent: Decimal | None
    satisfaction: Decimal | None
    reception_on_time_percent: Decimal | None


def rates(period: Counts, until: Counts) -> Rates:
    """`period` sums the days of the period, `until` all days until its end."""
    online = period.get("submitted_online", 0)
    due = period.get("settled", 0) + overdue_open(until)
    return Rates(
        _ratio(100 * period.get("settled_on_time", 0), due),
        _ratio(100 * online, period.get("submitted", 0)),
        _ratio(100 * period.get("reused_components", 0), period.get("components", 0)),
        _ratio(period.get("satisfaction_sum", 0), period.get("ratings", 0)),
        _ratio(100 * max(online - period.get("reception_late", 0), 0), online),
    )


def _ratio(part: int, whole: int) -> Decimal | None:
    return (Decimal(part) / whole).quantize(Decimal("0.01"), ROUND_HALF_UP) if whole else None
