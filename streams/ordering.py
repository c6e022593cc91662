"""What zuruf.toml says of the order of waiting cases; every complaint names file, key, what was found and what was meant."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from models.labels import Triage
from models.priority import DEFAULT, Order, order_faults

if TYPE_CHECKING:  # It imports this module.
    from streams.configuration import Keys

LEVELS: Final[tuple[Triage, ...]] = ("at_once", "urgent", "important", "less")


def order_of(tenant: "Keys") -> Order:
    """Read ``[tenant.order]``; without it the defaults hold, for which the bounds were measured (docs/order.md)."""
    table = tenant.table("order")
    if table is None:
        return DEFAULT
    order = Order(
        cost=_of_levels(table, "cost", DEFAULT.cost, 0.1, 100.0),
        rush_min=_of_levels(table, "rush_min", DEFAULT.rush_min, 0.0, 10_080.0),
        first=_first(table),
        every=table.whole("every", DEFAULT.every, 2, 100),
        soon_min=table.number("soon_min", DEFAULT.soon_min, 0.1, 120.0),
    )
    table.done()
    for key, found, meant in order_faults(order):
        table.fail(key, meant, found=found or None)
    return order


def _of_levels(
    table: "Keys", name: str, usual: Mapping[Triage, float], low: float, high: float
) -> Mapping[Triage, float]:
    """Read a number for each level; what is left out is the default's."""
    given = table.table(name)
    if given is None:
        return usual
    found = dict(usual) | {level: given.number(level, usual[level], low, high) for level in LEVELS}
    given.done()
    return found


def _first(table: "Keys") -> tuple[Triage, ...]:
    given = table.texts("first")
    for index, level in enumerate(given):
        if level not in LEVELS:
            table.fail(f"first[{index}]", f"one of {' '.join(LEVELS)}", found=level)
    return tuple(level for level in LEVELS if level in given) if table.has("first") else DEFAULT.first
