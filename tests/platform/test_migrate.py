"""`motcua migrate`: what it makes is what the services need, and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from command.main import app
from command.registry import service_classes
from command.run.postgresql import PrivatePostgresql
from command.site import belonging
from services.catalogue.seed import seed
from services.chassis.platform.platform import Platform
from services.dossier.uploads import Uploads
from services.registry import SERVICES
from tests.support.hosted import hosted
from tests.support.keys import MemoryKeys
from tests.support.postgresql import Postgresql, chosen, connected, settings_of

COLUMNS = (
    "SELECT table_schema, table_name, column_name, data_type, collation_name, is_nullable FROM information_schema.columns "
    "WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY table_schema, table_name, ordinal_position"
)
INDEXES = "SELECT schemaname, tablename, indexname, indexdef FROM pg_indexes WHERE schemaname <> 'pg_catalog' ORDER BY 1, 2, 3"


def motcua(*arguments: str, folder: Path, url: str) -> Result:
    environment = {"MOTCUA_DATA": str(folder), "MOTCUA_DATABASE": url}
    return CliRunner().invoke(app, arguments, env=environment, catch_exceptions=False)


def form(server: PrivatePostgresql, engine: Postgresql, folder: Path) -> tuple[list[tuple[str, ...]], ...]:
    with connected(server, engine.database(folder)) as db:
        return db.execute(COLUMNS).fetchall(), db.execute(INDEXES).fetchall()


def test_it_makes_what_running_services_make(postgresql: PrivatePostgresql, tmp_path: Path) -> None:
    engine = Postgresql(postgresql)
    running, migrated = tmp_path / "running", tmp_path / "migrated"
    with chosen(engine), hosted(running, service_classes()) as host:
        uploads = Uploads(host.platform.blobs, MemoryKeys(), host.platform.database("dossier-uploads", durable=True))
        host.run(uploads.sweep(host.platform.clock.now()))

    async def seeded() -> None:
        with chosen(engine):
            platform = await Platform.open(settings_of(running))
        await seed(platform, [])
        await belonging.begin(platform, tuple(SERVICES))
        await platform.close()

    asyncio.run(seeded())
    made = motcua("migrate", folder=migrated, url=engine.url(migrated))
    assert made.exit_code == 0, made.output
    columns, indexes = form(postgresql, engine, migrated)
    assert (columns, indexes) == form(postgresql, engine, running)
    assert {schema for schema, *_ in columns} == {*SERVICES, "keys", "dossier-uploads"}
    # Whatever the database's locale, text is ordered as in SQLite: by its bytes.
    assert {collation for *_, collation, _ in columns} == {None, "C"}
    again = motcua("migrate", folder=migrated, url=engine.url(migrated))
    assert (again.exit_code, {line.partition(": ")[2] for line in again.stdout.splitlines()}) == (
        0,
        {"nothing to do"},
    )
    assert form(postgresql, engine, migrated) == (columns, indexes)


def test_it_drops_what_older_releases_left_only_when_told(postgresql: PrivatePostgresql, tmp_path: Path) -> None:
    engine = Postgresql(postgresql)
    url = engine.url(tmp_path)
    assert motcua("migrate", "status", folder=tmp_path, url=url).exit_code == 0
    for statement in (
        "CREATE TABLE public_definitions_v1 (key text)",
        "CREATE TABLE public_definitions_v9 (key text)",
        "INSERT INTO view_tables VALUES ('status_catalogue_v1', 'public_definitions_v1')",
        "INSERT INTO view_tables VALUES ('status_catalogue_v9', 'public_definitions_v9')",
        "INSERT INTO positions VALUES ('status_catalogue_v1', 7), ('status_catalogue_v9', 9)",
    ):
        engine.sql(tmp_path, "status", statement)
    kept = motcua("migrate", "status", folder=tmp_path, url=url)
    assert kept.stdout == "status: nothing to do\n"
    dropped = motcua("migrate", "status", "--drop-old", folder=tmp_path, url=url)
    assert dropped.stdout == "status: dropped public_definitions_v1\n", dropped.output
    positions = engine.sql(tmp_path, "status", "SELECT follower FROM positions ORDER BY follower")
    assert positions == [("status_catalogue_v9",)]
    tables = [
        name
        for (name,) in engine.sql(tmp_path, "status", "SELECT tablename FROM pg_tables WHERE schemaname = 'status'")
    ]
    assert sorted(name for name in tables if "definitions" in name) == [
        "public_definitions_v2",
        "public_definitions_v9",
    ]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+psycopg://motcua@/motcua?host=/nowhere/at/all", "The database does not answer"),
        ("postgresql+psycopg://motcua@127.0.0.1:1/motcua", "The database does not answer"),
    ],
)
def test_it_says_that_the_database_cannot_be_reached(tmp_path: Path, url: str, said: str) -> None:
    failed = motcua("migrate", "status", folder=tmp_path, url=url)
    assert failed.exit_code == 1
    assert said in failed.stderr
    assert "Run it again when it does" in failed.stderr


def test_services_need_no_rights_to_make_tables(postgresql: PrivatePostgresql, tmp_path: Path) -> None:
    """One user migrates, another one, who may only read and write rows, serves."""
    engine = Postgresql(postgresql)
    url = engine.url(tmp_path)
    assert motcua("migrate", folder=tmp_path, url=url).exit_code == 0
    with connected(postgresql, engine.database(tmp_path)) as db:
        db.execute("DROP ROLE IF EXISTS serving")
        db.execute("CREATE ROLE serving")
        for schema in (*SERVICES, "keys", "dossier-uploads"):
            db.execute(f'GRANT USAGE ON SCHEMA "{schema}" TO serving'.encode())
            db.execute(f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "{schema}" TO serving'.encode())
    limited = f"{url}&options=-c%20role%3Dserving"
    with hosted(tmp_path, service_classes(), database=limited) as host:
        assert host.platform.addresses.keys() == set(SERVICES)
    refused = motcua(
        "migrate", "status", folder=tmp_path, url=f"{engine.url(tmp_path / 'other')}&options=-c%20role%3Dserving"
    )
    assert refused.exit_code == 1
    assert "The database refuses: permission denied" in refused.stderr
