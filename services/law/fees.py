"""What a dossier owes: the procedure's charges, the province's overlays, by the day of submission."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from services.chassis.decider import Rejected
from services.law.definitions import Channel, Charge, ChargeBasis, Exemption, FeeOverlay, Procedure, Text
from services.law.validity import Validity


@dataclass(frozen=True, slots=True)
class Case:
    """What of a dossier bears on its fee."""

    province: str
    channel: Channel
    submitted_on: str
    # How many of each unit: {"page": 12, "copy": 2}.
    counts: Mapping[str, int]
    circumstances: Collection[str] = ()
    exemptions: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class QuotedItem:
    charge_code: str
    name: Text
    amount: int
    # The overlay's resolution, where the Council set it.
    resolution: str = ""
    waived: int = 0
    exemption_code: str = ""


def quote(procedure: Procedure, overlays: Iterable[FeeOverlay], case: Case) -> tuple[QuotedItem, ...]:
    _check(procedure, case)
    if procedure.fee is None:
        raise Rejected("FEE_NOT_SET", code=procedure.code, province=case.province)
    items = []
    for charge in procedure.fee.charges:
        if not _applies(charge, case):
            continue
        each, resolution = _each(charge, procedure, overlays, case)
        full = each * (_count(case, charge.per) if charge.per else 1)
        off, exemption = _highest(charge, full, procedure, case)
        items.append(QuotedItem(charge.code, charge.name, full - off, resolution, off, exemption))
    return tuple(items)


def exemptions_on(procedure: Procedure, day: str) -> tuple[Exemption, ...]:
    """Those that hold for what is submitted on that day."""
    found = procedure.fee.exemptions if procedure.fee else ()
    return tuple(exemption for exemption in found if day in Validity(exemption.valid_from, exemption.valid_until))


def in_period(exemption: Exemption, used: str, day: str) -> bool:
    """Whether a use on that day counts for a submission on the other: of the same calendar year, or of the months up to it."""
    if not exemption.use_months:
        return used[:4] == day[:4]
    months = int(day[:4]) * 12 + int(day[5:7]) - 1 - exemption.use_months
    # The same day so many months before is over; a day that month lacks is its last.
    return used > f"{months // 12:04}-{months % 12 + 1:02}-{day[8:]}"


def taken_off(full: int, percent: int, maximum: int = 0) -> int:
    """Whole đồng; a fraction is the payer's."""
    off = full - full * (100 - percent) // 100
    return min(off, maximum) if maximum else off


def _highest(charge: Charge, full: int, procedure: Procedure, case: Case) -> tuple[int, str]:
    """The highest single benefit and its code: exemptions never add up."""
    fitting = [
        (taken_off(full, exemption.percent, exemption.maximum), exemption.code)
        for exemption in exemptions_on(procedure, case.submitted_on)
        if exemption.code in case.exemptions and charge.code in (exemption.charge_codes or (charge.code,))
    ]
    off, code = max(fitting, key=lambda each: each[0], default=(0, ""))
    return (off, code) if off else (0, "")


def _check(procedure: Procedure, case: Case) -> None:
    if case.channel not in {rule.channel for rule in procedure.channels}:
        raise Rejected("CHANNEL_NOT_OFFERED", code=procedure.code, channel=case.channel.name)
    for code in set(case.circumstances) - {circumstance.code for circumstance in procedure.circumstances}:
        raise Rejected("CIRCUMSTANCE_UNKNOWN", code=procedure.code, circumstance=code)
    for code in set(case.exemptions) - {exemption.code for exemption in exemptions_on(procedure, case.submitted_on)}:
        raise Rejected("EXEMPTION_UNKNOWN", code=procedure.code, exemption=code)


def _applies(charge: Charge, case: Case) -> bool:
    return (
        (not charge.channels or case.channel in charge.channels)
        and (not charge.only_if or charge.only_if in case.circumstances)
        and charge.unless not in case.circumstances
    )


def _each(charge: Charge, procedure: Procedure, overlays: Iterable[FeeOverlay], case: Case) -> tuple[int, str]:
    match charge.basis:
        case ChargeBasis.FIXED:
            return charge.amount, ""
        case ChargeBasis.TIERED:
            return tiered(charge, _count(case, charge.unit)), ""
        case ChargeBasis.COUNCIL:
            overlay = _overlay(charge, procedure, overlays, case)
            return overlay.amount, overlay.resolution
        case ChargeBasis.UNSPECIFIED:
            raise Rejected("FEE_NOT_SET", code=procedure.code, province=case.province)


def tiered(charge: Charge, count: int) -> int:
    """Each unit costs its tier's amount; all together no more than the maximum."""
    total = 0
    for tier in reversed(charge.tiers):
        total += max(0, count - tier.start + 1) * tier.amount
        count = min(count, tier.start - 1)
    return min(total, charge.maximum) if charge.maximum else total


def _overlay(charge: Charge, procedure: Procedure, overlays: Iterable[FeeOverlay], case: Case) -> FeeOverlay:
    """A later resolution prevails over an earlier one; of the same day, the more specific."""
    fitting = [
        overlay
        for overlay in overlays
        if overlay.province == case.province
        and overlay.procedure_code in ("", procedure.code)
        and overlay.charge_code in ("", charge.code)
        and (not overlay.channels or case.channel in overlay.channels)
        and case.submitted_on in Validity(overlay.valid_from, overlay.valid_until)
    ]
    if not fitting:
        raise Rejected("FEE_NOT_SET", code=procedure.code, province=case.province)
    return max(fitting, key=_precedence)


def _precedence(overlay: FeeOverlay) -> tuple[str, bool, bool, bool]:
    return overlay.valid_from, bool(overlay.procedure_code), bool(overlay.charge_code), bool(overlay.channels)


def _count(case: Case, unit: str) -> int:
    count = case.counts.get(unit, 0)
    if count < 1:
        raise Rejected("COUNT_MISSING", unit=unit)
    return count
