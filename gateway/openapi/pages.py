"""GET /openapi.json, and GET /docs for people."""

from __future__ import annotations

import json
import re
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from gateway.edge.api import read
from gateway.openapi.document import document
from services.chassis.pages.security_headers import stylesheet
from services.chassis.pages.templates import environment


def routes(descriptors: Path) -> list[Route]:
    described = document(read(descriptors))
    content = json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode()
    html = page(described)

    async def as_json(_: Request) -> Response:
        # Anybody's tools may read it from anywhere.
        return Response(content, media_type="application/json", headers={"access-control-allow-origin": "*"})

    async def as_html(_: Request) -> Response:
        return HTMLResponse(html)

    style = stylesheet(Path(__file__).with_name("page.css"))
    return [Route("/openapi.json", as_json), Route("/docs", as_html), Route("/docs/page.css", style)]


def page(described: dict[str, Any]) -> str:
    templates = environment(Path(__file__).parent)
    templates.filters |= {"type": type_of, "marked": marked}
    operations = [
        {"verb": verb.upper(), "path": path, "parameters": [], **operation}
        for path, verbs in described["paths"].items()
        for verb, operation in verbs.items()
    ]
    operations.sort(key=lambda operation: operation["tags"][0])
    services = {name: list(group) for name, group in groupby(operations, key=lambda operation: operation["tags"][0])}
    components = described["components"]
    return templates.get_template("page.html.j2").render(
        info=described["info"],
        about={tag["name"]: tag["description"] for tag in described["tags"]},
        services=services,
        schemas=components["schemas"],
        responses=components["responses"],
    )


def marked(text: str) -> Markup:
    """Names between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def type_of(schema: dict[str, Any]) -> tuple[str, str | None]:
    """What to call a type, and the schema that it refers to."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return name, name
    if schema.get("type") == "array":
        name, target = type_of(schema["items"])
        return f"{name}[]", target
    if isinstance(schema.get("additionalProperties"), dict):
        name, target = type_of(schema["additionalProperties"])
        return f"map<{name}>", target
    return schema.get("format") or schema.get("type") or "JSON", None
