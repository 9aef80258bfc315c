"""Makes of a SubmitDossier request the Submission that is decided: who applies, what the law says on this day, which documents the
state holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from motcua.dossier.v1 import dossier_service_pb2 as pb
from services.chassis.calls.answers import form_answers
from services.chassis.calls.call import Call
from services.chassis.calls.statuses import RequestInvalid, Violation
from services.chassis.decider import Sealed
from services.chassis.deciding.caller import NATIONAL, Caller
from services.chassis.grounds.concern import ONLINE, require_impartial, require_scope
from services.chassis.platform.settings import Settings
from services.chassis.privacy.sealing import UNREADABLE, KeyRing, open_message, unshown
from services.chassis.text.names import same_name
from services.chassis.text.plain import name_fault
from services.chassis.work.batching import Batched
from services.dossier.accounts import KnownAccount
from services.dossier.benefits import Benefits
from services.dossier.commands import Submission
from services.dossier.counterparts import APPLICANT_KIND, CHANNEL, DELIVERY_METHOD
from services.dossier.forms import Forms
from services.dossier.law import Law, Question
from services.dossier.reading import form_text
from services.dossier.refusals import Refused
from services.dossier.registry import Registered, Registry
from services.dossier.request_parts import actor_of, attached, components_of
from services.dossier.uploads import Uploads, owner_of
from services.dossier.values import (
    ApplicantKind,
    Channel,
    require_reason,
)
from services.law.cases import Eligibility
from services.law.dated import reply_term
from services.law.days import local_day
from services.law.deadlines import Term
from services.law.definitions import Procedure
from services.law.fees import exemptions_on

_SELF = frozenset({"citizen", "organisation"})


@dataclass(frozen=True, slots=True)
class Applicant:
    account_id: str
    kind: ApplicantKind
    name: str
    email: str
    phone: str


# The name itself is told by LookUpPerson, to whom it may be.
_ANOTHER_NAME = (
    "Không phải họ tên của tài khoản này; lấy từ LookUpPerson.",
    "It is not the name that this account has; take LookUpPerson's.",
)


def require_open_window(settings: Settings, channel: Channel, caller: Caller, at: datetime) -> Caller:
    """The caller, with the purpose that it submits for now. Raises Rejected NATIONAL_PORTAL_ONLY, TRIAL_ENDED."""
    day, cutover = local_day(at), settings.submission_cutover
    if channel is Channel.ONLINE and cutover and day >= cutover.isoformat():
        if not _of_national_portal(caller):
            raise Refused("NATIONAL_PORTAL_ONLY", since=cutover.isoformat(), address=settings.submission_address)
        caller = replace(caller, purpose=NATIONAL)
    if settings.sandbox_until and day > settings.sandbox_until.isoformat():
        raise Refused("TRIAL_ENDED", until=settings.sandbox_until.isoformat())
    return caller


def _of_national_portal(caller: Caller) -> bool:
    """Whether the call comes from the national portal: a system that is registered for this purpose and states it, or a person whom
    such a system sent (`act`). For which agencies and procedures is checked with its scope."""
    enrolled = any(scope.purpose == NATIONAL for scope in caller.scopes)
    return enrolled and (bool(caller.act) or NATIONAL in caller.purposes)


async def _name_of(kind: ApplicantKind, written: str, registration: Registered, keys: KeyRing) -> str:
    """A citizen's as the state verified it, however it was typed. Raises RequestInvalid for another name."""
    if kind is not ApplicantKind.CITIZEN:
        return written
    with unshown():
        name = (await _opened(registration, keys)).get("full_name", "")
    if name and not same_name(name, written):
        raise RequestInvalid([Violation("applicant_name", *_ANOTHER_NAME)])
    return name or written


def _is_account_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


async def _opened(registration: Registered, keys: KeyRing) -> Mapping[str, str]:
    if registration.event is None:
        # The first login is a moment old.
        raise Refused("NOT_READY")
    opened = await open_message(registration.event, UUID(registration.event_id), keys)
    return {name: text for name, text in opened.items() if text not in UNREADABLE}


def channel_of(request: pb.SubmitDossierRequest, caller: Caller) -> Channel:
    """The channel of a submission: applicants submit online, receptionists at the counter or what came by post.

    Raises RequestInvalid.
    """
    channel = CHANNEL.stored(request.channel)
    by_official = "receptionist" in caller.roles
    if by_official is (channel is Channel.ONLINE):
        allowed = "counter, post" if by_official else "online"
        raise RequestInvalid([Violation("channel", f"Phải là: {allowed}.", f"It must be one of: {allowed}.")])
    return channel


