"""What lists show: filters, pages, and definitions as messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from motcua.catalogue.events.v1 import definitions_pb2
from motcua.catalogue.v1 import catalogue_pb2
from motcua.catalogue.v1 import catalogue_service_pb2 as pb
from motcua.types.v1.types_pb2 import LocalizedText
from services.catalogue.counterparts import (
    AGENCY,
    AGENCY_KIND,
    AUTHORITY,
    CHANNEL,
    LEVEL,
    ONLINE_LEVEL,
    SECTOR,
    TEXT,
    UNIT,
    shown_of,
)
from services.catalogue.domain.procedure import ProcedureState
from services.catalogue.linter import Fault
from services.catalogue.refusals import Refused
from services.catalogue.views import Definitions
from services.chassis.deciding.codec import to_timestamp
from services.chassis.following.in_force import Version
from services.chassis.text.search import cleaned, search

T = TypeVar("T")


def key(of: Version) -> tuple[str]:
    return (of.key,)


def named(unit: Any) -> tuple[Iterable[str], str]:
    return (unit.name.vi, unit.name.en), unit.code


def procedures(known: Definitions, request: pb.ListProceduresRequest, day: str) -> list[Version]:
    channel, level = CHANNEL.stored(request.channel), LEVEL.stored(request.level)

    def wanted(procedure: definitions_pb2.Procedure) -> bool:
        return (
            request.sector in ("", procedure.sector.code)
            and (not channel or channel in {rule.channel for rule in procedure.channels})
            and (not level or level in {authority.level for authority in procedure.authorities})
        )

    online = ONLINE_LEVEL.stored(request.online_level)
    found = (each for each in known.procedures(day) if wanted(each.message) and online in (0, each.value.level.value))
    return search(request.search, found, lambda each: named(each.message))


def overlays(known: Definitions, request: pb.ListFeeOverlaysRequest, day: str) -> list[Version]:
    channel = CHANNEL.stored(request.channel)

    def wanted(overlay: definitions_pb2.FeeOverlay) -> bool:
        same_province = request.province in ("", overlay.province)
        same_channel = not channel or not overlay.channels or channel in overlay.channels
        return (
            same_province
            and same_channel
            and (not request.procedure_code or overlay.procedure_code in ("", request.procedure_code))
        )

    return [each for each in known.overlays(day) if wanted(each.message)]


def agencies(known: Definitions, request: pb.ListAgenciesRequest, day: str) -> list[Version]:
    commune = known.current_commune(request.commune, day) if request.commune else ""
    kind, level = AGENCY_KIND.stored(request.kind), LEVEL.stored(request.level)

    def wanted(kept: Version) -> bool:
        agency = kept.message
        return (
            request.province in ("", agency.province)
            and (not commune or commune == known.commune(kept, day))
            and kind in (0, agency.kind)
            and level in (0, agency.level)
            and request.field in ("", agency.field)
            and (not request.one_stop_shop or agency.one_stop_shop)
        )

    found = (
        each
        for each in known.agencies(day)
        if (request.include_closed or not each.validity.until or day <= each.validity.until) and wanted(each)
    )
    return search(request.search, found, lambda each: named(each.message))


def provinces(known: Definitions, request: pb.ListProvincesRequest, day: str) -> list[Version]:
    return search(request.search, known.provinces(day), lambda each: named(each.message.province))


def communes(province: Version, sought: str) -> list[definitions_pb2.TerritorialUnit]:
    """By what they are called, or by a code: also by one that they had before, which may be another's now."""
    units, code = province.message.communes, cleaned(sought).strip()
    found = search(sought, units, named)
    return found + [unit for unit in units if code in unit.earlier_codes and unit not in found]


def summary_of(kept: Version) -> catalogue_pb2.ProcedureSummary:
    procedure = kept.message
    return catalogue_pb2.ProcedureSummary(
        code=procedure.code,
        version=procedure.version,
        name=TEXT.shown(procedure.name),
        sector=SECTOR.shown(procedure.sector),
        channels=[CHANNEL.shown(rule.channel) for rule in procedure.channels],
        authorities=map(AUTHORITY.shown, procedure.authorities),
        online_level=ONLINE_LEVEL.shown(kept.value.level.value),
        valid_from=procedure.valid_from,
        valid_until=procedure.valid_until,
    )


def agency_of(kept: Version) -> catalogue_pb2.AgencyRecord:
    return catalogue_pb2.AgencyRecord(
        agency=AGENCY.shown(kept.message), valid_until=kept.validity.until, successor=kept.successor
    )


def province_of(kept: Version) -> catalogue_pb2.Province:
    territory = kept.message
    return catalogue_pb2.Province(
        unit=UNIT.shown(territory.province),
        version=territory.version,
        valid_from=territory.valid_from,
        valid_until=kept.validity.until,
        successor=kept.successor,
        commune_count=len(territory.communes),
    )


def fault_of(fault: Fault) -> catalogue_pb2.Fault:
    text = LocalizedText(vi=fault.text.vi, en=fault.text.en)
    return catalogue_pb2.Fault(code=fault.code, path=fault.path, text=text)


def repair_of(code: str, state: ProcedureState, revision: int) -> pb.GetProcedureRepairResponse:
    """Raises REPAIR_UNKNOWN."""
    if state.proposed is None:
        raise Refused("REPAIR_UNKNOWN", code=code, version="0")
    procedure = shown_of("procedure", state.proposed.procedure)
    return pb.GetProcedureRepairResponse(
        procedure=procedure,
        reason=state.proposed.reason,
        proposed_at=to_timestamp(state.proposed.at),
        revision=revision,
    )
