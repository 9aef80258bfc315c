"""For each RPC that opens personal data how it is asked for a dossier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway.sandbox.people import citizen
from motcua.dossier.v1 import dossier_service_pb2 as pb
from motcua.types.v1 import types_pb2 as types
from tests.grounds.lives import ALL, Lives
from tests.support.grounds import particulars
from tests.support.stating import stating

Fields = Callable[[Lives, str], dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """What is asked, for the dossier of a code. `system`: the purpose of systems; `own`: the dossier itself is asked for."""

    fields: Fields
    roles: tuple[str, ...]
    system: str
    own: bool = False
    # Of another person than the dossier's, with the same code.
    of_another: Fields | None = None


def dossier(lives: Lives, code: str) -> dict[str, Any]:
    return {"code": code} | stating("settle")


def paper() -> pb.GivenComponent:
    return pb.GivenComponent(component_code="ct01", source=types.COMPONENT_SOURCE_PAPER)


def look_up(lives: Lives, code: str, person: Any = None) -> dict[str, Any]:
    return particulars(person or lives.person) | stating("look-up", code)


CASES = {
    "GetAccount": Case(
        lambda x, code: {"account_id": x.me} | stating("settle", code),
        ("receptionist", "processor", "approver"),
        "settle",
        of_another=lambda x, code: {"account_id": x.stranger} | stating("settle", code),
    ),
    "LookUpPerson": Case(
        look_up,
        ("receptionist", "processor", "approver"),
        "look-up",
        of_another=lambda x, code: look_up(x, code, citizen(8)),
    ),
    "GetDossier": Case(dossier, ALL, "settle", own=True),
    "ListHistory": Case(dossier, ALL, "settle", own=True),
    "WatchDossier": Case(dossier, ALL, "settle", own=True),
    "GetAttachment": Case(lambda x, code: dossier(x, code) | {"sha256": x.sha256}, ALL, "settle", own=True),
    "GetDocument": Case(
        lambda x, code: {"document_id": x.document_id} | stating("settle", code),
        ("receptionist", "processor", "approver"),
        "settle",
        of_another=lambda x, code: {"document_id": x.stranger_s_document} | stating("settle", code),
    ),
    "ReadDocument": Case(
        lambda x, code: {"document_id": x.document_id} | stating("settle", code),
        ("receptionist", "processor", "approver"),
        "settle",
        of_another=lambda x, code: {"document_id": x.stranger_s_document} | stating("settle", code),
    ),
    "ListDocuments": Case(
        lambda x, code: {"account_id": x.me} | stating("settle", code),
        ("receptionist", "processor", "approver"),
        "settle",
        of_another=lambda x, code: {"account_id": x.stranger} | stating("settle", code),
    ),
}
# For systems alone, or without a dossier's code: the money, and what systems bring about.
OTHERS: dict[str, Callable[[Lives], dict[str, Any]]] = {
    "GetPayment": lambda x: {"fee_id": x.fee_id},
    "ReconcileDay": lambda x: {"day": datetime.now(UTC).date().isoformat()},
    "SubmitDossier": lambda x: x.world.submission(x.me) | {"channel": types.CHANNEL_ONLINE},
    "CorrectForm": lambda x: {"code": x.code, "form": {"subject_name": "Nguyễn Văn Ân"}},
    "RequestWithdrawal": lambda x: {"code": x.code},
    "SupplySupplement": lambda x: {"code": x.code, "components": [paper()]},
    "ConfirmSynchronisation": lambda x: {"code": x.code, "peer_revision": 1},
}
