"""What the catalogue has: the agencies and procedures that administrators name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Protocol

from sqlalchemy import Connection, select

from motcua.identity.v1 import identity_pb2
from motcua.identity.v1 import identity_service_pb2 as pb
from services.chassis.calls.call import Call
from services.chassis.deciding.caller import Caller
from services.chassis.following.in_force import span, versions_of, versions_table
from services.chassis.grounds.uses import purposes
from services.identity.refusals import Refused
from services.identity.systems.commands import UpdateSystem
from services.identity.systems.domain import System
from services.identity.systems.values import PurposeScope
from services.identity.values import Office, Reach, require_reach
from services.law.days import local_day
from services.law.validity import Validity


class Offices:
    """All of them, in memory."""

    def __init__(self, db: Connection) -> None:
        self._agencies: dict[str, tuple[Validity, Office]] = {}
        for code, each in groupby(versions_of(db, "agency"), key=lambda one: one.key):
            versions = list(each)
            self._agencies[code] = (span(versions), Office(code, versions[0].message.province))
        t = versions_table
        self._procedures = frozenset(db.scalars(select(t.c.key).where(t.c.kind == "procedure").distinct()))

    def office(self, code: str, at: datetime) -> Office | None:
        """None where it does not exist then."""
        validity, office = self._agencies.get(code, (Validity(""), None))
        return office if office and local_day(at) in validity else None

    def scopes(
        self, wanted: Iterable[identity_pb2.PurposeScope], reach: Reach, at: datetime
    ) -> tuple[PurposeScope, ...]:
        """As an administrator may give them. Raises Rejected AGENCY_UNKNOWN, BEYOND_REACH, PROCEDURE_UNKNOWN."""
        scopes = tuple(
            PurposeScope(one.purpose, tuple(one.agencies), tuple(one.procedures), one.all_procedures) for one in wanted
        )
        for scope in scopes:
            for code in scope.agencies:
                require_reach(reach, self.office(code, at), code)
            for code in scope.procedures:
                if code not in self._procedures:
                    raise Refused("PROCEDURE_UNKNOWN", procedure_code=code)
        return scopes


def require_known_purposes(wanted: Sequence[str]) -> None:
    """Raises Rejected PURPOSE_UNKNOWN."""
    known = [code for code, purpose in purposes().items() if "system" in purpose.roles]
    for code in wanted:
        if code not in known:
            raise Refused("PURPOSE_UNKNOWN", purpose=code, known=", ".join(known))


def system_updated(
    call: Call[pb.UpdateSystemRequest], updates: frozenset[str], offices: Offices, state: System
) -> UpdateSystem:
    """A purpose that is taken away takes its scope along. Raises Rejected PURPOSE_UNKNOWN, and as `Offices.scopes` does."""
    request, reach = call.request, reach_of(call.caller)
    stated = tuple(request.purposes) if "purposes" in updates else state.purposes
    if "purposes" in updates:
        require_known_purposes(stated)
    if "scopes" in updates:
        scopes = offices.scopes(request.scopes, reach, call.now)
    else:
        scopes = tuple(scope for scope in state.scopes if scope.purpose in stated)
    required = request.certificate_required if "certificate_required" in updates else state.certificate_required
    return UpdateSystem(
        client_id=request.client_id,
        at=call.now,
        by=call.caller.actor,
        purposes=stated,
        certificate_required=required,
        reach=reach,
        scopes=scopes,
    )


class Scoped(Protocol):
    """A scope as it is asked for, or as it is stored."""

    @property
    def purpose(self) -> str: ...


def without_scope(stated: Sequence[str], scopes: Iterable[Scoped]) -> list[pb.PurposeWithoutScope]:
    scoped = {scope.purpose for scope in scopes}
    return [
        pb.PurposeWithoutScope(
            purpose=purpose,
            vi=f"Mục đích {purpose} chưa có phạm vi nên hệ thống chưa mở hay gửi được gì: thêm cơ quan và thủ tục vào scopes"
            " bằng UpdateSystem.",
            en=f"The purpose {purpose} has no scope, so the system opens and submits nothing for it: add agencies and"
            " procedures to scopes with UpdateSystem.",
        )
        for purpose in dict.fromkeys(stated)
        if purpose not in scoped
    ]


def reach_of(caller: Caller) -> Reach:
    return Reach(caller.agency, caller.province)
