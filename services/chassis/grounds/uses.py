"""Who opened whose data: recorded before it is shown, in a form that the person can read.

The (access) of a method names what its reply `opens`. Officials and systems call it for a registered purpose, on a ground that the
purpose asks for: a dossier of that person which concerns the caller, or what purposes.toml lists beside. The ground is checked
before the method runs, and whose data is opened when it is: by privacy.open_message, and by privacy.opened where the data is no
sealed field. What was opened is stored before anything of it leaves; if it cannot be stored, the call fails. A method that opens
others' data without saying so always fails.
"""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from motcua.privacy.events.v1 import events_pb2
from services.chassis.access.access import Policy
from services.chassis.calls.stated import DOSSIER, NOTHING, PURPOSE, Stated, stated_in
from services.chassis.calls.statuses import RequestInvalid, Violation
from services.chassis.decider import Rejected
from services.chassis.deciding.caller import Caller, Origin, require_of_site
from services.chassis.deciding.codec import to_timestamp
from services.chassis.grounds.concern import Concern, concern_of, may_know, office, require_impartial, vouched
from services.chassis.machine import chance
from services.chassis.platform.platform import Platform
from services.chassis.privacy.sealing import hearing
from services.chassis.store.port import ANY, NewEvent
from services.chassis.telemetry import telemetry

# Who has roles by a person's trust, and answers for what they read.
_OTHERS = frozenset({"official", "system"})


# A dossier's own service decides itself (services/dossier/parties.py): by the same rule, on the dossier's state.
_DOSSIERS = "motcua.dossier.v1"


class Ground(Enum):
    DOSSIER = "dossier"
    REQUEST = "request"
    COUNTER = "counter"


@dataclass(frozen=True, slots=True)
class Purpose:
    code: str
    vi: str
    en: str
    legal_basis: str
    roles: frozenset[str]
    ground: Ground
    days_after_end: int = 0
    other_bases: tuple[str, ...] = ()
    # What it opens; None: whatever a method opens.
    opens: frozenset[str] | None = None

    def fits(self, caller: Caller, opens: str) -> bool:
        return bool(self.roles & caller.roles) and (self.opens is None or opens in self.opens)

    def serves(self, dossier: Concern, at: datetime) -> bool:
        """Of a dossier that has ended, for some days still."""
        return dossier.ended_at is None or at <= dossier.ended_at + timedelta(days=self.days_after_end)


@cache
def purposes() -> Mapping[str, Purpose]:
    document = tomllib.loads((Path(__file__).parent / "purposes.toml").read_text())
    return {
        code: Purpose(
            code,
            entry["vi"],
            entry["en"],
            entry["legal_basis"],
            frozenset(entry["roles"]),
            Ground(entry["ground"]),
            entry.get("days_after_end", 0),
            tuple(entry.get("other_bases", ())),
            frozenset(entry["opens"]) if "opens" in entry else None,
        )
        for code, entry in document.items()
        if code != "version"
    }


def purpose_of(code: str, caller: Caller, opens: str) -> Purpose:
    """What an official or a system states that it reads for. Raises Rejected PURPOSE_MISSING, RequestInvalid."""
    if code and caller.kind == "system" and code not in caller.purposes:
        raise Rejected("PURPOSE_MISSING", purpose=code)
    found = purposes().get(code)
    if found is None or not found.fits(caller, opens):
        allowed = ", ".join(code for code, purpose in purposes().items() if purpose.fits(caller, opens))
        vi = f"Nêu một mục đích trong tiêu đề {PURPOSE}: {allowed}."
        raise RequestInvalid([Violation(PURPOSE, vi, f"State a purpose in the header {PURPOSE}: {allowed}.")])
    return found


