"""
What is sent, and what should become of it: known before the first byte goes out.

A plan is a list of calls. Each says which answer it must get, which posts it puts into the log and which dead letters it
leaves. Nothing here asks the engine; brands and noise come from the demonstration's labelled corpus.
"""

import json
import random
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

import agents.demo

CORPUS: Final = Path(agents.demo.__file__).with_name("corpus.jsonl")
SINGLE: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
EITHER: Final = "application/json"
ACCOUNT, BRIDGE = "referee", "bridge"
BODY_BYTES: Final = 256 * 1024
BATCH_BYTES: Final = 1024 * 1024
EVENTS_MAX: Final = 1_000
TEXT_MAX: Final = 40_000

Line = dict[str, Any]
Event = dict[str, Any]
Signing = Literal["good", "other_secret", "other_body", "stale", "ahead", "none"]


class Letter(Struct, frozen=True):
    """A dead letter that must come: who writes it, a piece of its reason, a mark that only its value holds."""

    source: str
    reason: str
    mark: str


class Sent(Struct, frozen=True):
    """One post that is put into the log, and what must become of it."""

    key: str
    """Tenant and post id."""
    tenant: str
    post_id: str
    object_uri: str
    conversation_uri: str
    account: str
    ends: Literal["case", "noise", "updated", "deleted", "buried"]
    """``case``: opened, joined or counted; ``buried``: taken at the door, refused by understand."""
    brand: str = ""
    letter: Letter | None = None


class Call(Struct, frozen=True):
    """One request and the answer that it must get."""

    kind: str
    path: str
    body: bytes
    message_id: str
    content_type: str = SINGLE
    signing: Signing = "good"
    status: int = 202
    error: str = ""
    """The word in a refusal's body; "" where none is meant."""
    accepted: int = 0
    refused: tuple[tuple[int, str], ...] = ()
    """Of a batch: index of a refused event, and a piece of its reason."""
    posts: tuple[Sent, ...] = ()
    letters: tuple[Letter, ...] = ()
    is_replay: bool = False
    """Exactly what was sent before, under its webhook-id: it must change nothing."""


class Plan(Struct, frozen=True):
    """All that is sent."""

    calls: tuple[Call, ...]
    size: int
    """Posts, good and bad, repeats included."""


def plan(count: int, seed: int) -> Plan:
    """
    Return the calls for about so many posts.

    Args:
        count: Posts, good and bad, at least 150.
        seed: Of everything random.
    """
    if count < 150:
        raise ValueError(f"{count} posts; at least 150 were meant, so that each kind of fault is among them")
    return _Maker(count, random.Random(seed)).make()


def size_of(call: Call) -> int:
    """Return how many posts a call brings, good and bad; what is no list of events counts as one."""
    return max(1, len(call.posts) + len(call.refused))


