"""Whatever happens to one file of a site: it starts as if nothing had been, or it does not start and names the file."""

from __future__ import annotations

import os
import random
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from services.chassis.site.refusal import SiteRefused
from services.registry import SERVICES
from tests.backup.site import SECRETS
from tests.site.lived import Lived, started
from tests.support.postgresql import settings_of

PAGE = 4096
DURABLE = ("events.db", *(f"{service.durable}.db" for service in SERVICES.values() if service.durable))
VIEWS = tuple(f"views/{name}.db" for name, service in SERVICES.items() if service.views)
Fate = Callable[[Path, Path, Path], None]
"""Of a file; the same file of an older copy, and of another site, are given, too."""


def removed(file: Path, _older: Path, _other: Path) -> None:
    file.unlink()


def emptied(file: Path, _older: Path, _other: Path) -> None:
    os.truncate(file, 0)


def cut_off(file: Path, _older: Path, _other: Path) -> None:
    os.truncate(file, int(file.stat().st_size * 0.93))


def overwritten(file: Path, _older: Path, _other: Path) -> None:
    draw = random.Random(zlib.crc32(str(file.name).encode()))
    with file.open("r+b") as opened:
        opened.seek(PAGE * draw.randrange(max(1, file.stat().st_size // PAGE)))
        opened.write(draw.randbytes(PAGE))


def of_another_site(file: Path, _older: Path, other: Path) -> None:
    _replaced(file, other)


def an_older_copy(file: Path, older: Path, _other: Path) -> None:
    _replaced(file, older)


def _replaced(file: Path, by: Path) -> None:
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    shutil.copy(by, file)


FATES: tuple[Fate, ...] = (removed, emptied, cut_off, overwritten, of_another_site, an_older_copy)
BESIDE: tuple[Fate, ...] = (removed, emptied, cut_off, overwritten)


async def suffered(lived: Lived, folder: Path, base: Path, name: str, fate: Fate) -> None:
    """The one thing that holds for all of them."""
    case = folder / "case"
    shutil.copytree(base, case)
    plain = name.removesuffix("-wal").removesuffix("-shm")
    fate(case / name, lived.older / plain, lived.other / plain)
    refused, content, aside = await started(case)
    if refused:
        assert name not in VIEWS
        assert Path(plain).name in refused
        assert "docs/backup.md" in refused
        assert "\n" not in refused
    else:
        assert content == lived.content
    for said in aside:
        assert plain in VIEWS
        assert Path(plain).name in said


@pytest.mark.parametrize("fate", FATES, ids=lambda fate: fate.__name__)
@pytest.mark.parametrize("name", DURABLE + VIEWS)
async def test_a_file_of_a_site_that_was_stopped(lived: Lived, tmp_path: Path, name: str, fate: Fate) -> None:
    await suffered(lived, tmp_path, lived.stopped, name, fate)


@pytest.mark.parametrize("fate", BESIDE, ids=lambda fate: fate.__name__)
@pytest.mark.parametrize("name", [*DURABLE, "views/identity.db", "views/dossier.db"])
async def test_the_log_beside_a_file_of_a_site_that_was_killed(
    lived: Lived, tmp_path: Path, name: str, fate: Fate
) -> None:
    await suffered(lived, tmp_path, lived.killed, f"{name}-wal", fate)


@pytest.mark.parametrize("fate", [removed, emptied, overwritten], ids=lambda fate: fate.__name__)
@pytest.mark.parametrize("name", DURABLE + VIEWS[2:3])
async def test_the_shared_memory_of_a_site_that_was_killed(lived: Lived, tmp_path: Path, name: str, fate: Fate) -> None:
    await suffered(lived, tmp_path, lived.killed, f"{name}-shm", fate)


@pytest.mark.parametrize("base", ["stopped", "killed"])
async def test_nothing_happened(lived: Lived, tmp_path: Path, base: str) -> None:
    shutil.copytree(getattr(lived, base), tmp_path / "case")
    assert await started(tmp_path / "case") == ("", lived.content, [])


async def test_all_views_at_once(lived: Lived, tmp_path: Path) -> None:
    shutil.copytree(lived.stopped, tmp_path / "case")
    shutil.rmtree(tmp_path / "case" / "views")
    assert await started(tmp_path / "case") == ("", lived.content, [])


@pytest.mark.parametrize("name", [name for name in DURABLE if name != "ledger.db"])
async def test_what_is_lost_is_not_made_anew(lived: Lived, tmp_path: Path, name: str) -> None:
    shutil.copytree(lived.stopped, tmp_path / "case")
    (tmp_path / "case" / name).unlink()
    refused, _, _ = await started(tmp_path / "case")
    assert name in refused
    assert not (tmp_path / "case" / name).exists()


async def test_the_attachments_are_lost_or_another_sites(lived: Lived, tmp_path: Path) -> None:
    case = tmp_path / "case"
    shutil.copytree(lived.stopped, case)
    shutil.rmtree(case / "blobs")
    refused, _, _ = await started(case)
    assert "blobs is lost" in refused
    shutil.copytree(lived.other / "blobs", case / "blobs")
    refused, _, _ = await started(case)
    assert "blobs holds the attachments of the site" in refused


async def test_the_published_ledger_is_another_sites(lived: Lived, tmp_path: Path) -> None:
    case = tmp_path / "case"
    shutil.copytree(lived.stopped, case)
    shutil.rmtree(case / "ledger")
    shutil.copytree(lived.other / "ledger", case / "ledger")
    refused, _, _ = await started(case)
    assert "holds the published ledger of the site" in refused


async def test_the_published_ledger_is_lost_and_made_again(lived: Lived, tmp_path: Path) -> None:
    shutil.copytree(lived.stopped, tmp_path / "case")
    shutil.rmtree(tmp_path / "case" / "ledger")
    refused, content, _ = await started(tmp_path / "case")
    assert refused == ""
    assert content["keys"] == lived.content["keys"]


async def test_the_ledger_is_lost_with_what_it_published(lived: Lived, tmp_path: Path) -> None:
    case = tmp_path / "case"
    shutil.copytree(lived.stopped, case)
    (case / "ledger.db").unlink()
    shutil.rmtree(case / "ledger")
    refused, _, _ = await started(case)
    assert "ledger.db is lost" in refused


async def test_another_master_key(lived: Lived, tmp_path: Path) -> None:
    shutil.copytree(lived.stopped, tmp_path / "case")
    refused, _, _ = await started(tmp_path / "case", master_key="99" * 32)
    assert "keys.db cannot be opened with this master key" in refused
    assert "MOTCUA_MASTER_KEY" in refused
    refused, _, _ = await started(tmp_path / "case", master_key="")
    assert "secrets/master is missing" in refused
    assert not (tmp_path / "case" / "secrets" / "master").exists()


async def test_a_log_in_memory_beside_stores_that_remember(lived: Lived, tmp_path: Path) -> None:
    shutil.copytree(lived.stopped, tmp_path / "case")
    refused, _, _ = await started(tmp_path / "case", event_store="memory:")
    assert "MOTCUA_EVENT_STORE=memory:" in refused


@pytest.mark.parametrize("name", ["ledger", "witness", "qr"])
async def test_a_secret_is_missing_or_another_sites(lived: Lived, tmp_path: Path, name: str) -> None:
    case, file = tmp_path / "case", tmp_path / "case" / "secrets" / name
    given = {f"{name}_key": ""}
    shutil.copytree(lived.stopped, case)
    refused, _, _ = await started(case, **given)
    assert f"secrets/{name} is missing" in refused
    assert not file.exists()
    file.parent.mkdir(exist_ok=True)
    file.write_text("55" * 32)
    refused, _, _ = await started(case, **given)
    assert f"secrets/{name} is not the one that the site was made with" in refused
    file.write_text(SECRETS[f"{name}_key"])
    assert await started(case, **given) == ("", lived.content, [])


@pytest.mark.parametrize("name", ["ledger", "service"])
@pytest.mark.parametrize("content", [b"", b"\n", bytes(range(200, 232)), b"55" * 31, b"zz" * 32, None])
async def test_a_secret_is_none(lived: Lived, tmp_path: Path, name: str, content: bytes | None) -> None:
    case, file = tmp_path / "case", tmp_path / "case" / "secrets" / name
    shutil.copytree(lived.stopped, case)
    file.parent.mkdir(exist_ok=True)
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(SiteRefused, match=f"secrets/{name} .*docs/backup.md") as refused:
        settings_of(case, **{f"{name}_key" if name == "ledger" else "service_secret": ""}).secret(name, "")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["events.db", "keys.db", "dossier-uploads.db", "ledger.db", "views/dossier.db"])
@pytest.mark.parametrize("change", [-1, -100, 1])
async def test_a_file_is_cut_within_its_last_page(lived: Lived, tmp_path: Path, name: str, change: int) -> None:
    """SQLite would take what is missing for zeros."""
    case = tmp_path / "case"
    shutil.copytree(lived.stopped, case)
    os.truncate(case / name, (case / name).stat().st_size + change)
    refused, content, aside = await started(case)
    if name.startswith("views/"):
        assert (refused, content) == ("", lived.content)
        assert aside
    else:
        assert name in refused
        assert "docs/backup.md" in refused


@pytest.mark.parametrize("fate", ["a file", "a link to nothing"])
async def test_the_attachments_folder_is_none(lived: Lived, tmp_path: Path, fate: str) -> None:
    case = tmp_path / "case"
    shutil.copytree(lived.stopped, case)
    shutil.rmtree(case / "blobs")
    if fate == "a file":
        (case / "blobs").write_text("x")
    else:
        (case / "blobs").symlink_to(tmp_path / "nowhere")
    refused, _, _ = await started(case)
    assert "blobs is no folder" in refused


async def test_the_checkpoint_is_a_folder(lived: Lived, tmp_path: Path) -> None:
    case = tmp_path / "case"
    shutil.copytree(lived.stopped, case)
    (case / "ledger" / "checkpoint").unlink(missing_ok=True)
    (case / "ledger" / "checkpoint").mkdir()
    refused, _, _ = await started(case)
    assert "checkpoint is a folder" in refused
