"""
Whether the broker lets us in, asked before anything else.

aiokafka's clients take a refused password for a broker that is away and try for ever. One connection of our own tells the two
apart, so that who mistyped is told so at once.
"""

import contextlib
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from models.errors import Misconfigured

WAIT_MS: Final = 5_000


async def reach(addresses: Sequence[str], options: Mapping[str, Any]) -> None:
    """
    Return once one of the brokers answers: clients try for half a minute, and log each time.

    Args:
        addresses: host:port of each.
        options: For aiokafka: TLS and SASL.

    Raises:
        ConnectionError: If none does.
        Misconfigured: As ``knock``.
    """
    await knock(addresses, options)
    for address in addresses:
        with contextlib.suppress(KafkaError, OSError, TimeoutError):
            return await _enter(address, options)
    raise ConnectionError(f"no broker answers at {', '.join(addresses)}")


async def knock(addresses: Sequence[str], options: Mapping[str, Any]) -> None:
    """
    Connect to the first broker that answers, and leave again; that none answers is not said here.

    Args:
        addresses: host:port of each.
        options: For aiokafka: TLS and SASL.

    Raises:
        Misconfigured: If it refuses our name, our password or our way to sign in, or its certificate is not to be trusted.
    """
    if options.get("security_protocol", "PLAINTEXT") == "PLAINTEXT":
        return
    for address in addresses:
        try:
            return await _enter(address, options)
        except (SaslAuthenticationFailed, AuthenticationFailedError) as error:
            what = f"the broker at {address} refuses them: {_short(error)}"
            raise Misconfigured(f"environment: ZURUF_BROKER_USER, ZURUF_BROKER_PASSWORD: {what}") from None
        except UnsupportedSaslMechanismError as error:
            what = f"the broker at {address} has no such way to sign in: {_short(error)}"
            raise Misconfigured(f"environment: ZURUF_BROKER_SASL: {what}") from None
        except ssl.SSLCertVerificationError as error:
            what = f"the certificate of the broker at {address} is not to be trusted: {error.verify_message}"
            raise Misconfigured(f"environment: ZURUF_BROKER_CA: {what}") from None
        except ssl.SSLError as error:
            what = f"no TLS with the broker at {address}: {error.reason or error}"
            raise Misconfigured(f"environment: ZURUF_BROKER_TLS: {what}") from None
        except (KafkaError, OSError, TimeoutError):
            continue


async def _enter(address: str, options: Mapping[str, Any]) -> None:
    host, _, port = address.rpartition(":")
    connection = await create_conn(
        host.strip("[]"), int(port), client_id="zuruf-knock", request_timeout_ms=WAIT_MS, **options
    )
    connection.close()


def _short(error: KafkaError) -> str:
    """Return the broker's own words, without the library's number before them."""
    return str(error.args[0] if error.args else error)[:300]
