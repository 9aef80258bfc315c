"""What an outsider remembers of a log between two looks at it: the key, and the newest checkpoint it signed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from gateway.ledger.format.checkpoint import Checkpoint
from gateway.ledger.format.errors import FormatError, LedgerError
from gateway.ledger.format.note import Note, Verifier

HEADER = "motcua.ledger-memory/v1"


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is remembered of one log, as it lies in a file:

        motcua.ledger-memory/v1
        address https://dichvucong.example/ledger
        key vn-56.motcua.local/ledger+c27bed49+AZsfhHkc/HZjBFhU04netcqVRJ2HXydqg4QLBgqznPxx

        vn-56.motcua.local/ledger
        3
        …

    Where the log was read, its key, an empty line, and the newest signed checkpoint.
    """

    address: str
    key: Verifier
    note: Note

    def __post_init__(self) -> None:
        self.note.require(self.key)

    @property
    def checkpoint(self) -> Checkpoint:
        return Checkpoint.parse(self.note.text)

    def format(self) -> bytes:
        return f"{HEADER}\naddress {self.address}\nkey {self.key.vkey}\n\n".encode() + self.note.format()

    @classmethod
    def parse(cls, content: bytes) -> Remembered:
        before, _, note = content.partition(b"\n\n")
        lines = before.decode(errors="replace").split("\n")
        if (
            len(lines) != 3
            or lines[0] != HEADER
            or not lines[1].startswith("address ")
            or not lines[2].startswith("key ")
        ):
            raise FormatError(f"it has not the lines '{HEADER}', 'address <address>', 'key <vkey>', '', checkpoint")
        address, vkey = lines[1].removeprefix("address "), lines[2].removeprefix("key ")
        remembered = cls(address, Verifier.parse(vkey), Note.parse(note))
        if remembered.format() != content:
            raise FormatError("it is not in the form in which it was written")
        return remembered


class Memory:
    """A folder with one file for each log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, address: str) -> Path:
        return self._folder / f"{quote(address, safe='')}.txt"

    def load(self, address: str) -> Remembered | None:
        """Raises LedgerError for a file that is not usable: forgetting it silently would forgive a fork."""
        path = self.path(address)
        try:
            return Remembered.parse(path.read_bytes())
        except FileNotFoundError:
            return None
        except LedgerError as unusable:
            raise LedgerError(
                f"what is remembered of {address} cannot be used: {unusable}. "
                f"Bring {path} back from a backup, or remove it to begin anew, without protection against what was before."
            ) from None

    def keep(self, found: Remembered) -> None:
        """Unless something newer is remembered already."""
        known = self.load(found.address)
        if known and known.key == found.key and known.checkpoint.size > found.checkpoint.size:
            return
        _write(self.path(found.address), found.format())

    def keep_evidence(self, address: str, notes: tuple[Note, Note]) -> Path:
        path = self.path(address).with_suffix(f".evidence-{Checkpoint.parse(notes[1].text).size}.txt")
        _write(path, b"\n".join(note.format() for note in notes))
        return path

    def known_keys(self, origin: str) -> set[str]:
        """The keys (as vkeys) of the logs of this name that are remembered."""
        return {found.key.vkey for found in self._all() if found.key.name == origin}

    def _all(self) -> Iterator[Remembered]:
        for path in sorted(self._folder.glob("*.txt")):
            if ".evidence-" not in path.name:
                try:
                    yield Remembered.parse(path.read_bytes())
                except LedgerError:
                    continue


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
