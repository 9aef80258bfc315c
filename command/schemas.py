"""What each service keeps in databases: its views, and what no log gives back."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import MetaData

from command.registry import service_classes
from gateway.ledger.keep import tables as ledger
from services.catalogue import seed
from services.chassis.database import positions
from services.chassis.following import reactions
from services.chassis.following.views import Projection
from services.chassis.frame.dependencies import projections_of
from services.chassis.frame.entrypoints import On
from services.chassis.site import marks
from services.dossier import uploads
from services.identity.assertions import used_assertions
from services.identity.sessions import ended_sessions
from services.registry import SERVICES


@dataclass(frozen=True, slots=True)
class Schema:
    """One database of a service: a schema in PostgreSQL, a file in SQLite."""

    name: str
    durable: bool = False
    views: tuple[Projection, ...] = ()
    others: tuple[MetaData, ...] = ()
    # Made by whoever needs them first.
    seldom: tuple[MetaData, ...] = ()


_DURABLE = {
    "keys": (used_assertions.metadata, ended_sessions.metadata),
    "dossier-uploads": (uploads.metadata,),
    "ledger": (positions.metadata, ledger.metadata),
}


def schemas_of(service: str) -> Sequence[Schema]:
    """Raises KeyError for a name that is none of ours."""
    (cls,) = service_classes([service])
    found = []
    if views := tuple(projections_of(cls)):
        others = [positions.metadata]
        if any(isinstance(each, On) for _, held in inspect.getmembers(cls) for each in _entrypoints(held)):
            others.append(reactions.metadata)
        seldom = (seed.metadata,) if service == "catalogue" else ()
        found.append(Schema(service, views=views, others=(*others, marks.metadata), seldom=seldom))
    if durable := SERVICES[service].durable:
        found.append(Schema(durable, durable=True, others=(*_DURABLE[durable], marks.metadata)))
    return found


def views() -> list[tuple[str, Projection]]:
    """Of all services, with the service's name."""
    return [(name, view) for name in SERVICES for schema in schemas_of(name) for view in schema.views]


def _entrypoints(held: object) -> Sequence[object]:
    return list(getattr(held, "nameko_entrypoints", ()))
