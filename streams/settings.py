"""Environment and zuruf.toml, read once into one frozen value; nothing else reads either."""

import os
import secrets
import ssl
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args, get_type_hints

from msgspec import Meta, Struct
from msgspec.structs import fields, replace

from models.brands import Tenant
from models.errors import Misconfigured
from streams.configuration import Keys, read_toml, tenants_of

if TYPE_CHECKING:
    from faust.types.auth import CredentialsT

Sasl = Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
ENVIRONMENT: Final = "environment"
PREFIX: Final = "ZURUF_"
SECRET_CHARS_MIN: Final = 32  # 32 characters of base64 or hex carry 128 bits or more.
BROKER_PORT: Final = 9092


class Secret:
    """A text that shows itself only when asked by name, so that no log, repr or traceback prints it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return secrets.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret(***)" if self._value else "Secret()"


class Settings(Struct, frozen=True, kw_only=True):
    """
    All that an operator sets.

    The numbers stand in ``[engine]`` of zuruf.toml under their own names; a variable ``ZURUF_`` with the name in
    capitals goes before it, as in ``ZURUF_OFFER_S``. Addresses and secrets come from the environment only.
    """

    tenants: tuple[Tenant, ...]
    """``[[tenant]]``: at least one."""

    # -- the broker

    broker: tuple[str, ...] = ()
    """``ZURUF_BROKER=kafka://host:port[,host:port]``: the addresses as host:port; empty: the embedded broker."""
    broker_tls: bool = False
    """``ZURUF_BROKER_TLS=1``, or given by CA or certificate: whether the connection is encrypted."""
    broker_ca: Path | None = None
    """``ZURUF_BROKER_CA``: PEM file of the authority that signed the broker's certificate; None: the system's."""
    broker_cert: Path | None = None
    """``ZURUF_BROKER_CERT``: PEM file of our own certificate, for mutual TLS."""
    broker_key: Path | None = None
    """``ZURUF_BROKER_KEY``: PEM file of its key; None: it stands in the certificate's file."""
    broker_sasl: Sasl = ""
    """``ZURUF_BROKER_SASL``: how to sign in; empty: not at all."""
    broker_user: str = ""
    """``ZURUF_BROKER_USER``."""
    broker_password: Secret = Secret("")
    """``ZURUF_BROKER_PASSWORD``."""

    # -- doors and data

    secret: Secret = Secret("")
    """``ZURUF_SECRET``: signs desks' tokens and webhooks; at least 32 characters. See ``with_secret``."""
    gateway_host: str = "127.0.0.1"
    """``ZURUF_GATEWAY_HOST``: where desks and boards connect; only this machine unless said otherwise."""
    gateway_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """``ZURUF_GATEWAY_PORT``: 0: a free one, printed at the start."""
    http_host: str = "127.0.0.1"
    """``ZURUF_HTTP_HOST``: webhooks, REST, pages, metrics."""
    http_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """``ZURUF_HTTP_PORT``: 0: a free one, printed at the start."""
    health_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """``ZURUF_HEALTH_PORT``: /healthz, /readyz, /metrics of a worker, on ``http_host``; 0: a free one."""
    deep_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """``ZURUF_DEEP_PORT``: the same of the second reader."""
    data: Path = Path(".zuruf")
    """``ZURUF_DATA``: folder of the embedded broker's log, the tables and the kept secret."""
    file: Path = Path("zuruf.toml")
    """The file that was read, for messages."""

    # -- numbers, as in DESIGN section 7

    offer_s: Annotated[float, Meta(ge=1, le=3600)] = 30.0
    """Seconds an offer stands: time to read a post, and short enough that an empty chair costs little."""
    lease_s: Annotated[float, Meta(ge=1, le=300)] = 10.0
    """Seconds a gateway is believed after its last sign: three of its pings."""
    grace_s: Annotated[float, Meta(ge=0, le=3600)] = 30.0
    """Seconds a lost desk keeps its cases: a tunnel or a reload, and not a lunch."""
    session_s: Annotated[float, Meta(ge=1, le=300)] = 10.0
    """Seconds until Kafka gives a silent worker's partitions away; tests take 3."""
    group_every_ms: Annotated[int, Meta(ge=0, le=1000)] = 20
    """
    Milliseconds between two groups of a step, at least: acknowledgements cost more than waiting does. So long a topic rests too
    that has brought little, posts twice as long; see ``streams.pace``. Of dispatch, two may come in a row after a pause.
    """
    body_bytes_max: Annotated[int, Meta(ge=1024, le=16_777_216)] = 256 * 1024
    """Bytes of one post at the webhook: no platform's post is longer."""
    batch_bytes_max: Annotated[int, Meta(ge=1024, le=67_108_864)] = 1024 * 1024
    """Bytes of a batch of posts at the webhook; beyond it 413."""
    webhook_age_s: Annotated[float, Meta(ge=1, le=86_400)] = 300.0
    """Seconds a signed webhook stays valid: the usual bound against its replay."""
    clock_ahead_s: Annotated[float, Meta(ge=0.1, le=3600)] = 5.0
    """Seconds a record may stand ahead of the partition's time and still move it; a tick always does."""
    closed_keep_days: Annotated[float, Meta(ge=0.01, le=365)] = 7.0
    """Days a closed case stays in the table, to be reopened by a late post."""
    seen_h: Annotated[float, Meta(ge=1, le=720)] = 72.0
    """Hours the ids of seen posts stay in memory: platforms repeat for two days at the longest."""
    culprits_max: Annotated[int, Meta(ge=1, le=1000)] = 10
    """Records a minute that may hit a bug before the process ends: more is no longer bad luck."""
    deep_budget_s: Annotated[float, Meta(ge=0, le=60)] = 2.0
    """Seconds within which the second reader should have read a post, else it is passed over; 0: nothing is read twice."""

    @property
    def embedded(self) -> bool:
        """Whether we run the broker ourselves."""
        return not self.broker


