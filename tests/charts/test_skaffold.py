"""skaffold.yaml: its structure, since the tool itself is not at hand everywhere."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from scripts.images import CONTAINERFILE, IMAGES
from tests.charts.chart import CHART, PROFILES, ROOT, profile

SKAFFOLD: dict[str, Any] = yaml.safe_load((ROOT / "skaffold.yaml").read_text())


def release(name: str) -> dict[str, Any]:
    (found,) = (p for p in SKAFFOLD["profiles"] if p["name"] == name)
    assert set(found) == {"name", "deploy"}
    (only,) = found["deploy"]["helm"]["releases"]
    return dict(only)


def test_the_version_is_known() -> None:
    assert (SKAFFOLD["apiVersion"], SKAFFOLD["kind"]) == ("skaffold/v4beta13", "Config")
    assert set(SKAFFOLD) == {"apiVersion", "kind", "metadata", "build", "profiles"}


def test_both_images_are_built_of_the_containerfile() -> None:
    artifacts = {artifact["image"]: artifact for artifact in SKAFFOLD["build"]["artifacts"]}
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert list(artifacts) == [values["image"]["repository"], values["edge"]["image"]["repository"]]
    assert {name: artifact["docker"]["target"] for name, artifact in artifacts.items()} == IMAGES
    for artifact in artifacts.values():
        assert set(artifact) <= {"image", "docker", "hooks", "requires"}
        containerfile = ROOT / artifact["docker"]["dockerfile"]
        assert containerfile == CONTAINERFILE
        assert re.search(rf"(?m)^FROM \S+ AS {artifact['docker']['target']}$", containerfile.read_text())
    (base,) = artifacts["motcua-edge"]["requires"]
    assert base["image"] == "motcua"
    assert f"ARG {base['alias']}=services" in CONTAINERFILE.read_text()
    (hook,) = artifacts["motcua"]["hooks"]["before"]
    assert hook["command"][:3] == ["python3", "-m", "scripts.images"]
    told = subprocess.run([sys.executable, *hook["command"][1:3], "--help"], cwd=ROOT, capture_output=True, text=True)
    assert all(option in told.stdout for option in hook["command"][3:])


def test_the_commands_of_the_first_lines_are_those_that_there_are() -> None:
    head = (ROOT / "skaffold.yaml").read_text().partition("apiVersion")[0]
    assert set(re.findall(r"--profile (\w+)", head)) <= set(PROFILES)
    assert set(re.findall(r"--images (\S+)=", head)) == set(IMAGES)
    (rolled_back,) = re.findall(r"helm rollback (\S+) <revision> --namespace (\S+)", head)
    assert rolled_back == (release("province")["name"], release("province")["namespace"])


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
    for path, template in templates.items():
        prefix, _, key = path.rpartition(".")
        image = values["image"] if prefix == "image" else values["edge"]["image"]
        wanted = image["repository"].replace("-", "_")
        assert template == "{{{{.IMAGE_{}_{}}}}}".format({"repository": "REPO", "tag": "TAG"}[key], wanted)
