"""``posts`` -> ``work``: brand watch, labels in one batch a run, influence, triage of the text. Stateless."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct

from models.brands import Brand, ServiceLevel, Tenant, handle_key
from models.errors import BadEvent
from models.influence import influence_of
from models.labels import Addressed, Classification, Triage, guessed_in
from models.people import Directory, introduced
from models.posts import Author, Post, PostData, SocialPost, conversation_of, unix_ms
from models.records import Dropped, Tick, Understood
from models.sketch import sketches_of
from models.triage import asks_for_somebody, triage_of_text
from models.watch import BrandWatch
from streams import metrics, topics
from streams.carry import Out, Part, Record, buried
from streams.codec import Decoder
from streams.runs import RUN_MAX

POST_BYTES_MAX: Final = 256 * 1024
"""Of a record, as webhooks allow: what is made of a post must fit into rows, desk frames and answers."""
NO_BRAND: Final = Brand(id="", name="", service_level=ServiceLevel())
"""Whose rules count the reach of authors who write to no brand: none is a VIP, and reach is not switched off."""

ACTIONS: Final[Mapping[str, str]] = {
    "zuruf.post.created": "created",
    "zuruf.post.updated": "updated",
    "zuruf.post.deleted": "deleted",
}


class Classifies(Protocol):
    """What understand asks of a classifier."""

    def classify(self, texts: Sequence[str]) -> list[Classification]:
        """Return the labels of each text."""


class ClassifiesFor(Protocol):
    """What it asks of one that knows tenants' own heads."""

    def classify_for(self, texts: Sequence[str], tenants: Sequence[str]) -> list[Classification]:
        """Return the labels of each text, as its tenant's heads have them."""


class Sighted(Struct, frozen=True, gc=False):
    """A post that concerns a brand, before its text is read."""

    record: Record
    post: Post
    brand: Brand
    author: Author
    addressed: Addressed
    also: tuple[str, ...]
    at: int


class _Watch:
    """A tenant with its automaton."""

    def __init__(self, tenant: Tenant) -> None:
        self.brands = {brand.id: brand for brand in tenant.brands}
        self.directory = Directory(tenant.persons) if tenant.persons else None
        self.own = {handle_key(handle) for brand in tenant.brands for handle in brand.handles}
        self.watch = BrandWatch(tenant)


class Understand:
    """
    The step.

    Args:
        tenants: With their brands.
        classifier: Labels texts in batches.
        learned: Labels texts by the heads of their tenants; None where there are none, as in a replay.
        tell_dropped: In a replay, what concerns no brand goes on, marked; else it ends here and is counted.
    """

    name = "understand"
    topic = topics.POSTS
    gathers = True
    fold_max = RUN_MAX

    def __init__(
        self,
        tenants: Sequence[Tenant],
        classifier: Classifies,
        *,
        learned: ClassifiesFor | None = None,
        tell_dropped: bool = False,
    ) -> None:
        self._learned = learned
        self._watches = {tenant.id: _Watch(tenant) for tenant in tenants}
        self._classifier = classifier
        self._tell_dropped = tell_dropped
        self._decode = Decoder[Post](Post, "post").decode

    def decode(self, value: bytes | None) -> Post:
        """Decode one record; BadEvent sends it to the dead letters."""
        if value is not None and len(value) > POST_BYTES_MAX:
            raise BadEvent(f"post: {len(value)} bytes came, at most {POST_BYTES_MAX} are meant")
        return self._decode(value)

    def open(self, part: Part) -> None:
        """Nothing is kept."""

    def fold(self, records: Sequence[Record], part: Part) -> list[Out]:
        """Understand a run of posts, of one partition or of several."""
        outs: list[Out] = []
        sighted: list[Sighted] = []
        unsighted: list[Record] = []
        for record in records:
            post: Post = record.value
            if post.type == "zuruf.tick" and self._tell_dropped:
                tick = Tick(at=unix_ms(post.time), src=(record.raw.partition, record.offset, 1))
                outs.append(Out(topics.WORK, b"", tick, 0))
                continue
            try:
                found = self._sight(record, post)
            except BadEvent as error:
                outs.append(buried(self.name, record, str(error)))
                continue
            if found is not None:
                sighted.append(found)
            else:
                unsighted.append(record)
        outs += self._read(sighted)
        outs += self._drop(unsighted)
        return outs if len(outs) < 2 or not self._tell_dropped else sorted(outs, key=_source_order)

    def _sight(self, record: Record, post: Post) -> Sighted | None:
        if post.type == "zuruf.tick":  # It moves the time of all, so live ones come from the partition's owner alone.
            raise BadEvent("post: type: found zuruf.tick, which is for recorded days")
        data = post.data
        watch = self._watches.get(data.tenant)
        if watch is None:
            known = ", ".join(sorted(self._watches))
            raise BadEvent(f"post: data.tenant: found {data.tenant!r}, meant one of {known}")
        if data.author.is_brand or handle_key(data.author.handle) in watch.own:
            return None  # Our own answer, heard again.
        at = _arrival(record, data)
        if data.brand is not None:
            brand = watch.brands.get(data.brand)
            if brand is None:
                raise BadEvent(
                    f"post: data.brand: found {data.brand!r}, meant one of {', '.join(sorted(watch.brands))}"
                )
            sighting = watch.watch.find(_words_of(data), [mention.handle for mention in data.mentions])
            others = (sighting.brand_id, *sighting.others) if sighting is not None else ()
            also = tuple(other for other in others if other != brand.id)
            addressed = data.addressed or (sighting.addressed if sighting is not None else "direct")
            return Sighted(record, post, brand, _author(watch, data), addressed, also, at)
        sighting = watch.watch.find(_words_of(data), [mention.handle for mention in data.mentions])
        if sighting is None:
            return None
        brand = watch.brands[sighting.brand_id]
        return Sighted(
            record, post, brand, _author(watch, data), data.addressed or sighting.addressed, sighting.others, at
        )

    def _drop(self, records: Sequence[Record]) -> list[Out]:
        """What concerns no brand ends here; in a replay it goes on, labelled and marked."""
        posts: list[Post] = [record.value for record in records]
        for post in posts:
            metrics.POSTS_DROPPED.labels(post.data.tenant).inc()
        if not posts or not self._tell_dropped:
            return []
        labelled = self._classifier.classify([_words_of(post.data) for post in posts])
        return [
            Out(topics.WORK, post.data.tenant.encode(), _dropped(record, post.data, labels))
            for record, post, labels in zip(records, posts, labelled, strict=True)
        ]

    def _read(self, sighted: Sequence[Sighted]) -> list[Out]:
        """Label all texts in one batch and write what was understood."""
        if not sighted:
            return []
        texts = [_words_of(one.post.data) for one in sighted]
        if self._learned is not None:
            labelled = self._learned.classify_for(texts, [one.post.data.tenant for one in sighted])
        else:
            labelled = self._classifier.classify(texts)
        labelled = [guessed_in(labels, one.brand.languages) for labels, one in zip(labelled, sighted, strict=True)]
        triages = [triage_of_text(labels, text) for labels, text in zip(labelled, texts, strict=True)]
        sketches = _sketches(sighted, texts, labelled, triages)
        return [
            Out(topics.WORK, one.post.data.tenant.encode(), _understood(one, labels, *read, sketch))
            for one, labels, read, sketch in zip(sighted, labelled, triages, sketches, strict=True)
        ]