class _Maker:
    """Makes one plan."""

    def __init__(self, count: int, rng: random.Random) -> None:
        self._count, self._rng = count, rng
        lines = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]
        first = [line for line in lines if "again" not in line]
        self._ours = [line for line in first if not line["expect"].get("noise")]
        self._noise = [line for line in first if line["expect"].get("noise")]
        self._run = f"{rng.getrandbits(32):08x}"
        self._number = 0

    def make(self) -> Plan:
        calls = [call for make, share in self._refused() for call in self._times(make, share)]
        calls += [call for make, share in self._odd() for call in self._times(make, share)]
        again = self._repeats(calls)
        left = self._count - sum(map(size_of, calls)) - len(again) * 2
        while left > 0:
            made = self._rng.choices((self._good, self._noise_post, self._batch, self._thread), (30, 5, 8, 3))[0]()
            calls.append(made)
            left -= size_of(made)
        self._rng.shuffle(calls)
        calls = self._with_again(calls, len(again))
        return Plan(tuple(calls), sum(map(size_of, calls)))

    def _times(self, make: Callable[[], Call], share: float) -> list[Call]:
        return [make() for _ in range(max(1, round(self._count * share)))]

    # -- good ones

    def _name(self) -> str:
        self._number += 1
        return f"{self._run}-{self._number:06d}"

    def _id(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128)))

    def _event(self, line: Line, account: str = ACCOUNT, conversation: str = "", **data: Any) -> Event:
        name = self._name()
        now = datetime.now(UTC)
        uri = f"urn:referee:{name}"
        content = {
            "tenant": line["tenant"],
            "platform": line["platform"],
            "account_id": account,
            "object_uri": uri,
            "conversation_uri": conversation or uri,
            "text": line["text"],
            "author": {"handle": f"someone.{name}", "name": line["author_name"]},
            "created_at": now.isoformat(),
        }
        if "brand" in line:
            content["brand"] = line["brand"]
        return {
            # The mark of a dead letter must stand in what it keeps of a long value.
            "id": name,
            "specversion": "1.0",
            "source": f"/referee/{line['platform']}",
            "type": "zuruf.post.created",
            "time": now.isoformat(),
            "data": content | data,
        }

    def _sent(self, event: Event, ends: Any, brand: str = "", letter: Letter | None = None) -> Sent:
        data = event["data"]
        return Sent(
            key=f"{data['tenant']}|{event['id']}",
            tenant=data["tenant"],
            post_id=event["id"],
            object_uri=data["object_uri"],
            conversation_uri=data["conversation_uri"],
            account=data["account_id"],
            ends=ends,
            brand=brand,
            letter=letter,
        )

    def _single(self, kind: str, event: Event, posts: tuple[Sent, ...] = (), **given: Any) -> Call:
        data = event["data"]
        call = Call(
            kind=kind,
            path=f"/webhook/{data['tenant']}/{data['account_id']}",
            body=_json(event),
            message_id=self._id(),
            content_type=self._rng.choice((SINGLE, SINGLE, EITHER)),
            accepted=len(posts),
            posts=posts,
        )
        return replace(call, **given)

    def _good(self) -> Call:
        line = self._rng.choice(self._ours)
        event = self._event(line, self._rng.choice((ACCOUNT,) * 9 + (BRIDGE,)))
        return self._single("good, single", event, (self._sent(event, "case", line["expect"]["brand"]),))

    def _noise_post(self) -> Call:
        event = self._event(self._rng.choice(self._noise))
        return self._single("noise, single", event, (self._sent(event, "noise"),))

    def _batch(self) -> Call:
        """A batch of good posts and noise, with a bad event in every third."""
        tenant = self._rng.choice(("alster", "harbour"))
        events: list[bytes] = []
        posts: list[Sent] = []
        for _ in range(self._rng.randint(3, 25)):
            ours = self._rng.random() < 0.85
            line = self._of(tenant, self._ours if ours else self._noise)
            event = self._event(line)
            events.append(_json(event))
            posts.append(self._sent(event, "case", line["expect"]["brand"]) if ours else self._sent(event, "noise"))
        return self._batched("good, batch", tenant, events, posts)

    def _thread(self) -> Call:
        """A conversation in one batch: its later posts find the case open, unless somebody was very quick."""
        first = self._rng.choice(self._ours)
        brand = first["expect"]["brand"]
        same = [line for line in self._ours if line["expect"]["brand"] == brand]
        conversation = f"urn:referee:thread:{self._name()}"
        made = [self._event(line, conversation=conversation) for line in (first, *self._rng.choices(same, k=2))]
        posts = [self._sent(event, "case", brand) for event in made]
        return self._batched("good, thread", first["tenant"], [_json(event) for event in made], posts)

    def _batched(self, kind: str, tenant: str, events: Sequence[bytes], posts: Sequence[Sent], **given: Any) -> Call:
        call = Call(
            kind=kind,
            path=f"/webhook/{tenant}/{ACCOUNT}",
            body=b"[" + b",".join(events) + b"]",
            message_id=self._id(),
            content_type=self._rng.choice((BATCH, BATCH, EITHER)),
            accepted=len(posts),
            posts=tuple(posts),
        )
        return replace(call, **given)

    def _of(self, tenant: str, lines: Sequence[Line]) -> Line:
        return self._rng.choice([line for line in lines if line["tenant"] == tenant])

    # -- what is taken and ends otherwise

    def _odd(self) -> list[tuple[Callable[[], Call], float]]:
        return [
            (lambda: self._changed("updated"), 0.006),
            (lambda: self._changed("deleted"), 0.006),
            (self._own, 0.006),
            (self._unknown_brand, 0.01),
            (self._empty_batch, 0.0),
        ]

    def _changed(self, ends: Literal["updated", "deleted"]) -> Call:
        line = self._rng.choice(self._ours)
        event = self._event(line) | {"type": f"zuruf.post.{ends}"}
        return self._single(f"{ends}, single", event, (self._sent(event, ends, line["expect"]["brand"]),))

    def _own(self) -> Call:
        event = self._event(self._rng.choice(self._ours))
        event["data"]["author"]["is_brand"] = True
        return self._single("by the brand itself", event, (self._sent(event, "noise"),))

    def _unknown_brand(self) -> Call:
        event = self._event(self._rng.choice(self._ours), brand="nobody")
        letter = Letter("posts", "data.brand: found 'nobody'", event["id"])
        return self._single("unknown brand inside", event, (self._sent(event, "buried", letter=letter),))

    def _empty_batch(self) -> Call:
        return self._batched("empty batch", "alster", [], [])

    # -- what is refused

    def _refused(self) -> list[tuple[Callable[[], Call], float]]:
        return [
            (lambda: self._unsigned("other_secret", "bad_signature"), 0.012),
            (lambda: self._unsigned("other_body", "bad_signature"), 0.008),
            (lambda: self._unsigned("stale", "too_old"), 0.01),
            (lambda: self._unsigned("ahead", "too_new"), 0.005),
            (lambda: self._unsigned("none", "unsigned"), 0.005),
            (self._broken, 0.015),
            (self._broken_batch, 0.005),
            (self._wrong, 0.02),
            (self._mixed, 0.008),
            (self._all_wrong, 0.004),
            (lambda: self._elsewhere("nobody", ACCOUNT), 0.006),
            (lambda: self._elsewhere("alster", "nobody"), 0.006),
            (self._not_theirs, 0.01),
            (self._oversize, 0.002),
            (self._oversize_batch, 0.001),
            (self._too_many, 0.001),
            (self._as_text, 0.004),
        ]

    def _any(self) -> Event:
        return self._event(self._rng.choice(self._ours))

    def _unsigned(self, signing: Signing, error: str) -> Call:
        return self._single(f"signature: {signing}", self._any(), signing=signing, status=401, error=error)

    def _letter(self, mark: str, reason: str, tenant: str = "alster") -> Letter:
        return Letter(f"webhook/{tenant}/{ACCOUNT}", reason, mark)

    def _broken(self) -> Call:
        event = self._any()
        cut = _json(event)[:-20]
        broken = self._rng.choice((cut, _json(event) + b"}", b'{"id":"' + event["id"].encode() + b'\xff\xfe"}'))
        letter = self._letter(event["id"], "not JSON", event["data"]["tenant"])
        return self._single("broken JSON", event, body=broken, status=400, error="bad_event", letters=(letter,))

    def _broken_batch(self) -> Call:
        event = self._any()
        body, tenant = _json(event), event["data"]["tenant"]
        letter = self._letter(event["id"], "not a JSON list of events", tenant)
        return self._single(
            "batch that is no list",
            event,
            body=body,
            content_type=BATCH,
            status=400,
            error="bad_event",
            letters=(letter,),
        )

    def _spoilt(self, event: Event) -> tuple[Event, str]:
        """Make a good event bad; return it with a piece of the reason that must be given."""
        way = self._rng.randrange(8)
        if way == 0:
            del event["data"]["text"]
            return event, "`text`"
        if way == 1:
            return event | {"specversion": "0.3"}, "$.specversion"
        if way == 2:
            return event | {"time": datetime.now(UTC).replace(tzinfo=None).isoformat()}, "$.time"
        if way == 3:
            event["data"]["text"] = 17
            return event, "$.data.text"
        if way == 4:
            return event | {"type": "zuruf.post.imagined"}, "$.type"
        if way == 5:
            event["data"]["text"] = "zu lang " * (TEXT_MAX // 8 + 1)
            return event, "$.data.text"
        if way == 6:
            return event | {"type": "zuruf.tick"}, "recorded days"
        return {key: value for key, value in event.items() if key != "source"}, "`source`"

    def _wrong(self) -> Call:
        event = self._any()
        call = self._single("wrong struct", event)
        spoilt, reason = self._spoilt(event)
        letter = self._letter(event["id"], reason, event["data"]["tenant"])
        return replace(call, body=_json(spoilt), status=400, error="bad_event", letters=(letter,))

    def _mixed(self) -> Call:
        """A batch of which some events are bad, each in its own way; the good ones go on."""
        good = self._batch()
        tenant = good.path.split("/")[2]
        events = list(json.loads(good.body))
        for way in (self._spoilt, self._of_another, self._huge):
            event, reason = way(self._event(self._of(tenant, self._ours)))
            place = self._rng.randint(0, len(events))
            events.insert(place, (event, self._letter(event["id"], reason, tenant)))
        bad = {place: one for place, one in enumerate(events) if isinstance(one, tuple)}
        bodies = [_json(one[0] if isinstance(one, tuple) else one) for one in events]
        return replace(
            good,
            kind="bad events in a batch",
            body=b"[" + b",".join(bodies) + b"]",
            refused=tuple((place, letter.reason) for place, (_, letter) in bad.items()),
            letters=tuple(letter for _, letter in bad.values()),
        )

    def _of_another(self, event: Event) -> tuple[Event, str]:
        event["data"]["tenant"] = "harbour" if event["data"]["tenant"] == "alster" else "alster"
        return event, "this webhook is"

    def _huge(self, event: Event) -> tuple[Event, str]:
        event["data"]["raw_ref"] = "x" * (BODY_BYTES + 1)
        return event, f"at most {BODY_BYTES} are allowed"

    def _all_wrong(self) -> Call:
        made = [self._spoilt(self._event(self._of("alster", self._ours))) for _ in range(2)]
        return self._batched(
            "batch of bad events",
            "alster",
            [_json(event) for event, _ in made],
            [],
            status=400,
            refused=tuple((place, reason) for place, (_, reason) in enumerate(made)),
            letters=tuple(self._letter(event["id"], reason) for event, reason in made),
        )

    def _elsewhere(self, tenant: str, account: str) -> Call:
        path = f"/webhook/{tenant}/{account}"
        return self._single(f"unknown {path}", self._any(), path=path, status=404, error="unknown_account")

    def _not_theirs(self) -> Call:
        event, _ = self._of_another(self._any())
        other = "harbour" if event["data"]["tenant"] == "alster" else "alster"
        path = f"/webhook/{other}/{ACCOUNT}"
        return self._single("another tenant inside", event, path=path, status=403, error="not_yours")

    def _oversize(self) -> Call:
        event, _ = self._huge(self._any())
        return self._single("oversize post", event, status=413, error="oversize")

    def _oversize_batch(self) -> Call:
        made = [self._event(self._of("alster", self._ours), raw_ref="x" * 100_000) for _ in range(11)]
        assert sum(len(_json(one)) for one in made) > BATCH_BYTES
        return self._batched("oversize batch", "alster", [_json(one) for one in made], [], status=413, error="oversize")

    def _too_many(self) -> Call:
        return self._batched(
            "batch of too many", "alster", [b"0"] * (EVENTS_MAX + 1), [], status=413, error="too_many_events"
        )

    def _as_text(self) -> Call:
        return self._single(
            "wrong content type", self._any(), content_type="text/plain", status=415, error="content_type"
        )

    # -- what comes again

    def _repeats(self, calls: Sequence[Call]) -> range:
        """Return how many calls of each kind come again: exactly, and as the same post under another webhook-id."""
        return range(max(2, round(self._count * 0.03)))

    def _with_again(self, calls: list[Call], count: int) -> list[Call]:
        """Put repeats behind their originals: at once, or some way on."""
        remembered = [call for call in calls if call.signing == "good" and call.status in (202, 400)]
        taken = [call for call in remembered if call.posts and len(call.posts) == 1]
        exact = [replace(call, kind="exact duplicate", is_replay=True) for call in self._rng.sample(remembered, count)]
        other = [
            replace(call, kind="repeat, new webhook-id", message_id=self._id())
            for call in self._rng.sample(taken, count)
        ]
        for call in (*exact, *other):
            at = next(place for place, one in enumerate(calls) if one.body == call.body)
            calls.insert(min(len(calls), at + self._rng.choice((1, 1, 5, 50, 200))), call)
        return self._with_shared_ids(calls)

    def _with_shared_ids(self, calls: list[Call]) -> list[Call]:
        """Let a few good posts come under a webhook-id that another post has used: it must not swallow them."""
        good = [place for place, call in enumerate(calls) if call.kind == "good, single"]
        used = {call.message_id for call in calls if call.is_replay}
        free = [place for place in good if calls[place].message_id not in used]
        for first, second in zip(free[::40], free[1::40], strict=False):
            calls[second] = replace(calls[second], kind="webhook-id used twice", message_id=calls[first].message_id)
        return calls


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
