"""How the command line speaks."""

from __future__ import annotations

import sys
from typing import NoReturn

from rich.console import Console

out = Console()
err = Console(stderr=True)


def fail(what: str, action: str = "") -> NoReturn:
    """Say what is wrong and what to do, and end."""
    err.print(f"[bold red]✗[/] {what}", highlight=False)
    if action:
        err.print(f"  {action}", highlight=False)
    sys.exit(1)