ENGINE: Final = (
    *"offer_s lease_s grace_s session_s group_every_ms body_bytes_max batch_bytes_max".split(),
    *"webhook_age_s clock_ahead_s closed_keep_days seen_h".split(),
    *"culprits_max deep_budget_s".split(),
)
"""Names of the numbers that ``[engine]`` and the environment may set."""
_PORTS: Final = ("gateway_port", "http_port", "health_port", "deep_port")
_WORDS: Final = (
    *"BROKER BROKER_TLS BROKER_CA BROKER_CERT BROKER_KEY BROKER_SASL BROKER_USER BROKER_PASSWORD SECRET".split(),
    *"GATEWAY_HOST HTTP_HOST DATA".split(),
)
VARIABLES: Final = frozenset(PREFIX + name.upper() for name in (*_WORDS, *_PORTS, *ENGINE))
"""Every variable that is read here. Others with the prefix belong to connectors and tests."""


def load(path: Path, env: Mapping[str, str]) -> Settings:
    """
    Read everything that an operator sets.

    Args:
        path: The zuruf.toml; it must be there.
        env: As ``os.environ``; an empty value counts as not given.

    Raises:
        Misconfigured: At the first fault; its text names file, key, what was found and what was meant.
    """
    top = read_toml(path)
    tenants = tenants_of(top)
    engine = top.table("engine") or Keys(str(path), "engine", {})
    numbers: dict[str, Any] = {name: _number(name, engine, env) for name in (*ENGINE, *_PORTS)}
    engine.done()
    top.done()
    settings = Settings(tenants=tenants, file=path, **_broker(env), **_doors(env), **numbers)
    _check_broker(settings)
    _check_times(settings)
    return settings


# -- numbers --------------------------------------------------------------------------------------------------------

_HINTS: Final = get_type_hints(Settings, include_extras=True)
_DEFAULTS: Final[dict[str, Any]] = {field.name: field.default for field in fields(Settings)}


def _number(name: str, engine: Keys, env: Mapping[str, str]) -> float | int:
    """Return the environment's number, or the file's, or the default; in its range, which lies with the field."""
    kind, meta = get_args(_HINTS[name])
    low, high, default = meta.ge, meta.le, _DEFAULTS[name]
    variable = PREFIX + name.upper()
    in_file: float | int = default
    if name in ENGINE:
        in_file = engine.whole(name, default, low, high) if kind is int else engine.number(name, default, low, high)
    given = env.get(variable, "")
    if not given:
        return in_file
    meant = f"a {'whole ' if kind is int else ''}number from {low:g} to {high:g}"
    try:
        value: float | int = kind(given)
    except ValueError as error:
        raise Misconfigured.at(ENVIRONMENT, variable, given, meant) from error
    if not low <= value <= high:
        raise Misconfigured.at(ENVIRONMENT, variable, given, meant)
    return value


def _check_times(settings: Settings) -> None:
    """Refuse times that contradict each other."""
    if settings.group_every_ms >= settings.session_s * 100:
        raise Misconfigured.at(
            str(settings.file),
            "engine.group_every_ms",
            settings.group_every_ms,
            f"less than a tenth of session_s ({settings.session_s:g} s), so that a group never outlives the session",
        )
    if settings.batch_bytes_max < settings.body_bytes_max:
        raise Misconfigured.at(
            str(settings.file),
            "engine.batch_bytes_max",
            settings.batch_bytes_max,
            f"at least body_bytes_max ({settings.body_bytes_max}): a batch of one is a batch",
        )


