"""A dossier that its parties read and change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from services.chassis.calls.call import Call
from services.chassis.deciding.handler import Handler, Outcome
from services.chassis.following.standing import Standing
from services.chassis.following.views import Snapshot
from services.chassis.store.port import RecordedEvent
from services.chassis.work.batching import Batched
from services.dossier import commands as c
from services.dossier.accounts import KnownAccount
from services.dossier.domain.state import Dossier
from services.dossier.events import Event
from services.dossier.law import Law, Question
from services.dossier.parties import may_act, require_party
from services.dossier.reading import state_of
from services.dossier.request_parts import actor_of
from services.dossier.uploads import Uploads, owner_of
from services.dossier.values import Actor, File, Route, Terms
from services.law.deadlines import Calendar
from services.law.definitions import Procedure

Q = TypeVar("Q", bound=Message, covariant=True)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DossierCall(Generic[Q]):
    """A call on a dossier, with the state and the law that its command is built from."""

    call: Call[Q]
    state: Dossier
    law: Law
    site: str

    @property
    def request(self) -> Q:
        return self.call.request

    @property
    def by(self) -> Actor:
        return actor_of(self.call.caller)

    @property
    def at(self) -> datetime:
        return self.call.now

    @property
    def procedure(self) -> Procedure:
        """The procedure in the version that the dossier keeps."""
        return self.law.version(self.state.procedure_code, self.state.procedure_version)

    @property
    def terms(self) -> Terms:
        return terms_of(self.state, self.law, self.at)

    @property
    def terms_of_reception(self) -> Terms:
        """The law of the day of reception, which the dossier will keep."""
        return terms_of(self.state, self.law, self.at, self.law.in_force(self.state.procedure_code, self.at).version)

    @property
    def reception_calendar(self) -> Calendar:
        return self.law.calendar_of(self.state.reception_agency, self.at)

    @property
    def route(self) -> Route:
        state = self.state
        return self.law.route(state.reception_agency, state.competent_agency, state.channel, self.at)

    @property
    def receipt_number(self) -> str:
        """The number of the receipt and appointment, form 01: one per dossier."""
        return f"TN-{self.state.code}"


Build = Callable[[DossierCall[Any]], c.Command]


def terms_of(state: Dossier, law: Law, at: datetime, version: int = 0) -> Terms:
    """The law that the dossier keeps, or that of another version of its procedure."""
    procedure = law.version(state.procedure_code, version or state.procedure_version)
    agency, calendar_id = law.known_agency(state.competent_agency, at), state.calendar.partition("@")[0]
    return law.terms(
        Question(
            procedure=procedure,
            channel=state.channel,
            agency=agency,
            answers={},
            at=at,
            submitted_at=state.submitted_at,
            calendar_id=calendar_id,
        )
    )


@dataclass(frozen=True, slots=True)
class Casework:
    """Reading and changing one dossier for its parties. To decide: `change`. To show: `history`, which folds the whole stream."""

    dossiers: Handler[c.Command, Dossier, Event]
    law: Snapshot[Law]
    people: Batched[str, KnownAccount]
    uploads: Uploads
    standing: Standing
    site: str

    async def change(self, call: Call[Any], build: Build) -> Outcome[Event]:
        """Execute the command that `build` makes for the newest state, for a party. Raises as require_party and Handler.execute."""
        law = await self.law.get()

        def command(state: Dossier) -> c.Command:
            self._require_party(call, state, law)
            return build(DossierCall(call, state, law, self.site))

        if call.validate_only:
            return await self.dossiers.preview(call.request.code, command, call.origin)
        return await self.dossiers.execute(call.request.code, command, call.origin)

    async def change_prepared(
        self, call: Call[Any], prepare: Callable[[], Awaitable[T]], build: Callable[[DossierCall[Any], T], c.Command]
    ) -> Outcome[Event]:
        """As change, for a command that needs more than state and law: `prepare` reads it first.

        A request that was settled before is answered without preparing anything. The state that `prepare` reads may be older
        than the one that is decided on: rules read DossierCall.state alone.
        """
        if earlier := await self.dossiers.outcome_of(call.request.code, call.origin):
            return earlier
        prepared = await prepare()
        return await self.change(call, lambda case: build(case, prepared))

    async def history(self, call: Call[Any]) -> tuple[list[RecordedEvent], Dossier]:
        """The dossier's events and their state, for its parties. For others there is none. Raises as require_party."""
        history = await self.dossiers.read(call.request.code)
        state = state_of(history)
        self._require_party(call, state, await self.law.get())
        return history, state

    async def require_party(self, call: Call[Any]) -> None:
        """Refuses a caller who is no party of the newest state. Raises as require_party."""
        state, _ = await self.dossiers.load(call.request.code)
        self._require_party(call, state, await self.law.get())

    def _require_party(self, call: Call[Any], state: Dossier, law: Law) -> None:
        require_party(call.caller, state, law, self.standing, call.request.code)

    async def applicant(self, state: Dossier) -> KnownAccount:
        return await self.people.get(state.applicant_id) or KnownAccount()

    async def take_files(self, call: Call[Any], hashes: Collection[str]) -> dict[str, File]:
        """Those of the files that the caller uploaded, now the applicant's; none for who may not act on the dossier."""
        owner, (state, _) = owner_of(call.caller), await self.dossiers.load(call.request.code)
        allowed = may_act(call.caller, state, await self.law.get(), self.standing)
        found = await self.uploads.owned(owner, hashes) if allowed else {}
        await self.uploads.take(owner, state.applicant_id, found)
        return found
