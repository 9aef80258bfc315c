"""The national population database as a port, and its HTTP adapter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol, cast, get_args
from urllib.parse import quote

import httpx

from services.chassis.network.outbound import ask
from services.identity.accounts.values import LookupGap, LookupOutcome, PersonField, VerifiedData
from services.law.days import is_birth
from services.law.places import is_place_code

# Of what it says that is told on.
LONGEST_CODE = 80

Gender = Literal["male", "female"]
MaritalStatus = Literal["single", "married", "divorced", "widowed"]
# As the database names them.
FIELDS: Mapping[PersonField, str] = {
    PersonField.GENDER: "gender",
    PersonField.NATIONALITY: "nationality",
    PersonField.RESIDENCE: "residence",
    PersonField.MARITAL_STATUS: "marital_status",
}
GAPS: Mapping[str, LookupGap] = {
    "birth-date": LookupGap.BIRTH_DATE,
    "record-incomplete": LookupGap.RECORD_INCOMPLETE,
    "record-disputed": LookupGap.RECORD_DISPUTED,
    "request": LookupGap.REQUEST,
}


class PopulationUnavailable(Exception):
    """It does not answer, or not in the agreed form: the same look-up may succeed later."""


class PopulationRefused(Exception):
    """It does not accept our credentials, purpose or legal basis: an operator must act."""


@dataclass(frozen=True, slots=True)
class Residence:
    province: str
    commune: str
    address: str
    # None: the place was given no code yet.
    place_code: str | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """What was not asked for, or is not known, is None."""

    personal_number: str
    full_name: str
    # A day, or a month or year where no more is known.
    birth_date: str
    gender: Gender | None = None
    nationality: str | None = None
    residence: Residence | None = None
    marital_status: MaritalStatus | None = None


@dataclass(frozen=True, slots=True)
class Lookup:
    personal_number: str
    full_name: str
    birth_date: str
    wanted: tuple[PersonField, ...]
    purpose: str
    legal_basis: str
    # The official or system that asks, as facts name it, and the official's agency.
    on_behalf_of: str
    agency: str


@dataclass(frozen=True, slots=True)
class Answer:
    outcome: LookupOutcome
    person: Person | None = None
    gap: LookupGap = LookupGap.UNSPECIFIED


class Population(Protocol):
    async def look_up(self, lookup: Lookup) -> Answer: ...


@dataclass(frozen=True, slots=True)
class PopulationSettings:
    url: str
    client_id: str
    client_secret: str
    timeout: float = 5.0


class HttpPopulation:
    def __init__(self, settings: PopulationSettings, http: httpx.AsyncClient) -> None:
        self._settings = settings
        self._http = http

    async def look_up(self, lookup: Lookup) -> Answer:
        """The number travels in the body, never in an address that logs keep."""
        try:
            answer = await ask(
                self._http,
                "POST",
                f"{self._settings.url}/v1/persons:lookup",
                json={
                    "personal_number": lookup.personal_number,
                    "full_name": lookup.full_name,
                    "birth_date": lookup.birth_date,
                    "fields": [FIELDS[field] for field in lookup.wanted],
                },
                # Header values are ASCII; these are not.
                headers={
                    "purpose": quote(lookup.purpose),
                    "legal-basis": quote(lookup.legal_basis),
                    "on-behalf-of": quote(lookup.on_behalf_of),
                    "agency": quote(lookup.agency),
                },
                auth=(self._settings.client_id, self._settings.client_secret),
                timeout=self._settings.timeout,
            )
            body = answer.json() if answer.status < 500 else None
        except (httpx.HTTPError, ValueError) as error:
            raise PopulationUnavailable(type(error).__name__) from None
        if not isinstance(body, dict):
            raise PopulationUnavailable(f"HTTP {answer.status}")
        match answer.status:
            case 200:
                return _answer(body, lookup)
            case 400 | 401 | 403:
                raise PopulationRefused(str(body.get("code"))[:LONGEST_CODE])
            case status:
                raise PopulationUnavailable(f"HTTP {status}")


def _answer(body: Mapping[str, Any], lookup: Lookup) -> Answer:
    match body.get("answer"):
        case "match":
            return Answer(LookupOutcome.FOUND, _person(body, lookup))
        case "no-match":
            return Answer(LookupOutcome.NO_MATCH)
        case "no-data":
            return Answer(LookupOutcome.NOT_FOUND)
        case "not-enough-basis" if isinstance(reason := body.get("reason"), str) and reason:
            return Answer(LookupOutcome.NOT_ENOUGH_BASIS, gap=GAPS.get(reason, LookupGap.OTHER))
        case _:
            raise PopulationUnavailable("the answer is none of those that there are")


def _person(body: Mapping[str, Any], lookup: Lookup) -> Person:
    """Of what it says only what was asked for."""
    try:
        told = body["person"]
        given = {FIELDS[field]: told.get(FIELDS[field]) for field in lookup.wanted}
        person = Person(told["personal_number"], told["full_name"], told["birth_date"], **given)
        if place := person.residence:
            person = replace(person, residence=_residence(cast(Mapping[str, Any], place)))
        if (
            person.personal_number != lookup.personal_number
            or not (isinstance(person.full_name, str) and is_birth(str(person.birth_date), ""))
            or not (person.nationality is None or isinstance(person.nationality, str))
            or person.gender not in (None, *get_args(Gender))
            or person.marital_status not in (None, *get_args(MaritalStatus))
        ):
            raise ValueError("another person, or an unknown word")
        return person
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PopulationUnavailable(f"the answer cannot be read: {type(error).__name__}") from None


def _residence(place: Mapping[str, Any]) -> Residence:
    place_code = place.get("place_code")
    if not (place_code is None or (isinstance(place_code, str) and is_place_code(place_code))):
        raise ValueError("place code")
    return Residence(str(place["province"]), str(place["commune"]), str(place["address"]), place_code)


@cache
def reuse_periods() -> Mapping[str, timedelta]:
    """By component kind, from reuse.json."""
    document = json.loads((Path(__file__).parent / "reuse.json").read_text())
    return {kind: timedelta(days=days) for kind, days in document["days"].items()}


def verified_data(person: Person, at: datetime) -> tuple[VerifiedData, ...]:
    """What an answer lets people reuse instead of papers: each kind of which all was told."""
    data: dict[str, dict[str, Any]] = {}
    if person.gender and person.nationality:
        data["identity"] = {
            "personal_number": person.personal_number,
            "full_name": person.full_name,
            "birth_date": person.birth_date,
            "gender": person.gender,
            "nationality": person.nationality,
        }
    if person.residence:
        data["residence"] = asdict(person.residence)
    if person.marital_status:
        data["marital-status"] = {"marital_status": person.marital_status}
    return tuple(
        VerifiedData(kind, json.dumps(data[kind], ensure_ascii=False, sort_keys=True), at + period)
        for kind, period in reuse_periods().items()
        if kind in data
    )
