"""What every service must heed of persons: who was erased, who is restricted, who asked about their data."""

from __future__ import annotations

from typing import Any

from motcua.identity.events.v1 import events_pb2 as identity

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
