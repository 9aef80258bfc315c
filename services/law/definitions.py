"""What the catalogue defines. The names are those of motcua.catalogue.events.v1; dates are ISO 8601, "" is no date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, time
from enum import Enum
from typing import NewType

from services.chassis.decider import Words
from services.law import deadlines
from services.law.deadlines import Term

Json = NewType("Json", str)


class Channel(Enum):
    UNSPECIFIED = 0
    COUNTER = 1
    ONLINE = 2
    POST = 3


class ComponentSource(Enum):
    UNSPECIFIED = 0
    PAPER = 1
    ATTACHMENT = 2
    WAREHOUSE = 3
    FORM = 4


class FileKind(Enum):
    UNSPECIFIED = 0
    DOCUMENT = 1
    PICTURE = 2
    DRAWING = 3
    SIGNED_XML = 4


class FeeCondition(Enum):
    UNSPECIFIED = 0
    RECEPTION = 1
    PROCESSING = 2
    RESULT = 3


class Level(Enum):
    UNSPECIFIED = 0
    CENTRAL = 1
    PROVINCE = 2
    COMMUNE = 3


class AgencyKind(Enum):
    UNSPECIFIED = 0
    PEOPLES_COMMITTEE = 1
    DEPARTMENT = 2
    LAND_OFFICE = 3
    POLICE = 4
    SOCIAL_INSURANCE = 5
    TAX = 6
    NOTARY = 7


class OnlineLevel(Enum):
    UNSPECIFIED = 0
    INFORMATION = 1
    PARTIAL = 2
    FULL = 3


class PartialReason(Enum):
    UNSPECIFIED = 0
    PRESENCE = 1
    FIELD_CHECK = 2
    OUTAGE = 3
    TECHNICAL = 4


class ChargeBasis(Enum):
    UNSPECIFIED = 0
    FIXED = 1
    TIERED = 2
    COUNCIL = 3


class UnitKind(Enum):
    UNSPECIFIED = 0
    PROVINCE = 1
    CITY = 2
    COMMUNE = 3
    WARD = 4
    SPECIAL_ZONE = 5


@dataclass(frozen=True, slots=True)
class Text:
    vi: str
    en: str


@dataclass(frozen=True, slots=True)
class Sector:
    code: str
    name: Text


@dataclass(frozen=True, slots=True)
class Authority:
    level: Level
    kind: AgencyKind
    field: str = ""
    anywhere: bool = False


@dataclass(frozen=True, slots=True)
class ChannelRule:
    channel: Channel
    term: Term | None = None
    term_not_listed: bool = False


@dataclass(frozen=True, slots=True)
class Circumstance:
    code: str
    name: Text
    form_field: str = ""
    form_value: Json = Json("")


@dataclass(frozen=True, slots=True)
class Tier:
    start: int
    amount: int


@dataclass(frozen=True, slots=True)
class Charge:
    code: str
    name: Text
    basis: ChargeBasis
    amount: int = 0
    tiers: tuple[Tier, ...] = ()
    unit: str = ""
    maximum: int = 0
    per: str = ""
    channels: tuple[Channel, ...] = ()
    only_if: str = ""
    unless: str = ""


class UnpaidConsequence(Enum):
    UNSPECIFIED = 0
    STOP = 1


@dataclass(frozen=True, slots=True)
class Ground:
    form_field: str = ""
    form_value: Json = Json("")
    age_from: int = 0
    age_under: int = 0
    document_kind: str = ""
    account_level: int = 0


@dataclass(frozen=True, slots=True)
class Exemption:
    code: str
    name: Text
    percent: int
    legal_basis: str
    grounds: tuple[Ground, ...] = ()
    charge_codes: tuple[str, ...] = ()
    valid_from: str = ""
    valid_until: str = ""
    maximum: int = 0
    uses: int = 0
    use_months: int = 0


@dataclass(frozen=True, slots=True)
class Fee:
    condition: FeeCondition = FeeCondition.UNSPECIFIED
    charges: tuple[Charge, ...] = ()
    exemptions: tuple[Exemption, ...] = ()
    pay_within: Term | None = None
    unpaid: UnpaidConsequence = UnpaidConsequence.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class Component:
    code: str
    name: Text
    required: bool
    sources: tuple[ComponentSource, ...]
    document_kind: str = ""
    only_if: str = ""
    file_kinds: tuple[FileKind, ...] = ()
    valid_months: int = 0
    about_another: bool = False
    issued_on_field: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    schema: Json
    ui: Json


@dataclass(frozen=True, slots=True)
class Step:
    code: str
    name: Text
    role: str
    term: Term | None = None


@dataclass(frozen=True, slots=True)
class Result:
    document_kind: str
    name: Text
    valid_months: int = 0
    about_another: bool = False


@dataclass(frozen=True, slots=True)
class Child:
    code: str
    procedure_code: str
    authority: Authority
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unverified:
    path: str
    reason: Text


@dataclass(frozen=True, slots=True)
class Procedure:
    code: str
    version: int
    name: Text
    sector: Sector
    authorities: tuple[Authority, ...]
    valid_from: str
    channels: tuple[ChannelRule, ...]
    fee: Fee | None
    components: tuple[Component, ...]
    steps: tuple[Step, ...]
    results: tuple[Result, ...]
    loa: int
    legal_basis: tuple[str, ...]
    valid_until: str = ""
    circumstances: tuple[Circumstance, ...] = ()
    form: Form | None = None
    children: tuple[Child, ...] = ()
    unverified: tuple[Unverified, ...] = ()
    online_level: OnlineLevel = OnlineLevel.UNSPECIFIED
    partial_reason: PartialReason = PartialReason.UNSPECIFIED

    @property
    def level(self) -> OnlineLevel:
        """Full unless it says less, where it is offered online."""
        online = any(rule.channel is Channel.ONLINE for rule in self.channels)
        default = OnlineLevel.FULL if online else OnlineLevel.INFORMATION
        return default if self.online_level is OnlineLevel.UNSPECIFIED else self.online_level


@dataclass(frozen=True, slots=True)
class FeeOverlay:
    province: str
    procedure_code: str
    charge_code: str
    channels: tuple[Channel, ...]
    amount: int
    valid_from: str
    valid_until: str
    resolution: str
    unverified: bool = False


@dataclass(frozen=True, slots=True)
class Agency:
    code: str
    name: Text
    level: Level
    kind: AgencyKind
    province: str
    calendar_id: str
    valid_from: str
    field: str = ""
    commune: str = ""
    parent: str = ""
    one_stop_shop: bool = False
    version: int = 0


@dataclass(frozen=True, slots=True)
class Interval:
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class Weekday:
    hours: tuple[Interval, ...] = ()


@dataclass(frozen=True, slots=True)
class CalendarVersion:
    calendar_id: str
    version: int
    name: Text
    zone: str
    known_until: str
    week: tuple[Weekday, ...]
    closed: tuple[str, ...]
    worked: tuple[str, ...]
    legal_basis: tuple[str, ...]
    announced_on: str = ""
    valid_from: str = ""


@dataclass(frozen=True, slots=True)
class TerritorialUnit:
    code: str
    kind: UnitKind
    name: Text
    former: tuple[str, ...] = ()
    earlier_codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Territory:
    province: TerritorialUnit
    communes: tuple[TerritorialUnit, ...]
    version: int
    valid_from: str
    legal_basis: str


def calendar_of(definition: CalendarVersion) -> deadlines.Calendar:
    """The calendar to count by. Raises ValueError if the definition makes none."""
    week = tuple(
        tuple((_local(interval.start), _local(interval.end)) for interval in weekday.hours)
        for weekday in definition.week
    )
    if len(week) != 7:
        vi, en = "một tuần có 7 ngày, bắt đầu từ thứ Hai", "a week has 7 days, Monday first"
        raise ValueError(Words.of(f"{vi}; không phải {len(week)}", f"{en}, and not {len(week)}"))
    return deadlines.Calendar(
        definition.calendar_id,
        definition.version,
        definition.zone,
        week,
        frozenset(map(date.fromisoformat, definition.closed)),
        frozenset(map(date.fromisoformat, definition.worked)),
        date.fromisoformat(definition.known_until) if definition.known_until else date.min,
    )


def _local(written: str) -> time:
    """A time of day where the calendar is. Raises ValueError."""
    found = time.fromisoformat(written)
    if found.tzinfo:
        raise ValueError(
            Words.of(f"giờ là giờ địa phương, không phải {written!r}", f"hours are local times, not {written!r}")
        )
    return found
