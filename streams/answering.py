"""What zuruf.toml says of incidents, bots and people; every complaint names file, key, what was found and what was meant."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from models.bots import LANGUAGES, disclosed
from models.brands import BotAnswer, BotRules, IncidentRules, PeopleRules, Person
from models.errors import Misconfigured
from models.labels import CATEGORIES, SUBJECTS
from models.pace import RATE_MAX

if TYPE_CHECKING:  # It imports this module.
    from streams.configuration import Keys

MODES: Final = ("off", "suggest", "group")
BOT_ANSWERS_MAX: Final = 100
BOT_CHARS_MAX: Final = 2_000  # Of one text; what is longer belongs on a page that the text names.
PERSONS_MAX: Final = 10_000
ACCOUNTS_MAX: Final = 20  # Of one person, over all platforms.
URL_CHARS_MAX: Final = 1_024


def incident_rules(brand: "Keys") -> IncidentRules:
    """Read ``[tenant.brand.incidents]``; without it supervisors are shown suggestions and nothing else happens."""
    usual = IncidentRules()
    table = brand.table("incidents")
    if table is None:
        return usual
    rules = IncidentRules(
        mode=_one_of(table, "mode", usual.mode, MODES),
        size=table.whole("size", usual.size, 2, 1_000),
        window_min=table.whole("window_min", usual.window_min, 1, 1_440),
        similarity=table.number("similarity", usual.similarity, 0.4, 1.0),
        hold_min=table.whole("hold_min", usual.hold_min, 1, 1_440),
        variations_min=table.whole("variations_min", usual.variations_min, 1, 100),
        rate_per_min=table.whole("rate_per_min", usual.rate_per_min, 1, RATE_MAX),
        platforms=_rates(table, usual.platforms),
    )
    table.done()
    return rules


def _rates(incidents: "Keys", usual: Mapping[str, int]) -> Mapping[str, int]:
    table = incidents.table("platforms")
    if table is None:
        return usual
    return {**usual, **{name: table.whole(name, 0, 1, RATE_MAX) for name in table.names()}}


def bot_rules(brand: "Keys") -> BotRules:
    """Read ``[tenant.brand.bot]``; without it the bot says nothing."""
    usual = BotRules()
    table = brand.table("bot")
    if table is None:
        return usual
    name = table.text("name", default="")
    acknowledge = table.table("acknowledge")
    texts: Mapping[str, str] = {}
    above, categories = usual.acknowledge_above, usual.acknowledge_categories
    if acknowledge is not None:
        texts = _texts(acknowledge, name)
        above = acknowledge.number("above", above, 0.0, 1.0)
        categories = _categories(acknowledge, categories)
        acknowledge.done()
    answers = tuple(_bot_answer(one, name) for one in table.tables("answer", BOT_ANSWERS_MAX))
    table.done()
    return BotRules(name, texts, above, categories, answers)


def _bot_answer(table: "Keys", name: str) -> BotAnswer:
    subject: Any = table.text("subject", default="")
    if subject and subject not in SUBJECTS:
        table.fail("subject", f"one of {' '.join(SUBJECTS)}")
    answer = BotAnswer(
        category=_one_of(table, "category", None, CATEGORIES),
        texts=_texts(table, name),
        subject=subject or None,
        above=table.number("above", 0.9, 0.5, 1.0),
    )
    table.done()
    return answer


def _texts(table: "Keys", name: str) -> Mapping[str, str]:
    """Read what is said by language; at least one, and short enough with what says that it is a bot."""
    texts: dict[str, str] = {}
    for language in LANGUAGES:
        said = table.text(language, default="", chars_max=BOT_CHARS_MAX)
        if said:
            texts[language] = said
            length = len(disclosed(name, language, said))
            if length > BOT_CHARS_MAX:
                table.fail(language, f"at most {BOT_CHARS_MAX} characters with what says that it is a bot", length)
    if not texts:
        languages = " or ".join(LANGUAGES)
        raise Misconfigured(f"{table.file}: {table.path}: missing, wanted a text in {languages}: a bot speaks no other")
    return texts


def _categories(table: "Keys", usual: tuple[Any, ...]) -> tuple[Any, ...]:
    given = table.texts("categories")
    for index, one in enumerate(given):
        if one not in CATEGORIES:
            table.fail(f"categories[{index}]", f"one of {' '.join(CATEGORIES)}", found=one)
    return given or usual


def people_rules(tenant: "Keys") -> PeopleRules:
    """Read ``[tenant.people]``; without it nothing is remembered of authors beyond their cases."""
    usual = PeopleRules()
    table = tenant.table("people")
    if table is None:
        return usual
    rules = PeopleRules(
        on=table.flag("on", True),
        repeat_contacts=table.whole("repeat_contacts", usual.repeat_contacts, 1, 16),
        repeat_within_h=table.number("repeat_within_h", usual.repeat_within_h, 1.0, 720.0),
        active_contacts=table.whole("active_contacts", usual.active_contacts, 2, 1_000),
        keep_days=table.whole("keep_days", usual.keep_days, 1, 400),
        authors_max=table.whole("authors_max", usual.authors_max, 1, 1_000_000),
    )
    if rules.repeat_within_h > rules.keep_days * 24:
        table.fail("repeat_within_h", f"at most keep_days, {rules.keep_days * 24} hours: later nobody is remembered")
    table.done()
    return rules


def persons_of(tenant: "Keys") -> tuple[Person, ...]:
    """Read every ``[[tenant.person]]``: customers whom the CRM knows, with their accounts."""
    tables = tenant.tables("person", PERSONS_MAX)
    persons = tuple(_person(one) for one in tables)
    seen: dict[str, str] = {}
    for table, person in zip(tables, persons, strict=True):
        if seen.setdefault(person.crm_id, table.path) != table.path:
            table.fail("crm_id", f"a number of its own; {seen[person.crm_id]} has it already")
        for account in person.authors:
            if seen.setdefault(f"account {account}", table.path) != table.path:
                table.fail("authors", f"accounts of one person; {seen[f'account {account}']} has it too", found=account)
    return persons


def _person(table: "Keys") -> Person:
    authors = table.raw("authors")
    if not isinstance(authors, list) or not 1 <= len(authors) <= ACCOUNTS_MAX:
        table.fail("authors", f"a list of 1 to {ACCOUNTS_MAX} accounts")
    for index, one in enumerate(authors):
        if not isinstance(one, str) or ":" not in one or not 3 <= len(one) <= URL_CHARS_MAX:
            meant = "an account's address, or platform:handle as in x:anna"
            table.fail(f"authors[{index}]", meant, found=one)
    person = Person(crm_id=table.text("crm_id"), authors=tuple(dict.fromkeys(authors)), vip=table.flag("vip", False))
    table.done()
    return person


def _one_of(table: "Keys", name: str, usual: str | None, known: tuple[str, ...]) -> Any:
    found = table.text(name, default=usual)
    if found not in known:
        table.fail(name, f"one of {' '.join(known)}")
    return found
