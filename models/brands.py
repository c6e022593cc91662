"""Tenants and their brands: what to watch for, what was promised, when people are there, and who they are."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from msgspec import Struct, field

from models.labels import TRIAGES, Category, Subject, Triage
from models.priority import DEFAULT, Order
from models.reps import AS_EVER, RepProfile, Team, WideningStep, WorkKind

__all__ = [
    "ALWAYS",
    "DAYS",
    "FORWARD_S",
    "Account",
    "BotAnswer",
    "BotRules",
    "Brand",
    "DayHours",
    "IncidentRules",
    "Minutes",
    "PeopleRules",
    "Person",
    "PromiseKind",
    "RepProfile",
    "ServiceHours",
    "ServiceLevel",
    "Shift",
    "Tenant",
    "Term",
    "Tone",
    "brand_of",
    "handle_key",
    "handles_used_twice",
    "level_on",
    "minutes_of",
    "promised_min",
    "rep_of",
    "shifts_that_overlap",
    "term_of",
]

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""In the order of ``date.weekday()``."""

PromiseKind = Literal["first_answer", "next_answer", "resolution"]


FORWARD_S: Final = 900.0  # A meeting, and not a shift.


class Minutes(Struct, frozen=True):
    """Minutes of service time by triage; None where nothing is promised. Spam is never promised anything."""

    at_once: float | None = None
    urgent: float | None = None
    important: float | None = None
    less: float | None = None
    warn_before: float | None = None
    """Minutes of service time before the due time at which to warn; None: after the level's share of the time."""


FIRST_ANSWER: Final = Minutes(at_once=5.0, urgent=15.0, important=60.0, less=240.0)
"""What holds for a triage that a brand's own table leaves out (the table itself is required)."""


class Term(NamedTuple):
    """What one kind of promise is, of one triage on one platform."""

    span_ms: int
    """Service time promised."""
    warn_ms: int
    """Service time after which to warn, 0..span_ms."""


class ServiceLevel(Struct, frozen=True, dict=True):
    """What a brand promises, in minutes of its service hours."""

    first_answer: Minutes = FIRST_ANSWER
    """From the arrival of a case's first post to the first answer."""
    next_answer: Minutes | None = None
    """From a customer's further post to the next answer; None: as the first answer."""
    resolution: Minutes | None = None
    """From the arrival to the close, paused while the customer is awaited; None: not promised."""
    warn_share: float = 0.75
    """Share of the time, 0..1, after which desk and board warn: late enough to be rare, early enough to act."""
    platforms: Mapping[str, "ServiceLevel"] = field(default_factory=dict)
    """Whole levels by platform, where it differs; what an override leaves out is filled from this level on loading."""

    @cached_property
    def terms(self) -> "Mapping[tuple[PromiseKind, Triage], Term]":
        """Every promise of this level, its platforms' left out: reckoned once, since each case asks for two."""
        kinds: tuple[PromiseKind, ...] = ("first_answer", "next_answer", "resolution")
        found = {(kind, triage): term_of(self, kind, triage) for kind in kinds for triage in TRIAGES}
        return {key: term for key, term in found.items() if term is not None}


class Shift(Struct, frozen=True, order=True):
    """One opening of a weekday, in wall time."""

    weekday: int
    """0 is Monday, as in ``date.weekday()``."""
    start_min: int
    """Minutes after midnight, 0..1439."""
    end_min: int
    """Minutes after the midnight that began the day, above ``start_min``; above 1440 it ends on the next day."""


class DayHours(Struct, frozen=True, order=True):
    """The hours of one date, in the place of its weekday's."""

    day: str
    """As in 2026-12-24, or 12-24 for every year; the first goes before the second, both before holidays."""
    spans: tuple[tuple[int, int], ...] = ()
    """Sorted (start, end) in minutes as a shift has them; none of them overlap. Empty: nobody is there."""
    usual: bool = False
    """The weekday's hours hold, though it be a holiday; ``spans`` is then empty."""


class ServiceHours(Struct, frozen=True):
    """When people are there. ``models.sla.open_hours`` turns it into instants."""

    zone: str = "UTC"
    """IANA name, as in Europe/Berlin."""
    week: tuple[Shift, ...] = ()
    """Sorted; none of them overlap. Empty only where ``always`` holds."""
    holidays: tuple[str, ...] = ()
    """ISO dates, sorted, on which nobody is there from midnight to midnight in ``zone``."""
    regions: tuple[str, ...] = ()
    """Countries or their subdivisions whose public holidays are kept too, as in DE-BY; see ``models.calendars``."""
    exceptions: tuple[DayHours, ...] = ()
    """Dates with other hours, sorted."""
    always: bool = False
    """Open at all times; the other fields are then not looked at."""


ALWAYS: Final = ServiceHours(always=True)


class Tone(Struct, frozen=True):
    """How a brand speaks; used by suggestions."""

    address: Literal["formal", "informal"] = "formal"
    """Sie or du, vous or tu."""
    greeting: str = ""
    """Put before a suggested answer; ``{name}`` stands for the author's name."""
    signature: str = ""
    """Put after an answer; ``{rep}`` stands for the rep's name."""


