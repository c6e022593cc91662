"""What ``zuruf.toml`` says of hours, holidays, exceptions and warnings: what is read, and what is refused with which words."""

from pathlib import Path

import pytest

from models.brands import DayHours, Minutes, ServiceHours, ServiceLevel
from models.errors import Misconfigured
from streams.settings import load

BRAND = '[[tenant]]\nid = "main"\n[[tenant.brand]]\nid = "fennkom"\nname = "Fennkom"\n'
LEVEL = BRAND + "[tenant.brand.service_level]\n"
HOURS = LEVEL + '[tenant.brand.hours]\nzone = "Europe/Berlin"\nmon-fri = "08:00-20:00"\n'
EXCEPTIONS = HOURS + "[tenant.brand.hours.exceptions]\n"


def hours_of(tmp_path: Path, text: str) -> ServiceHours:
    path = tmp_path / "zuruf.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, {}).tenants[0].brands[0].hours


def level_of(tmp_path: Path, text: str) -> ServiceLevel:
    path = tmp_path / "zuruf.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, {}).tenants[0].brands[0].service_level


def test_holidays_are_dates_and_regions_in_one_list(tmp_path: Path) -> None:
    hours = hours_of(tmp_path, HOURS + 'holidays = ["DE-BY", 2026-12-24, "AT", "2026-12-31", "DE-BY"]\n')

    assert hours.regions == ("AT", "DE-BY")
    assert hours.holidays == ("2026-12-24", "2026-12-31")


def test_exceptions_are_dates_dates_of_every_year_and_runs_of_days(tmp_path: Path) -> None:
    hours = hours_of(
        tmp_path,
        EXCEPTIONS
        + """2026-12-24 = "08:00-12:00"
12-31 = "closed"
02-29 = "usual"
"2027-01-04/2027-01-06" = ["22:00-02:00", "10:00-14:00"]
""",
    )

    assert hours.exceptions == (
        DayHours("02-29", usual=True),
        DayHours("12-31"),
        DayHours("2026-12-24", ((480, 720),)),
        *(DayHours(f"2027-01-0{day}", ((600, 840), (1320, 1560))) for day in (4, 5, 6)),
    )


def test_minutes_to_warn_before_are_taken_over_where_a_platform_says_nothing(tmp_path: Path) -> None:
    level = level_of(
        tmp_path,
        LEVEL
        + """at_once_min = 20
urgent_min = 30
warn_before_min = 10
[tenant.brand.service_level.next_answer]
warn_before_min = 15
[tenant.brand.service_level.resolution]
urgent_min = 600
[tenant.brand.service_level.platforms.x]
warn_before_min = 5
[tenant.brand.service_level.platforms.mastodon]
urgent_min = 25
""",
    )

    assert level.first_answer == Minutes(20, 30, 60, 240, warn_before=10)
    assert level.next_answer == Minutes(20, 30, 60, 240, warn_before=15)
    assert level.resolution == Minutes(urgent=600)
    assert level.platforms["x"].first_answer.warn_before == 5
    assert level.platforms["mastodon"].first_answer == Minutes(20, 25, 60, 240, warn_before=10)


REFUSED = [
    (
        HOURS + 'holidays = ["DE-BX"]\n',
        "brand[0].hours.holidays[0]: found 'DE-BX', wanted a date, or a region as in DE or DE-BY; of DE there are BB BE BW BY ",
    ),
    (
        HOURS + 'holidays = ["2026-12-25", "Bayern"]\n',
        "hours.holidays[1]: found 'Bayern', wanted a date, or a region as in DE or DE-BY",
    ),
    (
        HOURS + 'holidays = ["de"]\n',
        "hours.holidays[0]: found 'de', wanted a date, or a region as in DE or DE-BY; did you mean DE?",
    ),
    (
        HOURS + 'holidays = ["2026-02-30"]\n',
        "hours.holidays[0]: found '2026-02-30', wanted a date, as in 2026-12-25, or a region, as in DE-BY",
    ),
    (HOURS + "holidays = [5]\n", "hours.holidays[0]: found 5, wanted a date, as in 2026-12-25, or a region"),
    (HOURS + 'holidays = "DE"\n', "hours.holidays: found 'DE', wanted a list of at most 1000 dates and regions"),
    (HOURS + "exceptions = 5\n", "hours.exceptions: found 5, wanted a table"),
    (
        EXCEPTIONS + '24-12 = "closed"\n',
        "hours.exceptions.24-12: found '24-12', wanted a date (2026-12-24), one of every year (12-24), or up to",
    ),
    (EXCEPTIONS + '2026-02-29 = "closed"\n', "hours.exceptions.2026-02-29: found '2026-02-29', wanted a date"),
    (
        EXCEPTIONS + '"2026-12-30/2026-12-27" = "closed"\n',
        "exceptions.2026-12-30/2026-12-27: found '2026-12-30/2026-12-27', wanted a date",
    ),
    (
        EXCEPTIONS + '2026-12-24 = "off"\n',
        "hours.exceptions.2026-12-24: found 'off', wanted hours as in \"08:00-20:00\"",
    ),
    (
        EXCEPTIONS + "2026-12-24 = 8\n",
        'hours.exceptions.2026-12-24: found 8, wanted "closed", "usual" (open though a holiday), hours as in',
    ),
    (EXCEPTIONS + "2026-12-24 = []\n", 'hours.exceptions.2026-12-24: found [], wanted "closed", "usual"'),
    (
        EXCEPTIONS + '2026-12-24 = ["08:00-12:00", "11:00-13:00"]\n',
        "hours.exceptions.2026-12-24: found ['08:00-12:00', '11:00-13:00'], wanted hours that do not overlap",
    ),
    (
        EXCEPTIONS + '2026-12-24 = "closed"\n"2026-12-23/2026-12-26" = "08:00-12:00"\n',
        "exceptions.2026-12-23/2026-12-26: 2026-12-24 has other hours already, wanted one rule",
    ),
    (HOURS + 'exeptions = "closed"\n', "hours.exeptions: unknown key; did you mean exceptions?"),
    (
        LEVEL + "warn_before_min = 5\n",
        "service_level.warn_before_min: found 5.0, wanted less than the shortest promise here, 5 minutes",
    ),
    (LEVEL + "warn_before_min = 0\n", "service_level.warn_before_min: found 0, wanted minutes above 0"),
    (LEVEL + 'warn_before_min = "5"\n', "service_level.warn_before_min: found '5', wanted a number"),
    (
        LEVEL + "[tenant.brand.service_level.platforms.x]\nat_once_min = 1\nwarn_before_min = 3\n",
        "service_level.platforms.x.warn_before_min: found 3.0, wanted less than the shortest promise here, 1 minutes",
    ),
    (LEVEL + "warnbefore_min = 3\n", "service_level.warnbefore_min: unknown"),
    (
        LEVEL + 'less_min = 525600\n[tenant.brand.hours]\nzone = "UTC"\nmon = "08:00-08:30"\n',
        "service_level.less_min: found 525600.0, wanted at most what is open in ",
    ),
]


@pytest.mark.parametrize(("text", "said"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_wrong_is_named_with_file_key_what_came_and_what_was_meant(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "zuruf.toml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(Misconfigured) as caught:
        load(path, {})

    message = str(caught.value)
    assert message.startswith(f"{path}: tenant[0].brand[0].")
    assert said in message
