"""`motcua verify` and looking at a log over HTTP, as an outsider does it."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from command.main import app
from gateway.ledger.audit.remembering import Memory, Remembered
from gateway.ledger.audit.source import HttpSource, LedgerUnreachable
from gateway.ledger.format import merkle, tiles
from gateway.ledger.format.errors import LedgerError
from gateway.ledger.format.merkle import TILE_WIDTH
from gateway.ledger.format.note import Note
from tests.ledger.samples import LOG, ORIGIN, OTHER_LOG, WITNESS, SmallLog, code

SMALL = SmallLog([1, 2, 1, 3, 1])


def verify(tmp_path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["verify", *arguments, "--memory", str(tmp_path / "memory")])


def words(result: Result) -> str:
    return " ".join(result.output.split())


@pytest.fixture
def event(tmp_path: Path) -> str:
    path = tmp_path / "event.tlog-proof"
    path.write_bytes(SMALL.event_receipt(2, witnessed=True).format())
    return str(path)


@pytest.fixture
def dossier(tmp_path: Path) -> str:
    path = tmp_path / "dossier.tlog-proof"
    path.write_bytes(SMALL.dossier_receipt(1).format())
    return str(path)


def test_receipts_are_verified(tmp_path: Path, event: str, dossier: str) -> None:
    result = verify(tmp_path, event, dossier, "--key", LOG.vkey)
    assert result.exit_code == 0
    told = words(result)
    assert f"event.tlog-proof: verified This event is leaf 2 of {ORIGIN}, under its checkpoint of 5 leaves:" in told
    assert f"{code(1)}, revision 1, 01/07/2026 08:02:05: StepCompleted" in told
    assert f"These are all 3 events of the dossier {code(1)} as of the checkpoint of 5 leaves" in told
    assert "No witness was asked for (--witness)" in told


def test_witnesses_are_asked_for(tmp_path: Path, event: str, dossier: str) -> None:
    result = verify(tmp_path, event, "--key", LOG.vkey, "--witness", WITNESS.vkey)
    assert result.exit_code == 0
    assert f"{WITNESS.verifier.name} witnessed this checkpoint at 2026-07-01 01:03:20 UTC." in words(result)
    result = verify(tmp_path, dossier, "--key", LOG.vkey, "--witness", WITNESS.vkey)
    assert result.exit_code == 1
    assert f"not verified Why: {WITNESS.verifier.name} (key {WITNESS.verifier.key_id.hex()}) did not sign" in words(
        result
    )


def test_no_such_dossier(tmp_path: Path) -> None:
    path = tmp_path / "nobody"
    path.write_bytes(SMALL.dossier_receipt(77).format())
    result = verify(tmp_path, str(path), "--key", LOG.vkey)
    assert result.exit_code == 0
    assert f"There is no dossier {code(77)} as of the checkpoint of 5 leaves of {ORIGIN}." in words(result)


def test_what_was_changed_is_not_verified(tmp_path: Path, event: str, dossier: str) -> None:
    path = Path(event)
    path.write_bytes(path.read_bytes().replace(b"index 2", b"index 1"))
    result = verify(tmp_path, event, dossier, "--key", LOG.vkey, "--json")
    assert result.exit_code == 1
    first, second = map(json.loads, result.output.splitlines())
    assert (first["outcome"], second["outcome"]) == ("not verified", "verified")
    assert first["told"][0].startswith("Why: the inclusion proof of leaf 1 of 5 leads to root ")
    assert (second["code"], second["events"], second["size"]) == (code(1), 3, 5)


def test_without_a_key_nothing_is_verified(tmp_path: Path, event: str) -> None:
    result = verify(tmp_path, event)
    assert result.exit_code == 2
    assert f"could not verify The key of the log {ORIGIN} is not known here. Give it with --key" in words(result)
    Memory(tmp_path / "memory").keep(Remembered("https://a.test/ledger", LOG.verifier, SMALL.note()))
    assert verify(tmp_path, event).exit_code == 0
    # Two keys of one name: nobody can say which one is right.
    other = SMALL.note(signer=OTHER_LOG)
    Memory(tmp_path / "memory").keep(Remembered("https://b.test/ledger", OTHER_LOG.verifier, other))
    assert verify(tmp_path, event).exit_code == 2


def test_what_is_no_receipt(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html>")
    result = verify(tmp_path, str(page), str(tmp_path / "nothing"), "--key", LOG.vkey)
    assert result.exit_code == 2
    assert "page.html: could not verify It is no receipt of a ledger" in words(result)
    assert "nothing: could not verify It cannot be read: No such file or directory." in words(result)


def test_a_key_that_is_none(tmp_path: Path, event: str) -> None:
    result = verify(tmp_path, event, "--key", LOG.vkey[:-1])
    assert result.exit_code == 2
    assert "Copy the whole key" in words(result)


@pytest.mark.parametrize("command", ["verify", "check", "follow"])
def test_a_logs_key_is_no_witness_and_a_witnesss_no_log(tmp_path: Path, event: str, command: str) -> None:
    asked = ["verify", event] if command == "verify" else ["ledger", command, str(tmp_path)]
    wrong = {
        ("--key", LOG.vkey, "--witness", LOG.vkey): (
            f"the key {LOG.vkey} is of type 0x01 (a log's), here it must be of type 0x04 (a witness's)"
        ),
        (
            "--key",
            WITNESS.vkey,
        ): f"the key {WITNESS.vkey} is of type 0x04 (a witness's), here it must be of type 0x01 (a log's)",
    }
    for options, what in wrong.items():
        result = CliRunner().invoke(app, [*asked, *options, "--memory", str(tmp_path / "memory")])
        assert (result.exit_code, what in words(result)) == (2, True), result.output


Answer = Callable[[str], tuple[int, bytes, dict[str, str]]]


@contextmanager
def served(answer: Answer) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body, headers = answer(self.path.removeprefix("/ledger/"))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/ledger"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def files(log: SmallLog) -> dict[str, bytes]:
    size = len(log.leaves)
    found = {"checkpoint": log.note().format(), "vkey": f"{LOG.vkey}\n".encode()}
    for level, index, width in tiles.new_tiles(0, size):
        found[tiles.tile_path(level, index, width)] = log.tree.read(level, index, width)
    entries = [leaf.format() for leaf in log.leaves]
    for index in range(-(-size // TILE_WIDTH)):
        part = entries[index * TILE_WIDTH : (index + 1) * TILE_WIDTH]
        found[tiles.entries_path(index, len(part))] = gzip.compress(tiles.format_bundle(part))
    return found


def static(found: dict[str, bytes]) -> Answer:
    def answer(path: str) -> tuple[int, bytes, dict[str, str]]:
        if path not in found:
            return 404, b"", {}
        return 200, found[path], {"content-encoding": "gzip"} if "entries" in path else {}

    return answer


def ledger(tmp_path: Path, command: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["ledger", command, *arguments, "--memory", str(tmp_path / "memory")])


def test_a_log_over_http(tmp_path: Path) -> None:
    with served(static(files(SMALL))) as url:
        result = ledger(tmp_path, "check", f"{url}/")
        assert result.exit_code == 0
        assert f"The key is taken from {url} itself: compare it with one from elsewhere" in words(result)
        assert f"✓ {ORIGIN}: all is as signed. 5 leaves of 3 dossiers" in words(result)
        again = ledger(tmp_path, "check", url)
        assert "The key is taken" not in again.output
        assert "It is the log of 5 leaves that was remembered, with 0 more." in words(again)
        receipt = tmp_path / "receipt"
        receipt.write_bytes(SMALL.event_receipt(0).format())
        assert verify(tmp_path, str(receipt)).exit_code == 0


def test_following_over_http(tmp_path: Path) -> None:
    log = SmallLog([1, 2, 3])
    found = files(log)
    with served(lambda path: static(found)(path)) as url:
        assert ledger(tmp_path, "follow", url, "--once").exit_code == 0
        for number in (1, 2, 4):
            log.add(number)
        found |= files(log)
        del found["tile/0/000.p/3"]  # no promise any more
        result = ledger(tmp_path, "follow", url, "--once")
        assert result.exit_code == 0
        assert f"{ORIGIN}: 6 leaves, 3 more than before" in words(result)
        found |= files(SmallLog([1, 2, 3]))
        result = ledger(tmp_path, "follow", url)
        assert result.exit_code == 1
        assert "ROLLBACK" in words(result)


def test_a_partial_tile_that_became_full(tmp_path: Path) -> None:
    """The checkpoint is a moment older than the files."""
    log = SmallLog([number % 50 for number in range(255)])
    old = files(log)
    for number in range(10):
        log.add(number)
    found = files(log) | {"checkpoint": old["checkpoint"]}
    with served(static(found)) as url:
        result = ledger(tmp_path, "check", url)
        assert result.exit_code == 0
        assert "255 leaves of 50 dossiers" in words(result)


def test_a_busy_site_is_asked_again() -> None:
    refusals = [429, 503, 500]
    pauses: list[float] = []

    def answer(path: str) -> tuple[int, bytes, dict[str, str]]:
        return (refusals.pop(), b"", {}) if refusals else (200, path.encode(), {})

    with served(answer) as url:
        source = HttpSource(url, pauses.append)
        assert source.read("checkpoint") == b"checkpoint"
        assert pauses == [0.2, 0.4, 0.8]
        refusals[:] = [503] * 100
        with pytest.raises(LedgerUnreachable, match="checkpoint cannot be read: it answers 503"):
            source.read("checkpoint")
        assert len(refusals) == 91
        source.close()


def test_what_a_hostile_log_sends() -> None:
    bomb = gzip.compress(bytes(32 << 20))
    answers = {
        "tile/entries/000": (200, bomb, {"content-encoding": "gzip"}),
        "tile/entries/001": (200, b"no gzip", {"content-encoding": "gzip"}),
        "checkpoint": (200, bytes(2 << 20), {}),
        "vkey": (302, b"", {"location": "http://127.0.0.1:1/"}),
    }
    with served(lambda path: answers[path]) as url:
        source = HttpSource(url, lambda seconds: None)
        with pytest.raises(LedgerError, match="tile/entries/000 has more than 16777472 bytes"):
            source.read("tile/entries/000")
        with pytest.raises(LedgerError, match="tile/entries/001 is damaged"):
            source.read("tile/entries/001")
        with pytest.raises(LedgerError, match="checkpoint has more than 1048576 bytes"):
            source.read("checkpoint")
        with pytest.raises(LedgerUnreachable, match="vkey cannot be read: it answers 302"):
            source.read("vkey")
        source.close()


def test_nobody_answers(tmp_path: Path) -> None:
    with served(static({})) as url:
        assert ledger(tmp_path, "check", url).exit_code == 2
    source = HttpSource(url, lambda seconds: None)
    with pytest.raises(LedgerUnreachable, match="checkpoint cannot be read: "):
        source.read("checkpoint")
    source.close()


def test_a_log_that_begins(tmp_path: Path) -> None:
    log = SmallLog([])
    found = files(log)
    with served(lambda path: static(found)(path)) as url:
        result = ledger(tmp_path, "check", url)
        assert (result.exit_code, "0 leaves of 0 dossiers" in words(result)) == (0, True)
        log.add(1)
        found |= files(log)
        result = ledger(tmp_path, "follow", url, "--once")
        assert (result.exit_code, "1 leaf, 1 more than before" in words(result)) == (0, True)


def test_a_hostile_log_does_not_write_to_the_terminal(tmp_path: Path) -> None:
    log = SmallLog([1])
    bad = b'{"\x1b]0;owned\x07\xe2\x80\xae[bold]":1}'
    log.tree.add([bad])
    text = replace(log.checkpoint(), size=2, root=merkle.root(log.tree.read, 2)).format()
    found = files(log) | {
        "checkpoint": Note(text, (LOG.sign(text),)).format(),
        "tile/0/000.p/2": log.tree.read(0, 0, 2),
        "tile/entries/000.p/2": gzip.compress(tiles.format_bundle([log.leaves[0].format(), bad])),
    }
    with served(static(found)) as url:
        result = ledger(tmp_path, "check", url)
    assert result.exit_code == 1
    assert not set(result.output) & {"\x1b", "\x07", "\u202e"}
    assert "ENTRY UNUSABLE • leaf 1 (tile/entries, bundle 0, entry 1)" in words(result)
