"""Publishes a catalogue's file, or a folder of them, through the API: what `motcua catalogue load` does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from motcua.catalogue.v1 import catalogue_service_pb2 as pb
from motcua.catalogue.v1 import definitions_pb2
from motcua.catalogue.v1.catalogue_service_pb2_grpc import CatalogueServiceStub
from services.catalogue import loader
from services.catalogue.counterparts import shown_of
from services.catalogue.reader import Reader
from services.chassis.machine import chance
from services.law.definitions import CalendarVersion, FeeOverlay, Procedure, Territory

PAGE = 200
# The lists that a file may hold, in the order in which they are published.
LISTS: dict[str, tuple[str, type[Any] | Mapping[str, type[Any]]]] = {
    "calendars": ("calendar", CalendarVersion),
    "territories": ("territory", Territory),
    "procedures": ("procedure", Procedure),
    "agencies": ("agency", loader.AGENCIES),
    "overlays": ("overlay", FeeOverlay),
}

TEMPLATE_ALONE = (
    "a template is read in a folder with provinces.yaml and communes.csv; here, write agencies with their code"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A definition and where it is written."""

    kind: str
    where: str
    definition: Any

    @property
    def name(self) -> str:
        match self.kind:
            case "calendar":
                return f"{self.definition.calendar_id} {self.definition.version}"
            case "procedure":
                return f"{self.definition.code} {self.definition.version}"
            case "overlay":
                scope = (self.definition.province, self.definition.procedure_code, self.definition.charge_code)
                return " ".join(part for part in scope if part)
            case "territory":
                return f"{self.definition.province.code} {self.definition.version}"
            case _:
                return str(self.definition.code)


@dataclass(slots=True)
class Report:
    """What became of each entry."""

    published: list[Entry] = field(default_factory=list)
    unchanged: list[Entry] = field(default_factory=list)
    # With what the service said.
    refused: list[tuple[Entry, str]] = field(default_factory=list)


def entries(path: Path, provinces: Sequence[str] = ()) -> list[Entry]:
    """Of a YAML file with lists of definitions, or of a folder laid out as the sample, with the agencies of these provinces.

    Raises CatalogueFaulty with every fault.
    """
    return _of_folder(path, provinces) if path.is_dir() else _of_files([path])


def load(
    channel: grpc.Channel, token: str, found: Iterable[Entry], locale: str = "vi", *, replaces: bool = False
) -> Report:
    """Publish what is not published yet. A refusal does not keep the other entries back. Raises grpc.RpcError."""
    api, report = _Api(channel, token, replaces), Report()
    for entry in found:
        if api.has(entry):
            report.unchanged.append(entry)
            continue
        try:
            api.publish(entry)
            report.published.append(entry)
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAUTHENTICATED):
                raise
            report.refused.append((entry, _said(error, locale)))
    return report


def _of_files(paths: Iterable[Path]) -> list[Entry]:
    found: dict[tuple[str, Any], Entry] = {}
    faults = []
    for path in paths:
        reader = Reader(path, tuple(LISTS))
        for key, (kind, type_) in LISTS.items():
            for definition, node in reader.items(key, type_) if key in reader.root else ():
                if isinstance(definition, loader.AgencyTemplate):
                    reader.fault(node, "suffix", TEMPLATE_ALONE)
                    continue
                loader.check(reader, definition, node)
                entry = Entry(kind, reader.where(node), definition)
                if known := found.get((kind, loader.identity(definition))):
                    reader.fault(node, "", f"it stands at {known.where} too")
                found[kind, loader.identity(definition)] = entry
        faults += reader.faults
        if not reader.faults and not any(each.where.startswith(f"{reader.name}:") for each in found.values()):
            faults.append(f"{reader.name}:1: it defines nothing; expected one of {', '.join(LISTS)}")
    if faults:
        raise loader.CatalogueFaulty(tuple(faults))
    agencies = {entry.definition.code: entry for entry in found.values() if entry.kind == "agency"}
    in_turn = [agencies[each.code] for each in loader.parents_first(each.definition for each in agencies.values())]
    others = [entry for entry in found.values() if entry.kind != "agency"]
    return sorted([*others, *in_turn], key=_turn)


