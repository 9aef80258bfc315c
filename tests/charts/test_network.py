"""Who reaches whom: the arrows of docs/architecture.md, and nothing else."""

from __future__ import annotations

import pytest

from services.registry import SERVICES
from tests.charts.chart import TRIAL, VARIANTS, Object, of_kind, render, template, variant
from tests.charts.test_values import variant_notes

PAGES = {name for name, service in SERVICES.items() if service.pages}
ASK_KEYS = {name for name, service in SERVICES.items() if service.asks_keys}
KEEP_FILES = {name for name, service in SERVICES.items() if service.files}
BACKUPS = ("backup", "backup-between")
ANYWHERE = "anywhere"
KUBE_DNS = "kube-system"
Arrows = set[tuple[str, str, int]]


def end(peer: Object) -> str:
    """A component of the release, else what the peer says."""
    labels = peer.get("podSelector", {}).get("matchLabels", {})
    if "app.kubernetes.io/component" in labels:
        assert labels["app.kubernetes.io/instance"] == "motcua"
        return str(labels["app.kubernetes.io/component"])
    if "ipBlock" in peer:
        return str(peer["ipBlock"]["cidr"])
    return str(peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"])


def arrows(name: str, direction: str) -> Arrows:
    """(policy's component, the other end, port)."""
    found = set()
    for component, policy in of_kind(variant(name), "NetworkPolicy").items():
        for rule in policy["spec"].get(direction, []):
            key = {"ingress": "from", "egress": "to"}[direction]
            for other in map(end, rule[key]) if key in rule else [ANYWHERE]:
                found |= {(component, other, port["port"]) for port in rule["ports"]}
    return found


def inside(name: str) -> Arrows:
    """Between components, as egress says: (from, to, port)."""
    components = of_kind(variant(name), "NetworkPolicy")
    return {arrow for arrow in arrows(name, "egress") if arrow[1] in components}


TO_SERVICES: Arrows = {
    *(("edge", service, 50051) for service in SERVICES),
    *(("edge", service, 8081) for service in PAGES),
    *((service, "identity", 50051) for service in ASK_KEYS),
    ("test", "edge", 8080),
}
OUTSIDE: Arrows = {
    *((service, ANYWHERE, 2113) for service in SERVICES),
    *((service, ANYWHERE, 5432) for service in SERVICES),
    *((service, ANYWHERE, 443) for service in (*KEEP_FILES, "identity", "payment")),
    ("migrate", ANYWHERE, 5432),
    *((backup, ANYWHERE, port) for backup in BACKUPS for port in (2113, 5432, 443)),
}


@pytest.mark.parametrize("name", ["province", "national"])
def test_the_arrows_are_those_of_the_design(name: str) -> None:
    assert inside(name) == TO_SERVICES
    outside = arrows(name, "egress") - inside(name)
    components = {*SERVICES, "edge", "test", "migrate", *BACKUPS}
    assert outside == OUTSIDE | {(component, KUBE_DNS, 53) for component in components}


@pytest.mark.parametrize("name", VARIANTS)
def test_whoever_may_go_may_come(name: str) -> None:
    """Both ends of an arrow inside the release agree."""
    components = of_kind(variant(name), "NetworkPolicy")
    coming = {(other, component, port) for component, other, port in arrows(name, "ingress")}
    to_all = {(component, port) for other, component, port in coming if other == ANYWHERE}
    for source, target, port in inside(name):
        assert (source, target, port) in coming or (target, port) in to_all, f"{source} does not reach {target}:{port}"
    for source, target, port in coming:
        if source in components:
            assert (source, target, port) in inside(name), f"{source} may not go to {target}:{port}"


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "otherwise"])
def test_every_pod_is_closed_first(name: str) -> None:
    closed = of_kind(variant(name), "NetworkPolicy")["closed"]["spec"]
    assert closed["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & closed.keys()
    assert set(closed["podSelector"]["matchLabels"]) == {"app.kubernetes.io/name", "app.kubernetes.io/instance"}
    for policy in of_kind(variant(name), "NetworkPolicy").values():
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_the_edge_is_open_to_everyone_unless_peers_are_named() -> None:
    assert {a for a in arrows("province", "ingress") if a[0] == "edge"} == {("edge", ANYWHERE, 8080)}
    found = {a for a in arrows("everything", "ingress") if a[0] == "edge"}
    public = {("edge", peer, port) for peer in ("10.0.0.0/8", "test") for port in (8080, 8443)}
    assert found == {*public, ("edge", "observability", 9902)}


def test_metrics_are_read_by_those_who_are_named() -> None:
    scraped = {(a[0], a[2]) for a in arrows("everything", "ingress") if a[1] == "observability"}
    assert scraped == {*((service, 8081) for service in SERVICES), ("edge", 9902)}
    assert not [a for a in arrows("province", "ingress") if a[1] == "observability"]


def test_egress_follows_what_is_switched_on() -> None:
    found = arrows("everything", "egress")
    assert {a[0] for a in found if a[2] == 4317} == set(SERVICES)
    assert {a for a in found if a[2] in (465, 587)} == {("notification", ANYWHERE, port) for port in (465, 587)}
    assert {a for a in found if a[2] == 3310} == {("dossier", ANYWHERE, 3310)}
    assert ("ledger", ANYWHERE, 443) in found
    assert {a[1] for a in found if a[2] in (5432, 6432)} == {"10.1.0.0/24"}
    components = {*SERVICES, "edge", "test", "migrate", "catalogue-load", "appoint", *BACKUPS}
    assert {a[0] for a in found if a[1] == "169.254.169.254/32"} == components
    assert {a[1:] for a in found if a[0] == "catalogue-load"} == {
        (KUBE_DNS, 53), (ANYWHERE, 2113), ("169.254.169.254/32", 80)
    }  # fmt: skip
    assert {a[2] for a in found if a[0] == "appoint"} == {53, 2113, 5432, 6432, 80}
    for backup in BACKUPS:
        assert {a[2] for a in found if a[0] == backup} == {53, 2113, 5432, 6432, 443, 80}


def test_a_trial_has_its_own_stores_and_the_sandbox() -> None:
    found, outside = inside("trial"), arrows("trial", "egress") - inside("trial")
    everybody = {*SERVICES, "sandbox"}
    assert {a[0] for a in found if a[1:] == ("kurrentdb", 2113)} == everybody
    assert {a[0] for a in found if a[1:] == ("postgresql", 5432)} == {*everybody, "migrate"}
    assert {a[0] for a in found if a[1:] == ("edge", 8080)} == {"identity", "payment", "sandbox", "test"}
    assert ("edge", "sandbox", 8081) in found
    assert not [a for a in outside if a[2] in (2113, 5432)]
    # By the public address, where that is not the edge's own Service.
    assert {a[0] for a in outside if a[2] == 80} == {"identity", "payment", "sandbox", "test"}
    for store in ("postgresql", "kurrentdb"):
        assert not [a for a in arrows("trial", "egress") if a[0] == store]


def test_a_trial_is_reached_by_its_ingress_and_its_own_pods_alone() -> None:
    for values in (TRIAL, {**TRIAL, "ingress": {"enabled": True}, "networkPolicy": {"publicFrom": [CONTROLLER]}}):
        edge = of_kind(render("province", {"edge": {"trustedHops": 1}, **values}), "NetworkPolicy")["edge"]
        for rule in edge["spec"]["ingress"]:
            assert rule["from"], "an empty list would be everybody"
        named = [peer for rule in edge["spec"]["ingress"] for peer in rule["from"] if "namespaceSelector" in peer]
        assert named == ([CONTROLLER] if "ingress" in values else [])


CONTROLLER = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"edge": {"service": {"type": "LoadBalancer"}}}, "edge.service.type: a trial is reached through its Ingress"),
        ({"edge": {"service": {"type": "NodePort"}}}, "edge.service.type: a trial is reached through its Ingress"),
        ({"networkPolicy": {"enabled": False}}, "networkPolicy.enabled is false: whoever reaches a trial"),
        ({"ingress": {"enabled": True}, "edge": {"trustedHops": 1}}, "networkPolicy.publicFrom is empty: whoever"),
    ],
)
def test_a_trial_that_others_would_reach_is_refused(values: Object, why: str) -> None:
    ran = template("province", {**TRIAL, **values})
    assert ran.returncode
    assert why in ran.stderr


def test_a_trial_says_who_is_its_administrator() -> None:
    said = variant_notes("trial")
    assert "WHOEVER REACHES IT IS AN ADMINISTRATOR" in said
    assert "takes calls from its own pods alone" in said
