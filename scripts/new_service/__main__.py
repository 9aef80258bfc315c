"""python -m scripts.new_service booking: a service that does one thing, from which the next one can be made."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

ROOT = Path(__file__).resolve().parents[2]
NAME = re.compile(r"[a-z]{3,20}")
TEMPLATES = Path(__file__).with_name("templates")
# By the template; `name` is replaced.
FILES = {
    "service.proto": "protos/motcua/name/v1/name_service.proto",
    "errors.proto": "protos/motcua/name/v1/errors.proto",
    "events.proto": "protos/motcua/name/events/v1/events.proto",
    **{
        f"{each}.py": f"services/name/{each}.py"
        for each in ("values", "events", "commands", "refusals", "domain", "codec", "views", "messages", "service")
    },
    "test_service.py": "tests/name/test_name.py",
    "empty": "services/name/__init__.py",
    "empty_test": "tests/name/__init__.py",
}


def write(root: Path, name: str) -> None:
    """Raises SystemExit for a name that cannot be one, or is taken."""
    if not NAME.fullmatch(name):
        sys.exit(f"{name} cannot be a service's name: 3 to 20 small letters.")
    if (root / "services" / name).exists() or (root / "gateway" / name).exists():
        sys.exit(f"There is a {name} already.")
    environment = Environment(loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True)
    for template, path in FILES.items():
        target = root / re.sub(r"\bname\b|name(?=_service\.proto)|(?<=test_)name", name, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = "" if template.startswith("empty") else environment.get_template(f"{template}.j2").render(name=name)
        target.write_text(text, "utf-8")
    _name_it(root, name)


def _name_it(root: Path, name: str) -> None:
    """After the warehouse, wherever services are named; tests/setup/test_services.py tells if a place was forgotten."""
    entry = f'Service(name="{name}", entry="services.{name}.service:{name.title()}Service"),'
    _put(root / "services/registry.py", r'(\n        )(Service\(\n            name="status")', rf"\1{entry}\1\2")
    _put(root / "pyproject.toml", r'("catalogue \|[^"]*)"', rf'\1 | {name}"')
    _put(root / "pyproject.toml", r'(\n  "services\.warehouse",)', rf'\1\n  "services.{name}",')
    _put(root / "charts/motcua/values.yaml", r"(\n  warehouse: \{\})", rf"\1\n  {name}: {{}}")
    schema = root / "charts/motcua/values.schema.json"
    _put(schema, r'("required": \["identity", [^\]]*"warehouse")', rf'\1, "{name}"')
    _put(schema, r'(\n *)("warehouse": )(\{.*\}),', rf'\1\2\3,\1"{name}": \3,')
    for path in ("charts/motcua/README.md", "docs/operations.md"):
        _put(root / path, r"(for \w+ in identity .*?warehouse)", rf"\1 {name}")
    _put(root / "README.md", r"(\n +identity .*?warehouse)", rf"\1 {name}")


def _put(path: Path, pattern: str, new: str) -> None:
    text, times = re.subn(pattern, new, path.read_text("utf-8"))
    if not times:
        sys.exit(f"{path} names no services where they were named: {pattern}")
    path.write_text(text, "utf-8")


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    name = sys.argv[1]
    write(ROOT, name)
    for command in (("check", "-q", "--fix"), ("format", "-q")):
        subprocess.run([Path(sys.executable).with_name("ruff"), *command, "services", "tests"], cwd=ROOT, check=True)
    for module in ("scripts.build_protos", "scripts.document", "tests.charts.golden"):
        subprocess.run([sys.executable, "-m", module], cwd=ROOT, check=True)
    print(
        f"services/{name}, protos/motcua/{name} and tests/{name} are written. Now: make check, make test TESTS=tests/{name}"
    )


if __name__ == "__main__":
    main()
