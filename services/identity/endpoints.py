"""Login and tokens as HTTP requests and responses."""

from __future__ import annotations

from dataclasses import asdict
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from services.identity import pages
from services.identity.faults import Fault, OAuthError
from services.identity.national import CALLBACK
from services.identity.sessions import LIFETIME, Sessions
from services.identity.web import LOGIN_LIFETIME, Web

COOKIE = "motcua-login"
SESSION = "motcua-session"
PARAMETERS = frozenset({"return_to", "level", "scope"})
FORM = "application/x-www-form-urlencoded"
LARGEST_FORM_BYTES = 64 * 1024
NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}
KEY_SET_SECONDS = 300


async def start_login(web: Web, request: Request, url: str) -> Response:
    query = request.query_params
    try:
        level = query.get("level", "1")
        if not PARAMETERS.issuperset(query) or level not in ("1", "2"):
            raise OAuthError(Fault.REQUEST_MALFORMED)
        redirect = await web.start_login(query.get("return_to", "/"), int(level), query.get("scope", ""))
    except OAuthError as error:
        return pages.refusal(request, error) if _at_browser(request) else _refusal(error)
    response = RedirectResponse(redirect.url, 303, NO_STORE)
    response.set_cookie(
        COOKIE,
        redirect.cookie,
        max_age=int(LOGIN_LIFETIME.total_seconds()),
        path=CALLBACK,
        secure=_secure(url),
        httponly=True,
        samesite="lax",
    )
    return response


async def finish_login(web: Web, sessions: Sessions, request: Request, url: str) -> Response:
    """For a person in front of a browser a session, and back to the page; for a program, and for an appointment, the token."""
    browser = _at_browser(request)
    try:
        done = await web.finish_login(request.query_params, request.cookies.get(COOKIE, ""))
        if browser and done.in_person:
            page = pages.DATA if done.return_to == "/" else done.return_to
            response: Response = RedirectResponse(page, 303, NO_STORE)
            set_session(response, await sessions.begin(done.account_id), int(LIFETIME.total_seconds()), url)
        else:
            response = JSONResponse({**asdict(done.token), "return_to": done.return_to}, headers=NO_STORE)
    except OAuthError as error:
        response = pages.refusal(request, error) if browser else _refusal(error)
    response.delete_cookie(COOKIE, path=CALLBACK, secure=_secure(url), httponly=True, samesite="lax")
    return response


async def token(web: Web, request: Request, certificate: str) -> Response:
    """`certificate`: the x5t#S256 of the one that the client showed to the edge, or nothing."""
    try:
        return JSONResponse(asdict(await web.token(await _form(request), certificate)), headers=NO_STORE)
    except OAuthError as error:
        return _refusal(error)


async def jwks(web: Web) -> Response:
    return JSONResponse(await web.jwks(), headers={"cache-control": f"public, max-age={KEY_SET_SECONDS}"})


async def _form(request: Request) -> list[tuple[str, str]]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise OAuthError(Fault.REQUEST_MALFORMED, f"the content type is not {FORM}")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_FORM_BYTES:
            raise OAuthError(Fault.REQUEST_MALFORMED, "the form is too long")
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
    except ValueError:
        raise OAuthError(Fault.REQUEST_MALFORMED, "the form is not UTF-8") from None


async def log_out(sessions: Sessions, request: Request, url: str) -> Response:
    """From the session's own form only: another site can neither read its token nor, by SameSite, send its cookie."""
    session = await sessions.of(request.cookies.get(SESSION, ""))
    if session is not None:
        try:
            form = dict(await _form(request))
        except OAuthError as error:
            return pages.refusal(request, error)
        if not session.sent(form.get("form_token", "")):
            return pages.stale(request)
        await sessions.end(session)
    response = pages.to_data()
    set_session(response, "", 0, url)
    return response


def set_session(response: Response, cookie: str, seconds: int, url: str) -> None:
    response.set_cookie(
        SESSION, cookie, max_age=seconds, path=pages.ROOT, secure=_secure(url), httponly=True, samesite="lax"
    )


def _at_browser(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def _refusal(error: OAuthError) -> Response:
    return JSONResponse(error.body, error.status, error.headers)


def _secure(url: str) -> bool:
    parts = urlsplit(url)
    return not (parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1"))
