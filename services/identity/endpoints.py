"""Login and tokens as HTTP requests and responses."""

from __future__ import annotations

from dataclasses import asdict
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from services.identity.faults import Fault, OAuthError
from services.identity.national import CALLBACK
from services.identity.web import LOGIN_LIFETIME, Web

COOKIE = "motcua-login"
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
        return _refusal(error)
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


async def finish_login(web: Web, request: Request, url: str) -> Response:
    """The token, for the page or program that began; no page is needed, because the edge reads no cookie."""
    try:
        done = await web.finish_login(request.query_params, request.cookies.get(COOKIE, ""))
        response: Response = JSONResponse({**asdict(done.token), "return_to": done.return_to}, headers=NO_STORE)
    except OAuthError as error:
        response = _refusal(error)
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


def _refusal(error: OAuthError) -> Response:
    return JSONResponse(error.body, error.status, error.headers)


def _secure(url: str) -> bool:
    parts = urlsplit(url)
    return not (parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1"))
