"""The catalogue as this service needs it: what the law says for a dossier on a day, learnt from the catalogue's facts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection

from services.chassis.decider import Rejected
from services.chassis.deciding.caller import decides_for
from services.chassis.following.in_force import Version, versions_of
from services.dossier.domain.fees import LARGEST_FEE
from services.dossier.forms import faulty
from services.dossier.refusals import Refused
from services.dossier.values import (
    EVERYWHERE,
    HERE,
    Channel,
    ComponentSource,
    Exempt,
    FeeItem,
    FileKind,
    Requirement,
    Route,
    StepRule,
    Terms,
    Waiver,
)
from services.law import definitions
from services.law.cases import NO_ELIGIBILITY, Eligibility, case_of, circumstances, following
from services.law.course import FeeCondition
from services.law.dated import counts_from, forward_by, holds
from services.law.days import local_day
from services.law.deadlines import Calendar, first_change
from services.law.definitions import Agency, Authority, FeeOverlay, Level, Procedure, calendar_of
from services.law.fees import QuotedItem, exemptions_on, quote
from services.law.validity import Validity, nearest, newest


@dataclass(frozen=True, slots=True)
class _Calendar:
    """One version of a calendar, with the law that it follows from."""

    validity: Validity
    calendar: Calendar
    legal_basis: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the law is asked for: one procedure, for this channel, agency, answers and applicant, on this day.

    `submitted_at`: None if it is submitted now. `calendar_id`: empty for the agency's own.
    """

    procedure: Procedure
    channel: Channel
    agency: Agency
    answers: Mapping[str, Any]
    at: datetime
    submitted_at: datetime | None = None
    calendar_id: str = ""
    eligibility: Eligibility = NO_ELIGIBILITY

    @property
    def day(self) -> str:
        """The day whose law counts: that of submission."""
        return local_day(self.submitted_at or self.at)


