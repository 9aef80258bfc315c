"""What procedures say of their components, as the warehouse needs it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Boolean, Column, Connection, Integer, MetaData, String, Table, delete, insert, select

from motcua.catalogue.events.v1 import events_pb2 as catalogue
from motcua.dossier.events.v1 import events_pb2 as dossier
from services.chassis.deciding.facts import Fact
from services.chassis.following.views import Projection

_BY_HAND = frozenset({dossier.COMPONENT_SOURCE_PAPER, dossier.COMPONENT_SOURCE_ATTACHMENT})

metadata = MetaData()
components = Table(
    "procedure_components_v2",
    metadata,
    Column("procedure_code", String, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("component_code", String, primary_key=True),
    Column("document_kind", String, nullable=False),
    Column("data_only", Boolean, nullable=False),
    Column("valid_months", Integer, nullable=False),
    Column("about_another", Boolean, nullable=False),
)
results = Table(
    "procedure_results_v2",
    metadata,
    Column("procedure_code", String, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("document_kind", String, primary_key=True),
    Column("valid_months", Integer, nullable=False),
    Column("about_another", Boolean, nullable=False),
)

procedures = Projection("procedure_components_v2", metadata)


@procedures.on(catalogue.ProcedurePublished)
def procedure_published(db: Connection, fact: Fact[catalogue.ProcedurePublished]) -> None:
    procedure, t = fact.event.procedure, components
    for table in (components, results):
        db.execute(delete(table).where(table.c.procedure_code == procedure.code, table.c.version == procedure.version))
    for kind, result in {result.document_kind: result for result in procedure.results}.items():
        db.execute(
            insert(results).values(
                procedure_code=procedure.code,
                version=procedure.version,
                document_kind=kind,
                valid_months=result.valid_months,
                about_another=result.about_another,
            )
        )
    for component in procedure.components:
        db.execute(
            insert(t).values(
                procedure_code=procedure.code,
                version=procedure.version,
                component_code=component.code,
                document_kind=component.document_kind,
                data_only=dossier.COMPONENT_SOURCE_WAREHOUSE in component.sources
                and not _BY_HAND & set(component.sources),
                valid_months=component.valid_months,
                about_another=component.about_another,
            )
        )


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a document is good for, 0 for good, and whether it speaks about somebody else than the applicant."""

    valid_months: int = 0
    about_another: bool = False


@dataclass(frozen=True, slots=True)
class ComponentRule:
    document_kind: str
    # The procedure replaced the paper by data.
    data_only: bool
    kept: Lifetime = Lifetime()


Rules = Mapping[str, ComponentRule]
"""By component code."""


class Procedures:
    """All of them, in memory."""

    def __init__(self, db: Connection) -> None:
        self._rules: defaultdict[tuple[str, int], dict[str, ComponentRule]] = defaultdict(dict)
        for row in db.execute(select(components)):
            rule = ComponentRule(row.document_kind, row.data_only, Lifetime(row.valid_months, row.about_another))
            self._rules[row.procedure_code, row.version][row.component_code] = rule
        self._results = {
            (row.procedure_code, row.version, row.document_kind): Lifetime(row.valid_months, row.about_another)
            for row in db.execute(select(results))
        }

    def result(self, procedure_code: str, version: int, document_kind: str) -> Lifetime:
        return self._results.get((procedure_code, version, document_kind), Lifetime())

    def rules(self, procedure_code: str, version: int) -> Rules:
        """Empty for a procedure that asks for nothing."""
        return self._rules.get((procedure_code, version), {})
