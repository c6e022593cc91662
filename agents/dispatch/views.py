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


def view(case: Case, text_max: int) -> CaseView:
    """Return a case as its rep sees it; ``text_max``: code points that its account's platform takes, 0 for no bound."""
    offer = case.offer
    # By place, as the Struct has them: by name each of thirty costs 40 ns, and every offer makes one.
    return CaseView(
        case.case_id,
        case.brand_id,
        case.platform,
        case.state,
        case.version,
        case.triage,
        case.addressed,
        case.labels,
        case.influence,
        case.author,
        case.received_at,
        case.due_at,
        case.thread,
        case.also,
        case.why + offer.why if offer is not None else case.why,
        offer.offer if offer is not None else "",
        offer.expires_at if offer is not None else 0,
        case.permalink,
        case.reply_until,
        text_max,
        case.rep_id,
        case.kind,
        case.units,
        case.until,
        case.target,
        case.notes,
        case.writer,
        case.writer_until,
        case.known,
        case.incident_id,
        case.promises,
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
