"""Every alert, evaluated by Prometheus itself: fires when it should, and is silent when it should not."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from scripts.promtool import promtool
from tests.charts.chart import CHART

RULES = sorted((CHART / "rules").glob("*.yaml"))
BUILD = {'motcua_build_info{namespace="n",version="1",site="vn-56"}': "1x5000"}
CALLS = 'motcua_rpc_seconds_count{namespace="n",service="dossier",rpc="SubmitDossier",kind="%s",code="%s"}'
FAST = (
    'motcua_rpc_seconds_bucket{namespace="n",service="dossier",rpc="SubmitDossier",kind="mutation",code="OK",le="1.0"}'
)
ANSWERED = 'envoy_cluster_upstream_rq_xx{namespace="n",envoy_cluster_name="%s",envoy_response_code_class="%s"}'
OK_CALLS, FAILED_CALLS = CALLS % ("mutation", "OK"), CALLS % ("read", "UNAVAILABLE")
OK_EDGE, FAILED_EDGE = ANSWERED % ("grpc-dossier", "2"), ANSWERED % ("grpc-dossier", "5")
CHECKOUTS, REFUNDS = 'motcua_checkouts_overdue_seconds{namespace="n"}', 'motcua_refunds_oldest_seconds{namespace="n"}'
SIZE, SEQUENCED = 'motcua_ledger_size{namespace="n"}', 'motcua_ledger_sequenced_size{namespace="n"}'
COSIGNED, WITNESSES = 'motcua_ledger_cosignatures{namespace="n"}', 'motcua_ledger_witnesses{namespace="n"}'
DONE, RESTS = (
    f'motcua_periodic_{what}_seconds{{namespace="n",work="w"}}' for what in ("last_success_timestamp", "interval")
)
SUCCEEDED, CREATED = (
    f'kube_cronjob_{what}{{namespace="n",cronjob="motcua-backup"}}'
    for what in ("status_last_successful_time", "created")
)
HOURLY, CREATED_HOURLY = (one.replace("motcua-backup", "motcua-backup-between") for one in (SUCCEEDED, CREATED))
APPENDED = 'motcua_event_store_seconds_bucket{namespace="n",operation="append",le="%s"}'
WRITTEN = 'motcua_database_seconds_bucket{namespace="n",database="status",operation="write",le="%s"}'
LIMITED, ASKED = (
    f'envoy_http_local_rate_limit_{what}{{namespace="n",envoy_local_http_ratelimit_prefix="edge"}}'
    for what in ("rate_limited", "enabled")
)


@dataclass(frozen=True)
class Case:
    """What is scraped every `step` minutes, and which alerts fire after so many minutes, with their severity; no others do."""

    series: Mapping[str, str]
    minutes: int
    fires: set[tuple[str, str]] = field(default_factory=set)
    step: int = 1
    build: bool = True


def fires(alert: str, series: Mapping[str, str], minutes: int, *severities: str, step: int = 1) -> Case:
    return Case(series, minutes, {(alert, severity) for severity in severities}, step)


def gauge(name: str, **labels: str) -> str:
    inside = ",".join(f'{key}="{value}"' for key, value in {"namespace": "n", **labels}.items())
    return f"{name}{{{inside}}}"


VIEW, REACTION = gauge("motcua_view_lag_seconds", view="v"), gauge("motcua_reaction_lag_seconds", reaction="r")
STANDBY = gauge("motcua_view_lag_seconds", view="v", pod="standby")
MEMORY = gauge("motcua_memory_lag_seconds", pod="p", follower="erasures")
DOWN = gauge("motcua_background_down", pod="p", work="follower erasures")
PARKED = gauge("motcua_parked_facts", reaction="r")
FAULTY = gauge("motcua_definition_faults_total")
STORE = gauge("motcua_event_store_failures_total", operation="append")
DATABASE = gauge("motcua_database_failures_total", database="status", operation="write")
KEYS = gauge("motcua_keyring_failures_total", service="dossier")
BLOBS, LAG = gauge("motcua_blob_failures_total"), gauge("motcua_ledger_lag_seconds")
UNREAD = gauge("motcua_observation_failures_total", observation="lag of v")
DEADLINES, EMAILS = gauge("motcua_deadlines_unnoted_seconds"), gauge("motcua_emails_oldest_seconds")
MESSAGES = gauge("motcua_messages_oldest_seconds", channel="ZALO")
CALENDAR = gauge("motcua_calendar_known_days", calendar="general")
SIGNING = gauge("motcua_signing_key_rotation_due_timestamp_seconds")
SITE = gauge("motcua_certificate_not_after_timestamp_seconds", certificate="site")
BEGAN = gauge("motcua_certificate_not_before_timestamp_seconds", certificate="site")
UPSTREAM = gauge("envoy_cluster_ssl_certificate_expiration_unix_time_seconds", envoy_tls_certificate="site")
SERVER = gauge("envoy_listener_ssl_certificate_expiration_unix_time_seconds", envoy_tls_certificate="server")
REFUSED = gauge("motcua_refused_total", service="dossier", rpc="SubmitDossier", reason="OVERLOADED")
FULL = gauge("envoy_listener_downstream_global_cx_overflow", pod="edge-1")
OTHER_BUILD = 'motcua_build_info{namespace="n",version="2",site="vn-56"}'

CASES = {
    # 2 % of the calls fail: 20 times what the budget allows.
    "calls fail": fires(
        "MotcuaAvailabilityBurnsFast", {OK_CALLS: "0+588x90", FAILED_CALLS: "0+12x90", FAST: "0+588x90"}, 12, "critical"
    ),
    "calls fail for callers' reasons": Case(
        {OK_CALLS: "0+500x90", CALLS % ("read", "NOT_FOUND"): "0+100x90", FAST: "0+500x90"}, 80
    ),
    "streams end": Case({OK_CALLS: "0+500x90", CALLS % ("stream", "UNAVAILABLE"): "0+100x90", FAST: "0+500x90"}, 80),
    "one of a few calls fails at night": Case({OK_CALLS: "0+1x90", FAILED_CALLS: "0x30 1x60", FAST: "0+1x90"}, 40),
    # 0.4 % for more than a day.
    "calls fail now and then": fires(
        "MotcuaAvailabilityBurnsSlowly",
        {OK_CALLS: "0+4980x90", FAILED_CALLS: "0+20x90", FAST: "0+4980x90"},
        2400,
        "warning",
        step=30,
    ),
    "calls fail within the budget": Case(
        {OK_CALLS: "0+9995x90", FAILED_CALLS: "0+5x90", FAST: "0+9995x90"}, 2400, step=30
    ),
    "changes are slow": fires("MotcuaLatencyBurnsFast", {OK_CALLS: "0+100x90", FAST: "0+80x90"}, 12, "critical"),
    "changes are slow all day": fires(
        "MotcuaLatencyBurnsSlowly", {OK_CALLS: "0+1000x90", FAST: "0+960x90"}, 2400, "warning", step=30
    ),
    "few changes are slow": Case({OK_CALLS: "0+1000x90", FAST: "0+995x90"}, 80),
    "the edge answers 5xx": fires("MotcuaEdgeBurnsFast", {OK_EDGE: "0+98x90", FAILED_EDGE: "0+2x90"}, 12, "critical"),
    "the edge answers 5xx all day": fires(
        "MotcuaEdgeBurnsSlowly", {OK_EDGE: "0+996x90", FAILED_EDGE: "0+4x90"}, 2400, "warning", step=30
    ),
    "a scraper gets 5xx": Case({OK_EDGE: "0+100x90", ANSWERED % ("stats", "5"): "0+50x90"}, 80),
    "work is down": fires("MotcuaBackgroundDown", {DOWN: "0 1x20"}, 10, "critical"),
    "work was begun again": Case({DOWN: "0 1 0x20"}, 10),
    "a view lags": fires("MotcuaViewLags", {VIEW: "0+30x20"}, 12, "warning"),
    "a view stands still": fires("MotcuaViewLags", {VIEW: "0+60x60"}, 40, "warning", "critical"),
    "a view is seconds behind, its standby too": Case({VIEW: "5x40", STANDBY: "7x40"}, 30),
    "a view catches up": Case({VIEW: "0 400 300 200 100 0x30"}, 20),
    "a reaction lags": fires("MotcuaReactionLags", {REACTION: "0+60x30"}, 20, "warning"),
    "a reaction stands still": fires("MotcuaReactionLags", {REACTION: "0+60x90"}, 60, "warning", "critical"),
    "a reaction works": Case({REACTION: "30x60"}, 50),
    "erasures are not heard": fires("MotcuaMemoryLags", {MEMORY: "0+60x30"}, 15, "critical"),
    "erasures are heard": Case({MEMORY: "1x30"}, 15),
    "a fact is parked": fires("MotcuaFactsParked", {PARKED: "0 0 1x30"}, 15, "warning"),
    "a fact was parked": Case({PARKED: "1 1 0x30"}, 15),
    "a definition is faulty": fires("MotcuaDefinitionFaulty", {FAULTY: "0 0 1x30"}, 10, "critical"),
    "a definition was faulty": Case({FAULTY: "1x60"}, 40),
    "the event store fails": fires("MotcuaEventStoreFails", {STORE: "0+60x30"}, 10, "critical"),
    "the event store failed once": Case({STORE: "0 0 3x30"}, 10),
    "appends take two seconds": fires(
        "MotcuaEventStoreSlow",
        {APPENDED % "1.0": "0+10x60", APPENDED % "2.5": "0+100x60", APPENDED % "+Inf": "0+100x60"},
        40,
        "warning",
    ),
    "appends take milliseconds": Case({APPENDED % "0.025": "0+100x60", APPENDED % "+Inf": "0+100x60"}, 40),
    "the database fails": fires("MotcuaDatabaseFails", {DATABASE: "0+60x30"}, 10, "critical"),
    "the database was switched over": Case({DATABASE: "0 0 9x30"}, 10),
    "transactions are slow": fires(
        "MotcuaDatabaseSlow",
        {WRITTEN % "1.0": "0+10x60", WRITTEN % "5.0": "0+100x60", WRITTEN % "+Inf": "0+100x60"},
        40,
        "warning",
    ),
    "transactions are quick": Case({WRITTEN % "0.01": "0+100x60", WRITTEN % "+Inf": "0+100x60"}, 40),
    "the bucket fails": fires("MotcuaBlobStoreFails", {BLOBS: "0+2x30"}, 20, "critical"),
    "the bucket failed once": Case({BLOBS: "0 0 1x30"}, 20),
    "identity gives no keys": fires("MotcuaKeysUnanswered", {KEYS: "0+30x30"}, 20, "critical"),
    "identity was restarted": Case({KEYS: "0 0 5x30"}, 20),
    "a gauge cannot be read": fires("MotcuaBlind", {UNREAD: "0+1x40"}, 30, "warning"),
    "a gauge could not be read": Case({UNREAD: "0 0 1x40"}, 30),
    "nothing is scraped": Case({}, 15, {("MotcuaNotScraped", "critical")}, build=False),
    "a roll-out is stuck": fires("MotcuaVersionsDiffer", {OTHER_BUILD: "1x90"}, 80, "warning"),
    "a roll-out": Case({OTHER_BUILD: "1x20"}, 80),
    "the ledger stands still": fires("MotcuaLedgerStalled", {LAG: "0+60x30"}, 15, "critical"),
    "the ledger follows": Case({LAG: "2x30"}, 15),
    "the ledger is not published": fires(
        "MotcuaLedgerUnpublished", {SIZE: "10x60", SEQUENCED: "10 10 12x60"}, 30, "critical"
    ),
    "the ledger grows": Case({SIZE: "0+10x60", SEQUENCED: "3+10x60"}, 30),
    "a witness is missing": fires("MotcuaLedgerUncosigned", {COSIGNED: "1x90", WITNESSES: "2x90"}, 60, "warning"),
    "the newest checkpoint is not cosigned yet": Case({COSIGNED: "0 2 0 0 2 0 2 0x20 2 0x20 2 0x20", WITNESSES: "2x90"}, 60),
    "nobody cosigns, as it is meant": Case({COSIGNED: "0x90", WITNESSES: "0x90"}, 60),
    "periodic work stands still": fires("MotcuaPeriodicWorkStalled", {DONE: "0x40", RESTS: "15x40"}, 20, "critical"),
    "periodic work is done": Case({DONE: "0+60x40", RESTS: "15x40"}, 20),
    "hourly work rests": Case({DONE: "0x60 3600x60", RESTS: "3600x120"}, 100),
    "due dates are not noted": fires("MotcuaDeadlinesUnnoted", {DEADLINES: "0+60x60"}, 40, "critical"),
    "due dates are noted": Case({DEADLINES: "12x60"}, 40),
    "a calendar ends": fires("MotcuaCalendarEnds", {CALENDAR: "89x120"}, 90, "warning"),
    "a calendar goes on": Case({CALENDAR: "90x120"}, 90),
    "e-mails wait": fires("MotcuaEmailsWait", {EMAILS: "0+60x120"}, 90, "warning"),
    "messages wait": fires("MotcuaMessagesWait", {MESSAGES: "0+60x120"}, 90, "warning"),
    "e-mails go": Case({EMAILS: "200x120"}, 90),
    "a checkout stays open": fires("MotcuaPaymentsWait", {CHECKOUTS: "0+60x60"}, 40, "warning"),
    "a refund stays open": fires("MotcuaPaymentsWait", {REFUNDS: "80000+600x60"}, 40, "warning"),
    "payments are settled": Case({CHECKOUTS: "60x60", REFUNDS: "7200x60"}, 40),
    "the signing key is old": fires("MotcuaSigningKeyOverdue", {SIGNING: "0x120"}, 80, "critical"),
    "the signing key is young": Case({SIGNING: "86400x120"}, 80),
    "backups fail": fires(
        "MotcuaBackupMissing", {SUCCEEDED: "0x90", CREATED: "0x90"}, 1620, "critical", step=30
    ),
    "no backup was ever made": fires("MotcuaBackupMissing", {CREATED: "0x90"}, 1620, "critical", step=30),
    "hourly backups fail": fires(
        "MotcuaBackupMissing",
        {SUCCEEDED: "0x90", HOURLY: "0x90", CREATED_HOURLY: "0x90"},
        600,
        "warning",
        step=30,
    ),
    "hourly backups rest at night": Case(
        {SUCCEEDED: "0x5 10800x90", HOURLY: "0x90", CREATED_HOURLY: "0x90"}, 480, step=30
    ),
    "backups are made": Case({SUCCEEDED: "0x48 86400x60", CREATED: "0x90"}, 1620, step=30),
    "somebody else's backup fails": Case(
        {'kube_cronjob_status_last_successful_time{namespace="other",cronjob="db-backup"}': "0x90"}, 1620, step=30
    ),
    "the site's certificate ends": fires("MotcuaCertificateEnds", {BEGAN: "-6912000x60", SITE: "864000x60"}, 30, "warning"),
    "the site's certificate ends tomorrow": fires(
        "MotcuaCertificateEnds", {BEGAN: "-7689600x60", SITE: "86400x60"}, 30, "warning", "critical"
    ),
    "the site's certificate is new": Case({BEGAN: "0x60", SITE: "7776000x60"}, 30),
    # Of seven days, renewed when 56 hours are left.
    "a short-lived certificate is about to be renewed": Case({BEGAN: "-403200x60", SITE: "201600x60"}, 30),
    "a short-lived certificate is not renewed": fires(
        "MotcuaCertificateEnds", {BEGAN: "-504000x60", SITE: "100800x60"}, 30, "warning"
    ),
    "the site's authority has years": Case({BEGAN: "-283824000x60", SITE: "31536000x60"}, 30),
    "the edge's certificate of the site is renewed": Case({UPSTREAM: "201600x60"}, 30),
    "the edge's certificate of the site is not renewed": fires(
        "MotcuaEdgeCertificateEnds", {UPSTREAM: "50000x60"}, 30, "critical"
    ),
    "the edge's certificate ends": fires("MotcuaEdgeCertificateEnds", {SERVER: "864000x60"}, 30, "warning"),
    "the edge's certificate ended": fires("MotcuaEdgeCertificateEnds", {SERVER: "0x60"}, 30, "warning", "critical"),
    "the edge's certificate is new": Case({SERVER: "7776000x60"}, 30),
    "calls are turned away": fires("MotcuaOverloaded", {REFUSED: "0+120x60"}, 30, "warning"),
    "a call was turned away": Case({REFUSED: "0 0 20x60"}, 30),
    "many requests are limited": fires("MotcuaCallersLimited", {LIMITED: "0+10x60", ASKED: "0+100x60"}, 40, "warning"),
    "few requests are limited": Case({LIMITED: "0+1x60", ASKED: "0+100x60"}, 40),
    "connections are turned away": fires("MotcuaEdgeFull", {FULL: "0+5x60"}, 30, "critical"),
    "no connection is turned away": Case({FULL: "0x60"}, 30),
}  # fmt: skip


def alerts() -> set[str]:
    return {
        rule["alert"]
        for path in RULES
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }


def test_the_rules_are_rules() -> None:
    checked = subprocess.run([promtool(), "check", "rules", *RULES], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_each_alert_is_seen_to_fire_and_alone() -> None:
    assert {alert for case in CASES.values() for alert, _ in case.fires} == alerts()


def _alone(name: str, case: Case) -> dict[str, str]:
    """The case in a namespace of its own, so that one simulation holds many."""
    series = {**(BUILD if case.build else {}), **case.series}
    return {key.replace('namespace="n"', f'namespace="{name}"'): value for key, value in series.items()}


def _simulation(name: str, cases: Mapping[str, Case]) -> dict[str, object]:
    (step,) = {case.step for case in cases.values()}
    expected = [
        {
            "expr": f'group by (alertname, severity) (ALERTS{{alertstate="firing",namespace=~"({key})?"}})',
            "eval_time": f"{case.minutes}m",
            "exp_samples": [
                {"labels": f'{{alertname="{alert}",severity="{severity}"}}', "value": 1}
                for alert, severity in sorted(case.fires)
            ],
        }
        for key, case in cases.items()
    ]
    series = [
        {"series": key, "values": value} for name, case in cases.items() for key, value in _alone(name, case).items()
    ]
    return {"name": name, "interval": f"{step}m", "input_series": series, "promql_expr_test": expected}


def _simulate(folder: Path, name: str, cases: Mapping[str, Case]) -> str:
    """What Prometheus finds wrong."""
    (step,) = {case.step for case in cases.values()}
    groups = [group["name"] for one in RULES for group in yaml.safe_load(one.read_text())["groups"]]
    content = {
        "rule_files": [str(one) for one in RULES],
        "evaluation_interval": f"{step}m",
        # What is recorded first: at long intervals the sample before is too old to be seen.
        "group_eval_order": groups,
        "tests": [_simulation(name, cases)],
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True))
    done = subprocess.run([promtool(), "test", "rules", path], capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ""


@pytest.mark.parametrize("step", [1, 30])
def test_alerts_fire_when_they_should_and_at_no_other_time(tmp_path: Path, step: int) -> None:
    cases = {name: case for name, case in CASES.items() if case.step == step and case.build}
    assert _simulate(tmp_path, "all", cases) == ""


def test_silence_is_noticed(tmp_path: Path) -> None:
    (silent,) = (name for name, case in CASES.items() if not case.build)
    assert _simulate(tmp_path, "silence", {silent: CASES[silent]}) == ""


def test_what_is_recorded_is_used() -> None:
    text = "".join(path.read_text() for path in (*RULES, *(CHART / "dashboards").glob("*.json")))
    recorded = {
        rule["record"]
        for path in RULES
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    assert {name for name in recorded if text.count(name) < 2} == set()
