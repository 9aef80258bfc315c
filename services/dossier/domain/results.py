"""The result: approved, issued, returned, rated."""

from __future__ import annotations

from services.dossier.commands import ApproveDossier, IssueResult, RateDossier, ReturnResult
from services.dossier.domain.components import require_result
from services.dossier.domain.guards import (
    require_applicant,
    require_exists,
    require_holder,
    require_paid,
    require_state,
    stamp_of,
)
from services.dossier.domain.settlements import wrong_state
from services.dossier.domain.state import Dossier
from services.dossier.domain.steps import next_step
from services.dossier.events import DossierApproved, DossierRated, Events, ResultIssued, ResultReturned
from services.dossier.refusals import Refused
from services.law.course import FeeCondition, Settlement


def approve(command: ApproveDossier, dossier: Dossier) -> Events:
    require_state(dossier, Settlement.BEING_PROCESSED)
    if command.by.agency != dossier.competent_agency or dossier.holder != dossier.competent_agency:
        raise Refused("WRONG_AGENCY", agency=dossier.competent_agency)
    if step := next_step(dossier, command.terms):
        raise Refused("STEPS_INCOMPLETE", step=step.step_code)
    if dossier.approved:
        raise Refused("ALREADY_APPROVED")
    return (DossierApproved(**stamp_of(command, dossier), agency=command.by.agency),)


def issue(command: IssueResult, dossier: Dossier) -> Events:
    require_state(dossier, Settlement.BEING_PROCESSED)
    require_holder(command.by, dossier)
    if not dossier.approved:
        raise Refused("NOT_APPROVED")
    if command.sha256 not in command.uploaded:
        raise Refused("ATTACHMENT_UNKNOWN", sha256=command.sha256, component="result")
    file = command.uploaded[command.sha256]
    require_result(file)
    return (
        ResultIssued(
            **stamp_of(command, dossier),
            result_number=command.result_number,
            document_kind=command.terms.document_kind,
            sha256=file.sha256,
            media_type=file.media_type,
            size=file.size,
            # An apology sets a new appointment; it does not make a late result timely.
            on_time=dossier.passed is None and (dossier.due_at is None or command.at <= dossier.due_at),
            agency=command.by.agency,
            procedure_code=dossier.procedure_code,
        ),
    )


def hand_over(command: ReturnResult, dossier: Dossier) -> Events:
    if dossier.settlement.open:
        raise Refused("NO_RESULT")
    require_state(dossier, Settlement.PROCESSED)
    # Handed over where it was handed in, or where it was settled.
    if command.by.agency not in (dossier.reception_agency, dossier.holder):
        raise Refused("WRONG_AGENCY", agency=dossier.reception_agency)
    require_paid(dossier, *FeeCondition)
    return (ResultReturned(**stamp_of(command, dossier), delivery_method=command.delivery_method),)


def rate(command: RateDossier, dossier: Dossier) -> Events:
    require_exists(dossier)
    require_applicant(command.by, dossier)
    if dossier.settlement.open:
        raise wrong_state(dossier.settlement)
    if dossier.rated:
        raise Refused("ALREADY_RATED")
    if not 1 <= command.score <= 5:
        raise Refused("SCORE_INVALID")
    return (DossierRated(**stamp_of(command, dossier), score=command.score, comment=command.comment),)
