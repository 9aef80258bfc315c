"""Signatures that files hold."""

from __future__ import annotations

# By media type: they are kept because they are signed, and their signatures are not verified.
UNVERIFIED = frozenset({"application/xml"})
