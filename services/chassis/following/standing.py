"""What every service must heed of persons: who was erased, who is restricted, who asked about their data."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, MetaData, String, Table, delete, select

from motcua.identity.events.v1 import events_pb2 as identity
from services.chassis.database.database import insert_new
from services.chassis.deciding.facts import Fact
from services.chassis.following.views import Projection

EVENTS = (identity.ErasureRequested, identity.ErasureDecided)


class Standing:
    """Learnt from the log by every process. The newest decision counts."""

    def __init__(self) -> None:
        self.erased: set[str] = set()
        self.restricted: set[str] = set()
        self.asked: set[str] = set()
        """Whose own request about their data waits, or was decided so that somebody has to look after it."""

    def learn(self, event: Any) -> None:
        match event:
            case identity.ErasureRequested():
                self.asked.add(event.account_id)
            case identity.ErasureDecided():
                self._keep(self.erased, event, identity.ERASURE_OUTCOME_SHREDDED)
                self._keep(self.restricted, event, identity.ERASURE_OUTCOME_RESTRICTED)
                if event.outcome == identity.ERASURE_OUTCOME_REFUSED:
                    self.asked.discard(event.account_id)

    @staticmethod
    def _keep(accounts: set[str], event: identity.ErasureDecided, outcome: int) -> None:
        if event.outcome == outcome:
            accounts.add(event.account_id)
        else:
            accounts.discard(event.account_id)


# The same of rows, for lists: a service that lists people's affairs keeps it beside them.
metadata = MetaData()
restricted_table = Table("restricted_v1", metadata, Column("account_id", String, primary_key=True))
restricted = Projection("restricted_v1", metadata)


@restricted.on(identity.ErasureDecided)
def decided(db: Connection, fact: Fact[identity.ErasureDecided]) -> None:
    account_id = fact.event.account_id
    if fact.event.outcome == identity.ERASURE_OUTCOME_RESTRICTED:
        insert_new(db, restricted_table, {"account_id": account_id})
    else:
        db.execute(delete(restricted_table).where(restricted_table.c.account_id == account_id))


def unrestricted(account_id: ColumnElement[str]) -> ColumnElement[bool]:
    """The condition on rows whose column names no restricted account."""
    return account_id.not_in(select(restricted_table.c.account_id))
