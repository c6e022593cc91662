"""Cases, figures and conversations that the pages are shown with; all people and brands are made up."""

from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from models.cases import CaseState, Entry
from models.incidents import IncidentLine
from models.influence import Influence
from models.labels import Category, Classification, Confidence, Sentiment, Subject, Triage
from models.posts import Author
from models.wire import BoardFrame, CaseBrief, CaseView, LearnedLine

BRANDS = {"nordbahn": "Nordbahn", "lumio": "Lumio Energie", "kranich": "Kranich Mobil"}
SEATS = [
    {"rep_id": "mara", "name": "Mara Petersen", "skills": ["de", "en", "billing"], "free": True},
    {"rep_id": "jonas", "name": "Jonas Adeyemi", "skills": ["en", "fr", "outage"], "free": True},
    {"rep_id": "elif", "name": "Elif Yıldız", "skills": ["tr", "de"], "free": False},
]
TARGETS = {
    "team:night": "Nachtdienst",
    "team:bills": "Rechnungen",
    "department:service": "service",
    "site:kiel": "Kiel",
}


@dataclass(frozen=True)
class Scene:
    """One post as a rep meets it; ``due_s`` counts from now, negative when it is late."""

    case_id: str
    brand_id: str
    platform: str
    name: str
    handle: str
    text: str
    triage: Triage
    category: Category
    subject: Subject
    sentiment: Sentiment
    language: str
    due_s: int
    promised_s: int
    followers: int | None = None
    verified: bool = False
    why: tuple[str, ...] = ()
    influence: float = 0.5
    text_max: int = 500


SCENES = (
    Scene(
        "c1",
        "nordbahn",
        "mastodon",
        "Katrin Vogel",
        "katrinv",
        "Stehe seit einer Stunde in Husum, der Anschluss ist weg und der nächste Zug fährt "
        "morgen früh. Wo schlafe ich jetzt mit zwei Kindern?",
        "at_once",
        "urgent",
        "delivery",
        "negative",
        "de",
        148,
        300,
        214,
        why=("category: urgent", "stranded: Anschluss ist weg"),
        influence=0.41,
    ),
    Scene(
        "c2",
        "lumio",
        "bluesky",
        "Tom Okafor",
        "tomokafor.example",
        "Second month in a row you took 312 € instead of 112 €. Nobody picks up the phone. I need that money back today.",
        "urgent",
        "complaint",
        "billing",
        "negative",
        "en",
        -94,
        900,
        18_400,
        True,
        why=("repeated: 3 posts without an answer", "today: today", "reply window: closes in 40 min"),
        influence=0.83,
        text_max=300,
    ),
    Scene(
        "c3",
        "kranich",
        "telegram",
        "Aylin",
        "aylin_k",
        "Seit dem Update zeigt die App nur noch einen weißen Bildschirm 😕 Android 15, schon neu installiert.",
        "important",
        "technical",
        "product",
        "neutral",
        "de",
        1310,
        3600,
        None,
        influence=0.5,
        text_max=4096,
    ),
    Scene(
        "c4",
        "nordbahn",
        "chat",
        "Paul Lindner",
        "",
        "Kann ich mein Fahrrad im Regionalzug nach Sylt mitnehmen, und was kostet das?",
        "important",
        "faq",
        "information",
        "neutral",
        "de",
        2710,
        3600,
        text_max=4000,
    ),
    Scene(
        "c5",
        "lumio",
        "mastodon",
        "Giulia Ferri",
        "giuferri",
        "Merci beaucoup à la dame du service client, tout est réglé en dix minutes !",
        "less",
        "praise",
        "staff",
        "positive",
        "fr",
        13_400,
        14_400,
        987,
        influence=0.52,
    ),
)


def view(scene: Scene, now: int, state: CaseState = "offered", version: int = 2, offer_s: int = 30) -> CaseView:
    """Return the scene's case as the gateway shows it at ``now``."""
    due_at = now + scene.due_s * 1000
    received_at = due_at - scene.promised_s * 1000
    sure = Confidence(language=0.99, sentiment=0.91, category=0.88, subject=0.74, triage=0.93, answer=0.97, toxic=0.98)
    labels = Classification(
        scene.language, scene.sentiment, scene.category, scene.subject, scene.triage, True, False, sure, ("subject",)
    )
    parts = {"age": 0.034}
    if scene.followers is not None:
        parts["followers"] = round(scene.influence - 0.534 - 0.1 * scene.verified, 3)
    if scene.verified:
        parts["verified"] = 0.1
    return CaseView(
        case_id=scene.case_id,
        brand_id=scene.brand_id,
        platform=scene.platform,
        state=state,
        version=version,
        triage=scene.triage,
        addressed="direct",
        labels=labels,
        influence=Influence(scene.influence, parts),
        author=Author(handle=scene.handle, name=scene.name, followers=scene.followers, verified=scene.verified or None),
        received_at=received_at,
        due_at=due_at,
        thread=(Entry(f"{scene.case_id}-p1", received_at, "customer", scene.text),),
        why=scene.why,
        offer=f"{scene.case_id}.1" if state == "offered" else "",
        expires_at=now + offer_s * 1000 if state == "offered" else 0,
        permalink=f"https://social.example/{scene.case_id}" if scene.platform != "chat" else "",
        text_max=scene.text_max,
    )


