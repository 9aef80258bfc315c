"""What Helm does before, after and beside a release, and what it must leave to others."""

from __future__ import annotations

import functools
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from services.registry import SERVICES
from tests.charts.chart import (
    CHART,
    ROOT,
    TRIAL,
    VARIANTS,
    Object,
    containers,
    of_kind,
    one,
    pod_template,
    render,
    run,
    template,
    variant,
)
from tests.charts.test_values import notes, variant_notes

HOOK, WEIGHT, DELETED = "helm.sh/hook", "helm.sh/hook-weight", "helm.sh/hook-delete-policy"


def hooks(objects: list[Object], event: str) -> list[str]:
    """In Helm's order: by weight, then as kinds are installed."""
    kinds = ["NetworkPolicy", "ServiceAccount", "Secret", "Pod", "Job", "ExternalSecret"]
    found = [
        (int(o["metadata"]["annotations"][WEIGHT]), kinds.index(o["kind"]), f"{o['kind']} {o['metadata']['name']}")
        for o in objects
        if event in o["metadata"].get("annotations", {}).get(HOOK, "").split(",")
    ]
    return [name for _, _, name in sorted(found)]


# helm test


@pytest.mark.parametrize("name", VARIANTS)
def test_the_test_is_a_pod_of_the_name_that_helm_asks_logs_of(name: str) -> None:
    (tests,) = [o for o in variant(name) if o["metadata"].get("annotations", {}).get(HOOK) == "test"]
    assert (tests["kind"], tests["metadata"]["name"]) == ("Pod", "motcua-test")
    # Its logs are read after it ended.
    assert "hook-succeeded" not in tests["metadata"]["annotations"][DELETED]
    assert (tests["spec"]["restartPolicy"], tests["spec"]["activeDeadlineSeconds"]) == ("Never", 600)


# Replicas


@pytest.mark.parametrize("name", VARIANTS)
def test_no_replicas_where_an_autoscaler_or_a_hand_may_own_them(name: str) -> None:
    assert [
        o["metadata"]["name"] for o in variant(name) if "replicas" in o["spec" if "spec" in o else "metadata"]
    ] == []
    scaled = {o["spec"]["scaleTargetRef"]["name"] for o in variant(name) if o["kind"] == "HorizontalPodAutoscaler"}
    assert scaled == {f"motcua-{part}" for part in (*SERVICES, "edge")}


def test_switching_autoscaling_on_and_off_changes_the_autoscaler_alone() -> None:
    def rendered(enabled: bool) -> dict[str, Object]:
        values = {"defaults": {"replicas": 4, "autoscaling": {"enabled": enabled, "min": 3, "max": 9}}}
        return {f"{o['kind']} {o['metadata']['name']}": o for o in render("province", values)}

    off, on = rendered(False), rendered(True)
    assert {name for name in off if off[name] != on[name]} == {
        f"HorizontalPodAutoscaler motcua-{service}" for service in SERVICES
    }
    bounds = [o["HorizontalPodAutoscaler motcua-dossier"]["spec"] for o in (off, on)]
    assert [(spec["minReplicas"], spec["maxReplicas"]) for spec in bounds] == [(4, 4), (3, 9)]


# Images


def test_a_service_may_have_an_image_of_its_own() -> None:
    values: Object = {
        "image": {"tag": "1.0.0", "digest": f"sha256:{'a' * 64}"},
        "services": {"ledger": {"image": {"tag": "1.1.0"}}, "status": {"image": {"digest": f"sha256:{'b' * 64}"}}},
    }
    objects = render("province", values)
    images = {part: containers(one(objects, "Deployment", part))[0]["image"] for part in SERVICES}
    assert images.pop("ledger") == "motcua:1.1.0"
    assert images.pop("status") == f"motcua@sha256:{'b' * 64}"
    assert set(images.values()) == {f"motcua@sha256:{'a' * 64}"}
    migrating = {c["name"]: c["image"] for c in containers(one(objects, "Job", "migrate"))}
    assert (migrating["migrate-ledger"], migrating["migrate-dossier"]) == ("motcua:1.1.0", images["dossier"])


