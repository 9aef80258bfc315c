"""What each part is given exists in the code, suffices, and is nobody else's."""

from __future__ import annotations

import re
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from command.main import app
from command.registry import SANDBOX
from command.run.serving import _missing_secrets
from gateway.edge.__main__ import main as edge_command
from services.chassis.frame.http_server import OPEN
from services.notification.channels.carriers import CARRIERS
from services.notification.settings import ChannelSettings
from services.registry import SERVICES
from services.settings import SiteSettings
from tests.charts.chart import (
    CHART,
    VARIANTS,
    Object,
    container,
    containers,
    environment,
    given,
    of_kind,
    one,
    variant,
)

# SiteSettings of `motcua up`, which has no part in a cluster, and of what only tests may do.
NOT_IN_A_CLUSTER = {"edge_host", "port", "edge_rate", "edge_burst", "client_authority", "clock_shift_file"}
HEX, URL = "0123456789abcdef" * 4, "postgresql+psycopg://motcua:secret@database/motcua"
SECRET = {
    "service-secret": HEX,
    "master-key": HEX,
    "master-key-previous": HEX[::-1],
    "qr-key": HEX,
    "ledger-key": HEX,
    "witness-key": HEX[::-1],
    "event-store": "kurrentdb://admin:changeit@store:2113?tls=true",
    "vneid-client-secret": "secret",
    "population-secret": "secret",
    "vnpay-secret": "secret",
    **{
        secret.replace("_", "-"): ChannelSettings.model_fields[secret].examples[0]  # type: ignore[index]
        for carrier in CARRIERS.values()
        for secret in carrier.secrets
    },
    "postgresql-password": HEX,
    "database-backup": URL,
    **{f"database-{service}": URL for service in SERVICES},
}
ALL = list(chain.from_iterable((pytest.param(name, id=name),) for name in VARIANTS))


def every_container(name: str) -> list[tuple[str, Object]]:
    return [(c["name"], c) for o in variant(name) for c in containers(o)]


def filled(objects: list[Object], c: Object) -> dict[str, str]:
    """With a value for each key of the Secret."""
    found = {}
    for variable, value in given(objects, c).items():
        secret, _, key = value.partition("/")
        found[variable] = SECRET[key] if secret == "motcua" and key in SECRET else value
    return {
        name: value.replace("$(POSTGRESQL_PASSWORD)", found.get("POSTGRESQL_PASSWORD", ""))
        for name, value in found.items()
    }


