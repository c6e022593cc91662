"""An answer goes out: it is written for the outbox, which reports what became of it."""

from agents.dispatch.turn import Turn
from models.cases import Case, Entry
from models.records import Answer
from streams import topics
from streams.carry import Out


def publish(turn: Turn, case: Case, entry: Entry) -> None:
    """Write an answer of a case for its platform."""
    answer = Answer(
        answer_id=entry.id,
        src=turn.src(),
        at=turn.now,
        tenant=case.tenant,
        brand_id=case.brand_id,
        case_id=case.case_id,
        rep_id=entry.rep_id,
        platform=case.platform,
        account_id=case.account_id,
        conversation_uri=case.conversation_uri,
        in_reply_to=case.in_reply_to,
        text=entry.text,
        author_handle=case.author.handle,
        visibility=case.visibility,
        native=case.native,
    )
    turn.outs.append(Out(topics.ANSWERS, f"{case.tenant}|{case.account_id}".encode(), answer))
