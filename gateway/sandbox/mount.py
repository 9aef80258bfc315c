"""All sandboxes of the national systems under one application, and the settings that lead the services to them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from gateway.sandbox import population, vneid, vnpay
from services.chassis.clock import ShiftedClock, SystemClock
from services.chassis.settings import Settings


def officials_file(data: Path) -> Path:
    """The sample officials: person, appointment, agency, roles."""
    return data / "sandbox" / "officials.json"


def prepare(settings: Settings) -> tuple[Settings, Starlette]:
    """What is configured for a real system stays; the rest is pointed at its sandbox. Serve the app at /sandbox."""
    folder = settings.data / "sandbox"
    folder.mkdir(parents=True, exist_ok=True)
    base = f"{settings.url}/sandbox"
    admin = settings.secret("sandbox-admin", "")
    settings = settings.model_copy(
        update={
            "vneid_url": settings.vneid_url or f"{base}/vneid",
            "vneid_client_secret": settings.vneid_client_secret or settings.secret("sandbox-vneid", ""),
            "population_url": settings.population_url or f"{base}/population",
            "population_secret": settings.population_secret or settings.secret("sandbox-population", ""),
            "vnpay_url": settings.vnpay_url or f"{base}/vnpay/paymentv2/vpcpay.html",
            "vnpay_api_url": settings.vnpay_api_url or f"{base}/vnpay/merchant_webapi/api/transaction",
            "vnpay_secret": settings.vnpay_secret or settings.secret("sandbox-vnpay", ""),
        }
    )
    clients = {
        settings.vneid_client_id: vneid.Client(settings.vneid_client_secret, (f"{settings.url}/login/callback",)),
    }
    apps = {
        "/vneid": vneid.create_app(vneid.Settings(f"{base}/vneid", folder, clients, admin)),
        "/population": population.create_app(
            population.Settings({settings.vneid_client_id: settings.population_secret}, admin)
        ),
        "/vnpay": vnpay.create_app(
            vnpay.Settings(
                folder / "vnpay",
                settings.vnpay_terminal,
                settings.vnpay_secret,
                f"{settings.url}/payment/vnpay/ipn",
                # The merchant sends moments of its own clock, which may be shifted.
                clock=ShiftedClock(settings.clock_shift_file) if settings.clock_shift_file else SystemClock(),
            )
        ),
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
    mounts = [Mount("/sandbox", routes=routes)]
    return settings, Starlette(routes=mounts, lifespan=lifespan)
