"""The `motcua` command."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import resource
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from rich.markup import escape
from rich.table import Table

from command.console import err, fail, harmless, out
from command.registry import PRIVATE_POSTGRESQL, SANDBOX
from services.chassis.files.private import OTHERS
from services.chassis.platform.settings import REPEATED, Settings
from services.registry import SERVICES
from services.settings import SiteSettings

# The name that Envoy's JWT filter knows.
warnings.filterwarnings("ignore", message="EdDSA is deprecated")
# In maintenance; docs/adr/0002 says why it stays behind the chassis.
warnings.filterwarnings("ignore", message="\nEventlet is deprecated")

PARTS = (*SERVICES, SANDBOX)
SAMPLE = "56"  # the province of a national site's trial

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
catalogue_app = typer.Typer(no_args_is_help=True, help="Procedures, fees, agencies, calendars.")
keys_app = typer.Typer(no_args_is_help=True, help="The site's root key.")
parked_app = typer.Typer(no_args_is_help=True, help="Facts that a service could not settle.")
ledger_app = typer.Typer(no_args_is_help=True, help="The public ledger, judged from outside.")
app.add_typer(catalogue_app, name="catalogue")
app.add_typer(keys_app, name="keys")
app.add_typer(parked_app, name="parked")
app.add_typer(ledger_app, name="ledger")

Json = Annotated[bool, typer.Option("--json", help="End with one line of JSON.")]
Key = Annotated[str, typer.Option("--key", metavar="VKEY", help="The log's key; the remembered one if left out.")]
Witnesses = Annotated[
    list[str] | None,
    typer.Option("--witness", metavar="VKEY", help="A witness that must have cosigned; may be repeated."),
]
Memory = Annotated[
    Path,
    typer.Option(
        "--memory",
        help="The folder in which logs' keys and newest checkpoints are remembered.",
        show_default="~/.local/state/motcua/ledgers",
    ),
]
REMEMBERED = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "motcua" / "ledgers"
Province = Annotated[str, typer.Option(help="Two-digit code of the province.")]


# What a command reads besides, and what Kubernetes and container engines add for whatever is called motcua.
NO_SETTINGS = re.compile(
    r"MOTCUA_(TOKEN|FIRST_ADMINISTRATOR|TEST_[A-Z]+"
    r"|([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP)[A-Z_]*))"
)


def require_known(names: Iterable[str]) -> None:
    """A setting that is misspelt would be left at its default without a word."""
    known = {f"MOTCUA_{field.upper()}" for field in SiteSettings.model_fields}
    unknown = sorted(
        name for name in names if name.startswith("MOTCUA_") and name not in known and not NO_SETTINGS.fullmatch(name)
    )
    for name in unknown:
        near = get_close_matches(name, known, 1)
        err.print(f"[bold red]✗[/] {name} is no setting" + (f"; {near[0]} is" if near else ""), highlight=False)
    if unknown:
        fail("The settings are not usable.", "Correct or remove the environment variables above.")


_DAY = "it must be a day, written as 2026-11-30"
_SAID = {
    "bool_parsing": "it must be true or false",
    "bool_type": "it must be true or false",
    "int_parsing": "it must be a whole number",
    "float_parsing": "it must be a number",
    "date_parsing": _DAY,
    "date_from_datetime_parsing": _DAY,
    "date_from_datetime_inexact": _DAY,
    "greater_than_equal": "it must be at least {ge}",
    "less_than_equal": "it must be at most {le}",
    "literal_error": "it must be one of {expected}",
}


def _said(error: ErrorDetails) -> str:
    """In the words of who sets it."""
    text = _SAID.get(error["type"])
    return text.format(**error.get("ctx", {})) if text else error["msg"].removeprefix("Value error, ")


def settings(**given: str) -> SiteSettings:
    require_known(os.environ)
    try:
        found = SiteSettings(**given)  # type: ignore[arg-type]
        if missing := list(found.unreadable()):
            fail(f"{', '.join(missing)}: the file cannot be read.", "Correct the environment variables above.")
        return found
    except ValidationError as invalid:
        for error in invalid.errors():
            name = "MOTCUA_" + "_".join(map(str, error["loc"])).upper() if error["loc"] else "Settings"
            # The error output of a pod is a log, where a secret that is too short has no place either.
            public = error["loc"] and error["loc"][0] in REPEATED
            text = f"{name}: {_said(error)}" + (f" (it is {error['input']!r})" if public else "")
            err.print(f"[bold red]✗[/] {escape(text)}", highlight=False)
        fail("The settings are not usable.", "Correct the environment variables above.")


@app.callback(help="One door to the whole state.")
def every_command() -> None:
    """Whatever a command writes, a backup or an export, is for its user alone."""
    os.umask(OTHERS)


# Of a site with some hundred callers: each connection is one, and libraries end the program where there are none left.
FEWEST_DESCRIPTORS = 256
MOST_DESCRIPTORS = 65_536


def require_descriptors() -> None:
    """As many as may be; ends the program where they are too few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FEWEST_DESCRIPTORS:
        fail(f"Only {hard} files may be open at once.", f"Raise the limit (ulimit -n) to {FEWEST_DESCRIPTORS} or more.")
    wanted = hard if hard != resource.RLIM_INFINITY else MOST_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < min(wanted, MOST_DESCRIPTORS):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, MOST_DESCRIPTORS), hard))