# -- the broker -----------------------------------------------------------------------------------------------------


def _broker(env: Mapping[str, str]) -> dict[str, Any]:
    ca, cert, key = (_file(env, f"ZURUF_BROKER_{name}") for name in ("CA", "CERT", "KEY"))
    return {
        "broker": _addresses(env.get("ZURUF_BROKER", "")),
        "broker_tls": _switch(env, "ZURUF_BROKER_TLS") or ca is not None or cert is not None,
        "broker_ca": ca,
        "broker_cert": cert,
        "broker_key": key,
        "broker_sasl": _sasl(env.get("ZURUF_BROKER_SASL", "")),
        "broker_user": env.get("ZURUF_BROKER_USER", ""),
        "broker_password": Secret(env.get("ZURUF_BROKER_PASSWORD", "")),
    }


def _addresses(given: str) -> tuple[str, ...]:
    """Return host:port of each address; a port left out is Kafka's, 9092; IPv6 stands in brackets."""
    if not given.strip():
        return ()
    scheme, sign, rest = given.strip().partition("://")
    if scheme != "kafka" or not sign:
        raise Misconfigured.at(ENVIRONMENT, "ZURUF_BROKER", given, "kafka://host:port[,host:port], or nothing")
    return tuple(_address(given, one.strip().removeprefix("kafka://")) for one in rest.rstrip("/").split(","))


def _address(given: str, one: str) -> str:
    host, sign, port = one.rpartition(":")
    if not sign or one.endswith("]"):
        host, port = one, str(BROKER_PORT)
    odd = set("/@ ").intersection(host) or not host or (":" in host and not host.startswith("["))
    if odd or not port.isdecimal() or not 0 < int(port) < 65536:
        # What stands before an @ may be a password: it is not shown.
        shown = given if "@" not in given else "an address with @"
        raise Misconfigured.at(ENVIRONMENT, "ZURUF_BROKER", shown, "kafka://host:port[,host:port], or nothing")
    return f"{host}:{port}"


def _file(env: Mapping[str, str], variable: str) -> Path | None:
    given = env.get(variable, "")
    if not given:
        return None
    path = Path(given)
    if not path.is_file() or not os.access(path, os.R_OK):
        raise Misconfigured.at(ENVIRONMENT, variable, given, "a PEM file that can be read")
    return path


def _switch(env: Mapping[str, str], variable: str) -> bool:
    given = env.get(variable, "")
    if given.lower() in ("1", "true", "on", "yes"):
        return True
    if given.lower() in ("", "0", "false", "off", "no"):
        return False
    raise Misconfigured.at(ENVIRONMENT, variable, given, "1 or 0")


def _sasl(given: str) -> Sasl:
    for known in get_args(Sasl):
        if given.upper() == known:
            sasl: Sasl = known
            return sasl
    raise Misconfigured.at(ENVIRONMENT, "ZURUF_BROKER_SASL", given, "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or nothing")


def _check_broker(settings: Settings) -> None:
    """Refuse half a sign-in, and a password in the clear."""
    if settings.broker_sasl and not (settings.broker_user and settings.broker_password):
        missing = "ZURUF_BROKER_PASSWORD" if settings.broker_user else "ZURUF_BROKER_USER"
        raise Misconfigured(f"{ENVIRONMENT}: {missing}: missing, wanted because ZURUF_BROKER_SASL is set")
    if not settings.broker_sasl and (settings.broker_user or settings.broker_password):
        raise Misconfigured(f"{ENVIRONMENT}: ZURUF_BROKER_SASL: missing, wanted because a user or password is set")
    if settings.broker_key is not None and settings.broker_cert is None:
        raise Misconfigured(f"{ENVIRONMENT}: ZURUF_BROKER_CERT: missing, wanted because ZURUF_BROKER_KEY is set")
    if settings.embedded and (settings.broker_tls or settings.broker_sasl):
        raise Misconfigured(f"{ENVIRONMENT}: ZURUF_BROKER: missing; TLS and SASL are for a broker of your own")
    far = [address for address in settings.broker if not is_loopback(address.rpartition(":")[0])]
    if settings.broker_sasl == "PLAIN" and not settings.broker_tls and far:
        raise Misconfigured.at(
            ENVIRONMENT,
            "ZURUF_BROKER_SASL",
            "PLAIN",
            f"TLS with it (ZURUF_BROKER_TLS=1) or SCRAM: the password would go to {far[0]} in the clear",
        )


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine's own."""
    bare = host.strip("[]")
    if bare == "localhost":
        return True
    try:
        return ip_address(bare).is_loopback
    except ValueError:
        return False


