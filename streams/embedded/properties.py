"""Kafka's settings for one node of the embedded broker, and the ports and identity that a data folder remembers."""

import base64
import os
import random
import re
import socket
import uuid
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from streams.embedded.errors import BrokerFailed

HOST = "127.0.0.1"
# Below the ports that systems hand to outgoing connections (Linux from 32768, macOS from 49152).
PORTS = range(20_000, 32_000)
KINDS = ("client", "internal", "controller")


class SaslSsl(Struct, frozen=True):
    """What a broker needs to ask its clients for TLS and a password (SASL/PLAIN)."""

    user: str
    password: str
    key_file: Path  # PEM: the private key (PKCS #8, not encrypted), then the certificate chain, own one first.
    ca_file: Path  # PEM: what clients trust.

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_]+", self.user):  # It becomes part of a key of the login module.
            raise ValueError(f"user {self.user!r} must be of letters, digits and underscores")


class Ports(Struct, frozen=True):
    """The loopback ports of one node."""

    client: int
    internal: int
    controller: int


class Identity(Struct, frozen=True):
    """What a data folder remembers between starts."""

    cluster_id: str
    ports: tuple[Ports, ...]


def new_cluster_id() -> str:
    """Return a Kafka UUID: 16 bytes in URL-safe base64 without padding, not beginning with a dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        if not text.startswith("-"):  # Kafka's command line would take it for an option.
            return text


def is_free(port: int) -> bool:
    """Say whether a server could listen on this loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # As Java does: closed connections do not count.
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_ports(nodes: int) -> tuple[Ports, ...]:
    """Choose free ports for ``nodes`` nodes, all different."""
    chosen: list[int] = []
    for port in random.SystemRandom().sample(PORTS, k=len(PORTS)):
        if len(chosen) == nodes * len(KINDS):
            break
        if is_free(port):
            chosen.append(port)
    if len(chosen) < nodes * len(KINDS):
        raise BrokerFailed(f"no {nodes * len(KINDS)} free ports on {HOST} from {PORTS.start} to {PORTS.stop - 1}")
    return tuple(Ports(*chosen[at : at + len(KINDS)]) for at in range(0, len(chosen), len(KINDS)))


def all_free(ports: Iterable[Ports]) -> bool:
    """Say whether the ports of all nodes are still free."""
    return all(is_free(port) for node in ports for port in (node.client, node.internal, node.controller))


def load_identity(folder: Path) -> Identity | None:
    """Return what the folder remembers, None if it is new."""
    file = folder / "identity.json"
    if not file.exists():
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=Identity)
    except msgspec.DecodeError as cause:
        raise BrokerFailed(f"{file} is not readable ({cause}); `zuruf up --fresh` begins anew") from cause


def save_identity(folder: Path, identity: Identity) -> None:
    """Write what the folder is to remember, whole or not at all."""
    part = folder / "identity.json.part"
    part.write_bytes(msgspec.json.format(msgspec.json.encode(identity), indent=2))
    part.replace(folder / "identity.json")


def _secure(sasl: SaslSsl) -> dict[str, object]:
    """Return the settings of the client listener with TLS and passwords."""
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": sasl.key_file,
        "listener.name.client.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.client.plain.sasl.jaas.config": f"{module} required user_{sasl.user}={_quoted(sasl.password)};",
    }


def _quoted(text: str) -> str:
    """Return a JAAS string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def node_properties(node: int, identity: Identity, data: Path, sasl: SaslSsl | None) -> dict[str, object]:
    """Return Kafka's settings for node ``node`` (from 1), which keeps its data in ``data``."""
    ports = identity.ports[node - 1]
    voters = ",".join(f"{n}@{HOST}:{p.controller}" for n, p in enumerate(identity.ports, 1))
    listeners = f"CLIENT://{HOST}:{ports.client},INTERNAL://{HOST}:{ports.internal}"
    client = "SASL_SSL" if sasl else "PLAINTEXT"
    return {
        "process.roles": "broker,controller",
        "node.id": node,
        "controller.quorum.voters": voters,
        "listeners": f"{listeners},CONTROLLER://{HOST}:{ports.controller}",
        "advertised.listeners": listeners,
        "listener.security.protocol.map": f"CLIENT:{client},INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "INTERNAL",
        "log.dirs": data,
        **_replication(len(identity.ports)),
        **_FIXED,
        **(_secure(sasl) if sasl else {}),
    }


def _replication(nodes: int) -> dict[str, object]:
    """Return how many copies there are of everything."""
    copies, in_sync = min(3, nodes), 2 if nodes >= 3 else 1
    return {
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_sync,
    }


_FIXED: dict[str, object] = {
    "auto.create.topics.enable": "false",
    "num.partitions": 4,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.num.partitions": 4,
    "share.coordinator.state.topic.num.partitions": 4,
    "group.initial.rebalance.delay.ms": 0,  # A lone worker need not wait for others.
    "group.min.session.timeout.ms": 1000,  # Tests use sessions of 3 s.
    # A node that was killed may register again only when its old session is over: with the default a start after a
    # crash takes 9 s longer. The same time passes until the others take over from a dead node.
    "broker.session.timeout.ms": 3000,
    "broker.heartbeat.interval.ms": 500,
    "log.segment.bytes": 64 * 1024 * 1024,
    # An index entry of at most 12 bytes per 4 KB of log: 196 KB for a segment of 64 MB. The default maps 10 MB each.
    "log.index.size.max.bytes": 1024 * 1024,
    # 24 bytes a key: 300,000 keys in one pass, more in several. The default would take half of the heap.
    "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
    "num.network.threads": 2,
    "num.io.threads": 4,
    "background.threads": 4,
    "metadata.max.idle.interval.ms": 5000,  # The default writes to an idle laptop's disk twice a second.
}


def write_properties(file: Path, settings: dict[str, object]) -> None:
    """Write a Java properties file that only this user can read: it may hold a password."""
    lines = (f"{key}={_escaped(str(value))}\n" for key, value in settings.items())
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="latin-1") as out:
        out.writelines(lines)


def _escaped(text: str) -> str:
    """Return a value as Java reads it: backslashes doubled, what is not ASCII as UTF-16 escapes."""
    units = text.replace("\\", "\\\\").encode("utf-16-be")
    codes = (units[at] << 8 | units[at + 1] for at in range(0, len(units), 2))
    return "".join(chr(code) if 0x20 <= code < 0x7F else f"\\u{code:04x}" for code in codes)
