"""Desks come and go, say whether work may come, and are shown what their rep holds."""

from msgspec.structs import replace

from agents.dispatch.offers import match, requeue
from agents.dispatch.presence import become, show_presence
from agents.dispatch.results import is_known, tell_result
from agents.dispatch.turn import Turn
from agents.dispatch.views import pages
from agents.floor import without_connection
from models.records import DeskDown, DeskUp, GatewayBeat, Resync, SetPresence
from models.reps import PresenceState
from models.wire import Snapshot
from tables.reps import CONNECTIONS_MAX, Connection, RepRow, rep_key


def desk_up(turn: Turn, work: DeskUp) -> None:
    """A desk has connected."""
    row = turn.floor.rep(work.tenant, work.rep_id)
    mine = Connection(work.connection, work.gateway)
    others = tuple(one for one in row.connections if one.connection != work.connection)
    turn.floor.beats[work.tenant, work.gateway] = turn.now
    turn.floor.save_rep(replace(row, connections=(*others, mine)[-CONNECTIONS_MAX:], lost_at=0, role=work.role))


def desk_down(turn: Turn, work: DeskDown) -> None:
    """A desk's connection has ended; its grace begins if it was the last."""
    row = turn.floor.rep(work.tenant, work.rep_id)
    left = without_connection(row, work.connection, turn.now)
    if left is not row:
        turn.floor.save_rep(left)


def gateway_beat(turn: Turn, work: GatewayBeat) -> None:
    """A gateway lives."""
    turn.floor.beats[work.tenant, work.gateway] = turn.now


def presence(turn: Turn, work: SetPresence) -> None:
    """A rep says whether work may come."""
    row = turn.floor.rep(work.tenant, work.rep_id)
    if not is_known(turn, row, work):
        if work.when_done and work.state != "available" and turn.floor.held_by(work.tenant, work.rep_id):
            _set_next(turn, row, work.state)
        else:
            set_presence(turn, row, work.state)
        tell_result(turn, work, None)
        match(turn, work.tenant)


def _set_next(turn: Turn, row: RepRow, state: PresenceState) -> None:
    """What is in hand is done first; until then nothing new comes."""
    here = "busy" if row.presence in ("available", "wrapup") else row.presence
    changed = replace(row, presence=here, next=state, wrapup_until=0)
    turn.floor.save_rep(changed)
    show_presence(turn, changed)


def set_presence(turn: Turn, row: RepRow, state: PresenceState) -> None:
    """Note a rep's presence and tell it; who goes away gives back what is only offered."""
    become(turn, row, state)
    if state in ("away", "offline"):
        for case in turn.floor.held_by(row.tenant, row.rep_id):
            if case.state == "offered":
                requeue(turn, case, state)


def resync(turn: Turn, work: Resync) -> None:
    """A connection needs a snapshot."""
    snapshot(turn, work.tenant, work.rep_id, work.connection)


def snapshot(turn: Turn, tenant: str, rep_id: str, connection: str) -> None:
    """Show a connection, or all of a rep's, what the rep holds."""
    cut = pages([turn.view(case) for case in turn.floor.held_by(tenant, rep_id)])
    row = turn.floor.rep(tenant, rep_id)
    for number, page in enumerate(cut):
        frame = Snapshot(
            epoch=turn.progress.epoch,
            seq=turn.floor.seqs[rep_key(tenant, rep_id)],
            ts=turn.now,
            page=number,
            last=number == len(cut) - 1,
            presence=row.presence,
            cases=page,
            next=row.next,
            until=row.wrapup_until,
        )
        turn.address(tenant, rep_id, connection, frame)
