"""`motcua check`: a site asked from outside what everybody may ask."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
from rich.table import Table

from command.console import fail, harmless, out
from gateway.ledger.audit.reading import CheckpointWrong, read_checkpoint, read_key
from gateway.ledger.audit.source import LedgerUnreachable, open_source
from gateway.ledger.format.errors import LedgerError

SECONDS = 20.0


class AnswerUnusable(Exception):
    """What is wrong with an answer."""


def check(url: str) -> int:
    table, well = Table(box=None, show_header=False, padding=(0, 2)), True
    with httpx.Client(base_url=url.rstrip("/"), timeout=SECONDS, follow_redirects=True) as site:
        for path, ask in CHECKS.items():
            try:
                said = ask(site, path)
                table.add_row("[green]✓[/]", path, harmless(said))
            except httpx.TransportError as silent:
                fail(f"Nothing answers at {harmless(url)}: {harmless(str(silent))}", "Is this the edge's address?")
            except (httpx.HTTPError, AnswerUnusable, LedgerUnreachable, CheckpointWrong, LedgerError) as wrong:
                well = False
                table.add_row("[red]✗[/]", path, harmless(str(wrong)))
    out.print(table)
    return 0 if well else 1


def _get(site: httpx.Client, path: str) -> httpx.Response:
    answer = site.get(path)
    if answer.status_code != 200:
        raise AnswerUnusable(f"it answered {answer.status_code}: {answer.text[:200]}")
    return answer


def _json(site: httpx.Client, path: str) -> dict[str, object]:
    answer = _get(site, path)
    try:
        read = json.loads(answer.content)
    except ValueError:
        raise AnswerUnusable(f"it is no JSON but {answer.headers.get('content-type')}") from None
    if not isinstance(read, dict):
        raise AnswerUnusable("it is JSON, but no object")
    return read


def _health(site: httpx.Client, path: str) -> str:
    answer = site.get(path)
    if answer.status_code == 503 and answer.headers.get("content-type") == "application/json":
        waiting = answer.json().get("waiting_for")
        raise AnswerUnusable(f"these do not serve: {', '.join(map(str, waiting))}" if waiting else answer.text[:200])
    _json(site, path)
    return "every service serves"


def _pages(site: httpx.Client, path: str) -> str:
    answer = _get(site, path)
    if not answer.headers.get("content-type", "").startswith("text/html"):
        raise AnswerUnusable(f"it is no page but {answer.headers.get('content-type')}")
    return "the status page"


def _description(site: httpx.Client, path: str) -> str:
    described = _json(site, path)
    paths = described.get("paths")
    if not isinstance(paths, dict) or not paths:
        raise AnswerUnusable("it describes no path")
    return f"the API, {len(paths)} paths"


def _keys(site: httpx.Client, path: str) -> str:
    keys = _json(site, path).get("keys")
    if not isinstance(keys, list) or not keys:
        raise AnswerUnusable("it holds no key")
    return f"{len(keys)} keys of tokens"


def _ledger(site: httpx.Client, path: str) -> str:
    source = open_source(f"{str(site.base_url).rstrip('/')}{path}")
    signed, _ = read_checkpoint(source, read_key(source))
    return f"the ledger {signed.checkpoint.origin}, {signed.checkpoint.size} leaves, signed"


CHECKS: dict[str, Callable[[httpx.Client, str], str]] = {
    "/healthz": _health,
    "/": _pages,
    "/openapi.json": _description,
    "/.well-known/jwks.json": _keys,
    "/ledger": _ledger,
}
