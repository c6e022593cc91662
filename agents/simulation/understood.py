"""Posts through the real understanding: which concern a brand, and what a request of each would be."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Final

from agents.floor import House
from agents.understand import Classifies, Understand
from models.arrivals import Recorded
from models.brands import Tenant
from models.influence import cost_factor
from models.labels import TRIAGE_RANK
from models.posts import Post, unix_ms
from models.records import Understood
from models.triage import final_triage
from streams.carry import Part, Record

BATCH: Final = 500  # As one fetch brings to the step at most.


def understand(tenants: Sequence[Tenant], posts: Sequence[Post], classifier: Classifies) -> dict[str, Understood]:
    """Return what the step makes of posts, by the post's id; what concerns no brand is missing."""
    step = Understand(tenants, classifier)
    part = Part(0, None, "")
    found: dict[str, Understood] = {}
    for start in range(0, len(posts), BATCH):
        records = [_record(offset, post) for offset, post in enumerate(posts[start : start + BATCH], start)]
        for out in step.fold(records, part):
            if isinstance(out.value, Understood):
                found[out.value.post.id] = out.value
    return found


def _record(offset: int, post: Post) -> Record:
    raw = SimpleNamespace(topic="posts", partition=0, offset=offset, key=b"", value=b"")
    received_at = post.data.received_at
    return Record(offset, unix_ms(received_at if received_at is not None else post.time), post, raw)


def why_counted(work: Understood) -> str:
    """Return why dispatch would only count a post that joins no case: ``spam``, ``no_answer``; "" if it opens one."""
    if work.triage == "spam":
        return "spam"
    if not work.labels.answer and TRIAGE_RANK[work.triage] < TRIAGE_RANK["important"]:
        return "no_answer"
    return ""


def request_of(work: Understood, house: House) -> Recorded:
    """Return the request that a post opens."""
    post = work.post
    triage, _ = final_triage(work.triage, unanswered=0, reply_until=post.reply_until, now=work.at)
    brand = house.brands[work.tenant, work.brand_id].brand
    return Recorded(
        at=work.at,
        triage=triage,
        language=house.language_of(work.tenant, work.brand_id, work.labels),
        brand_id=work.brand_id,
        subject=work.labels.subject,
        weight=brand.weight * cost_factor(work.influence, brand),
    )
