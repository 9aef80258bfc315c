"""Every id in every command is checked against what it names: the list is read from the protos, and is complete."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from motcua.catalogue.events.v1.events_pb2 import AgencyOpened
from motcua.dossier.v1 import dossier_service_pb2 as dossier
from motcua.types.v1 import types_pb2 as types
from services.catalogue import counterparts
from tests.idempotency.cases import CASES
from tests.idempotency.test_idempotency import folder, key, life, population, world  # noqa: F401
from tests.idempotency.world import AGENCY, Sending, World
from tests.support.grounds import tell
from tests.support.rpcs import MUTATIONS
from tests.support.waiting import eventually

# What names a thing, by the field's name.
NAMING = re.compile(
    r"(?:^|_)(?:id|ids|code|codes|agency|agencies|province|commune|sha256|role|parent|successor|to_agency|procedures|purposes?"
    r"|only_if|unless|per|fields|zone)$"
)
AGENCIES = re.compile(r"(?:^|[._])(?:agency|agencies|parent|successor)$")
NOBODY = "00000000-0000-4000-8000-000000000000"
SCOPES = {
    "scopes.purpose": "SCOPE_MALFORMED",
    "scopes.agencies": "AGENCY_UNKNOWN",
    "scopes.procedures": "PROCEDURE_UNKNOWN",
}
COMPONENTS = {"components.component_code": "COMPONENT_UNKNOWN", "components.sha256": "ATTACHMENT_UNKNOWN"}
# What is answered to an id of nothing; of a definition that refers to itself, its linter's fault.
REFUSED: dict[str, dict[str, str]] = {
    "DecideErasure": {"account_id": "ACCOUNT_UNKNOWN"},
    "AppointOfficial": {"account_id": "ACCOUNT_UNKNOWN", "agency": "AGENCY_UNKNOWN", "province": "PROVINCE_MISMATCH"},
    "EndAppointment": {"account_id": "ACCOUNT_UNKNOWN", "appointment_id": "APPOINTMENT_UNKNOWN"},
    "RegisterSystem": {"operator_agency": "AGENCY_UNKNOWN", "purposes": "PURPOSE_UNKNOWN", **SCOPES},
    "RotateSystemKey": {"client_id": "SYSTEM_UNKNOWN"},
    "UpdateSystem": {"client_id": "SYSTEM_UNKNOWN", "purposes": "PURPOSE_UNKNOWN", **SCOPES},
    "SuspendSystem": {"client_id": "SYSTEM_UNKNOWN"},
    "ReinstateSystem": {"client_id": "SYSTEM_UNKNOWN"},
    "WithdrawProcedure": {"code": "PROCEDURE_UNKNOWN"},
    "AdoptFeeOverlay": {"overlay.province": "PROVINCE_UNKNOWN", "overlay.procedure_code": "PROCEDURE_UNKNOWN"},
    "OpenAgency": {
        "agency.province": "PROVINCE_UNKNOWN",
        "agency.commune": "COMMUNE_UNKNOWN",
        "agency.parent": "AGENCY_UNKNOWN",
        "agency.calendar_id": "CALENDAR_UNKNOWN",
    },
    "CloseAgency": {"code": "AGENCY_UNKNOWN", "successor": "SUCCESSOR_UNKNOWN"},
    "WithdrawProcedureVersion": {"code": "VERSION_UNKNOWN"},
    "ConfirmProcedureRepair": {"code": "REVISION_CONFLICT"},
    "WithdrawFeeOverlay": dict.fromkeys(("province", "procedure_code", "charge_code"), "OVERLAY_UNKNOWN"),
    "ChangeAgency": {"code": "AGENCY_UNKNOWN", "calendar_id": "CALENDAR_UNKNOWN"},
    "WithdrawAgencyVersion": {"code": "AGENCY_UNKNOWN"},
    "WithdrawCalendarVersion": {"calendar_id": "VERSION_UNKNOWN"},
    "PublishCalendar": {"calendar.zone": "CALENDAR_FAULTY"},
    "MergeProvince": {"code": "PROVINCE_UNKNOWN", "successor": "SUCCESSOR_UNKNOWN"},
    "SaveDraft": {
        "draft_id": "DRAFT_NOT_FOUND",
        "procedure_code": "PROCEDURE_UNKNOWN",
        "reception_agency": "AGENCY_UNKNOWN",
        "components.document_id": "DOCUMENT_NOT_REUSABLE",
        **COMPONENTS,
    },
    "DiscardDraft": {"draft_id": "DRAFT_NOT_FOUND"},
    "SubmitDossier": {
        "procedure_code": "PROCEDURE_UNKNOWN",
        "draft_id": "DRAFT_NOT_FOUND",
        "applicant_id": "ACCOUNT_UNKNOWN",
        "reception_agency": "AGENCY_UNKNOWN",
        "competent_agency": "AGENCY_UNKNOWN",
        "exemption_codes": "EXEMPTION_UNKNOWN",
        **COMPONENTS,
    },
    "AssessFee": {"items.charge_code": "CHARGE_UNKNOWN"},
    "WaiveFee": {"fee_id": "FEE_UNKNOWN", "exemption_code": "EXEMPTION_UNKNOWN"},
    "CancelFee": {"fee_id": "FEE_UNKNOWN"},
    "ReceiveDossier": {"paper_days.component_code": "COMPONENT_UNKNOWN"},
    "RequestSupplement": {
        "component_codes": "COMPONENT_UNKNOWN",
        "data_faults.component_code": "COMPONENT_UNKNOWN",
        "form_fields": "FORM_FIELD_UNKNOWN",
    },
    # Nothing but what the new answers need.
    "CorrectForm": {"components.component_code": "COMPONENT_UNKNOWN", "components.sha256": "COMPONENT_UNKNOWN"},
    "SupplySupplement": COMPONENTS,
    "AssignStep": {"step_code": "STEP_UNKNOWN", "assignee_id": "ASSIGNEE_UNKNOWN"},
    "CompleteStep": {"step_code": "STEP_UNKNOWN"},
    "TransferDossier": {"to_agency": "AGENCY_UNKNOWN"},
    "IssueResult": {"sha256": "ATTACHMENT_UNKNOWN"},
    "StartCheckout": {"fee_id": "PAYMENT_NOT_FOUND"},
    "ReceiveCash": {"fee_id": "PAYMENT_NOT_FOUND"},
    "RequestRefund": {"fee_id": "PAYMENT_NOT_FOUND", "payment_id": "NOT_TAKEN"},
    "ReturnCash": {"fee_id": "PAYMENT_NOT_FOUND", "payment_id": "NOT_TAKEN"},
    "MarkRead": {"message_id": "NOT_FOUND"},
    "RetryMessage": {"message_id": "NOT_FOUND"},
    "RevokeDocument": {"document_id": "NOT_FOUND"},
    "LinkDocument": {"document_id": "NOT_FOUND", "account_id": "PERSON_UNKNOWN"},
}
SOURCES = {
    "sha256": types.COMPONENT_SOURCE_ATTACHMENT,
    "document_id": types.COMPONENT_SOURCE_WAREHOUSE,
}
# What is answered to an agency of another province, which is another site's.
OF_ANOTHER_PROVINCE: dict[str, dict[str, str]] = {
    "AppointOfficial": {"agency": "BEYOND_REACH"},
    "RegisterSystem": {"operator_agency": "BEYOND_REACH", "scopes.agencies": "BEYOND_REACH"},
    "UpdateSystem": {"scopes.agencies": "BEYOND_REACH"},
    "OpenAgency": {"agency.parent": "PARENT_ELSEWHERE"},
    "CloseAgency": {"successor": "SUCCESSOR_ELSEWHERE"},
    "SaveDraft": {"reception_agency": "AGENCY_ELSEWHERE"},
    "SubmitDossier": {"reception_agency": "AGENCY_ELSEWHERE", "competent_agency": "AGENCY_ELSEWHERE"},
    "TransferDossier": {"to_agency": "AGENCY_ELSEWHERE"},
}
# Ids that name nothing that there is before, and why; the lists of a definition refer to each other: its linter's tests have them.
NEW = {
    "RegisterSystem": {"client_id"},
    "OpenAgency": {"agency.code"},
    "PublishCalendar": {"calendar.calendar_id"},
    "PublishTerritory": {
        "territory.province.code",
        "territory.communes.code",
        # Of the law before this one.
        "territory.province.earlier_codes",
        "territory.communes.earlier_codes",
    },
    "PublishProcedure": {"procedure."},
    "ProposeProcedureRepair": {"procedure."},
}
# Where it takes a procedure that has such: tests/dossier/test_components.py, tests/catalogue.
ELSEWHERE = {"components.document_id", "overlay.charge_code"}


def _walk(message: Descriptor, path: str = "") -> Iterator[str]:
    for field in message.fields:
        if field.message_type is not None and field.message_type.full_name.startswith("motcua."):
            yield from _walk(field.message_type, f"{path}{field.name}.")
        elif field.type == FieldDescriptor.TYPE_STRING and NAMING.search(field.name) and field.name != "request_id":
            yield path + field.name


def _names() -> dict[str, set[str]]:
    return {rpc.descriptor.name: set(_walk(rpc.descriptor.input_type)) for rpc in MUTATIONS}


def _of_a_dossier(name: str) -> bool:
    (rpc,) = (rpc for rpc in MUTATIONS if rpc.descriptor.name == name)
    return rpc.server == "dossier"


def test_the_list_has_every_id_of_every_command() -> None:
    missing = {}
    for name, paths in _names().items():
        known = {*REFUSED.get(name, {}), *NEW.get(name, set()), *ELSEWHERE}
        if _of_a_dossier(name):
            known |= {"code"}
        if left := {path for path in paths - known if not path.startswith(tuple(p for p in known if p.endswith(".")))}:
            missing[name] = sorted(left)
    assert missing == {}


WRONG = [(name, path) for name, paths in REFUSED.items() for path in paths] + [
    (name, "code") for name, paths in _names().items() if "code" in paths and _of_a_dossier(name)
]


@pytest.mark.parametrize(("name", "path"), WRONG, ids=lambda value: value)
def test_an_id_of_nothing_is_refused(world: World, name: str, path: str) -> None:  # noqa: F811
    sending = CASES[name](world)
    _name_nothing(sending, path)
    answer = world.send(sending)
    assert answer.reason == REFUSED.get(name, {}).get(path, "NOT_FOUND"), str(answer)
    assert world.effects(sending.request_id) == []


@pytest.fixture(scope="module")
def elsewhere(world: World) -> str:  # noqa: F811
    """The same agency as ours, of a province that has a site of its own."""
    agency = world.done("GetAgency", "citizen", code=AGENCY).agency.agency
    agency.code, agency.province, agency.parent = "P79.26.740.1", "79", ""
    host = world.client.host
    host.run(
        tell(host.platform.store, f"agency-{agency.code}", AgencyOpened(agency=counterparts.AGENCY.stored(agency)))
    )
    eventually(lambda: _refused_draft(world, agency.code) != "AGENCY_UNKNOWN")
    return str(agency.code)


def _refused_draft(world: World, agency: str) -> str:  # noqa: F811
    sending = CASES["SaveDraft"](world)
    _name(sending, "reception_agency", agency)
    return world.send(sending).reason


def test_the_list_has_every_agency_of_every_command() -> None:
    naming = {
        name: {path for path in paths if AGENCIES.search(path)} - {"code", "agency.code"}
        for name, paths in _names().items()
    }
    assert {name: {*paths} for name, paths in naming.items() if paths} == {
        name: {*paths} for name, paths in OF_ANOTHER_PROVINCE.items()
    } | {"MergeProvince": {"successor"}}


@pytest.mark.parametrize(
    ("name", "path"), [(name, path) for name, paths in OF_ANOTHER_PROVINCE.items() for path in paths]
)
def test_an_agency_of_another_province_is_refused(world: World, elsewhere: str, name: str, path: str) -> None:  # noqa: F811
    sending = CASES[name](world)
    _name(sending, path, elsewhere)
    answer = world.send(sending)
    assert answer.reason == OF_ANOTHER_PROVINCE[name][path], str(answer)
    assert world.effects(sending.request_id) == []


def _name_nothing(sending: Sending, path: str) -> None:
    _name(sending, path, _nothing(path.rpartition(".")[2]))


def _name(sending: Sending, path: str, value: str) -> None:
    *way, last = path.split(".")
    at: Any = sending.request
    for name in way:
        below = getattr(at, name)
        if at.DESCRIPTOR.fields_by_name[name].is_repeated:
            below = below[0] if below else below.add()
        at = below
    if isinstance(at, dossier.GivenComponent):
        at.component_code = at.component_code or "ct01"
        at.source = SOURCES.get(last, types.COMPONENT_SOURCE_PAPER)
    if path.startswith("paper_days."):
        at.issued_on = "2026-01-15"
    if path.startswith("data_faults."):
        at.database, at.kind = "dân cư", 1
    if path.startswith("scopes.") and last != "purpose":
        at.purpose, at.all_procedures = "settle", last != "procedures"
        if last == "procedures":
            at.agencies.append("P56.22.333.1")
    if at.DESCRIPTOR.fields_by_name[last].is_repeated:
        getattr(at, last)[:] = [value]
    else:
        setattr(at, last, value)


def _nothing(field: str) -> str:
    match field:
        case "province":
            return "99"
        case "commune":
            return "99999"
        case "sha256":
            return "ab" * 32
        case "draft_id":
            return str(uuid4())
        case name if name.endswith("_id") and name not in ("client_id", "calendar_id"):
            return NOBODY
        case _:
            return "nothing-9"
