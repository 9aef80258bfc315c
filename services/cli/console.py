"""How the command line speaks."""

from __future__ import annotations

import sys
from typing import NoReturn

from rich.console import Console
from rich.markup import escape

out = Console()
err = Console(stderr=True)


def harmless(text: str) -> str:
    """Text from elsewhere, for rich to print: no markup, and nothing that moves a terminal's cursor or turns its letters around."""
    seen = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    return escape(seen)


def fail(what: str, action: str = "") -> NoReturn:
    """Say what is wrong and what to do, and end."""
    err.print(f"[bold red]✗[/] {what}", highlight=False)
    if action:
        err.print(f"  {action}", highlight=False)
    sys.exit(1)