def settings(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> SiteSettings:
    """As the process makes them; where its certificate lies is looked at elsewhere."""
    for variable, value in variables.items():
        if variable.startswith("MOTCUA_") and not variable.startswith("MOTCUA_TLS_"):
            monkeypatch.setenv(variable, value)
    return SiteSettings()


@pytest.mark.parametrize("name", ALL)
def test_every_variable_is_a_setting(name: str) -> None:
    known = {f"MOTCUA_{field.upper()}" for field in SiteSettings.model_fields}
    known |= {"MOTCUA_FIRST_ADMINISTRATOR"}  # an argument of `motcua appoint`
    libraries = re.compile("(OTEL|AWS|POSTGRES|POSTGRESQL|KURRENTDB)_[A-Z_]+|PGDATA")
    for part, c in every_container(name):
        for variable in given(variant(name), c):
            assert variable in known or libraries.fullmatch(variable), f"{part}: {variable} is no setting"


def test_every_setting_can_be_given() -> None:
    """A new setting gets a value in values.yaml, or a place in NOT_IN_A_CLUSTER."""
    found = {variable for name in VARIANTS for _, c in every_container(name) for variable in given(variant(name), c)}
    missing = {field for field in SiteSettings.model_fields if f"MOTCUA_{field.upper()}" not in found}
    assert missing == NOT_IN_A_CLUSTER


@pytest.mark.parametrize("name", ALL)
def test_every_container_starts_with_its_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = variant(name)
    for part, c in every_container(name):
        if part in ("postgresql", "kurrentdb", "edge", "needed"):
            continue
        with monkeypatch.context() as patch:
            made = settings(patch, filled(objects, c))
            assert made.data == Path("/tmp/motcua"), part
            if c["command"][:2] == ["motcua", "serve"]:
                assert list(_missing_secrets(made, [part])) == []
                assert made.distributed
                assert made.database.startswith("postgresql+psycopg://")
                assert (made.grpc_port, made.http_port, made.host) == (50051, 8081, "0.0.0.0")
                assert made.identity_address == "motcua-identity:50051"


EVERYBODY = {"MOTCUA_SERVICE_SECRET": "service-secret", "MOTCUA_EVENT_STORE": "event-store"}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_given_its_own_secrets_only(service: str) -> None:
    secrets = {v: key for v, key in environment(variant("province"), service).items() if key.startswith("motcua/")}
    own = {*SERVICES[service].secrets, *SERVICES[service].given}
    given_to = {f"MOTCUA_{secret.upper()}": secret.replace("_", "-") for secret in own}
    wanted = {**EVERYBODY, **given_to, "MOTCUA_DATABASE": f"database-{service}"}
    assert secrets == {variable: f"motcua/{key}" for variable, key in wanted.items()}


def test_the_readme_lists_the_keys_of_the_secret_and_what_of_the_networks_is_open() -> None:
    readme = (CHART / "README.md").read_text()
    rows = re.search(r"\| key \| content \| given to \|\n\|---\|---\|---\|\n((?:\|.*\n)+)", readme)
    assert rows
    listed = {
        key for row in rows[1].splitlines() for key in re.findall(r"`([a-z-]+(?:<service>)?)`", row.split("|")[1])
    }
    further = {
        secret.replace("_", "-") for each in CARRIERS.values() if each.chart != "mail" for secret in each.secrets
    }
    assert {key.replace("<service>", service) for key in listed for service in SERVICES} == set(SECRET) - further
    read = {value.partition("/")[2] for name in VARIANTS for _, c in every_container(name)
            for value in given(variant(name), c).values() if value.startswith("motcua/")}  # fmt: skip
    assert read == set(SECRET)
    for key in re.findall(r"--from-(?:literal|file)=([a-z-]+)", readme):
        assert key == "database-" or key in SECRET


SHARED = {
    "MOTCUA_SITE": "vn-56",
    "MOTCUA_PUBLIC_URL": "https://motcua.khanhhoa.example",
    "MOTCUA_HOST": "0.0.0.0",
    "MOTCUA_DATA": "/tmp/motcua",
    "MOTCUA_SANDBOX": "false",
    "MOTCUA_GRPC_PORT": "50051",
    "MOTCUA_HTTP_PORT": "8081",
    "MOTCUA_IDENTITY_ADDRESS": "motcua-identity:50051",
    "MOTCUA_LOG_LEVEL": "INFO",
    "MOTCUA_TRACE_SAMPLED": "0.1",
    "MOTCUA_IN_FLIGHT": "512",
    "MOTCUA_STREAMS": "2000",
    "MOTCUA_STREAMS_PER_ADDRESS": "100",
    "MOTCUA_KEY_CACHE_SECONDS": "300",
    "MOTCUA_UPLOADS_KEPT_DAYS": "30",
    "MOTCUA_SUBMISSION_CUTOVER": "2025-07-01",
    "MOTCUA_SUBMISSION_ADDRESS": "https://dichvucong.gov.vn",
}
SETTINGS = {
    "identity": {
        "MOTCUA_VNEID_URL": "https://vneid.example",
        "MOTCUA_VNEID_CLIENT_ID": "motcua",
        "MOTCUA_POPULATION_URL": "https://population.example",
    },
    "payment": {
        "MOTCUA_VNPAY_URL": "https://vnpay.example/vpcpay.html",
        "MOTCUA_VNPAY_API_URL": "https://merchant.vnpay.example/merchant_webapi/api/transaction",
        "MOTCUA_VNPAY_TERMINAL": "MOTCUA01",
    },
    "dossier": {"MOTCUA_BLOBS": "s3://motcua-vn-56"},
    "warehouse": {"MOTCUA_BLOBS": "s3://motcua-vn-56"},
    "ledger": {
        "MOTCUA_BLOBS": "s3://motcua-vn-56",
        "MOTCUA_LEDGER_ORIGIN": "motcua.khanhhoa.example/ledger",
        "MOTCUA_LEDGER_WITNESS_NAME": "motcua.khanhhoa.example/witness",
        "MOTCUA_LEDGER_CHECKPOINT_SECONDS": "1",
    },
}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_given_its_own_settings_only(service: str) -> None:
    found = {
        v: value for v, value in environment(variant("province"), service).items() if not value.startswith("motcua/")
    }
    assert found == {**SHARED, **SETTINGS.get(service, {})}


def test_every_option_reaches_its_part() -> None:
    objects = variant("everything")
    assert environment(objects, "dossier")["MOTCUA_EVENT_STORE"] == "kurrentdb://store:2113?tls=true"
    assert environment(objects, "dossier")["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector.observability:4317"
    assert environment(objects, "dossier")["OTEL_BSP_SCHEDULE_DELAY"] == "1000"
    warehouse = environment(objects, "warehouse")
    assert (warehouse["AWS_ENDPOINT_URL"], warehouse["AWS_REGION"]) == ("https://s3.example", "vn-1")
    assert environment(objects, "identity")["MOTCUA_VNEID_TRUSTED_CLIENTS"] == "portal other"
    assert environment(objects, "identity")["MOTCUA_VNEID_HOSTS"] == "keys.vneid.example"
    assert environment(objects, "identity")["MOTCUA_MASTER_KEY_PREVIOUS"] == "motcua/master-key-previous"
    assert environment(objects, "notification")["MOTCUA_SMTP_URL"] == "motcua/smtp-url"
    assert environment(objects, "notification")["MOTCUA_MAIL_FROM"] == "Một cửa <motcua@khanhhoa.example>"
    assert environment(objects, "dossier")["MOTCUA_CLAMD_URL"] == "tcp://clamd.scanners:3310"
    ledger = environment(objects, "ledger")
    assert ledger["MOTCUA_LEDGER_ORIGIN"] == "motcua.khanhhoa.example/log"
    assert ledger["MOTCUA_LEDGER_WITNESSES"].endswith(" https://motcua.example/ledger/witness")
    sources = {part: [s for s in container(objects, part)["envFrom"] if "secretRef" in s] for part in SERVICES}
    bucket, extra = {"secretRef": {"name": "bucket"}}, {"secretRef": {"name": "extra"}}
    assert sources["catalogue"] == [extra]
    assert sources["dossier"] == sources["ledger"] == sources["warehouse"] == [bucket, extra]
    status, dossier = (one(objects, "Deployment", part)["spec"]["template"] for part in ("status", "dossier"))
    assert (status["metadata"]["labels"]["team"], dossier["metadata"]["labels"]["team"]) == ("pages", "motcua")
    assert dossier["metadata"]["annotations"]["motcua/secret-revision"] == "7"
    assert dossier["spec"]["imagePullSecrets"] == [{"name": "pull"}]
    assert (dossier["spec"]["priorityClassName"], dossier["spec"]["nodeSelector"]) == ("state", {"pool": "state"})
    assert one(objects, "ServiceAccount", "dossier")["metadata"]["annotations"] == {"example.org/role": "services"}
    kept = {part: one(objects, "HorizontalPodAutoscaler", part)["spec"] for part in ("status", "dossier", "edge")}
    assert [(kept[part]["minReplicas"], kept[part]["maxReplicas"]) for part in kept] == [(2, 2), (2, 6), (2, 6)]
    cpu, calls = one(objects, "HorizontalPodAutoscaler", "dossier")["spec"]["metrics"]
    assert (cpu["resource"]["name"], calls["pods"]["metric"]["name"]) == ("cpu", "motcua_rpc_in_flight")


def test_authorities_are_mounted_where_stores_are_asked() -> None:
    where: dict[str, set[str]] = {}
    for part, c in every_container("everything"):
        for mount in c["volumeMounts"]:
            where.setdefault(mount["mountPath"], set()).add(part)
    migrating = {f"migrate-{service}" for service in SERVICES}
    assert where["/etc/motcua/database"] == {*SERVICES, *migrating, "backup", "appoint"}
    assert where["/etc/motcua/event-store"] == {*SERVICES, "backup", "load-0", "load-1", "appoint"}


def test_a_trial_is_played_by_the_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = variant("trial")
    assert container(objects, "sandbox")["command"] == ["motcua", "serve", SANDBOX, "--province", "56"]
    identity, sandbox = environment(objects, "identity"), environment(objects, "sandbox")
    assert not [
        v for v in (*identity, *environment(objects, "payment")) if re.search("VNEID_URL|POPULATION|VNPAY_.*URL", v)
    ]
    assert not [v for v in identity if "SUBMISSION" in v]
    assert (identity["MOTCUA_SANDBOX"], identity["MOTCUA_SANDBOX_UNTIL"]) == ("true", "2027-12-31")
    assert identity["MOTCUA_PUBLIC_URL"] == "http://motcua-edge"
    assert sandbox["MOTCUA_DATABASE"] == identity["MOTCUA_DATABASE"]
    assert identity["MOTCUA_EVENT_STORE"] == "kurrentdb://motcua-kurrentdb:2113?tls=false"
    for part in ("identity", "sandbox"):
        with monkeypatch.context() as patch:
            assert settings(patch, filled(objects, container(objects, part))).database == (
                f"postgresql+psycopg://motcua:{HEX}@motcua-postgresql:5432/motcua"
            )


@cache
def motcua() -> Any:
    return typer.main.get_command(app)


def command(words: list[str], folder: Path) -> None:
    """Click reads it as the process would, and does not run it. Raises UsageError."""
    program, *arguments = words
    found: Any = motcua()
    if program == "python":
        assert arguments[:2] == ["-m", "gateway.edge"]
        lone = typer.Typer()
        lone.command()(edge_command)
        found, arguments = typer.main.get_command(lone), arguments[2:]
    else:
        assert program == "motcua"
    placed = []
    for argument in arguments:
        if argument.startswith("/etc/"):
            (folder / "file.yaml").touch()
            argument = str(folder / "file.yaml")
        placed.append(argument)
    while isinstance(found, TyperGroup):
        assert placed[0] in found.commands, f"there is no command {' '.join(words)}"
        found, placed = found.commands[placed[0]], placed[1:]
    given = [] if found.name != "appoint" else ["056090001234"]  # from its environment
    found.make_context("motcua", [*given, *placed])


@pytest.mark.parametrize("name", ALL)
def test_every_command_exists(name: str, tmp_path: Path) -> None:
    for part, c in every_container(name):
        if part not in ("postgresql", "kurrentdb", "needed"):
            command(c["command"], tmp_path)


@pytest.mark.parametrize("name", ALL)
def test_every_port_and_every_probe_is_served(name: str) -> None:
    objects = variant(name)
    for part, deployment in of_kind(objects, "Deployment").items():
        (c,) = containers(deployment)
        ports = {p["name"]: p["containerPort"] for p in c["ports"]}
        if part == "edge":
            continue  # tests/charts/test_edge.py
        variables = environment(objects, part)
        wanted = {"grpc": int(variables["MOTCUA_GRPC_PORT"]), "http": int(variables["MOTCUA_HTTP_PORT"])}
        assert ports == (wanted if part != "sandbox" else {"http": wanted["http"]})
        paths = {c[probe]["httpGet"]["path"] for probe in c if probe.endswith("Probe") and "httpGet" in c[probe]}
        assert paths <= OPEN


@pytest.mark.parametrize("name", ["everything", "otherwise", "passthrough"])
def test_certificates_are_mounted_where_they_are_looked_for(name: str) -> None:
    objects = variant(name)
    variables = environment(objects, "dossier")
    files = [variables[f"MOTCUA_TLS_{kind}"] for kind in ("CERTIFICATE", "KEY", "AUTHORITY")]
    assert files == ["/etc/motcua/tls/tls.crt", "/etc/motcua/tls/tls.key", "/etc/motcua/tls/ca.crt"]
    certificates = of_kind(objects, "Certificate")
    for part in (*SERVICES, "edge"):
        spec = one(objects, "Deployment", part)["spec"]["template"]["spec"]
        secrets = {volume["name"]: volume.get("secret", {}).get("secretName") for volume in spec["volumes"]}
        mounts = {mount["mountPath"]: secrets[mount["name"]] for mount in spec["containers"][0]["volumeMounts"]}
        assert mounts["/etc/motcua/tls"] == f"motcua-{part}-certificate"
        if certificates:
            asked = certificates[f"{part}-certificate"]["spec"]
            assert asked["secretName"] == f"motcua-{part}-certificate"
            assert asked["dnsNames"] == [f"{part}.vn-56.internal"]
            assert {"server auth", "client auth"} <= set(asked["usages"])


def test_every_metric_in_the_chart_is_measured() -> None:
    from prometheus_client import REGISTRY

    from command.registry import service_classes

    service_classes()
    measured = {family.name for family in REGISTRY.collect()} | {
        sample.name for family in REGISTRY.collect() for sample in family.samples
    }
    suffixes = re.compile("_(total|bucket|count|sum|created)$")
    named = {
        metric
        for path in sorted(CHART.rglob("*"))
        if path.is_file()
        for metric in re.findall(r"\bmotcua_[a-z_]+\b", path.read_text())
    }
    # Recorded by rules of the chart's own.
    unknown = {metric for metric in named if metric not in measured and suffixes.sub("", metric) not in measured}
    assert {metric for metric in unknown if ":" not in metric} == set()