@pytest.mark.parametrize(
    ("typed", "tag"), [("20261130", "20261130"), ("0123", "0123"), ("7", "7"), ("1234567890123", "1234567890123")]
)
def test_digits_alone_are_a_tag_and_a_revision(typed: str, tag: str) -> None:
    paths = ("image.tag", "edge.image.tag", "services.ledger.image.tag", "secret.revision")
    given = ("--set", ",".join(f"{path}={typed}" for path in paths))
    base = ("template", "motcua", str(CHART), "--values", str(CHART / "values-province.yaml"))
    rendered = run(*base, *given)
    assert rendered.returncode == 0, rendered.stderr
    objects = [o for o in yaml.load_all(rendered.stdout, yaml.CSafeLoader) if o]
    for part, name in (("ledger", "motcua"), ("dossier", "motcua"), ("edge", "motcua-edge")):
        pod = one(objects, "Deployment", part)["spec"]["template"]
        assert pod["spec"]["containers"][0]["image"] == f"{name}:{tag}"
    assert pod["metadata"]["annotations"].get("motcua/secret-revision") is None
    assert one(objects, "Deployment", "dossier")["spec"]["template"]["metadata"]["annotations"][
        "motcua/secret-revision"
    ] == typed  # fmt: skip


def test_numbers_and_days_of_a_file_are_what_was_typed(tmp_path: Path) -> None:
    """Helm reads files without YAML's own idea of what a text is."""
    (tmp_path / "site.yaml").write_text(
        "image: {tag: 20261130}\nsecret: {revision: 1234567}\n"
        "sandbox: {enabled: true, until: 2027-12-31, province: 56}\npublicUrl: http://motcua-edge\n"
    )
    base = ("template", "motcua", str(CHART), "--values", str(CHART / "values-province.yaml"))
    rendered = run(*base, "--values", str(tmp_path / "site.yaml"))
    assert rendered.returncode == 0, rendered.stderr
    objects = [o for o in yaml.load_all(rendered.stdout, yaml.CSafeLoader) if o]
    pod = one(objects, "Deployment", "sandbox")["spec"]["template"]
    assert pod["spec"]["containers"][0]["image"] == "motcua:20261130"
    assert pod["spec"]["containers"][0]["command"][-1] == "56"
    assert pod["metadata"]["annotations"]["motcua/secret-revision"] == "1234567"
    assert one(objects, "ConfigMap", "environment")["data"]["MOTCUA_SANDBOX_UNTIL"] == "2027-12-31"


# Hooks


def test_hooks_run_in_the_order_that_each_needs() -> None:
    before = [
        "ServiceAccount motcua-jobs",
        "ExternalSecret motcua-secret",
        "Job motcua-needed",
        "NetworkPolicy motcua-migrate",
        "Job motcua-migrate",
    ]
    after = ["Job motcua-catalogue-load", "Secret motcua-first-administrator", "Job motcua-appoint"]
    for event in ("install", "upgrade"):
        assert hooks(variant("everything"), f"pre-{event}") == before
        assert hooks(variant("everything"), f"post-{event}") == after


@pytest.mark.parametrize("name", VARIANTS)
def test_a_job_before_the_release_has_its_network_before(name: str) -> None:
    """In a namespace that denies all, and where the release before went elsewhere."""
    objects = variant(name)
    policies = of_kind(objects, "NetworkPolicy")
    for o in (o for o in objects if "pre-" in o["metadata"].get("annotations", {}).get(HOOK, "") and pod_template(o)):
        component = o["metadata"]["name"].removeprefix("motcua-")
        if component == "needed" or not policies:
            assert "env" not in containers(o)[0] or component != "needed" or containers(o)[0]["env"] == []
            continue
        annotations = policies[component]["metadata"]["annotations"]
        assert annotations[HOOK] == "pre-install,pre-upgrade"
        assert int(annotations[WEIGHT]) < int(o["metadata"]["annotations"][WEIGHT])


@functools.cache
def needed(name: str) -> Object:
    return one(variant(name), "Job", "needed")


