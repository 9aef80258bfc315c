"""What nobody can foretell."""

from __future__ import annotations

import os
import random
import secrets
import uuid


def new_id() -> uuid.UUID:
    """Version 4 (RFC 9562)."""
    return uuid.uuid4()


def random_bytes(count: int) -> bytes:
    """For keys and nonces."""
    return os.urandom(count)


def token_hex(count: int) -> str:
    """Of so many bytes."""
    return secrets.token_hex(count)


def token_urlsafe(count: int) -> str:
    """Of so many bytes, in base64url."""
    return secrets.token_urlsafe(count)


def uniform(low: float, high: float) -> float:
    """To spread what would happen at once; not for secrets."""
    return random.uniform(low, high)
