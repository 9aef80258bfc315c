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


def warn(what: str) -> None:
    """Something that the program mends itself, and that the operator should know. One line."""
    err.print(f"[yellow]![/] {harmless(what)}", highlight=False, soft_wrap=True)


def fail(what: str, action: str = "", code: int = 1) -> NoReturn:
    """Say what is wrong and what to do, and end."""
    err.print(f"[bold red]✗[/] {what}", highlight=False, soft_wrap=True)
    if action:
        err.print(f"  {action}", highlight=False, soft_wrap=True)
    sys.exit(code)
