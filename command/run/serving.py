"""`motcua serve`: services, or the sandboxes of the national systems, alone in a process, as a pod has them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TypeVar

import structlog

from command.console import fail
from command.registry import SANDBOX, service_classes
from command.run.lifetime import Step, until_stopped
from command.run.refusing import refusing
from command.running import forget, tell
from command.site import belonging
from gateway.sandbox.pointing import pointed
from services.chassis.database.database import DatabaseUnavailable
from services.chassis.files.private import FolderNotPrivate, keep_private
from services.chassis.following.followers import PASSING
from services.chassis.frame.runner import Services, run
from services.chassis.platform.platform import Platform
from services.chassis.platform.settings import Settings
from services.chassis.site.watching import Watch
from services.chassis.store.port import StoreUnavailable
from services.chassis.telemetry import telemetry
from services.chassis.work.tasks import Owned
from services.registry import SERVICES

AGAIN_SECONDS = 2.0

T = TypeVar("T")

log = structlog.get_logger()


def loaded() -> None:
    """What was loaded until now stays for good: no collection needs to look at it."""
    gc.collect()
    gc.freeze()
    gc.enable()


def data_folder(settings: Settings) -> None:
    """Make it, or say why that cannot be."""
    try:
        keep_private(settings.data)
    except OSError as error:
        what = "used" if isinstance(error, FolderNotPrivate) else "made"
        fail(
            f"The data folder {settings.data.absolute()} cannot be {what}: {error.strerror}.",
            "Set MOTCUA_DATA to a folder that this user may write.",
        )


def serve(settings: Settings, names: Sequence[str], province: str, kept: bool, refused: int = 1) -> int:
    """`refused`: the exit code where the site's stores do not belong together."""
    telemetry.configure(settings.site, level=settings.log_level, sampled=settings.trace_sampled)
    if len(names) > 1 and (settings.grpc_port or settings.http_port):
        fail("Several services cannot share one port.", "Leave MOTCUA_GRPC_PORT and MOTCUA_HTTP_PORT unset.")
    if not settings.sandbox and SANDBOX in names:
        fail("This site has no sandbox.", "Set MOTCUA_SANDBOX=true in a trial, or do not serve it.")
    services = [name for name in names if name != SANDBOX]
    if services and "identity" not in services and not settings.identity_address:
        fail("The services ask identity for keys.", "Set MOTCUA_IDENTITY_ADDRESS to its host:port.")
    if not kept and settings.distributed and (missing := list(_missing_secrets(settings, names))):
        fail(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set, and this process must not invent secrets: "
            "others would not have them, and after a restart this one neither.",
            "Set them from the site's Secret, or give --kept if the data folder is the site's own and outlives the process.",
        )
    data_folder(settings)
    with refusing(refused):
        return run(_serve(pointed(settings), services, province if SANDBOX in names else "", kept))


def _missing_secrets(settings: Settings, names: Sequence[str]) -> Iterator[str]:
    """The variables of secrets that are made where they are not set, and that these services use."""
    services = [SERVICES[name] for name in names if name != SANDBOX]
    used = {"service_secret", *(secret for service in services for secret in service.secrets)}
    if SANDBOX in names:
        used.add("master_key")
    if not settings.sandbox:  # its own follow from the service secret
        used |= {secret for service in services for secret in service.given} - _dispensable(settings)
    return (f"MOTCUA_{name.upper()}" for name in sorted(used) if not getattr(settings, name))


def _dispensable(settings: Settings) -> set[str]:
    """Of what others gave: without it nobody pays online."""
    return set() if settings.vnpay_url else {"vnpay_secret"}


async def _serve(settings: Settings, names: Sequence[str], province: str, kept: bool) -> int:
    async def begin(stack: AsyncExitStack) -> Sequence[Step]:
        watch = await _start(settings, names, province, kept, stack)
        loaded()
        return [watch.run]

    return await until_stopped(begin, interruptible=True)


async def _start(settings: Settings, names: Sequence[str], province: str, kept: bool, stack: AsyncExitStack) -> Watch:
    await _patiently(partial(belonging.require, settings, names, aside=None))
    platform = await Platform.open(settings)
    stack.push_async_callback(platform.close)
    platform.replicated = True
    watch = await _patiently(partial(belonging.begin, platform, names))
    stack.push_async_callback(watch.finish)
    services = Services(platform, service_classes(names))
    stack.push_async_callback(services.stop)
    await services.start()
    if province:
        await _sandbox(platform, province, kept, stack)
    if settings.distributed and not kept:  # the folder is this process's own
        tell(settings, {"grpc": {name: platform.addresses[name] for name in names}, "http": platform.http_addresses})
        stack.callback(forget, settings)
    return watch


async def _patiently(work: Callable[[], Awaitable[T]]) -> T:
    """Wait until the store and the database answer."""
    while True:
        try:
            return await work()
        except DatabaseUnavailable as error:
            log.warning("the database does not answer, trying again", error=str(error))
        except StoreUnavailable as error:
            log.warning("the event store does not answer, trying again", error=str(error))
        await asyncio.sleep(AGAIN_SECONDS)


async def _sandbox(platform: Platform, province: str, kept: bool, stack: AsyncExitStack) -> None:
    from gateway.sandbox import mount
    from services.chassis.frame.http_server import HostedApp, probes

    ready = asyncio.Event()
    more = probes(ready.is_set, "the sample catalogue and the sample officials")
    settings = platform.settings
    app = HostedApp(mount.application(settings, *more), settings.host, settings.http_port, platform.credentials)
    platform.http_addresses[SANDBOX] = await app.start()
    stack.push_async_callback(app.stop)
    prepare = partial(_prepare, platform, province, kept, ready)
    preparing = Owned("trial", prepare, finite=True, passing=PASSING, rest_seconds=AGAIN_SECONDS)
    preparing.start()
    stack.push_async_callback(preparing.stop)


async def _prepare(platform: Platform, province: str, kept: bool, ready: asyncio.Event) -> None:
    from command.trial.trial import prepare

    await prepare(platform, province, kept=kept)
    ready.set()
