"""What every answer of the public pages carries, and their files."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from services.chassis.pages import security_headers
from services.chassis.pages.assets import Assets


class SecurityHeaders(security_headers.SecurityHeaders):
    # The camera reads QR codes.
    own: ClassVar = {
        "permissions-policy": security_headers.HEADERS["permissions-policy"].replace("camera=()", "camera=(self)")
    }


def assets() -> Assets:
    return Assets(Path(__file__).parent / "static")
