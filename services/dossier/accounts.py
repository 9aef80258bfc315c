"""What the views know of accounts, by id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select

from motcua.identity.events.v1 import events_pb2 as identity
from services.dossier.holdings import NO_HOLDINGS, Holdings, holdings_of
from services.dossier.registry import UNREGISTERED, Registered
from services.dossier.views import accounts


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """What is known of an account: its registration, login level and documents."""

    registration: Registered = UNREGISTERED
    # The highest that the person logged in with.
    level: int = 0
    documents: Holdings = NO_HOLDINGS


_IDS: Any = bindparam("ids", expanding=True)
_ACCOUNTS = select(accounts).where(accounts.c.account_id.in_(_IDS))


def known_accounts(db: Connection, account_ids: Sequence[str]) -> dict[str, KnownAccount]:
    held = holdings_of(db, account_ids)
    found = {account_id: KnownAccount(documents=documents) for account_id, documents in held.items()}
    for row in db.execute(_ACCOUNTS, {"ids": account_ids}):
        event = identity.AccountRegistered.FromString(row.registered)
        registration = Registered(event.kind, row.event_id, event)
        found[row.account_id] = KnownAccount(registration, row.level, held[row.account_id])
    return found
