"""What a province's council resolves about fees, in streams overlay-<province>-<procedure code, or "all">."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from services.catalogue.commands import (
    AdoptFeeOverlay,
    OverlayCommand,
    WithdrawFeeOverlay,
)
from services.catalogue.domain.versions import admit, require_basis, require_not_begun, require_reason, validity_of
from services.catalogue.events import (
    FeeOverlayAdopted,
    FeeOverlayWithdrawn,
    OverlayEvent,
)
from services.catalogue.refusals import Refused
from services.catalogue.values import LARGEST_AMOUNT, LEAST_AMOUNT, Version, in_force
from services.chassis.decider import Decider
from services.law.days import local_day
from services.law.definitions import (
    Channel,
    FeeOverlay,
)
from services.law.validity import Validity


@dataclass(frozen=True, slots=True)
class OverlayState:
    # By charge and channels. An overlay's number says which it is among all of them.
    scopes: Mapping[tuple[str, frozenset[Channel]], tuple[Version[FeeOverlay], ...]] = field(default_factory=dict)
    count: int = 0


def decide_overlay(command: OverlayCommand, state: OverlayState) -> Sequence[OverlayEvent]:
    match command:
        case AdoptFeeOverlay():
            return _adopted(command, state)
        case WithdrawFeeOverlay(
            province=province,
            procedure_code=procedure_code,
            charge_code=charge_code,
            channels=channels,
            valid_from=valid_from,
            reason=reason,
            at=at,
            by=by,
        ):
            versions = state.scopes.get((charge_code, frozenset(channels)), ())
            found = next((each for each in reversed(versions) if each.validity.since == valid_from), None)
            if found is None:
                raise Refused("OVERLAY_UNKNOWN", valid_from=valid_from)
            require_not_begun(found.validity.since, local_day(at))
            require_reason(reason)
            return [
                FeeOverlayWithdrawn(
                    province=province,
                    procedure_code=procedure_code,
                    charge_code=charge_code,
                    channels=channels,
                    valid_from=valid_from,
                    reason=reason,
                    at=at,
                    by=by,
                )
            ]
        case _:
            assert_never(command)


def _adopted(command: AdoptFeeOverlay, state: OverlayState) -> list[OverlayEvent]:
    overlay = command.overlay
    if not command.province_known:
        raise Refused("PROVINCE_UNKNOWN", province=overlay.province)
    if not command.procedure_known:
        raise Refused("PROCEDURE_UNKNOWN", code=overlay.procedure_code)
    # A charge's code means something within its procedure only.
    if overlay.charge_code and overlay.charge_code not in command.charges:
        raise Refused("CHARGE_UNKNOWN", code=overlay.procedure_code or "-", charge=overlay.charge_code)
    if overlay.amount and not LEAST_AMOUNT <= overlay.amount <= LARGEST_AMOUNT:
        raise Refused("AMOUNT_INVALID", amount=str(overlay.amount))
    require_basis(overlay.resolution)
    validity = validity_of(overlay.valid_from, overlay.valid_until)
    channels = frozenset(overlay.channels)
    for (charge_code, others), versions in state.scopes.items():
        # Two that name some of the same channels would both fit one dossier.
        if charge_code == overlay.charge_code and others != channels and others & channels:
            for other in in_force(versions):
                if other.meets(validity):
                    raise Refused("VALIDITY_OVERLAPS", valid_from=other.since, valid_until=other.until)
    known = state.scopes.get((overlay.charge_code, channels), ())
    replaced = admit(validity, known, local_day(command.at), command.replaces)
    withdrawn = [
        FeeOverlayWithdrawn(
            province=other.province,
            procedure_code=other.procedure_code,
            charge_code=other.charge_code,
            channels=other.channels,
            valid_from=other.valid_from,
            reason=overlay.resolution,
            at=command.at,
            by=command.by,
        )
        for other in (each.definition for each in known if each.number in replaced)
    ]
    return [*withdrawn, FeeOverlayAdopted(overlay=overlay, at=command.at, by=command.by)]


def evolve_overlay(state: OverlayState, event: OverlayEvent) -> OverlayState:
    match event:
        case FeeOverlayAdopted(overlay=overlay):
            scope = overlay.charge_code, frozenset(overlay.channels)
            new = Version(state.count + 1, Validity(overlay.valid_from, overlay.valid_until), overlay)
            return OverlayState({**state.scopes, scope: (*state.scopes.get(scope, ()), new)}, state.count + 1)
        case FeeOverlayWithdrawn(charge_code=charge_code, channels=channels, valid_from=valid_from):
            scope = charge_code, frozenset(channels)
            kept = tuple(each for each in state.scopes.get(scope, ()) if each.validity.since != valid_from)
            return replace(state, scopes={**state.scopes, scope: kept})
        case _:
            assert_never(event)


overlays: Decider[OverlayCommand, OverlayState, OverlayEvent] = Decider(OverlayState(), decide_overlay, evolve_overlay)
