"""From a request to the command that it asks for: one function per command, of its name.

What a rule needs of the law is looked up here and put into the command, because `decide` has no law. Refused here, and not by
`decide`: what Law refuses, as AGENCY_NOT_COMPETENT of a transfer, exemptions that other dossiers used up, and malformed parts of a
request.
"""

from __future__ import annotations

from motcua.dossier.v1 import dossier_service_pb2 as pb
from services.chassis.decider import Sealed
from services.chassis.deciding.codec import from_timestamp
from services.dossier import commands as c
from services.dossier.casework import DossierCall
from services.dossier.correcting import Supply, unknown_fields
from services.dossier.counterparts import CONDITION, DELIVERY_METHOD, STOP_CAUSE
from services.dossier.intake import require_unused
from services.dossier.request_parts import data_faults_of, fee_id_of, paper_days_of
from services.dossier.values import FeeItem, File
from services.law.dated import holds


def receive_dossier(case: DossierCall[pb.ReceiveDossierRequest]) -> c.ReceiveDossier:
    return c.ReceiveDossier(
        by=case.by,
        at=case.at,
        receipt_number=case.receipt_number,
        terms=case.terms_of_reception,
        route=case.route,
        paper_days=paper_days_of(case.request.paper_days, case.at),
    )


def refuse_dossier(case: DossierCall[pb.RefuseDossierRequest]) -> c.RefuseDossier:
    return c.RefuseDossier(by=case.by, at=case.at, reason=Sealed(case.request.reason))


def correct_form(case: DossierCall[pb.CorrectFormRequest], supply: Supply) -> c.CorrectForm:
    assert supply.correction
    return c.CorrectForm(
        by=case.by,
        at=case.at,
        correction=supply.correction,
        components=supply.components,
        uploaded=supply.uploaded,
        others_documents=supply.others_documents,
    )


def request_supplement(case: DossierCall[pb.RequestSupplementRequest]) -> c.RequestSupplement:
    fields = tuple(case.request.form_fields)
    return c.RequestSupplement(
        by=case.by,
        at=case.at,
        component_codes=tuple(case.request.component_codes),
        explanation=Sealed(case.request.explanation),
        terms=case.terms,
        form_fields=fields,
        unknown_fields=unknown_fields(case.procedure, fields),
        data_faults=data_faults_of(case.request.data_faults),
        one_notice=holds("one_notice", case.at),
    )


def supply_supplement(case: DossierCall[pb.SupplySupplementRequest], supply: Supply) -> c.SupplySupplement:
    terms = case.terms
    return c.SupplySupplement(
        by=case.by,
        at=case.at,
        components=supply.components,
        uploaded=supply.uploaded,
        documents=supply.documents,
        receipt_number=case.receipt_number,
        terms=terms,
        reception_terms=case.terms_of_reception if case.state.received_at is None else terms,
        correction=supply.correction,
        others_documents=supply.others_documents,
        route=case.route,
    )


def assign_step(case: DossierCall[pb.AssignStepRequest], assignee_roles: frozenset[str]) -> c.AssignStep:
    return c.AssignStep(
        by=case.by,
        at=case.at,
        step_code=case.request.step_code,
        assignee_id=case.request.assignee_id,
        terms=case.terms,
        assignee_roles=assignee_roles,
    )


def complete_step(case: DossierCall[pb.CompleteStepRequest]) -> c.CompleteStep:
    note = Sealed(case.request.note)
    return c.CompleteStep(by=case.by, at=case.at, step_code=case.request.step_code, note=note, terms=case.terms)


def transfer_dossier(case: DossierCall[pb.TransferDossierRequest]) -> c.TransferDossier:
    law, reception = case.law, case.law.known_agency(case.state.reception_agency, case.at)
    to = law.named(case.procedure, case.request.to_agency, reception, case.at, case.site)
    return c.TransferDossier(
        by=case.by,
        at=case.at,
        to_agency=to.code,
        reason=Sealed(case.request.reason),
        calendar=law.calendar_of(to.code, case.at),
    )


