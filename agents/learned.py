"""``zuruf learned``: what the tenants' reps have taught the classifier, and the way back."""

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

from agents.learner import told
from models.errors import Misconfigured
from models.learned import TenantHeads
from models.learning import Standing, Version, rolled_back
from models.relabels import NAMES
from streams.gateway.link import Work
from streams.heads import Shelf, read_all
from streams.knock import reach
from streams.settings import Settings, client_options


async def standings(settings: Settings) -> list[Standing]:
    """Return what stands, by tenant and head."""
    options = client_options(settings)
    await reach(settings.broker, options)
    work = Work(settings.broker, options)
    await work.start()
    try:
        heads = TenantHeads()
        await read_all(settings.broker, options, heads, work)
    finally:
        await work.stop()
    return [heads.standings[key] for key in sorted(heads.standings)]


async def roll_back(settings: Settings, tenant: str, name: str) -> Standing:
    """
    Put the version before the current one in its place.

    Raises:
        Misconfigured: If there is no such tenant or label, or nothing to go back from.
    """
    if name not in NAMES:
        raise Misconfigured.at("command line", "--rollback", name, f"a label, one of {', '.join(NAMES)}")
    found = {(one.tenant, one.head): one for one in await standings(settings)}
    before = found.get((tenant, NAMES[name]))
    if before is None:
        known = ", ".join(sorted({one for one, _ in found})) or "none: nothing was learnt yet"
        raise Misconfigured.at(
            "command line", "--rollback", f"{tenant} {name}", f"a tenant that has learnt it: {known}"
        )
    try:
        after = rolled_back(before, time.time_ns() // 1_000_000)
    except ValueError as error:
        raise Misconfigured(f"command line: --rollback: {error}") from error
    options = client_options(settings)
    shelf, work = Shelf(settings.broker, options), Work(settings.broker, options)
    await shelf.start()
    await work.start()
    try:
        await shelf.put(after, None, tuple(one for one in before.kept if one not in after.kept))
        await work.send(told(after, after.changes[-1]))
    finally:
        await shelf.stop()
        await work.stop()
    return after


def run(settings: Settings, rollback: tuple[str, str] | None, *, as_json: bool) -> int:
    """List what was learnt, or roll a head back; return the exit status."""
    if rollback is not None:
        after = asyncio.run(roll_back(settings, *rollback))
        print(json.dumps(plain(after)) if as_json else _gone_back(after))  # noqa: T201  # the command's output
        return 0
    found = asyncio.run(standings(settings))
    print(json.dumps([plain(one) for one in found]) if as_json else table(found))  # noqa: T201  # the command's output
    return 0


def _gone_back(standing: Standing) -> str:
    now = f"version {standing.current}" if standing.current else "the head that ships"
    return f"{standing.tenant}: {standing.head}: {now} stands again within a second"


def plain(standing: Standing) -> dict[str, Any]:
    """Return a standing as a script reads it."""
    names = ("tenant", "head", "current", "kept", "tried_to", "last", "last_at")
    changes = [{name: getattr(one, name) for name in one.__struct_fields__} for one in standing.changes]
    return {name: getattr(standing, name) for name in names} | {"changes": changes}


def table(found: list[Standing]) -> str:
    """Return the standings as lines to read, each with its changes, the newest first."""
    if not found:
        return "Nothing was learnt yet: a head is tried from 100 corrections on."
    lines: list[str] = []
    for one in found:
        now = one.current or "as it ships"
        lines.append(
            f"{one.tenant}  {one.head}: {now}; last trial {_when(one.last_at)}: {(one.last or 'none').replace('_', ' ')}"
        )
        lines += [_line(change) for change in reversed(one.changes)]
    return "\n".join(lines)


def _line(change: Version) -> str:
    told = f"  {_when(change.at)}  {change.what.replace('_', ' '):<11}  {change.version or 'as it ships':<12}"
    if not change.texts:
        return told.rstrip()
    return f"{told}  {change.corrections:>6,} corrections  {change.before:.3f} -> {change.after:.3f}"


def _when(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if at else "never"