def _of_folder(path: Path, provinces: Sequence[str]) -> list[Entry]:
    if not loader.is_whole(path):
        return _of_files(loader.only_yaml(path))
    known = loader.load(path)
    if unknown := [
        f"provinces.yaml:1: there is no province {each!r}" for each in provinces if each not in known.organisations
    ]:
        raise loader.CatalogueFaulty(tuple(unknown))
    lists: list[tuple[str, str, Iterable[Any]]] = [
        ("calendar", "calendars", known.calendars),
        ("territory", "provinces", known.territories),
        ("procedure", "procedures", known.procedures),
        ("overlay", "overlays", known.overlays),
    ]
    entries = [
        Entry(kind, known.places[key, loader.identity(each)], each) for kind, key, found in lists for each in found
    ]
    agencies = [Entry("agency", known.place_of(each), each) for each in known.agencies_of(provinces)]
    return sorted([*entries, *agencies], key=_turn)


def _turn(entry: Entry) -> int:
    """When it is published: what others refer to comes first."""
    return [kind for kind, _ in LISTS.values()].index(entry.kind)


class _Api:
    def __init__(self, channel: grpc.Channel, token: str, replaces: bool) -> None:
        self._replaces = replaces
        self._stub: Any = CatalogueServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {token}"),)

    def has(self, entry: Entry) -> bool:
        """Whether just this is published. A later fact may have ended it."""
        try:
            return any(_same(entry, message) for message in self._published(entry))
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION):
                return False
            raise

    def publish(self, entry: Entry) -> None:
        message, id_ = shown_of(entry.kind, entry.definition), str(chance.new_id())
        calls: dict[str, tuple[Callable[..., Any], Any]] = {
            "calendar": (self._stub.PublishCalendar, pb.PublishCalendarRequest),
            "territory": (self._stub.PublishTerritory, pb.PublishTerritoryRequest),
            "procedure": (self._stub.PublishProcedure, pb.PublishProcedureRequest),
            "agency": (self._stub.OpenAgency, pb.OpenAgencyRequest),
            "overlay": (self._stub.AdoptFeeOverlay, pb.AdoptFeeOverlayRequest),
        }
        call, request = calls[entry.kind]
        more = {"replaces": True} if self._replaces and "replaces" in request.DESCRIPTOR.fields_by_name else {}
        call(request(request_id=id_, **{entry.kind: message}, **more), metadata=self._metadata)

    def _published(self, entry: Entry) -> Iterator[Any]:
        wanted = entry.definition
        match entry.kind:
            case "calendar":
                request = pb.GetCalendarRequest(calendar_id=wanted.calendar_id, version=wanted.version)
                yield self._stub.GetCalendar(request).calendar
            case "procedure":
                yield self._stub.GetProcedure(
                    pb.GetProcedureRequest(code=wanted.code, version=wanted.version)
                ).procedure
            case "agency":
                yield self._stub.GetAgency(pb.GetAgencyRequest(code=wanted.code)).agency.agency
            case "overlay":
                asked = pb.ListFeeOverlaysRequest(
                    province=wanted.province, procedure_code=wanted.procedure_code, day=wanted.valid_from
                )
                yield from _pages(self._stub.ListFeeOverlays, asked, "overlays")
            case "territory":
                yield from self._territory(wanted.province.code, wanted)

    def _territory(self, code: str, wanted: Any) -> Iterator[Any]:
        day = wanted.valid_from
        for province in _pages(self._stub.ListProvinces, pb.ListProvincesRequest(day=day), "provinces"):
            if province.unit.code == code and province.version == wanted.version:
                communes = _pages(self._stub.ListCommunes, pb.ListCommunesRequest(province=code, day=day), "communes")
                yield definitions_pb2.Territory(
                    province=province.unit,
                    communes=communes,
                    version=province.version,
                    valid_from=province.valid_from,
                    legal_basis=wanted.legal_basis,
                )


def _pages(call: Callable[..., Any], request: Any, items: str) -> Iterator[Any]:
    request.page_size = PAGE
    while True:
        reply = call(request)
        yield from getattr(reply, items)
        if not reply.next_page_token:
            return
        request.page_token = reply.next_page_token


def _same(entry: Entry, published: Any) -> bool:
    written = shown_of(entry.kind, entry.definition)
    if "valid_until" in written.DESCRIPTOR.fields_by_name and not written.valid_until:
        published.valid_until = ""
    return bool(written == published)


def _said(error: Any, locale: str) -> str:
    status = rpc_status.from_call(error)
    said, faults = error.details(), []
    for detail in status.details if status else ():
        if detail.Is(error_details_pb2.LocalizedMessage.DESCRIPTOR):
            text = error_details_pb2.LocalizedMessage.FromString(detail.value)
            said = text.message if text.locale == locale else said
        if detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = error_details_pb2.BadRequest.FromString(detail.value)
            faults += [f"{fault.field}: {fault.description}" for fault in bad.field_violations]
    return "\n".join([said, *faults])
