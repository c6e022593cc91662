"""What every connector can do: publish an answer, and tell whether one stands already."""

from typing import Protocol

from msgspec import Struct

from models.records import Answer


class Capabilities(Struct, frozen=True):
    """What a platform allows."""

    text_max: int = 0
    """Code points of an answer; 0: no bound that we know."""
    idempotent: bool = False
    """Whether publishing again with the same ``answer_id`` has one effect."""


class Sent(Struct, frozen=True):
    """The answer stands at its platform."""

    object_uri: str = ""
    url: str = ""
    """Where people can read it; "" where there is no such place."""


class Retry(Struct, frozen=True):
    """Not now: the platform is away, busy, or asks to wait."""

    error: str
    after_s: float | None = None
    """Seconds that the platform asks to wait; None: it does not say."""


class Failed(Struct, frozen=True):
    """Never: trying again changes nothing."""

    code: str


class Unknown(Struct, frozen=True):
    """Nobody can tell whether it went out; to be looked up before it is tried again."""

    error: str


class NotThere(Struct, frozen=True):
    """The answer does not stand there, or sending it again with its id has one effect."""


class CannotTell(Struct, frozen=True):
    """The platform gives no way to find out."""


Outcome = Sent | Retry | Failed | Unknown
Found = Sent | NotThere | CannotTell


class Connector(Protocol):
    """One account's way to its platform."""

    def capabilities(self) -> Capabilities:
        """Return what the platform allows."""
        ...

    async def publish(self, answer: Answer) -> Outcome:
        """Send the answer once; raises nothing that a platform can cause."""
        ...

    async def lookup(self, answer: Answer) -> Found:
        """Find out whether the answer stands at the platform already."""
        ...

    async def close(self) -> None:
        """Let go of what is held open."""
        ...


def refused_for_length(answer: Answer, capabilities: Capabilities) -> Failed | None:
    """Return why the platform would not take the answer for its length, or None."""
    if 0 < capabilities.text_max < len(answer.text):
        return Failed(f"too_long: {len(answer.text)} characters, at most {capabilities.text_max}")
    return None
