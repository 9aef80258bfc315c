"""Metrics (Prometheus), traces (OpenTelemetry, over OTLP when an endpoint is configured), logs (JSON with trace ids).

To log never raises, whatever is logged and whatever becomes of the output: an error that is being reported is not replaced by
another one, and what goes on for ever does not end of it.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import Counter, Gauge, Histogram

from services.chassis.machine import moments
from services.chassis.telemetry import output
from services.chassis.telemetry.output import Output

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

BUILD = Gauge("motcua_build_info", "Always 1: what runs here", ["version", "site"])
RPC_SECONDS = Histogram(
    "motcua_rpc_seconds",
    "Time to answer a call",
    ["service", "rpc", "kind", "code"],
    buckets=BUCKETS,
)
RPC_IN_FLIGHT = Gauge("motcua_rpc_in_flight", "Calls being answered", ["service"])
REFUSED = Counter("motcua_refused_total", "Calls refused, by reason", ["service", "rpc", "reason"])
DEFINITION_FAULTS = Counter(
    "motcua_definition_faults_total", "Calls refused because a procedure's definition in force is faulty"
)
APPEND_SECONDS = Histogram("motcua_append_seconds", "Time until an append is durable", ["service"])
VIEW_FAILURES = Counter("motcua_view_failures_total", "Folds that failed", ["view"])
REACTION_FAILURES = Counter("motcua_reaction_failures_total", "Attempts to settle a fact that failed", ["reaction"])
EVENTS = Counter("motcua_events_total", "Events stored by what the service decided", ["service", "event"])
PERIODIC_SUCCESS = Gauge(
    "motcua_periodic_last_success_timestamp_seconds", "When this process last did its periodic work, or began", ["work"]
)
PERIODIC_INTERVAL = Gauge("motcua_periodic_interval_seconds", "How long periodic work rests between", ["work"])
PERIODIC_FAILURES = Counter("motcua_periodic_failures_total", "Periodic work that failed", ["work"])
KEYRING_FAILURES = Counter(
    "motcua_keyring_failures_total", "Requests for keys that identity did not answer", ["service"]
)
DATABASE_SECONDS = Histogram(
    "motcua_database_seconds",
    "Time of a transaction, and of waiting for its turn",
    ["database", "operation"],
    buckets=BUCKETS,
)
DATABASE_FAILURES = Counter(
    "motcua_database_failures_total", "Transactions that the database did not answer", ["database", "operation"]
)
BLOB_FAILURES = Counter("motcua_blob_failures_total", "Operations that the bucket did not answer")

_SECRETS = re.compile(
    r"eyJ[\w-]{4,}(?:\.[\w-]*){2,4}"  # JSON Web Tokens, signed and encrypted
    r"|(?<=[Bb]earer )[\w.~+/=-]{8,}|(?<=[Bb]asic )[\w+/=]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
    r"|(?<=://)[^/\s:@\"]*:[^/\s@\"]+(?=@)"  # in an address
)
_propagator = TraceContextTextMapPropagator()
tracer = trace.get_tracer("motcua")


def age(at: datetime) -> float:
    return max(0.0, (moments.now() - at).total_seconds())


def exporting() -> bool:
    """Whether there is somebody to export traces to."""
    return bool(os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))


def configure(site: str, *, level: str, sampled: float, path: Path | None = None) -> None:
    """Call once per process, before the first service starts. Logs go to a file, or to standard output."""
    BUILD.labels(version("motcua"), site).set(1)
    sampler = ParentBased(TraceIdRatioBased(sampled)) if exporting() else ALWAYS_OFF
    resource = Resource.create({"service.name": "motcua", "motcua.site": site})
    provider = TracerProvider(resource=resource, sampler=sampler)
    if exporting():
        # Slow to import, and seldom needed.
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    lines = _lines(path)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            _add_trace,
            structlog.processors.format_exc_info,
            _rendered,
            _without_secrets,
        ],
        wrapper_class=_unfailing(logging.getLevelName(level)),
        logger_factory=lambda *_: _Lines(lines),
        cache_logger_on_first_use=True,
    )
    _take_in_others()


def _lines(path: Path | None) -> Output:
    output.secure()
    if path:
        return Output("log", path=path, notice=_notice)
    if isinstance(sys.stdout, Output):
        sys.stdout.notice = _notice
        return sys.stdout
    return Output("log", sys.stdout, notice=_notice)


def _notice(lost: int, why: str) -> str:
    at = moments.now().isoformat()
    told = {"event": "lines of the log were lost", "lost": lost, "why": why, "level": "warning", "timestamp": at}
    return json.dumps(told, ensure_ascii=False) + "\n"


class _Lines:
    """structlog's innermost logger: each level writes a line."""

    def __init__(self, lines: Output) -> None:
        self._output = lines

    def msg(self, line: str) -> None:
        self._output.write(f"{line}\n")

    debug = info = warning = error = critical = fatal = msg


