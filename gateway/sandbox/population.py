"""The national population database for trying the platform without the state: sample persons over HTTP and JSON.

Its answers are the four of Thông tư 136/2026/TT-BCA.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.sandbox.outage import Outage, OutageMiddleware
from gateway.sandbox.people import Citizen, citizen_by_number
from gateway.sandbox.players import Stage
from services.chassis.platform.settings import Settings as Site
from services.chassis.text.names import same_name
from services.law.days import is_birth

# Sample persons whose records are being corrected.
DISPUTED = frozenset({1_999})


@dataclass(frozen=True, slots=True)
class Settings:
    # Secrets by client id.
    clients: Mapping[str, str]
    admin_secret: str


def play(site: Site, stage: Stage) -> Starlette:
    return create_app(Settings({site.vneid_client_id: site.population_secret}, stage.admin))


def create_app(settings: Settings) -> Starlette:
    outage = Outage(settings.admin_secret)

    async def look_up(request: Request) -> Response:
        if not _authentic(request, settings.clients):
            return _problem(401, "unauthenticated", "the client is unknown or its secret is wrong")
        for header in ("purpose", "legal-basis", "on-behalf-of"):
            if not unquote(request.headers.get(header, "")).strip():
                return _problem(400, f"{header}-missing", f"state the header {header}, percent-encoded UTF-8")
        try:
            body = await request.json()
            number, name, born = stated = tuple(body[key] for key in ("personal_number", "full_name", "birth_date"))
            wanted = body["fields"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return _malformed()
        known = isinstance(wanted, list) and all(isinstance(name, str) and name in FIELDS for name in wanted)
        if not known or not all(isinstance(text, str) for text in stated) or not is_birth(born, ""):
            return _malformed()
        return JSONResponse(_answer(number, name, born, wanted), headers={"cache-control": "no-store"})

    return Starlette(
        routes=[Route("/v1/persons:lookup", look_up, methods=["POST"]), outage.route],
        middleware=[Middleware(OutageMiddleware, outage=outage)],
    )


def _answer(number: str, name: str, birth_date: str, wanted: list[str]) -> dict[str, Any]:
    person = citizen_by_number(number)
    if person is None:
        return {"answer": "no-data"}
    born = person.birth_date.isoformat()
    if not same_name(person.full_name, name) or not born.startswith(birth_date):
        return {"answer": "no-match"}
    if birth_date != born:
        return {"answer": "not-enough-basis", "reason": "birth-date"}
    if person.index in DISPUTED:
        return {"answer": "not-enough-basis", "reason": "record-disputed"}
    told = {"personal_number": person.personal_number, "full_name": person.full_name, "birth_date": born}
    return {"answer": "match", "person": told | {field: FIELDS[field](person) for field in wanted}}


def _residence(person: Citizen) -> dict[str, str | None]:
    return {
        "province": person.place.province_code,
        "commune": person.place.commune_code,
        "address": f"{person.address}, {person.place.commune}, {person.place.province}",
        "place_code": person.place_code,
    }


FIELDS: Mapping[str, Callable[[Citizen], Any]] = {
    "gender": lambda person: person.gender,
    "nationality": lambda person: "VN",
    "residence": _residence,
    "marital_status": lambda person: person.marital_status,
}


def _authentic(request: Request, clients: Mapping[str, str]) -> bool:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    try:
        client_id, _, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
    except ValueError:
        return False
    expected = clients.get(client_id)
    return (
        scheme.lower() == "basic" and expected is not None and hmac.compare_digest(expected.encode(), secret.encode())
    )


def _malformed() -> Response:
    what = "personal_number, full_name and birth_date (1990-03-02, 1950-03 or 1950)"
    return _problem(400, "malformed", f"send {what} as JSON, and as fields a list of {', '.join(FIELDS)}")


def _problem(status: int, code: str, detail: str) -> Response:
    return JSONResponse({"code": code, "detail": detail}, status, {"cache-control": "no-store"})
