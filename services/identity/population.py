"""The national population database as a port, and its HTTP adapter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol, cast, get_args
from urllib.parse import quote

import httpx

from services.chassis.outbound import ask
from services.identity.domain import LookupOutcome, VerifiedData

# Of what it says that is told on.
LONGEST_CODE = 80

Gender = Literal["male", "female"]
MaritalStatus = Literal["single", "married", "divorced", "widowed"]


class PopulationUnavailable(Exception):
    """It does not answer, or not in the agreed form: the same look-up may succeed later."""


class PopulationRefused(Exception):
    """It does not accept our credentials, purpose or legal basis: an operator must act."""


@dataclass(frozen=True, slots=True)
class Residence:
    province: str
    commune: str
    address: str


@dataclass(frozen=True, slots=True)
class Person:
    personal_number: str
    full_name: str
    birth_date: date
    gender: Gender
    nationality: str
    residence: Residence
    marital_status: MaritalStatus


@dataclass(frozen=True, slots=True)
class Lookup:
    personal_number: str
    full_name: str
    purpose: str
    legal_basis: str
    # The official or system that asks, as facts name it.
    on_behalf_of: str


@dataclass(frozen=True, slots=True)
class Answer:
    outcome: LookupOutcome
    person: Person | None = None


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
                json={"personal_number": lookup.personal_number, "full_name": lookup.full_name},
                # Header values are ASCII; these are not.
                headers={
                    "purpose": quote(lookup.purpose),
                    "legal-basis": quote(lookup.legal_basis),
                    "on-behalf-of": quote(lookup.on_behalf_of),
                },
                auth=(self._settings.client_id, self._settings.client_secret),
                timeout=self._settings.timeout,
            )
            body = answer.json() if answer.status < 500 else None
        except (httpx.HTTPError, ValueError) as error:
            raise PopulationUnavailable(type(error).__name__) from None
        if not isinstance(body, dict):
            raise PopulationUnavailable(f"HTTP {answer.status}")
        match answer.status, body.get("code"):
            case 200, _:
                return Answer(LookupOutcome.FOUND, _person(body))
            case 404, "person-unknown":
                return Answer(LookupOutcome.NOT_FOUND)
            case 409, "name-mismatch":
                return Answer(LookupOutcome.NAME_MISMATCH)
            case ((400 | 401 | 403), code):
                raise PopulationRefused(str(code)[:LONGEST_CODE])
            case status, _:
                raise PopulationUnavailable(f"HTTP {status}")


def _person(body: Mapping[str, Any]) -> Person:
    try:
        residence = Residence(**{name: str(body["residence"][name]) for name in Residence.__dataclass_fields__})
        if body["gender"] not in get_args(Gender) or body["marital_status"] not in get_args(MaritalStatus):
            raise ValueError("unknown word")
        return Person(
            str(body["personal_number"]),
            str(body["full_name"]),
            date.fromisoformat(body["birth_date"]),
            cast(Gender, body["gender"]),
            str(body["nationality"]),
            residence,
            cast(MaritalStatus, body["marital_status"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise PopulationUnavailable(f"the answer cannot be read: {type(error).__name__}") from None


@cache
def reuse_periods() -> Mapping[str, timedelta]:
    """By component kind, from reuse.json."""
    document = json.loads((Path(__file__).parent / "reuse.json").read_text())
    return {kind: timedelta(days=days) for kind, days in document["days"].items()}


def verified_data(person: Person, at: datetime) -> tuple[VerifiedData, ...]:
    """What an answer lets people reuse instead of papers."""
    data: dict[str, dict[str, Any]] = {
        "identity": {
            "personal_number": person.personal_number,
            "full_name": person.full_name,
            "birth_date": person.birth_date.isoformat(),
            "gender": person.gender,
            "nationality": person.nationality,
        },
        "residence": asdict(person.residence),
        "marital-status": {"marital_status": person.marital_status},
    }
    return tuple(
        VerifiedData(kind, json.dumps(data[kind], ensure_ascii=False, sort_keys=True), at + period)
        for kind, period in reuse_periods().items()
    )
