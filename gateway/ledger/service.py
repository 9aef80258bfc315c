"""The public ledger as a service of the platform. It has no RPCs: it is read over HTTP, and checked by anybody."""

from __future__ import annotations

from starlette.types import ASGIApp

from gateway.ledger.running import RunningLedger
from services.chassis.frame import dependencies
from services.chassis.frame.http_server import mounted


class LedgerService:
    """Keeps what everybody may see of every dossier in a log that nobody can rewrite unnoticed."""

    name = "ledger"

    ledger = dependencies.follower(RunningLedger.of)

    @mounted("/ledger")
    async def site(self) -> ASGIApp:
        return self.ledger.application()
