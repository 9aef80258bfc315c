"""What rules, dashboards and runbooks name is there: metrics and labels in the code, a runbook for each alert."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import REGISTRY, Histogram
from prometheus_client.registry import Collector

from command.registry import service_classes
from motcua.dossier.events.v1 import events_pb2 as dossier
from motcua.identity.events.v1 import events_pb2 as identity
from motcua.notification.events.v1 import events_pb2 as notification
from motcua.payment.events.v1 import events_pb2 as payment
from services.chassis.store.measured import OPERATIONS
from services.chassis.telemetry.gauges import Observed
from tests.charts.chart import CHART, ROOT
from tests.operations.conftest import Scraped

RUNBOOKS = ROOT / "docs" / "runbooks"
RULES = sorted((CHART / "rules").glob("*.yaml"))
DASHBOARDS = sorted((CHART / "dashboards").glob("*.json"))
# What whoever scrapes adds to every sample.
SCRAPED = {"namespace", "pod"}
ELSEWHERE = {
    # kube-state-metrics
    "kube_cronjob_status_last_successful_time": {"cronjob"},
    "kube_cronjob_created": {"cronjob"},
    # Prometheus itself
    "ALERTS": {"alertname", "alertstate", "severity"},
}
EVENTS = {name for file in (dossier, identity, notification, payment) for name in file.DESCRIPTOR.message_types_by_name}
VALUES = {
    "event": EVENTS,
    "kind": {"mutation", "read", "stream"},
    "operation": {*OPERATIONS, "write"},
    "reason": {"OVERLOADED"},
    "le": {"1.0"},
}


def rules() -> Iterator[dict[str, Any]]:
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            yield from group["rules"]


def alerts() -> set[str]:
    return {rule["alert"] for rule in rules() if "alert" in rule}


def expressions() -> Iterator[tuple[str, str]]:
    """Where it stands, and a PromQL expression."""
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                written = target["expr"].replace("$__rate_interval", "5m").replace("$namespace", ".+")
                yield f"{path.stem}: {panel['title']}", written
    for path in sorted(RUNBOOKS.glob("*.md")):
        for text in re.findall(r"```promql\n(.*?)```", path.read_text(), re.S):
            yield path.name, text


@cache
def ours() -> dict[str, set[str]]:
    """Every metric of the code, with its labels."""
    service_classes()  # they define some
    found: dict[str, set[str]] = {}
    collectors: dict[Collector, list[str]] = REGISTRY._collector_to_names
    for collector, names in collectors.items():
        written = collector.labels if isinstance(collector, Observed) else getattr(collector, "_labelnames", ())
        for name in names:
            found[name] = {*written, *({"le"} if isinstance(collector, Histogram) and name.endswith("_bucket") else ())}
    return found


def known(scraped: Scraped) -> dict[str, set[str]]:
    edge = {name: {label for labels, _ in samples for label in labels} for name, samples in scraped.series.items()}
    recorded = {rule["record"]: set[str]() for rule in rules() if "record" in rule}
    return {**ours(), **edge, **ELSEWHERE, **recorded}


class Read:
    """What an expression names."""

    def __init__(self, text: str) -> None:
        self.metrics: set[str] = set()
        self.matchers: list[tuple[str, str, str]] = []
        self.grouped: set[str] = set()
        promql_parser.walk(promql_parser.parse(text), self._visit)

    def _visit(self, node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            self.metrics.add(node.name or "")
            self.matchers += [(node.name or "", one.name, one.value) for one in node.matchers.matchers]
        modifier = getattr(node, "modifier", None)
        for grouping in (modifier, getattr(modifier, "matching", None)):
            self.grouped.update(getattr(grouping, "labels", None) or ())
        return True

    def faults(self, known: dict[str, set[str]]) -> Iterator[str]:
        yield from (f"there is no metric {name!r}" for name in self.metrics - known.keys())
        for metric, label, value in self.matchers:
            if label not in known.get(metric, set()) | SCRAPED:
                yield f"{metric} has no label {label}"
            if label in VALUES:
                yield from (f"{label} is never {one}" for one in set(value.split("|")) - VALUES[label])
        somewhere = set[str]().union(*(known.get(name, set()) for name in self.metrics)) | SCRAPED
        yield from (f"grouped by {label}, which nothing there has" for label in self.grouped - somewhere)


@pytest.mark.asyncio(loop_scope="package")
async def test_every_metric_and_label_is_one_of_the_code(scraped: Scraped) -> None:
    metrics = known(scraped)
    assert [f"{where}: {fault}" for where, text in expressions() for fault in Read(text).faults(metrics)] == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("motcua_rpc_second_count > 1", "there is no metric 'motcua_rpc_second_count'"),
        ('motcua_parked_facts{view="v"}', "motcua_parked_facts has no label view"),
        ('motcua_events_total{event="DossierLost"}', "event is never DossierLost"),
        ("max by (view) (motcua_parked_facts)", "grouped by view, which nothing there has"),
        ("motcua_parked_facts and on (job) motcua_build_info", "grouped by job, which nothing there has"),
    ],
)
def test_a_wrong_name_is_found(text: str, fault: str) -> None:
    assert list(Read(text).faults(ours())) == [fault]


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("Motcua*.md")} == alerts()


@pytest.mark.parametrize("path", sorted(RUNBOOKS.glob("Motcua*.md")), ids=lambda path: path.stem)
def test_a_runbook_says_all_that_is_needed_at_night(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(f"# {path.stem}\n")
    assert re.findall(r"^## (.*)$", text, re.M) == ["For citizens", "Look", "Mend", "Mended when", "Escalate"]
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for named in re.findall(r"`([a-z]\w*(?:\.\w+)+)`", text):
        first, *rest = named.split(".")
        if first in values:
            assert found_in(values[first], rest), f"the chart has no value {named}"
    for said in re.findall(r'grep (?:-i )?"([^"]+)"', text):
        assert any(said in source for source in sources()), f"nothing of ours logs {said!r}"


@cache
def sources() -> list[str]:
    return [path.read_text() for part in ("services", "gateway") for path in (ROOT / part).rglob("*.py")]


def found_in(values: Any, path: list[str]) -> bool:
    """A service has the defaults' values."""
    for name in path:
        if not isinstance(values, dict) or (name not in values and name not in {"replicas", "autoscaling", "enabled"}):
            return False
        values = values.get(name, {})
    return True