class Opening:
    """What one call opens of others' data."""

    def __init__(
        self,
        platform: Platform,
        caller: Caller,
        opens: str,
        purpose: Purpose | None = None,
        code: str = "",
        subject: str | None = None,
    ) -> None:
        """`code`: of the dossier that allows it, if one does. `subject`: whose data it allows; None: whoever's stands in it."""
        self._platform = platform
        self._caller = caller
        self._opens = opens
        self._purpose = purpose
        self._code = code
        self._subject = subject
        self._new: dict[str, Purpose] = {}
        self._recorded: set[str] = set()

    @property
    def stated(self) -> bool:
        return self._purpose is not None or self._caller.kind not in _OTHERS

    def require(self, subject: str, code: str) -> None:
        """Raises Rejected NO_CONCERN, OWN_AFFAIR, ACCOUNT_RESTRICTED."""
        if (purpose := self._purpose) is None:
            if subject == self._caller.account_id and self._caller.kind != "system":
                return
            raise PermissionError(f"others' data is opened for {self._caller.kind}, and no purpose was asked for")
        standing = self._platform.verifier.standing
        if not self._allows(purpose.ground, subject, code):
            raise Rejected("NO_CONCERN")
        require_impartial(self._caller, subject)
        if subject in standing.restricted and "administrator" not in self._caller.roles & purpose.roles:
            raise Rejected("ACCOUNT_RESTRICTED")

    def _allows(self, ground: Ground, subject: str, code: str) -> bool:
        match ground:
            case Ground.DOSSIER:
                return code == self._code if self._subject is None else subject == self._subject
            case Ground.REQUEST:
                return subject in self._platform.verifier.standing.asked
            case Ground.COUNTER:
                return True

    def note(self, subject: str, code: str) -> None:
        self.require(subject, code)
        if self._purpose is not None and subject not in self._recorded:
            self._new[subject] = self._purpose

    async def record(self) -> None:
        """Store what was noted since. Raises StoreUnavailable."""
        if not self._new:
            return
        new, self._new = self._new, {}
        await asyncio.gather(*(self._append(subject, purpose) for subject, purpose in new.items()))
        self._recorded.update(new)

    async def _append(self, subject: str, purpose: Purpose) -> None:
        now, caller, code = self._platform.clock.now(), self._caller, self._code
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
        # A stream of its own: the dossier's does not move because somebody reads it, and readers do not wait for each other.
        await self._store(f"use-{code or subject}", event, now)

    async def _store(self, stream: str, event: Message, now: datetime) -> None:
        origin = Origin.of_reading(self._caller, telemetry.traceparent())
        metadata = origin.metadata(self._platform.settings.site, now)
        stored = NewEvent(chance.new_id(), event.DESCRIPTOR.full_name, event.SerializeToString(), metadata)
        await self._platform.store.append(stream, [stored], ANY)


class Listing(Opening):
    """What one page of a list opens: rows of dossiers that concern the caller, by which they were chosen."""

    def __init__(self, platform: Platform, caller: Caller, opens: str, purpose: Purpose | None) -> None:
        super().__init__(platform, caller, opens, purpose)
        self._rows: dict[tuple[str, str], None] = {}

    def _allows(self, ground: Ground, subject: str, code: str) -> bool:
        return ground is Ground.DOSSIER and bool(code)

    def note(self, subject: str, code: str) -> None:
        self.require(subject, code)
        if self._purpose is not None:
            self._rows[subject, code] = None

    async def record(self) -> None:
        """All of the page is one use. Raises StoreUnavailable."""
        if self._purpose is None or not self._rows:
            return
        now, caller, purpose = self._platform.clock.now(), self._caller, self._purpose
        event = events_pb2.DataListed(
            rows=[events_pb2.ListedRow(subject_id=subject, code=code) for subject, code in self._rows],
            at=to_timestamp(now),
            by=caller.actor,
            agency=caller.agency,
            roles=sorted(caller.roles - {"public"}),
            purpose=purpose.code,
            legal_basis=purpose.legal_basis,
            opened=self._opens,
        )
        self._rows.clear()
        await self._store(f"use-list-{caller.actor}", event, now)


