"""Which components a dossier holds, and which it still needs. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import assert_never

from services.chassis.decider import Words
from services.dossier.refusals import Reason, Refused
from services.dossier.values import EVERYWHERE, KINDS, Channel, Component, ComponentSource, File, FileKind, Requirement

NONE: Mapping[str, frozenset[str]] = {}
BY_HAND = frozenset({ComponentSource.PAPER, ComponentSource.ATTACHMENT})


def supplied(
    given: Sequence[Component],
    requirements: Sequence[Requirement],
    channel: Channel,
    uploaded: Mapping[str, File],
    documents: Mapping[str, str],
    reuse_consent: bool,
    others_documents: Mapping[str, frozenset[str]] = NONE,
) -> tuple[Component, ...]:
    """What was given, checked, and what the form and the warehouse add: the applicant's own (`documents`: id by kind), and for a
    component about somebody else the one that the applicant holds as a guardian (`others_documents`), if there is one alone.

    Of what was given, only what its source proves is kept: nobody names a file that he did not upload.

    Raises Rejected COMPONENT_REPEATED, COMPONENT_UNKNOWN, COMPONENT_SOURCE_REFUSED, ATTACHMENT_UNKNOWN, ATTACHMENT_KIND_REFUSED,
    DOCUMENT_NOT_REUSABLE.
    """
    _require_once(given)
    rules = {rule.component_code: rule for rule in requirements}
    _refuse("COMPONENT_UNKNOWN", [c.component_code for c in given if c.component_code not in rules])
    _refuse(
        "COMPONENT_SOURCE_REFUSED",
        [c.component_code for c in given if not _accepted(c.source, rules[c.component_code], channel)],
    )
    for component in given:
        if component.source is ComponentSource.ATTACHMENT:
            if component.sha256 not in uploaded:
                raise _unknown_file(component)
            _require_kind(
                component.component_code, uploaded[component.sha256], rules[component.component_code].file_kinds
            )
        kind = rules[component.component_code].document_kind
        held = {documents.get(kind), *others_documents.get(kind, ())}
        if component.source is ComponentSource.WAREHOUSE and component.document_id not in held:
            raise _not_reusable(component)
    found = {each.component_code: _proven(each, uploaded, rules[each.component_code]) for each in given}
    for rule in requirements:
        if rule.component_code in found:
            continue
        if ComponentSource.FORM in rule.sources:
            found[rule.component_code] = Component(rule.component_code, ComponentSource.FORM)
        elif (only := _only(rule, documents, others_documents)) and _reusable(rule, reuse_consent):
            found[rule.component_code] = Component(rule.component_code, ComponentSource.WAREHOUSE, document_id=only)
    return tuple(found[rule.component_code] for rule in requirements if rule.component_code in found)


def named(
    given: Sequence[Component], codes: Collection[str], files: Collection[str], documents: Collection[str]
) -> None:
    """Refuses a draft that names what is not there; whether it will do is said when the draft is submitted.

    Raises Rejected COMPONENT_REPEATED, COMPONENT_UNKNOWN, ATTACHMENT_UNKNOWN, DOCUMENT_NOT_REUSABLE.
    """
    _require_once(given)
    _refuse("COMPONENT_UNKNOWN", [c.component_code for c in given if c.component_code not in codes])
    for component in given:
        if component.source is ComponentSource.ATTACHMENT and component.sha256 not in files:
            raise _unknown_file(component)
        if component.source is ComponentSource.WAREHOUSE and component.document_id not in documents:
            raise _not_reusable(component)


def _require_once(given: Sequence[Component]) -> None:
    """A component is one file, one paper or one document: of several, all but one would be lost."""
    codes = [component.component_code for component in given]
    _refuse("COMPONENT_REPEATED", list(dict.fromkeys(code for code in codes if codes.count(code) > 1)))


def _unknown_file(component: Component) -> Refused:
    none = Words.of("(chưa ghi sha256)", "(no sha256 is given)", "")
    return Refused("ATTACHMENT_UNKNOWN", sha256=component.sha256 or none, component=component.component_code)


def _not_reusable(component: Component) -> Refused:
    none = Words.of("(chưa ghi document_id)", "(no document_id is given)", "")
    document_id = component.document_id or none
    return Refused("DOCUMENT_NOT_REUSABLE", document_id=document_id, component=component.component_code)


def require_result(file: File) -> None:
    """Refuses a file that no result may be. Raises Rejected ATTACHMENT_KIND_REFUSED."""
    _require_kind("result", file, EVERYWHERE)


def _require_kind(component_code: str, file: File, accepted: Collection[FileKind]) -> None:
    if KINDS.get(file.media_type) not in accepted:
        names = ", ".join(sorted(name for name, kind in KINDS.items() if kind in accepted))
        raise Refused("ATTACHMENT_KIND_REFUSED", component=component_code, media_type=file.media_type, accepted=names)


def missing(held: Sequence[Component], requirements: Sequence[Requirement]) -> list[str]:
    codes = {component.component_code for component in held}
    return [rule.component_code for rule in requirements if rule.required and rule.component_code not in codes]


def component_missing(codes: Sequence[str], requirements: Sequence[Requirement]) -> Refused:
    """The refusal that names what is missing, with the names that stand on papers."""
    names = {rule.component_code: rule.name for rule in requirements}
    vi, en = (
        ", ".join(f"{name} ({code})" if (name := names.get(code, ("", ""))[language]) else code for code in codes)
        for language in (0, 1)
    )
    return Refused("COMPONENT_MISSING", components=Words.of(vi, en, ", ".join(codes)))


def _proven(given: Component, uploaded: Mapping[str, File], rule: Requirement) -> Component:
    day = given.issued_on or rule.issued_on
    match given.source:
        case ComponentSource.ATTACHMENT:
            file = uploaded[given.sha256]
            return Component(given.component_code, given.source, file.sha256, file.media_type, file.size, issued_on=day)
        case ComponentSource.PAPER:
            return Component(given.component_code, given.source, issued_on=day)
        case ComponentSource.WAREHOUSE:
            return Component(given.component_code, given.source, document_id=given.document_id)
        case ComponentSource.FORM:
            return Component(given.component_code, given.source)
        case _:
            assert_never(given.source)


def _accepted(source: ComponentSource, rule: Requirement, channel: Channel) -> bool:
    """A paper may be shown, or its scan uploaded; nobody shows paper online."""
    if source in BY_HAND and rule.sources & BY_HAND:
        return source is ComponentSource.ATTACHMENT or channel is not Channel.ONLINE
    return source in rule.sources


def _only(rule: Requirement, own: Mapping[str, str], others: Mapping[str, frozenset[str]]) -> str:
    """The one document that it can be; empty if there is none, or a choice."""
    if not rule.about_another:
        return own.get(rule.document_kind, "")
    found = others.get(rule.document_kind, frozenset())
    return next(iter(found)) if len(found) == 1 else ""


def _reusable(rule: Requirement, reuse_consent: bool) -> bool:
    """The procedure says "data", or it accepts data and the applicant consents."""
    return ComponentSource.WAREHOUSE in rule.sources and (reuse_consent or not rule.sources & BY_HAND)


def _refuse(reason: Reason, codes: Sequence[str]) -> None:
    if codes:
        raise Refused(reason, components=", ".join(codes))


def with_replaced(held: Sequence[Component], new: Sequence[Component]) -> tuple[Component, ...]:
    codes = {component.component_code for component in new}
    return (*(component for component in held if component.component_code not in codes), *new)
