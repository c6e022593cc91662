"""Standard Webhooks: HMAC-SHA256 over id, timestamp and raw body, checked on the way in and made on the way out."""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from models.brands import Tenant
from models.errors import Misconfigured

PREFIX: Final = "whsec_"
SECRET_BYTES_MIN: Final = 16
SECRETS_MAX: Final = 4  # An old and a new one while they change, and room for a slip.
SIGNATURES_MAX: Final = 8  # Each costs a comparison for each secret.
ID_CHARS_MAX: Final = 256

_TIMESTAMP = re.compile(r"[0-9]{1,12}")

Secrets = Mapping[tuple[str, str], Sequence[bytes]]
"""(tenant, account) -> its secrets, the one to sign with first."""


class BadSignature(Exception):
    """A request is not signed as it should be; ``code`` is a word for metrics and clients."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Signed(Struct, frozen=True):
    """The three headers of a signed request."""

    id: str
    timestamp: str
    """Unix seconds, as it came: it is signed as text."""
    signatures: tuple[str, ...]


def secret_of(text: str) -> bytes:
    """
    Return the key that ``whsec_<base64>`` holds.

    Raises:
        ValueError: If it does not, or is shorter than 16 bytes; the text is not shown.
    """
    if not text.startswith(PREFIX):
        raise ValueError(f"does not begin with {PREFIX}")
    bare = text.removeprefix(PREFIX).rstrip("=")
    try:
        key = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"no base64 after {PREFIX}") from error
    if len(key) < SECRET_BYTES_MIN:
        raise ValueError(f"{len(key)} bytes, at least {SECRET_BYTES_MIN} were meant")
    return key


def secrets_of(tenants: Sequence[Tenant], env: Mapping[str, str]) -> dict[tuple[str, str], tuple[bytes, ...]]:
    """
    Return the secrets of all accounts that name a variable.

    Args:
        tenants: With their accounts.
        env: As ``os.environ``; a variable may hold several secrets with spaces between.

    Raises:
        Misconfigured: If a variable is missing or holds something else; what it holds is not shown.
    """
    return {
        (tenant.id, account.id): _secrets_in(account.secret_env, env.get(account.secret_env, ""))
        for tenant in tenants
        for account in tenant.accounts
        if account.secret_env
    }


def _secrets_in(variable: str, held: str) -> tuple[bytes, ...]:
    meant = f"1 to {SECRETS_MAX} secrets {PREFIX}<base64> with spaces between"
    texts = held.split()
    if not texts:
        raise Misconfigured(f"environment: {variable}: missing, wanted {meant}")
    if len(texts) > SECRETS_MAX:
        raise Misconfigured(f"environment: {variable}: found {len(texts)} secrets, wanted {meant}")
    try:
        return tuple(secret_of(text) for text in texts)
    except ValueError as error:
        raise Misconfigured(f"environment: {variable}: found a secret that {error}, wanted {meant}") from error


def signature(secret: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """Return ``v1,<base64>`` of a message."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()


def signed_headers(secrets: Sequence[bytes], message_id: str, now: int, body: bytes) -> dict[str, str]:
    """
    Return the headers of a message that we send.

    Args:
        secrets: All of them sign, so that a receiver may change its own in peace.
        message_id: Printable ASCII without spaces.
        now: Unix ms.
        body: The raw bytes that are sent.
    """
    timestamp = str(now // 1000)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signature(secret, message_id, timestamp, body) for secret in secrets),
    }


def read_headers(headers: Mapping[str, str]) -> Signed:
    """
    Return the three headers.

    Args:
        headers: Of the request, whatever their case.

    Raises:
        BadSignature: If one is missing or not of its form.
    """
    message_id, timestamp, signatures = (
        headers.get(f"webhook-{name}", "").strip() for name in ("id", "timestamp", "signature")
    )
    for name, value in (("id", message_id), ("timestamp", timestamp), ("signature", signatures)):
        if not value:
            raise BadSignature("unsigned", f"header webhook-{name} is missing")
    if len(message_id) > ID_CHARS_MAX or not message_id.isascii() or not message_id.isprintable():
        raise BadSignature("unsigned", f"webhook-id: wanted at most {ID_CHARS_MAX} printable ASCII characters")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise BadSignature("unsigned", f"webhook-timestamp: found {timestamp[:40]!r}, wanted whole Unix seconds")
    return Signed(message_id, timestamp, tuple(signatures.split()[:SIGNATURES_MAX]))


def check_age(signed: Signed, now: int, age_s_max: float) -> None:
    """
    Refuse what was signed too long ago, or too far ahead.

    Raises:
        BadSignature: With both clocks in its reason.
    """
    behind_s = now / 1000 - int(signed.timestamp)
    if behind_s > age_s_max:
        raise BadSignature("too_old", f"webhook-timestamp is {behind_s:.0f} s old, at most {age_s_max:g} s are allowed")
    if behind_s < -age_s_max:
        raise BadSignature(
            "too_new", f"webhook-timestamp is {-behind_s:.0f} s ahead, at most {age_s_max:g} s are allowed"
        )


def check_signature(signed: Signed, secrets: Sequence[bytes], body: bytes) -> None:
    """
    Refuse a body that none of the signatures covers.

    Raises:
        BadSignature: If no v1 signature is any secret's.
    """
    expected = [signature(secret, signed.id, signed.timestamp, body).encode() for secret in secrets]
    for given in signed.signatures:
        for one in expected:
            # compare_digest takes bytes: a header may hold what is not ASCII.
            if hmac.compare_digest(one, given.encode(errors="surrogateescape")):
                return
    raise BadSignature("bad_signature", "no v1 signature in webhook-signature is of this body by a secret we know")
