"""A person's session in a browser: a sealed cookie, good for half an hour, and for nothing once the person has left."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from sqlalchemy import BigInteger, Column, Connection, String, Table, delete, select

from services.chassis.database.database import insert_new
from services.chassis.machine import chance
from services.identity.vault import Vault, derive_key, metadata

LIFETIME = timedelta(minutes=30)

# Until they would have ended by themselves.
ended_sessions = Table(
    "ended_sessions",
    metadata,
    Column("session_id", String, primary_key=True),
    Column("expires_at", BigInteger, nullable=False, index=True),
)


@dataclass(frozen=True, slots=True)
class Session:
    session_id: str
    account_id: str
    # What the session's own forms send along.
    form_token: str
    expires_at: int

    def sent(self, form_token: str) -> bool:
        """Whether a form is one of this session's."""
        return hmac.compare_digest(self.form_token.encode(), form_token.encode())


class Sessions:
    """Read by every replica, over every restart."""

    def __init__(self, vault: Vault, clock: Callable[[], datetime]) -> None:
        self._vault = vault
        self._clock = clock

    async def begin(self, account_id: str) -> str:
        """The cookie of a new session."""
        expires_at = int((self._clock() + LIFETIME).timestamp())
        session = Session(chance.token_urlsafe(32), account_id, chance.token_urlsafe(32), expires_at)
        return jwe.encrypt_compact({"alg": "dir", "enc": "A256GCM"}, json.dumps(asdict(session)), await self._key())

    async def of(self, cookie: str) -> Session | None:
        """The session, if it is ours, in its time and not ended."""
        if not cookie:
            return None
        try:
            text = jwe.decrypt_compact(cookie, await self._key(), algorithms=["dir", "A256GCM"]).plaintext
        except (JoseError, ValueError):
            return None
        session = Session(**json.loads(text or b"{}"))
        if session.expires_at <= self._clock().timestamp():
            return None
        ended = select(ended_sessions).where(ended_sessions.c.session_id == session.session_id)
        return None if await self._vault.read(lambda db: db.execute(ended).first()) else session

    async def end(self, session: Session) -> None:
        """Its cookie is good for nothing, wherever a copy of it lies."""
        now = int(self._clock().timestamp())

        def write(db: Connection) -> None:
            db.execute(delete(ended_sessions).where(ended_sessions.c.expires_at < now))
            insert_new(db, ended_sessions, {"session_id": session.session_id, "expires_at": session.expires_at})

        await self._vault.write(write)

    async def _key(self) -> OctKey:
        # With another purpose than the login's, one cookie cannot stand in for the other.
        return OctKey.import_key(derive_key(await self._vault.secret("login-cookie"), "session-cookie/1"))
