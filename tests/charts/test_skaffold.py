"""skaffold.yaml: its structure, since the tool itself is not at hand everywhere."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.charts.chart import CHART, PROFILES, ROOT, profile

SKAFFOLD: dict[str, Any] = yaml.safe_load((ROOT / "skaffold.yaml").read_text())


def release(name: str) -> dict[str, Any]:
    (found,) = (p for p in SKAFFOLD["profiles"] if p["name"] == name)
    assert set(found) == {"name", "deploy"}
    (only,) = found["deploy"]["helm"]["releases"]
    return dict(only)


def test_the_version_is_known() -> None:
    assert (SKAFFOLD["apiVersion"], SKAFFOLD["kind"]) == ("skaffold/v4beta13", "Config")
    assert set(SKAFFOLD) == {"apiVersion", "kind", "metadata", "profiles"}


def test_there_is_a_profile_for_each_kind_of_site() -> None:
    assert tuple(p["name"] for p in SKAFFOLD["profiles"]) == PROFILES


@pytest.mark.parametrize("name", PROFILES)
def test_every_path_exists_and_is_the_profiles_own(name: str) -> None:
    found = release(name)
    assert set(found) == {"name", "namespace", "createNamespace", "chartPath", "valuesFiles", "setValueTemplates"}
    assert (ROOT / found["chartPath"] / "Chart.yaml").is_file()
    assert [ROOT / path for path in found["valuesFiles"]] == [profile(name)]
    assert profile(name).is_file()


@pytest.mark.parametrize("name", PROFILES)
def test_the_site_has_its_own_namespace(name: str) -> None:
    assert release(name)["namespace"] == f"motcua-{yaml.safe_load(profile(name).read_text())['site']}"


@pytest.mark.parametrize("name", PROFILES)
def test_the_image_is_the_charts(name: str) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    templates = release(name)["setValueTemplates"]
    for path in templates:
        part = values
        for key in path.split("."):
            part = part[key]
    images = {re.fullmatch(r"\{\{\.IMAGE_(?:REPO|TAG)_(\w+)\}\}", t) for t in templates.values()}
    assert {image and image[1] for image in images} == {values["image"]["repository"]}
