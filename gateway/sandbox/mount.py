"""All sandboxes of the national systems under one application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from gateway.sandbox.players import PLAYERS, Stage
from gateway.sandbox.pointing import shared_secret
from services.chassis.platform.settings import Settings


def officials_file(data: Path) -> Path:
    """The sample officials: person, appointment, agency, roles."""
    return data / "sandbox" / "officials.json"


def application(settings: Settings, *more: BaseRoute) -> Starlette:
    """The sandboxes that these settings, which are `pointed`, lead to; it answers under /sandbox, and to `more`."""
    folder = settings.data / "sandbox"
    folder.mkdir(parents=True, exist_ok=True)
    stage = Stage(f"{settings.url}/sandbox", folder, shared_secret(settings, "sandbox-admin"))
    apps: dict[str, Starlette] = {
        f"/{player.name}": import_module(f"gateway.sandbox.{player.name}").play(settings, stage) for player in PLAYERS
    }

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for app in apps.values():
                await stack.enter_async_context(app.router.lifespan_context(app))
            yield

    async def officials(_: Request) -> Response:
        path = officials_file(settings.data)
        return Response(path.read_bytes() if path.exists() else b"[]", media_type="application/json")

    routes = [Route("/officials", officials), *(Mount(path, app) for path, app in apps.items())]
    return Starlette(routes=[*more, Mount("/sandbox", routes=routes)], lifespan=lifespan)
