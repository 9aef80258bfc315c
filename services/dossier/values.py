"""The values that dossiers are made of. Enums have the numbers of the protos."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from services.dossier.refusals import Refused
from services.law.course import FeeCondition
from services.law.deadlines import Calendar, Term
from services.law.fees import taken_off

SHORTEST_REASON = 10


class Delivery(Enum):
    NOT_READY = 1
    READY = 2
    DELIVERED = 3


class Synchronisation(Enum):
    PENDING = 1
    DONE = 2


class Channel(Enum):
    COUNTER = 1
    ONLINE = 2
    POST = 3


class ApplicantKind(Enum):
    CITIZEN = 1
    ORGANISATION = 2


class ComponentSource(Enum):
    PAPER = 1
    ATTACHMENT = 2
    WAREHOUSE = 3
    FORM = 4


class FileKind(Enum):
    DOCUMENT = 1
    PICTURE = 2
    DRAWING = 3
    SIGNED_XML = 4


# The kinds of files, by their media types.
PDF, PNG, JPEG, HEIC = "application/pdf", "image/png", "image/jpeg", "image/heic"
DWG, DXF, XML = "image/vnd.dwg", "image/vnd.dxf", "application/xml"

KINDS = {
    PDF: FileKind.DOCUMENT,
    PNG: FileKind.PICTURE,
    JPEG: FileKind.PICTURE,
    # Kept as JPEG.
    HEIC: FileKind.PICTURE,
    DWG: FileKind.DRAWING,
    DXF: FileKind.DRAWING,
    XML: FileKind.SIGNED_XML,
}

# What a procedure accepts that says nothing of it, and what a result may be.
EVERYWHERE = frozenset({FileKind.DOCUMENT, FileKind.PICTURE})


class StopCause(Enum):
    WITHDRAWN = 1
    NOT_SUPPLIED = 2
    CONDITIONS_NOT_MET = 3
    NOT_PAID = 4


class DataFaultKind(Enum):
    UNREADABLE = 1
    INCOMPLETE = 2
    WRONG = 3


class DeliveryMethod(Enum):
    COUNTER = 1
    POST = 2
    ELECTRONIC = 3


@dataclass(frozen=True, slots=True)
class File:
    """An uploaded file as it is kept."""

    sha256: str
    media_type: str
    size: int


@dataclass(frozen=True, slots=True)
class Component:
    component_code: str
    source: ComponentSource
    sha256: str = ""
    media_type: str = ""
    size: int = 0
    document_id: str = ""
    # The day that a paper bears; empty: not stated.
    issued_on: str = ""


@dataclass(frozen=True, slots=True)
class PaperDay:
    """The day that a component's paper bears, as an official read it."""

    component_code: str
    issued_on: str


@dataclass(frozen=True, slots=True)
class DataFault:
    """What a database of the state did not give, and the component that is asked for instead, if one is."""

    database: str
    kind: DataFaultKind
    component_code: str = ""


@dataclass(frozen=True, slots=True)
class FeeItem:
    """A part of a fee, in đồng. `waived`: what an exemption took off."""

    name: str
    amount: int
    charge_code: str = ""
    waived: int = 0

    @property
    def full(self) -> int:
        return self.amount + self.waived


@dataclass(frozen=True, slots=True)
class Exempt:
    """An exemption on the day of submission. `charge_codes`: none is every charge. `maximum`: of a charge, 0 is no limit."""

    code: str
    percent: int
    charge_codes: tuple[str, ...] = ()
    maximum: int = 0

    def of(self, item: FeeItem) -> FeeItem:
        """The item as this exemption leaves it: exemptions never add up."""
        if self.charge_codes and item.charge_code not in self.charge_codes:
            return item
        off = taken_off(item.full, self.percent, self.maximum)
        return replace(item, amount=item.full - off, waived=off) if off > item.waived else item


@dataclass(frozen=True, slots=True)
class Waiver:
    """The exemptions that follow at submission, and the document kinds that prove them."""

    exemption_codes: tuple[str, ...] = ()
    document_kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Requirement:
    """A component as the procedure asks for it in this dossier's circumstances."""

    component_code: str
    required: bool
    sources: frozenset[ComponentSource]
    document_kind: str = ""
    file_kinds: frozenset[FileKind] = EVERYWHERE
    # It speaks about somebody else than the applicant.
    about_another: bool = False
    # The day that its paper bears, as the form states it.
    issued_on: str = ""
    # As people call it, in Vietnamese and in English.
    name: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class StepRule:
    step_code: str
    role: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What the law of one day says for one dossier: a procedure's version, resolved for channel, agency and form.

    `term` is None where the law lists no time.
    """

    procedure_code: str
    procedure_version: int
    term: Term | None
    calendar: Calendar
    requirements: tuple[Requirement, ...]
    steps: tuple[StepRule, ...]
    fee_items: tuple[FeeItem, ...]
    fee_condition: FeeCondition
    document_kind: str
    waiver: Waiver = Waiver()
    exemptions: tuple[Exempt, ...] = ()
    charge_codes: frozenset[str] = frozenset()
    pay_within: Term | None = None
    stops_unpaid: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """How a received dossier comes to the competent agency. Where it is received there, nothing is said."""

    forward_by: datetime | None = None
    counts_from: datetime | None = None
    """When it is expected to get the dossier, where it serves another place, under a law that counts from then."""


HERE = Route()


@dataclass(frozen=True, slots=True)
class Actor:
    """Who commands. Officials act for an agency."""

    actor_id: str
    roles: frozenset[str] = frozenset()
    agency: str = ""


def require_reason(text: str) -> None:
    """Refuses a reason that is not words for a person to read. Raises Rejected REASON_REQUIRED."""
    if len(text.strip()) < SHORTEST_REASON or len(text.split()) < 2:
        raise Refused("REASON_REQUIRED", length=str(SHORTEST_REASON))
