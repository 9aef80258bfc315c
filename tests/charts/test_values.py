"""Values: both profiles pass, and a bad value is refused by a message that names it."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from tests.charts.chart import CHART, EVERYTHING, PROFILES, SERVICES, Object, one, profile, render, run, template

REFUSED: dict[str, tuple[Object, str]] = {
    "a site that is no site": ({"site": "vn-khanhhoa"}, "at '/site': 'vn-khanhhoa' does not match pattern"),
    "a host with a scheme": ({"host": "https://a.vn"}, "at '/host': 'https://a.vn' does not match pattern"),
    "an unknown word": ({"replica": 3}, "additional properties 'replica' not allowed"),
    "an unknown word of a service": (
        {"services": {"dossier": {"replica": 3}}},
        "at '/services/dossier': additional properties 'replica' not allowed",
    ),
    "an unknown service": (
        {"services": {"postman": {}}},
        "at '/services': additional properties 'postman' not allowed",
    ),
    "no replicas": ({"defaults": {"replicas": 0}}, "at '/defaults/replicas': minimum: got 0, want 1"),
    "a number as text": ({"defaults": {"replicas": "2"}}, "at '/defaults/replicas': got string, want integer"),
    "an unknown callee": (
        {"services": {"status": {"calls": ["identity", "x"]}}},
        "at '/services/status/calls/1': value must be one of 'identity'",
    ),
    "a service without identity": ({"defaults": {"calls": []}}, "at '/defaults/calls'"),
    "a setting of nobody": (
        {"defaults": {"env": {"PATH": "/"}}},
        "at '/defaults/env': additional properties 'PATH' not allowed",
    ),
    "a secret as a setting": (
        {"services": {"dossier": {"env": {"MOTCUA_DATABASE": "x"}}}},
        "at '/services/dossier/env/MOTCUA_DATABASE': false schema",
    ),
    "an address as a setting": (
        {"defaults": {"env": {"MOTCUA_DOSSIER_ADDRESS": "x:1"}}},
        "at '/defaults/env/MOTCUA_DOSSIER_ADDRESS': false schema",
    ),
    "a password in the event store's address": (
        {"eventStore": {"url": "esdb://admin:changeit@store:2113"}},
        "at '/eventStore/url'",
    ),
    "another event store": ({"eventStore": {"url": "sqlite:///store.db"}}, "at '/eventStore/url'"),
    "a folder without a claim": ({"blobs": {"url": "file:///var/lib/motcua/blobs"}}, "at '/blobs/claim'"),
    "a claim that nothing uses": ({"blobs": {"claim": "blobs"}}, "at '/blobs/claim'"),
    "a cut-over without an address": ({"submission": {"address": ""}}, "at '/submission/address'"),
    "an address without a cut-over": ({"submission": {"cutover": ""}}, "at '/submission/address'"),
    "a date that is none": ({"submission": {"cutover": "2025-13-01"}}, "at '/submission/cutover'"),
    "a sandbox for ever": ({"sandbox": {"enabled": True}}, "at '/sandbox/until'"),
    "a wrong pull policy": ({"image": {"pullPolicy": "Sometimes"}}, "at '/image/pullPolicy': value must be one of"),
    "an edge without configuration": ({"edge": {"configMap": ""}}, "at '/edge/configMap'"),
    "a wrong kind of service": (
        {"edge": {"service": {"type": "Public"}}},
        "at '/edge/service/type': value must be one of 'ClusterIP', 'NodePort', 'LoadBalancer'",
    ),
    "a quantity without a unit": (
        {"edge": {"resources": {"limits": {"memory": "96"}}}},
        "at '/edge/resources/limits/memory': '96' does not match pattern",
    ),
    "client certificates without TLS": (
        {"edge": {"clientAuthoritySecret": "systems"}},
        "at '/edge/clientAuthoritySecret': value must be ''",
    ),
    "least more than most": (
        {"services": {"dossier": {"autoscaling": {"enabled": True, "min": 9, "max": 3}}}},
        "dossier: autoscaling.min (9) is more than autoscaling.max (3)",
    ),
}


@pytest.mark.parametrize("name", PROFILES)
def test_helm_lints_the_profile_strictly(name: str) -> None:
    lint = run("lint", "--strict", str(CHART), "--values", str(profile(name)))
    assert lint.returncode == 0, lint.stdout + lint.stderr


def test_the_chart_alone_asks_for_site_and_host() -> None:
    rendered = run("template", "motcua", str(CHART))
    assert rendered.returncode == 1
    assert "missing properties 'site', 'host'" in rendered.stderr


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_value_is_refused_by_name(case: str) -> None:
    values, message = REFUSED[case]
    rendered = template("province", values)
    assert rendered.returncode == 1
    assert message in rendered.stderr


def test_a_release_name_too_long_is_refused() -> None:
    rendered = template("province", {}, release="m" * 53)
    assert rendered.returncode == 1
    assert "the release's name is too long" in rendered.stderr


def test_the_profiles_differ_only_in_what_differs_between_a_province_and_the_nation() -> None:
    keys = {key for name in PROFILES for key in yaml.safe_load(profile(name).read_text())}
    assert keys == {"site", "host", "blobs", "submission", "defaults", "services", "edge"}


def test_every_value_is_explained_by_the_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(schema["properties"]) - {"global"} == {*values, "site", "host"}
    assert tuple(values["services"]) == SERVICES == tuple(schema["properties"]["services"]["properties"])


def test_every_object_of_the_schema_is_closed() -> None:
    free = {"/properties/global", "/$defs/peers/items/properties/"}  # Helm's own; Kubernetes' own selectors

    def walk(node: object, path: str) -> list[str]:
        if isinstance(node, list):
            return [p for i, n in enumerate(node) for p in walk(n, f"{path}/{i}")]
        if not isinstance(node, dict):
            return []
        here = [path] if node.get("type") == "object" and "additionalProperties" not in node else []
        return here + [p for key, n in node.items() for p in walk(n, f"{path}/{key}")]

    open_objects = walk(json.loads((CHART / "values.schema.json").read_text()), "")
    assert [p for p in open_objects if not any(p.startswith(f) for f in free)] == []


def test_a_changed_setting_rolls_every_service_and_a_changed_edge_only_the_edge() -> None:
    def checksums(values: Object) -> dict[str, str]:
        objects = render("province", {"edge": {"config": "a: 1"}, **values})
        found = {}
        for component in (*SERVICES, "edge"):
            annotations = one(objects, "Deployment", component)["spec"]["template"]["metadata"]["annotations"]
            (found[component],) = annotations.values()
        return found

    def changed(values: Object) -> set[str]:
        return {c for c, checksum in checksums(values).items() if checksum != before[c]}

    before = checksums({})
    assert all(re.fullmatch("[a-f0-9]{64}", checksum) for checksum in before.values())
    assert changed({"host": "other.example"}) == set(SERVICES)
    assert changed({"edge": {"config": "a: 2"}}) == {"edge"}


def notes(name: str, values: Object) -> str:
    install = run(
        "install", "motcua", str(CHART), "--dry-run=client", "--values", str(profile(name)), values=values
    )  # fmt: skip
    assert install.returncode == 0, install.stderr
    return install.stdout.partition("NOTES:\n")[2]


def test_the_notes_say_what_must_be_there() -> None:
    said = notes("province", {})
    assert "Motcua 0.1.0, site vn-56, https://motcua.khanhhoa.example" in said
    needed = "Secret motcua: database-<service> for each of {}; service-secret; master-key; ledger-key; witness-key; event-store\n"
    assert needed.format(", ".join(sorted(SERVICES))) in said
    assert "ConfigMap motcua-edge: envoy.yaml" in said
    assert "sandbox" not in said


def test_the_notes_warn() -> None:
    said = notes("province", {**EVERYTHING, "submission": {"cutover": "", "address": ""}})
    assert "Citizens can submit here" in said
    assert "a sandbox until 2027-12-31" in said
    assert "event-store" not in said
    assert "ConfigMap" not in said
