"""A supervisor's page in a real browser, before the stand-in gateway."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from models import wire
from tests.browser import scenes
from tests.browser.conftest import Open, until
from tests.browser.standin import StandIn, now_ms


def value(page: Page, tile: str) -> str:
    return page.locator(f".tile.{tile} .value").inner_text()


def test_the_tiles_show_the_figures_of_the_frames(open_page: Open, gateway: StandIn) -> None:
    page = open_page("/board")
    page.get_by_role("button", name="Nordbahn").click()
    expect(page.locator(".brand-name")).to_have_text("Nordbahn")

    assert value(page, "waiting") == "13"  # 1 + 1 + 7 + 4
    assert value(page, "late") == "0"
    assert value(page, "in_time") == "97.3%"
    assert value(page, "answered") == "99.1%"
    assert value(page, "response") == "1:58"
    assert value(page, "reps") == "6"
    assert any(isinstance(frame, wire.Subscribe) and frame.brands == () for frame in gateway.heard)


def test_the_weakest_brand_stands_for_all_of_them(open_page: Open) -> None:
    page = open_page("/board")
    expect(page.locator(".brand-name")).to_have_text("All brands")
    expect(page.locator("tbody tr")).to_have_count(4)

    assert value(page, "waiting") == "34"
    assert value(page, "late") == "2"
    assert value(page, "answered") == "97.1%"
    expect(page.locator(".tile.answered .value")).to_have_class("value num bad")


def test_what_reps_have_taught_the_classifier_is_told(open_page: Open) -> None:
    page = open_page("/board")
    lines = page.locator(".learned li")
    expect(lines).to_have_count(2)

    expect(lines.nth(0)).to_contain_text("Kind: taken back, as it ships stands again")
    told = "Sentiment: version 5a86f86a1840 took over after 312 corrections, accuracy 71.2% → 76.8%"
    expect(lines.nth(1)).to_contain_text(told)


def test_promises_in_danger_and_broken_are_told_and_the_weakest_resolution_stands_for_all(open_page: Open) -> None:
    page = open_page("/board")
    expect(page.locator(".brand-name")).to_have_text("All brands")
    expect(page.locator("tbody tr")).to_have_count(4)  # Frames come brand by brand, and two of them are all brands too.

    assert value(page, "warned") == "6"  # 1 + 2 + 3
    assert value(page, "breached") == "2"
    expect(page.locator(".tile.breached .value")).to_have_class("value num bad")
    assert value(page, "resolved") == "92.5%"
    page.get_by_role("button", name="Kranich").click()
    expect(page.locator(".tile.resolved .value")).to_have_class("value num unknown")
    expect(page.locator(".tile.breached .value")).to_have_class("value num good")


def test_four_charts_are_drawn(open_page: Open) -> None:
    page = open_page("/board")
    expect(page.locator(".plot canvas")).to_have_count(4)

    drawn = page.evaluate(
        """[...document.querySelectorAll(".plot canvas")].map((canvas) =>
            canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte > 0))"""
    )
    assert drawn == [True] * 4


def test_a_chart_without_counts_keeps_its_hour(open_page: Open, gateway: StandIn) -> None:
    gateway.board_brands = ("nordbahn",)
    page = open_page("/board")
    expect(page.locator(".brand-name")).to_have_text("Nordbahn")

    page.wait_for_function(
        """() => {
            const canvas = document.querySelector(".plot[data-chart=late] canvas");
            const words = canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height - 16, canvas.width / 2, 16);
            return words.data.some((byte) => byte > 0);
        }"""
    )


def test_figures_that_stand_still_are_marked_as_stale(open_page: Open, gateway: StandIn) -> None:
    page = open_page("/board")
    expect(page.locator(".tiles")).to_be_visible()

    gateway.boards = False

    expect(page.locator(".banner.stale")).to_contain_text("No new figures since")
    gateway.boards = True
    expect(page.locator(".banner.stale")).to_have_count(0)


def test_a_change_of_theme_draws_the_charts_anew(open_page: Open) -> None:
    page = open_page("/board")
    expect(page.locator(".plot canvas")).to_have_count(4)
    shot = "document.querySelector('.plot[data-chart=posts] canvas').toDataURL()"
    before = page.evaluate(shot)

    page.get_by_role("button", name="Dark theme").click()

    page.wait_for_function(f"(before) => {shot} !== before", arg=before)
    expect(page.locator(".plot canvas")).to_have_count(4)


@pytest.mark.parametrize(("lang", "word", "share"), [("de", "Überfällig", "97,3 %"), ("en", "Late", "97.3%")])
def test_the_board_speaks_both_languages(open_page: Open, lang: str, word: str, share: str) -> None:
    page = open_page("/board", lang=lang)

    page.get_by_role("button", name="Nordbahn").click()

    expect(page.locator(".tile.late dt")).to_have_text(word)
    expect(page.locator(".tile.in_time .value")).to_have_text(share)


# -- incidents


def with_incident(gateway: StandIn, **changes: Any) -> None:
    gateway.incidents = {"nordbahn": (scenes.an_incident(now_ms(), **changes),)}


def orders(gateway: StandIn) -> list[wire.ClientFrame]:
    return [frame for frame in gateway.heard if isinstance(frame, wire.IncidentFrame)]


def test_an_incident_is_shown_with_its_size_growth_and_words(open_page: Open, gateway: StandIn) -> None:
    with_incident(gateway)
    page = open_page("/board")
    shown = page.locator(".incident")

    expect(shown).to_have_count(1)
    expect(shown.locator(".facts")).to_contain_text("Nordbahn")
    for said in ("suggested", "128 posts", "121 authors", "44 in 10 min", "3 at once"):
        expect(shown).to_contain_text(said)
    expect(shown.locator("blockquote")).to_contain_text("kein Internet mehr")


def test_it_is_grouped_and_dismissed_by_one_key_each(open_page: Open, gateway: StandIn) -> None:
    with_incident(gateway)
    page = open_page("/board")
    expect(page.locator(".incident.chosen")).to_have_count(1)

    page.keyboard.press("g")
    expect(page.locator(".told")).to_have_text("Its posts have left the queue.")
    page.keyboard.press("x")
    until(lambda: len(orders(gateway)) == 2, "two commands")

    told = [(one.incident_id, one.version, one.act) for one in orders(gateway) if isinstance(one, wire.SupIncident)]
    assert told == [("i1", 1, "group"), ("i1", 1, "close")]


def test_an_answer_is_written_with_alternatives_and_sent_by_keyboard(open_page: Open, gateway: StandIn) -> None:
    with_incident(gateway)
    page = open_page("/board", lang="de")
    expect(page.locator(".incident.chosen")).to_have_count(1)

    page.keyboard.press("r")
    expect(page.locator("#incident-text")).to_be_focused()
    page.keyboard.type("{Hallo|Moin} {name}, {wir wissen es|das ist bekannt}.")
    expect(page.locator(".writing")).to_contain_text("4 Fassungen, zum Beispiel:")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".told")).to_have_text("Die Antwort geht hinaus.")

    (answer,) = orders(gateway)
    assert isinstance(answer, wire.SupIncidentAnswer)
    assert (answer.text, answer.close) == ("{Hallo|Moin} {name}, {wir wissen es|das ist bekannt}.", True)
    expect(page.locator(".writing")).to_have_count(0)


def test_a_refused_answer_stays_written_and_says_why(open_page: Open, gateway: StandIn) -> None:
    with_incident(gateway)
    gateway.refuse["sup_incident_answer"] = wire.CommandError("bad_request", "1 wordings for 128 posts")
    page = open_page("/board")
    expect(page.locator(".incident.chosen")).to_have_count(1)

    page.keyboard.press("r")
    expect(page.locator("#incident-text")).to_be_focused()
    page.keyboard.type("Hello")
    page.keyboard.press("Control+Enter")

    expect(page.locator(".told")).to_contain_text("1 wordings for 128 posts")
    expect(page.locator("#incident-text")).to_have_value("Hello")


def test_its_posts_are_shown_and_one_is_taken_out(open_page: Open, gateway: StandIn) -> None:
    with_incident(gateway, state="grouped", decided_by="mia", hold_until=now_ms() + 600_000)
    page = open_page("/board")
    expect(page.locator(".incident.chosen")).to_have_count(1)

    page.keyboard.press("o")
    expect(page.locator(".members li")).to_have_count(2)
    page.locator(".members li").first.get_by_role("button").click()
    expect(page.locator(".members li")).to_have_count(1)

    assert [type(one) for one in orders(gateway)] == [wire.SupIncidentCases, wire.SupIncidentApart]


def test_what_was_answered_shows_how_far_it_is(open_page: Open, gateway: StandIn) -> None:
    with_incident(gateway, state="answered", answered=96, under_way=4, answer="{Hallo|Moin} {name}")
    page = open_page("/board", lang="de")

    expect(page.locator(".incident")).to_contain_text("96 von 128 beantwortet, 4 unterwegs")
    page.keyboard.press("r")
    expect(page.locator(".writing")).to_have_count(0)


@pytest.mark.parametrize("width", [360, 760, 1280])
def test_nothing_scrolls_sideways(open_page: Open, gateway: StandIn, width: int) -> None:
    with_incident(gateway)
    page = open_page("/board", lang="de", width=width)
    expect(page.locator(".plot canvas")).to_have_count(4)
    expect(page.locator(".incident.chosen")).to_have_count(1)

    assert page.evaluate("document.documentElement.scrollWidth > innerWidth") is False
