from __future__ import annotations

from typing import Any

import pytest

from tests.drill.filter import NotPlayable, Rendered, rendered


def deployment(name: str, **container: Any) -> dict[str, Any]:
    """As the chart's, with one container."""
    whole = {
        "name": name,
        "ports": [{"name": "http", "containerPort": 8081}],
        "livenessProbe": {"httpGet": {"path": "/livez", "port": "http"}},
        "securityContext": {"readOnlyRootFilesystem": True},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "certificate", "mountPath": "/tls"}],
    } | container
    volumes = [{"name": "tmp", "emptyDir": {}}, {"name": "certificate", "secret": {"secretName": "pair"}}]
    spec = {"containers": [whole], "volumes": volumes, "securityContext": {"runAsUser": 10001}}
    return {"kind": "Deployment", "metadata": {"name": name}, "spec": {"template": {"spec": spec}}}


def play(*objects: dict[str, Any]) -> Rendered:
    return rendered(objects, {"pair": {"tls.crt": "a certificate"}})


def test_what_podman_would_share_or_publish_is_each_pods_own() -> None:
    one, other = play(deployment("one"), deployment("other")).deployments
    assert [volume["name"] for volume in one.spec["volumes"]] == ["one-tmp", "certificate"]
    assert [volume["name"] for volume in other.spec["volumes"]] == ["other-tmp", "certificate"]
    assert one.spec["containers"][0]["volumeMounts"][0] == {"name": "one-tmp", "mountPath": "/tmp"}
    assert "ports" not in one.spec["containers"][0]


def test_a_mounted_secret_is_text() -> None:
    found = play(deployment("one"))
    [config_map] = found.config_maps
    assert config_map["data"] == {"tls.crt": "a certificate"}
    assert found.deployments[0].spec["volumes"][1]["configMap"] == {"name": config_map["metadata"]["name"]}


def test_probes_are_the_drills_to_ask_and_confinement_is_podmans() -> None:
    [pod] = play(deployment("one")).deployments
    assert pod.probes == {"livenessProbe": {"httpGet": {"path": "/livez", "port": 8081}}}
    assert pod.spec["containers"][0]["securityContext"] == {"readOnlyRootFilesystem": True}
    assert pod.spec["securityContext"] == {"runAsUser": 10001}


def test_hooks_are_in_helms_order() -> None:
    def job(name: str, weight: str) -> dict[str, Any]:
        annotations = {"helm.sh/hook": "pre-install,pre-upgrade", "helm.sh/hook-weight": weight}
        metadata = {"name": name, "annotations": annotations}
        return {"kind": "Job", "metadata": metadata, "spec": deployment(name)["spec"]}

    hooks = play(job("second", "5"), job("first", "-5")).hooks
    assert {hook: [pod.name for pod in pods] for hook, pods in hooks.items()} == {
        "pre-install": ["first", "second"],
        "pre-upgrade": ["first", "second"],
    }


@pytest.mark.parametrize(
    "unknown",
    [
        {"kind": "StatefulSet", "metadata": {"name": "one"}},
        deployment("one", env=[{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]),
        deployment("one", livenessProbe={"exec": {"command": ["true"]}}),
    ],
    ids=["kind", "field", "probe"],
)
def test_nothing_is_left_out_in_silence(unknown: dict[str, Any]) -> None:
    with pytest.raises(NotPlayable, match="one"):
        play(unknown)
