"""The step: a table of what each kind of record does, and the fold over a run."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from agents.dispatch import (
    answers,
    approvals,
    commands,
    desks,
    forgetting,
    incidents,
    posts,
    pulls,
    relabels,
    supervisors,
    ticks,
    viewing,
)
from agents.dispatch.presence import settle
from agents.dispatch.turn import Rules, Turn
from agents.floor import Floor
from models.errors import BadEvent
from models.records import (
    Accept,
    AnswerIncident,
    Approve,
    Assign,
    CloseCase,
    CloseIncident,
    DeskDown,
    DeskUp,
    Dropped,
    Forget,
    GatewayBeat,
    GroupIncident,
    Hold,
    ListCases,
    ListIncident,
    LogOut,
    Prioritise,
    Published,
    Pull,
    Reconsidered,
    Reject,
    Reopen,
    Reply,
    Resume,
    Resync,
    Return,
    Say,
    Sending,
    SetPresence,
    Take,
    TakeOut,
    Takeover,
    Tick,
    Transfer,
    Understood,
    UngroupIncident,
    View,
    Work,
)
from models.relabels import HeadChanged, Relabel
from streams import topics
from streams.carry import Out, Part, Record, buried
from streams.codec import Decoder


class Dispatch(Rules):
    """The step; one instance serves all partitions of a worker."""

    name = "dispatch"
    topic = topics.WORK
    gathers = False
    fold_max = 100
    decode = staticmethod(Decoder[Work](Work, "work").decode)

    def open(self, part: Part) -> None:
        """Rebuild the floor from the rows."""
        part.index = Floor(part, self.house)

    def fold(self, records: Sequence[Record], part: Part) -> list[Out]:
        """Fold a run; see the package."""
        turn = Turn(self, part)
        # Figures are told once a fold: many ticks in one are history being caught up on.
        turn.last_tick = max((record.offset for record in records if isinstance(record.value, Tick)), default=-1)
        for record in records:
            self._take(turn, record)
        return turn.outs

    def _take(self, turn: Turn, record: Record) -> None:
        work: Any = record.value
        turn.offset, turn.number = record.offset, 0
        src = getattr(work, "src", None)
        if src is not None and not turn.part.is_new(src):
            return
        # The owner writes ticks and takeovers by its own clock: they move the time however long nobody was there.
        turn.move_clock(work.at, always=isinstance(work, BY_OWNER))
        handler = HANDLERS[type(work)]
        try:
            handler(turn, work)
            settle(turn)
            viewing.show_changes(turn)
        except BadEvent as error:  # Raised before anything has changed.
            turn.outs.append(buried(self.name, record, str(error)))


BY_OWNER: Final = (Tick, Takeover)
"""Records by which a partition's owner moves its time."""

HANDLERS: Final[dict[type, Callable[[Turn, Any], None]]] = {
    Understood: posts.understood,
    Reconsidered: posts.reconsidered,
    Dropped: posts.dropped,
    DeskUp: desks.desk_up,
    DeskDown: desks.desk_down,
    GatewayBeat: desks.gateway_beat,
    SetPresence: desks.presence,
    Accept: commands.accept,
    Reject: commands.reject,
    Reply: commands.reply,
    CloseCase: commands.close,
    Relabel: relabels.relabel,
    HeadChanged: relabels.head_changed,
    Hold: commands.hold,
    Resume: commands.resume,
    Transfer: commands.transfer,
    Reopen: commands.reopen,
    GroupIncident: incidents.group,
    AnswerIncident: incidents.answer,
    UngroupIncident: incidents.ungroup,
    CloseIncident: incidents.close,
    TakeOut: incidents.take_out,
    ListIncident: incidents.list_cases,
    Forget: forgetting.forget,
    Pull: pulls.pull,
    ListCases: pulls.list_cases,
    View: viewing.look,
    Approve: approvals.approve,
    Return: approvals.give_back,
    Assign: supervisors.assign,
    Take: supervisors.take,
    Prioritise: supervisors.prioritise,
    Say: supervisors.say,
    LogOut: supervisors.log_out,
    Resync: desks.resync,
    Sending: answers.sending,
    Published: answers.published,
    Tick: ticks.tick,
    Takeover: ticks.takeover,
}
"""What each kind of record of ``work`` does."""
