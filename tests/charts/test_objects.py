"""Every rendered object is one that a cluster takes."""

from __future__ import annotations

import copy
import functools
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import jsonschema_rs
import pytest

from services.registry import SERVICES
from tests.charts.chart import CHART, ROOT, VARIANTS, Object, container, one, variant
from tests.charts.problems import problems

KUBERNETES = ("1.30", "1.37")  # the oldest that Chart.yaml allows, the newest known
CUSTOM = {
    tuple(path.stem.rsplit("_", 1)): jsonschema_rs.validator_for(json.loads(path.read_text()))
    for path in (ROOT / "tests" / "charts" / "schemas").glob("*.json")
}


def custom(o: Object) -> jsonschema_rs.Validator | None:
    return CUSTOM.get((o["apiVersion"].replace("/", "_"), o["kind"]))


def every() -> list[Object]:
    """Of all variants, each once."""
    return list({json.dumps(o, sort_keys=True): o for name in VARIANTS for o in variant(name)}.values())


@pytest.fixture(scope="module")
def kubernetes() -> Any:
    """The validator. It takes seconds to load, and its schemas are large: once, where they are used."""
    import kubernetes_validate

    utils = kubernetes_validate.utils
    utils.schema_contents = functools.cache(getattr(utils.schema_contents, "__wrapped__", utils.schema_contents))
    return kubernetes_validate


@pytest.mark.parametrize("name", VARIANTS)
def test_the_objects_are_counted(name: str) -> None:
    serving, jobs = [*SERVICES, "edge"], ["migrate"]
    trial, full = "trial" in name, name == "everything"
    backups = 0 if trial else {"passthrough": 0, "otherwise": 1}.get(name, 2)
    servers = ["postgresql", "kurrentdb"] if name == "trial" else []
    if trial:
        serving.append("sandbox")
    if full:
        jobs += ["catalogue-load", "appoint"]
    if name == "otherwise":
        jobs.remove("migrate")
    open_networks = name == "otherwise"
    expected = {
        "ServiceAccount": len(serving) + len(servers) + 1 + (backups > 0),
        "PodDisruptionBudget": len(SERVICES) + 1,
        "Service": len(serving) + len(servers),
        "Deployment": len(serving),
        "StatefulSet": len(servers),
        "Job": len(jobs) + 1,  # what must be there is looked at without a network
        "Pod": 1,
        "Secret": int(full),
        "PersistentVolumeClaim": int(name == "trial"),
        "CronJob": backups,
        "ConfigMap": 2 + full * len(list((CHART / "dashboards").glob("*.json"))),
        "NetworkPolicy": 0 if open_networks else 1 + len(serving) + len(servers) + len(jobs) + 1 + backups,
        "HorizontalPodAutoscaler": len(SERVICES) + 1,
        "ExternalSecret": int(full),
        "Issuer": 2 * full,
        "Certificate": {"everything": len(serving) + 2, "otherwise": len(serving)}.get(name, 0),
        "HTTPRoute": int(full),
        "GRPCRoute": int(full),
        "BackendTLSPolicy": int(full),
        "TLSRoute": int(name == "passthrough"),
        "Ingress": int(name == "otherwise"),
    }
    watching = {"ServiceMonitor", "PodMonitor", "PrometheusRule"}
    found = Counter(o["kind"] for o in variant(name) if o["kind"] not in watching)
    assert found == {kind: count for kind, count in expected.items() if count}


@pytest.mark.parametrize("release", KUBERNETES)
def test_kubernetes_takes_every_object(kubernetes: Any, release: str) -> None:
    for o in every():
        if not custom(o):
            kubernetes.validate(o, release, strict=True)  # raises on an unknown kind too


def test_an_unknown_kind_is_an_error(kubernetes: Any) -> None:
    with pytest.raises(kubernetes.SchemaNotFoundError):
        kubernetes.validate({"apiVersion": "policy/v1beta1", "kind": "PodSecurityPolicy"}, "1.37", strict=True)


def test_custom_resources_are_what_their_owners_declare() -> None:
    faults = [
        f"{o['kind']} {o['metadata']['name']} at {'/'.join(map(str, error.instance_path))}: {error.message}"
        for o in every()
        if (schema := custom(o))
        for error in schema.iter_errors(o["spec"])
    ]
    assert faults == []
    made = {(o["apiVersion"].replace("/", "_"), o["kind"]) for o in every()}
    assert {kind for kind in CUSTOM if kind[0].startswith("gateway") or kind[0].startswith("cert")} <= made


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("Certificate", {"dnsName": ["x"]}),
        ("Certificate", {"secretName": None}),
        ("HTTPRoute", {"rules": [{"backendRef": []}]}),
        ("ExternalSecret", {"target": {"creationPolicy": "Sometimes"}}),
    ],
)
def test_a_custom_resource_that_is_none_is_noticed(kind: str, spoil: Object) -> None:
    o = next(o for o in variant("everything") if o["kind"] == kind)
    schema = custom(o)
    assert schema
    assert schema.is_valid(o["spec"])
    assert not schema.is_valid({**o["spec"], **spoil})


@pytest.mark.parametrize("name", VARIANTS)
def test_nothing_is_wrong_that_the_schemas_miss(name: str) -> None:
    assert problems(variant(name)) == []


