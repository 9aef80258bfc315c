"""Who opened whose data: recorded before it is shown, in a form that the person can read.

The (access) of a method names what its reply `opens`. Officials and systems call it for a registered purpose. Whatever is opened
while it is answered is noted, by privacy.open_message and by privacy.opened where the data is no sealed field, and stored before
anything of it leaves; if it cannot be stored, the call fails. A method that opens others' data without saying so always fails.
"""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from google.protobuf.message import Message

from motcua.privacy.events.v1 import events_pb2
from services.chassis import telemetry
from services.chassis.access import Policy
from services.chassis.caller import Caller, Origin
from services.chassis.codec import to_timestamp
from services.chassis.decider import Rejected
from services.chassis.errors import Invalid, Violation
from services.chassis.platform import Platform
from services.chassis.privacy import opening
from services.chassis.store.port import ANY, NewEvent

# Who has roles by a person's trust, and answers for what they read.
_OTHERS = frozenset({"official", "system"})


@dataclass(frozen=True, slots=True)
class Purpose:
    code: str
    vi: str
    en: str
    legal_basis: str
    roles: frozenset[str]


@cache
def purposes() -> Mapping[str, Purpose]:
    document = tomllib.loads((Path(__file__).parent / "purposes.toml").read_text())
    return {
        code: Purpose(code, entry["vi"], entry["en"], entry["legal_basis"], frozenset(entry["roles"]))
        for code, entry in document.items()
        if code != "version"
    }


def stated(request: Any, caller: Caller) -> Purpose:
    """What an official or a system says it reads for. Raises Rejected PURPOSE_MISSING, Invalid."""
    code = request.purpose
    if code and caller.kind == "system" and code not in caller.purposes:
        raise Rejected("PURPOSE_MISSING", purpose=code)
    found = purposes().get(code)
    if found is None or not found.roles & caller.roles:
        allowed = ", ".join(code for code, purpose in purposes().items() if purpose.roles & caller.roles)
        raise Invalid([Violation("purpose", f"Nêu một mục đích: {allowed}.", f"State a purpose: {allowed}.")])
    return found


class Reading:
    """What one call opens of others' data."""

    def __init__(self, platform: Platform, caller: Caller, opens: str, purpose: Purpose | None, code: str) -> None:
        self._platform = platform
        self._caller = caller
        self._opens = opens
        self._purpose = purpose
        self._code = code
        self._new: dict[tuple[str, str, Purpose], None] = {}
        self._recorded: set[tuple[str, str]] = set()

    def note(self, subject: str, code: str) -> None:
        if subject == self._caller.account_id and self._caller.kind != "system":
            return
        if self._purpose is None:
            raise PermissionError(f"others' data is opened for {self._caller.kind}, and no purpose was asked for")
        use = (subject, self._code or code)
        if use not in self._recorded:
            self._new[*use, self._purpose] = None

    async def record(self) -> None:
        """Store what was noted since. Raises StoreUnavailable."""
        if not self._new:
            return
        new, self._new = tuple(self._new), {}
        if len(new) == 1:
            await self._append(*new[0])
        else:
            await asyncio.gather(*(self._append(*use) for use in new))
        self._recorded.update(use[:2] for use in new)

    async def _append(self, subject: str, code: str, purpose: Purpose) -> None:
        now, caller = self._platform.clock.now(), self._caller
        event = events_pb2.DataUsed(
            subject_id=subject,
            at=to_timestamp(now),
            by=caller.actor,
            agency=caller.agency,
            roles=sorted(caller.roles - {"public"}),
            purpose=purpose.code,
            legal_basis=purpose.legal_basis,
            code=code,
            opened=self._opens,
        )
        origin = Origin.of_reading(caller, telemetry.traceparent())
        metadata = origin.metadata(self._platform.settings.site, now)
        stored = NewEvent(uuid4(), event.DESCRIPTOR.full_name, event.SerializeToString(), metadata)
        # A stream of its own: the dossier's does not move because somebody reads it, and readers do not wait for each other.
        await self._platform.store.append(f"use-{code or subject}", [stored], ANY)


class Readings:
    """Those of one method."""

    def __init__(self, platform: Platform, policy: Policy, request: type[Message]) -> None:
        if policy.opens and "purpose" not in request.DESCRIPTOR.fields_by_name:
            raise TypeError(f"{request.DESCRIPTOR.full_name} has no purpose, and its method opens {policy.opens}")
        self._platform = platform
        self._opens = policy.opens
        self._for_dossier = "dossier_code" in request.DESCRIPTOR.fields_by_name

    def begin(self, request: Any, caller: Caller) -> Reading:
        """The reading of the call that this task answers. Raises Rejected PURPOSE_MISSING, Invalid."""
        purpose = stated(request, caller) if self._opens and caller.kind in _OTHERS else None
        code = request.dossier_code if self._for_dossier else ""
        reading = Reading(self._platform, caller, self._opens, purpose, code)
        opening.set(reading.note)
        return reading
