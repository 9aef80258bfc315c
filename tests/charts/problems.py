"""What the schemas of Kubernetes do not see."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from tests.charts.chart import Object

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?")
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
HANDLERS = {"exec", "grpc", "httpGet", "tcpSocket"}
LOCKED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
VOLUMES = {"ConfigMap", "Secret", "PersistentVolumeClaim"}


def problems(objects: list[Object]) -> list[str]:
    return [*duplicates(objects), *(problem for o in objects for problem in (*names(o), *of_kind(o, objects)))]


def duplicates(objects: list[Object]) -> Iterator[str]:
    """Also across ConfigMap, Secret and claim: some players of manifests keep them as volumes under one name."""
    seen = Counter(("volume" if o["kind"] in VOLUMES else o["kind"], o["metadata"]["name"]) for o in objects)
    yield from (f"{kind} {name} is there {count} times" for (kind, name), count in seen.items() if count > 1)


def names(o: Object) -> Iterator[str]:
    name, kind = o["metadata"]["name"], o["kind"]
    legal, longest = (LABEL, 63) if kind in {"Service", "Deployment"} else (SUBDOMAIN, 253)
    if not legal.fullmatch(name) or len(name) > longest:
        yield f"{kind} {name}: illegal name"
    for key, value in o["metadata"]["labels"].items():
        if not LABEL_VALUE.fullmatch(value) or len(value) > 63:
            yield f"{kind} {name}: illegal label {key}={value}"


def of_kind(o: Object, objects: list[Object]) -> Iterator[str]:
    match o["kind"]:
        case "Deployment":
            yield from deployment(o)
        case "Service":
            yield from service(o, objects)
        case "PodDisruptionBudget":
            yield from selected(o, o["spec"]["selector"]["matchLabels"], objects)
        case "NetworkPolicy":
            yield from selected(o, o["spec"]["podSelector"]["matchLabels"], objects)
            for rule in o["spec"]["ingress"]:
                for peer in rule.get("from", []):
                    if set(peer) == {"podSelector"}:
                        yield from selected(o, peer["podSelector"]["matchLabels"], objects)
        case "HorizontalPodAutoscaler":
            target, spec = o["spec"]["scaleTargetRef"], o["spec"]
            scaled = [d for d in objects if (d["kind"], d["metadata"]["name"]) == (target["kind"], target["name"])]
            if len(scaled) != 1 or "replicas" in scaled[0]["spec"]:
                yield f"{where(o)}: scales nothing, or what has fixed replicas"
            if spec["minReplicas"] > spec["maxReplicas"]:
                yield f"{where(o)}: least more than most"


def where(o: Object) -> str:
    return f"{o['kind']} {o['metadata']['name']}"


def pods(labels: dict[str, str], objects: list[Object]) -> list[Object]:
    templates = [o["spec"]["template"] for o in objects if o["kind"] == "Deployment"]
    return [t for t in templates if labels.items() <= t["metadata"]["labels"].items()]


def selected(o: Object, labels: dict[str, str], objects: list[Object]) -> Iterator[str]:
    if (count := len(pods(labels, objects))) != 1:
        yield f"{where(o)}: selects the pods of {count} deployments"


def service(o: Object, objects: list[Object]) -> Iterator[str]:
    yield from selected(o, o["spec"]["selector"], objects)
    open_ports = {p["containerPort"] for t in pods(o["spec"]["selector"], objects)
                  for c in t["spec"]["containers"] for p in c["ports"]}  # fmt: skip
    for port in o["spec"]["ports"]:
        if port["targetPort"] not in open_ports:
            yield f"{where(o)}: no container listens on {port['targetPort']}"
        if o["spec"].get("clusterIP") == "None" and port["port"] != port["targetPort"]:
            yield f"{where(o)}: headless, so port {port['port']} must be {port['targetPort']}"
        yield from port_range(o, port["port"])


def port_range(o: Object, port: int) -> Iterator[str]:
    if not 0 < port < 65536:
        yield f"{where(o)}: port {port} is out of range"


def deployment(o: Object) -> Iterator[str]:
    template = o["spec"]["template"]
    if not o["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items():
        yield f"{where(o)}: the selector is not in the template's labels"
    volumes = Counter(v["name"] for v in template["spec"]["volumes"])
    for c in template["spec"]["containers"]:
        yield from container(o, c, template["spec"])
        mounts = Counter(m["name"] for m in c["volumeMounts"])
        if volumes != mounts:
            yield f"{where(o)}: volumes {sorted(volumes)} but mounts {sorted(mounts)}"


def container(o: Object, c: Object, pod: Object) -> Iterator[str]:
    if c["imagePullPolicy"] not in {"Always", "IfNotPresent", "Never"}:
        yield f"{where(o)}: imagePullPolicy {c['imagePullPolicy']}"
    if not re.fullmatch(r"[a-z0-9][a-z0-9._/:-]*(:[\w.-]+|@sha256:[a-f0-9]{64})", c["image"]):
        yield f"{where(o)}: image {c['image']}"
    ports = {p["name"]: p["containerPort"] for p in c["ports"]}
    for port in ports.values():
        yield from port_range(o, port)
    for probe in PROBES:
        handlers = HANDLERS & set(c.get(probe, {}))
        if len(handlers) != 1:
            yield f"{where(o)}: {probe} has {len(handlers)} handlers"
        for handler in handlers - {"exec"}:
            if (port := c[probe][handler]["port"]) not in {*ports, *ports.values()}:
                yield f"{where(o)}: {probe} asks port {port}, which is not open"
    drain = c["lifecycle"]["preStop"]["sleep"]["seconds"]
    if drain >= pod["terminationGracePeriodSeconds"]:
        yield f"{where(o)}: the drain of {drain} s uses up the grace period"
    yield from restricted(o, c, pod)


def restricted(o: Object, c: Object, pod: Object) -> Iterator[str]:
    """The "restricted" Pod Security Standard, and a read-only root."""
    mine, whole = c["securityContext"], pod["securityContext"]
    kept = (
        whole["runAsNonRoot"] is True
        and whole["runAsUser"] > 0
        and whole["seccompProfile"] == {"type": "RuntimeDefault"}
        and mine == {**LOCKED, "capabilities": {"drop": ["ALL"]}}
        and not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        and all({"emptyDir", "configMap", "secret", "persistentVolumeClaim"} & set(v) for v in pod["volumes"])
        and pod["automountServiceAccountToken"] is False
    )
    if not kept:
        yield f"{where(o)}: not restricted"
