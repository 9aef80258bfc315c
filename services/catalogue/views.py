"""Everything that is defined, in memory: what reads answer from."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from sqlalchemy import Connection

from motcua.catalogue.events.v1 import definitions_pb2
from services.catalogue.refusals import Refused
from services.chassis.following.in_force import Version, span, versions_of
from services.chassis.text.names import folded
from services.law.definitions import FeeOverlay
from services.law.validity import nearest, newest


class Definitions:
    def __init__(self, db: Connection) -> None:
        self._by_kind: defaultdict[str, dict[str, list[Version]]] = defaultdict(dict)
        for each in versions_of(db, "procedure", "overlay", "agency", "calendar", "territory"):
            self._by_kind[each.kind].setdefault(each.key, []).append(each)
        self._current_codes: dict[str, dict[str, str]] = {}
        self._renamed: dict[tuple[str, int, int], dict[str, str]] = {}

    def procedure(self, code: str, day: str, version: int = 0) -> Version:
        """The version in force on that day, or the one asked for. Raises PROCEDURE_UNKNOWN, PROCEDURE_NOT_IN_FORCE."""
        versions = self._by_kind["procedure"].get(code, [])
        if version:
            versions = [each for each in versions if each.version == version]
        if not versions:
            raise Refused("PROCEDURE_UNKNOWN", code=code)
        found = versions[0] if version else newest(versions, day)
        if found is None:
            raise Refused("PROCEDURE_NOT_IN_FORCE", code=code, day=day)
        return found

    def procedures(self, day: str) -> list[Version]:
        """Those in force on that day, by code."""
        return self._current("procedure", day)

    def overlays(self, day: str) -> list[Version]:
        """Those in force on that day, by province and procedure."""
        return self._current("overlay", day)

    def agency(self, code: str, day: str) -> Version:
        """Open on that day. Raises AGENCY_UNKNOWN, AGENCY_CLOSED."""
        versions = self._by_kind["agency"].get(code)
        if not versions or day < span(versions).since:
            raise Refused("AGENCY_UNKNOWN", code=code)
        found = newest(versions, day)
        if found is None:
            raise Refused("AGENCY_CLOSED", code=code, valid_until=span(versions).until)
        return found

    def known_agency(self, code: str, day: str) -> Version:
        """As it is on that day; not open yet as it will be, closed as it was last. Raises AGENCY_UNKNOWN."""
        versions = self._by_kind["agency"].get(code)
        if not versions:
            raise Refused("AGENCY_UNKNOWN", code=code)
        return replace(nearest(versions, day), validity=span(versions))

    def agencies(self, day: str) -> list[Version]:
        """All of them, by code."""
        return [self.known_agency(code, day) for code in self._by_kind["agency"]]

    def calendar(self, calendar_id: str, day: str, version: int = 0) -> Version:
        """The newest version in force on that day, or the one asked for. Raises CALENDAR_UNKNOWN."""
        versions = self._by_kind["calendar"].get(calendar_id, [])
        if version:
            versions = [each for each in versions if each.version == version]
        found = versions[0] if version and versions else newest(versions, day)
        if found is None:
            raise Refused("CALENDAR_UNKNOWN", calendar_id=calendar_id)
        return found

    def provinces(self, day: str) -> list[Version]:
        """Those that exist on that day, by code."""
        return self._current("territory", day)

    def province(self, code: str, day: str) -> Version:
        """Raises PROVINCE_UNKNOWN, PROVINCE_MERGED."""
        versions = self._by_kind["territory"].get(code, [])
        if found := newest(versions, day):
            return found
        if versions and versions[-1].successor and versions[-1].validity.until < day:
            raise Refused("PROVINCE_MERGED", province=code, valid_until=versions[-1].validity.until)
        raise Refused("PROVINCE_UNKNOWN", province=code)

    def commune(self, agency: Version, day: str) -> str:
        """The code on that day of the commune that an agency was opened for."""
        code: str = agency.message.commune
        return self._now(agency.message.province, agency.validity.since, day).get(code, code)

    def current_commune(self, code: str, day: str) -> str:
        """What is said of a code that no commune has on that day, but one had earlier: that commune's."""
        if day not in self._current_codes:
            units = [unit for province in self.provinces(day) for unit in province.message.communes]
            earlier = {old: unit.code for unit in units for old in unit.earlier_codes}
            self._current_codes[day] = earlier | {unit.code: unit.code for unit in units}
        return self._current_codes[day].get(code, code)

    def _now(self, province: str, then: str, day: str) -> dict[str, str]:
        """Codes of that province then, and on this day, of the communes that had another and the same name."""
        versions = self._by_kind["territory"].get(province, [])
        before, now = newest(versions, then), newest(versions, day)
        if before is None or now is None or before is now:
            return {}
        key = province, before.version, now.version
        if key not in self._renamed:
            names = {unit.code: _called(unit) for unit in before.message.communes}
            self._renamed[key] = {
                old: unit.code
                for unit in now.message.communes
                for old in unit.earlier_codes
                if names.get(old) == _called(unit)
            }
        return self._renamed[key]

    def fee_overlays(self, day: str) -> list[FeeOverlay]:
        return [each.value for each in self.overlays(day)]

    def _current(self, kind: str, day: str) -> list[Version]:
        found = (newest(versions, day) for versions in self._by_kind[kind].values())
        return [each for each in found if each]


def _called(unit: definitions_pb2.TerritorialUnit) -> str:
    """Whatever kind of unit it was then."""
    kind, _, name = unit.name.vi.replace("Đặc khu", "Đặc_khu").partition(" ")
    return folded(name or kind)
