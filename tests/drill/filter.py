"""From what `helm template` renders to what `podman kube play` 4.3 understands.

It takes nothing away that it could apply: limits, read-only roots, users, dropped capabilities, mounts and variables reach the
containers as the chart says them. What podman has no notion of is left to the drill: it starts one pod for each Deployment, runs
the hooks in Helm's order, and asks the probes as the kubelet would. NetworkPolicies, disruption budgets, autoscalers, accounts,
roll-outs and spreading are not exercised.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]

HOOK = "helm.sh/hook"
WEIGHT = "helm.sh/hook-weight"
# Nothing in podman corresponds to them.
LEFT_OUT = frozenset(
    {
        "Certificate",
        "HorizontalPodAutoscaler",
        "Issuer",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
    }
)
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


class NotPlayable(ValueError):
    """The chart has something that neither podman nor this filter knows."""


@dataclass(frozen=True)
class Pod:
    """One pod: what podman is given, and what it would do wrong."""

    name: str
    spec: Object
    probes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Those of its only container that serves."""

    @property
    def containers(self) -> list[str]:
        """As podman names them."""
        return [f"{self.name}-{container['name']}" for container in self.spec["containers"]]

    def documents(self, config_maps: Sequence[Object]) -> list[Object]:
        # A ConfigMap must stand in the same file as the pod that refers to it.
        metadata = {"name": self.name, "labels": {"app": self.name}}
        return [*config_maps, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": self.spec}]


@dataclass(frozen=True)
class Rendered:
    config_maps: list[Object]
    deployments: list[Pod]
    hooks: dict[str, list[Pod]]
    """By the hook's name, in their order."""
    scheduled: dict[str, Pod]
    """What a CronJob starts, by its name; nothing starts it here by itself."""


def rendered(objects: Sequence[Object], secrets: Mapping[str, Mapping[str, str]]) -> Rendered:
    """Raises NotPlayable."""
    found = Rendered([], [], {}, {})
    for one in sorted(objects, key=_weight):
        kind, name = one["kind"], one["metadata"]["name"]
        if kind == "ConfigMap":
            found.config_maps.append(_bare(one))
        elif kind == "Deployment":
            found.deployments.append(_pod(name, one["spec"]["template"]["spec"], secrets))
        elif kind == "CronJob":
            found.scheduled[name] = _pod(name, one["spec"]["jobTemplate"]["spec"]["template"]["spec"], secrets)
        elif kind in ("Job", "Pod"):
            spec = one["spec"]["template"]["spec"] if kind == "Job" else one["spec"]
            for hook in one["metadata"]["annotations"][HOOK].split(","):
                found.hooks.setdefault(hook, []).append(_pod(name, spec, secrets))
        elif kind not in LEFT_OUT:
            raise NotPlayable(f"{kind} {name}: say in the drill's filter what becomes of it")
    found.config_maps.extend(_mounted(secrets))
    return found


def _weight(one: Object) -> int:
    return int(one["metadata"].get("annotations", {}).get(WEIGHT, 0))


def _bare(config_map: Object) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": config_map["metadata"]["name"]}} | {
        "data": config_map["data"]
    }


def _mounted(secrets: Mapping[str, Mapping[str, str]]) -> Iterator[Object]:
    """podman mounts a Secret's base64 text as it is; a ConfigMap's text arrives as written."""
    for name, values in secrets.items():
        yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": _as_config(name)}, "data": dict(values)}


def _as_config(secret: str) -> str:
    # Volumes of a ConfigMap, a Secret and a claim of one name would be one volume.
    return f"{secret}-mounted-secret"


def _pod(name: str, given: Object, secrets: Mapping[str, Mapping[str, str]]) -> Pod:
    spec = copy.deepcopy(given)
    spec["volumes"] = [_volume(name, volume, secrets) for volume in spec.get("volumes", [])]
    names = {old["name"]: new["name"] for old, new in zip(given.get("volumes", []), spec["volumes"], strict=True)}
    probes: Mapping[str, Mapping[str, Any]] = {}
    for container in (*spec.get("initContainers", []), *spec["containers"]):
        for mount in container.get("volumeMounts", []):
            mount["name"] = names[mount["name"]]
        for variable in container.get("env", []):
            if "fieldRef" in variable.get("valueFrom", {}):
                raise NotPlayable(f"{name}: podman refuses fieldRef ({variable['name']})")
        # podman would run `curl` inside the container, which has none, and kill it.
        probes = {probe: _probe(container, container.pop(probe)) for probe in PROBES if probe in container} or probes
        # podman would publish each on the same port of this machine, where the next pod's cannot be published any more.
        container.pop("ports", None)
    if spec.get("initContainers"):
        # With any other policy podman 4.3 waits for ever, or runs them again.
        spec["restartPolicy"] = "OnFailure"
    return Pod(name, spec, probes)


def _volume(pod: str, volume: Object, secrets: Mapping[str, Mapping[str, str]]) -> Object:
    if "emptyDir" in volume:
        # podman names the volume of an emptyDir by it alone: all pods would share one.
        return volume | {"name": f"{pod}-{volume['name']}"}
    if "secret" in volume:
        name = volume["secret"]["secretName"]
        if name not in secrets:
            raise NotPlayable(f"{pod} mounts the Secret {name}, which the drill does not make")
        return {"name": volume["name"], "configMap": {"name": _as_config(name)}}
    return volume


def _probe(container: Object, probe: Object) -> Object:
    """With the number of a named port."""
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for handler in ("httpGet", "grpc", "tcpSocket"):
        if handler in probe:
            port = probe[handler]["port"]
            return probe | {handler: probe[handler] | {"port": ports.get(port, port)}}
    raise NotPlayable(f"{container['name']}: a probe that the drill cannot ask")
