"""Looks for personal values in everything that a stopped platform left on disk: in clear, encoded, and hashed."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import sqlite3
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ahocorasick_rs import BytesAhoCorasick

SQLITE, GZIP = b"SQLite format 3\0", b"\x1f\x8b"
# What is longer is looked for by its beginning, middle and end: in a database's file it may lie in several places.
PIECE = 48
SHORTEST = 8

Encode = Callable[[bytes], Iterable[bytes]]


def _aligned(data: bytes, encode: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """Base64 of data that stands anywhere in what was encoded: what its neighbours have no part in."""
    for before in range(3):
        encoded = encode(b"\0" * before + data).rstrip(b"=")
        first, last = -(-before * 8 // 6), (before + len(data)) * 8 // 6
        yield encoded[first:last]


def _base64(data: bytes) -> Iterator[bytes]:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield from _aligned(data, encode)


def _hex(data: bytes) -> Iterator[bytes]:
    yield data.hex().encode()
    yield data.hex().upper().encode()


HASHES = ("sha256", "sha1", "md5")
ENCODINGS: dict[str, Encode] = {"raw": lambda data: [data], "base64": _base64, "hex": _hex}


def forms(value: str | bytes, *, hashed: bool) -> Iterator[tuple[str, bytes]]:
    """How the value may be written, each with a name for it."""
    data = value if isinstance(value, bytes) else value.encode()
    if isinstance(value, str):
        yield "decomposed", _piece(unicodedata.normalize("NFD", value).encode())
        yield "JSON-escaped", _piece(json.dumps(value)[1:-1].encode())
        yield "percent-encoded", _piece(quote(value, safe="").encode())
        yield "form-encoded", _piece(quote(value, safe=" ").replace(" ", "+").encode())
        yield "UTF-16", _piece(value.encode("utf-16-le"))
    for piece in _pieces(data):
        yield "clear", piece
        for name in ("base64", "hex"):
            yield from ((name, encoded) for encoded in ENCODINGS[name](piece))
    if hashed:
        for name in HASHES:
            digest = hashlib.new(name, data, usedforsecurity=False).digest()
            for encoding, encode in ENCODINGS.items():
                yield from ((f"{name} {encoding}", encoded) for encoded in encode(digest))


def _piece(data: bytes) -> bytes:
    return data[:PIECE]


def _pieces(data: bytes) -> list[bytes]:
    if len(data) <= 2 * PIECE:
        return [data]
    middle = len(data) // 2
    return [data[:PIECE], data[middle : middle + PIECE], data[-PIECE:]]


@dataclass(frozen=True, slots=True)
class Finding:
    where: str
    form: str
    value: str
    around: bytes

    def __str__(self) -> str:
        return f"{self.where}: {self.value} in the form {self.form}: {self.around!r}"


class Scanner:
    def __init__(self) -> None:
        self._names: list[tuple[str, str]] = []
        self._needles: list[bytes] = []
        self._known: set[bytes] = set()

    def add(self, value: str | bytes, label: str, *, hashed: bool = True) -> None:
        """Values that are so short that anything may hold them are refused."""
        if len(value) < SHORTEST:
            raise ValueError(f"too short to be looked for: {label} {value!r}")
        for form, needle in forms(value, hashed=hashed):
            if needle not in self._known:
                self._known.add(needle)
                self._names.append((form, f"{label} {value[:40]!r}"))
                self._needles.append(needle)

    def scan(self, root: Path, *, but: Iterable[str] = ()) -> Iterator[Finding]:
        """Every file below `root`, but for those folders; the cells of databases and what is compressed as well."""
        automaton = BytesAhoCorasick(self._needles)
        left_out = tuple(root / name for name in but)
        for path in sorted(root.rglob("*")):
            if not path.is_file() or any(folder in path.parents for folder in left_out):
                continue
            for where, content in _contents(path):
                for index, start, end in automaton.find_matches_as_indexes(content):
                    form, value = self._names[index]
                    around = content[max(0, start - 60) : end + 40]
                    yield Finding(f"{path.relative_to(root)}{where}", form, value, around)


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    content = path.read_bytes()
    yield "", content
    if content.startswith(GZIP):
        yield " (unpacked)", gzip.decompress(content)
    if content.startswith(SQLITE):
        yield from _cells(path)


def _cells(path: Path) -> Iterator[tuple[str, bytes]]:
    """Values that a page's end cuts in two in the file."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            rows = db.execute(f'SELECT * FROM "{table}"')
            columns = [column for column, *_ in rows.description]
            cells: dict[str, list[bytes]] = {column: [] for column in columns}
            for row in rows:
                for column, cell in zip(columns, row, strict=True):
                    cells[column].append(cell if isinstance(cell, bytes) else str(cell).encode())
            for column, values in cells.items():
                yield f" ({table}.{column})", b"\n".join(values)
