"""What accounts' facts and commands speak of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

PERSONAL_NUMBER = re.compile(r"[0-9]{12}")
TAX_CODE = re.compile(r"[0-9]{10}(?:[0-9]{3})?")
PROVINCE = re.compile(r"[0-9]{2}")
# An act by its kind and name, with the provision before it or not: "Khoản 2 Điều 10 Luật Căn cước 2023".
CITATION = re.compile(
    r"(?:(?:điểm|khoản|điều)\s+[\w.]+,?\s+)*"
    r"(?:Hiến pháp|Bộ luật|Luật|Pháp lệnh|Nghị quyết|Nghị định|Thông tư(?: liên tịch)?|Quyết định)\s+\w[\w\s/.,()-]{2,}",
    re.IGNORECASE,
)


class AccountKind(Enum):
    CITIZEN = 1
    ORGANISATION = 2


class Language(Enum):
    UNSPECIFIED = 0
    VIETNAMESE = 1
    ENGLISH = 2


class LookupOutcome(Enum):
    FOUND = 1
    NOT_FOUND = 2
    NAME_MISMATCH = 3
    NO_MATCH = 4
    NOT_ENOUGH_BASIS = 5


class LookupGap(Enum):
    UNSPECIFIED = 0
    BIRTH_DATE = 1
    RECORD_INCOMPLETE = 2
    RECORD_DISPUTED = 3
    REQUEST = 4
    OTHER = 5


class PersonField(Enum):
    GENDER = 1
    NATIONALITY = 2
    RESIDENCE = 3
    MARITAL_STATUS = 4


class ErasureOutcome(Enum):
    REFUSED = 1
    RESTRICTED = 2
    SHREDDED = 3


class Role(Enum):
    CITIZEN = 2
    ORGANISATION = 3
    RECEPTIONIST = 4
    PROCESSOR = 5
    APPROVER = 6
    CASHIER = 7
    EDITOR = 8
    ADMINISTRATOR = 9
    SYSTEM = 10
    SERVICE = 11


APPOINTABLE = frozenset(
    {Role.RECEPTIONIST, Role.PROCESSOR, Role.APPROVER, Role.CASHIER, Role.EDITOR, Role.ADMINISTRATOR}
)


@dataclass(frozen=True, slots=True)
class VerifiedData:
    component_kind: str
    data: str
    valid_until: datetime
