"""One client's connection: its bounds, its socket, and what was written to it."""

import asyncio
from typing import Any

from msgspec import Struct
from websockets.asyncio.server import ServerConnection

from streams.gateway.auth import Claims
from streams.gateway.boards import Watcher
from streams.gateway.session import Bucket, Session


class Limits(Struct, frozen=True):
    """Bounds of one gateway."""

    hello_s: float = 5.0
    frame_bytes: int = 64 * 1024
    """Of one frame from a client."""
    rate: float = 20.0
    """Frames a second from a client, in the long run."""
    burst: int = 40
    faults: int = 10
    """Frames in a minute that cannot be understood, before the connection ends."""
    buffer_bytes: int = 256 * 1024
    """Not yet taken by a client's socket, snapshots and replays apart."""
    socket_bytes: int = 64 * 1024
    """Of the kernel's send buffer, which else grows to 4 MB that nobody here can see."""
    paused_bytes: int = 32 * 1024
    """Above this a client counts as not reading."""
    paused_s: float = 15.0
    """Without taking another 64 KB."""
    sweep_s: float = 5.0
    heartbeat_s: float = 15.0
    """A frame of ours comes at least that often."""
    silent_s: float = 45.0
    """Without a frame or pong of a client."""
    resync_s: float = 10.0
    """Without the snapshot that was asked for; then it is asked for again."""
    beat_s: float = 3.0
    lease_s: float = 10.0
    """Without a beat that got through; then dispatch may think our desks lost, and we name them again."""
    token_grace_s: float = 30.0
    connections: int = 5000
    unknown: int = 500
    """Connections that have not said hello."""
    per_address: int = 50
    """Connections of one foreign address; loopback is not counted."""
    downs: int = 10_000
    """Ends of connections that the broker has not taken; beyond it, nobody is let in."""
    stop_s: float = 5.0
    origins: frozenset[str] = frozenset()
    """Origins of pages that may connect beside those that we serve."""


class Socket(ServerConnection):
    """A connection that remembers when its client was last heard, pongs included."""

    heard_at: float = 0.0
    sockets_max: int = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Cut what comes beyond the process's bound at once: half a handshake costs as much as a whole one."""
        super().connection_made(transport)
        self.heard_at = self.loop.time()
        if self.sockets_max and len(self.server.handler_tasks) > self.sockets_max:
            self.transport.abort()

    def process_event(self, event: Any) -> None:
        """Take note of every frame, whatever its kind."""
        self.heard_at = self.loop.time()
        super().process_event(event)


class Line:
    """One client that has said hello: its socket, and what was written to it."""

    __slots__ = (
        "asked_at",
        "bucket",
        "claims",
        "connection",
        "drained",
        "faults",
        "gone",
        "granted",
        "paused_at",
        "place",
        "refusals",
        "sent_at",
        "socket",
        "written",
    )

    def __init__(
        self, socket: Socket, claims: Claims, place: Session | Watcher, connection: str, limits: Limits
    ) -> None:
        self.socket = socket
        self.claims = claims
        self.place = place
        self.connection = connection
        self.bucket = Bucket(limits.rate, limits.burst)
        self.refusals = Bucket(limits.rate / 10, limits.burst)
        self.faults = Bucket(limits.faults / 60, limits.faults)
        self.gone = False
        self.granted = 0
        """Bytes of snapshots and replays that may still lie in the buffer."""
        self.written = 0
        self.drained = 0
        """Bytes that had been taken by the socket when ``paused_at`` was set."""
        self.paused_at: float | None = None
        self.sent_at = 0.0
        self.asked_at = 0.0
        """When a snapshot was asked for, or its last page came."""

    @property
    def buffered(self) -> int:
        """Bytes that the socket has not taken yet."""
        return self.socket.transport.get_write_buffer_size()