def pod(objects: list[Object], component: str = "dossier") -> Object:
    spec: Object = one(objects, "Deployment", component)["spec"]["template"]["spec"]
    return spec


def labels(objects: list[Object], component: str) -> Object:
    found: Object = one(objects, "NetworkPolicy", component)["spec"]["podSelector"]["matchLabels"]
    return found


BROKEN: dict[str, Callable[[list[Object]], object]] = {
    "the selector is not in the template's labels":
        lambda o: one(o, "Deployment", "dossier")["spec"]["selector"]["matchLabels"].update(extra="1"),
    "Service motcua-dossier: selects the pods of 0 objects":
        lambda o: one(o, "Service", "dossier")["spec"]["selector"].update(extra="1"),
    "illegal name": lambda o: one(o, "Service", "dossier")["metadata"].update(name="Dossier"),
    "illegal label": lambda o: one(o, "Service", "dossier")["metadata"]["labels"].update(note="a b"),
    "is out of range": lambda o: pod(o)["containers"][0]["ports"][0].update(containerPort=70000),
    "no container listens on": lambda o: one(o, "Service", "dossier")["spec"]["ports"][0].update(targetPort=1),
    "headless, so port 1 must be": lambda o: one(o, "Service", "dossier")["spec"]["ports"][0].update(port=1),
    "imagePullPolicy": lambda o: pod(o)["containers"][0].update(imagePullPolicy="Sometimes"),
    "livenessProbe has 0 handlers": lambda o: pod(o)["containers"][0]["livenessProbe"].pop("httpGet"),
    "readinessProbe asks port": lambda o: pod(o, "edge")["containers"][0]["readinessProbe"]["httpGet"].update(port=1),
    "uses up the grace period": lambda o: pod(o).update(terminationGracePeriodSeconds=5),
    "not restricted": lambda o: pod(o)["securityContext"].update(runAsNonRoot=False),
    "but mounts": lambda o: pod(o)["volumes"].append({"name": "idle", "emptyDir": {}}),
    "two volumes of one name": lambda o: pod(o)["volumes"].append({"name": "tmp", "emptyDir": {}}),
    "is there 2 times": lambda o: o.append({**copy.deepcopy(one(o, "ConfigMap", "environment")), "kind": "Secret"}),
    "resources of dossier": lambda o: pod(o)["containers"][0]["resources"].update(limits={}),
    "spreads the pods of others":
        lambda o: pod(o)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"].update(extra="1"),
    "no ServiceAccount other": lambda o: pod(o).update(serviceAccountName="other"),
    "ServiceAccount motcua-jobs is not there yet":
        lambda o: one(o, "ServiceAccount", "jobs")["metadata"].pop("annotations"),
    "Secret motcua is not there yet":
        lambda o: one(o, "ExternalSecret", "secret")["metadata"]["annotations"].update({"helm.sh/hook-weight": "0"}),
    "take its replicas from an autoscaler": lambda o: one(o, "Deployment", "dossier")["spec"].update(replicas=2),
    "no activeDeadlineSeconds": lambda o: one(o, "Job", "migrate")["spec"].pop("activeDeadlineSeconds"),
    "restartPolicy": lambda o: one(o, "Job", "migrate")["spec"]["template"]["spec"].update(restartPolicy="Always"),
    "no Service motcua-edge with port 1":
        lambda o: one(o, "HTTPRoute", "edge")["spec"]["rules"][0]["backendRefs"][0].update(port=1),
    "no Service motcua-edge with name x":
        lambda o: one(o, "BackendTLSPolicy", "edge")["spec"]["targetRefs"][0].update(sectionName="x"),
    "NetworkPolicy motcua-dossier: selects the pods of 0": lambda o: labels(o, "dossier").update(extra="1"),
    "closes nothing": lambda o: labels(o, "closed").update(extra="1"),
    "identity does not listen on 1":
        lambda o: [r["ports"][0].update(port=1) for r in one(o, "NetworkPolicy", "dossier")["spec"]["egress"]],
    "scales nothing": lambda o: one(o, "HorizontalPodAutoscaler", "dossier")["spec"]["scaleTargetRef"].update(name="x"),
    "a part of a CPU that is not requested":
        lambda o: pod(o)["containers"][0]["resources"].update(requests={"memory": "1Mi"}),
}  # fmt: skip


@pytest.mark.parametrize("problem", BROKEN)
def test_a_broken_object_is_noticed(problem: str) -> None:
    objects = copy.deepcopy(variant("everything"))
    BROKEN[problem](objects)
    assert any(problem in found for found in problems(objects)), problems(objects)


def test_the_edge_and_a_service_have_probes_that_mean_something() -> None:
    edge, service = container(variant("province"), "edge"), container(variant("province"), "dossier")
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert edge[probe]["httpGet"] == {"path": "/ready", "port": "stats"}
    assert service["readinessProbe"]["grpc"] == {"port": 50051}
    assert service["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "http"}
    mutual = container(variant("everything"), "dossier")
    assert mutual["readinessProbe"]["httpGet"] == {"path": "/servez", "port": "http", "scheme": "HTTPS"}
    assert mutual["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "http", "scheme": "HTTPS"}