@dataclass(frozen=True, slots=True)
class Intake:
    """Makes submissions of requests.

    `reply_terms`: the province's own times to answer online dossiers, by their first day.
    """

    settings: Settings
    people: Batched[str, KnownAccount]
    registry: Registry
    uploads: Uploads
    keys: KeyRing
    forms: Forms
    benefits: Benefits
    reply_terms: tuple[tuple[date, Term], ...]

    async def submission(self, call: Call[pb.SubmitDossierRequest], caller: Caller, law: Law) -> Submission:
        """What is submitted, with what the law says of it. `caller`: as require_open_window has it.

        Raises Rejected and RequestInvalid for what can be seen before deciding.
        """
        request, at, site, channel = call.request, call.now, self.settings.site, channel_of(call.request, caller)
        procedure = law.in_force(request.procedure_code, at)
        if channel is Channel.ONLINE and caller.kind != "system" and caller.loa < procedure.loa:
            raise Refused("ASSURANCE_TOO_LOW", required=str(procedure.loa), loa=str(caller.loa))
        reception = law.agency_here(request.reception_agency, at, site)
        competent = (
            law.named(procedure, request.competent_agency, reception, at, site)
            if request.competent_agency
            else law.competent(procedure, reception, at)
        )
        if caller.kind == "system" or caller.purpose == NATIONAL:
            require_scope(caller, procedure.code, (reception.code, competent.code))
        answers = form_answers(request.form)
        await self.forms.check(procedure, answers, at, required=channel is Channel.ONLINE)
        applicant, known = await self._applicant(request, caller)
        granted, claimed = _claims(request, caller, procedure, at)
        documents = known.documents.own(applicant.account_id, at)
        used = await self.benefits.used_up(procedure, applicant.account_id, local_day(at))
        require_unused(granted, used)
        reusable = frozenset(documents) if request.reuse_consent else ()
        eligibility = Eligibility(_account_level(applicant, known, caller), reusable, granted, used)
        terms = law.terms(
            Question(
                procedure=procedure, channel=channel, agency=competent, answers=answers, at=at, eligibility=eligibility
            )
        )
        components = components_of(request.components, at)
        return Submission(
            by=actor_of(caller),
            at=at,
            applicant_id=applicant.account_id,
            applicant_kind=applicant.kind,
            applicant_name=Sealed(applicant.name),
            email=Sealed(applicant.email),
            phone=Sealed(applicant.phone),
            form=Sealed(form_text(answers)),
            channel=channel,
            components=components,
            uploaded=await self.uploads.owned(owner_of(caller), attached(components)),
            documents=documents,
            others_documents=known.documents.others(applicant.account_id, at),
            reuse_consent=request.reuse_consent,
            place_of_submission=ONLINE if channel is Channel.ONLINE else caller.agency,
            reception_agency=reception.code,
            competent_agency=competent.code,
            province=reception.province,
            delivery_method=DELIVERY_METHOD.stored(request.delivery_method),
            draft_id=request.draft_id,
            terms=terms,
            through=caller.act or (caller.account_id if caller.kind == "system" else ""),
            claimed_exemptions=claimed,
            exemption_reason=Sealed(request.exemption_reason if granted else ""),
            reception_term=reply_term(at, self.reply_terms) if channel is Channel.ONLINE else None,
            reception_calendar=law.calendar_of(reception.code, at),
        )

    async def _applicant(self, request: pb.SubmitDossierRequest, caller: Caller) -> tuple[Applicant, KnownAccount]:
        """The caller, by the names that the state verified; or whom an official or a system applies for: an account that exists.

        Raises RequestInvalid, Rejected APPLICANT_MISMATCH, APPLICANT_REQUIRED, OWN_AFFAIR; and as Registry.require.
        """
        if caller.roles & _SELF:
            return await self._caller(request, caller)
        lacks = [name for name in ("applicant_id", "applicant_name", "applicant_kind") if not getattr(request, name)]
        if lacks:
            raise RequestInvalid(
                [Violation(name, "Bắt buộc.", "It is required.") for name in lacks], "APPLICANT_REQUIRED"
            )
        if not _is_account_id(request.applicant_id):
            # Nobody's personal number is taken for one: the id stands in clear in the log.
            raise RequestInvalid(
                [Violation("applicant_id", "Phải là mã tài khoản.", "It must be an account's id, a UUID.")]
            )
        kind = APPLICANT_KIND.stored(request.applicant_kind)
        if kind is ApplicantKind.CITIZEN and (fault := name_fault(request.applicant_name, person=True)):
            raise RequestInvalid([Violation("applicant_name", *fault)])
        require_impartial(caller, request.applicant_id)
        known = await self.people.get(request.applicant_id) or KnownAccount()
        registration = await self.registry.require(request.applicant_id, kind, known.registration)
        name = await _name_of(kind, request.applicant_name, registration, self.keys)
        return Applicant(request.applicant_id, kind, name, request.email, request.phone), known

    async def _caller(self, request: pb.SubmitDossierRequest, caller: Caller) -> tuple[Applicant, KnownAccount]:
        if request.applicant_id not in ("", caller.account_id):
            raise Refused("APPLICANT_MISMATCH")
        self.registry.require_open(caller.account_id)
        kind = ApplicantKind.CITIZEN if "citizen" in caller.roles else ApplicantKind.ORGANISATION
        known = await self.people.get(caller.account_id) or KnownAccount()
        opened = await _opened(known.registration, self.keys)
        name, email, phone = (opened.get(field, "") for field in ("full_name", "email", "phone"))
        return Applicant(caller.account_id, kind, name, request.email or email, request.phone or phone), known


def _claims(
    request: pb.SubmitDossierRequest, caller: Caller, procedure: Procedure, at: datetime
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The exemptions that a receptionist grants, and those that somebody else claims. Raises EXEMPTION_UNKNOWN, REASON_REQUIRED."""
    codes = tuple(dict.fromkeys(request.exemption_codes))
    known = {exemption.code for exemption in exemptions_on(procedure, local_day(at))}
    if unknown := [code for code in codes if code not in known]:
        raise Refused("EXEMPTION_UNKNOWN", procedure_code=procedure.code, exemption=", ".join(unknown))
    if "receptionist" not in caller.roles:
        return (), codes
    if codes:
        require_reason(request.exemption_reason)
    return codes, ()


def require_unused(codes: Collection[str], used: Collection[str]) -> None:
    """Refuses exemptions that are used up. Raises Rejected EXEMPTION_USED."""
    if again := [code for code in codes if code in used]:
        raise Refused("EXEMPTION_USED", exemption=", ".join(again))


def _account_level(applicant: Applicant, known: KnownAccount, caller: Caller) -> int:
    """Of a citizen's electronic identity."""
    if applicant.kind is not ApplicantKind.CITIZEN:
        return 0
    return max(known.level, caller.loa if caller.account_id == applicant.account_id else 0)
