"""The services, in the order in which they start: identity first, because the others ask it for keys."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

CLASSES = {
    "identity": "services.identity.service:IdentityService",
    "catalogue": "services.catalogue.service:CatalogueService",
    "dossier": "services.dossier.service:DossierService",
    "payment": "services.payment.service:PaymentService",
    "notification": "services.notification.service:NotificationService",
    "warehouse": "services.warehouse.service:WarehouseService",
    "status": "gateway.status.service:StatusService",
    "ledger": "gateway.ledger.service:LedgerService",
}
# What `motcua serve` runs beside them in a trial: the sandboxes of the national systems.
SANDBOX = "sandbox"
# As the database: a PostgreSQL server of our own in the data folder.
PRIVATE_POSTGRESQL = "postgresql"
# They serve pages, and no RPCs of their own.
WITHOUT_RPCS = ("status", "ledger")


def service_classes(names: Sequence[str] = tuple(CLASSES)) -> list[type]:
    """Raises KeyError for a name that is none of ours."""
    found = []
    for name in names:
        module, _, attribute = CLASSES[name].partition(":")
        found.append(getattr(import_module(module), attribute))
    return found
