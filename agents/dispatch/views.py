"""A case as desks see it, and a desk's cases cut into pages."""

from collections.abc import Sequence
from typing import Final

import msgspec

from models.cases import Case, holder_of
from models.wire import CaseBrief, CaseView

SNAPSHOT_PAGE: Final = 50
EXCERPT_CHARS: Final = 140
SNAPSHOT_BYTES: Final = 256 * 1024
"""Of a page, unless one case alone is larger: a desk may hold 64 long threads, and a record holds a megabyte."""

_encode = msgspec.json.Encoder().encode


def view(case: Case) -> CaseView:
    """Return a case as its rep sees it."""
    return CaseView(
        case_id=case.case_id,
        brand_id=case.brand_id,
        platform=case.platform,
        state=case.state,
        version=case.version,
        triage=case.triage,
        addressed=case.addressed,
        labels=case.labels,
        influence=case.influence,
        author=case.author,
        received_at=case.received_at,
        due_at=case.due_at,
        thread=case.thread,
        also=case.also,
        why=case.why + case.offer.why if case.offer is not None else case.why,
        offer=case.offer.offer if case.offer is not None else "",
        expires_at=case.offer.expires_at if case.offer is not None else 0,
        permalink=case.permalink,
        reply_until=case.reply_until,
        promises=case.promises,
        rep_id=case.rep_id,
        kind=case.kind,
        units=case.units,
        until=case.until,
        target=case.target,
        notes=case.notes,
        writer=case.writer,
        writer_until=case.writer_until,
        known=case.known,
        incident_id=case.incident_id,
    )


def brief(case: Case) -> CaseBrief:
    """Return a case as a line of a list."""
    last = next((entry for entry in reversed(case.thread) if entry.by == "customer"), None)
    return CaseBrief(
        case_id=case.case_id,
        brand_id=case.brand_id,
        platform=case.platform,
        state=case.state,
        version=case.version,
        triage=case.triage,
        received_at=case.received_at,
        due_at=case.due_at,
        author=case.author.handle or case.author.name,
        excerpt=last.text[:EXCERPT_CHARS] if last is not None else "",
        language=case.labels.language,
        subject=case.labels.subject,
        kind=case.kind,
        units=case.units,
        rep_id=holder_of(case),
        target=case.target,
        reply_until=case.reply_until,
    )


def pages(held: Sequence[CaseView]) -> list[tuple[CaseView, ...]]:
    """Cut a desk's cases into pages, none of which is too large a record; nothing held is one empty page."""
    cut: list[tuple[CaseView, ...]] = [()]
    size = 0
    for one in held:
        more = len(_encode(one))
        if cut[-1] and (len(cut[-1]) == SNAPSHOT_PAGE or size + more > SNAPSHOT_BYTES):
            cut.append(())
            size = 0
        cut[-1] = (*cut[-1], one)
        size += more
    return cut
