"""Imported once by the process that services are forked from: all that they load."""

import gc
import os

gc.disable()  # enabled in each child when it serves
# A signal from the terminal is our parent's, who stops the services in order.
os.setsid()

from services.cli.children import die_with_parent  # noqa: E402

die_with_parent()

from services.chassis import runner  # noqa: E402, F401 - it sets up eventlet for those below
from services.cli import serving  # noqa: E402, F401
from services.cli.registry import service_classes  # noqa: E402

service_classes()
gc.freeze()
