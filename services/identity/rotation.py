"""A new root key for the site: everything that was wrapped is wrapped anew. Events are not touched.

It may be interrupted anywhere and is finished by running it again; services go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, bindparam, delete, func, select, true, update

from services.identity.vault import (
    AT_ONCE,
    Vault,
    Wrapping,
    secret_name,
    signing_keys,
    signing_name,
    site_secrets,
    subject_keys,
    subject_name,
    wrapping_keys,
)


@dataclass(frozen=True, slots=True)
class _Wrapped:
    """A table of wrapped secrets."""

    table: Table
    key: Column[str]
    name: Callable[[str], str]
    kept: ColumnElement[bool]

    def older(self, wrapping: Wrapping) -> ColumnElement[bool]:
        prefix = wrapping.prefix
        return self.kept & (func.substr(self.table.c.wrapped, 1, len(prefix)) != prefix)


TABLES = (
    _Wrapped(subject_keys, subject_keys.c.subject, subject_name, ~subject_keys.c.destroyed),
    _Wrapped(signing_keys, signing_keys.c.kid, signing_name, true()),
    _Wrapped(site_secrets, site_secrets.c.name, secret_name, true()),
)


async def rotate(vault: Vault, progress: Callable[[int], None] = lambda _: None) -> Mapping[str, int]:
    """Wrap everything under a new generation, and that one under the newest root key; drop the generations before it.

    Returns how many were wrapped anew, by table. `progress` hears of each page. Raises KeyNotUnwrapped.
    """
    numbers = await vault.generations()
    if len(numbers) > 1:  # goes on with what was begun
        await vault.rewrap_generation(numbers[-1])
    else:
        await vault.new_generation(numbers[-1] + 1)
    done = {each.table.name: 0 for each in TABLES}
    while True:
        for each in TABLES:
            while count := await vault.wrapping_write(partial(_rewrap, each)):
                done[each.table.name] += count
                progress(count)
        if await vault.wrapping_write(_drop_older):
            break
    await vault.scrub()
    return done


def _rewrap(each: _Wrapped, db: Connection, wrapping: Wrapping) -> int:
    older = select(each.key, each.table.c.wrapped).where(each.older(wrapping)).limit(AT_ONCE).with_for_update()
    rows: list[dict[str, Any]] = [
        {"of": key, "before": wrapped, "now": wrapping.wrap(wrapping.unwrap(wrapped, each.name(key)), each.name(key))}
        for key, wrapped in db.execute(older).all()
    ]
    if rows:
        # What was destroyed at this moment stays destroyed.
        same = (each.key == bindparam("of")) & (each.table.c.wrapped == bindparam("before"))
        db.execute(update(each.table).where(same).values(wrapped=bindparam("now")), rows)
    return len(rows)


def _drop_older(db: Connection, wrapping: Wrapping) -> bool:
    """Unless something was wrapped under them meanwhile."""
    older = wrapping_keys.c.number < wrapping.newest
    db.execute(select(wrapping_keys.c.number).where(older).with_for_update()).all()
    for each in TABLES:
        if db.execute(select(each.key).where(each.older(wrapping)).limit(1)).first():
            return False
    db.execute(delete(wrapping_keys).where(older))
    return True