def _wave(at_min: int, base: float, swing: float, seed: int) -> int:
    """A lively but repeatable count for a minute."""
    noise = ((at_min * 2_654_435_761 + seed * 40_503) >> 11) % 101 / 101
    slow = ((at_min + seed * 11) % 60 - 30) / 30
    return max(0, round(base + swing * (1 - slow * slow) + noise * base * 0.7))


def board(tenant: str, brand_id: str, now: int) -> BoardFrame:
    """Return a brand's figures at ``now``, different for each brand and the same for each second."""
    seed = list(BRANDS).index(brand_id) + 1
    minute = now // 60_000
    late = 2 if brand_id == "lumio" else 0
    return BoardFrame(
        tenant=tenant,
        brand_id=brand_id,
        at=now,
        queued={"at_once": 1 if seed == 1 else 0, "urgent": seed, "important": 9 - 2 * seed, "less": 4},
        offered=2,
        working=5 - seed,
        awaiting_customer=11,
        due_soon=seed + 1,
        late=late,
        oldest_at=now - (247 + 411 * seed) * 1000,
        reps={"available": 6, "busy": 3, "away": 2, "offline": 4},
        posts_1h=1284 // seed,
        cases_1h=402 // seed,
        answered_1h=377 // seed,
        counted_only_1h=882 // seed,
        warned=seed,
        warned_1h=6 * seed,
        breached_1h=late,
        resolved_1h=0 if seed == 3 else 210 // seed,
        share_resolved_in_time_1h=None if seed == 3 else 0.985 - 0.06 * (seed == 2),
        share_in_time_1h=0.973 - 0.031 * (seed == 2),
        share_answered_24h=0.991 - 0.02 * (seed == 2),
        response_p50_s=118.0 * seed,
        response_p90_s=402.0 * seed,
        posts_per_min=tuple(_wave(minute - 60 + i, 18 / seed, 9 / seed, seed) for i in range(60)),
        answered_per_min=tuple(_wave(minute - 60 + i, 5 / seed, 3 / seed, seed + 3) for i in range(60)),
        late_per_min=tuple(1 if late and i in (31, 44, 45, 52) else 0 for i in range(60)) if late else (),
        category_1h={"technical": 121, "faq": 96, "complaint": 88, "urgent": 17, "praise": 41, "other": 39},
        sentiment_1h={"negative": 180, "neutral": 170, "positive": 52},
        triage_1h={"at_once": 6, "urgent": 61, "important": 214, "less": 121},
        learned=(
            LearnedLine("category", "", "rolled_back", now - 3 * 60_000),
            LearnedLine("sentiment", "5a86f86a1840", "promoted", now - 26 * 60_000, 312, 0.712, 0.768),
        ),
    )


def an_incident(now: int, **changes: Any) -> IncidentLine:
    """Return an outage that many have written about, as a board is shown it."""
    line = IncidentLine(
        incident_id="i1",
        state="suggested",
        version=1,
        opened_at=now - 260_000,
        sample="Seit heute Morgen geht bei mir in Kiel kein Internet mehr, was ist da los bei euch?",
        language="de",
        subject="outage",
        posts=128,
        authors=121,
        grown=44,
        waiting=128,
        at_once=3,
    )
    return replace(line, **changes)


def briefs(now: int) -> tuple[CaseBrief, ...]:
    """Return two of an incident's cases."""
    return tuple(
        CaseBrief(
            case_id=f"c0-{number}",
            brand_id="nordbahn",
            platform="x",
            state="queued",
            version=1,
            triage="important",
            received_at=now - 60_000,
            due_at=now + 600_000,
            author=handle,
            excerpt=f"Seit heute Morgen geht bei mir in {town} kein Internet mehr",
        )
        for number, (handle, town) in enumerate((("lina_k", "Kiel"), ("j.petersen", "Husum")))
    )
