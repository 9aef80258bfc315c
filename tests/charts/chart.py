"""The chart as the real Helm renders it."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from scripts.helm import helm

Object = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "motcua"
PROFILES = ("province", "national")
VKEY = "motcua.example/witness+0123abcd+BAhz6sQ4hWkWvvYQ0aIFqkCBHkbuUoTrO3bVGcBcZ3CB"
NODES = {
    "labels": {"team": "motcua"},
    "annotations": {"example.org/mesh": "no"},
    "priorityClassName": "state",
    "nodeSelector": {"pool": "state"},
    "tolerations": [{"key": "state", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"nodeAffinity": {}},
}
# All that does not exclude each other.
EVERYTHING: Object = {
    "image": {"digest": "sha256:" + "a" * 64, "pullPolicy": "Always", "pullSecrets": ["pull"]},
    "secret": {"revision": "7", "external": {"enabled": True, "store": {"name": "vault"}, "entry": "motcua/vn-56"}},
    "mutualTls": {"enabled": True, "ownAuthority": True},
    "eventStore": {"url": "kurrentdb://store:2113?tls=true", "caSecret": "store-ca"},
    "database": {"caSecret": "database-ca"},
    "blobs": {"endpoint": "https://s3.example", "region": "vn-1", "secret": "bucket"},
    "telemetry": {"endpoint": "http://collector.observability:4317", "sampled": 0.25, "logLevel": "DEBUG"},
    "submission": {"receptionTerms": "2026-10-01:8h"},
    "vneid": {"trustedClients": ["portal", "other"], "hosts": ["keys.vneid.example"]},
    "scanner": {"url": "tcp://clamd.scanners:3310"},
    "mail": {"enabled": True, "from": "Một cửa <motcua@khanhhoa.example>"},
    "channels": {name: {"enabled": True} for name in yaml.safe_load((CHART / "values.yaml").read_text())["channels"]},
    "ledger": {
        "origin": "motcua.khanhhoa.example/log",
        "witnesses": [{"key": VKEY, "url": "https://motcua.example/ledger/witness"}],
        "witnessed": [VKEY],
    },
    "masterKeyRotation": True,
    "pod": NODES,
    "defaults": {
        "env": {"OTEL_BSP_SCHEDULE_DELAY": "1000"},
        "envSecrets": ["extra"],
        "autoscaling": {"enabled": True, "inFlight": 100},
        "serviceAccount": {"annotations": {"example.org/role": "services"}},
    },
    "services": {"status": {"autoscaling": {"enabled": False}, "pod": {"labels": {"team": "pages"}}}},
    "edge": {
        "tlsSecret": "edge-tls",
        "issuer": {"name": "public"},
        "clientAuthoritySecret": "systems",
        "trustedHops": 1,
        "origins": ["https://dichvucong.gov.vn"],
        "service": {"annotations": {"example.org/class": "public"}},
        "autoscaling": {"enabled": True},
        "image": {"pullSecrets": ["pull"]},
    },
    "gateway": {
        "enabled": True,
        "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}],
        "grpcHost": "grpc.khanhhoa.example",
        "backendAuthority": "edge-ca",
    },
    "networkPolicy": {
        "publicFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "observability"}}}],
        "egress": {"database": {"to": [{"ipBlock": {"cidr": "10.1.0.0/24"}}], "ports": [5432, 6432]}},
        "moreEgress": [
            {"to": [{"ipBlock": {"cidr": "169.254.169.254/32"}}], "ports": [{"port": 80, "protocol": "TCP"}]}
        ],
    },
    "catalogue": {"configMaps": ["procedures", "more-procedures"]},
    "firstAdministrator": {"personalNumber": "056090001234", "decisionNumber": "12/QĐ-UBND"},
    "backup": {"enabled": True, "url": "s3://backup-vn-56/site"},
    "monitoring": {"enabled": True, "labels": {"release": "prometheus"}},
}
TRIAL: Object = {
    "sandbox": {"enabled": True, "until": "2027-12-31"},
    "publicUrl": "http://motcua-edge",
    "trial": {"blobs": {"enabled": True}, "postgresql": {"enabled": True}, "kurrentdb": {"enabled": True}},
    "blobs": {"url": "file:///var/lib/motcua/blobs", "claim": "blobs"},
}
# The other side of each choice.
OTHERWISE: Object = {
    "mutualTls": {"enabled": True, "issuer": {"name": "site", "kind": "ClusterIssuer"}},
    "blobs": {"url": "file:///var/lib/motcua/blobs", "claim": "blobs"},
    "edge": {"trustedHops": 2, "service": {"type": "LoadBalancer"}},
    "ingress": {
        "enabled": True,
        "className": "public",
        "annotations": {"example.org/backend": "h2c"},
        "tlsSecret": "public-tls",
    },
    "networkPolicy": {"enabled": False},
    "migrate": {"enabled": False},
    "backup": {"secret": "backup-bucket", "between": ""},
}
PASSTHROUGH: Object = {
    "backup": {"enabled": False},
    "mutualTls": {"enabled": True},
    "edge": {"tlsSecret": "edge-tls", "clientAuthoritySecret": "systems"},
    "gateway": {"enabled": True, "parentRefs": [{"name": "public"}], "passthrough": True},
}
VARIANTS: dict[str, tuple[str, Object]] = {
    "province": ("province", {}),
    "national": ("national", {}),
    "everything": ("province", EVERYTHING),
    "trial": ("province", TRIAL),
    "national-trial": ("national", {"sandbox": {"enabled": True, "until": "2027-12-31", "province": "56"}}),
    "otherwise": ("province", OTHERWISE),
    "passthrough": ("national", PASSTHROUGH),
}


def run(*arguments: str, values: Object | None = None) -> subprocess.CompletedProcess[str]:
    more = () if values is None else ("--values", "-")
    return subprocess.run(
        [helm(), *arguments, *more], input=yaml.safe_dump(values or {}), capture_output=True, text=True, check=False
    )


def profile(name: str) -> Path:
    return CHART / f"values-{name}.yaml"


def template(name: str, values: Object, release: str = "motcua") -> subprocess.CompletedProcess[str]:
    return run("template", release, str(CHART), "--namespace", "site", "--values", str(profile(name)), values=values)


def render(name: str, values: Object) -> list[Object]:
    rendered = template(name, values)
    assert rendered.returncode == 0, rendered.stderr
    return [document for document in yaml.load_all(rendered.stdout, yaml.CSafeLoader) if document is not None]


@functools.cache
def variant(name: str) -> list[Object]:
    return render(*VARIANTS[name])


def one(objects: list[Object], kind: str, component: str) -> Object:
    (found,) = (o for o in objects if o["kind"] == kind and o["metadata"]["name"] == f"motcua-{component}")
    return found


def of_kind(objects: list[Object], kind: str) -> dict[str, Object]:
    """By component."""
    return {o["metadata"]["name"].removeprefix("motcua-"): o for o in objects if o["kind"] == kind}


def pod_template(o: Object) -> Object | None:
    """Of whatever makes pods; None for other objects."""
    match o["kind"]:
        case "Pod":
            return {"metadata": o["metadata"], "spec": o["spec"]}
        case "Deployment" | "StatefulSet" | "Job":
            return dict(o["spec"]["template"])
        case "CronJob":
            return dict(o["spec"]["jobTemplate"]["spec"]["template"])
    return None


def containers(o: Object) -> list[Object]:
    """Init containers first, as they run."""
    spec = (pod_template(o) or {"spec": {}})["spec"]
    return [*spec.get("initContainers", []), *spec.get("containers", [])]


def container(objects: list[Object], component: str) -> Object:
    (only,) = containers(one(objects, "Deployment", component))
    return only


def given(objects: list[Object], container: Object) -> dict[str, str]:
    """Every variable of a container, a Secret's as `<secret>/<key>`."""
    variables = container.get("env", [])
    own = {v["name"]: v["value"] if "value" in v else "{name}/{key}".format(**v["valueFrom"]["secretKeyRef"])
           for v in variables}  # fmt: skip
    assert len(own) == len(variables), "a variable is given twice"
    maps = {o["metadata"]["name"]: o["data"] for o in objects if o["kind"] == "ConfigMap"}
    shared: Mapping[str, str] = {
        name: value
        for source in container.get("envFrom", [])
        if "configMapRef" in source
        for name, value in maps[source["configMapRef"]["name"]].items()
    }
    assert not shared.keys() & own.keys(), "a variable is given twice"
    return {**shared, **own}


def environment(objects: list[Object], component: str) -> dict[str, str]:
    return given(objects, container(objects, component))
