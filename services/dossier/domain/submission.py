"""What is submitted, and what it owes at once."""

from __future__ import annotations

from datetime import datetime

from services.chassis.decider import Sealed, replace
from services.dossier.commands import Submission, SubmitDossier
from services.dossier.domain.components import component_missing, missing, supplied
from services.dossier.domain.deadlines import reception_deadline
from services.dossier.domain.fees import assessment, waived_at_once
from services.dossier.domain.state import Dossier
from services.dossier.events import DossierSubmitted, Events, Stamp
from services.dossier.refusals import Refused
from services.dossier.values import Component
from services.law.course import FeeCondition, Settlement


def submit(command: SubmitDossier, dossier: Dossier) -> Events:
    if dossier.settlement is not Settlement.ABSENT:
        raise Refused("ALREADY_SUBMITTED", code=dossier.code)
    return _submitted(command.submission, command.code, command.fee_id)


def require_acceptable(submission: Submission) -> Events:
    """The facts that SubmitDossier would lead to, without a code: what is refused takes none. Raises Rejected."""
    return _submitted(submission, code="", fee_id="")


def _submitted(submission: Submission, code: str, fee_id: str) -> Events:
    if not submission.applicant_id or not submission.applicant_name:
        raise Refused("APPLICANT_REQUIRED")
    components = _components(submission)
    stamp = Stamp(code=code, at=submission.at, by=submission.by.actor_id, applicant_id=submission.applicant_id)
    return _fact(stamp, submission, components), *_owed(stamp, submission, fee_id)


def _components(submission: Submission) -> tuple[Component, ...]:
    requirements = submission.terms.requirements
    components = supplied(
        submission.components,
        requirements,
        submission.channel,
        submission.uploaded,
        submission.documents,
        submission.reuse_consent,
        submission.others_documents,
    )
    if lacking := missing(components, requirements):
        raise component_missing(lacking, requirements)
    return components


def _fact(stamp: Stamp, submission: Submission, components: tuple[Component, ...]) -> DossierSubmitted:
    return DossierSubmitted(
        **stamp,
        procedure_code=submission.terms.procedure_code,
        procedure_version=submission.terms.procedure_version,
        channel=submission.channel,
        applicant_kind=submission.applicant_kind,
        applicant_name=submission.applicant_name,
        email=submission.email,
        phone=submission.phone,
        form=submission.form,
        components=components,
        place_of_submission=submission.place_of_submission,
        reception_agency=submission.reception_agency,
        competent_agency=submission.competent_agency,
        province=submission.province,
        delivery_method=submission.delivery_method,
        draft_id=submission.draft_id,
        reuse_consent=submission.reuse_consent,
        through=submission.through,
        claimed_exemptions=Sealed(",".join(submission.claimed_exemptions)),
        reception_due_at=_reception_due_at(submission),
        reception_term=submission.reception_term,
    )


def _reception_due_at(submission: Submission) -> datetime | None:
    """What must be paid first is nobody's delay until it is."""
    if submission.terms.fee_items and submission.terms.fee_condition is FeeCondition.RECEPTION:
        return None
    return reception_deadline(submission.reception_term, submission.reception_calendar, submission.at)


def _owed(stamp: Stamp, submission: Submission, fee_id: str) -> Events:
    """What is owed for processing is assessed by an official while processing."""
    terms = submission.terms
    if not terms.fee_items or terms.fee_condition is FeeCondition.PROCESSING:
        return ()
    waived = waived_at_once(stamp, fee_id, terms, submission.documents, submission.exemption_reason)
    owed = tuple(item for item in terms.fee_items if item.amount or not item.waived)
    if not owed:
        return waived
    fee = assessment(stamp, fee_id, owed, terms.fee_condition, submission.competent_agency, terms)
    return *waived, replace(fee, of_form=True)
