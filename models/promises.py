"""
Promises that run: when each falls due, when it is warned of, and what a pause or a change does to it.

Four rules hold for every promise, whatever the case goes through:

1. What was promised is kept. A promise holds its due time; another configuration changes promises made after it.
2. A change makes it sooner or leaves it: a case that becomes more pressing gets the better of both due times, one that
   becomes less pressing keeps what it had.
3. The clock of a resolution stands still while the customer is awaited: from the answer's publication to the arrival of
   the customer's reply. What was left of service time is left then. It does not stand still for anything of ours: an
   offer, a hold, a transfer, an approval. A due time that had passed stays: a pause mends no breach.
4. Each promise warns once and breaks once; one that is both by the time somebody looks is only broken.
"""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from models.brands import PromiseKind, ServiceLevel, level_on
from models.labels import Triage
from models.sla import OpenHours

Told = Literal["", "warned", "breached"]


class Promise(Struct, frozen=True, gc=False, omit_defaults=True):
    """One promise to one customer. Times are Unix ms."""

    kind: PromiseKind
    since: int
    """What it counts from: arrival of the case, or of the post that awaits an answer."""
    due_at: int
    """While it is paused: as it was before."""
    warn_at: int
    span_ms: int
    """Service time that was promised."""
    told: Told = ""
    """What was said of it already."""
    paused_at: int = 0
    """Since when the customer is awaited; 0: it runs."""
    left_ms: int = 0
    """Of a paused one: service time left to the due time."""
    warn_left_ms: int = 0
    """Of a paused one: service time left to the warning."""


Promises = tuple[Promise, ...]
"""Those of a case: at most one to answer and one to resolve."""


def started(
    level: ServiceLevel, kind: PromiseKind, triage: Triage, platform: str, since: int, hours: OpenHours
) -> Promise | None:
    """Return a new promise by the rules in force; None where nothing is promised."""
    term = level_on(level, platform).terms.get((kind, triage))
    if term is None:
        return None
    return Promise(kind, since, hours.due_at(since, term.span_ms), hours.due_at(since, term.warn_ms), term.span_ms)


def raised(promise: Promise, level: ServiceLevel, triage: Triage, platform: str, hours: OpenHours) -> Promise:
    """
    Return a promise for a case whose triage has changed: sooner by as much service time as less is promised now.

    Taking the difference from the due time, and not counting anew from the arrival, keeps the pauses in.
    """
    term = level_on(level, platform).terms.get((promise.kind, triage))
    if term is None or term.span_ms >= promise.span_ms:
        return promise
    span_ms, less_ms = term.span_ms, promise.span_ms - term.span_ms
    if promise.paused_at:
        left_ms = max(0, promise.left_ms - less_ms)
        warn_left_ms = min(promise.warn_left_ms, left_ms)
        return replace(promise, span_ms=span_ms, left_ms=left_ms, warn_left_ms=warn_left_ms)
    due = min(promise.due_at, hours.before(promise.due_at, less_ms))
    warn = min(promise.warn_at, due, hours.due_at(promise.since, term.warn_ms))
    return replace(promise, span_ms=span_ms, due_at=due, warn_at=warn)


def paused(promise: Promise, now: int, hours: OpenHours) -> Promise:
    """Stop the clock: the customer is awaited. What is paused already stays so."""
    if promise.paused_at:
        return promise
    left_ms = max(0, hours.open_ms(now, promise.due_at))
    warn_left_ms = max(0, hours.open_ms(now, promise.warn_at))
    return replace(promise, paused_at=now, left_ms=left_ms, warn_left_ms=warn_left_ms)


