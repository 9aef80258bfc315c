"""How documents and persons are called here, and where a document is from."""

from __future__ import annotations

from enum import Enum
from uuid import UUID, uuid5

_DOCUMENTS = UUID("4c1f6f2d-8b0a-4d57-9d3e-2f64c7b5e810")


class DocumentSource(Enum):
    UNSPECIFIED = 0
    RESULT = 1
    COMPONENT = 2
    POPULATION = 3


def document_id(source: DocumentSource, *origin: str) -> str:
    """One per origin, whoever computes it.

    The origin of a result is its dossier and kind, of a component its dossier and component, of the population
    database's answer the event that holds it.
    """
    return str(uuid5(_DOCUMENTS, "/".join((source.name, *origin))))


def person_id(code: str) -> str:
    """Of whom a dossier's documents speak about, where that is not the applicant and has no account yet: one person per dossier."""
    return str(uuid5(_DOCUMENTS, f"person/{code}"))
