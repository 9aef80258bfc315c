"""Imported once, by the process from which commands are forked: all that they load, but for `command` itself."""

import gc
from importlib import import_module

import httpx  # noqa: F401
import typer.rich_utils  # noqa: F401

import gateway.edge.certificates
import gateway.edge.process
import gateway.ledger.audit.remembering
import gateway.sandbox.pointing  # noqa: F401
from services.catalogue import loader  # noqa: F401
from services.chassis.frame import runner  # noqa: F401 - it sets up eventlet for those below
from services.chassis.site import judging, watching  # noqa: F401
from services.registry import SERVICES

for service in SERVICES.values():
    import_module(service.entry.partition(":")[0])
gc.freeze()