class IncidentRules(Struct, frozen=True):
    """When posts that say the same are one incident, and how fast its answer goes out."""

    mode: Literal["off", "suggest", "group"] = "suggest"
    """``suggest``: a supervisor is shown them and decides; ``group``: they leave the queue by themselves; ``off``: nothing."""
    size: int = 10
    """Authors, 2..1000, who must have written within the window before it is an incident."""
    window_min: int = 60
    """Minutes, 1..1440. Without a new post for so long, an incident is over."""
    similarity: float = 0.5
    """Share of the shingles that two texts have in common, 0.4..1, from which on they say the same."""
    hold_min: int = 30
    """Minutes, 1..1440, that grouped posts wait for their answer; then they go back to the queue with their age."""
    variations_min: int = 3
    """Wordings, 1..100, that an answer to more than so many posts must have: platforms take copies for spam."""
    rate_per_min: int = 30
    """Answers of the machine a minute and account, 1..6000, where the platform has no entry of its own."""
    platforms: Mapping[str, int] = field(default_factory=lambda: {"x": 6})
    """The same by platform. X takes 100 posts in 15 minutes from an account; reps need some of them."""


class BotAnswer(Struct, frozen=True):
    """What the bot answers by itself to one kind of post."""

    category: Category
    texts: Mapping[str, str]
    """By language, ``de`` and ``en``; a post in a language without a text gets no answer."""
    subject: Subject | None = None
    """None: whatever it is about."""
    above: float = 0.9
    """Confidence of the category, 0.5..1, from which on it speaks; of the subject too where one is named."""


class BotRules(Struct, frozen=True):
    """What a brand lets a bot say."""

    name: str = ""
    """Shown with what it says, as in Bot Fenni."""
    acknowledge: Mapping[str, str] = field(default_factory=dict)
    """Text by language that tells a customer that a person will answer; none: nothing is acknowledged."""
    acknowledge_above: float = 0.8
    """Confidence of the category, 0..1, from which on it is acknowledged."""
    acknowledge_categories: tuple[Category, ...] = ("technical", "faq", "complaint")
    answers: tuple[BotAnswer, ...] = ()
    """The first that fits speaks, before an acknowledgement."""


class Brand(Struct, frozen=True):
    """One brand: the words it is watched by and the rules it is served by."""

    id: str
    """Unique in the tenant; part of keys."""
    name: str
    """As it is written; watched for, with near misspellings if it is long enough."""
    service_level: ServiceLevel
    hours: ServiceHours = ALWAYS
    handles: tuple[str, ...] = ()
    """Accounts of the brand, without the @; unique in the tenant whatever their case."""
    aliases: tuple[str, ...] = ()
    """Other names people use."""
    products: tuple[str, ...] = ()
    misspellings: tuple[str, ...] = ()
    """Spellings to watch for beyond the near ones that are made from the name."""
    exclusions: tuple[str, ...] = ()
    """Words that show another meaning: a post with one concerns the brand by a handle only.

    ``*`` at an end stands for any letters.
    """
    languages: tuple[str, ...] = ()
    """ISO 639-1 codes that the brand answers in, the likeliest first; empty: any. Where a post's language is but a guess, it is
    one of them."""
    influence: bool = True
    """Whether an author's reach may speed a case up."""
    influence_cap: float = 2.0
    """The most by which reach can multiply the cost of waiting, 1..4; 1 is the same as switched off."""
    vip: tuple[str, ...] = ()
    """Handles of authors whose reach counts as full, without the @."""
    weight: float = 1.0
    """Weight of this brand's waiting against other brands' of the tenant, 0.1..10."""
    horizon_days: int = 7
    """Posts older than this are counted and open no case: an answer after a week helps nobody."""
    tone: Tone = Tone()
    incidents: IncidentRules = IncidentRules()
    bot: BotRules = BotRules()
    approval: bool = False
    """Whether a second person must approve every answer of this brand."""


class Account(Struct, frozen=True):
    """A door of a tenant: where its posts come in and its answers go out."""

    id: str
    """Unique in the tenant; ``account_id`` of its posts."""
    connector: Literal["webhook", "chat"]
    brand: str = ""
    """Brand taken for posts that name none; of a chat, the brand whose page it is. "": brand watch finds it."""
    callback: str = ""
    """Address that answers are posted to; "": this account takes no answers. Of a webhook only."""
    secret_env: str = ""
    """Variable that holds its secrets, ``whsec_<base64>``, with spaces between while one replaces another."""
    text_max: int = 0
    """Code points that an answer may have; 0: no bound that we know."""


class PeopleRules(Struct, frozen=True):
    """What is remembered of authors, and when somebody who comes again goes sooner. Off unless the operator says so."""

    on: bool = False
    repeat_contacts: int = 2
    """Earlier conversations with the same brand, 1..16, after which the next one counts as repeated."""
    repeat_within_h: float = 24.0
    """Hours, 1..720, that they may lie back."""
    active_contacts: int = 10
    """Conversations within ``keep_days``, 2..1000, from which on somebody is an active socializer."""
    keep_days: int = 30
    """Days, 1..400, without a contact after which an author is forgotten."""
    authors_max: int = 100_000
    """Authors remembered in a partition, 1..1,000,000: about 300 bytes each; the longest silent leave first."""


