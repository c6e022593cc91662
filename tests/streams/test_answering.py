"""What zuruf.toml says of incidents, bots and people."""

from pathlib import Path

import pytest

from models.brands import BotAnswer, BotRules, IncidentRules, PeopleRules, Person, Tenant
from models.errors import Misconfigured
from streams.configuration import read_toml, tenants_of

BRAND = """
[[tenant]]
id = "alster"
{tenant}
[[tenant.brand]]
id = "fennkom"
name = "Fennkom"
[tenant.brand.service_level]
{brand}
"""


def tenant_of(folder: Path, brand: str = "", tenant: str = "") -> Tenant:
    path = folder / "zuruf.toml"
    path.write_text(BRAND.format(brand=brand, tenant=tenant), encoding="utf-8")
    return tenants_of(read_toml(path))[0]


def test_by_default_incidents_are_suggested_and_nothing_else_happens(tmp_path: Path) -> None:
    tenant = tenant_of(tmp_path)

    assert tenant.brands[0].incidents == IncidentRules(mode="suggest")
    assert tenant.brands[0].bot == BotRules()
    assert (tenant.people, tenant.persons) == (PeopleRules(on=False), ())


def test_everything_can_be_set(tmp_path: Path) -> None:
    brand = """
        [tenant.brand.incidents]
        mode = "group"
        size = 25
        window_min = 30
        similarity = 0.7
        hold_min = 15
        variations_min = 5
        rate_per_min = 60
        platforms = { x = 4, facebook = 20 }
        [tenant.brand.bot]
        name = "Fenni"
        acknowledge = { de = "Da.", above = 0.7, categories = ["faq"] }
        [[tenant.brand.bot.answer]]
        category = "faq"
        subject = "contract"
        above = 0.95
        en = "See our page."
    """
    people = """
        [tenant.people]
        repeat_contacts = 3
        repeat_within_h = 48
        active_contacts = 20
        keep_days = 90
        authors_max = 500
        [[tenant.person]]
        crm_id = "k-1"
        authors = ["https://x.example/1", "instagram:anna"]
        vip = true
    """
    tenant = tenant_of(tmp_path, brand, people)

    assert tenant.brands[0].incidents == IncidentRules("group", 25, 30, 0.7, 15, 5, 60, {"x": 4, "facebook": 20})
    answer = BotAnswer("faq", {"en": "See our page."}, "contract", 0.95)
    assert tenant.brands[0].bot == BotRules("Fenni", {"de": "Da."}, 0.7, ("faq",), (answer,))
    assert tenant.people == PeopleRules(True, 3, 48.0, 20, 90, 500)
    assert tenant.persons == (Person("k-1", ("https://x.example/1", "instagram:anna"), True),)


def test_a_platforms_own_rate_leaves_the_others(tmp_path: Path) -> None:
    rules = tenant_of(tmp_path, "[tenant.brand.incidents.platforms]\nfacebook = 20").brands[0].incidents

    assert rules.platforms == {"x": 6, "facebook": 20}


@pytest.mark.parametrize(
    ("brand", "message"),
    [
        (
            '[tenant.brand.incidents]\nmode = "on"',
            "brand[0].incidents.mode: found 'on', wanted one of off suggest group",
        ),
        (
            "[tenant.brand.incidents]\nsize = 1",
            "brand[0].incidents.size: found 1, wanted a whole number from 2 to 1000",
        ),
        (
            "[tenant.brand.incidents]\nsimilarity = 0.1",
            "incidents.similarity: found 0.1, wanted a number from 0.4 to 1",
        ),
        ("[tenant.brand.incidents]\nwindow = 3", "brand[0].incidents.window: unknown key; did you mean window_min?"),
        (
            "[tenant.brand.incidents.platforms]\nx = 0",
            "incidents.platforms.x: found 0, wanted a whole number from 1 to 6000",
        ),
        ("[tenant.brand.bot.acknowledge]\nabove = 1", "bot.acknowledge: missing, wanted a text in de or en"),
        (
            '[tenant.brand.bot.acknowledge]\nfr = "Oui"',
            "bot.acknowledge: missing, wanted a text in de or en: a bot speaks no",
        ),
        ('[[tenant.brand.bot.answer]]\nde = "Ja"', "brand[0].bot.answer[0].category: missing, wanted a text"),
        (
            '[[tenant.brand.bot.answer]]\ncategory = "faq"\nsubject = "prices"\nde = "Ja"',
            "bot.answer[0].subject: found 'prices', wanted one of billing",
        ),
        (
            '[tenant.brand.bot.acknowledge]\nde = "Da."\ncategories = ["faq", "fax"]',
            "bot.acknowledge.categories[1]: found 'fax', wanted one of urgent",
        ),
        (
            f'[tenant.brand.bot.acknowledge]\nde = "{"a" * 1_990}"',
            "bot.acknowledge.de: found 2018, wanted at most 2000",
        ),
    ],
)
def test_a_mistake_is_named_with_key_found_and_meant(tmp_path: Path, brand: str, message: str) -> None:
    with pytest.raises(Misconfigured) as complaint:
        tenant_of(tmp_path, brand)

    assert f"{tmp_path}/zuruf.toml: tenant[0].brand[0]." in str(complaint.value)
    assert message in str(complaint.value)


@pytest.mark.parametrize(
    ("tenant", "message"),
    [
        ("[tenant.people]\nkeep_days = 0", "tenant[0].people.keep_days: found 0, wanted a whole number from 1 to 400"),
        (
            "[tenant.people]\nkeep_days = 1\nrepeat_within_h = 48",
            "people.repeat_within_h: found 48, wanted at most keep_days, 24 hours",
        ),
        ('[[tenant.person]]\ncrm_id = "1"', "person[0].authors: found None, wanted a list of 1 to 20 accounts"),
        (
            '[[tenant.person]]\ncrm_id = "1"\nauthors = ["anna"]',
            "person[0].authors[0]: found 'anna', wanted an account's address, or platform:handle as in x:anna",
        ),
        (
            '[[tenant.person]]\ncrm_id = "1"\nauthors = ["x:a"]\n[[tenant.person]]\ncrm_id = "2"\nauthors = ["x:a"]',
            "person[1].authors: found 'x:a', wanted accounts of one person; tenant[0].person[0] has it too",
        ),
        (
            '[[tenant.person]]\ncrm_id = "1"\nauthors = ["x:a"]\n[[tenant.person]]\ncrm_id = "1"\nauthors = ["x:b"]',
            "person[1].crm_id: found '1', wanted a number of its own",
        ),
    ],
)
def test_a_mistake_about_people_is_named_too(tmp_path: Path, tenant: str, message: str) -> None:
    with pytest.raises(Misconfigured) as complaint:
        tenant_of(tmp_path, "", tenant)

    assert message in str(complaint.value)
