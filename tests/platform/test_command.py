"""The `motcua` command, as it is typed."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from command.trial.sample_system import CLIENT_ID
from tests.ledger.site import running, site
from tests.platform.deployment import COMMAND, Deployment, free_port_pair, read_until
from tests.platform.world import BIRTH, BIRTH_FORM, People, World
from tests.support.waiting import free_port


def claims(token: str) -> dict[str, object]:
    part = token.split(".")[1]
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


@pytest.fixture
def submitted(world: World) -> str:
    return world.submit(world.people.somebody(), BIRTH, BIRTH_FORM).code


@pytest.mark.usefixtures("people")
class TestRunning:
    """Beside a running platform, at the machine's own time."""

    @pytest.fixture(autouse=True)
    def _now(self, people: People) -> None:
        people.clock.reset()

    @pytest.mark.parametrize(
        ("kind", "more", "expected"),
        [
            ("citizen", [], {"kind": "citizen", "roles": ["citizen"], "agency": ""}),
            ("organisation", [], {"kind": "organisation", "roles": ["organisation"], "agency": ""}),
            ("system", ["--purpose", "settle"], {"kind": "system", "roles": ["system"], "sub": CLIENT_ID}),
        ],
    )
    def test_a_token_is_one_line(
        self, platform: Deployment, kind: str, more: list[str], expected: dict[str, object]
    ) -> None:
        ran = platform.run("token", "--as", kind, *more)
        assert (ran.returncode, ran.stderr) == (0, "")
        (line,) = ran.stdout.splitlines()
        found = claims(line)
        assert {name: found.get(name, "") for name in expected} == expected

    def test_an_official_has_a_role_at_an_agency(self, platform: Deployment, people: People) -> None:
        ran = platform.run("token", "--as", "official", "--role", "cashier", "--agency", people.commune)
        found = claims(ran.stdout.strip())
        assert found["agency"] == people.commune
        assert "cashier" in str(found["roles"])
        assert "cashier at" in ran.stderr.replace(", ", " ").replace("receptionist ", "")

    def test_nobody_has_that_role(self, platform: Deployment) -> None:
        ran = platform.run("token", "--as", "official", "--agency", "Z99")
        assert ran.returncode == 1
        assert "No sample official is anything at Z99." in ran.stderr
        assert "Agencies: " in ran.stderr
        assert "no kind of caller king" in platform.run("token", "--as", "king").stderr

    def test_a_site_is_asked_from_outside(self, platform: Deployment) -> None:
        ran = platform.run("check")
        assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
        asked = {line.split()[1]: line.split()[0] for line in ran.stdout.splitlines()}
        assert asked == dict.fromkeys(("/healthz", "/", "/openapi.json", "/.well-known/jwks.json", "/ledger"), "✓")
        # Where another server answers, it says what is amiss.
        wrong = platform.run("check", f"{platform.url}/docs")
        assert wrong.returncode == 1
        said = {line.split()[1]: line.split()[0] for line in wrong.stdout.splitlines()}
        assert said["/healthz"] == said["/openapi.json"] == said["/ledger"] == "✗"
        nobody = platform.run("check", f"http://127.0.0.1:{free_port()}")
        assert nobody.returncode == 1
        assert "Is this the edge's address?" in nobody.stderr

    def test_a_dossier_is_tracked(self, platform: Deployment, submitted: str) -> None:
        ran = platform.run("track", submitted)
        assert (ran.returncode, ran.stderr) == (0, "")
        (line,) = ran.stdout.splitlines()
        assert "DossierSubmitted" in line
        assert "procedure_code 1.001193" in line
        unknown = platform.run("track", submitted.rpartition("-")[0] + "-9999999")
        assert (unknown.returncode, unknown.stdout) == (1, "")
        assert "✗" in unknown.stderr

    def test_a_dossier_is_followed(self, platform: Deployment, world: World, submitted: str) -> None:
        with platform.running("track", "--follow", submitted) as following:
            assert following.stdout is not None
            read_until(following.stdout, "DossierSubmitted")
            world.receive(submitted)
            assert "receipt_number" in read_until(following.stdout, "DossierReceived")

    def test_events_are_decoded_and_what_is_sealed_stays_sealed(self, platform: Deployment, submitted: str) -> None:
        ran = platform.run("events", "--json", "--stream", f"dossier-{submitted}")
        (line,) = map(json.loads, ran.stdout.splitlines())
        assert line["type"] == "motcua.dossier.events.v1.DossierSubmitted"
        assert (line["event"]["code"], line["event"]["form"]) == (submitted, "(sealed)")
        assert line["event"]["applicant_name"] == "(sealed)"
        shown = platform.run("events", "--stream", f"dossier-{submitted}").stdout
        assert "DossierSubmitted" in shown
        assert "Trần Minh An" not in shown + ran.stdout
        everything = platform.run("events", "--json").stdout.splitlines()
        positions = [json.loads(each)["position"] for each in everything]
        assert positions == sorted(positions)
        assert len(positions) > 100

    def test_new_events_are_followed(self, platform: Deployment, world: World, submitted: str) -> None:
        with platform.running("events", "--follow", "--json", "--stream", f"dossier-{submitted}") as following:
            assert following.stdout is not None
            read_until(following.stdout, "DossierSubmitted")
            world.receive(submitted)
            read_until(following.stdout, "DossierReceived")

    def test_nothing_is_parked(self, platform: Deployment) -> None:
        listed, retried = platform.run("parked", "list"), platform.run("parked", "retry", "no-such-event")
        assert (listed.returncode, listed.stdout.strip()) == (0, "Nothing is parked.")
        assert retried.returncode == 1
        assert "`motcua parked list` shows them." in retried.stderr

    def test_a_demo_ends_with_one_line_of_json(self, platform: Deployment) -> None:
        ran = platform.run("demo", "--dossiers", "20", "--json", seconds=180)
        assert (ran.returncode, ran.stderr) == (0, "")
        (line,) = ran.stdout.splitlines()
        report = json.loads(line)
        assert report.keys() == {"submitted", "completed", "failed", "failures", "codes"}
        assert (report["submitted"], report["failed"], len(set(report["codes"]))) == (20, 0, 20)
        assert report["completed"] >= 20

    def test_the_data_folder_is_in_use(self, platform: Deployment) -> None:
        ran = Deployment(platform.data).run("up")
        assert ran.returncode == 1
        assert "is in use by another running platform" in ran.stderr
        assert "MOTCUA_DATA" in ran.stderr
        assert "Traceback" not in ran.stdout + ran.stderr


