"""Whether an account is there, of the kind that is asked for, and open: as the log has it now."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import Message

from motcua.identity.events.v1 import events_pb2 as identity
from services.chassis.deciding.facts import message_of
from services.chassis.following.standing import Standing
from services.chassis.store.port import EventStore
from services.dossier.refusals import Refused
from services.dossier.values import ApplicantKind


@dataclass(frozen=True, slots=True)
class Registered:
    """An account as the log has it.

    `kind`: of the account, 0 if there is none. `event`: the stored event with its names, the registration at the first login or
    before that a look-up in the population database. `event_id`: of that event.
    """

    kind: int = 0
    event_id: str = ""
    event: Message | None = None


UNREGISTERED = Registered()


class Registry:
    def __init__(self, store: EventStore, standing: Standing) -> None:
        self._store = store
        self._standing = standing

    async def require(self, account_id: str, kind: ApplicantKind, registered: Registered) -> Registered:
        """The account, if it is there, of this kind and open: `registered` if the views hold it already, else as the log has it.

        Raises Rejected ACCOUNT_UNKNOWN, SUBJECT_ERASED, ACCOUNT_RESTRICTED.
        """
        found = registered if registered.event_id else await self._registered(account_id)
        if found.kind != kind.value:
            raise Refused("ACCOUNT_UNKNOWN", account_id=account_id, kind=kind.name.lower())
        self.require_open(account_id)
        return found

    def require_open(self, account_id: str) -> None:
        """Refuses an account that was erased or restricted. Raises Rejected SUBJECT_ERASED, ACCOUNT_RESTRICTED."""
        if account_id in self._standing.erased:
            raise Refused("SUBJECT_ERASED")
        if account_id in self._standing.restricted:
            raise Refused("ACCOUNT_RESTRICTED")

    async def _registered(self, account_id: str) -> Registered:
        """A person whom the population database knows has an account before the first login."""
        found = UNREGISTERED
        for recorded in await self._store.read(f"account-{account_id}"):
            match message_of(recorded):
                case identity.AccountRegistered() as event:
                    return Registered(event.kind, str(recorded.id), event)
                case identity.PopulationLookedUp() as event if event.outcome == identity.LOOKUP_OUTCOME_FOUND:
                    found = Registered(identity.ACCOUNT_KIND_CITIZEN, str(recorded.id), event)
        return found
