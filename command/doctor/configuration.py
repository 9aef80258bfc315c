"""The settings, beyond what their types refuse."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from command.doctor.finding import Finding, Patient, bad, doubtful, good
from services.chassis.files.private import open_to_others
from services.chassis.platform.settings import Settings
from services.law.days import local_date

LOCAL = ("localhost", "127.0.0.1", "::1")
FULL, NEARLY_FULL = 0.03, 0.10


async def examine(patient: Patient) -> AsyncIterator[Finding]:
    settings = patient.settings
    yield good("settings", f"site {settings.site}, {settings.url}")
    for finding in (
        *_address(patient),
        *_trial(patient),
        *_secrets(patient),
        *_folder(settings),
        *_disk(settings),
    ):
        yield finding


def _address(patient: Patient) -> list[Finding]:
    settings = patient.settings
    url = urlsplit(settings.url)
    local = url.hostname in LOCAL
    found = []
    if url.scheme != "https" and not local:
        found.append(
            bad(
                "public address",
                f"{settings.url} is not HTTPS",
                "Browsers drop the session's cookie, and logins travel in clear.",
                f"Set MOTCUA_PUBLIC_URL=https://{url.hostname}, and end TLS at the edge or before it.",
            )
        )
    if local and not settings.sandbox:
        found.append(
            bad(
                "public address",
                f"{settings.url} is this machine",
                "Logins, payments and printed QR codes lead citizens to their own machines.",
                "Set MOTCUA_PUBLIC_URL to the address at which citizens reach the edge.",
            )
        )
    if settings.submission_cutover and not settings.submission_address:
        found.append(
            bad(
                "cut-over",
                f"from {settings.submission_cutover} on citizens submit elsewhere online, and no other address is named",
                "Citizens are sent away without being told where to.",
                "Set MOTCUA_SUBMISSION_ADDRESS to the national portal's address.",
            )
        )
    if not settings.ledger_origin and not local and "ledger" in patient.services:
        found.append(
            doubtful(
                "ledger's name",
                f"{settings.site}.motcua.local/ledger, which nobody chose",
                "A ledger keeps its name for ever: changed later, it is another ledger.",
                f"Before the first dossier set MOTCUA_LEDGER_ORIGIN={url.netloc}/ledger.",
            )
        )
    return found


def _trial(patient: Patient) -> list[Finding]:
    settings = patient.settings
    found = []
    local = urlsplit(settings.url).hostname in LOCAL
    today = local_date(patient.settings.clock.now())
    if settings.sandbox and not local:
        found.append(
            doubtful(
                "sandbox",
                f"{settings.url} serves imitations of the national systems",
                "Anybody logs in as anybody.",
                "In production set MOTCUA_SANDBOX=false and the addresses and secrets of the real ones.",
            )
        )
    if settings.sandbox and settings.sandbox_until and settings.sandbox_until < today:
        found.append(
            bad(
                "sandbox",
                f"the trial ended on {settings.sandbox_until}",
                "Nothing is submitted any more.",
                "Set MOTCUA_SANDBOX_UNTIL to a later day, or end the trial.",
            )
        )
    if settings.clock_shift_file:
        found.append(
            doubtful(
                "clock",
                f"decisions see another time, as {settings.clock_shift_file} says",
                "Due dates are counted from a day that is not today.",
                "Unset MOTCUA_CLOCK_SHIFT_FILE when the trial of time is over.",
            )
        )
    asked = {"vneid_url": "identity", "population_url": "identity", "vnpay_url": "payment"}
    here = [name for name, service in asked.items() if service in patient.services]
    missing = [f"MOTCUA_{name.upper()}" for name in here if not getattr(settings, name)]
    if not settings.sandbox and missing:
        found.append(
            doubtful(
                "national systems",
                f"{', '.join(missing)}: not set, and there is no sandbox",
                "What they serve is answered with UNAVAILABLE: logins, look-ups, payments online.",
                "Set the addresses and secrets, or accept that this site goes without.",
            )
        )
    return found


def _folder(settings: Settings) -> list[Finding]:
    if not settings.data.is_dir():
        return []
    if found := open_to_others(settings.data, 3):
        return [
            bad(
                "data folder",
                f"others may open {', '.join(found)}",
                "Whoever has an account on this machine reads the log, the databases and the secrets.",
                f"chmod -R go-rwx {settings.data}; the next start does so, too, where the folder is this user's.",
            )
        ]
    return [good("data folder", f"{settings.data} is for its owner only")]


def _secrets(patient: Patient) -> list[Finding]:
    settings = patient.settings
    found = []
    folder = settings.data / "secrets"
    files = sorted(folder.glob("*")) if folder.is_dir() else []
    for path in (folder, *files) if folder.is_dir() else ():
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = 0o700 if path.is_dir() else 0o600
        if mode & 0o077:
            found.append(
                bad(
                    "secrets",
                    f"{path} may be read by others (mode {mode:04o})",
                    "Whoever reads the master key and the databases reads every name.",
                    f"chmod {wanted:04o} {path}",
                )
            )
    if files and settings.distributed:
        found.append(
            doubtful(
                "secrets",
                f"{', '.join(path.name for path in files)}: made here, in {folder}",
                "Other processes do not have them, and a pod loses them with itself.",
                "Set them from the site's Secret: MOTCUA_SERVICE_SECRET, MOTCUA_MASTER_KEY, MOTCUA_QR_KEY, MOTCUA_LEDGER_KEY, …",
            )
        )
    if not found:
        kept = f", {len(files)} kept in {folder}, for their owner only" if files else ""
        found.append(good("secrets", f"readable by nobody else{kept}" if files else "given by the environment"))
    if settings.master_key_previous:
        found.append(
            doubtful(
                "secrets",
                "MOTCUA_MASTER_KEY_PREVIOUS is set",
                "Until the rotation is finished and it is gone, the old key opens everything.",
                "Run `motcua keys rotate-master` to its end, then remove MOTCUA_MASTER_KEY_PREVIOUS.",
            )
        )
    return found


def _disk(settings: Settings) -> list[Finding]:
    folder = settings.data.absolute()
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    share, text = usage.free / usage.total, f"{usage.free / 2**30:.1f} GiB free at {folder}"
    why = "An event that cannot be written is refused: nobody can submit."
    do = f"Make room or a larger volume: du -sh {folder}/* | sort -h"
    if not os.access(folder, os.W_OK):
        return [
            bad("disk", f"{folder} cannot be written", why, f"Let this user write there: chown -R $(id -u) {folder}")
        ]
    if share < FULL:
        return [bad("disk", text, why, do)]
    return [doubtful("disk", text, why, do)] if share < NEARLY_FULL else [good("disk", text)]
