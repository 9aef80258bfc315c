"""From a submission request to the command: who applies, what the law says, what the state already holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import Connection, select

from motcua.dossier.events.v1 import events_pb2 as facts
from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.identity.events.v1 import events_pb2 as identity
from services.chassis.caller import Caller
from services.chassis.codec import Shape
from services.chassis.decider import Rejected, Sealed
from services.chassis.errors import Invalid, Violation
from services.chassis.privacy import ERASED, KeyRing, open_message
from services.chassis.settings import Settings
from services.chassis.views import RunningView
from services.dossier.commands import SubmitDossier
from services.dossier.law import Law, check_form, local_day
from services.dossier.reading import form_answers, form_text
from services.dossier.uploads import Uploads
from services.dossier.values import Actor, ApplicantKind, Channel, Component, ComponentSource, DeliveryMethod
from services.dossier.views import accounts, documents

ONLINE = "online"
_COMPONENT = Shape(Component, facts.Component)
_SELF = frozenset({"citizen", "organisation"})


@dataclass(frozen=True, slots=True)
class Applicant:
    account_id: str
    kind: ApplicantKind
    name: str
    email: str
    phone: str


def actor_of(caller: Caller) -> Actor:
    return Actor(caller.actor, caller.roles, caller.agency)


def components_of(given: Any) -> tuple[Component, ...]:
    """Raises Invalid for a component without a code or a source."""
    violations = [
        Violation(f"components[{index}]", "Thiếu mã hoặc nguồn.", "It lacks component_code or source.")
        for index, component in enumerate(given)
        if not component.component_code or not component.source
    ]
    if violations:
        raise Invalid(violations)
    return tuple(_COMPONENT.read(component) for component in given)


def attached(components: tuple[Component, ...]) -> set[str]:
    return {component.sha256 for component in components if component.source is ComponentSource.ATTACHMENT}


def require_open_window(settings: Settings, channel: Channel, at: datetime) -> None:
    """Raises Rejected NATIONAL_PORTAL_ONLY, TRIAL_ENDED."""
    day = local_day(at)
    cutover = settings.submission_cutover
    if channel is Channel.ONLINE and cutover and day >= cutover.isoformat():
        raise Rejected("NATIONAL_PORTAL_ONLY", since=cutover.isoformat(), address=settings.submission_address)
    if settings.sandbox_until and day > settings.sandbox_until.isoformat():
        raise Rejected("TRIAL_ENDED", until=settings.sandbox_until.isoformat())


async def reusable(lists: RunningView, account_id: str, at: datetime) -> Mapping[str, str]:
    """Ids of the subject's documents in the warehouse that are valid now, by kind."""

    def query(db: Connection) -> dict[str, str]:
        rows = db.execute(select(documents).where(documents.c.account_id == account_id))
        return {
            row.document_kind: row.document_id
            for row in rows
            if row.valid_until is None or _aware(row.valid_until) > at
        }

    return await lists.read(query)


def _aware(moment: datetime) -> datetime:
    """SQLite gives back moments without their zone; all are UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def applicant_of(
    request: pb.SubmitDossierRequest, caller: Caller, lists: RunningView, keys: KeyRing
) -> Applicant:
    """The caller, by the names that the state verified; or whom an official or a system applies for.

    Raises Rejected APPLICANT_MISMATCH, APPLICANT_REQUIRED.
    """
    if caller.roles & _SELF:
        if request.applicant_id not in ("", caller.account_id):
            raise Rejected("APPLICANT_MISMATCH")
        kind = ApplicantKind.CITIZEN if "citizen" in caller.roles else ApplicantKind.ORGANISATION
        known = await _registered(caller.account_id, lists, keys)
        return Applicant(
            caller.account_id,
            kind,
            known.get("full_name", ""),
            request.email or known.get("email", ""),
            request.phone or known.get("phone", ""),
        )
    if not request.applicant_id or not request.applicant_name or not request.applicant_kind:
        raise Rejected("APPLICANT_REQUIRED")
    kind = ApplicantKind(request.applicant_kind)
    return Applicant(request.applicant_id, kind, request.applicant_name, request.email, request.phone)


async def _registered(account_id: str, lists: RunningView, keys: KeyRing) -> Mapping[str, str]:
    query = select(accounts).where(accounts.c.account_id == account_id)
    row = await lists.read(lambda db: db.execute(query).one_or_none())
    if row is None:
        # The first login is a moment old.
        raise Rejected("NOT_READY")
    event = identity.AccountRegistered.FromString(row.registered)
    opened = await open_message(event, UUID(row.event_id), keys)
    return {name: text for name, text in opened.items() if text != ERASED}


def channel_of(request: pb.SubmitDossierRequest, caller: Caller) -> Channel:
    """Applicants submit online; receptionists at the counter or what came by post. Raises Rejected, Invalid."""
    channel = Channel(request.channel)
    by_official = "receptionist" in caller.roles
    if by_official is (channel is Channel.ONLINE):
        allowed = "counter, post" if by_official else "online"
        raise Invalid([Violation("channel", f"Phải là: {allowed}.", f"It must be one of: {allowed}.")])
    return channel


async def submission(
    request: pb.SubmitDossierRequest,
    caller: Caller,
    at: datetime,
    law: Law,
    lists: RunningView,
    uploads: Uploads,
    keys: KeyRing,
) -> SubmitDossier:
    """The command, but for its code. Raises Rejected and Invalid for what can be seen before deciding."""
    channel = channel_of(request, caller)
    procedure = law.in_force(request.procedure_code, at)
    if channel is Channel.ONLINE and caller.kind != "system" and caller.loa < procedure.loa:
        raise Rejected("ASSURANCE_TOO_LOW", required=str(procedure.loa), loa=str(caller.loa))
    reception = law.agency(request.reception_agency, at)
    competent = law.competent(procedure, reception, at)
    answers = form_answers(request.form)
    check_form(procedure, answers, required=channel is Channel.ONLINE)
    terms = law.terms(procedure, channel, competent, answers, at)
    applicant = await applicant_of(request, caller, lists, keys)
    components = components_of(request.components)
    return SubmitDossier(
        by=actor_of(caller),
        at=at,
        code="",
        applicant_id=applicant.account_id,
        applicant_kind=applicant.kind,
        applicant_name=Sealed(applicant.name),
        email=Sealed(applicant.email),
        phone=Sealed(applicant.phone),
        form=Sealed(form_text(request.form)),
        channel=channel,
        components=components,
        uploaded=await uploads.owned(caller.actor, attached(components)),
        documents=await reusable(lists, applicant.account_id, at),
        reuse_consent=request.reuse_consent,
        place_of_submission=ONLINE if channel is Channel.ONLINE else caller.agency,
        reception_agency=reception.code,
        competent_agency=competent.code,
        province=reception.province,
        delivery_method=DeliveryMethod(request.delivery_method),
        draft_id=request.draft_id,
        fee_id=str(uuid5(UUID(request.request_id), "fee")),
        terms=terms,
    )
