"""Whoever cannot read the one list of services repeats it, and names the same ones."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

import pytest
import yaml

from command.backup import durable
from command.registry import service_classes
from command.schemas import schemas_of
from services.notification.channels.carriers import CARRIERS
from services.notification.values import Channel
from services.registry import SERVICES, Service
from tests.charts.chart import CHART, ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text("utf-8"))["properties"]["services"]
IN_SERVICES = {name for name, service in SERVICES.items() if service.entry.startswith("services.")}


def named(path: str, pattern: str) -> list[set[str]]:
    """What each place of a file that looks so lists."""
    found = re.findall(pattern, (ROOT / path).read_text("utf-8"))
    assert found, f"{path} has nothing like {pattern}"
    return [set(re.findall(r"[\w-]+", each)) for each in found]


def contract(name: str) -> dict[str, Any]:
    (found,) = (each for each in PYPROJECT["tool"]["importlinter"]["contracts"] if each["name"] == name)
    return dict(found)


def helper(name: str) -> set[str]:
    (found,) = named("charts/motcua/templates/_helpers.tpl", rf'define "motcua.{name}" -}}}}(.*?){{{{- end')
    return found


def those(which: Callable[[Service], object]) -> set[str]:
    return {name for name, service in SERVICES.items() if which(service)}


def those_durable() -> set[str]:
    return {service.durable for service in SERVICES.values()} - {""}


OPERATIONS = (ROOT / "docs/operations.md").read_text("utf-8")
LAYER = contract("No service imports another; all stand on the chassis and the law")["layers"][1]
FORBIDDEN = contract("The gateway knows the chassis and the law, not the services")["forbidden_modules"]
LISTS: dict[str, tuple[Iterable[str], Iterable[str]]] = {
    "pyproject.toml: layers of services": (re.findall(r"\w+", LAYER), IN_SERVICES),
    "pyproject.toml: what the gateway may not import": (
        {module.removeprefix("services.") for module in FORBIDDEN} - {"settings"},
        IN_SERVICES,
    ),
    "charts/motcua/values.yaml": (yaml.safe_load((CHART / "values.yaml").read_text())["services"], SERVICES),
    "charts/motcua/values.schema.json: properties": (SCHEMA["properties"], SERVICES),
    "charts/motcua/values.schema.json: required": (SCHEMA["required"], SERVICES),
    "charts/motcua/templates: motcua.havePages": (helper("havePages"), those(lambda service: service.pages)),
    "charts/motcua/templates: motcua.askKeys": (helper("askKeys"), those(lambda service: service.asks_keys)),
    "charts/motcua/templates: motcua.keepFiles": (
        helper("keepFiles") - {"backup", "backup-between"},
        those(lambda service: service.files),
    ),
    "charts/motcua/README.md: who asks identity": (
        named("charts/motcua/README.md", r"\| (.*) \| identity 50051")[0],
        those(lambda service: service.asks_keys),
    ),
    "charts/motcua/README.md: who keeps files": (
        named("charts/motcua/README.md", r"\| (.*), backups \| bucket")[0],
        those(lambda service: service.files),
    ),
    "README.md: the picture": (
        named("README.md", r"\n +(identity .*)gateway/status, gateway/ledger")[0],
        IN_SERVICES,
    ),
    "docs/operations.md: databases that no log gives back": (
        {
            f"{name} {durable}"
            for case in re.findall(r"case \$service in (.*) \*\)", OPERATIONS)
            for name, durable in re.findall(r"(\w+)\) more=([\w-]+)", case)
        },
        # Another database than that of the service's name.
        {f"{name} {each.durable}" for name, each in SERVICES.items() if each.durable not in ("", name)},
    ),
    "docs/operations.md: what a backup may read": (
        re.findall(r"[\w-]+", re.findall(r"GRANT USAGE ON SCHEMA (.*) TO motcua_backup", OPERATIONS)[0]),
        those_durable(),
    ),
    "command/backup/durable.py": (durable.DURABLE, those_durable()),
    **{
        f"{path}, loop {number}": (found - {"backup"}, SERVICES)
        for path in ("charts/motcua/README.md", "docs/operations.md")
        for number, found in enumerate(named(path, r"for \w+ in (identity .*); do"))
    },
}


@pytest.mark.parametrize("place", LISTS)
def test_they_are_named_alike(place: str) -> None:
    found, wanted = map(set, LISTS[place])
    assert not wanted - found, f"{place} lacks {', '.join(sorted(wanted - found))}"
    assert not found - wanted, (
        f"{place} has {', '.join(sorted(found - wanted))}, which services/registry.py does not say"
    )


def test_every_service_of_the_tree_is_in_the_list() -> None:
    files = [*ROOT.glob("services/*/service.py"), *ROOT.glob("gateway/*/service.py")]
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files}
    assert modules == {service.entry.partition(":")[0] for service in SERVICES.values()}


def test_the_chart_s_readme_gives_each_secret_to_whom_it_is_given() -> None:
    rows = re.findall(r"^\| (`.*?) \| .* \| (\w+)", (CHART / "README.md").read_text("utf-8"), re.MULTILINE)
    listed = {(key, owner) for keys, owner in rows for key in re.findall(r"`([\w-]+)`", keys) if owner in SERVICES}
    assert listed == {
        (secret.replace("_", "-"), name)
        for name, service in SERVICES.items()
        for secret in (*service.secrets, *service.given)
    } | {(secret.replace("_", "-"), "notification") for secret in CARRIERS[Channel.EMAIL].secrets}


@pytest.mark.parametrize("service", SERVICES.values(), ids=lambda service: service.name)
def test_a_service_is_what_the_list_says(service: Service) -> None:
    (cls,) = service_classes([service.name])
    made: Any = cls
    assert made.name == service.name
    api = getattr(made, "rpcs", None)
    assert (api is not None) == service.api
    if service.api:
        module = import_module(f"motcua.{service.name}.v1.{service.name}_service_pb2")
        assert module.DESCRIPTOR.services_by_name[f"{service.name.title()}Service"] is api
    schemas = schemas_of(service.name)
    assert {schema.name for schema in schemas if schema.durable} == {service.durable} - {""}
    assert any(schema.views for schema in schemas) == service.views