def _sketches(
    sighted: Sequence[Sighted],
    texts: Sequence[str],
    labelled: Sequence[Classification],
    triages: Sequence[tuple[Triage, tuple[str, ...]]],
) -> list[bytes]:
    """Return the sketch of each text that may open a case which others open too, b"" of the rest; all in one batch."""
    asked = [
        at
        for at, (one, labels, (triage, _)) in enumerate(zip(sighted, labelled, triages, strict=True))
        if one.brand.incidents.mode != "off"
        and one.post.type == "zuruf.post.created"
        and asks_for_somebody(triage, labels)
    ]
    found = [b""] * len(sighted)
    for at, sketch in zip(asked, sketches_of([texts[at] for at in asked]), strict=True):
        found[at] = sketch
    return found


def _author(watch: _Watch, data: PostData) -> Author:
    """Return who wrote, with what the operator's list of persons says of the account."""
    return data.author if watch.directory is None else introduced(watch.directory, data.platform, data.author)


def _arrival(record: Record, data: PostData) -> int:
    return unix_ms(data.received_at) if data.received_at is not None else record.timestamp


def _dropped(record: Record, data: PostData, labels: Classification) -> Dropped:
    at = _arrival(record, data)
    return Dropped(
        at=at,
        src=(record.raw.partition, record.offset, 1),
        tenant=data.tenant,
        post_id=record.value.id,
        labels=labels,
        influence=influence_of(NO_BRAND, data.author, data.platform, at, data.metrics),
    )


def _understood(
    one: Sighted, labels: Classification, triage: Triage, why: tuple[str, ...], sketch: bytes
) -> Understood:
    data = one.post.data
    # By place, as the Structs have them: by name each field costs 40 ns, and every post makes both.
    return Understood(
        one.at,
        (one.record.raw.partition, one.record.offset, 1),
        data.tenant,
        _social(one.post, one.author, one.at),
        one.brand.id,
        one.addressed,
        labels,
        influence_of(one.brand, one.author, data.platform, one.at, data.metrics),
        triage,
        why,
        one.also,
        ACTIONS[one.post.type],  # type: ignore[arg-type]  # the table holds the three actions
        sketch,
    )


def _social(post: Post, author: Author, at: int) -> SocialPost:
    data = post.data
    created_at = unix_ms(data.created_at if data.created_at is not None else post.time)
    return SocialPost(
        post.id,
        data.platform,
        data.account_id,
        data.object_uri,
        conversation_of(data),
        data.text,
        at,
        min(created_at, at),  # An author's clock may lie; nothing was written after it came.
        author,
        data.kind,
        data.visibility,
        data.parent_uri or "",
        data.permalink or "",
        data.native,
        unix_ms(data.reply_until) if data.reply_until is not None else None,
    )


def _words_of(data: PostData) -> str:
    return f"{data.title}\n{data.text}" if data.title else data.text


def _source_order(out: Out) -> tuple[int, int]:
    """In a replay work keeps the posts' order: ``now`` must not run ahead of a post that only was understood later."""
    src = getattr(out.value, "src", None)
    return (src[1], src[2]) if src is not None else (-1, 0)
