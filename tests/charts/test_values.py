"""Values: both profiles pass, and a bad value is refused by a message that names it."""

from __future__ import annotations

import functools
import json
import re

import pytest
import yaml

from services.registry import SERVICES
from tests.charts.chart import (
    CHART,
    PROFILES,
    VARIANTS,
    Object,
    containers,
    of_kind,
    one,
    profile,
    render,
    run,
    template,
    variant,
)
from tests.charts.problems import external

SANDBOX: Object = {"sandbox": {"enabled": True, "until": "2027-12-31"}}
REFUSED: dict[str, tuple[Object, str]] = {
    "a site that is no site": ({"site": "vn-khanhhoa"}, "at '/site': 'vn-khanhhoa' does not match pattern"),
    "a host with a scheme": ({"host": "https://a.vn"}, "at '/host': 'https://a.vn' does not match pattern"),
    "an address with a path": ({"publicUrl": "https://a.vn/x"}, "at '/publicUrl'"),
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
    "a setting of nobody": (
        {"defaults": {"env": {"PATH": "/"}}},
        "at '/defaults/env': additional properties 'PATH' not allowed",
    ),
    "a setting that has a value of its own": (
        {"services": {"dossier": {"env": {"MOTCUA_DATABASE": "x"}}}},
        "at '/services/dossier/env': additional properties 'MOTCUA_DATABASE' not allowed",
    ),
    "a level of logs that is none": (
        {"telemetry": {"logLevel": "debug"}},
        "at '/telemetry/logLevel': value must be one of 'DEBUG', 'INFO', 'WARNING', 'ERROR'",
    ),
    "more than all traces": ({"telemetry": {"sampled": 2}}, "at '/telemetry/sampled': maximum: got 2, want 1"),
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
    "a province of three digits": ({"sandbox": {"province": "056"}}, "at '/sandbox/province'"),
    "a trial's store outside of a trial": (
        {"trial": {"postgresql": {"enabled": True}}},
        "at '/trial/postgresql/enabled': value must be false",
    ),
    "a wrong pull policy": ({"image": {"pullPolicy": "Sometimes"}}, "at '/image/pullPolicy': value must be one of"),
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
    "calls of the edge as a metric": ({"edge": {"autoscaling": {"inFlight": 5}}}, "at '/edge/autoscaling/inFlight'"),
    "a label of the chart's own": (
        {"pod": {"labels": {"app.kubernetes.io/component": "x"}}},
        "at '/pod/labels/app.kubernetes.io~1component': false schema",
    ),
    "external secrets from nowhere": ({"secret": {"external": {"enabled": True}}}, "at '/secret/external/entry'"),
    "a duration without a unit": ({"mutualTls": {"duration": "168"}}, "at '/mutualTls/duration'"),
    "a backup to nowhere": ({"backup": {"url": ""}}, "at '/backup/url': minLength: got 0, want 1"),
    "a schedule that is none": ({"backup": {"schedule": "at night"}}, "at '/backup/schedule'"),
    "a gateway of nobody": ({"gateway": {"enabled": True}}, "at '/gateway/parentRefs': minItems: got 0, want 1"),
    "a witness without a key": (
        {"ledger": {"witnesses": [{"url": "https://a.vn"}]}},
        "at '/ledger/witnesses/0': missing property 'key'",
    ),
    "a port that is none": (
        {"networkPolicy": {"egress": {"smtp": {"ports": [70000]}}}},
        "at '/networkPolicy/egress/smtp/ports/0': maximum: got 70,000, want 65,535",
    ),
    "mail from nobody": ({"mail": {"from": "Một cửa"}}, "at '/mail/from'"),
    "a personal number without its zeros": (
        {"firstAdministrator": {"personalNumber": 6174016156, "decisionNumber": "12"}},
        "at '/firstAdministrator/personalNumber': minimum: got 6.174016156×10⁰⁹, want 1×10¹⁰",
    ),
    "an administrator without a decision": (
        {"firstAdministrator": {"personalNumber": "056090001234"}},
        "firstAdministrator.decisionNumber is empty: an appointment names the decision",
    ),
    "a tag with a fraction": ({"image": {"tag": 1.1}}, "at '/image/tag': got number, want integer or string"),
    "an image for all services but not all": (
        {"defaults": {"image": {"tag": "1"}}},
        "at '/defaults/image': false schema",
    ),
    "a claim of a trial that nobody named": (
        {**SANDBOX, "trial": {"blobs": {"enabled": True}}},
        "trial.blobs.enabled makes the claim blobs.claim: set it",
    ),
    "least more than most": (
        {"services": {"dossier": {"autoscaling": {"enabled": True, "min": 9, "max": 3}}}},
        "dossier: autoscaling.min (9) is more than autoscaling.max (3)",
    ),
    "an ingress that hides who calls": ({"ingress": {"enabled": True}}, "edge.trustedHops is 0 behind a gateway"),
    "two ways in": (
        {
            "ingress": {"enabled": True},
            "gateway": {"enabled": True, "parentRefs": [{"name": "a"}]},
            "edge": {"trustedHops": 1},
        },
        "ingress.enabled and gateway.enabled: choose one",
    ),
    "TLS that the edge does not speak": (
        {"gateway": {"enabled": True, "passthrough": True, "parentRefs": [{"name": "a"}]}},
        "set edge.tlsSecret",
    ),
    "two authorities": (
        {"mutualTls": {"enabled": True, "ownAuthority": True, "issuer": {"name": "site"}}},
        "mutualTls.ownAuthority and mutualTls.issuer.name: choose one",
    ),
    "a certificate without a Secret": ({"edge": {"issuer": {"name": "a"}}}, "edge.issuer fills edge.tlsSecret"),
    "two event stores": (
        {**SANDBOX, "trial": {"kurrentdb": {"enabled": True}}, "eventStore": {"url": "esdb://store:2113"}},
        "trial.kurrentdb.enabled and eventStore.url: choose one",
    ),
    "a payment provider that nobody plays": (
        {**SANDBOX, "sandbox": {**SANDBOX["sandbox"], "plays": ["vneid"]}, "vnpay": {"apiUrl": ""}},
        "vnpay.apiUrl is empty: give the national system's address",
    ),
    "a backup that lies where the original lies": (
        {"backup": {"url": "s3://motcua-vn-56/"}, "blobs": {"url": "s3://motcua-vn-56"}},
        "backup.url is blobs.url",
    ),
    "no identity provider": ({"vneid": {"url": ""}}, "vneid.url is empty: give the national system's address"),
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
    national = {"vneid", "population", "vnpay"}
    assert keys == {"site", "host", "blobs", "backup", "submission", "defaults", "services", "edge", *national}
    province, nation = (yaml.safe_load(profile(name).read_text()) for name in PROFILES)
    assert {name for name in national if province[name] != nation[name]} == set()


def leaves(node: object, path: str = "") -> set[str]:
    if not isinstance(node, dict) or not node:
        return {path}
    return {leaf for key, value in node.items() for leaf in leaves(value, f"{path}/{key}")}


def test_every_value_is_explained_by_the_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(schema["properties"]) - {"global"} == {*values, "site", "host"}
    assert set(schema["required"]) == {*values, "site", "host"}
    assert set(values["services"]) == set(SERVICES) == set(schema["properties"]["services"]["properties"])


def test_every_value_is_read() -> None:
    templates = "\n".join(path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    unread = {leaf for leaf in leaves(values) if leaf.rpartition("/")[2] not in templates}
    # Handed on whole.
    whole = ("/services/", "/resources/", "/networkPolicy/egress/", "/monitoring/")
    assert {leaf for leaf in unread if not any(part in f"{leaf}/" for part in whole)} == set()


def test_every_object_of_the_schema_is_closed() -> None:
    # Helm's own; Kubernetes' own selectors and affinities.
    free = {"/properties/global", "/$defs/peers/items/properties/", "/$defs/pod/properties/affinity/properties/"}

    def walk(node: object, path: str) -> list[str]:
        if isinstance(node, list):
            return [p for i, n in enumerate(node) for p in walk(n, f"{path}/{i}")]
        if not isinstance(node, dict):
            return []
        here = [path] if node.get("type") == "object" and "additionalProperties" not in node else []
        return here + [p for key, n in node.items() for p in walk(n, f"{path}/{key}")]

    open_objects = walk(json.loads((CHART / "values.schema.json").read_text()), "")
    assert [p for p in open_objects if not any(p.startswith(f) for f in free)] == []


def checksums(values: Object) -> dict[str, str]:
    objects = render("province", values)
    templates = {part: one(objects, "Deployment", part)["spec"]["template"] for part in (*SERVICES, "edge")}
    return {part: template["metadata"]["annotations"]["checksum/config"] for part, template in templates.items()}


def test_a_changed_setting_rolls_every_service_and_a_changed_edge_only_the_edge() -> None:
    def changed(values: Object) -> set[str]:
        return {part for part, checksum in checksums(values).items() if checksum != before[part]}

    before = checksums({})
    assert all(re.fullmatch("[a-f0-9]{64}", checksum) for checksum in before.values())
    assert changed({"host": "other.example"}) == set(SERVICES)
    assert changed({"edge": {"rate": 70}}) == {"edge"}


def test_a_changed_secret_rolls_those_who_read_it() -> None:
    for part in (*SERVICES, "edge"):
        annotations = one(variant("everything"), "Deployment", part)["spec"]["template"]["metadata"]["annotations"]
        assert ("motcua/secret-revision" in annotations) == (part != "edge")


@functools.cache
def variant_notes(name: str) -> str:
    return notes(*VARIANTS[name])


def notes(name: str, values: Object) -> str:
    install = run(
        "install", "motcua", str(CHART), "--namespace", "site", "--dry-run=client", "--values", str(profile(name)),
        values=values,
    )  # fmt: skip
    assert install.returncode == 0, install.stderr
    return install.stdout.partition("NOTES:\n")[2]


def test_the_notes_say_what_must_be_there_and_what_comes_next() -> None:
    said = notes("province", {})
    assert "Motcua 0.1.0, site vn-56, https://motcua.khanhhoa.example" in said
    (keys,) = re.findall("  Secret motcua: (.*)", said)
    assert keys.split(", ") == sorted(
        [
            *(f"database-{service}" for service in (*SERVICES, "backup")),
            *("event-store", "ledger-key", "master-key", "population-secret", "qr-key", "service-secret"),
            *("vneid-client-secret", "vnpay-secret", "witness-key"),
        ]
    )
    assert "helm test motcua --namespace site" in said
    assert "--set 'catalogue.configMaps={<name>}'" in said
    assert "Nothing leads to the edge from outside" in said
    assert "--agency" not in said
    assert "--agency <its code>" in notes("national", {})
    assert "vneid.url is the profile's example, https://vneid.example" in said
    assert "the profile's example" not in notes("province", {**SANDBOX})
    assert "Nothing is backed up" in notes("province", {"backup": {"enabled": False}})
    assert "sandbox" not in said


@pytest.mark.parametrize("name", VARIANTS)
def test_the_notes_name_all_that_is_not_made(name: str) -> None:
    said = variant_notes(name)
    objects = variant(name)
    for kind, needed in sorted(external(objects)):
        part = re.fullmatch("motcua-(.*)-certificate", needed)
        if part:
            assert "Secrets motcua-<part>-certificate" in said
            assert re.search(rf"for .*\b{part[1]}\b", said)
        else:
            assert f"{kind} {needed}" in said, f"{kind} {needed}"


def test_the_notes_list_the_keys_that_pods_read() -> None:
    for name in VARIANTS:
        read = {
            variable["valueFrom"]["secretKeyRef"]["key"]
            for o in variant(name)
            for c in containers(o)
            for variable in c.get("env", ())
            if "valueFrom" in variable and variable["valueFrom"]["secretKeyRef"]["name"] == "motcua"
        }
        if name == "everything":
            (external_secret,) = of_kind(variant(name), "ExternalSecret").values()
            assert {entry["secretKey"] for entry in external_secret["spec"]["data"]} == read
        else:
            (keys,) = re.findall("  Secret motcua: (.*)", variant_notes(name))
            assert set(keys.split(", ")) == read


def test_the_notes_warn() -> None:
    assert "Citizens can submit here" in notes("province", {"submission": {"cutover": "", "address": ""}})
    trial = variant_notes("trial")
    assert "a sandbox until 2027-12-31" in trial
    assert "single servers of the trial" in trial
    assert "edge.service.type" not in trial, "a trial refuses it"
    assert "event-store" not in trial
    assert "mutualTls.enabled is false" in trial
    assert "mutualTls.enabled is false" not in variant_notes("everything")
