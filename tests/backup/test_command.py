"""The commands, as an operator gives them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from command.main import app
from command.run.postgresql import PrivatePostgresql
from tests.backup.site import SECRETS, settings_of, site, size_of
from tests.support.papers import pdf
from tests.support.postgresql import QUICK

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    def command(folder: str, *words: str) -> Result:
        for name, value in SECRETS.items():
            monkeypatch.setenv(f"MOTCUA_{name.upper()}", value)
        monkeypatch.setenv("MOTCUA_DATA", str(tmp_path / folder))
        return CliRunner().invoke(app, words)

    before = os.umask(0o022)
    yield command
    os.umask(before)


async def lived(folder: Path, **engine: str) -> list[str]:
    async with site(settings_of(folder, **engine)) as at:
        codes = await at.play(2)
        assert size_of(await at.publish(6)) == 6
    return codes


async def attachments(folder: Path, codes: list[str]) -> list[bytes]:
    async with site(settings_of(folder)) as at:
        return [await at.attachment(code) for code in codes]


def plain(text: str) -> str:
    return " ".join(text.split())


def test_a_folders_own_postgresql_is_saved_and_never_left_out(run: Run, tmp_path: Path) -> None:
    server = PrivatePostgresql(tmp_path / "site" / "postgresql", QUICK)
    server.start()
    asyncio.run(lived(tmp_path / "site", database=server.url))
    server.stop()
    told = run("site", "backup", str(tmp_path / "copies"))
    assert (told.exit_code, "keys and uploads: dossier-uploads, keys, ledger" in plain(told.stdout)) == (0, True)
    (tmp_path / "site" / "postgresql").rename(tmp_path / "elsewhere")
    refused = run("site", "backup", str(tmp_path / "others"))
    assert (refused.exit_code, "keys.db lacks the keys of 2 people" in plain(refused.stderr)) == (1, True)


def test_saved_and_restored(run: Run, tmp_path: Path) -> None:
    codes = asyncio.run(lived(tmp_path / "site"))
    copies = str(tmp_path / "copies")
    told = run("site", "backup", copies)
    assert told.exit_code == 0
    said = plain(told.stdout)
    assert f"✓ Backup 1 of vn-56 is whole: {copies}" in said
    assert "6 events, 6 of them new" in said
    assert "checked: every file has its hash; 6 leaves of 2 dossiers are those of the events" in said
    # What must be kept elsewhere is named, and nothing of it is shown.
    assert "It holds no secrets" in said
    assert "MOTCUA_MASTER_KEY" in said
    assert not [secret for secret in SECRETS.values() if secret in said]
    assert {path.stat().st_mode & 0o077 for path in tmp_path.joinpath("copies").rglob("*")} == {0}
    summary = json.loads(run("site", "backup", copies, "--no-check", "--json").stdout)
    assert (summary["number"], summary["events"], summary["attachments_copied"], summary["checked"]) == (2, 6, 0, False)

    unsaid = run("new", "restore", copies)
    assert unsaid.exit_code == 1
    assert "--published CHECKPOINT, or --new-ledger" in plain(unsaid.stderr)
    missing = run("new", "restore", str(tmp_path / "nowhere"), "--published", str(tmp_path / "site/ledger"))
    assert missing.exit_code == 1
    assert "there is no folder" in plain(missing.stderr)
    assert "start nothing on it" in plain(missing.stderr)

    told = run("new", "restore", copies, "--published", str(tmp_path / "site/ledger/checkpoint"))
    assert told.exit_code == 0, told.stderr
    assert "vn-56 is restored from backup 2" in plain(told.stdout)
    assert "6 commitments hold" in plain(told.stdout)
    assert asyncio.run(attachments(tmp_path / "new", codes)) == [pdf(code) for code in codes]
    lost = run("new", "restore", copies, "--databases")
    assert lost.exit_code == 0, lost.stderr
    assert "rows of keys" in plain(lost.stdout)
    again = run("new", "restore", copies, "--published", str(tmp_path / "site/ledger/checkpoint"))
    assert again.exit_code == 1
    assert "the database holds a ledger already" in plain(again.stderr)