@pytest.mark.parametrize("arguments", [(), ("--processes",)], ids=" ".join)
def test_the_ledger_is_another_one(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    async def begin() -> None:
        async with site(tmp_path / "data") as at, running(at.ledger()):
            await at.published(0)

    asyncio.run(begin())
    ran = Deployment(tmp_path / "data", settings={"MOTCUA_LEDGER_ORIGIN": "another.vn/ledger"}).run("up", *arguments)
    assert ran.returncode == 1
    assert "The ledger cannot go on" in ran.stderr, ran.stderr
    assert "docs/ledger.md" in ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr


def test_the_port_is_taken(tmp_path: Path) -> None:
    port = free_port_pair()
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", port))
        taken.listen()
        ran = Deployment(tmp_path / "data", port).run("up")
    assert ran.returncode == 1
    assert f"Port {port} is taken." in ran.stderr
    assert "MOTCUA_PORT" in ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("command", "said", "action"),
    [
        (("token",), "Nothing answers at http://localhost:", "Start the platform"),
        (("track", "P56-20260302-0000001"), "Nothing answers at localhost:", "Start the platform"),
        (("demo", "--dossiers", "1", "--json"), "Nothing answers at http://localhost:", "Start the platform"),
        (("events",), "There is no event store in", "MOTCUA_DATA"),
        (("parked", "list"), "No platform runs on the data folder", "MOTCUA_DATA"),
    ],
)
def test_nothing_runs(tmp_path: Path, command: tuple[str, ...], said: str, action: str) -> None:
    began = time.monotonic()
    ran = Deployment(tmp_path / "data").run(*command)
    assert ran.returncode == 1
    assert said in ran.stderr
    assert action in ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("name", "value"),
    [("MOTCUA_PORT", "eighty"), ("MOTCUA_SITE", "moon"), ("MOTCUA_EVENT_STORE", "paper:"), ("MOTCUA_EDGE_RATE", "0")],
)
def test_a_setting_is_wrong(tmp_path: Path, name: str, value: str) -> None:
    ran = Deployment(tmp_path / "data", settings={name: value}).run("up")
    assert ran.returncode == 1
    assert f"{name}: " in ran.stderr
    # What may hold a password is not repeated.
    assert (repr(value) in ran.stderr) is (name != "MOTCUA_EVENT_STORE")
    assert "Traceback" not in ran.stdout + ran.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command", [("up",), ("serve", "identity")], ids=" ".join)
def test_the_data_folder_cannot_be_made(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "file").touch()
    ran = Deployment(tmp_path / "data", settings={"MOTCUA_DATA": str(tmp_path / "file" / "data")}).run(*command)
    assert ran.returncode == 1
    assert "cannot be made: Not a directory." in ran.stderr
    assert "Set MOTCUA_DATA to a folder" in ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("arguments", "settings", "what", "action"),
    [
        ((), {"MOTCUA_DATABASE": "postgresql+psycopg://{}"}, "The database does not answer: ", "Start it"),
        (
            ("--processes",),
            {"MOTCUA_DATABASE": "postgresql+psycopg://{}"},
            "The database does not answer: ",
            "Start it",
        ),
        (
            ("--processes",),
            {"MOTCUA_EVENT_STORE": "esdb://{}?tls=false"},
            "The event store does not answer: ",
            "Start it",
        ),
        (
            (),
            {"MOTCUA_EVENT_STORE": "esdb://{}?tls=false&nodePreference=random"},
            "NodePreference",
            "docs/event-store.md",
        ),
    ],
    ids=["database", "database of processes", "event store", "address"],
)
def test_a_server_that_is_to_be_used_is_away(
    tmp_path: Path, arguments: tuple[str, ...], settings: dict[str, str], what: str, action: str
) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    given = {name: value.format(nowhere) for name, value in settings.items()}
    ran = Deployment(tmp_path / "data", settings=given).run("up", *arguments)
    assert ran.returncode == 1
    assert what in ran.stderr
    assert action in ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr


@pytest.mark.parametrize("command", [["up"], ["serve", "status"]])
def test_too_few_files_may_be_open(tmp_path: Path, command: list[str]) -> None:
    """Libraries end the program with a signal where there are none left."""
    limited = ["bash", "-c", 'ulimit -n 64 && exec "$0" "$@"', *COMMAND, *command]
    environment = os.environ | {"MOTCUA_DATA": str(tmp_path / "data")}
    done = subprocess.run(limited, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "Only 64 files may be open at once" in done.stderr
    assert "Traceback" not in done.stderr
