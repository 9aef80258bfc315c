"""The chart as the real Helm renders it."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path
from typing import Any

import yaml

from scripts.helm import helm

Object = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "motcua"
PROFILES = ("province", "national")
SERVICES = ("identity", "catalogue", "dossier", "payment", "notification", "warehouse", "status", "ledger")
EVERYTHING = {
    "image": {"digest": "sha256:" + "a" * 64, "pullPolicy": "Always", "pullSecrets": ["pull"]},
    "secret": {"revision": "7"},
    "mutualTls": {"enabled": True},
    "eventStore": {"url": "kurrentdb://store:2113?tls=true", "caSecret": "store-ca"},
    "blobs": {"url": "file:///var/lib/motcua/blobs", "claim": "blobs"},
    "telemetry": {"endpoint": "http://collector.observability:4317"},
    "sandbox": {"enabled": True, "until": "2027-12-31"},
    "defaults": {"env": {"MOTCUA_LOG_LEVEL": "debug"}, "envSecrets": ["extra"], "autoscaling": {"enabled": True}},
    "services": {"status": {"autoscaling": {"enabled": False}, "calls": ["identity", "dossier"]}},
    "edge": {
        "config": "static_resources: {}\n",
        "tlsSecret": "edge-tls",
        "clientAuthoritySecret": "systems",
        "service": {"type": "LoadBalancer", "annotations": {"example/class": "public"}},
        "image": {"pullSecrets": ["pull"]},
    },
    "networkPolicy": {
        "publicFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "observability"}}}],
    },
}
VARIANTS: dict[str, tuple[str, Object]] = {
    "province": ("province", {}),
    "national": ("national", {}),
    "everything": ("province", EVERYTHING),
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
    return [document for document in yaml.safe_load_all(rendered.stdout) if document is not None]


@functools.cache
def variant(name: str) -> list[Object]:
    return render(*VARIANTS[name])


def one(objects: list[Object], kind: str, component: str) -> Object:
    (found,) = (o for o in objects if o["kind"] == kind and o["metadata"]["name"] == f"motcua-{component}")
    return found


def container(objects: list[Object], component: str) -> Object:
    (only,) = one(objects, "Deployment", component)["spec"]["template"]["spec"]["containers"]
    return dict(only)


def environment(objects: list[Object], component: str) -> dict[str, str]:
    """Every variable of a pod, a Secret's as `<secret>/<key>`."""
    variables = container(objects, component)["env"]
    own = {v["name"]: v["value"] if "value" in v else "{name}/{key}".format(**v["valueFrom"]["secretKeyRef"])
           for v in variables}  # fmt: skip
    assert len(own) == len(variables), "a variable is given twice"
    return {**one(objects, "ConfigMap", "environment")["data"], **own}
