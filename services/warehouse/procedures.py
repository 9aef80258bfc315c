"""What procedures say of their components, as the warehouse needs it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Boolean, Column, Connection, Integer, MetaData, String, Table, delete, insert, select

from motcua.catalogue.events.v1 import events_pb2 as catalogue
from motcua.dossier.events.v1 import events_pb2 as dossier
from services.chassis.facts import Fact
from services.chassis.views import Projection

_BY_HAND = frozenset({dossier.COMPONENT_SOURCE_PAPER, dossier.COMPONENT_SOURCE_ATTACHMENT})

metadata = MetaData()
components = Table(
    "procedure_components_v1",
    metadata,
    Column("procedure_code", String, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("component_code", String, primary_key=True),
    Column("document_kind", String, nullable=False),
    Column("data_only", Boolean, nullable=False),
)

procedures = Projection("procedure_components_v1", metadata)


@procedures.on(catalogue.ProcedurePublished)
def procedure_published(db: Connection, fact: Fact[catalogue.ProcedurePublished]) -> None:
    procedure, t = fact.event.procedure, components
    db.execute(delete(t).where(t.c.procedure_code == procedure.code, t.c.version == procedure.version))
    for component in procedure.components:
        db.execute(
            insert(t).values(
                procedure_code=procedure.code,
                version=procedure.version,
                component_code=component.code,
                document_kind=component.document_kind,
                data_only=dossier.COMPONENT_SOURCE_WAREHOUSE in component.sources
                and not _BY_HAND & set(component.sources),
            )
        )


@dataclass(frozen=True, slots=True)
class ComponentRule:
    document_kind: str
    # The procedure replaced the paper by data.
    data_only: bool


Rules = Mapping[str, ComponentRule]
"""By component code."""


class Procedures:
    """All of them, in memory."""

    def __init__(self, db: Connection) -> None:
        self._rules: defaultdict[tuple[str, int], dict[str, ComponentRule]] = defaultdict(dict)
        for row in db.execute(select(components)):
            rule = ComponentRule(row.document_kind, row.data_only)
            self._rules[row.procedure_code, row.version][row.component_code] = rule

    def rules(self, procedure_code: str, version: int) -> Rules:
        """Empty for a procedure that asks for nothing."""
        return self._rules.get((procedure_code, version), {})
