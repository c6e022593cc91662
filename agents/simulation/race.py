"""
The Race: 280 messages of four customers to fourteen brands in twenty days, half of them with the brand's name alone.

After the race of 2012, of which the figures are known and the texts are not: these texts and brands are our own. Forty posts
that concern no brand are among them. Brand watch, classifier and triage are the engine's; what a post opens is then served.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from agents.floor import House
from agents.simulation.compare import line_of
from agents.simulation.understood import request_of, understand, why_counted
from agents.understand import Classifies
from models.brands import Brand, ServiceHours, ServiceLevel, Shift, Tenant
from models.outcomes import mean
from models.posts import Author, Post, PostData
from models.records import Understood
from models.reps import RepProfile
from models.scenarios import Crew, Scenario, floor_for, requests_for
from models.simulation import Run

FILE: Final = Path(__file__).parent / "race.jsonl"
TENANT: Final = "race"
BRANDS: Final[Mapping[str, tuple[str, str]]] = {
    "auerlicht": ("Auerlicht", "@auerlicht_hilft"),
    "tuvabank": ("Tuvabank", "@tuvabank"),
    "brisanto": ("Brisanto", "@brisantokaffee"),
    "hollermarkt": ("Hollermarkt", "@hollermarkt"),
    "veloma": ("Veloma", "@veloma_rad"),
    "quellbrunn": ("Quellbrunn", "@quellbrunn"),
    "silbermobil": ("Silbermobil", "@silbermobil"),
    "oatmoor": ("Oatmoor", "@oatmoorfoods"),
    "pellwick": ("Pellwick", "@pellwick"),
    "castlemere": ("Castlemere", "@castlemere"),
    "brightgate": ("Brightgate", "@brightgate_help"),
    "fernhaul": ("Fernhaul", "@fernhaul"),
    "junipervale": ("Juniper Vale", "@junipervale"),
    "torridge": ("Torridge", "@torridgetrains"),
}
"""Name and handle by id."""
CATEGORIES: Final = ("urgent", "negative", "technical", "faq", "positive")
WEEKDAYS: Final = ServiceHours(week=tuple(Shift(day, 8 * 60, 18 * 60) for day in range(5)))


class Message(Struct, frozen=True):
    """One line of the file."""

    id: str
    time: datetime
    author: str
    brand: str | None
    """Id; None: it concerns none."""
    handle: bool
    """Whether with the brand's @."""
    category: str | None
    language: str
    text: str


class Read(Struct, frozen=True):
    """What understanding made of all messages."""

    messages: tuple[Message, ...]
    works: dict[str, Understood]
    """By message; what was taken to concern no brand is missing."""
    opened: tuple[Message, ...]
    """Those that open a case, in order."""
    scenario: Scenario


def read(classifier: Classifies) -> Read:
    """Read the messages and have them understood."""
    decode = msgspec.json.Decoder(Message).decode
    messages = tuple(decode(line) for line in FILE.read_bytes().splitlines())
    tenant = Tenant(id=TENANT, name="The Race", brands=tuple(map(_brand, BRANDS)))
    works = understand((tenant,), [_post(message) for message in messages], classifier)
    house = House((tenant,))
    opened = tuple(one for one in messages if one.id in works and not why_counted(works[one.id]))
    recorded = tuple(request_of(works[one.id], house) for one in opened)
    reps = tuple(RepProfile(id=name, name=name, capacity=1) for name in ("first", "second"))
    scenario = Scenario(
        "race",
        Crew(reps, hours={rep.id: WEEKDAYS for rep in reps}),
        levels=dict.fromkeys(BRANDS, ServiceLevel()),
        recorded=recorded,
    )
    return Read(messages, works, opened, scenario)


def _brand(brand_id: str) -> Brand:
    name, handle = BRANDS[brand_id]
    return Brand(id=brand_id, name=name, handles=(handle,), service_level=ServiceLevel())


def _post(message: Message) -> Post:
    data = PostData(
        tenant=TENANT,
        platform="race",
        account_id=TENANT,
        object_uri=f"race:{message.id}",
        text=message.text,
        author=Author(uri=f"race:{message.author}", handle=message.author),
        received_at=message.time,
    )
    return Post(
        specversion="1.0", id=message.id, source="race", type="zuruf.post.created", time=message.time, data=data
    )


# -- figures --------------------------------------------------------------------------------------------------------


def found_figures(seen: Read) -> dict[str, Any]:
    """Return what was found and what it was taken for; it holds whatever the order."""
    meant = [one for one in seen.messages if one.brand is not None]
    bare = [one for one in meant if not one.handle]
    noise = [one for one in seen.messages if one.brand is None]
    counted = Counter(why for work in seen.works.values() if (why := why_counted(work)))
    return {
        "messages": len(meant),
        "found": _found(seen, meant),
        "found_with_at": _found(seen, [one for one in meant if one.handle]),
        "found_without_at": _found(seen, bare),
        "other_posts": len(noise),
        "taken_for_a_brand": sum(one.id in seen.works for one in noise) / len(noise),
        "opened": len(seen.opened),
        "opened_by_category": _by_category(seen, seen.opened),
        "counted": dict(sorted(counted.items())),
        "authors_who_wrote_again": sum(many > 1 for many in Counter(one.author for one in meant).values()),
        "triage_by_category": {
            category: dict(
                Counter(seen.works[one.id].triage for one in meant if one.category == category and one.id in seen.works)
            )
            for category in CATEGORIES
        },
    }


def _found(seen: Read, messages: Sequence[Message]) -> float:
    """Return the share of messages that were given to the brand that they are about."""
    right = sum(one.id in seen.works and seen.works[one.id].brand_id == one.brand for one in messages)
    return right / len(messages)


def _by_category(seen: Read, some: Sequence[Message]) -> dict[str, float]:
    """Return the share of each category's messages that are among these."""
    all_of = Counter(one.category for one in seen.messages)
    here = Counter(one.category for one in some)
    return {category: here[category] / all_of[category] for category in CATEGORIES}


def places(seen: Read, rule: str) -> dict[str, float]:
    """Return the mean place of each category, 0..1, if all came at one moment and one rep served them in turn."""
    at = seen.scenario.recorded[0].at
    together = replace(
        seen.scenario,
        crew=Crew(seen.scenario.crew.reps[:1]),
        recorded=tuple(replace(one, at=at) for one in seen.scenario.recorded),
    )
    outcome = Run(floor_for(together), line_of(rule, together)).go(requests_for(together, 0))
    order = sorted(range(len(outcome.served)), key=lambda place: outcome.served[place].taken_at)
    rank = {place: number / (len(order) - 1) for number, place in enumerate(order)}
    return {
        category: mean([rank[place] for place, one in enumerate(seen.opened) if one.category == category])
        for category in CATEGORIES
    }
