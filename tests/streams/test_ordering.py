"""What zuruf.toml says of the order of waiting cases."""

from pathlib import Path

import pytest

from models.errors import Misconfigured
from models.priority import DEFAULT, Order
from streams.configuration import read_toml, tenants_of

BRAND = """
[[tenant]]
id = "alster"
{tenant}
[[tenant.brand]]
id = "fennkom"
name = "Fennkom"
[tenant.brand.service_level]
"""


def order_in(folder: Path, tenant: str = "") -> Order:
    path = folder / "zuruf.toml"
    path.write_text(BRAND.format(tenant=tenant), encoding="utf-8")
    return tenants_of(read_toml(path))[0].order


def test_without_a_table_the_measured_defaults_hold(tmp_path: Path) -> None:
    assert order_in(tmp_path) == DEFAULT


def test_everything_can_be_set_and_what_is_left_out_stays(tmp_path: Path) -> None:
    order = order_in(
        tmp_path,
        """
        [tenant.order]
        first = ["at_once"]
        every = 4
        soon_min = 10
        [tenant.order.cost]
        at_once = 16
        [tenant.order.rush_min]
        less = 400
        """,
    )

    assert (order.first, order.every, order.soon_min) == (("at_once",), 4, 10.0)
    assert order.cost == {**DEFAULT.cost, "at_once": 16.0}
    assert order.rush_min == {**DEFAULT.rush_min, "less": 400.0}


@pytest.mark.parametrize(
    ("tenant", "message"),
    [
        ("[tenant.order]\nevery = 1", "order.every: found 1, wanted a whole number from 2 to 100"),
        ("[tenant.order]\nsoon_min = 0", "order.soon_min: found 0, wanted a number from 0.1 to 120"),
        ("[tenant.order]\nevry = 5", "order.evry: unknown key; did you mean every?"),
        ("[tenant.order.cost]\nspam = 3", "order.cost.spam: unknown key"),
        ("[tenant.order.cost]\nless = 0", "order.cost.less: found 0, wanted a number from 0.1 to 100"),
        ("[tenant.order.cost]\nurgent = 1", "cost.urgent: found 1.0, wanted at least that of important, 2"),
        ("[tenant.order.rush_min]\nless = 90", "rush_min.important: found 140.0, wanted at most that of less, 90"),
        ('[tenant.order]\nfirst = ["soon"]', "order.first[0]: found 'soon', wanted one of at_once urgent"),
        ('[tenant.order]\nfirst = ["urgent"]', "order.first: found ['urgent'], wanted the highest levels"),
    ],
)
def test_what_is_wrong_is_told_by_its_key(tmp_path: Path, tenant: str, message: str) -> None:
    with pytest.raises(Misconfigured) as error:
        order_in(tmp_path, tenant)

    assert message in str(error.value)
