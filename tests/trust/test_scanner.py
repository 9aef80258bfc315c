"""The scan for personal data finds what was planted, in every form and in every place."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import sqlite3
import unicodedata
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from tests.trust.scanner import Scanner

NAME, NUMBER = "Nguyễn Thị Lan Khuê", "056190000123"
LONG = "".join(f"{n} Trần Phú, Nha Trang; " for n in range(400))

WRITTEN: dict[str, bytes] = {
    "clear": NAME.encode(),
    "within words": f"x{NAME}y".encode(),
    "decomposed": unicodedata.normalize("NFD", NAME).encode(),
    "JSON": json.dumps({"name": NAME}).encode(),
    "JSON in UTF-8": json.dumps({"name": NAME}, ensure_ascii=False).encode(),
    "a path": f"/persons/{quote(NAME)}".encode(),
    "a query": f"name={quote_plus(NAME)}&x=1".encode(),
    "UTF-16": NAME.encode("utf-16-le"),
    "a number": f'{{"id":{NUMBER}}}'.encode(),
    "the middle of a long text": LONG.encode()[4000:6000],
    **{f"base64 after {n} bytes": base64.b64encode(b"?" * n + NAME.encode() + b"???") for n in range(4)},
    **{
        f"base64url after {n} bytes": base64.urlsafe_b64encode(b"\xff" * n + NUMBER.encode() + b"\xff")
        for n in range(4)
    },
    "hex": NAME.encode().hex().encode(),
    "HEX": NUMBER.encode().hex().upper().encode(),
}
for algorithm in ("sha256", "sha1", "md5"):
    digest = hashlib.new(algorithm, NUMBER.encode(), usedforsecurity=False)
    WRITTEN |= {
        f"{algorithm} raw": digest.digest(),
        f"{algorithm} hex": digest.hexdigest().encode(),
        f"{algorithm} HEX": digest.hexdigest().upper().encode(),
        f"{algorithm} base64": base64.b64encode(digest.digest()),
        f"{algorithm} base64url": base64.urlsafe_b64encode(b"key:" + digest.digest()),
    }


def sqlite_cell(path: Path, content: bytes) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (a TEXT, b BLOB)")
        # Behind so much that it is cut by a page's end.
        db.executemany(
            "INSERT INTO t VALUES (?, ?)", [("x" * n, b"y" * (4096 * 3 - 40 + n) + content) for n in range(9)]
        )
    db.close()


def sqlite_deleted(path: Path, content: bytes) -> None:
    sqlite_cell(path, content)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA secure_delete=OFF")
        db.execute("DELETE FROM t")
    db.close()


def sqlite_log(path: Path, content: bytes) -> None:
    """As a killed process leaves it: in the write-ahead log alone."""
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE t (b BLOB)")
        db.execute("INSERT INTO t VALUES (?)", (content,))
        db.commit()
        logged = Path(f"{path}-wal").read_bytes()
    db.close()
    path.unlink()
    Path(f"{path}-wal").write_bytes(logged)


PLACES: dict[str, Callable[[Path, bytes], object]] = {
    "a file": lambda path, content: path.write_bytes(b"\0" * 100_000 + content + b"\0"),
    "a compressed file": lambda path, content: path.write_bytes(gzip.compress(b"x" * 999 + content)),
    "a database": sqlite_cell,
    "a database's deleted rows": sqlite_deleted,
    "a write-ahead log": sqlite_log,
}


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    scanner = Scanner()
    scanner.add(NAME, "name")
    scanner.add(NUMBER, "number")
    scanner.add(LONG, "address", hashed=False)
    return scanner


@pytest.mark.parametrize("written", list(WRITTEN))
def test_each_form_is_found(tmp_path: Path, scanner: Scanner, written: str) -> None:
    (tmp_path / "clean").write_bytes(b"nothing of anybody")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "planted").write_bytes(b"before " + WRITTEN[written] + b" after")
    assert {finding.where for finding in scanner.scan(tmp_path)} == {"folder/planted"}


@pytest.mark.parametrize("place", list(PLACES))
@pytest.mark.parametrize("written", ["clear", "JSON", "base64 after 1 bytes", "hex", "sha256 raw", "md5 hex"])
def test_each_place_is_searched(tmp_path: Path, scanner: Scanner, place: str, written: str) -> None:
    PLACES[place](tmp_path / "planted.db", WRITTEN[written])
    found = [finding.where for finding in scanner.scan(tmp_path)]
    assert found
    assert all(where.startswith("planted.db") for where in found)


def test_what_is_left_out_is_left_out(tmp_path: Path, scanner: Scanner) -> None:
    for folder in ("sandbox", "views"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "planted").write_bytes(NAME.encode())
    assert [finding.where for finding in scanner.scan(tmp_path, but=["sandbox"])] == ["views/planted"]


def test_another_person_s_data_is_not_found(tmp_path: Path, scanner: Scanner) -> None:
    others = ["Nguyễn Thị Lan", "056190000124", hashlib.sha256(b"056190000124").hexdigest()]
    (tmp_path / "file").write_text("\n".join(others))
    assert list(scanner.scan(tmp_path)) == []


def test_what_anything_may_hold_is_no_value(scanner: Scanner) -> None:
    with pytest.raises(ValueError, match="too short"):
        scanner.add("An", "name")