class Person(Struct, frozen=True):
    """A customer as the tenant's CRM knows one."""

    crm_id: str
    authors: tuple[str, ...] = ()
    """Addresses of the customer's accounts on platforms (``author.uri``), or ``platform:handle``."""
    vip: bool = False


class Tenant(Struct, frozen=True):
    """One customer of the operator: brands that are served together by one set of reps."""

    id: str
    """Unique; first part of every key."""
    name: str
    brands: tuple[Brand, ...]
    """At least one."""
    reps: tuple[RepProfile, ...] = ()
    """Those known from the configuration; others may sign in by token."""
    accounts: tuple[Account, ...] = ()
    people: PeopleRules = PeopleRules()
    persons: tuple[Person, ...] = ()
    order: Order = DEFAULT
    """Which waiting case goes first."""
    teams: tuple[Team, ...] = ()
    kinds: tuple[WorkKind, ...] = ()
    """Kinds of work; a case is of the first that fits, else one unit of work."""
    widening: tuple[WideningStep, ...] = AS_EVER
    """By ``after_s``, the first at 0."""
    forward_s: float = FORWARD_S
    """Seconds that a transfer waits for whom it was handed to; then it is for anybody."""
    reopen_h: float = 0.0
    """Hours after the close in which a customer who writes again opens the same case once more; 0: a new one is opened."""


def brand_of(tenant: Tenant, brand_id: str) -> Brand | None:
    """Return the tenant's brand with this id, or None."""
    return next((brand for brand in tenant.brands if brand.id == brand_id), None)


def rep_of(tenant: Tenant, rep_id: str) -> RepProfile | None:
    """Return the tenant's rep with this id, or None."""
    return next((rep for rep in tenant.reps if rep.id == rep_id), None)


def level_on(level: ServiceLevel, platform: str) -> ServiceLevel:
    """Return the level that holds on a platform."""
    return level.platforms.get(platform, level)


def promised_min(level: ServiceLevel, kind: PromiseKind, triage: Triage, platform: str = "") -> float | None:
    """
    Return the promised minutes of service time, or None where nothing is promised.

    Args:
        triage: Spam is never promised anything.
        platform: Where it was posted, as in ``x``; "" asks for what holds where no override does.
    """
    if triage == "spam":
        return None
    minutes = minutes_of(level_on(level, platform), kind)
    return None if minutes is None else _of_triage(minutes, triage)


def term_of(level: ServiceLevel, kind: PromiseKind, triage: Triage) -> Term | None:
    """
    Return a promise of a level in ms of service time, or None where nothing is promised; its platforms are not looked at.

    The warning comes ``warn_before`` minutes before the end where the kind says so, else after the level's share.
    """
    minutes = minutes_of(level, kind)
    span_min = promised_min(level, kind, triage)
    if minutes is None or span_min is None:
        return None
    span_ms = round(span_min * 60_000)
    before = minutes.warn_before
    warn_ms = span_ms * level.warn_share if before is None else span_ms - before * 60_000
    return Term(span_ms, max(0, round(warn_ms)))


def minutes_of(level: ServiceLevel, kind: PromiseKind) -> Minutes | None:
    """Return the minutes of one kind of promise on a level; None where it is not given at all."""
    if kind == "resolution":
        return level.resolution
    if kind == "next_answer" and level.next_answer is not None:
        return level.next_answer
    return level.first_answer


def _of_triage(minutes: Minutes, triage: Literal["less", "important", "urgent", "at_once"]) -> float | None:
    match triage:
        case "at_once":
            return minutes.at_once
        case "urgent":
            return minutes.urgent
        case "important":
            return minutes.important
        case "less":
            return minutes.less


def handle_key(handle: str) -> str:
    """Return a handle as it is compared: without spaces around it and a leading @, whatever its case."""
    return handle.strip().removeprefix("@").casefold()


def handles_used_twice(brands: Sequence[Brand]) -> Iterator[tuple[str, int, int]]:
    """Yield (handle, index of the brand that has it, index of the brand that has it too), in the order of brands."""
    first: dict[str, int] = {}
    for index, brand in enumerate(brands):
        for handle in brand.handles:
            before = first.setdefault(handle_key(handle), index)
            if before != index:
                yield handle, before, index


def shifts_that_overlap(week: Sequence[Shift]) -> tuple[Shift, Shift] | None:
    """Return the first two shifts that share a minute, Sunday night into Monday included; None if none do."""
    week_min = 7 * 1440
    spans = sorted(
        (shift.weekday * 1440 + shift.start_min, shift.weekday * 1440 + shift.end_min, shift) for shift in week
    )
    if spans:
        start, end, shift = spans[0]
        spans.append((start + week_min, end + week_min, shift))
    for (_, end, left), (start, _, right) in pairwise(spans):
        if start < end and left is not right:
            return left, right
    return None
