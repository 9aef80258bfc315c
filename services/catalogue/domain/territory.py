"""A province and its communes, in streams province-<code>: published, merged into another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from services.catalogue.commands import (
    MergeProvince,
    PublishTerritory,
    TerritoryCommand,
)
from services.catalogue.domain.versions import (
    admit,
    require_basis,
    require_day,
    require_next,
    require_not_past,
    validity_of,
)
from services.catalogue.events import (
    ProvinceMerged,
    TerritoryEvent,
    TerritoryPublished,
)
from services.catalogue.refusals import Refused
from services.catalogue.values import TerritoryState, Version
from services.chassis.decider import Decider, Words
from services.law.days import local_day
from services.law.definitions import (
    Territory,
    UnitKind,
)
from services.law.validity import Validity

_PROVINCE = re.compile(r"\d{2}", re.ASCII)
_COMMUNE = re.compile(r"\d{5}", re.ASCII)


def decide_territory(command: TerritoryCommand, state: TerritoryState) -> Sequence[TerritoryEvent]:
    match command:
        case PublishTerritory(territory=territory, at=at, by=by):
            if state.merged_until:
                raise Refused("PROVINCE_MERGED", province=territory.province.code, valid_until=state.merged_until)
            if fault := territory_fault(territory):
                raise Refused("TERRITORY_FAULTY", why=fault)
            require_next(territory.version, state.last_version)
            require_basis(territory.legal_basis)
            admit(validity_of(territory.valid_from, ""), state.versions, local_day(at), replaces=False)
            return [TerritoryPublished(territory=territory, at=at, by=by)]
        case MergeProvince(
            code=code,
            successor=successor,
            successor_known=successor_known,
            valid_until=valid_until,
            legal_basis=legal_basis,
            at=at,
            by=by,
        ):
            if not state.last_version:
                raise Refused("PROVINCE_UNKNOWN", province=code)
            if state.merged_until:
                raise Refused("PROVINCE_MERGED", province=code, valid_until=state.merged_until)
            if successor == code:
                raise Refused("SUCCESSOR_IS_ITSELF", code=code)
            if not successor_known:
                raise Refused("SUCCESSOR_UNKNOWN", successor=successor)
            require_day(valid_until)
            require_basis(legal_basis)
            require_not_past(valid_until, local_day(at))
            return [
                ProvinceMerged(
                    code=code, successor=successor, valid_until=valid_until, legal_basis=legal_basis, at=at, by=by
                )
            ]
        case _:
            assert_never(command)


def evolve_territory(state: TerritoryState, event: TerritoryEvent) -> TerritoryState:
    match event:
        case TerritoryPublished(territory=territory):
            codes = frozenset(commune.code for commune in territory.communes)
            new = Version(territory.version, Validity(territory.valid_from), codes)
            return replace(state, last_version=territory.version, versions=(*state.versions, new))
        case ProvinceMerged(valid_until=valid_until, successor=successor):
            return replace(state, merged_until=valid_until, merged_into=successor)
        case _:
            assert_never(event)


def territory_fault(territory: Territory) -> str:
    province, communes = territory.province, territory.communes
    if not _PROVINCE.fullmatch(province.code) or province.kind not in (UnitKind.PROVINCE, UnitKind.CITY):
        return Words.of(
            f"{province.code} không phải tỉnh, thành phố với mã hai chữ số",
            f"{province.code} is no province or city with a code of two digits",
            f"{province.code} {province.kind.name}",
        )
    codes = [commune.code for commune in communes]
    if len(codes) != len(set(codes)):
        twice = next(code for code in codes if codes.count(code) > 1)
        return Words.of(f"{twice} có hai lần", f"{twice} is there twice", f"twice: {twice}")
    for commune in communes:
        local = (UnitKind.COMMUNE, UnitKind.WARD, UnitKind.SPECIAL_ZONE)
        if not _COMMUNE.fullmatch(commune.code) or commune.kind not in local:
            return Words.of(
                f"{commune.code} không phải xã, phường, đặc khu với mã năm chữ số",
                f"{commune.code} is no commune, ward or special zone with a code of five digits",
                f"{commune.code} {commune.kind.name}",
            )
    return "" if communes else Words.of("không có xã, phường nào", "it has no communes", "0 communes")


territories: Decider[TerritoryCommand, TerritoryState, TerritoryEvent] = Decider(
    TerritoryState(), decide_territory, evolve_territory
)
