"""What a site needs and does not bring itself, in containers: a log that speaks KurrentDB's protocol, PostgreSQL, a bucket.

They run in the services' image, with this repository and the development environment mounted beside it.
"""

from __future__ import annotations

import os
import sys

import httpx

from scripts.images import ROOT
from tests.drill.podman import Podman
from tests.support.waiting import eventually

SOURCE = "/src"
PACKAGES = "/packages"
COMMANDS = {
    "kurrentdb": ("tests.doubles.kurrentdb", "--host", "kurrentdb", "--port", "2113"),
    "postgresql": ("tests.drill.postgresql",),
    "bucket": ("moto.server", "--host", "0.0.0.0", "--port", "9000"),
}
PASSWORD = "drill-of-postgresql"
DATABASE = f"postgresql+psycopg://motcua:{PASSWORD}@postgresql:5432/postgres"
EVENT_STORE = "kurrentdb://kurrentdb:2113?tls=false"
BUCKET = "http://bucket:9000"
BUCKET_KEYS = {"AWS_ACCESS_KEY_ID": "drill", "AWS_SECRET_ACCESS_KEY": "drill-of-the-bucket"}


def start(podman: Podman, image: str, network: str, prefix: str) -> None:
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    mounts = [f"--volume={ROOT}:{SOURCE}:ro", f"--volume={packages}:{PACKAGES}:ro"]
    path = os.pathsep.join((SOURCE, f"{SOURCE}/protos", PACKAGES))
    for name, command in COMMANDS.items():
        podman.run(
            "run", "--detach", f"--name={prefix}-{name}", f"--hostname={name}", f"--network={network}:alias={name}",
            "--read-only", "--tmpfs=/tmp:mode=1777", "--cap-drop=ALL", f"--env=PYTHONPATH={path}",
            f"--env=POSTGRESQL_PASSWORD={PASSWORD}", *mounts, "--entrypoint=python", image, "-m", *command,
        )  # fmt: skip


def make_bucket(address: str, name: str) -> None:
    def made() -> bool:
        try:
            return httpx.put(f"http://{address}:9000/{name}", timeout=5).is_success
        except httpx.TransportError:
            return False

    eventually(made)


def objects(address: str, name: str) -> str:
    """The bucket's list, as XML."""
    return httpx.get(f"http://{address}:9000/{name}", params={"list-type": "2"}, timeout=20).text