@contextmanager
def site() -> Iterator[Settings]:
    """For a command that opens the site's databases itself: also where they are in the data folder's own PostgreSQL."""
    from command.run.postgresql import PostgresqlError, reachable
    from command.run.refusing import refusing

    try:
        with refusing(), reachable(settings()) as known:
            yield known
    except PostgresqlError as error:
        fail(str(error), "Its log is in the data folder, under postgresql/. Nothing was changed.")


@app.command()
def up(
    demo: Annotated[bool, typer.Option(help="Play a short day of one province after the start.")] = False,
    dossiers: Annotated[int, typer.Option(help="How many dossiers that day has.")] = 40,
    province: Province = "56",
    processes: Annotated[bool, typer.Option("--processes", help="Every service in a process of its own.")] = False,
    replicas: Annotated[int, typer.Option(min=1, max=9, help="Processes of each service.")] = 1,
    database: Annotated[
        str,
        typer.Option(
            metavar="postgresql|URL",
            help="Of the views: a PostgreSQL server of its own in the data folder, or postgresql+psycopg://...",
        ),
    ] = "",
) -> None:
    """Start the whole platform on this machine: all services, the edge, sandboxes of the national systems."""
    gc.disable()  # nothing of what a start loads goes away again; enabled when it is done
    require_descriptors()
    private = database == PRIVATE_POSTGRESQL
    known = settings(database="" if private else database) if database else settings()
    if private:
        known = known.model_copy(update={"database": PRIVATE_POSTGRESQL})
    if replicas > 1 and not processes:
        fail("Replicas of a service are processes.", "Give --processes, too.")
    from command.run import starting  # all that the platform is made of: after what may be refused without it

    if processes:
        sys.exit(starting.up_in_processes(known, dossiers if demo else 0, province, replicas))
    sys.exit(starting.up(known, dossiers if demo else 0, province))


@app.command()
def serve(
    services: Annotated[list[str], typer.Argument(help=f"Of: {', '.join(PARTS)}.")],
    province: Annotated[str, typer.Option(help="Of the sandbox's sample officials; the site's if left out.")] = "",
    kept: Annotated[
        bool, typer.Option("--kept", help="The data folder is the site's and stays: secrets may be made there.")
    ] = False,
) -> None:
    """Run services alone, as a pod does; `sandbox` plays the national systems of a trial, and prepares it."""
    require_descriptors()
    gc.disable()
    if unknown := [name for name in services if name not in PARTS]:
        fail(f"There is no service {', '.join(unknown)}.", f"Choose from {', '.join(PARTS)}.")
    known = settings()
    from command.run import serving

    sys.exit(serving.serve(known, services, province or known.site.removeprefix("vn").lstrip("-") or SAMPLE, kept))


@app.command()
def demo(
    dossiers: Annotated[int, typer.Option(min=1, help="How many.")] = 40,
    province: Province = "56",
    rate: Annotated[float, typer.Option(min=0.1, help="Submissions a second.")] = 10.0,
    as_json: Json = False,
) -> None:
    """Play a short day of a province through the gateway of a running platform, and settle what an earlier one left open."""
    from command.running import require_edge

    known = settings()
    require_edge(known)
    from command.trial.demo import play

    report = asyncio.run(play(known, dossiers, province, rate, quiet=as_json))
    if as_json:
        print(json.dumps(report.summary()))
    sys.exit(1 if report.failed else 0)


