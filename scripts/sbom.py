"""What is in an image, as CycloneDX JSON: `python -m scripts.sbom IMAGE FILE`.

Read from the image itself: dpkg's list, and the metadata of every Python package. Those installed below /opt/motcua must be the
wheels of requirements.lock, by their hashes; anything else there is an error. The same image has the same list, byte for byte.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from email.message import Message
from email.parser import Parser
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.exception import MissingOptionalDependencyException
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from packageurl import PackageURL
from packaging.utils import canonicalize_name, parse_wheel_filename

from scripts.images import ROOT, Engine, ImagesError, engine

DPKG = "var/lib/dpkg/status"
RELEASE = "etc/os-release"
OURS = PurePosixPath("opt/motcua")
WHEELS = str(OURS / "share/motcua/wheels.sha256")
PROJECT = ("motcua", "motcua-api")


@dataclass
class Found:
    """What the image's files say."""

    debian: str = ""
    release: dict[str, str] = field(default_factory=dict)
    wheels: dict[tuple[str, str], str] = field(default_factory=dict)
    """SHA-256 by name and version."""
    python: list[tuple[PurePosixPath, Message]] = field(default_factory=list)


def read(engine: Engine, reference: str) -> Found:
    """Raises ImagesError."""
    container = engine.run("create", reference).strip()
    try:
        export = [engine.program, "export", container]
        with subprocess.Popen(export, stdout=subprocess.PIPE, env=engine.whole_environment) as process:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                found = _read(tar)
            process.communicate()
    finally:
        engine.run("rm", container)
    if process.returncode:
        raise ImagesError(f"{reference} cannot be exported: {engine.program} ended with {process.returncode}")
    if not found.debian or not found.wheels:
        raise ImagesError(f"{reference} has no /{WHEELS if found.debian else DPKG}: it is none of our images")
    return found


def _read(tar: tarfile.TarFile) -> Found:
    found = Found()
    for member in tar:
        path = PurePosixPath(member.name)
        metadata = path.name == "METADATA" and path.parent.suffix == ".dist-info"
        if not member.isfile() or not (metadata or member.name in (DPKG, WHEELS) or path.name == "os-release"):
            continue
        file = tar.extractfile(member)
        assert file
        text = file.read().decode()
        if metadata:
            found.python.append((path, Parser().parsestr(text)))
        elif member.name == DPKG:
            found.debian = text
        elif path.name == "os-release":
            found.release = {
                key: value.strip('"') for key, _, value in (line.partition("=") for line in text.split("\n"))
            }
        else:
            found.wheels = dict(map(_wheel, text.splitlines()))
    return found


def _wheel(line: str) -> tuple[tuple[str, str], str]:
    digest, _, file = line.partition("  ")
    name, version, _, _ = parse_wheel_filename(file)
    return (name, str(version)), digest


def components(found: Found, lock: str) -> Iterator[Component]:
    """Raises ImagesError for a Python package of ours that the lock does not have."""
    release = found.release["ID"], found.release["VERSION_ID"]
    yield Component(name=release[0], version=release[1], type=ComponentType.OPERATING_SYSTEM, bom_ref="os")
    for stanza in filter(str.strip, found.debian.split("\n\n")):
        package = Parser().parsestr(stanza)
        if package["Status"].endswith(" installed"):
            yield _debian(package, *release)
    for path, metadata in found.python:
        yield _python(path, metadata, found.wheels, lock)


def _debian(package: Message, distribution: str, version: str) -> Component:
    qualifiers = {"arch": package["Architecture"], "distro": f"{distribution}-{version}"}
    purl = PackageURL("deb", distribution, package["Package"], package["Version"], qualifiers)
    return Component(name=package["Package"], version=package["Version"], purl=purl, bom_ref=str(purl))


def _python(path: PurePosixPath, metadata: Message, wheels: dict[tuple[str, str], str], lock: str) -> Component:
    name, version = canonicalize_name(metadata["Name"]), metadata["Version"]
    purl = PackageURL("pypi", None, name, version)
    hashes = []
    # Deeper ones are copies that a wheel carries inside it.
    installed = path.parent.parent.name in ("site-packages", "dist-packages")
    if path.is_relative_to(OURS) and installed and name not in PROJECT:
        digest = wheels.get((name, version))
        if digest is None or f"sha256:{digest}" not in lock:
            raise ImagesError(f"{name} {version} in /{path.parent} is no wheel of requirements.lock")
        hashes.append(HashType(alg=HashAlgorithm.SHA_256, content=digest))
    licence = metadata["License-Expression"] or metadata["License"] or ""
    licences = [LicenseFactory().make_from_string(licence)] if licence and "\n" not in licence else []
    place = [Property(name="motcua:path", value=f"/{path.parent}")]
    return Component(
        name=name,
        version=version,
        purl=purl,
        bom_ref=f"/{path.parent}",
        hashes=hashes,
        licenses=licences,
        properties=place,
    )


def document(image: dict[str, Any], found: Found, lock: str) -> str:
    """Raises ImagesError."""
    identity = str(image["Id"]).removeprefix("sha256:")
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in image["Config"]["Labels"].items()}
    whole = Component(
        name=labels["title"],
        version=labels["version"],
        type=ComponentType.CONTAINER,
        bom_ref="image",
        # Of the image's configuration, which names its layers by their hashes: podman and docker call it the image's id.
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=identity)],
        properties=[Property(name="motcua:revision", value=labels["revision"])],
    )
    parts = list(components(found, lock))
    bom = Bom(
        components=parts,
        serial_number=uuid5(NAMESPACE_URL, f"sha256:{identity}"),
        metadata=BomMetaData(component=whole, timestamp=datetime.fromisoformat(image["Created"])),
    )
    bom.register_dependency(whole, parts)
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    validate(text)
    return text + "\n"


def validate(text: str) -> None:
    """Against CycloneDX's schema. Raises ImagesError."""
    # It compiles a grammar when it is imported, which takes seconds.
    from cyclonedx.validation.json import JsonStrictValidator

    try:
        wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    except MissingOptionalDependencyException as missing:
        raise ImagesError(f"The list cannot be checked: {missing}") from None
    if wrong:
        raise ImagesError(f"The list is not as CycloneDX 1.6 wants it: {wrong}")


def write(engine: Engine, reference: str, path: Path) -> Path:
    """Raises ImagesError."""
    [image] = json.loads(engine.run("image", "inspect", reference))
    text = document(image, read(engine, reference), (ROOT / "requirements.lock").read_text())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.sbom", description=__doc__)
    parser.add_argument("image")
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    try:
        write(engine(), given.image, given.file)
    except ImagesError as error:
        sys.exit(f"sbom: {error}")


if __name__ == "__main__":
    main()