def ssl_context(settings: Settings) -> ssl.SSLContext | None:
    """
    Return what TLS to the broker needs, or None without TLS; host names are checked.

    Raises:
        Misconfigured: If a PEM file does not hold what it should.
    """
    if not settings.broker_tls:
        return None
    try:
        context = ssl.create_default_context(cafile=str(settings.broker_ca) if settings.broker_ca else None)
    except (ssl.SSLError, OSError) as error:
        raise Misconfigured.at(
            ENVIRONMENT, "ZURUF_BROKER_CA", str(settings.broker_ca), f"certificates in PEM ({error})"
        ) from error
    if settings.broker_cert is not None:
        try:
            context.load_cert_chain(settings.broker_cert, settings.broker_key)
        except (ssl.SSLError, OSError) as error:
            raise Misconfigured.at(
                ENVIRONMENT, "ZURUF_BROKER_CERT", str(settings.broker_cert), f"a certificate with its key ({error})"
            ) from error
    return context


def client_options(settings: Settings) -> dict[str, object]:
    """
    Return what every aiokafka client is given beside its addresses: how to encrypt and sign in.

    Returns:
        ``security_protocol``, ``ssl_context`` where there is TLS, ``sasl_*`` where there is a sign-in.
    """
    context = ssl_context(settings)
    words = ("SASL_" if settings.broker_sasl else "", "SSL" if context else "PLAINTEXT")
    options: dict[str, object] = {"security_protocol": "".join(words)}
    if context is not None:
        options["ssl_context"] = context
    if settings.broker_sasl:
        options["sasl_mechanism"] = settings.broker_sasl
        options["sasl_plain_username"] = settings.broker_user
        options["sasl_plain_password"] = settings.broker_password.reveal()
    return options


def faust_credentials(settings: Settings) -> "CredentialsT | None":
    """Return the same for ``faust.App(broker_credentials=...)``; None where nothing is encrypted or signed in."""
    from faust.auth import SASLCredentials, SSLCredentials  # Half a second: only a worker pays for it.

    context = ssl_context(settings)
    if settings.broker_sasl:
        return SASLCredentials(
            username=settings.broker_user,
            password=settings.broker_password.reveal(),
            ssl_context=context,
            mechanism=settings.broker_sasl,
        )
    return SSLCredentials(context=context) if context is not None else None


# -- doors and data -------------------------------------------------------------------------------------------------


def _doors(env: Mapping[str, str]) -> dict[str, Any]:
    return {
        "secret": _secret(env.get("ZURUF_SECRET", "")),
        "gateway_host": env.get("ZURUF_GATEWAY_HOST") or "127.0.0.1",
        "http_host": env.get("ZURUF_HTTP_HOST") or "127.0.0.1",
        "data": Path(env.get("ZURUF_DATA") or ".zuruf"),
    }


def _secret(given: str) -> Secret:
    if given and len(given) < SECRET_CHARS_MIN:
        meant = f"wanted at least {SECRET_CHARS_MIN}, as `openssl rand -base64 32` makes them"
        raise Misconfigured(f"{ENVIRONMENT}: ZURUF_SECRET: found {len(given)} characters, {meant}")
    return Secret(given)


def with_secret(settings: Settings) -> Settings:
    """
    Return settings that surely have a secret: the given one, else one kept in the data folder and made on first use.

    Raises:
        Misconfigured: If none was given and a door is open to other machines, where each process must know the same.
    """
    if settings.secret:
        return settings
    for host, variable in ((settings.gateway_host, "ZURUF_GATEWAY_HOST"), (settings.http_host, "ZURUF_HTTP_HOST")):
        if not is_loopback(host):
            raise Misconfigured(f"{ENVIRONMENT}: ZURUF_SECRET: missing, wanted because {variable} is {host}")
    path = settings.data / "secret"
    try:
        if not path.exists():
            _keep_new_secret(path)
        kept = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured.at(ENVIRONMENT, "ZURUF_DATA", str(settings.data), f"a folder of ours ({error})") from error
    if len(kept) < SECRET_CHARS_MIN:
        raise Misconfigured(
            f"{path}: found {len(kept)} characters, wanted at least {SECRET_CHARS_MIN}; remove the file"
        )
    return replace(settings, secret=Secret(kept))


def _keep_new_secret(path: Path) -> None:
    """Write a secret that stands there whole or not at all, and never over another: two processes may start at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"secret.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(48))
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
