"""The classes of the services, and what a site on one machine runs beside them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module

from services.registry import SERVICES

# What `motcua serve` runs beside them in a trial: the sandboxes of the national systems.
SANDBOX = "sandbox"
# As the database: a PostgreSQL server of our own in the data folder.
PRIVATE_POSTGRESQL = "postgresql"


def service_classes(names: Iterable[str] = SERVICES) -> list[type]:
    """Raises KeyError for a name that is none of ours."""
    found = []
    for name in names:
        module, _, attribute = SERVICES[name].entry.partition(":")
        found.append(getattr(import_module(module), attribute))
    return found
