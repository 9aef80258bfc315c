"""The public status page as a service of the platform. It has no RPCs: it is read with a browser."""

from __future__ import annotations

from starlette.types import ASGIApp

from gateway.status.catalogue import Catalogue
from gateway.status.pages import application
from gateway.status.reading import ViewReader
from gateway.status.settings import Settings
from gateway.status.views import catalogue, pages
from services.chassis.frame import dependencies
from services.chassis.frame.http_server import mounted


class StatusService:
    """Shows everybody where each dossier stands, and how the state keeps its times."""

    name = "status"

    pages = dependencies.view(pages)
    catalogue = dependencies.snapshot(catalogue, Catalogue)
    clock = dependencies.clock()
    platform = dependencies.platform()

    @mounted("")
    async def site(self) -> ASGIApp:
        settings = self.platform.settings
        key = bytes.fromhex(settings.secret("qr", settings.qr_key))
        now = self.clock.now
        reader = ViewReader(self.platform.store, self.pages, self.catalogue, now)
        page_settings = Settings(
            settings.url,
            key,
            receipt_address="/ledger/receipts/{code}/{revision}",
            whole_receipt_address="/ledger/receipts/{code}",
            log_key_address="/ledger/vkey",
            live_limit=settings.streams,
            live_limit_per_address=settings.streams_per_address,
            mutual_site=self.platform.mutual_site,
        )
        return application(reader, page_settings, now)
