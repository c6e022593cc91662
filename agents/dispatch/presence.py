"""Whether work may come to a rep: what is said, what was queued for later, and the time to wrap up."""

from msgspec.structs import replace

from agents.dispatch.turn import Turn
from models.reps import PresenceState
from models.wire import PresenceFrame
from tables.reps import RepRow


def become(turn: Turn, row: RepRow, state: PresenceState, until: int = 0) -> None:
    """
    Note a rep's presence and tell it.

    Args:
        until: When a wrap-up ends, Unix ms.
    """
    idle_since = turn.now if state == "available" and row.presence != state else row.idle_since
    changed = replace(row, presence=state, next=None, wrapup_until=until, idle_since=idle_since)
    if changed != row:
        turn.floor.save_rep(changed)
    show_presence(turn, changed)


def show_presence(turn: Turn, row: RepRow) -> None:
    """Tell a rep's desks the presence that dispatch holds."""
    turn.tell(
        row.tenant,
        row.rep_id,
        lambda epoch, seq, ts: PresenceFrame(epoch, seq, ts, row.presence, row.next, row.wrapup_until),
    )


def settle(turn: Turn) -> None:
    """Who has done what was in hand goes into the presence that was queued, or gets the time to wrap up."""
    done = turn.floor.done
    while done:
        key, wrapup_s = done.popitem()
        row = turn.floor.reps.get(key)
        if row is None:
            continue
        if row.next is not None:
            if not turn.floor.held.get(key):
                become(turn, row, row.next)
        elif wrapup_s and row.presence == "available":
            become(turn, row, "wrapup", turn.now + round(wrapup_s * 1000))


def end_wrapups(turn: Turn) -> None:
    """Reps whose time to wrap up has passed get work again."""
    for row in list(turn.floor.reps.values()):
        if row.presence == "wrapup" and row.wrapup_until <= turn.now:
            become(turn, row, "available")
