"""One run's fold over one partition: the time that holds in it, and what it gives out."""

from collections.abc import Callable
from typing import Any, Final

from agents.dispatch.views import view
from agents.floor import Floor, House
from models.cases import Case
from models.wire import CaseView, DeskEvent
from streams import topics
from streams.carry import Out, Part
from tables.reps import rep_key

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS


class Rules:
    """The house, and the times that hold for all of it."""

    def __init__(
        self,
        house: House,
        *,
        offer_ms: int = 30_000,
        lease_ms: int = 10_000,
        grace_ms: int = 30_000,
        ahead_ms: int = 5_000,
        closed_keep_ms: int = 7 * DAY_MS,
        seen_ms: int = 3 * DAY_MS,
    ) -> None:
        self.house = house
        self.offer_ms = offer_ms
        self.lease_ms = lease_ms
        self.grace_ms = grace_ms
        self.ahead_ms = ahead_ms
        self.closed_keep_ms = closed_keep_ms
        self.seen_ms = seen_ms


class Turn:
    """One run's fold over one partition."""

    def __init__(self, rules: Rules, part: Part) -> None:
        self.rules = rules
        self.part = part
        self.floor: Floor = part.index
        self.progress = part.rows.progress
        self.outs: list[Out] = []
        self.offset = -1
        """Of the record that is folded now."""
        self.number = 0
        """Of outputs that this record has given so far."""
        self.last_tick = -1
        self.now = self.progress.now
        """Unix ms, as the records say."""

    def move_clock(self, at: int, *, always: bool) -> None:
        """Move the time on to a record's, unless it is far ahead of all that was seen."""
        now = self.progress.now
        if at > now and (always or now == 0 or at <= now + self.rules.ahead_ms):
            self.progress.now = self.now = at

    def src(self) -> tuple[int, int, int]:
        """Return the source of the next output of this record."""
        self.number += 1
        return (self.part.number, self.offset, self.number)

    def view(self, case: Case) -> CaseView:
        """Return a case as its rep sees it."""
        return view(case, self.floor.house.text_max(case.tenant, case.account_id))

    def event(self, tenant: str, event: Any) -> None:
        """Write a case event."""
        self.outs.append(Out(topics.CASE_EVENTS, tenant.encode(), event, self.part.number))

    def tell(self, tenant: str, rep_id: str, frame: Callable[[int, int, int], Any]) -> None:
        """Send a sequenced frame to a rep's desks."""
        if not self.part.ready:
            return
        key = rep_key(tenant, rep_id)
        self.floor.seqs[key] = seq = self.floor.seqs[key] + 1
        epoch = self.progress.epoch
        self.outs.append(
            Out(
                topics.DESK_EVENTS,
                tenant.encode(),
                DeskEvent(tenant, rep_id, epoch, frame(epoch, seq, self.now), seq),
                self.part.number,
            )
        )

    def address(self, tenant: str, rep_id: str, connection: str, frame: Any) -> None:
        """Send a frame without a number to one connection, or to all of a rep's."""
        if self.part.ready:
            event = DeskEvent(
                tenant=tenant, rep_id=rep_id, epoch=self.progress.epoch, frame=frame, connection=connection
            )
            self.outs.append(Out(topics.DESK_EVENTS, tenant.encode(), event, self.part.number))