def test_every_metric_is_described_with_its_labels() -> None:
    described: dict[str, set[str]] = {}
    for names, labels in re.findall(
        r"^\| (`motcua_[^|]*)\|([^|]*)\|", (ROOT / "docs" / "architecture.md").read_text(), re.M
    ):
        of_each = [set(filter(None, re.split(r"[,\s]+", some))) for some in labels.split(";")]
        found = re.findall(r"`(motcua_\w+)`", names)
        described |= dict(zip(found, of_each if len(of_each) == len(found) else of_each * len(found), strict=True))
    suffix = re.compile("_(bucket|count|sum|created)$")
    written = {
        name: labels - {"le"}
        for name, labels in ours().items()
        if name.startswith("motcua_") and not name.startswith("motcua_test_") and not suffix.search(name)
    }
    families = {name for name in written if f"{name}_total" not in written}
    assert described == {name: written[name] for name in families}


def test_every_alert_says_what_it_is_in_two_languages() -> None:
    for rule in rules():
        if "alert" in rule:
            assert rule["labels"].keys() == {"severity"}
            assert rule["labels"]["severity"] in ("critical", "warning")
            assert rule["annotations"].keys() == {"summary", "summary_vi"}
            assert all(rule["annotations"].values())


def test_dashboards_have_ids_of_their_own() -> None:
    boards = [json.loads(path.read_text()) for path in DASHBOARDS]
    assert [board["uid"] for board in boards] == [f"motcua-{path.stem}" for path in DASHBOARDS]
    for board in boards:
        panels = [panel["id"] for panel in board["panels"]]
        assert len(set(panels)) == len(panels)
        assert all(panel["targets"] for panel in board["panels"])