def assess_fee(case: DossierCall[pb.AssessFeeRequest]) -> c.AssessFee:
    return c.AssessFee(
        by=case.by,
        at=case.at,
        fee_id=fee_id_of(case.request.request_id, case.request.code),
        items=tuple(FeeItem(item.name, item.amount, item.charge_code) for item in case.request.items),
        condition=CONDITION.stored(case.request.condition),
        terms=case.terms,
    )


def waive_fee(case: DossierCall[pb.WaiveFeeRequest], used: frozenset[str]) -> c.WaiveFee:
    require_unused([case.request.exemption_code], used)
    return c.WaiveFee(
        by=case.by,
        at=case.at,
        fee_id=case.request.fee_id,
        left_id=fee_id_of(case.request.request_id, case.request.code),
        exemption_code=case.request.exemption_code,
        reason=Sealed(case.request.reason),
        terms=case.terms,
        reception_calendar=case.reception_calendar,
    )


def cancel_fee(case: DossierCall[pb.CancelFeeRequest]) -> c.CancelFee:
    return c.CancelFee(
        by=case.by,
        at=case.at,
        fee_id=case.request.fee_id,
        reason=Sealed(case.request.reason),
        terms=case.terms,
        reception_calendar=case.reception_calendar,
    )


def request_withdrawal(case: DossierCall[pb.RequestWithdrawalRequest]) -> c.RequestWithdrawal:
    return c.RequestWithdrawal(by=case.by, at=case.at, reason=Sealed(case.request.reason))


def grant_withdrawal(case: DossierCall[pb.GrantWithdrawalRequest]) -> c.GrantWithdrawal:
    return c.GrantWithdrawal(by=case.by, at=case.at)


def decline_withdrawal(case: DossierCall[pb.DeclineWithdrawalRequest]) -> c.DeclineWithdrawal:
    return c.DeclineWithdrawal(by=case.by, at=case.at, explanation=Sealed(case.request.explanation))


def stop_processing(case: DossierCall[pb.StopProcessingRequest]) -> c.StopProcessing:
    explanation = Sealed(case.request.explanation)
    return c.StopProcessing(
        by=case.by, at=case.at, cause=STOP_CAUSE.stored(case.request.cause), explanation=explanation
    )


def approve_dossier(case: DossierCall[pb.ApproveDossierRequest]) -> c.ApproveDossier:
    return c.ApproveDossier(by=case.by, at=case.at, terms=case.terms)


def issue_result(case: DossierCall[pb.IssueResultRequest], uploaded: dict[str, File]) -> c.IssueResult:
    return c.IssueResult(
        by=case.by,
        at=case.at,
        result_number=case.request.result_number,
        sha256=case.request.sha256.lower(),
        uploaded=uploaded,
        terms=case.terms,
    )


def return_result(case: DossierCall[pb.ReturnResultRequest]) -> c.ReturnResult:
    return c.ReturnResult(by=case.by, at=case.at, delivery_method=DELIVERY_METHOD.stored(case.request.delivery_method))


def extend_deadline(case: DossierCall[pb.ExtendDeadlineRequest]) -> c.ExtendDeadline:
    return c.ExtendDeadline(
        by=case.by,
        at=case.at,
        due_at=from_timestamp(case.request.due_at),
        reason=Sealed(case.request.reason),
        signer=case.request.signer,
    )


def rate_dossier(case: DossierCall[pb.RateDossierRequest]) -> c.RateDossier:
    return c.RateDossier(by=case.by, at=case.at, score=case.request.score, comment=Sealed(case.request.comment))


def confirm_synchronisation(case: DossierCall[pb.ConfirmSynchronisationRequest]) -> c.ConfirmSynchronisation:
    return c.ConfirmSynchronisation(by=case.by, at=case.at, peer_revision=case.request.peer_revision)