@app.command()
def migrate(
    services: Annotated[list[str] | None, typer.Argument(help=f"Of: {', '.join(SERVICES)}; all if left out.")] = None,
    drop_old: Annotated[
        bool,
        typer.Option("--drop-old", help="Drop what older versions of views left: no older release serves any more."),
    ] = False,
) -> None:
    """Create the tables that this release needs in every service's database, before it is rolled out. Again, it changes nothing."""
    if unknown := [name for name in services or () if name not in SERVICES]:
        fail(f"There is no service {', '.join(unknown)}.", f"Choose from {', '.join(SERVICES)}.")
    from command.views import migrate

    with site() as known:
        sys.exit(migrate.migrate(known, services or list(SERVICES), drop_old))


@app.command()
def rebuild(
    view: Annotated[str, typer.Argument(help="Its name, or <service>/<name>.")] = "",
    list_: Annotated[bool, typer.Option("--list", help="Name the views, and how far each is.")] = False,
) -> None:
    """Fold a view anew from the log, while the platform runs or not; the old rows are served until the new ones are there."""
    if not view and not list_:
        fail("Which view?", "`motcua rebuild --list` names them.")
    from command.views import rebuild

    with site() as known:
        sys.exit(rebuild.show(known) if list_ else rebuild.run(known, view))


@app.command()
def token(
    as_: Annotated[str, typer.Option("--as", help="citizen, organisation, official or system.")] = "citizen",
    person: Annotated[int, typer.Option(help="Which of the sandbox's sample persons.")] = 0,
    agency: Annotated[str, typer.Option(help="For an official: for which agency.")] = "",
    role: Annotated[str, typer.Option(help="For an official: receptionist, processor, approver, cashier, …")] = "",
    purpose: Annotated[list[str] | None, typer.Option(help="For a system: what it states.")] = None,
) -> None:
    """Log in at the sandbox identity provider and print an access token."""
    from command.trial import tokens

    sys.exit(asyncio.run(tokens.show(settings(), as_, person, agency, role, purpose or [])))


@app.command()
def track(
    code: Annotated[str, typer.Argument(help="The dossier's code.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Stay and show what happens.")] = False,
) -> None:
    """Show what everyone may see of a dossier."""
    from services.chassis.text.dossier_codes import code_in, codes_in

    if len(several := sorted(codes_in(code))) > 1:
        fail(f"There is more than one code in that: {', '.join(several)}.", "Give one of them.")
    found = code_in(code) or fail(
        "There is no code of a dossier in that.", "Give one as P56.22.336-20260302-0000001, or text that holds one."
    )
    from command.look import tracking

    sys.exit(asyncio.run(tracking.track(settings(), found, follow)))


