"""The platform's signing keys: which signs now, and which still verify."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from services.chassis.decider import Decider
from services.identity.refusals import Refused
from services.identity.signing_keys.commands import RotateSigningKey
from services.identity.signing_keys.events import SigningKeyEvent, SigningKeyIntroduced, SigningKeyRetired

# Verifiers' clocks may be this far behind ours.
CLOCK_SKEW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SigningKey:
    kid: str
    public_jwk: str
    signs_from: datetime
    signs_until: datetime | None = None
    verifies_until: datetime | None = None

    def verifies(self, at: datetime) -> bool:
        return self.verifies_until is None or at < self.verifies_until


@dataclass(frozen=True, slots=True)
class SigningKeys:
    keys: tuple[SigningKey, ...] = ()

    def signing(self, at: datetime) -> SigningKey | None:
        """The key that signs now; there is none only before the first."""
        for key in self.keys:
            if key.signs_from <= at and (key.signs_until is None or at < key.signs_until):
                return key
        return None

    def published(self, at: datetime) -> tuple[SigningKey, ...]:
        return tuple(key for key in self.keys if key.verifies(at))


def decide_signing_keys(command: RotateSigningKey, state: SigningKeys) -> Sequence[SigningKeyEvent]:
    if any(key.kid == command.kid for key in state.keys):
        raise Refused("KEY_REUSED", kid=command.kid)
    if command.compromised or not state.keys:
        signs_from = verifies_until = command.at
        retired = state.published(command.at)
    else:
        for key in state.keys:
            if key.verifies(command.at) and key.signs_from > command.at:
                raise Refused("ROTATION_PENDING", kid=key.kid, signs_from=key.signs_from.isoformat())
        signs_from = command.at + command.lead
        verifies_until = signs_from + command.token_lifetime + CLOCK_SKEW
        retired = tuple(key for key in state.keys if key.signs_until is None)
    return (
        SigningKeyIntroduced(
            kid=command.kid, at=command.at, by=command.by, public_jwk=command.public_jwk, signs_from=signs_from
        ),
        *(
            SigningKeyRetired(
                kid=key.kid, at=command.at, by=command.by, signs_until=signs_from, verifies_until=verifies_until
            )
            for key in retired
        ),
    )


def evolve_signing_keys(state: SigningKeys, event: SigningKeyEvent) -> SigningKeys:
    match event:
        case SigningKeyIntroduced():
            return SigningKeys((*state.keys, SigningKey(event.kid, event.public_jwk, event.signs_from)))
        case SigningKeyRetired():
            return SigningKeys(
                tuple(
                    replace(key, signs_until=event.signs_until, verifies_until=event.verifies_until)
                    if key.kid == event.kid
                    else key
                    for key in state.keys
                )
            )
        case _:
            assert_never(event)


signing_keys: Decider[RotateSigningKey, SigningKeys, SigningKeyEvent] = Decider(
    SigningKeys(), decide_signing_keys, evolve_signing_keys
)
