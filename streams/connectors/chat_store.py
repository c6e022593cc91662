"""
Conversations of the chat page: one SQLite file in the data folder.

A line's id is unique in its conversation and on its side, so that writing it again changes nothing. Calls block for the
time of one small transaction; whoever has an event loop calls them in a thread.
"""

import secrets
import sqlite3
import threading
from pathlib import Path
from typing import Final

from msgspec import Struct

from models.wire import ChatLine

LINES_MAX: Final = 200  # As many as a case's thread keeps.
CONVERSATIONS_MAX: Final = 50_000  # Of 200 lines of 4,000 characters: the oldest leave first.
KEEP_MS: Final = 30 * 86_400_000
BUSY_WAIT_S: Final = 5.0

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS conversation (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, brand_id TEXT NOT NULL, name TEXT NOT NULL, at INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS conversation_at ON conversation (at);
CREATE TABLE IF NOT EXISTS line (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation TEXT NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
    by_whom TEXT NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL, text TEXT NOT NULL,
    UNIQUE (conversation, by_whom, id)
) STRICT;
"""


class Conversation(Struct, frozen=True):
    """One customer's talk with one brand."""

    id: str
    """Unguessable: who knows it may read and write."""
    tenant: str
    brand_id: str
    name: str = ""


class Appended(Struct, frozen=True):
    """A line as it stands in the store."""

    line: ChatLine
    is_new: bool


def new_id() -> str:
    """Return an id for a conversation: 192 random bits."""
    return secrets.token_urlsafe(24)


class ChatStore:
    """The file, opened once a process; safe from several threads."""

    def __init__(self, path: Path, lines_max: int = LINES_MAX, conversations_max: int = CONVERSATIONS_MAX) -> None:
        """
        Open the file, or make it with rights for its owner only.

        Args:
            path: Its folder is made if missing.
            lines_max: Kept of a conversation; the oldest leave first.
            conversations_max: Kept in all; those that were silent longest leave first.
        """
        self._lines_max, self._conversations_max = lines_max, conversations_max
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, timeout=BUSY_WAIT_S, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        # An answer counts as published once it stands here: it must survive the machine's fall too.
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.executescript(_SCHEMA)

    def find(self, conversation_id: str) -> Conversation | None:
        """Return a conversation, or None."""
        with self._lock:
            row = self._db.execute(
                "SELECT id, tenant, brand_id, name FROM conversation WHERE id = ?", (conversation_id,)
            ).fetchone()
        return Conversation(*row) if row else None

    def lines(self, conversation_id: str) -> tuple[ChatLine, ...]:
        """Return the lines of a conversation, oldest first."""
        with self._lock:
            rows = self._db.execute(
                "SELECT id, at, by_whom, text FROM line WHERE conversation = ? ORDER BY n", (conversation_id,)
            ).fetchall()
        return tuple(ChatLine(id=id, at=at, by=by, text=text) for id, at, by, text in rows)

    def append(self, conversation: Conversation, line: ChatLine) -> Appended:
        """Add a line at the end, and the conversation with its first; what stands already stays as it is."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(
                "INSERT INTO conversation VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at",
                (conversation.id, conversation.tenant, conversation.brand_id, conversation.name, line.at),
            )
            added = self._db.execute(
                "INSERT INTO line (conversation, by_whom, id, at, text) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (conversation.id, line.by, line.id, line.at, line.text),
            ).rowcount
            self._db.execute(
                "DELETE FROM line WHERE conversation = ?1 AND n <= "
                "(SELECT n FROM line WHERE conversation = ?1 ORDER BY n DESC LIMIT 1 OFFSET ?2)",
                (conversation.id, self._lines_max),
            )
        if added:
            return Appended(line, True)
        return Appended(self.line(conversation.id, line.by, line.id) or line, False)

    def line(self, conversation_id: str, by: str, line_id: str) -> ChatLine | None:
        """Return one line, or None."""
        with self._lock:
            row = self._db.execute(
                "SELECT id, at, by_whom, text FROM line WHERE conversation = ? AND by_whom = ? AND id = ?",
                (conversation_id, by, line_id),
            ).fetchone()
        return ChatLine(id=row[0], at=row[1], by=row[2], text=row[3]) if row else None

    def forget(self, now: int) -> int:
        """Remove conversations that were silent for 30 days, and the most silent beyond the bound; return how many."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            old = self._db.execute("DELETE FROM conversation WHERE at < ?", (now - KEEP_MS,)).rowcount
            over = self._db.execute(
                "DELETE FROM conversation WHERE id IN (SELECT id FROM conversation ORDER BY at DESC LIMIT -1 OFFSET ?)",
                (self._conversations_max,),
            ).rowcount
        return old + over

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
