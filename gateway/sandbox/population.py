"""The national population database for trying the platform without the state: sample persons over HTTP and JSON."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.sandbox.outage import Outage, OutageMiddleware
from gateway.sandbox.people import citizen_by_number
from services.chassis.names import same_name


@dataclass(frozen=True, slots=True)
class Settings:
    # Secrets by client id.
    clients: Mapping[str, str]
    admin_secret: str


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
            number, name = body["personal_number"], body["full_name"]
        except (ValueError, KeyError, TypeError, RecursionError):
            number = name = None
        if not isinstance(number, str) or not isinstance(name, str):
            return _problem(400, "malformed", "send personal_number and full_name as JSON")
        person = citizen_by_number(number)
        if person is None:
            return _problem(404, "person-unknown", "no person has this number")
        if not same_name(person.full_name, name):
            return _problem(409, "name-mismatch", "the number belongs to another name")
        return JSONResponse(
            {
                "personal_number": person.personal_number,
                "full_name": person.full_name,
                "birth_date": person.birth_date.isoformat(),
                "gender": person.gender,
                "nationality": "VN",
                "residence": {
                    "province": person.place.province_code,
                    "commune": person.place.commune_code,
                    "address": f"{person.address}, {person.place.commune}, {person.place.province}",
                },
                "marital_status": person.marital_status,
            },
            headers={"cache-control": "no-store"},
        )

    return Starlette(
        routes=[Route("/v1/persons:lookup", look_up, methods=["POST"]), outage.route],
        middleware=[Middleware(OutageMiddleware, outage=outage)],
    )


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


def _problem(status: int, code: str, detail: str) -> Response:
    return JSONResponse({"code": code, "detail": detail}, status, {"cache-control": "no-store"})
