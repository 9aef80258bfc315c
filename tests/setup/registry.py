"""A package registry on the loopback: what a lock lists as wheels without content, and what may come out tomorrow."""

from __future__ import annotations

import base64
import hashlib
import stat
import threading
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

# What versions of tomorrow need, and no lock lists.
UNLISTED = "came-out-tomorrow"


def listed(lock: Path) -> dict[str, str]:
    """The version by name of what the lock lists for this machine."""
    lines = (line.rstrip(" \\") for line in lock.read_text().splitlines() if line[:1].isalnum())
    requirements = [Requirement(line) for line in lines]
    here = [each for each in requirements if each.marker is None or each.marker.evaluate()]
    return {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in here}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


class Registry:
    """Wheels below `folder`, by the simple repository API (PEP 503)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hashes: dict[str, str] = {}

    def offer(self, name: str, *, whole: bool = False) -> None:
        """The installed package, `whole` or its metadata alone, and a version of tomorrow with the same extras."""
        installed = distribution(name)
        wheel = self._wheel(installed, installed.version, installed.requires or [], whole=whole)
        self._hashes[canonicalize_name(name)] = hashlib.sha256(wheel.read_bytes()).hexdigest()
        extras = installed.metadata.get_all("Provides-Extra") or []
        more = [UNLISTED, *(f'{UNLISTED}; extra == "{extra}"' for extra in extras)]
        self._wheel(installed, _next(installed.version), [*(installed.requires or []), *more])

    def lock(self, names: Iterable[str]) -> str:
        return "".join(f"{each}=={distribution(each).version} --hash=sha256:{self._hashes[each]}\n" for each in names)

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Its address."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(self._folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()

    def _wheel(self, installed: Distribution, version: str, requires: Iterable[str], *, whole: bool = False) -> Path:
        name = canonicalize_name(installed.metadata["Name"])
        stem = f"{name.replace('-', '_')}-{version}"
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Provides-Extra: {extra}" for extra in installed.metadata.get_all("Provides-Extra") or []]
        lines += [f"Requires-Dist: {each}" for each in requires]
        contents = {f"{stem}.dist-info/METADATA": ("\n".join(lines) + "\n").encode()}
        contents[f"{stem}.dist-info/WHEEL"] = (
            b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        contents |= _files(installed, stem) if whole else {}
        record = [f"{path},sha256={_digest(content)},{len(content)}" for path, content in contents.items()]
        contents[f"{stem}.dist-info/RECORD"] = "\n".join([*record, f"{stem}.dist-info/RECORD,,", ""]).encode()
        (self._folder / name).mkdir(parents=True, exist_ok=True)
        wheel = self._folder / name / f"{stem}-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, content in contents.items():
                info = zipfile.ZipInfo(path)
                info.external_attr = (stat.S_IFREG | (0o755 if "/scripts/" in path else 0o644)) << 16
                archive.writestr(info, content)
        return wheel


def _files(installed: Distribution, stem: str) -> dict[str, bytes]:
    """What the package laid down, at its places in a wheel."""
    laid = {}
    for path in installed.files or []:
        if path.parts[0].endswith(".dist-info"):
            inside = f"{stem}.dist-info/{path.name}" if path.name == "entry_points.txt" else ""
        else:
            inside = f"{stem}.data/scripts/{path.name}" if path.parts[0] == ".." else str(path)
        if inside and path.suffix != ".pyc":
            laid[inside] = path.read_binary()
    return laid


def _next(version: str) -> str:
    """The smallest step, which ranges like `<2.0` allow."""
    *kept, last = Version(version).release
    return ".".join(map(str, (*kept, last + 1)))


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
