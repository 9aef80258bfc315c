"""Procedures, in streams procedure-<code>: what may be published, repaired and withdrawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from services.catalogue.commands import (
    ConfirmProcedureRepair,
    ProcedureCommand,
    ProposeProcedureRepair,
    PublishProcedure,
    WithdrawProcedure,
    WithdrawProcedureVersion,
)
from services.catalogue.domain.versions import (
    admit,
    require_basis,
    require_day,
    require_next,
    require_not_past,
    require_reason,
    require_to_come,
    validity_of,
    version_of,
    without,
)
from services.catalogue.events import (
    ProcedureEvent,
    ProcedurePublished,
    ProcedureRepaired,
    ProcedureRepairProposed,
    ProcedureVersionWithdrawn,
    ProcedureWithdrawn,
)
from services.catalogue.refusals import Refused
from services.catalogue.values import Version, in_force
from services.chassis.decider import Decider
from services.law.days import local_day
from services.law.definitions import (
    ChargeBasis,
    Json,
    Procedure,
)
from services.law.validity import Validity


@dataclass(frozen=True, slots=True)
class ProcedureState:
    last_version: int = 0
    versions: tuple[Version[Procedure], ...] = ()
    proposed: ProcedureRepairProposed | None = None
    # Of every version, the charges that the Council sets.
    council: frozenset[str] = frozenset()


def decide_procedure(command: ProcedureCommand, state: ProcedureState) -> Sequence[ProcedureEvent]:
    match command:
        case PublishProcedure(procedure=procedure, faults=faults, at=at, by=by, replaces=replaces):
            _faultless(procedure, faults)
            require_next(procedure.version, state.last_version)
            validity = validity_of(procedure.valid_from, procedure.valid_until)
            replaced = admit(validity, state.versions, local_day(at), replaces)
            why = f"v{procedure.version}"
            withdrawn = [
                ProcedureVersionWithdrawn(code=procedure.code, version=each, reason=why, at=at, by=by)
                for each in replaced
            ]
            return [*withdrawn, ProcedurePublished(procedure=procedure, at=at, by=by)]
        case WithdrawProcedure(code=code, valid_until=valid_until, legal_basis=legal_basis, at=at, by=by):
            if not state.versions:
                raise Refused("PROCEDURE_UNKNOWN", code=code)
            require_day(valid_until)
            require_basis(legal_basis)
            ends = [validity.until for validity in in_force(state.versions)]
            if all(ends) and max(ends) <= valid_until:
                raise Refused("PROCEDURE_WITHDRAWN", code=code, valid_until=max(ends))
            require_not_past(valid_until, local_day(at))
            return [ProcedureWithdrawn(code=code, valid_until=valid_until, legal_basis=legal_basis, at=at, by=by)]
        case WithdrawProcedureVersion(code=code, version=version, reason=reason, at=at, by=by):
            require_to_come(state.versions, version, code, local_day(at))
            require_reason(reason)
            return [ProcedureVersionWithdrawn(code=code, version=version, reason=reason, at=at, by=by)]
        case ProposeProcedureRepair(procedure=procedure, faults=faults, reason=reason, at=at, by=by):
            known = version_of(state.versions, procedure.version, procedure.code)
            _faultless(procedure, faults)
            require_reason(reason)
            if _but_for_the_form(procedure) != _but_for_the_form(known.definition):
                raise Refused("REPAIR_CHANGES_MORE", code=procedure.code, version=str(procedure.version))
            if procedure == known.definition:
                raise Refused("REPAIR_CHANGES_NOTHING", code=procedure.code, version=str(procedure.version))
            return [ProcedureRepairProposed(procedure=procedure, reason=reason, at=at, by=by)]
        case ConfirmProcedureRepair(code=code, version=version, at=at, by=by):
            proposed = state.proposed
            if proposed is None or proposed.procedure.version != version:
                raise Refused("REPAIR_UNKNOWN", code=code, version=str(version))
            if proposed.by == by:
                raise Refused("REPAIR_NEEDS_ANOTHER", code=code, version=str(version))
            return [
                ProcedureRepaired(
                    procedure=proposed.procedure, reason=proposed.reason, proposed_by=proposed.by, at=at, by=by
                )
            ]
        case _:
            assert_never(command)


def evolve_procedure(state: ProcedureState, event: ProcedureEvent) -> ProcedureState:
    match event:
        case ProcedurePublished(procedure=procedure):
            new = Version(procedure.version, Validity(procedure.valid_from, procedure.valid_until), procedure)
            return replace(
                state,
                last_version=procedure.version,
                versions=(*state.versions, new),
                council=state.council | _council(procedure),
            )
        case ProcedureWithdrawn(valid_until=valid_until):
            kept = (each for each in state.versions if each.validity.since <= valid_until)
            return replace(state, versions=tuple(each.ended(valid_until) for each in kept))
        case ProcedureVersionWithdrawn(version=version):
            return replace(state, versions=without(state.versions, version))
        case ProcedureRepairProposed():
            return replace(state, proposed=event)
        case ProcedureRepaired(procedure=procedure):
            versions = (
                replace(each, definition=procedure) if each.number == procedure.version else each
                for each in state.versions
            )
            return replace(state, versions=tuple(versions), proposed=None)
        case _:
            assert_never(event)


def _council(procedure: Procedure) -> frozenset[str]:
    charges = procedure.fee.charges if procedure.fee else ()
    return frozenset(charge.code for charge in charges if charge.basis is ChargeBasis.COUNCIL)


def _faultless(procedure: Procedure, faults: tuple[str, ...]) -> None:
    if faults:
        raise Refused("PROCEDURE_FAULTY", code=procedure.code, count=str(len(faults)), faults=", ".join(faults))


def _but_for_the_form(procedure: Procedure) -> Procedure:
    """What the law says, and not how the form asks and what follows from its answers."""
    circumstances = tuple(replace(each, form_field="", form_value=Json("")) for each in procedure.circumstances)
    return replace(procedure, form=None, circumstances=circumstances)


procedures: Decider[ProcedureCommand, ProcedureState, ProcedureEvent] = Decider(
    ProcedureState(), decide_procedure, evolve_procedure
)