class Law:
    """The catalogue's definitions, all of them, in memory."""

    def __init__(self, db: Connection) -> None:
        self._procedures: defaultdict[str, dict[int, Version]] = defaultdict(dict)
        self._overlays: list[FeeOverlay] = []
        self._agencies: defaultdict[str, list[Version]] = defaultdict(list)
        self._calendars: defaultdict[str, list[_Calendar]] = defaultdict(list)
        # The last day and the successor of those that closed.
        self._closures: dict[str, tuple[str, str]] = {}
        for one in versions_of(db, "procedure", "overlay", "agency", "calendar"):
            match one.kind:
                case "procedure":
                    self._procedures[one.key][one.version] = one
                case "overlay":
                    self._overlays.append(one.value)
                case "agency":
                    self._agencies[one.key].append(one)
                    if one.successor:
                        self._closures[one.key] = (one.validity.until, one.successor)
                case "calendar":
                    known = _Calendar(one.validity, calendar_of(one.value), one.value.legal_basis)
                    self._calendars[one.key].append(known)

    def in_force(self, procedure_code: str, at: datetime) -> Procedure:
        """The procedure's newest version in force on that day. Raises Rejected PROCEDURE_UNKNOWN."""
        if (procedure := self.offered(procedure_code, at)) is None:
            raise Refused("PROCEDURE_UNKNOWN", procedure_code=procedure_code)
        return procedure

    def offered(self, procedure_code: str, at: datetime) -> Procedure | None:
        found = newest(self._procedures.get(procedure_code, {}).values(), local_day(at))
        return found.value if found else None

    def version(self, procedure_code: str, version: int) -> Procedure:
        """This version of the procedure. Raises Rejected NOT_READY where this replica has not read of it yet."""
        known = self._procedures.get(procedure_code, {}).get(version)
        if known is None:
            raise Refused("NOT_READY")
        procedure: Procedure = known.value
        return procedure

    def name_of(self, procedure_code: str, version: int) -> definitions.Text | None:
        """The name of this version of the procedure; None where this replica has not read of it yet."""
        known = self._procedures.get(procedure_code, {}).get(version)
        return known.value.name if known else None

    def agency(self, code: str, at: datetime) -> Agency:
        """The agency as it is on that day. Raises Rejected AGENCY_UNKNOWN where it is not in force."""
        found = newest(self._agencies.get(code, ()), local_day(at))
        if found is None:
            raise Refused("AGENCY_UNKNOWN", agency=code)
        agency: Agency = found.value
        return agency

    def agency_here(self, code: str, at: datetime, site: str) -> Agency:
        """The agency as it is on that day, if this site decides for it. Raises Rejected AGENCY_UNKNOWN, AGENCY_ELSEWHERE."""
        agency = self.agency(code, at)
        if not decides_for(site, agency.province):
            raise Refused("AGENCY_ELSEWHERE", agency=code, province=agency.province)
        return agency

    def known_agency(self, code: str, at: datetime) -> Agency:
        """The agency, in force or not, as it is nearest to that day.

        Raises Rejected NOT_READY where this replica has not read of it yet.
        """
        versions = self._agencies.get(code)
        if not versions:
            raise Refused("NOT_READY")
        agency: Agency = nearest(versions, local_day(at)).value
        return agency

    def lies_in(self, code: str, province: str) -> bool:
        """Whether the agency belongs to the province, or none is given. What is not known yet is not held against anybody."""
        versions = self._agencies.get(code)
        return not province or not versions or versions[0].message.province in ("", province)

    def successions(self, at: datetime) -> dict[str, str]:
        """The agencies that closed before this day, each with the one that took its place."""
        day = local_day(at)
        return {code: successor for code, (until, successor) in self._closures.items() if until < day}

    def calendar(self, calendar_id: str, at: datetime) -> Calendar:
        """The calendar's newest version in force on that day.

        Raises Rejected NOT_READY where this replica has not read of it yet.
        """
        if (found := self._calendar(calendar_id, at)) is None:
            raise Refused("NOT_READY")
        return found.calendar

    def _calendar(self, calendar_id: str, at: datetime) -> _Calendar | None:
        return newest(self._calendars.get(calendar_id, []), local_day(at))

    def calendar_of(self, agency: str, at: datetime) -> Calendar:
        return self.calendar(self.known_agency(agency, at).calendar_id, at)

    def superseded(self, at: datetime) -> Iterator[tuple[str, date, Calendar, tuple[str, ...]]]:
        """Each version of a calendar that a newer one has taken the place of, by name; the first day that the newest counts
        differently, the newest, and its law."""
        for calendar_id, versions in self._calendars.items():
            if (found := self._calendar(calendar_id, at)) is None:  # its first day is to come
                continue
            now = found.calendar
            for version in versions:
                if version.calendar.version < now.version:
                    yield version.calendar.name, first_change(version.calendar, now), now, found.legal_basis

    def days_known(self, at: datetime) -> dict[str, int]:
        """How many days from now on each calendar that an open agency keeps has its holidays announced."""
        today = date.fromisoformat(local_day(at))
        kept = {agency.calendar_id: self._calendar(agency.calendar_id, at) for agency in self._open(at)}
        return {calendar_id: (found.calendar.known_until - today).days for calendar_id, found in kept.items() if found}

    def _open(self, at: datetime) -> Iterator[Agency]:
        """Every agency that is in force on that day, as it is then."""
        day = local_day(at)
        return (found.value for each in self._agencies.values() if (found := newest(each, day)))

    def route(self, reception: str, competent: str, channel: Channel, at: datetime) -> Route:
        """How what the reception agency receives now comes to the competent agency."""
        if reception == competent:
            return HERE
        calendar, at_counter = self.calendar_of(reception, at), channel is Channel.COUNTER
        across = holds("competent_clock", at) and not _serves(
            self.known_agency(competent, at), self.known_agency(reception, at)
        )
        return Route(forward_by(calendar, at, at_counter), counts_from(calendar, at, at_counter) if across else None)

    def named(self, procedure: Procedure, code: str, reception: Agency, at: datetime, site: str) -> Agency:
        """The agency that somebody wants as the competent one: of the province, or where anybody may of all for which the site
        decides.

        Raises AGENCY_UNKNOWN, AGENCY_ELSEWHERE, AGENCY_NOT_COMPETENT.
        """
        agency = self.agency_here(code, at, site)
        for authority in procedure.authorities:
            near = agency.province == reception.province or _serves(agency, reception)
            if _matches(agency, authority) and (near or (authority.anywhere and holds("nationwide", at))):
                return agency
        raise Refused("AGENCY_NOT_COMPETENT", agency=code, procedure_code=procedure.code)

    def competent(self, procedure: Procedure, reception: Agency, at: datetime) -> Agency:
        """The reception agency itself where it is competent, else the nearest that is. Raises AGENCY_NOT_COMPETENT."""
        near = [reception, *self._open(at)]
        for authority in procedure.authorities:
            for agency in near:
                if _matches(agency, authority) and _serves(agency, reception):
                    return agency
        raise Refused("AGENCY_NOT_COMPETENT", agency=reception.code, procedure_code=procedure.code)

    def terms(self, question: Question) -> Terms:
        """The procedure resolved for one dossier. Raises Rejected CHANNEL_NOT_OFFERED, DEFINITION_FAULTY, FEE_INVALID."""
        try:
            return self._terms(question)
        except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
            raise faulty(question.procedure) from error

    def _terms(self, question: Question) -> Terms:
        procedure, channel, form = question.procedure, question.channel, question.answers
        rule = next((rule for rule in procedure.channels if rule.channel.value == channel.value), None)
        if rule is None:
            raise Refused("CHANNEL_NOT_OFFERED", procedure_code=procedure.code, channel=channel.name)
        so = circumstances(procedure, form)
        fee = procedure.fee or definitions.Fee()
        items = self._fee_items(question)
        used = {item.exemption_code for item in items} - {""}
        proofs = following(procedure, question.day, form, question.eligibility)
        requirements = tuple(
            Requirement(
                component.code,
                component.required and (not component.only_if or component.only_if in so),
                frozenset(ComponentSource(source.value) for source in component.sources),
                component.document_kind,
                frozenset(FileKind(kind.value) for kind in component.file_kinds) or EVERYWHERE,
                component.about_another,
                str(form.get(component.issued_on_field) or ""),
                (component.name.vi, component.name.en),
            )
            for component in procedure.components
        )
        return Terms(
            procedure_code=procedure.code,
            procedure_version=procedure.version,
            term=rule.term,
            calendar=self.calendar(question.calendar_id or question.agency.calendar_id, question.at),
            requirements=requirements,
            steps=tuple(StepRule(step.code, step.role) for step in procedure.steps),
            fee_items=tuple(
                FeeItem(item.name.vi, item.amount, item.charge_code, item.waived)
                for item in items
                if item.amount or item.waived
            ),
            fee_condition=FeeCondition(fee.condition.value or 1),
            document_kind=procedure.results[0].document_kind if procedure.results else "",
            waiver=Waiver(
                tuple(sorted(used)), tuple(sorted({kind for code in used if (kind := proofs.get(code, ""))}))
            ),
            exemptions=tuple(
                Exempt(known.code, known.percent, known.charge_codes, known.maximum)
                for known in exemptions_on(procedure, question.day)
            ),
            charge_codes=frozenset(charge.code for charge in fee.charges),
            pay_within=fee.pay_within,
            stops_unpaid=fee.unpaid is definitions.UnpaidConsequence.STOP,
        )

    def _fee_items(self, question: Question) -> tuple[QuotedItem, ...]:
        """The fee's items.

        Empty where nothing is owed, and where the Council set nothing or the form does not say how many: then an official assesses
        the fee.
        """
        procedure, channel = question.procedure, definitions.Channel(question.channel.value)
        province = question.agency.province
        case = case_of(procedure, province, channel, question.day, question.answers, question.eligibility)
        try:
            items = quote(procedure, self._overlays, case)
        except Rejected as rejected:
            if rejected.reason in ("FEE_NOT_SET", "COUNT_MISSING"):
                return ()
            raise
        if sum(item.amount for item in items) > LARGEST_FEE:
            raise Refused("FEE_INVALID")
        return items


def _matches(agency: Agency, authority: Authority) -> bool:
    same = (agency.level, agency.kind) == (authority.level, authority.kind)
    return same and authority.field in ("", agency.field)


def _serves(agency: Agency, reception: Agency) -> bool:
    match agency.level:
        case Level.COMMUNE:
            return agency.province == reception.province and agency.commune == reception.commune
        case Level.PROVINCE:
            return agency.province == reception.province
        case _:
            return True
