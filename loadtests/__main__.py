"""python -m loadtests: measure submissions against a bare server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from loadtests.bench import FULL, QUICK, bench


def main(
    quick: Annotated[bool, typer.Option(help="In less than a minute.")] = False,
    out: Annotated[Path, typer.Option(help="Write the figures there, as JSON.")] = Path("build/bench.json"),
) -> None:
    """Accepted submissions a second as a share of what a bare grpc.aio echo answers."""
    bench(QUICK if quick else FULL, out, Console())


if __name__ == "__main__":
    typer.run(main)
