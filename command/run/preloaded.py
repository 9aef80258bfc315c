"""Imported once by the process that services are forked from: all that they load."""

import gc
import os

gc.disable()  # enabled in each child when it serves
# A signal from the terminal is our parent's, who stops the services in order.
os.setsid()

from command.run.children import die_with_parent  # noqa: E402

die_with_parent()

from command.registry import service_classes  # noqa: E402
from command.run import serving  # noqa: E402, F401
from services.chassis.frame import runner  # noqa: E402, F401 - it sets up eventlet for those below

service_classes()
gc.freeze()
