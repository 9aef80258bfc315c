"""An official acts within the term, and so does the official's token."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt

from services.chassis.decider import Rejected
from services.identity import tokens
from services.identity.accounts.domain import Account, Appointment
from services.identity.accounts.values import AccountKind, Role
from services.identity.tokens import AccessClaims

NOW = datetime(2026, 3, 2, 8, 0, 0, 250_000, tzinfo=UTC)
KEY = tokens.generate_signing_key()
offsets = st.one_of(st.integers(-3600, 3600), st.integers(-2 * 86_400, 2 * 86_400)).map(lambda s: timedelta(seconds=s))


@settings(database=None, derandomize=True)
@given(offsets, st.one_of(st.none(), offsets))
def test_a_token_is_given_within_the_term_and_dies_with_it(begins: timedelta, ends: timedelta | None) -> None:
    starts_at, ends_at = NOW + begins, None if ends is None else NOW + ends
    held = Appointment("ap-1", (Role.PROCESSOR,), "P56.1", "56", starts_at, ends_at)
    state = Account(AccountKind.CITIZEN, (held,))
    if starts_at > NOW or (ends_at is not None and ends_at <= NOW):
        with pytest.raises(Rejected, match="APPOINTMENT_NOT_STARTED" if starts_at > NOW else "APPOINTMENT_OVER"):
            state.acting("ap-1", NOW)
        return
    acting = state.acting("ap-1", NOW)
    claims = AccessClaims("a", "official", ("processor",), "P56.1", "56", appointment_id="ap-1", until=acting.ends_at)
    decoded = jwt.decode(tokens.mint(KEY, claims, NOW, "j"), KEY, algorithms=["EdDSA"]).claims
    assert decoded["appointment"] == "ap-1"
    expires = datetime.fromtimestamp(decoded["exp"], UTC)
    assert expires <= NOW + tokens.LIFETIME
    assert ends_at is None or expires <= ends_at
    # No shorter than it must be, but for the fraction of a second that a token cannot tell.
    longest = tokens.LIFETIME if ends_at is None else min(tokens.LIFETIME, ends_at - NOW)
    assert NOW + longest - expires < timedelta(seconds=2)
