"""Who writes: what is remembered of an author is told to the rep, and who comes again too soon goes sooner."""

from agents.dispatch.turn import Turn
from models.cases import Known
from models.labels import Triage
from models.people import raised
from models.records import Understood


def met(turn: Turn, work: Understood, triage: Triage) -> tuple[Known | None, Triage, tuple[str, ...]]:
    """
    Note a contact.

    Returns:
        What was known of the author, the triage that repeated contact leaves, and why it is another one.
    """
    rules = turn.floor.authors.rules(work.tenant)
    if rules is None:
        return None, triage, ()
    post = work.post
    known, count = turn.floor.authors.contact(work.tenant, work.brand_id, post.platform, post.author, turn.now)
    return (known, *raised(triage, count, rules, wants_answer=work.labels.answer))
