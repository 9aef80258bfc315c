"""Addresses of servers in settings, which may hold passwords: what is wrong with one is said without any part of it."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import SplitResult, parse_qsl, urlsplit

ENCODED = "in its user and password write % # @ / ? : as %25 %23 %40 %2F %3F %3A"
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?)(?::(\d{1,5}))?")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def server(value: str, schemes: Collection[str], *, user: bool = True, hosts: range = range(1, 2)) -> SplitResult:
    """`hosts`: how many there may be. Raises ValueError."""
    if re.search(r"[\s\x00-\x1f\x7f\\]", value):
        raise ValueError("an address holds no blanks, control characters or backslashes")
    try:
        parts = urlsplit(value)
    except ValueError:  # its text holds what was given
        raise ValueError(f"it cannot be read as an address; {ENCODED}") from None
    if parts.scheme not in schemes:
        raise ValueError(f"an address begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    named, _, where = parts.netloc.rpartition("@")
    if "#" in value or "@" in named + parts.path + parts.query or _BROKEN_ESCAPE.search(named):
        raise ValueError(f"it is read otherwise than it is meant; {ENCODED}")
    if named and not user:
        raise ValueError("this address has no user and password")
    found = [host for host in where.split(",") if host]
    if len(found) not in hosts:
        raise ValueError(f"it names no host; {ENCODED}" if not found else "it names several hosts, and may name one")
    for host in found:
        match = _HOST.fullmatch(host)
        if not match or int(match[2] or 0) > 65535:
            raise ValueError(f"a host is a name or an IP address, and a port a number up to 65535; {ENCODED}")
    return parts


def options(parts: SplitResult, known: Collection[str]) -> dict[str, str]:
    """Of its query. Raises ValueError."""
    try:
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ValueError("what stands after ? is not name=value&name=value") from None
    if unknown := [name for name, _ in pairs if name not in known]:
        raise ValueError(f"{len(unknown)} of its options after ? is unknown; there are {', '.join(known)}")
    return dict(pairs)
