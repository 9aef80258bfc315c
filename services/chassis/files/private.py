"""What a site keeps is its user's own: folders 0700, files 0600, whatever the shell that starts it lets others read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import structlog

# What lies in a data folder (docs/architecture.md): by one of these it is known.
KNOWN = frozenset(
    {
        *(
            "events.db",
            "keys.db",
            "ledger.db",
            "dossier-uploads.db",
            "lock",
            "running.json",
            "secrets",
            "blobs",
            "views",
        ),
        *("ledger", "tls", "sandbox", "postgresql", "logs", "edge"),
    }
)
OTHERS = 0o077
log = structlog.get_logger()


class FolderNotPrivate(OSError):
    """The folder may be read by others, and is not the site's own to close."""

    @property
    def strerror(self) -> str:  # type: ignore[override]
        return str(self)

    def __str__(self) -> str:
        return str(self.args[0])


def keep_private(folder: Path) -> None:
    """Make the data folder, or close one that is open to others, and from now on make nothing for others. Raises OSError."""
    os.umask(OTHERS)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    state = folder.stat()
    if not state.st_mode & OTHERS:
        return
    mode = f"{stat.S_IMODE(state.st_mode):04o}"
    if state.st_uid != os.geteuid():
        log.warning("data folder open to others", folder=str(folder), mode=mode, owner=state.st_uid)
        return
    within = {entry.name for entry in os.scandir(folder)}
    if state.st_mode & stat.S_ISVTX or (within and not within & KNOWN):
        raise FolderNotPrivate(
            f"it may be read by others (mode {mode}) and holds what is not Motcua's; give Motcua a folder of its own"
        )
    log.warning("data folder was open to others and is closed", folder=str(folder), mode=mode)
    _close(folder)
    for path, found in _open(folder):
        path.chmod(found & ~OTHERS & 0o7777)


def open_to_others(folder: Path, most: int) -> list[str]:
    """Of the first so many files and folders, those that others may read, write or enter."""
    if not folder.stat().st_mode & OTHERS:
        return []
    found = [f"{folder} ({stat.S_IMODE(folder.stat().st_mode):04o})"]
    for path, mode in _open(folder):
        found.append(f"{path} ({stat.S_IMODE(mode):04o})")
        if len(found) >= most:
            break
    return found


def _close(folder: Path) -> None:
    """First of all: then nobody enters, whatever lies within."""
    folder.chmod(0o700)


def _open(folder: Path) -> Iterator[tuple[Path, int]]:
    """Of this user's; a PostgreSQL server's are its own, and as closed."""
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root) / name
            state = path.lstat()
            if state.st_mode & OTHERS and state.st_uid == os.geteuid() and not stat.S_ISLNK(state.st_mode):
                yield path, state.st_mode
