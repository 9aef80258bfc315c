"""What a person sees of their own data: who opened it. Server-rendered, no script, Vietnamese first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from babel.dates import format_datetime
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from services.chassis.database.database import utc
from services.chassis.grounds.uses import purposes
from services.chassis.pages.languages import COOKIE, LANGUAGES, choose
from services.chassis.pages.security_headers import stylesheet
from services.chassis.pages.templates import environment
from services.chassis.pages.words import words_of
from services.identity.faults import OAuthError
from services.identity.queries import data_uses_query
from services.identity.sessions import Session
from services.identity.uses import data_uses, name_of_agency, name_of_system
from services.law.days import ZONE

ROOT = "/my"
DATA = "/my/data"
PAGE_SIZE = 50
# Digits: of 63 bits.
LONGEST_NUMBER = 18
_FOLDER = Path(__file__).parent
_MOMENT = {"vi": ("HH:mm, dd/MM/yyyy", "vi"), "en": ("HH:mm, d MMMM yyyy", "en_GB")}
_YEAR = 31_536_000
_TEMPLATES = environment(_FOLDER / "templates")
style = stylesheet(_FOLDER / "templates" / "my.css")


@dataclass(frozen=True, slots=True)
class Use:
    """One line of the page: uses that follow each other and differ in nothing but the moment are one."""

    at: datetime
    since: datetime
    count: int
    opened: str
    code: str
    who: str
    roles: tuple[str, ...]
    # The official's id: with it, the agency knows whom a complaint is about.
    account: str
    purpose: str
    basis: str


@dataclass(frozen=True, slots=True)
class Place:
    """Uses are ordered by their position in the log, newest first: the page begins below one, or ends above one."""

    below: int | None = None
    above: int | None = None


@dataclass(frozen=True, slots=True)
class Uses:
    shown: Sequence[Use]
    # None where there are none.
    newer: Place | None
    older: Place | None
    here: Place


@cache
def _words(language: str) -> Mapping[str, str]:
    return words_of(_FOLDER / "texts", language)


def language_of(request: Request) -> str:
    query, cookies = request.query_params.get("lang"), request.cookies.get(COOKIE)
    return choose(query, cookies, request.headers.get("accept-language", ""))


def place_of(request: Request) -> Place:
    """The first page where the address names none that there can be."""
    below, above = (_number(request.query_params.get(name, "")) for name in ("below", "above"))
    return Place(below) if below is not None else Place(above=above)


def _number(written: str) -> int | None:
    plain = written.isascii() and written.isdigit() and len(written) <= LONGEST_NUMBER
    return int(written) if plain else None


def read(db: Connection, account_id: str, place: Place, language: str, day: str) -> Uses:
    """Agencies are called as on the day."""
    query, position = data_uses_query(account_id), data_uses.c.position
    if place.above is not None:
        rows = db.execute(query.where(position > place.above).order_by(position).limit(PAGE_SIZE + 1)).all()
        newer, rows = len(rows) > PAGE_SIZE, list(reversed(rows[:PAGE_SIZE]))
        older = db.execute(query.where(position <= place.above).limit(1)).first() is not None
    else:
        below = query if place.below is None else query.where(position < place.below)
        rows = list(db.execute(below.order_by(position.desc()).limit(PAGE_SIZE + 1)).all())
        newer = (
            place.below is not None and db.execute(query.where(position >= place.below).limit(1)).first() is not None
        )
        older, rows = len(rows) > PAGE_SIZE, rows[:PAGE_SIZE]
    first, last = (rows[0].position, rows[-1].position) if rows else (0, 0)
    return Uses(
        _joined(_use(db, row, language, day) for row in rows),
        Place(above=first) if newer and rows else Place() if newer else None,
        Place(below=last) if older and rows else Place() if older else None,
        place,
    )


def _joined(uses: Iterable[Use]) -> list[Use]:
    """Newest first, as they come."""
    joined: list[Use] = []
    for use in uses:
        last = joined[-1] if joined else None
        if last and replace(use, at=last.at, since=last.since, count=last.count) == last:
            joined[-1] = replace(last, since=use.at, count=last.count + 1)
        else:
            joined.append(use)
    return joined


def _use(db: Connection, row: Any, language: str, day: str) -> Use:
    purpose = purposes().get(row.purpose)
    system = row.by.startswith("system:")
    if system:
        who = name_of_system(db, row.by.removeprefix("system:"), language, _t(language, "data.system"), day)
    else:
        who = name_of_agency(db, row.agency, language, day)
    at = utc(row.at).astimezone(ZONE)
    return Use(
        at=at,
        since=at,
        count=1,
        opened=row.source,
        code=row.dossier_code,
        who=who,
        roles=() if system else tuple(row.roles.split()),
        account="" if system else row.by,
        purpose=row.purpose if purpose is None else purpose.en if language == "en" else purpose.vi,
        basis=row.legal_basis,
    )


def data(request: Request, session: Session, name: str, language: str, uses: Uses) -> Response:
    context = {
        "name": name,
        "form_token": session.form_token,
        "uses": uses.shown,
        "newer": uses.newer and _address(uses.newer),
        "older": uses.older and _address(uses.older),
        "here": _address(uses.here),
    }
    return _render(request, "data.html", language, context)


def _address(place: Place) -> str:
    named = {"below": place.below, "above": place.above}
    return urlencode({name: position for name, position in named.items() if position is not None})


def enter(request: Request) -> Response:
    return _render(request, "enter.html", language_of(request), {})


def refusal(request: Request, error: OAuthError) -> Response:
    """Why somebody could not log in."""
    language = language_of(request)
    text = error.fault.en if language == "en" else error.fault.vi
    shown = {"heading": _t(language, "message.login"), "text": text}
    response = _render(request, "message.html", language, shown, error.status)
    response.headers.update(error.headers)
    return response


def stale(request: Request) -> Response:
    """A form that is not one of the session's."""
    language = language_of(request)
    shown = {"heading": _t(language, "message.stale"), "text": _t(language, "message.stale-text")}
    return _render(request, "message.html", language, shown, 403)


def to_data() -> Response:
    return RedirectResponse(DATA, 303, {"cache-control": "no-store"})


def _t(language: str, key: str, /, **facts: str) -> str:
    text = _words(language)[key]
    return text.format_map(facts) if facts else text


def _render(request: Request, template: str, language: str, context: Mapping[str, Any], status: int = 200) -> Response:
    pattern, locale = _MOMENT[language]
    words = {
        "lang": language,
        "here": "",
        "t": lambda key, **facts: _t(language, key, **facts),
        "known": lambda family, word: _words(language).get(f"{family}.{word}", word),
        "moment": lambda at: format_datetime(at, pattern, tzinfo=ZONE, locale=locale),
    }
    html = _TEMPLATES.get_template(template).render(words | dict(context))
    headers = {
        "cache-control": "no-store",
        "content-language": language,
        "vary": "Accept-Language, Cookie",
        "x-robots-tag": "noindex",
    }
    response = HTMLResponse(html, status, headers)
    if request.query_params.get("lang") in LANGUAGES:
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, language, _YEAR, secure=secure, httponly=True, samesite="lax")
    return response
