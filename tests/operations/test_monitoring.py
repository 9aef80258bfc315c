"""What the chart gives to Prometheus and Grafana fits what it deploys."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.promtool import promtool
from tests.charts.chart import CHART, Object, render, template

ON = {"monitoring": {"enabled": True, "labels": {"release": "watch"}}}
MUTUAL = {
    "mutualTls": {"enabled": True, "issuer": {"name": "", "kind": "Issuer", "group": "cert-manager.io"}, "ownAuthority": True}
}  # fmt: skip


def of_kind(objects: list[Object], kind: str) -> dict[str, Any]:
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


@pytest.fixture(scope="module", params=["plain", "mutual"])
def objects(request: pytest.FixtureRequest) -> list[Object]:
    return render("province", {**ON, **(MUTUAL if request.param == "mutual" else {})})


def test_each_part_is_scraped_at_a_port_that_it_has(objects: list[Object]) -> None:
    deployments, monitors = of_kind(objects, "Deployment"), of_kind(objects, "PodMonitor")
    assert monitors.keys() == deployments.keys()
    certificates = of_kind(objects, "Certificate")
    for name, monitor in monitors.items():
        assert monitor["metadata"]["labels"]["release"] == "watch"
        pod = deployments[name]["spec"]["template"]
        assert monitor["spec"]["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        ports = {port["name"]: port["containerPort"] for one in pod["spec"]["containers"] for port in one["ports"]}
        assert (ports[endpoint["port"]], endpoint["path"]) == (9902 if name == "motcua-edge" else 8081, "/metrics")
        if certificates and name != "motcua-edge":
            tls = endpoint["tlsConfig"]
            certificate = certificates[f"{name}-certificate"]["spec"]
            assert (endpoint["scheme"], [tls["serverName"]]) == ("https", certificate["dnsNames"])
            assert tls["ca"]["secret"] == {"name": certificate["secretName"], "key": "ca.crt"}
        else:
            assert endpoint.keys() == {"port", "path", "interval"}


def test_the_rules_are_those_of_the_files_with_a_link_to_each_runbook(objects: list[Object], tmp_path: Path) -> None:
    (deployed,) = of_kind(objects, "PrometheusRule").values()
    written = [
        g for path in sorted((CHART / "rules").glob("*.yaml")) for g in yaml.safe_load(path.read_text())["groups"]
    ]
    for group in written:
        for rule in group["rules"]:
            if "alert" in rule:
                rule["annotations"]["runbook_url"] = f"docs/runbooks/{rule['alert']}.md"
    assert deployed["spec"]["groups"] == written
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(deployed["spec"]))
    checked = subprocess.run([promtool(), "check", "rules", path], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_runbooks_may_lie_elsewhere() -> None:
    values = {"monitoring": {"enabled": True, "rules": {"runbooks": "https://wiki.example/motcua/"}}}
    (deployed,) = of_kind(render("national", values), "PrometheusRule").values()
    links = [
        rule["annotations"]["runbook_url"] for g in deployed["spec"]["groups"] for rule in g["rules"] if "alert" in rule
    ]
    assert "https://wiki.example/motcua/MotcuaViewLags.md" in links


def test_dashboards_are_shipped_whole(objects: list[Object]) -> None:
    shipped = {
        key: json.loads(content)
        for one in of_kind(objects, "ConfigMap").values()
        if one["metadata"]["labels"].get("grafana_dashboard") == "1"
        for key, content in one["data"].items()
    }
    assert shipped == {path.name: json.loads(path.read_text()) for path in (CHART / "dashboards").glob("*.json")}


def test_each_backup_of_the_chart_is_watched() -> None:
    values = {**ON, "backup": {"enabled": True, "url": "s3://backups/vn-56"}}
    objects = render("province", values)
    (deployed,) = of_kind(objects, "PrometheusRule").values()
    text = json.dumps([rule["expr"] for g in deployed["spec"]["groups"] for rule in g["rules"] if "alert" in rule])
    watched = set(re.findall(r'kube_cronjob_created\{cronjob=~\\"([^"]*)\\"', text))
    jobs = set(of_kind(objects, "CronJob"))
    assert len(jobs) == 2
    assert {name for name in jobs if any(re.fullmatch(pattern, name) for pattern in watched)} == jobs


def test_it_is_off_unless_it_is_asked_for() -> None:
    kinds = {one["kind"] for one in render("province", {})}
    assert kinds.isdisjoint({"PodMonitor", "PrometheusRule"})


def test_a_value_that_is_none_is_refused() -> None:
    refused = template("province", {"monitoring": {"enabled": True, "interval": "half a minute"}})
    assert refused.returncode != 0
    assert "/monitoring/interval" in refused.stderr or "monitoring.interval" in refused.stderr, refused.stderr
