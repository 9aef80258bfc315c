"""What keeps a program from starting, or ends it, said in one line instead of a traceback."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from rich.markup import escape
from sqlalchemy.exc import SQLAlchemyError

from command.console import fail, harmless
from command.run.machine import StartFailed
from gateway.ledger.format.errors import LedgerError
from services.chassis.database.database import DatabaseUnavailable
from services.chassis.database.schema import SchemaChanged
from services.chassis.files.examination import is_damage
from services.chassis.site.refusal import SiteRefused
from services.chassis.store.port import StoreUnavailable

DAMAGED = (
    "`motcua doctor` names it, where it is the site's own; those below sandbox/ may be removed, and are made anew."
)
DISK = "Is there room on the disk, may this user write there, is it the right folder? Nothing else was started."


@contextmanager
def refusing(refused_code: int = 1) -> Iterator[None]:
    """Ends the program with 1 where the reason is the operator's to mend; with `refused_code` where the stores are."""
    try:
        yield
    except StartFailed as failed:
        fail(escape(str(failed)), escape(failed.action))
    except SiteRefused as refused:
        fail(harmless(str(refused)), code=refused_code)
    except LedgerError as error:
        fail(f"The ledger cannot go on: {harmless(str(error))}", "docs/ledger.md says what can be done.")
    except SchemaChanged as changed:
        fail(f"{harmless(str(changed))}.", "Run the release that made this table.")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        fail(harmless(f"{where}{error.strerror or error}"), DISK)
    except sqlite3.DatabaseError as error:
        damaged = (
            "A file of the data folder is damaged" if is_damage(error) else "A file of the data folder cannot be used"
        )
        fail(harmless(f"{damaged} ({error})."), DAMAGED if is_damage(error) else DISK)
    except (StoreUnavailable, DatabaseUnavailable, SQLAlchemyError, sqlite3.Error) as error:
        fail(harmless(str(getattr(error, "orig", None) or error).partition("\n")[0]), DISK)
