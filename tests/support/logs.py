"""How tests log."""

from __future__ import annotations

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback


def log_plainly() -> None:
    """Tracebacks as the product prints them: the library's own form with all variables takes seconds, on the loop."""
    structlog.reset_defaults()
    renderer = ConsoleRenderer(exception_formatter=plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], renderer])
