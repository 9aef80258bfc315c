"""Parts of the platform alone in a process, as pods have them."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import signal
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from command.run import children
from command.run.postgresql import PrivatePostgresql
from command.run.serving import _missing_secrets
from services.catalogue.loader import load
from services.chassis.platform.settings import Settings
from tests.platform.deployment import ROOT, Deployment, free_port_pair, read_until
from tests.platform.log import Log
from tests.support.postgresql import QUICK
from tests.support.waiting import PATIENCE_SECONDS, eventually, free_port

CLUSTER = "kurrentdb://store.test:2113?tls=false"
SECRET = "s" * 32
KEY = "0" * 64


@pytest.mark.parametrize(
    ("names", "settings", "missing"),
    [
        (("catalogue",), {}, ["MOTCUA_SERVICE_SECRET"]),
        (("catalogue",), {"service_secret": SECRET}, []),
        (("identity",), {"service_secret": SECRET}, ["MOTCUA_MASTER_KEY"]),
        (("sandbox",), {"service_secret": SECRET}, ["MOTCUA_MASTER_KEY"]),
        (("status",), {"service_secret": SECRET}, ["MOTCUA_QR_KEY"]),
        (("ledger",), {"service_secret": SECRET, "ledger_key": KEY}, ["MOTCUA_WITNESS_KEY"]),
        (
            ("identity",),
            {"service_secret": SECRET, "sandbox": False},
            ["MOTCUA_MASTER_KEY", "MOTCUA_POPULATION_SECRET", "MOTCUA_VNEID_CLIENT_SECRET"],
        ),
        (("payment",), {"service_secret": SECRET, "sandbox": False}, []),
        (
            ("payment",),
            {"service_secret": SECRET, "sandbox": False, "vnpay_url": "https://pay.test"},
            ["MOTCUA_VNPAY_SECRET"],
        ),
    ],
    ids=str,
)
def test_secrets_that_others_need_too_are_not_invented(
    names: tuple[str, ...], settings: dict[str, Any], missing: list[str]
) -> None:
    assert list(_missing_secrets(Settings(event_store=CLUSTER, **settings), names)) == missing


def test_a_service_of_a_cluster_says_which_secrets_are_missing(tmp_path: Path) -> None:
    ran = Deployment(tmp_path / "data", settings={"MOTCUA_EVENT_STORE": CLUSTER}).run("serve", "identity", "status")
    assert ran.returncode == 1
    assert "MOTCUA_MASTER_KEY, MOTCUA_QR_KEY, MOTCUA_SERVICE_SECRET are not set" in ran.stderr
    assert "--kept" in ran.stderr
    assert "Traceback" not in ran.stdout + ran.stderr
    assert not (tmp_path / "data").exists()


def test_a_site_without_sandbox_does_not_serve_one(tmp_path: Path) -> None:
    ran = Deployment(tmp_path / "data", settings={"MOTCUA_SANDBOX": "false"}).run("serve", "sandbox")
    assert ran.returncode == 1
    assert "MOTCUA_SANDBOX=true" in ran.stderr


def ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def prepared(deployment: Deployment, port: int) -> tuple[Any, dict[str, Any]]:
    """What a sandbox that is started on nothing but the log and the keys makes: its officials, its system's key."""
    url = f"http://127.0.0.1:{port}"
    with deployment.running("serve", "sandbox", "--province", "56"):
        eventually(partial(ready, port))
        officials = httpx.get(f"{url}/sandbox/officials").json()
        assert httpx.get(f"{url}/sandbox/vneid/.well-known/openid-configuration").json()["issuer"].startswith("http")
        assert "process_cpu_seconds_total" in httpx.get(f"{url}/metrics").text
    return officials, json.loads((deployment.data / "secrets" / "sample-system.jwk").read_text())


def test_a_sandbox_whose_folder_is_lost_prepares_the_same_trial_again(tmp_path: Path) -> None:
    port = free_port_pair()
    settings = {"MOTCUA_SERVICE_SECRET": SECRET, "MOTCUA_MASTER_KEY": KEY, "MOTCUA_HTTP_PORT": str(port)}
    deployment = Deployment(tmp_path / "data", settings=settings)
    first = prepared(deployment, port)
    events = len(Log(deployment.data).rows)
    for lost in ("sandbox", "secrets"):
        shutil.rmtree(deployment.data / lost)
    assert prepared(deployment, port) == first
    assert len(Log(deployment.data).rows) == events
    officials, _ = first
    assert {one["province"] for one in officials} == {"56"}
    assert events > len(officials) > 20


def test_a_service_waits_for_its_database(tmp_path: Path) -> None:
    """It does not die of it, and stops when it is told to while it waits."""
    server, port = PrivatePostgresql(tmp_path / "postgresql", QUICK), free_port_pair()
    server.start()
    server.stop()
    settings = {"MOTCUA_DATABASE": server.url, "MOTCUA_HTTP_PORT": str(port), "MOTCUA_IDENTITY_ADDRESS": "localhost:1"}
    deployment = Deployment(tmp_path / "data", settings=settings)
    waits = "the database does not answer, trying again"
    with deployment.running("serve", "catalogue", "--kept") as process:
        assert process.stdout
        read_until(process.stdout, waits)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
    with deployment.running("serve", "catalogue", "--kept") as process:
        assert process.stdout
        read_until(process.stdout, waits)
        server.start()
        try:
            eventually(partial(ready, port))
            assert process.poll() is None
        finally:
            server.stop()


