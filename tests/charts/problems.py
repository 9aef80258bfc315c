"""What the schemas of Kubernetes do not see."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from tests.charts.chart import Object, containers, pod_template

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?")
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
HANDLERS = {"exec", "grpc", "httpGet", "tcpSocket"}
LOCKED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
VOLUMES = {"ConfigMap", "Secret", "PersistentVolumeClaim"}
SERVING = {"Deployment", "StatefulSet"}
HOOK, WEIGHT = "helm.sh/hook", "helm.sh/hook-weight"


def problems(objects: list[Object]) -> list[str]:
    return [*duplicates(objects), *(problem for o in objects for problem in (*names(o), *of_kind(o, objects)))]


def duplicates(objects: list[Object]) -> Iterator[str]:
    """Also across ConfigMap, Secret and claim: some players of manifests keep them as volumes under one name."""
    seen = Counter(("volume" if o["kind"] in VOLUMES else o["kind"], o["metadata"]["name"]) for o in objects)
    yield from (f"{kind} {name} is there {count} times" for (kind, name), count in seen.items() if count > 1)


def names(o: Object) -> Iterator[str]:
    name, kind = o["metadata"]["name"], o["kind"]
    legal, longest = (LABEL, 63) if kind in {"Service", "Job", "CronJob", *SERVING} else (SUBDOMAIN, 253)
    if not legal.fullmatch(name) or len(name) > (52 if kind == "CronJob" else longest):
        yield f"{kind} {name}: illegal name"
    labels = {**o["metadata"]["labels"], **(pod_template(o) or {"metadata": {"labels": {}}})["metadata"]["labels"]}
    for key, value in labels.items():
        if not LABEL_VALUE.fullmatch(value) or len(value) > 63:
            yield f"{kind} {name}: illegal label {key}={value}"


def of_kind(o: Object, objects: list[Object]) -> Iterator[str]:
    match o["kind"]:
        case "Deployment" | "StatefulSet":
            yield from serving(o)
        case "Job" | "CronJob":
            yield from job(o)
        case "Service":
            yield from service(o, objects)
        case "PodDisruptionBudget":
            yield from selected(o, o["spec"]["selector"]["matchLabels"], objects)
        case "NetworkPolicy":
            yield from policy(o, objects)
        case "HTTPRoute" | "GRPCRoute" | "TLSRoute":
            for rule in o["spec"]["rules"]:
                for backend in rule["backendRefs"]:
                    yield from leads_to(o, backend["name"], "port", backend["port"], objects)
        case "BackendTLSPolicy":
            for target in o["spec"]["targetRefs"]:
                yield from leads_to(o, target["name"], "name", target["sectionName"], objects)
        case "Ingress":
            for rule in o["spec"]["rules"]:
                for path in rule["http"]["paths"]:
                    backend = path["backend"]["service"]
                    for key, value in backend["port"].items():
                        yield from leads_to(o, backend["name"], key, value, objects)
        case "HorizontalPodAutoscaler":
            target, spec = o["spec"]["scaleTargetRef"], o["spec"]
            scaled = [d for d in objects if (d["kind"], d["metadata"]["name"]) == (target["kind"], target["name"])]
            if len(scaled) != 1:
                yield f"{where(o)}: scales nothing"
            elif not all("cpu" in c["resources"]["requests"] for c in containers(scaled[0])):
                yield f"{where(o)}: measures a part of a CPU that is not requested"
            if spec["minReplicas"] > spec["maxReplicas"]:
                yield f"{where(o)}: least more than most"
    if template := pod_template(o):
        yield from pod(o, template["spec"])
        yield from missing(o, objects)


def where(o: Object) -> str:
    return f"{o['kind']} {o['metadata']['name']}"


def pods(labels: dict[str, str], objects: list[Object]) -> list[Object]:
    templates = [template for o in objects if (template := pod_template(o))]
    return [t for t in templates if labels.items() <= t["metadata"]["labels"].items()]


def selected(o: Object, labels: dict[str, str], objects: list[Object]) -> Iterator[str]:
    if (count := len(pods(labels, objects))) != 1:
        yield f"{where(o)}: selects the pods of {count} objects"


def open_ports(labels: dict[str, str], objects: list[Object]) -> set[int]:
    return {
        p["containerPort"] for t in pods(labels, objects) for c in t["spec"]["containers"] for p in c.get("ports", ())
    }


def service(o: Object, objects: list[Object]) -> Iterator[str]:
    yield from selected(o, o["spec"]["selector"], objects)
    for port in o["spec"]["ports"]:
        if port["targetPort"] not in open_ports(o["spec"]["selector"], objects):
            yield f"{where(o)}: no container listens on {port['targetPort']}"
        if o["spec"].get("clusterIP") == "None" and port["port"] != port["targetPort"]:
            yield f"{where(o)}: headless, so port {port['port']} must be {port['targetPort']}"
        yield from port_range(o, port["port"])


def leads_to(o: Object, name: str, key: str, value: object, objects: list[Object]) -> Iterator[str]:
    found = [s for s in objects if (s["kind"], s["metadata"]["name"]) == ("Service", name)]
    if not any(port[{"number": "port"}.get(key, key)] == value for s in found for port in s["spec"]["ports"]):
        yield f"{where(o)}: no Service {name} with {key} {value}"


def policy(o: Object, objects: list[Object]) -> Iterator[str]:
    """Each end that is a pod of the release is one, and listens where it is called."""
    spec = o["spec"]
    mine = spec["podSelector"]["matchLabels"]
    if "ingress" not in spec:
        if len(pods(mine, objects)) < 2:
            yield f"{where(o)}: closes nothing"
        return
    yield from selected(o, mine, objects)
    for rule in spec["ingress"]:
        yield from listened(o, rule, mine, objects)
        for peer in rule.get("from", []):
            if set(peer) == {"podSelector"}:
                yield from selected(o, peer["podSelector"]["matchLabels"], objects)
    for rule in spec["egress"]:
        for peer in rule.get("to", []):
            if set(peer) == {"podSelector"}:
                yield from selected(o, peer["podSelector"]["matchLabels"], objects)
                yield from listened(o, rule, peer["podSelector"]["matchLabels"], objects)


def listened(o: Object, rule: Object, labels: dict[str, str], objects: list[Object]) -> Iterator[str]:
    for port in rule["ports"]:
        if port["port"] not in open_ports(labels, objects):
            component = labels.get("app.kubernetes.io/component")
            yield f"{where(o)}: {component} does not listen on {port['port']}"


def port_range(o: Object, port: int) -> Iterator[str]:
    if not 0 < port < 65536:
        yield f"{where(o)}: port {port} is out of range"


def serving(o: Object) -> Iterator[str]:
    if "replicas" in o["spec"]:
        yield f"{where(o)}: the release would take its replicas from an autoscaler, or from kubectl scale"
    template = o["spec"]["template"]
    wanted = o["spec"]["selector"]["matchLabels"]
    if not wanted.items() <= template["metadata"]["labels"].items():
        yield f"{where(o)}: the selector is not in the template's labels"
    for spread in template["spec"].get("topologySpreadConstraints", ()):
        if not spread["labelSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items():
            yield f"{where(o)}: spreads the pods of others"
    for c in containers(o):
        yield from probes(o, c)
        drain = c.get("lifecycle", {"preStop": {"sleep": {"seconds": 0}}})["preStop"]["sleep"]["seconds"]
        if drain >= template["spec"]["terminationGracePeriodSeconds"]:
            yield f"{where(o)}: the drain of {drain} s uses up the grace period"


def job(o: Object) -> Iterator[str]:
    spec = o["spec"]["jobTemplate"]["spec"] if o["kind"] == "CronJob" else o["spec"]
    for name in ("backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"):
        if name not in spec:
            yield f"{where(o)}: no {name}"
    if spec["template"]["spec"]["restartPolicy"] not in {"Never", "OnFailure"}:
        yield f"{where(o)}: restartPolicy"


def probes(o: Object, c: Object) -> Iterator[str]:
    ports = {p["name"]: p["containerPort"] for p in c["ports"]}
    for probe in PROBES:
        handlers = HANDLERS & set(c.get(probe, {}))
        if len(handlers) != 1:
            yield f"{where(o)}: {probe} has {len(handlers)} handlers"
        for handler in handlers - {"exec"}:
            if (port := c[probe][handler]["port"]) not in {*ports, *ports.values()}:
                yield f"{where(o)}: {probe} asks port {port}, which is not open"


def pod(o: Object, spec: Object) -> Iterator[str]:
    claimed = [v["metadata"]["name"] for v in o["spec"].get("volumeClaimTemplates", ())]
    volumes = {*(v["name"] for v in spec["volumes"]), *claimed}
    if len(volumes) != len(spec["volumes"]) + len(claimed):
        yield f"{where(o)}: two volumes of one name"
    mounted = {m["name"] for c in containers(o) for m in c["volumeMounts"]}
    if volumes != mounted:
        yield f"{where(o)}: volumes {sorted(volumes)} but mounts {sorted(mounted)}"
    for c in containers(o):
        paths = Counter(m["mountPath"] for m in c["volumeMounts"])
        if max(paths.values()) > 1:
            yield f"{where(o)}: two volumes at one path"
        yield from container(o, c, spec)


def container(o: Object, c: Object, spec: Object) -> Iterator[str]:
    if c["imagePullPolicy"] not in {"Always", "IfNotPresent", "Never"}:
        yield f"{where(o)}: imagePullPolicy {c['imagePullPolicy']}"
    if not re.fullmatch(r"[a-z0-9][a-z0-9._/:-]*(:[\w.-]+|@sha256:[a-f0-9]{64})", c["image"]):
        yield f"{where(o)}: image {c['image']}"
    for port in c.get("ports", ()):
        yield from port_range(o, port["containerPort"])
    if not {"cpu", "memory"} <= c["resources"]["requests"].keys() or "memory" not in c["resources"]["limits"]:
        yield f"{where(o)}: resources of {c['name']}"
    yield from restricted(o, c, spec)


def restricted(o: Object, c: Object, spec: Object) -> Iterator[str]:
    """The "restricted" Pod Security Standard, and a read-only root."""
    mine, whole = c["securityContext"], spec["securityContext"]
    kept = (
        whole["runAsNonRoot"] is True
        and whole["runAsUser"] > 0
        and whole["seccompProfile"] == {"type": "RuntimeDefault"}
        and mine == {**LOCKED, "capabilities": {"drop": ["ALL"]}}
        and not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        and all({"emptyDir", "configMap", "secret", "persistentVolumeClaim"} & set(v) for v in spec["volumes"])
        and spec["automountServiceAccountToken"] is False
    )
    if not kept:
        yield f"{where(o)}: not restricted"


Reference = tuple[str, str]


def references(o: Object) -> set[Reference]:
    """What a pod cannot start without: kind and name."""
    spec = (pod_template(o) or {})["spec"]
    found = {("ServiceAccount", spec["serviceAccountName"])}
    found |= {("Secret", pull["name"]) for pull in spec.get("imagePullSecrets", ())}
    for volume in spec["volumes"]:
        if "configMap" in volume:
            found.add(("ConfigMap", volume["configMap"]["name"]))
        if "secret" in volume:
            found.add(("Secret", volume["secret"]["secretName"]))
        if "persistentVolumeClaim" in volume:
            found.add(("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]))
    for c in containers(o):
        for variable in c.get("env", ()):
            if "valueFrom" in variable:
                found.add(("Secret", variable["valueFrom"]["secretKeyRef"]["name"]))
        for source in c.get("envFrom", ()):
            kind = "ConfigMap" if "configMapRef" in source else "Secret"
            found.add((kind, next(iter(source.values()))["name"]))
    return found


def made(objects: list[Object]) -> dict[Reference, Object]:
    """What the release brings, and what is made of it by cert-manager and external-secrets."""
    found = {}
    for o in objects:
        found[o["kind"], o["metadata"]["name"]] = o
        if o["kind"] == "Certificate":
            found["Secret", o["spec"]["secretName"]] = o
        if o["kind"] == "ExternalSecret":
            found["Secret", o["spec"]["target"]["name"]] = o
    return found


def external(objects: list[Object]) -> set[Reference]:
    """What must be there and is not made: NOTES.txt names it (tests/charts/test_values.py)."""
    return {r for o in objects if pod_template(o) for r in references(o)} - made(objects).keys()


def missing(o: Object, objects: list[Object]) -> Iterator[str]:
    """A hook before the installation meets what earlier hooks made, and nothing else of the release."""
    mine = o["metadata"].get("annotations", {})
    there = made(objects)
    for kind, name in sorted(references(o)):
        if kind in {"ServiceAccount"} and (kind, name) not in there:
            yield f"{where(o)}: no {kind} {name}"
        if "pre-install" in mine.get(HOOK, "") and (found := there.get((kind, name))):
            theirs = found["metadata"].get("annotations", {})
            if "pre-install" not in theirs.get(HOOK, "") or int(theirs[WEIGHT]) >= int(mine[WEIGHT]):
                yield f"{where(o)}: {kind} {name} is not there yet"