@app.command()
def events(
    stream: Annotated[str, typer.Option(help="Only this stream, for example dossier-<code>.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Stay and show new ones.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show the stored events of this machine's data folder, decoded; what is sealed stays sealed."""
    from command.look import tracking

    sys.exit(asyncio.run(tracking.events(settings(), stream, follow, as_json)))


@app.command()
def verify(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Receipts, of an event or of a whole dossier.")
    ],
    key: Key = "",
    witness: Witnesses = None,
    memory: Memory = REMEMBERED,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON for each file.")] = False,
) -> None:
    """Verify receipts of the public ledger, offline. Ends with 0: verified, 1: not verified, 2: could not verify."""
    from command.ledger import verifying

    sys.exit(verifying.verify(files, key, witness or [], memory, as_json))


@ledger_app.command("check")
def ledger_check(
    address: Annotated[str, typer.Argument(metavar="URL", help="Of the log, as https://<site>/ledger, or a folder.")],
    key: Key = "",
    witness: Witnesses = None,
    events: Annotated[
        bool, typer.Option("--events", help="Compare with the event store of this machine's data folder, too.")
    ] = False,
    memory: Memory = REMEMBERED,
    as_json: Json = False,
) -> None:
    """Read a whole log again and verify all of it. Ends with 0: all is well, 1: something is wrong, 2: could not check."""
    from command.ledger import ledger
    from gateway.ledger.audit.remembering import Memory

    asked = ledger.Asked(address, key, witness or [], Memory(memory), as_json)
    if not events:
        sys.exit(ledger.check(asked, None))
    with site() as known:
        sys.exit(ledger.check(asked, known))


@ledger_app.command("follow")
def ledger_follow(
    address: Annotated[str, typer.Argument(metavar="URL", help="Of the log, as https://<site>/ledger, or a folder.")],
    key: Key = "",
    witness: Witnesses = None,
    once: Annotated[bool, typer.Option("--once", help="Look once and end, as cron wants it.")] = False,
    seconds: Annotated[float, typer.Option(min=0.1, help="Between two looks.")] = 10.0,
    memory: Memory = REMEMBERED,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON for each look.")] = False,
) -> None:
    """Watch a log, and end with 1 as soon as it is rolled back or forked."""
    from command.ledger import ledger
    from gateway.ledger.audit.remembering import Memory

    asked = ledger.Asked(address, key, witness or [], Memory(memory), as_json)
    sys.exit(ledger.follow(asked, seconds, once))


@app.command()
def check(
    url: Annotated[str, typer.Argument(metavar="URL", help="Of the edge; this machine's if left out.")] = "",
) -> None:
    """Ask a site from outside what everybody may: health, the status page, the API's description, keys, the ledger."""
    from command.ledger import outside

    sys.exit(outside.check(url or settings().url))


@app.command()
def backup(
    address: Annotated[str, typer.Argument(metavar="FOLDER", help="A folder, file:///folder or s3://bucket/prefix.")],
    check: Annotated[
        bool, typer.Option(help="Read what is saved again, and compare the ledger with the events.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Save the site while it works. Into the same folder again, only what is new is added, and keys of erased people go."""
    from command.backup import backup

    with site() as known:
        sys.exit(backup.backup(known, address, check=check, as_json=as_json))


@app.command()
def restore(
    address: Annotated[str, typer.Argument(metavar="FOLDER", help="Of a backup: a folder, file:///… or s3://….")],
    published: Annotated[
        str,
        typer.Option(
            metavar="CHECKPOINT",
            help="The newest checkpoint that the public has seen: a file, or the address of a log or of a copy of it.",
        ),
    ] = "",
    new_ledger: Annotated[
        bool, typer.Option("--new-ledger", help="Events that were published are lost: begin a ledger of a new name.")
    ] = False,
    databases: Annotated[
        bool, typer.Option("--databases", help="The log and the files survived: bring back what only databases held.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring a backup back into an empty site, and verify it. Interrupted, it goes on when it is run again."""
    if [bool(published), new_ledger, databases].count(True) != 1:
        fail(
            "Say how the public ledger goes on: --published CHECKPOINT, or --new-ledger; or --databases where it is all there.",
            "The checkpoint is the newest that anybody has seen: ask the witnesses, and who follows the log. See docs/backup.md.",
        )
    from command.backup import restore

    with site() as known:
        sys.exit(restore.restore(known, restore.Asked(address, published, databases, as_json)))


@app.command("accept-loss")
def accept_loss(
    store: Annotated[
        str, typer.Argument(help="keys, dossier-uploads, ledger or blobs, as the refused start names it.")
    ],
    sure: Annotated[
        bool, typer.Option("--no-backup-has-it", help="What only this store held is lost for ever.")
    ] = False,
) -> None:
    """Go on without a store that is lost and that no backup has. The log records it."""
    if not sure:
        fail(
            f"What only {store} held would be lost for ever: with keys, every name, form and attachment until now.",
            "Bring it back with `motcua restore` (docs/backup.md); or give --no-backup-has-it.",
        )
    from command.site import belonging

    with site() as known:
        asyncio.run(belonging.accept(known, store))
        out.print(f"The site goes on without what {harmless(store)} held.", highlight=False)


@app.command()
def appoint(
    number: Annotated[
        str,
        typer.Argument(
            envvar="MOTCUA_FIRST_ADMINISTRATOR",
            help="The person's twelve-digit personal number; - reads it from the input.",
        ),
    ],
    decision: Annotated[str, typer.Option(help="The number of the decision to appoint.")],
    agency: Annotated[str, typer.Option(help="The site's own authority; a province's is known.")] = "",
    title: Annotated[str, typer.Option(help="The office as printed beside a signature.")] = "Quản trị viên",
    none_is_left: Annotated[
        bool, typer.Option("--none-is-left", help="There were administrators, and nobody can appoint anybody any more.")
    ] = False,
    instead_of: Annotated[
        str,
        typer.Option(
            metavar="APPOINTMENT",
            help="Of the only administrator, who cannot act: a slip in the number, a death. It is ended.",
        ),
    ] = "",
    wait: Annotated[float, typer.Option(min=0, help="Seconds for a site that is just being installed.")] = 0,
) -> None:
    """Appoint the first administrator of a site that has none, once. They appoint the others, through the API."""
    from command.site import appoint as appointing
    from services.identity.appointing import Asked

    with site() as known:
        if not (agency := agency or appointing.authority_of(known.site)):
            fail(f"Which agency is the own authority of {known.site}?", "Name it with --agency.")
        given = sys.stdin.readline().strip() if number == "-" else number
        asked = Asked(given, agency, title, decision, none_is_left, instead_of)
        sys.exit(asyncio.run(appointing.appoint(known, asked, wait)))


@catalogue_app.command("load")
def catalogue_load(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=True, help="A YAML file, or a folder of them.")],
    access_token: Annotated[str, typer.Option("--token", envvar="MOTCUA_TOKEN", help="An editor's token.")] = "",
    into_store: Annotated[
        bool, typer.Option("--into-store", help="Straight into the event store, by its operator: no token is needed.")
    ] = False,
    province: Annotated[
        list[str] | None,
        typer.Option(help="Whose agencies a folder laid out as services/catalogue/data opens; the site's own if none."),
    ] = None,
    replaces: Annotated[
        bool, typer.Option("--replace", help="In place of what is not in force yet and overlaps with it.")
    ] = False,
) -> None:
    """Publish definitions, or say their faults and publish nothing; what is published already is left alone."""
    wanted = province or []
    if not into_store and not access_token:
        fail("A token of an editor is missing.", "Give --token or MOTCUA_TOKEN; inside the site, --into-store.")
    from command.site import catalogue

    if into_store:
        with site() as known:
            sys.exit(asyncio.run(catalogue.load_into_store(known, file, wanted, replaces=replaces)))
    sys.exit(catalogue.load(settings(), file, access_token, wanted, replaces=replaces))


@app.command()
def doctor(
    backup: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where backups lie: a folder or s3://bucket/prefix.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Examine this site, or this pod: what is wrong, why it matters, what to do. Ends with 1 if anything is bad."""
    from command.doctor import doctor

    with site() as known:
        sys.exit(doctor(known, backup, as_json))


@keys_app.command("rotate-master")
def keys_rotate_master() -> None:
    """Wrap all keys anew under a new master key. The site goes on meanwhile; interrupted, it is finished by running it again.

    The key in the data folder is replaced. One from the environment: first start identity with the new MOTCUA_MASTER_KEY and the
    old one as MOTCUA_MASTER_KEY_PREVIOUS, and run this with the same two.
    """
    from command.site import keys

    with site() as known:
        sys.exit(asyncio.run(keys.rotate_master(known)))


@keys_app.command("forget-numbers")
def keys_forget_numbers(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Destroy the key by which personal numbers are looked up: no number leads to an account any more, for ever.

    Everybody who logs in afterwards gets a new account; the old ones stay with their dossiers.
    """
    if not yes:
        typer.confirm("Nobody will find the account of a personal number again. Destroy the key?", abort=True)
    from command.site import keys

    with site() as known:
        sys.exit(asyncio.run(keys.forget_numbers(known)))


@parked_app.command("list")
def parked_list() -> None:
    """List the facts that a service could not settle, with why."""
    from command.views import parked

    rows = asyncio.run(parked.list_all(settings()))
    if not rows:
        out.print("Nothing is parked.")
        return
    table = Table("reaction", "event", "fact", "stream", "tried", "why")
    for row in rows:
        fact = row.event_type.rpartition(".")[2]
        table.add_row(row.reaction, row.event_id, fact, row.stream, str(row.attempts), row.error)
    out.print(table)


@parked_app.command("retry")
def parked_retry(
    event_id: Annotated[str, typer.Argument(help="The event's id, or 'all'.")],
) -> None:
    """Try a parked fact again, or all of them."""
    from command.views import parked

    sys.exit(asyncio.run(parked.retry(settings(), event_id)))


def main() -> Any:
    try:
        return app()
    except KeyboardInterrupt:  # before anybody cares for it: while the program is loaded
        sys.exit(130)
