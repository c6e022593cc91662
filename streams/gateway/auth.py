"""Tokens of desks and boards: short JWTs, signed HS256 with the operator's secret. They travel in the first frame only."""

from typing import Annotated, Any, Final, Literal

import jwt
import msgspec
from msgspec import Meta, Struct

from models.errors import Misconfigured, ZurufError

Role = Literal["rep", "supervisor"]

ISSUER: Final = "zuruf"
AUDIENCE: Final = "zuruf.desk"
ALGORITHMS: Final = ("HS256",)  # An allow-list: a token never chooses how it is checked.
SECRET_BYTES_MIN: Final = 32  # As long as the hash: below that, the key is the weakest part.
LASTS_S: Final = 600  # Ten minutes: roles are read anew that often.
SEAT_LASTS_S: Final = 12 * 3600  # A shift at this machine's own seats, where nobody can refresh.

_NEEDED: Final = ("iss", "aud", "sub", "exp", "tenant", "role")
_OPTIONS: Final[Any] = {"require": list(_NEEDED), "verify_exp": False, "verify_iat": False, "verify_nbf": False}


class Unauthorized(ZurufError):
    """The token does not open the door; the message says why and never shows the token."""


class Claims(Struct, frozen=True):
    """What a token says of its bearer. Tenant and subject of every command come from here only."""

    tenant: str
    subject: str
    role: Role
    brands: tuple[str, ...]
    """Brands that the bearer may see; empty: all of the tenant."""
    expires_at: int


class _Payload(Struct, frozen=True):
    sub: Annotated[str, Meta(min_length=1, max_length=256)]
    tenant: Annotated[str, Meta(min_length=1, max_length=256)]
    role: Role
    exp: Annotated[int, Meta(ge=0, lt=2**40)]
    nbf: Annotated[float, Meta(ge=0, lt=2**40)] = 0.0
    brands: tuple[str, ...] = ()


def issue(
    secret: str,
    *,
    tenant: str,
    subject: str,
    role: Role,
    now: int,
    lasts_s: int = LASTS_S,
    brands: tuple[str, ...] = (),
) -> str:
    """
    Sign a token.

    Args:
        now: Unix ms.
        brands: Brands that the bearer may see; empty: all of the tenant.

    Raises:
        Misconfigured: If the secret is shorter than 32 bytes.
    """
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "tenant": tenant,
        "role": role,
        "iat": now // 1000,
        "exp": now // 1000 + lasts_s,
    }
    if brands:
        claims["brands"] = list(brands)
    return jwt.encode(claims, _key(secret), algorithm=ALGORITHMS[0])


def verify(token: str, secret: str, now: int) -> Claims:
    """
    Check a token's signature, issuer, audience and times, and return what it says.

    Args:
        now: Unix ms.

    Raises:
        Unauthorized: With the reason; the token itself is not in it.
        Misconfigured: If the secret is shorter than 32 bytes.
    """
    try:
        # The times are compared below, with the clock that the caller gives.
        raw = jwt.decode(
            token, _key(secret), algorithms=list(ALGORITHMS), audience=AUDIENCE, issuer=ISSUER, options=_OPTIONS
        )
        payload = msgspec.convert(raw, _Payload)
    except jwt.InvalidTokenError as error:
        raise Unauthorized(f"token refused: {_reason(error)}") from None
    except msgspec.ValidationError as error:
        raise Unauthorized(f"token refused: {error}") from None
    if now >= payload.exp * 1000:
        raise Unauthorized(f"token refused: it expired {(now - payload.exp * 1000) / 1000:.0f} s ago")
    if now < payload.nbf * 1000:
        raise Unauthorized(f"token refused: it holds in {(payload.nbf * 1000 - now) / 1000:.0f} s")
    return Claims(
        tenant=payload.tenant,
        subject=payload.sub,
        role=payload.role,
        brands=payload.brands,
        expires_at=payload.exp * 1000,
    )


def _key(secret: str) -> bytes:
    key = secret.encode()
    if len(key) < SECRET_BYTES_MIN:
        raise Misconfigured(f"ZURUF_SECRET: found {len(key)} bytes, wanted at least {SECRET_BYTES_MIN}")
    return key


def _reason(error: jwt.InvalidTokenError) -> str:
    """Say in our own words what is wrong: the library's messages may quote what the token holds."""
    match error:
        case jwt.InvalidSignatureError():
            return "its signature is not ours"
        case jwt.InvalidAlgorithmError():
            return f"it is not signed with {ALGORITHMS[0]}"
        case jwt.InvalidIssuerError():
            return f"its issuer is not {ISSUER}"
        case jwt.InvalidAudienceError():
            return f"it is not meant for {AUDIENCE}"
        case jwt.MissingRequiredClaimError():
            return f"it lacks {error.claim}"
        case _:
            return "it is not a JWT"
