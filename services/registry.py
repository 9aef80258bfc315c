"""The services of a site, each named here once: what the command, the edge, the chart and the tests must know before they load one.

What reads no Python repeats some of it (the chart, the import contracts, commands for operators); tests/setup/test_services.py
compares, and says what is missing where. `python -m scripts.new_service NAME` adds one everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BLOBS = "blobs"


@dataclass(frozen=True, slots=True)
class Page:
    """A path (or, with a slash at its end, everything under it) that the edge leads to the service."""

    path: str
    # Of what is sent there; 0: as everywhere.
    max_request_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """`name` is also its part of the deployment, its package `motcua.<name>.v1` and its database."""

    name: str
    # module:class
    entry: str
    # Whether it has RPCs of its own.
    api: bool = True
    pages: tuple[Page, ...] = ()
    # Whether it folds views, which may be thrown away.
    views: bool = True
    # The name of the database with what no log gives back.
    durable: str = ""
    # The folder of the site's bucket where it keeps files: attachments and results, or the ledger's own.
    files: str = ""
    # Whether it asks identity for persons' keys.
    asks_keys: bool = False
    # Settings that are secrets of the site and nobody else's, the same for each replica.
    secrets: tuple[str, ...] = ()
    # Secrets that other systems gave to the site. In a trial, where the sandbox plays those, they follow from the site's own.
    given: tuple[str, ...] = ()


LEDGER_REQUEST_BYTES = 32 * 1024

# In the order in which they start: identity first, because the others ask it for keys.
SERVICES: Mapping[str, Service] = {
    service.name: service
    for service in (
        Service(
            name="identity",
            entry="services.identity.service:IdentityService",
            pages=tuple(map(Page, ("/oauth2/", "/login", "/login/", "/.well-known/", "/my/"))),
            durable="keys",
            secrets=("master_key",),
            given=("vneid_client_secret", "population_secret"),
        ),
        Service(name="catalogue", entry="services.catalogue.service:CatalogueService"),
        Service(
            name="dossier",
            entry="services.dossier.service:DossierService",
            durable="dossier-uploads",
            files=BLOBS,
            asks_keys=True,
        ),
        Service(
            name="payment",
            entry="services.payment.service:PaymentService",
            pages=(Page("/payment/"),),
            asks_keys=True,
            given=("vnpay_secret",),
        ),
        Service(
            name="notification",
            entry="services.notification.service:NotificationService",
            asks_keys=True,
        ),
        Service(
            name="warehouse",
            entry="services.warehouse.service:WarehouseService",
            files=BLOBS,
            asks_keys=True,
        ),
        Service(
            name="status",
            entry="gateway.status.service:StatusService",
            api=False,
            # Whoever guesses codes is counted apart from who reads pages.
            pages=(Page("/dossiers/"), Page("/")),
            secrets=("qr_key",),
        ),
        Service(
            name="ledger",
            entry="gateway.ledger.service:LedgerService",
            api=False,
            # Other sites' checkpoints and whoever guesses codes do not take from who reads the log.
            pages=tuple(
                Page(path, LEDGER_REQUEST_BYTES)
                for path in ("/ledger", "/ledger/", "/ledger/witness/", "/ledger/receipts/")
            ),
            views=False,
            durable="ledger",
            files="ledger",
            asks_keys=True,
            secrets=("ledger_key", "witness_key"),
        ),
    )
}
