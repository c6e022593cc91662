"""Three faults and three answers: the event's, the caller's, the operator's. A bug is none of these."""

from typing import Self


class ZurufError(Exception):
    """Base of every error that Zuruf raises on purpose."""


class BadEvent(ZurufError):
    """The event's fault: it goes to dead-letters with this reason, and the stream goes on."""


class IllegalTransition(ZurufError):
    """The caller's fault: the command is refused, and the desk is told what holds now."""

    def __init__(self, message: str, code: str = "") -> None:
        """
        Make the refusal of one command.

        Args:
            message: What came and what holds.
            code: One of ``models.wire.ErrorCode``; "": whoever refuses it knows by the command.
        """
        super().__init__(message)
        self.code = code


class Misconfigured(ZurufError):
    """The operator's fault: the process stops at its start and names the setting."""

    @classmethod
    def at(cls, file: str, key: str, found: object, meant: str) -> Self:
        """
        Make the error of one setting.

        Args:
            file: Where the setting stands: a path, or "environment".
            key: Its full path, as in ``tenant[0].brand[1].service_level.urgent_min``; "" for the whole file.
            found: What stood there; shown by its repr, at most 120 characters of it.
            meant: What ought to stand there, as a phrase.
        """
        shown = repr(found)
        shown = shown if len(shown) <= 120 else f"{shown[:117]}..."
        return cls(f"{file}: {key}: found {shown}, wanted {meant}")
