"""What a gateway counts, on a registry of its own, so that several may live in one process."""

from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from models.wire import ClientFrame, ServerFrame

PUSH_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
FRAME_TYPES: Final = frozenset(
    str(kind.__struct_config__.tag) for kind in (*ClientFrame.__args__, *ServerFrame.__args__)
)
"""Values that the label ``type`` may have, beside ``other``: a client must not make new series."""


class Metrics:
    """Counters of one gateway."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.connections = Gauge(
            "zuruf_ws_connections", "Connections that have said hello.", ["role"], registry=registry
        )
        self._frames = Counter(
            "zuruf_ws_frames", "Frames by direction and type.", ["direction", "type"], registry=registry
        )
        self.aborted = Counter(
            "zuruf_ws_aborted", "Connections cut by us without a closing handshake.", ["reason"], registry=registry
        )
        self.closed = Counter("zuruf_ws_closed", "Connections that we closed, by code.", ["code"], registry=registry)
        self.resumes = Counter("zuruf_ws_resumes", "Hellos of desks, by how they went on.", ["how"], registry=registry)
        self.ready = Gauge("zuruf_gateway_ready", "Whether desks are let in.", registry=registry)
        self.bad_records = Counter(
            "zuruf_gateway_bad_records", "Records that could not be read.", ["topic"], registry=registry
        )
        self.unsent = Counter(
            "zuruf_gateway_unsent", "Records that the broker did not take in time.", registry=registry
        )
        self.restarts = Counter(
            "zuruf_gateway_stream_restarts", "Times a topic was read anew.", ["topic"], registry=registry
        )
        self.push_s = Histogram(
            "zuruf_desk_push_seconds",
            "From a record's time to its frame's write.",
            buckets=PUSH_BUCKETS_S,
            registry=registry,
        )
        # Looking a label up costs more than counting does: each series is looked up once.
        self._series = {
            (direction, kind): self._frames.labels(direction, kind)
            for direction in ("in", "out")
            for kind in (*FRAME_TYPES, "other")
        }

    def came(self, kind: str) -> None:
        """Count a frame of a client."""
        self._series["in", kind if kind in FRAME_TYPES else "other"].inc()

    def went(self, frame: bytes) -> None:
        """Count a frame to a client."""
        self._series["out", frame_type(frame)].inc()

    def text(self) -> bytes:
        """Return all figures as Prometheus reads them."""
        return generate_latest(self._registry)


class _Typed(msgspec.Struct):
    type: str = "other"


_typed = msgspec.json.Decoder(_Typed).decode


def frame_type(frame: bytes) -> str:
    """Return a server frame's type, or ``other``; our encoder writes it first, so that it need not be parsed."""
    first = frame.startswith(b'{"type":"')
    kind = frame[9 : frame.find(b'"', 9)].decode(errors="replace") if first else _typed(frame).type
    return kind if kind in FRAME_TYPES else "other"