def resumed(promise: Promise, at: int, hours: OpenHours) -> Promise:
    """
    Start the clock again at the arrival of the customer's reply.

    Args:
        at: Unix ms. A reply that came before the pause, and was read after it, takes nothing away.
        hours: As they are in force now: what was left counts by them.
    """
    if not promise.paused_at:
        return promise
    at = max(at, promise.paused_at)
    due = _moved(promise.due_at, promise.left_ms, promise.paused_at, at, hours)
    warn = _moved(promise.warn_at, promise.warn_left_ms, promise.paused_at, at, hours)
    return replace(promise, due_at=due, warn_at=min(warn, due), paused_at=0, left_ms=0, warn_left_ms=0)


def _moved(then: int, left_ms: int, paused_at: int, at: int, hours: OpenHours) -> int:
    if then <= paused_at:
        return then
    # Without service time left, as after a change of the hours, what lies between stays as the clock has it.
    return hours.due_at(at, left_ms) if left_ms > 0 else at + then - paused_at


def next_at(promise: Promise) -> int | None:
    """Return when there is something to say about a promise; None: never, as it stands."""
    if promise.paused_at or promise.told == "breached":
        return None
    return promise.due_at + 1 if promise.told == "warned" else min(promise.warn_at, promise.due_at + 1)


def told_at(promise: Promise, now: int) -> Told:
    """Return what is to be said of a promise at an instant; on the millisecond of its due time it is still kept."""
    if promise.paused_at:
        return promise.told
    if now > promise.due_at:
        return "breached"
    return "warned" if now >= promise.warn_at else promise.told


def is_kept(promise: Promise, now: int) -> bool:
    """Return whether a promise is kept by what happens now; a paused one stands as it stood when it was paused."""
    return promise.told != "breached" and (promise.paused_at or now) <= promise.due_at


# -- of a case ------------------------------------------------------------------------------------------------------


def answer_promise(promises: Promises) -> Promise | None:
    """Return the promise to answer, if one runs."""
    for one in promises:
        if one.kind != "resolution":
            return one
    return None


def resolution_promise(promises: Promises) -> Promise | None:
    """Return the promise to resolve, if there is one."""
    return next((one for one in promises if one.kind == "resolution"), None)


def awaiting_answer(
    held: Promises,
    level: ServiceLevel,
    hours: OpenHours,
    triage: Triage,
    platform: str,
    since: int,
    *,
    first: bool,
) -> Promises:
    """
    Return the promises of a case that awaits an answer.

    Args:
        held: Those it has. A promise to answer that runs goes on, a paused resolution is taken up at ``since``.
        triage: As it is now; it makes what runs sooner, never later.
        since: Arrival of the oldest post that awaits an answer, Unix ms.
        first: Whether nobody has answered yet.
    """
    if not held:  # Every case begins so.
        answer = started(level, "first_answer" if first else "next_answer", triage, platform, since, hours)
        resolution = started(level, "resolution", triage, platform, since, hours)
        if resolution is None:
            return () if answer is None else (answer,)
        return (resolution,) if answer is None else (answer, resolution)
    answer = answer_promise(held)
    if answer is not None:
        answer = raised(answer, level, triage, platform, hours)
    else:
        answer = started(level, "first_answer" if first else "next_answer", triage, platform, since, hours)
    resolution = resolution_promise(held)
    if resolution is not None:
        resolution = raised(resumed(resolution, since, hours), level, triage, platform, hours)
    else:
        resolution = started(level, "resolution", triage, platform, since, hours)
    return tuple(one for one in (answer, resolution) if one is not None)


def answered(held: Promises) -> Promises:
    """Return what is still promised once an answer stands at its platform."""
    return tuple(one for one in held if one.kind == "resolution")


def awaiting_customer(held: Promises, now: int, hours: OpenHours) -> Promises:
    """Return the promises of a case whose customer is awaited: nothing to answer, the rest paused."""
    return tuple(paused(one, now, hours) for one in answered(held))


def reopened(held: Promises, closed_at: int, at: int, hours: OpenHours) -> Promises:
    """Return the promises of a closed case that its customer takes up again: it was at rest from its end to his post."""
    return tuple(resumed(paused(one, closed_at, hours), at, hours) for one in answered(held))
