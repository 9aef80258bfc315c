"""Who works on a dossier, step by step."""

from __future__ import annotations

from typing import TypedDict

from services.dossier.commands import AssignStep, CompleteStep
from services.dossier.domain.guards import require_holder, require_state, stamp_of
from services.dossier.domain.state import Dossier
from services.dossier.events import Events, ProcessingStarted, StepAssigned, StepCompleted
from services.dossier.refusals import Refused
from services.dossier.values import StepRule, Terms
from services.law.course import Settlement


class NextStep(TypedDict):
    """The step that follows, by code and role; both empty after the last."""

    next_step_code: str
    next_role: str


def step_after(done: int, terms: Terms) -> NextStep:
    if done == len(terms.steps):
        return NextStep(next_step_code="", next_role="")
    return NextStep(next_step_code=terms.steps[done].step_code, next_role=terms.steps[done].role)


def next_step(dossier: Dossier, terms: Terms) -> StepRule | None:
    return terms.steps[len(dossier.done)] if len(dossier.done) < len(terms.steps) else None


def _require_step(step_code: str, dossier: Dossier, terms: Terms) -> StepRule:
    following = next_step(dossier, terms)
    if following is None or following.step_code != step_code:
        raise Refused("STEP_UNKNOWN", step=step_code, next=following.step_code if following else "-")
    return following


def assign(command: AssignStep, dossier: Dossier) -> Events:
    require_state(dossier, Settlement.RECEIVED, Settlement.BEING_PROCESSED)
    require_holder(command.by, dossier)
    step = _require_step(command.step_code, dossier, command.terms)
    assignee = command.assignee_id or command.by.actor_id
    if assignee == command.by.actor_id and step.role not in command.by.roles:
        raise Refused("STEP_ROLE_MISSING", step=step.step_code, role=step.role)
    if assignee != command.by.actor_id and step.role not in command.assignee_roles:
        raise Refused("ASSIGNEE_UNKNOWN", assignee_id=assignee, role=step.role, agency=command.by.agency)
    if assignee == dossier.applicant_id:
        raise Refused("OWN_AFFAIR")
    stamp = stamp_of(command, dossier)
    assigned = StepAssigned(
        **stamp, step_code=step.step_code, role=step.role, assignee_id=assignee, agency=command.by.agency
    )
    if dossier.settlement is Settlement.RECEIVED:
        return ProcessingStarted(**stamp, agency=command.by.agency), assigned
    return (assigned,)


def complete(command: CompleteStep, dossier: Dossier) -> Events:
    require_state(dossier, Settlement.BEING_PROCESSED)
    require_holder(command.by, dossier)
    step = _require_step(command.step_code, dossier, command.terms)
    if step.role not in command.by.roles:
        raise Refused("STEP_ROLE_MISSING", step=step.step_code, role=step.role)
    if dossier.step_code != step.step_code or dossier.assignee_id != command.by.actor_id:
        raise Refused("STEP_NOT_YOURS", step=step.step_code)
    following = step_after(len(dossier.done) + 1, command.terms)
    stamp = stamp_of(command, dossier)
    return (StepCompleted(**stamp, step_code=step.step_code, note=command.note, agency=command.by.agency, **following),)