def looked(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The hook's own shell over what is mounted, here below a folder."""
    shell, flag, script, *rest = containers(needed(name))[0]["command"]
    return subprocess.run(
        [shell, flag, script.replace("/needed", str(folder), 1), *rest], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", VARIANTS)
def test_what_is_missing_is_named_before_anything_else(name: str, tmp_path: Path) -> None:
    (c,) = containers(needed(name))
    wanted = c["command"][4:]
    said = looked(name, tmp_path)
    assert said.returncode == 1
    *lines, last = said.stdout.splitlines()
    assert lines == [
        "missing in namespace site: {}, key {}".format(*path.rsplit("/", 1)) for path in wanted
    ]  # fmt: skip
    assert "Nothing was changed" in last
    for path in wanted:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    assert looked(name, tmp_path).returncode == 0
    (tmp_path / wanted[0]).write_text("")  # an empty one is none
    assert looked(name, tmp_path).stdout.startswith("missing in namespace site: ")
    # All that the notes ask for: the Secret's keys, and other objects but claims and what others pull or read whole.
    asked = re.findall(r"  (Secret|ConfigMap) ([\w-]+)", variant_notes(name))
    checked = {tuple(path.split("/")[:2]) for path in wanted}
    assert {pair for pair in asked if pair[1] not in ("pull", "extra")} <= checked


def test_looking_shows_nobody_a_secret() -> None:
    spec = needed("everything")["spec"]["template"]["spec"]
    assert "fsGroup" not in spec["securityContext"]
    assert spec["containers"][0]["env"] == []
    sources = [volume for volume in spec["volumes"] if volume["name"] != "tmp"]
    assert all(source.get("secret", source.get("configMap"))["optional"] for source in sources)
    assert {source["secret"]["defaultMode"] for source in sources if "secret" in source} == {0o400}
    assert {source["configMap"]["name"] for source in sources if "configMap" in source} == {
        "procedures",
        "more-procedures",
    }


def test_the_first_administrator_is_appointed_after_the_catalogue() -> None:
    objects = variant("everything")
    (c,) = containers(one(objects, "Job", "appoint"))
    assert c["command"] == [
        *("motcua", "appoint", "--decision", "12/QĐ-UBND", "--title", "Quản trị viên", "--wait", "600")
    ]
    given = {v["name"]: v["valueFrom"]["secretKeyRef"]["key"] for v in c["env"] if "valueFrom" in v}
    assert given == {
        "MOTCUA_DATABASE": "database-identity",
        "MOTCUA_MASTER_KEY": "master-key",
        "MOTCUA_MASTER_KEY_PREVIOUS": "master-key-previous",
        "MOTCUA_SERVICE_SECRET": "service-secret",
        "MOTCUA_FIRST_ADMINISTRATOR": "number",
    }
    secret = one(objects, "Secret", "first-administrator")
    assert secret["stringData"] == {"number": "056090001234"}
    assert "hook-succeeded" in secret["metadata"]["annotations"][DELETED]
    number = [o["metadata"]["name"] for o in objects if "056090001234" in str(o)]
    assert number == ["motcua-first-administrator"]
    assert "motcua appoint" in notes("province", {})
    assert "motcua appoint" not in variant_notes("everything")
    nation = template("national", {"firstAdministrator": {"personalNumber": "056090001234", "decisionNumber": "1"}})
    assert "firstAdministrator.agency is empty" in nation.stderr


# Trials, and roll-outs


def test_a_trial_makes_its_claim_and_saves_nothing_among_the_sites_backups() -> None:
    objects = variant("trial")
    claim = next(o for o in objects if o["kind"] == "PersistentVolumeClaim")
    assert (claim["metadata"]["name"], claim["spec"]["accessModes"]) == ("blobs", ["ReadWriteMany"])
    assert not of_kind(objects, "CronJob")
    assert "Nothing is backed up: backup.enabled is true, and backup.ofTrial is not set" in variant_notes("trial")
    own = render("province", {**TRIAL, "backup": {"ofTrial": True, "url": "s3://backup-of-the-trial"}})
    jobs = of_kind(own, "CronJob")
    assert {c["command"][2] for job in jobs.values() for c in containers(job)} == {"s3://backup-of-the-trial"}


def test_the_edge_waits_as_long_as_those_it_waits_for() -> None:
    for name in VARIANTS:
        deadlines = {
            o["metadata"]["name"]: o["spec"]["progressDeadlineSeconds"]
            for o in variant(name)
            if o["kind"] == "Deployment"
        }
        assert deadlines["motcua-edge"] >= max(deadlines.values())
    long = render("province", {"defaults": {"progressDeadlineSeconds": 7200}})
    assert one(long, "Deployment", "edge")["spec"]["progressDeadlineSeconds"] == 7200


# What the documents say to type

DOCUMENTS = [ROOT / "README.md", ROOT / "skaffold.yaml", CHART / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_no_document_says_to_type_what_breaks_a_release(path: Path) -> None:
    text = path.read_text()
    for rollback in re.findall(r"helm rollback .*", text):
        assert re.match(r"helm rollback motcua <revision>", rollback), rollback
    assert not re.findall(r"helm install motcua (?!.*--dry-run)", text)
    assert "set image" not in text
    for job in re.findall(r"create job --from=\S+ (\S+)", text):
        assert "$(date" in job, f"{job} is there already the second time"
