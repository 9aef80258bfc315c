"""What lists show: filters, pages, and definitions as messages."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from motcua.catalogue.events.v1 import definitions_pb2
from motcua.catalogue.v1 import catalogue_pb2
from motcua.catalogue.v1 import catalogue_service_pb2 as pb
from services.catalogue.linter import Fault
from services.catalogue.views import Definitions
from services.chassis.law.kept import Kept

T = TypeVar("T")

# Grave, acute, tilde, hook above, dot below.
_TONES = frozenset("\u0300\u0301\u0303\u0309\u0323")


def key(of: Kept) -> tuple[str]:
    return (of.key,)


@dataclass(frozen=True, slots=True)
class Word:
    plain: str
    """Without any diacritics: "hoa" of "hòa" and "hoà", "dang" of "đăng"."""
    letters: str
    """With those that make other letters: "đăng"."""
    tone: str

    def begins(self, other: Word) -> bool:
        """Whether this begins the other, as exactly as it is written: "ha" begins "hà", "há" does not."""
        same = (
            other.plain.startswith(self.plain) if self.plain == self.letters else other.letters.startswith(self.letters)
        )
        return same and self.tone in ("", other.tone)


@lru_cache(maxsize=20_000)
def words(text: str) -> tuple[Word, ...]:
    decomposed = unicodedata.normalize("NFD", text.casefold())
    spaced = "".join(c if c.isalnum() or unicodedata.combining(c) else " " for c in decomposed)
    return tuple(_word(each) for each in spaced.split())


def _word(decomposed: str) -> Word:
    letters = "".join(c for c in decomposed if c not in _TONES)
    plain = "".join(c for c in letters if not unicodedata.combining(c)).replace("đ", "d")
    return Word(plain, letters, next((c for c in decomposed if c in _TONES), ""))


@lru_cache(maxsize=64)
def _sought(search: str) -> tuple[Word, ...]:
    """Each word once: what is long then matches little."""
    return tuple(dict.fromkeys(words(search)))


def matches(search: str, name: definitions_pb2.Text, code: str) -> bool:
    """Every word begins a word of the name, in either language; or the code begins so."""
    known = words(name.vi) + words(name.en)
    sought = _sought(search)
    return code.startswith(search.strip()) or (bool(sought) and all(any(w.begins(k) for k in known) for w in sought))


def procedures(known: Definitions, request: pb.ListProceduresRequest, day: str) -> list[Kept]:
    def wanted(procedure: definitions_pb2.Procedure) -> bool:
        return (
            request.sector in ("", procedure.sector.code)
            and (not request.channel or request.channel in {rule.channel for rule in procedure.channels})
            and (not request.level or request.level in {authority.level for authority in procedure.authorities})
            and matches(request.search, procedure.name, procedure.code)
        )

    return [each for each in known.procedures(day) if wanted(each.message)]


def overlays(known: Definitions, request: pb.ListFeeOverlaysRequest, day: str) -> list[Kept]:
    def wanted(overlay: definitions_pb2.FeeOverlay) -> bool:
        same_province = request.province in ("", overlay.province)
        return same_province and (not request.procedure_code or overlay.procedure_code in ("", request.procedure_code))

    return [each for each in known.overlays(day) if wanted(each.message)]


def agencies(known: Definitions, request: pb.ListAgenciesRequest, day: str) -> list[Kept]:
    commune = known.current_commune(request.commune, day) if request.commune else ""

    def wanted(kept: Kept) -> bool:
        agency = kept.message
        return (
            request.province in ("", agency.province)
            and (not commune or commune == known.commune(kept, day))
            and request.kind in (0, agency.kind)
            and request.field in ("", agency.field)
            and (not request.one_stop_shop or agency.one_stop_shop)
        )

    return [
        each
        for each in known.agencies()
        if (request.include_closed or not each.validity.until or day <= each.validity.until) and wanted(each)
    ]


def communes(province: Kept, search: str) -> list[definitions_pb2.TerritorialUnit]:
    found: Iterable[definitions_pb2.TerritorialUnit] = province.message.communes
    wanted = [unit for unit in found if matches(search, unit.name, unit.code)]
    # A code that no commune has any more leads to the one that had it.
    wanted = wanted or [unit for unit in found if search.strip() in unit.earlier_codes]
    return sorted(wanted, key=lambda unit: unit.code)


def summary_of(kept: Kept) -> catalogue_pb2.ProcedureSummary:
    procedure = kept.message
    return catalogue_pb2.ProcedureSummary(
        code=procedure.code,
        version=procedure.version,
        name=procedure.name,
        sector=procedure.sector,
        channels=[rule.channel for rule in procedure.channels],
        authorities=procedure.authorities,
        online_level=procedure.online_level,
        valid_from=procedure.valid_from,
        valid_until=procedure.valid_until,
    )


def agency_of(kept: Kept) -> catalogue_pb2.AgencyRecord:
    return catalogue_pb2.AgencyRecord(agency=kept.message, valid_until=kept.validity.until, successor=kept.successor)


def province_of(kept: Kept) -> catalogue_pb2.Province:
    territory = kept.message
    return catalogue_pb2.Province(
        unit=territory.province,
        version=territory.version,
        valid_from=territory.valid_from,
        valid_until=kept.validity.until,
        successor=kept.successor,
        commune_count=len(territory.communes),
    )


def fault_of(fault: Fault) -> catalogue_pb2.Fault:
    text = definitions_pb2.Text(vi=fault.text.vi, en=fault.text.en)
    return catalogue_pb2.Fault(code=fault.code, path=fault.path, text=text)
