from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.charts.chart import ROOT, VARIANTS, template

CHECKOV = ROOT / ".venv" / "checkov" / "bin" / "checkov"
EVERYTHING = ".*"
# Where a check does not hold, and why. One that holds everywhere is taken off.
EXCEPTIONS = {
    "CKV_K8S_8": (r"Pod\.site\.motcua-test", "the release's test asks once and ends"),
    "CKV_K8S_9": (r"Pod\.site\.motcua-test", "the release's test serves nothing"),
    "CKV_K8S_11": (EVERYTHING, "no CPU limit: it throttles a single busy thread; requests share the CPU fairly"),
    "CKV_K8S_15": (EVERYTHING, "images are named by version or digest, which never change what they are"),
    "CKV_K8S_35": (
        EVERYTHING,
        "settings are read from the environment; nothing in the images prints it, and there is no shell",
    ),
    "CKV_K8S_40": (
        r"StatefulSet\.site\.motcua-(postgresql|kurrentdb)",
        "the users that these public images are made for",
    ),
    "CKV_K8S_43": (EVERYTHING, "image.digest is a value; the chart cannot know the digest of images that you build"),
}


def failed(folder: Path) -> list[tuple[str, str, str]]:
    """Check, its name, the object."""
    options = ("--framework", "kubernetes", "--skip-download", "--quiet", "--compact", "-o", "json")
    command = [str(CHECKOV), "-d", str(folder), *options]
    ran = subprocess.run(command, capture_output=True, text=True)
    try:
        report = json.loads(ran.stdout)
    except ValueError:
        sys.exit(f"checkov ended with {ran.returncode} and no report:\n{ran.stderr[-2000:]}")
    if report["summary"]["parsing_errors"] or not report["summary"]["passed"]:
        sys.exit(f"checkov read nothing, or not all: {report['summary']}")
    return [(found["check_id"], found["check_name"], found["resource"]) for found in report["results"]["failed_checks"]]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        for name, (profile, values) in VARIANTS.items():
            made = template(profile, values)
            if made.returncode:
                sys.exit(f"{name}: {made.stderr}")
            Path(folder, f"{name}.yaml").write_text(made.stdout)
        found = failed(Path(folder))
    allowed = {check: re.compile(where) for check, (where, _) in EXCEPTIONS.items()}
    wrong = {f for f in found if f[0] not in allowed or not allowed[f[0]].fullmatch(f[2])}
    for check, name, where in sorted(wrong):
        print(f"✗ {where}: {name} ({check})")
    idle = set(EXCEPTIONS) - {check for check, _, _ in found}
    for check in sorted(idle):
        print(f"✗ {check} holds everywhere: take its exception off")
    print(f"checkov: {len(VARIANTS)} variants, {len(wrong)} problems, {len(EXCEPTIONS)} exceptions with their reasons")
    return 1 if wrong or idle else 0


if __name__ == "__main__":
    sys.exit(main())
