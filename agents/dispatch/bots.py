"""What the bot says to a post that has just opened a case: at most one thing in a conversation, then people have it."""

from msgspec.structs import replace

from agents.dispatch.incidents import free_now
from agents.dispatch.publishing import publish
from agents.dispatch.turn import Turn
from agents.floor import BrandRules
from agents.incidents import account_of
from models import bots, incidents
from models.cases import Case, Entry, with_entry


def greeted(turn: Turn, case: Case, rules: BrandRules) -> tuple[Case, Entry | None]:
    """
    Return a new case with what the bot says to it, and that; or the case as it is, and None.

    An acknowledged case goes to people as all do. An answered one is the machine's until its answer stands.
    """
    bot = rules.brand.bot
    if case.state != "queued" or not (bot.answers or bot.acknowledge):
        return case, None
    text_max = turn.floor.house.text_max(case.tenant, case.account_id)
    said = bots.says(bot, case, is_first=_is_first(turn, case), text_max=text_max)
    if said is None or free_now(turn, case, rules.brand.incidents) <= 0:
        return case, None
    entry = Entry(id=f"b{case.case_id}", at=turn.now, by="bot", text=said.text, status="queued", ack=said.kind == "ack")
    case = replace(case, why=(*case.why, said.why))
    if said.kind == "ack":
        return replace(case, thread=with_entry(case.thread, entry)), entry
    return incidents.given(incidents.set_aside(case), entry, close=False), entry


def _is_first(turn: Turn, case: Case) -> bool:
    """Whether nobody of the brand, no bot and no person, has said anything in this conversation that is remembered."""
    earlier = turn.floor.closed_of(case.tenant, case.conversation_uri)
    return all(entry.by == "customer" for one in earlier for entry in one.thread)


def spoke(turn: Turn, case: Case, entry: Entry) -> None:
    """Send what the bot has said on its way, once its case stands in the row."""
    turn.floor.incidents.pace.note(account_of(case), turn.now)
    publish(turn, case, entry)
