"""Writes the pages that are made from the code: docs/settings.md, docs/commands.md, and the list of decisions in docs/adr."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from typing import Any, Literal, get_args, get_origin

import typer
from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

from command.main import app
from services.notification.channels.carriers import CARRIERS
from services.settings import SiteSettings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

MADE = "<!-- Made from the code by `make docs`. -->"
KINDS = {str: "text", Path: "path", date: "day: `2026-11-30`"}
STATUS = re.compile(
    r"^Status: (accepted|(accepted; in part )?superseded by \[\d{4}\]\([\w-]+\.md\)(, \[\d{4}\]\([\w-]+\.md\))*)$", re.M
)


def settings() -> str:
    said = dict(described(SiteSettings))
    rows = [
        (f"`MOTCUA_{name.upper()}`", kind_of(field), default_of(field.default), linked(one_line(said[name])))
        for name, field in SiteSettings.model_fields.items()
    ]
    return f"""# Settings

{MADE}

From the environment, checked before anything starts; a name that is none is refused. What is left out has its default,
and where that is empty the meaning says what is done. The chart gives them from its values
([charts/motcua](../charts/motcua/README.md)). How a site is set up: [operations.md](operations.md),
[one-machine.md](one-machine.md).

{table(("variable", "value", "default", "meaning"), rows)}
{channels()}"""


def channels() -> str:
    rows = [
        (
            carrier.name,
            f"`MOTCUA_{carrier.switch.upper()}`",
            ", ".join(f"`{name.replace('_', '-')}`" for name in carrier.secrets),
            f"`{carrier.chart}`" if carrier.chart == "mail" else f"`channels.{carrier.chart}`",
            carrier.address.value,
            f"{carrier.most:,}" if carrier.most else "",
            next(iter(carrier.leaves.values())),
        )
        for carrier in CARRIERS.values()
    ]
    head = (
        "channel",
        "off without",
        "keys of the Secret",
        "values of the chart",
        "address",
        "characters at most",
        "leaves to",
    )
    return f"""## Channels
Beside the inbox, by which people are told of their dossiers; all of the notification service. The doctor asks each that is on.

{table(head, rows)}"""


def described(kind: type) -> Iterator[tuple[str, str]]:
    """Each attribute of a class, or of those that it is made of, that has a docstring below it."""
    for each in reversed(kind.__mro__):
        if not each.__module__.startswith("services."):
            continue
        (declared,) = ast.parse(dedent(inspect.getsource(each))).body
        assert isinstance(declared, ast.ClassDef)
        for attribute, below in pairwise(declared.body):
            match attribute, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    yield name, inspect.cleandoc(text)


def kind_of(field: FieldInfo) -> str:
    kind: Any = next((each for each in get_args(field.annotation) if each is not type(None)), field.annotation)
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{each}`" for each in get_args(field.annotation))
    if kind is bool:
        return "`true`, `false`"
    if kind not in (int, float):
        return KINDS[kind]
    least = next((each.ge for each in field.metadata if isinstance(each, Ge)), None)
    most = next((each.le for each in field.metadata if isinstance(each, Le)), None)
    word = "whole number" if kind is int else "number"
    return word + (f" from {least}" if least is not None else "") + (f" to {most}" if most is not None else "")


def default_of(value: object) -> str:
    return "" if value is None or value == "" else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def commands() -> str:
    whole = typer.main.get_command(app)
    found = list(leaves(whole, typer.Context(whole, info_name="motcua")))
    index = [
        (f"[`{context.command_path}`](#{anchor(context.command_path)})", first(command.help))
        for command, context in found
    ]
    sections = "\n".join(section(command, context) for command, context in found)
    return f"""# Commands

{MADE}

`motcua COMMAND --help` says the same in a terminal. Commands read [settings](settings.md) from the environment. How they are
used on a site to try: [trying.md](trying.md), on one that works: [operations.md](operations.md).

{table(("command", "what it does"), index)}
{sections}"""


def leaves(command: Any, context: typer.Context) -> Iterator[tuple[Any, typer.Context]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield command, context
        return
    for name, each in inner.items():
        yield from leaves(each, typer.Context(each, parent=context, info_name=name))


def section(command: Any, context: typer.Context) -> str:
    paragraphs = "\n\n".join(one_line(each) for each in inspect.cleandoc(command.help).split("\n\n"))
    usage = " ".join((context.command_path, *command.collect_usage_pieces(context)))
    said = [param.get_help_record(context) for param in command.get_params(context) if param.name != "help"]
    rows = [(f"`{name}`", one_line(meaning)) for name, meaning in said]
    shown = f"\n{table(('argument or option', 'meaning'), rows)}" if rows else ""
    return f"## `{context.command_path}`\n{escaped(paragraphs)}\n\n```\n{usage}\n```\n{shown}"


def decisions() -> str:
    rows = []
    for path in sorted((DOCS / "adr").glob("[0-9]*.md")):
        text = path.read_text()
        number, _, title = text.partition("\n")[0].removeprefix("# ").partition(". ")
        status = STATUS.search(text)
        if status is None:
            raise SystemExit(f"{path.name}: it needs a line `Status: accepted`, or superseded by what")
        rows.append((number, f"[{title}]({path.name})", status[0].removeprefix("Status: ")))
    return f"""# Decisions

{MADE}

Why it is so. A decision is mended where its words became untrue, and stays where another took its place: its status names that.

{table(("number", "decision", "status"), rows)}"""


def table(head: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    head = tuple(head)
    lines = [
        f"| {' | '.join(line)} |\n"
        for line in (head, *([escaped(cell).replace("|", "\\|") for cell in row] for row in rows))
    ]
    return "".join((lines[0], f"|{'---|' * len(head)}\n", *lines[1:]))


def escaped(text: str) -> str:
    """What stands in angle brackets is the reader's, and no HTML, outside of code."""
    return re.sub(r"(`[^`]*`)|<", lambda found: found[1] or "\\<", text)


def one_line(text: str) -> str:
    return " ".join(text.split())


def first(text: str) -> str:
    return one_line(text.split("\n\n")[0])


def linked(text: str) -> str:
    return re.sub(r"docs/([\w-]+\.md)", r"[\1](\1)", text)


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


PAGES = {DOCS / "settings.md": settings, DOCS / "commands.md": commands, DOCS / "adr" / "README.md": decisions}

if __name__ == "__main__":
    for page, made in PAGES.items():
        page.write_text(made())
        print(page.relative_to(ROOT))
