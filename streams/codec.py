"""Records <-> Structs, each in a try of its own."""

import base64
from typing import Any, Final, Generic, TypeVar

import msgspec

from models.errors import BadEvent
from models.records import DeadLetter

T = TypeVar("T")

VALUE_MAX: Final = 64 * 1024
"""Bytes of a raw record that a dead letter keeps."""

_encoder = msgspec.json.Encoder()
encode = _encoder.encode
"""Any Struct -> JSON bytes."""


class Decoder(Generic[T]):
    """JSON bytes -> one Struct type; unknown fields are kept out, missing ones are named."""

    def __init__(self, holds: Any, label: str) -> None:
        self._decode = msgspec.json.Decoder(holds).decode
        self._label = label

    def decode(self, value: bytes | None) -> T:
        """
        Decode one record's value.

        Raises:
            BadEvent: Naming the field at fault, what came and what was meant.
        """
        if value is None:
            raise BadEvent(f"{self._label}: an empty record came where JSON was meant")
        try:
            return self._decode(value)  # type: ignore[no-any-return]  # the decoder was built for T
        except msgspec.ValidationError as error:
            raise BadEvent(f"{self._label}: {error}") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadEvent(f"{self._label}: not JSON: {error}") from error


def dead_letter(
    at: int,
    reason: str,
    source: str,
    *,
    partition: int = -1,
    offset: int = -1,
    key: bytes | None = None,
    value: bytes | None = None,
    detail: str = "",
) -> DeadLetter:
    """Wrap a record that could not be processed, cut to what a dead letter may hold."""
    raw = (value or b"")[:VALUE_MAX]
    try:
        text, packed = raw.decode(), False
    except UnicodeDecodeError:
        text, packed = base64.b64encode(raw).decode(), True
    return DeadLetter(
        at=at,
        reason=reason[:2000],
        source=source,
        partition=partition,
        offset=offset,
        detail=detail[-8000:],
        key=(key or b"").decode(errors="replace")[:1000],
        value=text,
        base64=packed,
    )
