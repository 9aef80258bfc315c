"""`motcua keys`: what an operator does with the site's root key, on the data folder itself."""

from __future__ import annotations

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from command.console import err, fail, out
from services.chassis.platform.platform import Platform, database_exists
from services.chassis.platform.settings import Settings
from services.identity.identifiers import Identifiers
from services.identity.kms import KeyNotUnwrapped, prepare_root, replace_root
from services.identity.rotation import rotate
from services.identity.vault import Vault


def _require_keys(settings: Settings) -> None:
    if not database_exists(settings, "keys", durable=True):
        fail(f"There is no keys.db in {settings.data}.", "Set MOTCUA_DATA to the site's data folder.")


async def rotate_master(settings: Settings) -> int:
    _require_keys(settings)
    prepare_root(settings)
    platform = await Platform.open(settings)
    columns = (SpinnerColumn(), TextColumn("wrapped anew: {task.completed:.0f}"), TimeElapsedColumn())
    try:
        with Progress(*columns, console=err, transient=True) as progress:
            task = progress.add_task("", total=None)
            done = await rotate(Vault.of(platform), lambda count: progress.advance(task, count))
    except KeyNotUnwrapped as closed:
        fail(str(closed), "Nothing was lost. Run it again with the right keys.")
    finally:
        await platform.close()
    replace_root(settings)
    out.print(f"Wrapped anew: {', '.join(f'{count} {table}' for table, count in done.items())}.", highlight=False)
    if settings.master_key:
        out.print("MOTCUA_MASTER_KEY_PREVIOUS is not needed any more: remove it, and destroy that key.")
    else:
        out.print(f"The new master key is {settings.data / 'secrets' / 'master'}: back it up. The old one is gone.")
    return 0


async def forget_numbers(settings: Settings) -> int:
    _require_keys(settings)
    platform = await Platform.open(settings)
    try:
        gone = await Identifiers(Vault.of(platform)).destroy()
    finally:
        await platform.close()
    out.print(f"The look-up key is destroyed, and {gone} entries with it.", highlight=False)
    return 0
