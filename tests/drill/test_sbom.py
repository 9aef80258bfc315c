"""A list of what is in an image says nothing that the lock does not, and refuses what the lock does not have."""

from __future__ import annotations

import json
from email.message import Message
from email.parser import Parser
from pathlib import PurePosixPath

import pytest

from scripts.images import ImagesError
from scripts.sbom import Found, document, validate

SITE = PurePosixPath("opt/motcua/lib/python3.11/site-packages")
DIGEST = "a" * 64
LOCK = f"grpcio==1.85.1 \\\n    --hash=sha256:{DIGEST}\n"
DPKG = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""
LABELS = {"title": "motcua", "version": "0.1.0", "revision": "0123abc"}
IMAGE = {
    "Id": "sha256:" + "b" * 64,
    "Created": "2026-11-22T10:00:00Z",
    "Config": {"Labels": {f"org.opencontainers.image.{key}": value for key, value in LABELS.items()}},
}


def package(name: str, version: str, folder: PurePosixPath = SITE) -> tuple[PurePosixPath, Message]:
    metadata = Parser().parsestr(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n")
    return folder / f"{name}-{version}.dist-info" / "METADATA", metadata


def image(*python: tuple[PurePosixPath, Message]) -> Found:
    release = {"ID": "debian", "VERSION_ID": "12"}
    return Found(DPKG, release, {("grpcio", "1.85.1"): DIGEST, ("rogue", "1"): "c" * 64}, list(python))


def test_each_part_has_its_version_and_each_wheel_its_hash() -> None:
    vendored = package("more", "1", SITE / "setuptools" / "_vendor")
    text = document(IMAGE, image(package("grpcio", "1.85.1"), package("motcua", "0.1.0"), vendored), LOCK)
    validate(text)
    parts = {part["name"]: part for part in json.loads(text)["components"]}
    assert set(parts) == {"debian", "libc6", "grpcio", "motcua", "more"}
    assert parts["libc6"]["purl"] == "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12"
    assert parts["grpcio"]["hashes"] == [{"alg": "SHA-256", "content": DIGEST}]
    assert "hashes" not in parts["more"]


def test_the_same_image_has_the_same_list() -> None:
    assert document(IMAGE, image(package("grpcio", "1.85.1")), LOCK) == document(
        IMAGE, image(package("grpcio", "1.85.1")), LOCK
    )


@pytest.mark.parametrize(("name", "version"), [("grpcio", "1.85.0"), ("rogue", "1"), ("unknown", "1")])
def test_what_is_not_in_the_lock_is_refused(name: str, version: str) -> None:
    with pytest.raises(ImagesError, match=f"{name} {version} in /.* is no wheel of requirements.lock"):
        document(IMAGE, image(package(name, version)), LOCK)


def test_a_list_that_is_none_is_refused() -> None:
    with pytest.raises(ImagesError, match="not as CycloneDX"):
        validate('{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": "no type"}]}')