class Readings:
    """Those of one method."""

    def __init__(self, platform: Platform, policy: Policy, request: type[Message]) -> None:
        fields, name = request.DESCRIPTOR.fields_by_name, request.DESCRIPTOR.full_name
        self._own = request.DESCRIPTOR.file.package == _DOSSIERS
        if policy.opens and self._own and "code" not in fields:
            raise TypeError(f"{name} names no dossier (code), and its method opens {policy.opens}")
        if "purpose" in fields:
            raise TypeError(f"{name} has purpose: that is stated in {PURPOSE}")
        if policy.opens and "dossier_code" in fields:
            raise TypeError(f"{name} has dossier_code: the ground is stated in {DOSSIER}")
        self._platform = platform
        self._opens = policy.opens
        self._lists = policy.lists
        self._purpose = policy.purpose

    def stated(self, metadata: Iterable[tuple[str, str | bytes]], violations: list[Violation]) -> Stated:
        """What the caller states, where the method reads it. `violations`: what is wrong with it is added to them."""
        return stated_in(metadata, violations) if self._opens or self._lists else NOTHING

    async def begin(self, request: Any, stated: Stated, caller: Caller) -> tuple[Caller, Opening]:
        """The reading of the call that this task answers, and its caller with what it calls for.

        Raises Rejected PURPOSE_MISSING, NO_CONCERN, OWN_AFFAIR, SCOPE_MISSING, SITE_AUTHORITY_REQUIRED; RequestInvalid.
        """
        reading: Opening
        if self._lists:
            states = bool(stated.purpose) and caller.kind in _OTHERS
            found = purpose_of(stated.purpose, caller, self._lists) if states else None
            reading = Listing(self._platform, caller, self._lists, found)
            purpose = found.code if found else self._purpose
        elif not self._opens or caller.kind not in _OTHERS:
            reading = Opening(self._platform, caller, self._opens)
            purpose = self._purpose
        else:
            found = purpose_of(stated.purpose, caller, self._opens)
            purpose = found.code
            caller = replace(caller, purpose=purpose)
            reading = await self._reading(request.code if self._own else stated.dossier, caller, found)
        hearing.set(reading)
        return (replace(caller, purpose=purpose) if caller.kind == "system" else caller), reading

    async def _reading(self, code: str, caller: Caller, purpose: Purpose) -> Opening:
        """`code`: of the dossier that is the ground, where there is one."""
        if caller.kind == "system" and not any(scope.purpose == purpose.code for scope in caller.scopes):
            raise Rejected("SCOPE_MISSING", system=caller.account_id, purpose=purpose.code)
        if self._own:
            return Opening(self._platform, caller, self._opens, purpose, code)
        if purpose.ground is not Ground.DOSSIER:
            if code:
                raise RequestInvalid(
                    [_dossier("Mục đích này không kèm hồ sơ.", "This purpose goes without a dossier.")]
                )
            if caller.kind == "official" and not office(caller):
                raise Rejected("NO_CONCERN")
            if purpose.ground is Ground.REQUEST:
                require_of_site(caller, self._platform.settings.site)
            return Opening(self._platform, caller, self._opens, purpose)
        if not code:
            vi = f"Nêu mã hồ sơ của người đó trong tiêu đề {DOSSIER}."
            raise RequestInvalid([_dossier(vi, f"State the code of the person's dossier in the header {DOSSIER}.")])
        dossier = await concern_of(self._platform.store, code)
        # One answer for all of it: who may not know of a dossier learns nothing by asking.
        if dossier is None or not may_know(caller, dossier) or not purpose.serves(dossier, self._platform.clock.now()):
            raise Rejected("NO_CONCERN")
        if not await vouched(self._platform.store, caller, dossier):
            raise Rejected("NO_CONCERN")
        require_impartial(caller, dossier.applicant_id)
        return Opening(self._platform, caller, self._opens, purpose, dossier.code, dossier.applicant_id)


def _dossier(vi: str, en: str) -> Violation:
    return Violation(DOSSIER, vi, en)
