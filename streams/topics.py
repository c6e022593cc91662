"""Every topic in one table: name, key, what it holds, partitions, retention."""

from typing import Any, Final

from msgspec import Struct

from models.posts import Post
from models.records import Answer, CaseEvent, DeadLetter, Work
from models.relabels import Correction
from models.wire import BoardFrame, DeskEvent

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

EMBEDDED_PARTITIONS: Final = 4
"""On the embedded broker: one machine gains nothing from more, and each costs fetches."""


class Topic(Struct, frozen=True):
    """One topic. Keys: see ``key``; values: JSON of ``holds``."""

    name: str
    key: str
    holds: Any
    partitions: int
    retention_ms: int
    compacted: bool = False
    """Kept is the last record of each key, whatever its age."""


POSTS: Final = Topic("posts", "tenant|conversation", Post, 24, 7 * DAY_MS)
WORK: Final = Topic("work", "tenant", Work, 12, 3 * DAY_MS)
DESK_EVENTS: Final = Topic("desk-events", "tenant", DeskEvent, 12, 6 * HOUR_MS)
ANSWERS: Final = Topic("answers", "tenant|account", Answer, 12, 7 * DAY_MS)
CASE_EVENTS: Final = Topic("case-events", "tenant", CaseEvent, 12, 30 * DAY_MS)
BOARDS: Final = Topic("boards", "tenant|brand", BoardFrame, 4, HOUR_MS)
CORRECTIONS: Final = Topic("corrections", "tenant", Correction, 4, 400 * DAY_MS)
HEADS: Final = Topic("heads", "tenant|head", None, 4, 400 * DAY_MS, compacted=True)
"""Standings and weights of the tenants' own heads; ``streams.heads`` knows them, so that no other process must."""
DEAD_LETTERS: Final = Topic("dead-letters", "source", DeadLetter, 4, 30 * DAY_MS)

ALL: Final = (POSTS, WORK, DESK_EVENTS, ANSWERS, CASE_EVENTS, BOARDS, CORRECTIONS, HEADS, DEAD_LETTERS)
