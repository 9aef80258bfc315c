"""The platform's signing keys: their private halves in the vault, their lives as events on one stream."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from joserfc.jwk import OKPKey
from sqlalchemy import delete, insert, select

from services.chassis.clock import Clock
from services.chassis.decider import Rejected
from services.chassis.deciding.caller import Origin
from services.chassis.deciding.handler import Handler, Outcome
from services.chassis.store.port import StoreUnavailable
from services.identity import tokens
from services.identity.signing_keys.commands import RotateSigningKey
from services.identity.signing_keys.domain import CLOCK_SKEW, SigningKey, SigningKeys
from services.identity.signing_keys.events import SigningKeyEvent, SigningKeyIntroduced
from services.identity.vault import Vault, signing_keys, signing_name

STREAM = "keys"
# Longer than any verifier keeps its copy of the key set.
LEAD = timedelta(hours=1)
PERIOD = timedelta(days=30)


class PrivateKeys:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._opened: dict[str, OKPKey] = {}

    async def keep(self, key: OKPKey) -> None:
        kid = key.kid or ""
        private = json.dumps(key.as_dict(private=True)).encode()
        await self._vault.wrapping_write(
            lambda db, wrapping: db.execute(
                insert(signing_keys).values(kid=kid, wrapped=wrapping.wrap(private, signing_name(kid)))
            )
        )

    async def get(self, kid: str) -> OKPKey:
        if kid not in self._opened:
            query = select(signing_keys.c.wrapped).where(signing_keys.c.kid == kid)
            private = await self._vault.unwrapping(
                lambda db, wrapping: wrapping.unwrap(db.execute(query).scalar_one(), signing_name(kid))
            )
            self._opened[kid] = OKPKey.import_key(json.loads(private))
        return self._opened[kid]

    async def forget(self, kids: Collection[str]) -> None:
        for kid in kids:
            self._opened.pop(kid, None)
        gone = delete(signing_keys).where(signing_keys.c.kid.in_(kids))
        if await self._vault.write(lambda db: db.execute(gone).rowcount):
            await self._vault.scrub()


@dataclass(frozen=True, slots=True)
class Signing:
    history: Handler[RotateSigningKey, SigningKeys, SigningKeyEvent]
    private: PrivateKeys
    clock: Clock

    async def signing_keys(self) -> SigningKeys:
        """Makes the first key if there is none."""
        state, _ = await self.history.load(STREAM)
        if not state.keys:
            await self.rotate(Origin.of_clock("the first signing key", "identity"))
            state, _ = await self.history.load(STREAM)
        return state

    async def published(self) -> tuple[SigningKey, ...]:
        """Those that still verify, and the one that will sign next; while the event store is away, as they were read last.

        Raises StoreUnavailable if they never were.
        """
        try:
            state = await self.signing_keys()
        except StoreUnavailable:
            state = self.history.known(STREAM)
            if not state.keys:
                raise
        return state.published(self.clock.now())

    async def private_key(self, kid: str) -> OKPKey:
        return await self.private.get(kid)

    async def rotate(self, origin: Origin, *, compromised: bool = False) -> Outcome[SigningKeyEvent]:
        key = tokens.generate_signing_key()
        kid = key.kid or ""
        # Before the fact: a published key can sign, whatever crashes.
        await self.private.keep(key)
        command = RotateSigningKey(
            at=self.clock.now(),
            by=origin.actor,
            kid=kid,
            public_jwk=tokens.public_jwk(key),
            lead=LEAD,
            token_lifetime=tokens.LIFETIME,
            compromised=compromised,
        )
        try:
            outcome = await self.history.execute(STREAM, command, origin)
        except Rejected:
            await self.private.forget([kid])
            raise
        if introduced_by(outcome) != kid:  # the same request was here before
            await self.private.forget([kid])
        return outcome

    async def rotation_due(self) -> datetime:
        return (await self.signing_keys()).keys[-1].signs_from + PERIOD

    async def keep_fresh(self) -> None:
        """Rotate when it is time; destroy private keys that will not sign again."""
        state, now = await self.signing_keys(), self.clock.now()
        newest = state.keys[-1]
        if newest.signs_from + PERIOD <= now:
            await self.rotate(Origin.of_clock(f"the signing key after {newest.kid}", "identity"))
        # Another replica's clock may be behind.
        past = now - CLOCK_SKEW
        if over := [key.kid for key in state.keys if key.signs_until is not None and key.signs_until <= past]:
            await self.private.forget(over)


def introduced_by(outcome: Outcome[SigningKeyEvent]) -> str:
    return next(event.kid for event in outcome.events if isinstance(event, SigningKeyIntroduced))