def test_a_service_stops_while_it_waits_for_the_event_store(tmp_path: Path) -> None:
    nowhere = f"esdb://127.0.0.1:{free_port()}?Tls=false"
    deployment = Deployment(tmp_path / "data", settings={"MOTCUA_EVENT_STORE": nowhere})
    with deployment.running("serve", "identity", "--kept") as process:
        assert process.stdout
        read_until(process.stdout, "the event store does not answer, trying again")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0


@pytest.mark.parametrize("supervisor", [None, SimpleNamespace(is_alive=lambda: False)])
def test_a_child_whose_supervisor_is_gone_does_not_begin(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, supervisor: object
) -> None:
    """It was forked in that moment: the kernel would not end it."""
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: supervisor)
    monkeypatch.setattr(children, "die_with_parent", lambda: None)
    children.run(children.Part("identity", 1, Settings(data=tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_a_catalogue_is_loaded_into_the_store_once(tmp_path: Path) -> None:
    deployment = Deployment(tmp_path / "data")
    calendars = ROOT / "services" / "catalogue" / "data" / "calendars.yaml"
    first, second = (deployment.run("catalogue", "load", str(calendars), "--into-store") for _ in range(2))
    assert (first.returncode, first.stderr, second.returncode, second.stderr) == (0, "", 0, "")
    count = len(Log(deployment.data).rows)
    assert first.stdout.split() == [str(count), "published,", "0", "unchanged,", "0", "refused"]
    assert second.stdout.split() == ["0", "published,", str(count), "unchanged,", "0", "refused"]


def test_a_folder_opens_the_agencies_of_the_site_s_province(tmp_path: Path) -> None:
    folder, wanted = ROOT / "services" / "catalogue" / "data", [each.code for each in load().agencies("92")]
    deployment = Deployment(tmp_path / "data", settings={"MOTCUA_SITE": "vn-92"})
    ran = deployment.run("catalogue", "load", str(folder), "--into-store", seconds=180)
    assert (ran.returncode, ran.stderr) == (0, "")
    opened = [row[4] for row in Log(deployment.data).rows if row[4].startswith("agency-")]
    assert sorted(opened) == sorted(f"agency-{code}" for code in wanted)


@pytest.mark.parametrize(
    ("site", "given", "said"),
    [
        ("vn-92", ["--province", "57"], "there is no province '57'"),
        ("vn", [], "No agency is opened: name provinces with --province."),
        ("vn-92", ["--token", "x", "--province", "57"], "there is no province '57'"),
    ],
)
def test_whose_agencies_are_opened_is_never_guessed(tmp_path: Path, site: str, given: list[str], said: str) -> None:
    deployment = Deployment(tmp_path / "data", settings={"MOTCUA_SITE": site})
    more = [] if "--token" in given else ["--into-store"]
    ran = deployment.run("catalogue", "load", str(ROOT / "services" / "catalogue" / "data"), *more, *given, seconds=180)
    assert said in ran.stderr
    assert (ran.returncode == 0) == (not given)


def test_what_the_store_refuses_is_told_with_its_line(tmp_path: Path) -> None:
    """As it is written, whatever signs are in it."""
    calendars = (ROOT / "services" / "catalogue" / "data" / "calendars.yaml").read_text(encoding="utf-8")
    (tmp_path / "late.yaml").write_text(calendars.replace("    version: 1\n", "    version: 8\n", 1), encoding="utf-8")
    (tmp_path / "odd.yaml").write_text("overlays:\n- {amount: '[/b]1'}\n")
    deployment = Deployment(tmp_path / "data")
    refused, faulty = (
        deployment.run("catalogue", "load", str(tmp_path / name), "--into-store") for name in ("late.yaml", "odd.yaml")
    )
    line = calendars[: calendars.index("- calendar_id")].count("\n") + 1
    assert (refused.returncode, faulty.returncode) == (1, 1)
    assert f"late.yaml:{line}: general 8: Version 8 is not the next one, which is 1." in refused.stderr
    assert "odd.yaml:2: '[/b]1' is no whole number: write it in digits, as 10000\n" in faulty.stderr


def test_a_faulty_catalogue_is_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "faulty.yaml").write_text("calendars:\n- {id: x}\n")
    deployment = Deployment(tmp_path / "data")
    ran = deployment.run("catalogue", "load", str(tmp_path / "faulty.yaml"), "--into-store")
    assert ran.returncode == 1
    assert "nothing was published" in ran.stderr
    without = deployment.run("catalogue", "load", str(tmp_path / "faulty.yaml"))
    assert "--into-store" in without.stderr
    assert not (tmp_path / "data").exists()
