"""Desks come and go, say whether work may come, and are shown what their rep holds."""

from typing import Any

from msgspec.structs import replace

from agents.dispatch.offers import match, requeue
from agents.dispatch.results import is_known, tell_result
from agents.dispatch.turn import Turn
from agents.dispatch.views import pages, view
from agents.floor import without_connection
from models.records import DeskDown, DeskUp, GatewayBeat, Resync, SetPresence
from models.wire import PresenceFrame, Snapshot
from tables.reps import CONNECTIONS_MAX, Connection, RepRow, rep_key


def desk_up(turn: Turn, work: DeskUp) -> None:
    """A desk has connected."""
    row = turn.floor.rep(work.tenant, work.rep_id)
    mine = Connection(work.connection, work.gateway)
    others = tuple(one for one in row.connections if one.connection != work.connection)
    turn.floor.beats[work.tenant, work.gateway] = turn.now
    turn.floor.save_rep(replace(row, connections=(*others, mine)[-CONNECTIONS_MAX:], lost_at=0))


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
        set_presence(turn, row, work.state)
        tell_result(turn, work, None)
        match(turn, work.tenant)


def set_presence(turn: Turn, row: RepRow, state: Any) -> None:
    """Note a rep's presence and tell it; who goes away gives back what is only offered."""
    if row.presence != state:
        idle_since = turn.now if state == "available" else row.idle_since
        turn.floor.save_rep(replace(row, presence=state, idle_since=idle_since))
    turn.tell(row.tenant, row.rep_id, lambda epoch, seq, ts: PresenceFrame(epoch, seq, ts, state))
    if state in ("away", "offline"):
        for case in turn.floor.held_by(row.tenant, row.rep_id):
            if case.state == "offered":
                requeue(turn, case, state)


def resync(turn: Turn, work: Resync) -> None:
    """A connection needs a snapshot."""
    snapshot(turn, work.tenant, work.rep_id, work.connection)


def snapshot(turn: Turn, tenant: str, rep_id: str, connection: str) -> None:
    """Show a connection, or all of a rep's, what the rep holds."""
    cut = pages([view(case) for case in turn.floor.held_by(tenant, rep_id)])
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
        )
        turn.address(tenant, rep_id, connection, frame)
