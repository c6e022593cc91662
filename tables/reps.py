"""Reps by tenant and id: presence, connections and the results of their last commands."""

from typing import Final

from msgspec import Struct

from models.records import Role
from models.reps import PresenceState
from models.wire import Result
from streams.rows import Kind

RESULTS_MAX: Final = 16  # As many commands as a desk may have under way.
CONNECTIONS_MAX: Final = 4  # Twice what a gateway allows: an old one may end after the new one began.


class Connection(Struct, frozen=True):
    """One websocket of a desk."""

    connection: str
    gateway: str


class RepRow(Struct, frozen=True, omit_defaults=True):
    """What is remembered of a rep."""

    tenant: str
    rep_id: str
    presence: PresenceState = "offline"
    connections: tuple[Connection, ...] = ()
    lost_at: int = 0
    """When the last connection ended; 0 while one stands."""
    idle_since: int = 0
    role: Role = "rep"
    """Of the desk that connected last."""
    next: PresenceState | None = None
    """What the presence becomes once all that is in hand is done."""
    wrapup_until: int = 0
    results: tuple[tuple[str, Result], ...] = ()
    """Of the last commands, by id, oldest first."""


REPS: Final = Kind("rep", RepRow)
"""They follow the cases: a command whose result is remembered has changed its case, also in a group written in part."""


def rep_key(tenant: str, rep_id: str) -> str:
    """Return a rep's key."""
    return f"{tenant}|{rep_id}"
