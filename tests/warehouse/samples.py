"""A procedure and dossiers' facts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from motcua.catalogue.events.v1 import definitions_pb2, events_pb2
from motcua.dossier.events.v1 import events_pb2 as dossier
from services.chassis.decider import Sealed
from services.chassis.deciding.codec import to_timestamp
from services.dossier import events as d
from services.dossier.values import ApplicantKind, Channel, Component, ComponentSource, DeliveryMethod

PROCEDURE = "1.004222"
AGENCY = "P56.22.336.1"
CITIZEN, OFFICIAL, STRANGER = "a-citizen", "an-official", "a-stranger"
AT = datetime(2026, 3, 2, 2, tzinfo=UTC)
CT01 = Component("ct01", ComponentSource.ATTACHMENT, "cc" * 32, "application/pdf", 900)
PHOTO = Component("photo", ComponentSource.ATTACHMENT, "dd" * 32, "image/png", 700)

PUBLISHED = events_pb2.ProcedurePublished(
    procedure=definitions_pb2.Procedure(
        code=PROCEDURE,
        version=3,
        components=[
            definitions_pb2.Component(
                code="ct01",
                document_kind="residence-change",
                sources=[dossier.COMPONENT_SOURCE_ATTACHMENT, dossier.COMPONENT_SOURCE_WAREHOUSE],
            ),
            definitions_pb2.Component(code="photo", sources=[dossier.COMPONENT_SOURCE_ATTACHMENT]),
            definitions_pb2.Component(
                code="birth",
                document_kind="birth-certificate",
                sources=[dossier.COMPONENT_SOURCE_PAPER, dossier.COMPONENT_SOURCE_WAREHOUSE],
            ),
            definitions_pb2.Component(
                code="identity", document_kind="identity", sources=[dossier.COMPONENT_SOURCE_WAREHOUSE]
            ),
        ],
        results=[definitions_pb2.Result(document_kind="birth-certificate")],
    ),
    at=to_timestamp(AT),
    by="service:catalogue",
)


def code(number: int) -> str:
    return f"P56.22.336-20260302-{number:07}"


def reused(component_code: str, document_id: str) -> Component:
    return Component(component_code, ComponentSource.WAREHOUSE, document_id=document_id)


def submitted(number: int, *components: Component, **fields: Any) -> d.DossierSubmitted:
    given: dict[str, Any] = {
        "code": code(number),
        "applicant_id": CITIZEN,
        "at": AT,
        "by": OFFICIAL,
        "procedure_code": PROCEDURE,
        "procedure_version": 3,
        "channel": Channel.COUNTER,
        "applicant_kind": ApplicantKind.CITIZEN,
        "applicant_name": Sealed("Nguyễn Văn An"),
        "email": Sealed(""),
        "phone": Sealed(""),
        "form": Sealed(""),
        "components": components,
        "place_of_submission": AGENCY,
        "reception_agency": "P56.22.336",
        "competent_agency": AGENCY,
        "province": "56",
        "delivery_method": DeliveryMethod.COUNTER,
        "draft_id": "",
        "reuse_consent": True,
    }
    return d.DossierSubmitted(**given | fields)


def received(number: int, at: datetime = AT, applicant_id: str = CITIZEN) -> d.DossierReceived:
    return d.DossierReceived(
        code=code(number),
        applicant_id=applicant_id,
        at=at,
        by=OFFICIAL,
        receipt_number=f"TN-{code(number)}",
        due_at=None,
        term=None,
        calendar="",
        agency="P56.22.336",
        procedure_version=3,
        next_step_code="",
        next_role="",
    )


def issued(
    number: int,
    at: datetime = AT,
    *,
    sha256: str = "ab" * 32,
    on_time: bool = True,
    applicant_id: str = CITIZEN,
    kind: str = "birth-certificate",
) -> d.ResultIssued:
    return d.ResultIssued(
        code=code(number),
        applicant_id=applicant_id,
        at=at,
        by=OFFICIAL,
        result_number="12/KS",
        document_kind=kind,
        sha256=sha256,
        media_type="application/pdf",
        size=4_821,
        on_time=on_time,
        agency=AGENCY,
        procedure_code=PROCEDURE,
    )
