"""Pages of a list that lose and repeat no row: a token says after which row the next one begins.

Rows are ordered by what never changes of them, or by what it was at the position of the log from which the first page was read:
then rows that match all the time are listed exactly once, whatever moves meanwhile, and no row is listed twice. A token is sealed:
it is good for this list, this filter and this caller.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from google.protobuf.message import Message
from sqlalchemy import ColumnElement, Select, and_, or_, select

from services.chassis.calls.requests import page_size
from services.chassis.database.database import utc
from services.chassis.decider import Rejected
from services.chassis.deciding.caller import Caller
from services.chassis.following.views import RunningView
from services.chassis.machine import chance

T = TypeVar("T")
Key = tuple[Any, ...]

_NONCE_BYTES = 12
# What may differ between the pages of one list.
_OF_A_PAGE = ("page_size", "page_token", "min_position")


@dataclass(frozen=True, slots=True)
class By:
    """What rows are ordered by; never null."""

    what: ColumnElement[Any]
    newest_first: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows and what they are ordered by: all of it together tells each row from all others."""

    query: Select[Any]
    by: tuple[By, ...]


# From the position of the log at which the list's first page was read.
AsOf = Callable[[int], Listing]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    rows: Sequence[T]
    token: str
    """Of the next page; empty after the last row."""
    as_of: int = 0


@dataclass(frozen=True, slots=True)
class _Cursor:
    after: Key
    as_of: int


class Pages:
    def __init__(self, secret: str) -> None:
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"motcua/page-token/1").derive(secret.encode())
        self._cipher = AESGCM(key)

    async def read(self, request: Any, caller: Caller, view: RunningView, listing: Listing | AsOf) -> Page[Any]:
        """A page of the view's rows. Raises Rejected INVALID_POSITION, and as RunningView.read does."""
        bound, size = _bound(request, caller, view.name), page_size(request)
        cursor = self._opened(request.page_token, bound)
        await view.reach(request.min_position)
        as_of = cursor.as_of if cursor else view.position
        found = listing(as_of) if callable(listing) else listing
        query = _after(found, cursor.after if cursor else (), request.page_token).limit(size + 1)
        rows = await view.read(lambda db: db.execute(query).all())
        token = ""
        if len(rows) > size:
            last = rows[size - 1]._mapping
            token = self._sealed(_Cursor(tuple(last[_label(n)] for n in range(len(found.by))), as_of), bound)
        return Page(rows[:size], token, as_of)

    async def follow(
        self, request: Any, caller: Caller, read: Callable[[int], Awaitable[Sequence[T]]], at: Callable[[T], int]
    ) -> Page[T]:
        """A page of what `read` gives after a number, in the order of the numbers that `at` tells; from the first on after -1.

        Raises Rejected INVALID_POSITION.
        """
        bound, size = _bound(request, caller), page_size(request)
        cursor = self._opened(request.page_token, bound)
        found = await read(cursor.after[0] if cursor else -1)
        token = self._sealed(_Cursor((at(found[size - 1]),), 0), bound) if len(found) > size else ""
        return Page(found[:size], token)

    def cut(self, request: Any, caller: Caller, found: Sequence[T], key: Callable[[T], Key]) -> Page[T]:
        """A page of rows in memory. Raises Rejected INVALID_POSITION."""
        bound, size = _bound(request, caller), page_size(request)
        cursor = self._opened(request.page_token, bound)
        ordered = sorted(found, key=key)
        rest = [each for each in ordered if key(each) > cursor.after] if cursor else ordered
        token = self._sealed(_Cursor(key(rest[size - 1]), 0), bound) if len(rest) > size else ""
        return Page(rest[:size], token)

    def _sealed(self, cursor: _Cursor, bound: bytes) -> str:
        nonce = chance.random_bytes(_NONCE_BYTES)
        text = json.dumps([cursor.as_of, *map(_written, cursor.after)], ensure_ascii=False, separators=(",", ":"))
        return _printed(nonce + self._cipher.encrypt(nonce, text.encode(), bound))

    def _opened(self, token: str, bound: bytes) -> _Cursor | None:
        """Raises Rejected INVALID_POSITION."""
        if not token:
            return None
        try:
            sealed = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
            if _printed(sealed) != token:
                raise _refused(token)
            text = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound)
        except (InvalidTag, ValueError):
            raise _refused(token) from None
        as_of, *after = json.loads(text)
        return _Cursor(tuple(map(_read, after)), as_of)


def _bound(request: Any, caller: Caller, view: str = "") -> bytes:
    filtered: Message = type(request)()
    filtered.CopyFrom(request)
    for name in _OF_A_PAGE:
        if name in filtered.DESCRIPTOR.fields_by_name:
            filtered.ClearField(name)
    # A view's name has its version: what another one is ordered by is not ours to go on from.
    who = (request.DESCRIPTOR.full_name, view, caller.kind, caller.actor, caller.agency, caller.province)
    head = json.dumps(who).encode()
    return hashlib.sha256(head + b"\0" + filtered.SerializeToString(deterministic=True)).digest()


def _after(listing: Listing, after: Key, token: str) -> Select[Any]:
    labelled = (by.what.label(_label(n)) for n, by in enumerate(listing.by))
    rows = listing.query.order_by(None).add_columns(*labelled).subquery("listed")
    columns = [(rows.c[_label(n)], by.newest_first) for n, by in enumerate(listing.by)]
    query = select(rows).order_by(*(column.desc() if newest else column for column, newest in columns))
    if not after:
        return query
    if len(after) != len(columns):
        raise _refused(token)
    beyond: ColumnElement[bool] | None = None
    for (column, newest), value in reversed(list(zip(columns, after, strict=True))):
        further = column < value if newest else column > value
        beyond = further if beyond is None else or_(further, and_(column == value, beyond))
    assert beyond is not None
    # Said once more of the first column alone, so that an index is read from there.
    (first, newest), value = columns[0], after[0]
    return query.where(first <= value if newest else first >= value, beyond)


def _label(n: int) -> str:
    return f"listed_by_{n}"


def _printed(sealed: bytes) -> str:
    return urlsafe_b64encode(sealed).decode().rstrip("=")


def _written(part: Any) -> Any:
    return {"at": utc(part).isoformat()} if isinstance(part, datetime) else part


def _read(part: Any) -> Any:
    return datetime.fromisoformat(part["at"]) if isinstance(part, dict) else part


def _refused(token: str) -> Rejected:
    return Rejected("INVALID_POSITION", position=token[:40])
