"""A stranger's walk through docs/operations.md: what it tells to type is typed, as far as there is no cluster."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import psycopg
import pytest
import yaml

from command.main import NO_SETTINGS
from command.run.postgresql import PrivatePostgresql
from command.views.migrate import migrate
from services.registry import SERVICES
from services.settings import SiteSettings
from tests.charts.chart import PROFILES, ROOT, render, run
from tests.charts.chart import profile as profile_file
from tests.support.postgresql import QUICK

PAGE = ROOT / "docs" / "operations.md"
# What the page's commands would ask a cluster or a server: noted, and answered with success.
NOTES = """#!/bin/sh
echo "$(basename "$0") $*" >> "$NOTED"
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", PAGE.read_text(), re.S | re.M)


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda path: path.stem
)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        if link.startswith("https://"):
            continue
        target, _, anchor = link.partition("#")
        there = (path.parent / target).resolve() if target else path
        assert there.exists(), f"{path.name} links to {link}"
        assert not anchor or anchor in anchors(there), f"{path.name} links to {link}"


def test_settings_that_a_page_names_are_settings() -> None:
    """A name that is none keeps a site from starting."""
    known = {f"MOTCUA_{field.upper()}" for field in SiteSettings.model_fields}
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        named = set(re.findall(r"MOTCUA_[A-Z0-9_]*[A-Z0-9]\b(?!_)", page.read_text()))
        assert {each for each in named - known if not NO_SETTINGS.fullmatch(each)} == set(), page


@pytest.mark.parametrize("number", range(len(blocks("sh"))))
def test_commands_can_be_typed(number: int) -> None:
    # What stands in angle brackets is the reader's.
    typed = re.sub(r"<[a-z ]+>", "x", blocks("sh")[number])
    checked = subprocess.run(["bash", "-n"], input=typed, capture_output=True, text=True)
    assert checked.returncode == 0, f"{typed}\n{checked.stderr}"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which somebody typed all of `Prepare`."""
    folder = tmp_path_factory.mktemp("prepared")
    tools = folder / "tools"
    tools.mkdir()
    for name in ("kubectl", "createdb", "psql", "shred"):
        (tools / name).write_text(NOTES)
        (tools / name).chmod(0o755)
    work = folder / "work"
    work.mkdir()
    typed = [block for block in blocks("sh") if "roles.sql" in block or "create secret" in block]
    assert len(typed) == 2
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "NOTED": str(folder / "noted")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail"],
        input="\n".join(["N=motcua-vn-56 HOST=db.example", *typed]),
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("profile", PROFILES)
def test_the_values_render_and_need_no_other_secret(prepared: Path, profile: str) -> None:
    (values,) = (yaml.safe_load(block) for block in blocks("yaml"))
    kinds = {one["kind"] for one in render(profile, values)}
    assert {"Deployment", "CronJob", "PodMonitor", "PrometheusRule", "Certificate", "NetworkPolicy"} <= kinds
    planned = run("install", "motcua", str(ROOT / "charts" / "motcua"), "--namespace", "site", "--values",
                  str(profile_file(profile)), "--dry-run=client", values=values)  # fmt: skip
    assert planned.returncode == 0, planned.stderr
    wanted = dict(re.findall(r"^  Secret ([\w-]+)(?:: (.*))?$", planned.stdout, re.M))
    noted = (prepared / "noted").read_text()
    made = dict(re.findall(r"create secret generic ([\w-]+) (.*)", noted))
    assert wanted.keys() == made.keys()
    assert set(wanted["motcua"].split(", ")) == set(re.findall(r"--from-file=(\S+)", made["motcua"]))
    for name in re.findall(r"--from-file=(\S+)", made["motcua"]):
        content = (prepared / "work" / name).read_text()
        assert content == content.strip() != "", name
        if name.endswith("-key"):
            assert re.fullmatch("[0-9a-f]{64}", content), name


def test_each_service_makes_its_tables_with_its_own_role_and_the_backup_reads_three_schemas(
    prepared: Path, tmp_path: Path
) -> None:
    server = PrivatePostgresql(tmp_path / "postgresql", QUICK)
    server.start()
    try:
        address = server.url.replace("postgresql+psycopg", "postgresql")
        with psycopg.connect(address) as db:
            db.execute((prepared / "work" / "roles.sql").read_bytes())
        for service in SERVICES:
            separator = "&" if "?" in server.url else "?"
            url = f"{server.url}{separator}options=-c%20role%3Dmotcua_{service}"
            assert migrate(SiteSettings(data=tmp_path, database=url), [service], False) == 0
        with psycopg.connect(address) as db:
            db.execute("SET ROLE motcua_backup")
            for table in ("keys.subject_keys", "ledger.leaves", '"dossier-uploads".uploads_v2'):
                assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                db.execute("SELECT * FROM dossier.dossiers_v6")
    finally:
        server.stop()