# What the methods of a value may raise. An interrupt comes from outside.
UNSAID = (Exception, SystemExit, GeneratorExit)
LEVELS = ("debug", "info", "warning", "warn", "error", "exception", "critical", "fatal", "msg", "log")


def _unfailing(level: int) -> type[Any]:
    """structlog's logger from a level on, none of whose methods raises."""
    filtering: type[Any] = structlog.make_filtering_bound_logger(level)

    def safe(method: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(method)
        def log(self: Any, *args: Any, **kwargs: Any) -> None:
            try:
                method(self, *args, **kwargs)
            except UNSAID:
                output.LOST.labels("log").inc()

        return log

    return type("UnfailingLogger", (filtering,), {name: safe(getattr(filtering, name)) for name in LEVELS})


def _rendered(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """As JSON; what JSON does not have, as it shows itself; what cannot do that, by its type."""
    try:
        return json.dumps(event, default=text_of, ensure_ascii=False)
    except UNSAID:  # keys that are no text, cycles, depth
        plain = {
            text_of(key): value if isinstance(value, str | int) else text_of(value) for key, value in event.items()
        }
        return json.dumps(plain, default=text_of, ensure_ascii=False)


def text_of(value: object) -> str:
    """A value's own text, or its type's name if that fails."""
    try:
        return value if type(value) is str else repr(value)
    except UNSAID:
        return f"<{type(value).__name__}, which cannot be shown>"


class _Others(logging.Handler):
    """What libraries log by `logging`: uvicorn, grpc, asyncio."""

    def handle(self, record: logging.LogRecord) -> bool:
        with suppress(*UNSAID):
            if record.levelno >= self.level:
                level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
                exc_info = record.exc_info if record.exc_info and record.exc_info[0] else None
                structlog.get_logger().log(level, _message(record), logger=record.name, exc_info=exc_info)
        return True


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except UNSAID:
        return f"{text_of(record.msg)} {text_of(record.args)}"


def _take_in_others() -> None:
    logging.raiseExceptions = False  # of other handlers, into the error output
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Others)]:
        root.removeHandler(handler)
    root.addHandler(_Others(logging.WARNING))


def _without_secrets(_logger: Any, _method: str, line: Any) -> str:
    return redacted(line)


def redacted(line: str) -> str:
    """The second line of defence: nothing of ours logs a secret, and what an error's text carries along ends here."""
    return _SECRETS.sub("[redacted]", line)


def _add_trace(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
        event["span_id"] = f"{context.span_id:016x}"
    return event


def trace_id() -> str:
    return f"{trace.get_current_span().get_span_context().trace_id:032x}"


def traceparent() -> str:
    """The present span as a W3C traceparent, to be stored with what it causes."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent", "")


@contextmanager
def span(name: str, kind: SpanKind, parent: str = "", **attributes: str) -> Iterator[Span]:
    """A span that goes on from a traceparent, if there is one."""
    context = _propagator.extract({"traceparent": parent}) if parent else None
    with tracer.start_as_current_span(name, context=context, kind=kind, attributes=attributes) as current:
        yield current
