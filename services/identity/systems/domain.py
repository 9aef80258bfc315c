"""Other systems: their purposes, their scopes and their keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from services.chassis.decider import Decider, Words
from services.identity.refusals import Refused
from services.identity.systems.commands import (
    RegisterSystem,
    ReinstateSystem,
    RotateSystemKey,
    SuspendSystem,
    SystemCommand,
    UpdateSystem,
)
from services.identity.systems.events import (
    SystemChanged,
    SystemEvent,
    SystemKeyRotated,
    SystemRegistered,
    SystemReinstated,
    SystemSuspended,
)
from services.identity.systems.values import CLIENT_ID, PURPOSE, PurposeScope
from services.identity.values import Reach, require

MAX_KEY_OVERLAP = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class SystemKey:
    kid: str
    public_jwk: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class System:
    purposes: tuple[str, ...] = ()
    operator_agency: str = ""
    scopes: tuple[PurposeScope, ...] = ()
    # Every key it ever had, the newest last.
    keys: tuple[SystemKey, ...] = ()
    suspended: bool = False
    certificate_required: bool = False

    @property
    def agencies(self) -> frozenset[str]:
        """Of all its scopes."""
        return _agencies(self.scopes)

    @property
    def registered(self) -> bool:
        return bool(self.keys)

    def accepted_keys(self, at: datetime) -> tuple[SystemKey, ...]:
        if self.suspended:
            return ()
        return tuple(key for key in self.keys if key.until is None or at < key.until)


def decide_system(command: SystemCommand, state: System) -> Sequence[SystemEvent]:
    if not state.registered and not isinstance(command, RegisterSystem):
        raise Refused("SYSTEM_UNKNOWN", client_id=command.client_id)
    if not isinstance(command, RegisterSystem):
        _require_mine(command.reach, state)
    match command:
        case RegisterSystem():
            return _register(command, state)
        case UpdateSystem():
            _require_purposes(command.purposes)
            _require_scopes(command.scopes, command.purposes)
            return (
                SystemChanged(
                    client_id=command.client_id,
                    at=command.at,
                    by=command.by,
                    purposes=command.purposes,
                    certificate_required=command.certificate_required,
                    scopes=command.scopes,
                ),
            )
        case RotateSystemKey():
            return _rotate(command, state)
        case SuspendSystem():
            require(reason=command.reason)
            if state.suspended:
                raise Refused("SYSTEM_IS_SUSPENDED", client_id=command.client_id)
            return (SystemSuspended(client_id=command.client_id, at=command.at, by=command.by, reason=command.reason),)
        case ReinstateSystem():
            require(reason=command.reason)
            if not state.suspended:
                raise Refused("SYSTEM_NOT_SUSPENDED", client_id=command.client_id)
            return (SystemReinstated(client_id=command.client_id, at=command.at, by=command.by, reason=command.reason),)
        case _:
            assert_never(command)


def _require_mine(reach: Reach, state: System) -> None:
    """Of whoever answers for the system, or for all agencies that it serves. Raises Rejected BEYOND_REACH."""
    if reach.has_code(state.operator_agency):
        return
    for agency in sorted(state.agencies):
        if not reach.has_code(agency):
            raise Refused("BEYOND_REACH", agency=agency, own=reach.agency)


def _agencies(scopes: Sequence[PurposeScope]) -> frozenset[str]:
    return frozenset(agency for scope in scopes for agency in scope.agencies)


def _register(command: RegisterSystem, state: System) -> Sequence[SystemEvent]:
    if state.registered:
        raise Refused("SYSTEM_EXISTS", client_id=command.client_id)
    if not CLIENT_ID.fullmatch(command.client_id):
        raise Refused("CLIENT_ID_MALFORMED", client_id=command.client_id)
    require(name=command.name, operator_agency=command.operator_agency)
    _require_purposes(command.purposes)
    _require_scopes(command.scopes, command.purposes)
    return (
        SystemRegistered(
            client_id=command.client_id,
            at=command.at,
            by=command.by,
            name=command.name,
            operator_agency=command.operator_agency,
            purposes=command.purposes,
            kid=command.kid,
            public_jwk=command.public_jwk,
            certificate_required=command.certificate_required,
            scopes=command.scopes,
        ),
    )


def _require_scopes(scopes: tuple[PurposeScope, ...], purposes: tuple[str, ...]) -> None:
    for index, scope in enumerate(scopes):
        why: Words | None = None
        if scope.purpose not in purposes:
            why = Words.of("hệ thống không có mục đích này", "the system has no such purpose")
        elif scope.purpose in (one.purpose for one in scopes[:index]):
            why = Words.of("nêu hai lần", "it is stated twice")
        elif not scope.agencies:
            why = Words.of("không nêu cơ quan nào", "it names no agency")
        elif bool(scope.procedures) is scope.all_procedures:
            why = Words.of("hoặc nêu các thủ tục, hoặc mọi thủ tục", "it names either procedures or all of them")
        if why:
            raise Refused("SCOPE_MALFORMED", purpose=scope.purpose, why=why)


def _require_purposes(purposes: tuple[str, ...]) -> None:
    if not purposes:
        raise Refused("PURPOSES_MISSING")
    for index, purpose in enumerate(purposes):
        if not PURPOSE.fullmatch(purpose) or purpose in purposes[:index]:
            raise Refused("PURPOSE_MALFORMED", purpose=purpose)


def _rotate(command: RotateSystemKey, state: System) -> Sequence[SystemEvent]:
    if any(key.kid == command.kid for key in state.keys):
        raise Refused("KEY_REUSED", kid=command.kid)
    if command.previous_until is not None:
        if state.suspended:
            raise Refused("SYSTEM_IS_SUSPENDED", client_id=command.client_id)
        if command.previous_until <= command.at:
            raise Refused("TERM_OVER", ends_at=command.previous_until.isoformat())
        if command.previous_until > command.at + MAX_KEY_OVERLAP:
            raise Refused("OVERLAP_TOO_LONG", days=str(MAX_KEY_OVERLAP.days))
    return (
        SystemKeyRotated(
            client_id=command.client_id,
            at=command.at,
            by=command.by,
            kid=command.kid,
            public_jwk=command.public_jwk,
            previous_until=command.previous_until,
        ),
    )


def evolve_system(state: System, event: SystemEvent) -> System:
    match event:
        case SystemRegistered():
            keys = (SystemKey(event.kid, event.public_jwk),)
            return System(
                event.purposes,
                event.operator_agency,
                event.scopes,
                keys,
                certificate_required=event.certificate_required,
            )
        case SystemChanged():
            return replace(
                state,
                purposes=event.purposes,
                scopes=event.scopes,
                certificate_required=event.certificate_required,
            )
        case SystemKeyRotated():
            until = event.previous_until or event.at
            earlier = (replace(key, until=min(key.until or until, until)) for key in state.keys)
            return replace(state, keys=(*earlier, SystemKey(event.kid, event.public_jwk)))
        case SystemSuspended():
            return replace(state, suspended=True)
        case SystemReinstated():
            return replace(state, suspended=False)
        case _:
            assert_never(event)


system: Decider[SystemCommand, System, SystemEvent] = Decider(System(), decide_system, evolve_system)
