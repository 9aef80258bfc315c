"""Whether a SQLite file is whole: before a site starts, and of large ones beside it.

SQLite finds damage where it reads, which may be months later. Up to WHOLE_BYTES everything is compared, indexes with their tables
too; up to READ_BYTES every page is looked at; of larger files only the header, and the rest while the site runs.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from services.chassis.machine import moments

MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 100
WHOLE_BYTES = 16 * 1024 * 1024
READ_BYTES = 256 * 1024 * 1024
# A file that another process holds is not waited for as long as a service waits.
BUSY_SECONDS = 5.0
BESIDE = ("-wal", "-shm", "-journal")
# Of SQLite's result codes.
CORRUPT, NOT_A_DATABASE = 11, 26
# How many steps of SQLite's machine lie between two looks at whether somebody wants to stop.
STEPS = 100_000


class FileUnusable(Exception):
    """It is not damaged, and cannot be used now: locked, read-only, no room, no file at all."""


class FileDamaged(Exception):
    """What is there is not what was written."""


def exists(path: Path) -> bool:
    """Whether there is anything in it: SQLite takes an empty file for a new one. Raises FileUnusable."""
    if not path.exists():
        if path.is_symlink():
            raise FileUnusable(f"leads to {os.readlink(path)}, which is not there")
        return False
    if not path.is_file():
        raise FileUnusable("is no file")
    return path.stat().st_size > 0


def examine(
    path: Path, stopped: Callable[[], bool] = lambda: False, *, all_of_it: bool = False, written: bool = True
) -> None:
    """Blocks. `written`: whether it will be. Raises FileUnusable, FileDamaged; returns when `stopped` says so."""
    try:
        _examine(path, stopped, all_of_it, written)
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            raise FileDamaged(f"is damaged ({error})") from None
        if not stopped():
            raise FileUnusable(_unusable(error)) from None
    except OSError as error:
        raise FileUnusable(f"cannot be read: {error.strerror}") from None


def is_damage(error: BaseException | None) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (CORRUPT, NOT_A_DATABASE)


def _examine(path: Path, stopped: Callable[[], bool], all_of_it: bool, written: bool) -> None:
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
    if not head.startswith(MAGIC):
        raise FileDamaged("is damaged (it does not begin as a SQLite file)")
    if len(head) < HEADER_BYTES:
        raise FileDamaged("is cut off within its header")
    size = path.stat().st_size
    # What the last page lacks SQLite reads as zeros, and the next write makes it so. A log beside it may hold the page.
    page = int.from_bytes(head[16:18], "big")
    wal = path.with_name(f"{path.name}-wal")
    if size % (65536 if page == 1 else page or 1) and not (wal.exists() and wal.stat().st_size):
        raise FileDamaged("is cut off within a page, or something was added to it")
    with closing(sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)) as db:
        db.set_progress_handler(stopped, STEPS)
        if written:
            # Whoever else writes holds it for moments.
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
        if size > READ_BYTES and not all_of_it:
            db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            return
        how = "integrity_check" if size <= WHOLE_BYTES else "quick_check"
        (first,) = db.execute(f"PRAGMA {how}(1)").fetchone()
    if first != "ok":
        what = " ".join(str(first).split())
        raise FileDamaged(f"is damaged ({what})")


def _unusable(error: sqlite3.DatabaseError) -> str:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "is locked by another process: stop that one"
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return f"cannot be written ({error}): the data folder must be writable for this user"
        case sqlite3.SQLITE_FULL:
            return f"cannot be written ({error}): make room on the disk"
        case _:
            return f"cannot be used ({error})"


def set_aside(path: Path) -> Path:
    """The file with what lies beside it under a name that nobody opens; returns that."""
    away = path.with_name(f"{path.name}.damaged-{moments.now():%Y%m%dT%H%M%S%f}")
    path.rename(away)
    for suffix in BESIDE:
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.rename(away.with_name(away.name + suffix))
    return away
