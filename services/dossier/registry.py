"""Whether an account is there, of the kind that is asked for, and open: as the log has it now."""

from __future__ import annotations

from motcua.identity.events.v1 import events_pb2 as identity
from services.chassis.decider import Rejected
from services.chassis.facts import message_of
from services.chassis.standing import Standing
from services.chassis.store.port import EventStore
from services.dossier.values import ApplicantKind


class Registry:
    def __init__(self, store: EventStore, standing: Standing) -> None:
        self._store = store
        self._standing = standing

    async def require(self, account_id: str, kind: ApplicantKind, registered: bytes) -> None:
        """`registered`: the AccountRegistered that the views hold already, if they do.

        Raises Rejected ACCOUNT_UNKNOWN, SUBJECT_ERASED, ACCOUNT_RESTRICTED.
        """
        known = identity.AccountRegistered.FromString(registered).kind if registered else await self._kind(account_id)
        if known != kind.value:
            raise Rejected("ACCOUNT_UNKNOWN", account_id=account_id, kind=kind.name.lower())
        self.require_open(account_id)

    def require_open(self, account_id: str) -> None:
        """Raises Rejected SUBJECT_ERASED, ACCOUNT_RESTRICTED."""
        if account_id in self._standing.erased:
            raise Rejected("SUBJECT_ERASED")
        if account_id in self._standing.restricted:
            raise Rejected("ACCOUNT_RESTRICTED")

    async def _kind(self, account_id: str) -> int:
        """A person whom the population database knows has an account before the first login; 0 for none."""
        kind = 0
        for event in map(message_of, await self._store.read(f"account-{account_id}")):
            match event:
                case identity.AccountRegistered():
                    return event.kind
                case identity.PopulationLookedUp() if event.outcome == identity.LOOKUP_OUTCOME_FOUND:
                    kind = identity.ACCOUNT_KIND_CITIZEN
        return kind
