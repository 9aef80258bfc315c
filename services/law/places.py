"""Codes of places: twelve digits, of any place in the country, whatever becomes of its street and commune.

Nghị định 326/2026/NĐ-CP, in force since 1 September 2026. A place that was not given one has none.
"""

from __future__ import annotations

import re

_PLACE_CODE = re.compile(r"\d{12}", re.ASCII)


def is_place_code(text: str) -> bool:
    return bool(_PLACE_CODE.fullmatch(text))
