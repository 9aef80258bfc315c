"""The names under which browsers and programs state a media type."""

from __future__ import annotations

import re

from services.dossier.values import DWG, DXF, HEIC, JPEG, KINDS, PDF, PNG, XML

# ISO 32000-1, annex H, note 13: where readers look for a PDF's header.
HEADER_WITHIN = 1024

_OTHER_NAMES = {
    "application/x-pdf": PDF,
    "application/acrobat": PDF,
    "text/pdf": PDF,
    "image/x-png": PNG,
    "image/apng": PNG,
    "image/jpg": JPEG,
    "image/pjpeg": JPEG,
    "image/x-jpeg": JPEG,
    "image/jfif": JPEG,
    "image/heif": HEIC,
    "image/heic-sequence": HEIC,
    "image/heif-sequence": HEIC,
    "image/x-dwg": DWG,
    "application/acad": DWG,
    "application/x-acad": DWG,
    "application/dwg": DWG,
    "application/x-dwg": DWG,
    "application/autocad_dwg": DWG,
    "drawing/dwg": DWG,
    "image/dxf": DXF,
    "image/x-dxf": DXF,
    "application/dxf": DXF,
    "application/x-dxf": DXF,
    "text/xml": XML,
}
# RFC 9110, section 8.3.1; RFC 6838 bounds the names.
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = rf'[ \t]*;[ \t]*(?:{_TOKEN}=(?:{_TOKEN}|"(?:[^"\\]|\\.)*"))?'
_MEDIA_TYPE = re.compile(rf"[ \t]*({_TOKEN}/{_TOKEN})(?:{_PARAMETER})*[ \t]*", re.ASCII)


def media_type_of(declared: str) -> str | None:
    """The one name of a type that is accepted somewhere, however it is written; None for others."""
    if not (match := _MEDIA_TYPE.fullmatch(declared[:1000])):
        return None
    name = match[1].lower()
    name = _OTHER_NAMES.get(name, name)
    return name if name in KINDS else None
