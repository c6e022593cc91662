"""A supervisor's page in a real browser, before the stand-in gateway."""

import pytest
from playwright.sync_api import Page, expect

from models import wire
from tests.browser.conftest import Open
from tests.browser.standin import StandIn


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


@pytest.mark.parametrize("width", [360, 760, 1280])
def test_nothing_scrolls_sideways(open_page: Open, width: int) -> None:
    page = open_page("/board", lang="de", width=width)
    expect(page.locator(".plot canvas")).to_have_count(4)

    assert page.evaluate("document.documentElement.scrollWidth > innerWidth") is False
