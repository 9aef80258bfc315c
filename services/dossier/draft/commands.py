"""What can be asked of a draft."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.chassis.decider import Sealed
from services.dossier.values import Component


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveDraft:
    draft_id: str
    at: datetime
    by: str
    procedure_code: str
    form: Sealed
    components: tuple[Component, ...]
    reception_agency: str
    new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardDraft:
    at: datetime
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimDraft:
    """The applicant's dossier `code` is about to be submitted from it.

    Of the dossier that claimed it before: `found` is its code if it is there, `absent` if it is not.
    """

    draft_id: str
    at: datetime
    by: str
    applicant_id: str
    procedure_code: str
    code: str
    found: str = ""
    absent: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseDraft:
    """The applicant's dossier `code` was submitted from it."""

    at: datetime
    by: str
    applicant_id: str
    code: str


Command = SaveDraft | DiscardDraft | ClaimDraft | CloseDraft
