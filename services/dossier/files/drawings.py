"""Drawings of surveyors and architects: AutoCAD's DWG and DXF, as far as their structure is public."""

from __future__ import annotations

import re
import struct

from services.dossier.files.faults import damaged
from services.dossier.values import DWG, DXF

# AutoCAD R13 to 2018 and later.
DWG_VERSIONS = (b"AC1012", b"AC1014", b"AC1015", b"AC1018", b"AC1021", b"AC1024", b"AC1027", b"AC1032")
_LOCATORS_END = bytes.fromhex("95A04E2899821AE55E41E05F9D3A4D00")
_MOST_LOCATORS = 16
_HEADER_AT, _HEADER = 0x80, b"AcFssFcAJMB\x00"
_SHORTEST = {b"AC1021": 0x480}
BINARY_DXF = b"AutoCAD Binary DXF\r\n\x1a\x00"
_LINE = re.compile(rb"([^\r\n]*)(?:\r\n|\n|\r|\Z)")


def check_dwg(content: bytearray) -> None:
    """Raises FileFaulty. https://www.opendesign.com/files/guestdownloads/OpenDesign_Specification_for_.dwg_files.pdf"""
    version = bytes(content[:6])
    if version in (b"AC1012", b"AC1014", b"AC1015"):
        whole = _located(content)
    elif version == b"AC1021":
        whole = len(content) >= _SHORTEST[version]
    else:
        hidden = bytes(content[_HEADER_AT : _HEADER_AT + len(_HEADER)])
        whole = bytes(a ^ b for a, b in zip(hidden, _mask(), strict=False)) == _HEADER and len(content) > 0x100
    if not whole:
        raise damaged(DWG)


def _located(content: bytearray) -> bool:
    """Every section that the file's head lists lies in it."""
    try:
        (count,) = struct.unpack_from("<I", content, 0x15)
        if not 0 < count <= _MOST_LOCATORS:
            return False
        for number in range(count):
            _, seek, size = struct.unpack_from("<BII", content, 0x19 + 9 * number)
            if seek + size > len(content):
                return False
    except struct.error:
        return False
    end = 0x19 + 9 * count + 2
    return content[end : end + len(_LOCATORS_END)] == _LOCATORS_END


def _mask() -> bytes:
    seed, mask = 1, bytearray()
    for _ in _HEADER:
        seed = (seed * 0x343FD + 0x269EC3) & 0xFFFFFFFF
        mask.append((seed >> 16) & 0xFF)
    return bytes(mask)


def check_dxf(content: bytearray) -> None:
    """Sections, one after another, with entities among them, until the end. Raises FileFaulty.

    https://help.autodesk.com/view/OARX/2024/ENU/?guid=GUID-D939EA11-0CEC-4636-91A8-756640A031D3
    """
    if content.startswith(BINARY_DXF):
        if b"ENTITIES\x00" not in content or not content.rstrip(b"\x00\r\n\x1a ").endswith(b"EOF"):
            raise damaged(DXF)
        return
    sections: list[bytes] = []
    # Between sections; at the name of one; in one.
    where = "between"
    lines = (match[1].strip() for match in _LINE.finditer(content))
    for code in lines:
        value = next(lines, None)
        if value is None or not code.removeprefix(b"-").isdigit():
            raise damaged(DXF)
        match where, code, value:
            case "named", b"2", name:
                sections.append(name)
                where = "within"
            case "between", b"0", b"SECTION":
                where = "named"
            case "within", b"0", b"ENDSEC":
                where = "between"
            case "between", b"0", b"EOF" if b"ENTITIES" in sections:
                return
            case ("between", b"999", _) | ("within", _, _):
                pass
            case _:
                raise damaged(DXF)
    raise damaged(DXF)


def is_dwg(content: bytearray) -> bool:
    return bytes(content[:6]) in DWG_VERSIONS


def is_dxf(content: bytearray) -> bool:
    head = bytes(content[:4096]).lstrip()
    return head.startswith(BINARY_DXF) or bool(
        re.match(rb"(?:999[\r\n]+[^\r\n]*[\r\n]+\s*)*0\s*[\r\n]\s*SECTION\s*[\r\n]", head)
    )
