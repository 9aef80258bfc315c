"""A file held against the kind that it was announced as, and what of it is kept.

For confined processes alone (services/chassis/work/confined.py): one program for each of the modules that read files, so that none
loads another's parsers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from services.chassis.work.confined import Produced
from services.dossier.files import drawings, signed
from services.dossier.files.faults import FileFaulty
from services.dossier.files.kinds import HEADER_WITHIN
from services.dossier.values import DWG, DXF, HEIC, JPEG, PDF, PNG, XML

_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

Keep = Callable[[bytearray, str], tuple[bytes | bytearray, str]]
"""What is kept of a content of a type, and its type. Raises FileFaulty."""


def judged(keep: Keep, content: bytearray, media_type: str, sha256: str, largest: int) -> Any:
    """What becomes of a content.

    {} if it is kept as it is; {"kept": {media_type, sha256, size}} with the bytes if others are kept in its place;
    {"reason": ..., "facts": ...} if it is refused.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        return {"reason": "UPLOAD_CONTENT_WRONG", "facts": {"why": f"sha256 {found}"}}
    if (seen := _looks(content)) != media_type:
        return {"reason": "UPLOAD_CONTENT_WRONG", "facts": {"why": f"media_type {seen or '?'}"}}
    try:
        kept, kept_type = keep(content, media_type)
    except FileFaulty as fault:
        return {"reason": fault.reason, "facts": fault.facts}
    if kept == content:
        return {}
    if len(kept) > largest:
        return {"reason": "UPLOAD_TOO_LARGE", "facts": {"limit": str(largest)}}
    digest = hashlib.sha256(kept).hexdigest()
    return Produced({"kept": {"media_type": kept_type, "sha256": digest, "size": len(kept)}}, bytes(kept))


def judge(content: bytearray, media_type: str, sha256: str, largest: int) -> Any:
    """What becomes of a drawing or a signed XML, as `judged` has it."""
    return judged(_keep, content, media_type, sha256, largest)


def _keep(content: bytearray, media_type: str) -> tuple[bytearray, str]:
    checks = {DWG: drawings.check_dwg, DXF: drawings.check_dxf, XML: signed.check}
    checks[media_type](content)
    return content, media_type


def _looks(content: bytearray) -> str:
    if content.startswith(b"\xff\xd8\xff"):
        return JPEG
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if content[4:8] == b"ftyp" and bytes(content[8:12]) in _HEIF_BRANDS:
        return HEIC
    if drawings.is_dwg(content):
        return DWG
    if content.find(b"%PDF-", 0, HEADER_WITHIN) >= 0:
        return PDF
    if drawings.is_dxf(content):
        return DXF
    if signed.is_xml(content):
        return XML
    return ""
