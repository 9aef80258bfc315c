"""One site as the chart deploys it, in containers: Helm's order, the kubelet's questions, `helm test`."""

from __future__ import annotations

import json
import secrets
import subprocess
from base64 import b64encode
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import grpc
import httpx
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from scripts.helm import helm
from scripts.images import ROOT
from services.chassis.access.certificates import Files, peer_name
from services.registry import SERVICES
from tests.drill import stand_ins
from tests.drill.filter import Pod, Rendered, rendered
from tests.drill.podman import Podman
from tests.support import authority
from tests.support.authority import Authority
from tests.support.waiting import eventually

RELEASE = "motcua"
CHART = ROOT / "charts" / "motcua"
RANDOM = (
    *("service-secret", "master-key", "qr-key", "ledger-key", "witness-key"),
    *("vneid-client-secret", "population-secret", "vnpay-secret"),
)
PARTS = (*SERVICES, "edge", "sandbox")
# Of a busy machine that starts everything at once.
START_SECONDS = 600.0
HOOK_SECONDS = 600.0


@dataclass
class Site:
    podman: Podman
    folder: Path
    profile: str
    site: str
    province: str
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    network: str = ""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        # Another one each time: what is known of one stays, where its drill was interrupted.
        self.network = f"drill-{self.profile}-{secrets.token_hex(3)}"
        self.authority = Authority(self.folder / "authority")
        self.secrets = {"motcua": self._keys(), "motcua-bucket": dict(stand_ins.BUCKET_KEYS)}
        self.secrets |= {f"{RELEASE}-{part}-certificate": self._certificate(part) for part in PARTS}

    def _keys(self) -> dict[str, str]:
        return {name: secrets.token_hex(32) for name in RANDOM} | {
            f"database-{owner}": stand_ins.DATABASE for owner in (*SERVICES, "backup")
        }

    def files(self, part: str) -> Files:
        return self.authority.give(part, peer_name(part, self.site))

    def credentials(self, part: str) -> grpc.ChannelCredentials:
        return authority.credentials(self.files(part), self.authority.certificate)

    def channel_options(self, part: str) -> list[tuple[str, str]]:
        """For a part that is reached by its address."""
        return [("grpc.ssl_target_name_override", peer_name(part, self.site))]

    def _certificate(self, part: str) -> dict[str, str]:
        """What cert-manager would write."""
        files = self.files(part)
        return {
            "tls.crt": files.certificate.read_text(),
            "tls.key": files.key.read_text(),
            "ca.crt": files.authority.read_text(),
        }

    @property
    def values(self) -> dict[str, Any]:
        """A trial of the profile: the sandbox instead of the national systems, the stand-ins instead of the site's own servers."""
        return {
            "image": {"repository": "localhost/motcua", "tag": "drill"},
            "edge": {"image": {"repository": "localhost/motcua-edge", "tag": "drill"}},
            # podman has no Services: a name leads to the pod, whose port is the only one.
            "publicUrl": self.url,
            "mutualTls": {"enabled": True},
            "eventStore": {"url": stand_ins.EVENT_STORE},
            "blobs": {
                "url": f"s3://{self.bucket}/{self.site}",
                "endpoint": stand_ins.BUCKET,
                "region": "us-east-1",
                "secret": "motcua-bucket",
            },
            # The nation's services make their schemas themselves.
            "migrate": {"enabled": self.profile == "province"},
            "sandbox": {"enabled": True, "until": "2099-12-31", "province": self.province},
            # Whoever plays the day is a citizen here, not the national portal.
            "submission": {"cutover": "", "address": ""},
            "backup": {"ofTrial": True},
            "vneid": {"url": ""},
            "population": {"url": ""},
            "vnpay": {"url": "", "apiUrl": ""},
        }

    @property
    def url(self) -> str:
        """Of the edge, for whoever is in the site's network."""
        return f"http://{RELEASE}-edge:8080"

    @property
    def bucket(self) -> str:
        return f"motcua-{self.site}"

    @property
    def backups(self) -> str:
        """The bucket that the profile names."""
        return f"motcua-backup-{self.site}"

    @cached_property
    def rendered(self) -> Rendered:
        values = self.folder / "values.yaml"
        values.write_text(yaml.safe_dump(self.values))
        files = [f"--values={CHART / f'values-{self.profile}.yaml'}", f"--values={values}"]
        done = subprocess.run([helm(), "template", RELEASE, CHART, *files], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return rendered([one for one in yaml.safe_load_all(done.stdout) if one], self.secrets)

    def install(self) -> None:
        """As `helm install --wait`."""
        self.podman.run("network", "create", self.network)
        for name, values in self.secrets.items():
            self._secret(name, values)
        stand_ins.start(self.podman, "localhost/motcua:drill", self.network, self.network)
        for bucket in (self.bucket, self.backups):
            stand_ins.make_bucket(self.address(f"{self.network}-bucket"), bucket)
        self.run_hooks("pre-install")
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(self.play, self.rendered.deployments))
        for pod in self.rendered.deployments:
            self.wait_until_ready(pod)
        self.run_hooks("post-install")

    def stop(self, pod: Pod) -> None:
        """SIGTERM, and SIGKILL when the chart's grace is over."""
        self.podman.run("stop", "--time", str(pod.spec["terminationGracePeriodSeconds"]), *pod.containers)

    def uninstall(self) -> None:
        self.podman.run("pod", "rm", "--all", "--force", "--time", "0")
        self.podman.run("rm", "--all", "--force", "--time", "0")
        self.podman.run("volume", "prune", "--force")
        self.podman.run("network", "rm", self.network)
        self.podman.run("secret", "rm", "--all")

    def _secret(self, name: str, values: Mapping[str, str]) -> None:
        """As podman wants it for secretKeyRef: JSON, its values in base64. It refuses what `kube play` makes of a Secret."""
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps({key: b64encode(value.encode()).decode() for key, value in values.items()}))
        self.podman.run("secret", "create", name, str(path))

    def play(self, pod: Pod) -> None:
        path = self.folder / f"{pod.name}.yaml"
        path.write_text(yaml.safe_dump_all(pod.documents(self.rendered.config_maps)))
        self.podman.run("kube", "play", f"--network={self.network}:alias={pod.name}", str(path))

    def run_hooks(self, hook: str) -> str:
        """What the last one printed."""
        said = [self.run_job(pod) for pod in self.rendered.hooks.get(hook, [])]
        return said[-1] if said else ""

    def run_job(self, pod: Pod) -> str:
        """What its last container printed."""
        self.play(pod)
        for container in pod.containers:
            code = self.podman.run("wait", container, seconds=HOOK_SECONDS).strip()
            assert code == "0", f"{container} ended with {code}:\n{self.log(container)}"
        return self.podman.run("logs", pod.containers[-1])

    def address(self, container: str) -> str:
        networks = self.podman.inspect("container", container)["NetworkSettings"]["Networks"]
        return str(networks[self.network]["IPAddress"])

    def pod_address(self, name: str) -> str:
        return self.address(self.podman.inspect("pod", name)["InfraContainerID"])

    def wait_until_ready(self, pod: Pod) -> None:
        address = self.pod_address(pod.name)
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            passes = partial(answers, address, pod.probes[probe])
            eventually(passes, START_SECONDS, partial(self._unready, f"{pod.name}'s {probe}"))

    def _unready(self, probe: str) -> str:
        return f"{probe}\n{self.logs()}"

    def logs(self) -> str:
        """The last of every container."""
        said = ""
        for line in self.podman.run("ps", "--all", "--format", "{{.Names}} {{.Status}}").splitlines():
            name = line.partition(" ")[0]
            said += f"--- {line}\n{self.log(name)[-1500:]}\n"
        return said

    def log(self, container: str) -> str:
        done = subprocess.run(
            ["podman", "logs", container], env=self.podman.whole_environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        return done.stdout


def answers(address: str, probe: Mapping[str, Any]) -> bool:
    """What the kubelet would see: it shows no certificate and verifies none."""
    if "httpGet" in probe:
        get = probe["httpGet"]
        url = f"{get.get('scheme', 'HTTP').lower()}://{address}:{get['port']}{get['path']}"
        try:
            return httpx.get(url, verify=False, timeout=probe.get("timeoutSeconds", 1)).status_code < 400
        except httpx.TransportError:
            return False
    with grpc.insecure_channel(f"{address}:{probe['grpc']['port']}") as channel:
        try:
            reply = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
        except grpc.RpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)
