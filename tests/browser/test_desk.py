"""A rep's page in a real browser, before the stand-in gateway."""

import dataclasses
import re
from typing import TypeVar

import pytest
from msgspec.structs import replace
from playwright.sync_api import Page, expect

from models import wire
from models.cases import Known
from tests.browser.conftest import Open, until
from tests.browser.scenes import SCENES, view
from tests.browser.standin import StandIn, now_ms

Frame = TypeVar("Frame")


def sit_down(open_page: Open, **how: object) -> Page:
    page = open_page("/desk", **how)
    page.get_by_role("button", name="Mara Petersen").click()
    expect(page.locator("select.presence")).to_have_value("available")
    return page


def heard(gateway: StandIn, kind: type[Frame], least: int = 0) -> list[Frame]:
    """Return the frames of a kind that the gateway got, once there are at least so many: a page shows its own steps first."""

    def found() -> list[Frame]:
        return [frame for frame in list(gateway.heard) if isinstance(frame, kind)]

    until(lambda: len(found()) >= least, f"{least} of {kind.__name__}")
    return found()


def held(number: int, **changes: object) -> wire.CaseView:
    return replace(view(SCENES[number], now_ms(), "working"), **changes)


def test_a_free_seat_is_taken_and_a_taken_one_cannot_be(open_page: Open, gateway: StandIn) -> None:
    page = open_page("/desk")
    expect(page.get_by_role("button", name="Elif Yıldız")).to_be_disabled()

    page.get_by_role("button", name="Mara Petersen").click()

    expect(page.get_by_text("Nothing to do.")).to_be_visible()
    assert heard(gateway, wire.Hello, 1)[0].token == "stand-in-1"
    assert "stand-in" not in page.url


def test_a_case_is_taken_and_answered_by_keys_alone(open_page: Open, gateway: StandIn) -> None:
    page = sit_down(open_page)
    gateway.offer(view(SCENES[0], now_ms()))
    expect(page.get_by_role("button", name="Katrin Vogel")).to_be_visible()
    expect(page).to_have_title("(1) Desk · Zuruf")

    page.keyboard.press("a")
    expect(page.locator("textarea.answer")).to_be_visible()
    page.keyboard.press("r")
    page.keyboard.type("Wir haben ein Zimmer für Sie.")
    page.keyboard.press("Control+Enter")

    expect(page.locator(".entry.rep .status.sent")).to_have_text("published")
    expect(page.get_by_text("This case is closed.")).to_be_visible()
    [accepted] = heard(gateway, wire.AcceptOffer, 1)
    [reply] = heard(gateway, wire.SendReply, 1)
    assert (accepted.case_id, accepted.offer, accepted.version) == ("c1", "c1.1", 2)
    assert (reply.text, reply.version, reply.close) == ("Wir haben ein Zimmer für Sie.", 3, True)


def test_an_offer_is_rejected_by_a_key(open_page: Open, gateway: StandIn) -> None:
    page = sit_down(open_page)
    gateway.offer(view(SCENES[0], now_ms()))
    expect(page.locator(".row")).to_have_count(1)

    page.keyboard.press("x")

    expect(page.locator(".row")).to_have_count(0)
    assert heard(gateway, wire.RejectOffer, 1)[0].offer == "c1.1"


def test_j_and_k_walk_the_inbox_in_order_of_due_times(open_page: Open, gateway: StandIn) -> None:
    for number in (3, 2, 1):
        gateway.cases[f"c{number + 1}"] = held(number)
    page = sit_down(open_page)
    expect(page.locator(".row .author")).to_have_text(["Tom Okafor", "Aylin", "Paul Lindner"])
    chosen = page.locator(".row[aria-current] .author")

    expect(chosen).to_have_text("Tom Okafor")
    page.keyboard.press("j")
    expect(chosen).to_have_text("Aylin")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(chosen).to_have_text("Paul Lindner")
    page.keyboard.press("k")
    expect(chosen).to_have_text("Aylin")


def test_slack_is_told_by_colour(open_page: Open, gateway: StandIn) -> None:
    for number, due_s in ((0, 500), (1, 20), (2, -20)):
        due_at = now_ms() + due_s * 1000
        gateway.cases[f"c{number + 1}"] = held(number, due_at=due_at, received_at=due_at - 900_000)
    page = sit_down(open_page)

    rows = page.locator(".row")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_have_class("row late working")
    expect(rows.nth(1)).to_have_class("row soon working")
    expect(rows.nth(2)).to_have_class("row fine working")


def test_html_in_a_post_is_text(open_page: Open, gateway: StandIn) -> None:
    hostile = "<script>document.title='taken'</script><img src=x onerror=alert(1)>"
    page = sit_down(open_page)
    scene = dataclasses.replace(SCENES[0], text=hostile, name=hostile)

    gateway.offer(replace(view(scene, now_ms()), permalink="javascript:alert(1)", why=(hostile,)))

    expect(page.locator(".said")).to_have_text(hostile)
    expect(page.locator(".why li")).to_have_text(hostile)
    assert page.locator("#app script, #app img, .case-head a").count() == 0
    assert page.title() == "(1) Desk · Zuruf"


def test_a_cut_connection_is_seen_and_resumed_where_it_was(open_page: Open, gateway: StandIn) -> None:
    # The browser itself reports each refused handshake, which is what this test provokes.
    page = sit_down(open_page, quiet=False)
    gateway.offer(view(SCENES[0], now_ms()))
    gateway.offer(view(SCENES[1], now_ms()))
    expect(page.locator(".row")).to_have_count(2)

    gateway.shut = True
    gateway.cut()
    expect(page.get_by_text("Connection lost. Trying again.")).to_be_visible()
    expect(page.locator(".row")).to_have_count(2)
    gateway.offer(view(SCENES[2], now_ms()))
    gateway.shut = False
    page.evaluate("document.querySelector('.banner .link')?.click()")  # "Try now", unless it has tried already.

    expect(page.locator(".row")).to_have_count(3)
    expect(page.get_by_text("Connection lost.")).to_have_count(0)
    assert heard(gateway, wire.Hello)[-1].resume == wire.ResumePoint(7, 2)


def test_a_hole_in_the_numbers_is_filled_by_resuming(open_page: Open, gateway: StandIn) -> None:
    page = sit_down(open_page)
    gateway.skip()

    gateway.offer(view(SCENES[0], now_ms()))

    expect(page.locator("select.presence")).to_have_value("busy")
    expect(page.locator(".row")).to_have_count(1)
    assert [hello.resume for hello in heard(gateway, wire.Hello)] == [None, wire.ResumePoint(7, 0)]


def test_a_snapshot_of_a_new_epoch_replaces_all_and_an_old_frame_is_ignored(open_page: Open, gateway: StandIn) -> None:
    for number in range(5):
        gateway.cases[f"c{number + 1}"] = held(number)
    page = sit_down(open_page)
    expect(page.locator(".row")).to_have_count(5)
    del gateway.cases["c1"], gateway.cases["c3"]

    gateway.takeover()
    expect(page.locator(".row")).to_have_count(3)
    gateway.send_old(view(SCENES[0], now_ms()))
    gateway.offer(view(SCENES[2], now_ms()))

    expect(page.locator(".row")).to_have_count(4)
    expect(page.locator(".row", has_text="Katrin Vogel")).to_have_count(0)


def test_what_was_read_is_acknowledged_within_two_seconds(open_page: Open, gateway: StandIn) -> None:
    sit_down(open_page)
    gateway.offer(view(SCENES[0], now_ms()))

    until(lambda: wire.Ack(1) in gateway.heard, "an ack of frame 1")


def test_a_refused_answer_is_given_back_and_what_holds_now_is_shown(open_page: Open, gateway: StandIn) -> None:
    gateway.cases["c1"] = held(0)
    newer = replace(held(0), version=9, triage="less")
    gateway.refuse["reply"] = wire.CommandError("version_conflict", "case c1 is at version 9, not 2", case=newer)
    page = sit_down(open_page)

    page.keyboard.press("r")
    page.keyboard.type("Zu spät")
    page.keyboard.press("Control+Enter")

    expect(page.get_by_text("The case has just changed.")).to_be_visible()
    expect(page.locator("textarea.answer")).to_have_value("Zu spät")
    expect(page.locator(".row .chip.less")).to_be_visible()
    expect(page.locator(".entry.rep")).to_have_count(0)


def test_an_offer_that_is_gone_leaves_the_inbox(open_page: Open, gateway: StandIn) -> None:
    gateway.refuse["accept"] = wire.CommandError("offer_gone", "offer c1.1 no longer stands")
    page = sit_down(open_page)
    gateway.offer(view(SCENES[0], now_ms()))
    expect(page.locator(".row")).to_have_count(1)

    page.keyboard.press("a")

    expect(page.get_by_text("The offer no longer stands.")).to_be_visible()
    expect(page.locator(".row")).to_have_count(0)


def test_an_answer_that_was_not_published_is_told_and_the_case_stays(open_page: Open, gateway: StandIn) -> None:
    gateway.cases["c1"] = held(0)
    gateway.publish_as = "failed"
    page = sit_down(open_page)

    page.locator("textarea.answer").fill("Hallo")
    page.get_by_role("button", name="Send").click()

    expect(page.locator(".status.failed")).to_contain_text("the platform answered 503")
    expect(page.locator("textarea.answer")).to_be_visible()


def test_a_case_is_kept_open_for_the_customer_who_writes_again(open_page: Open, gateway: StandIn) -> None:
    gateway.cases["c1"] = held(0)
    page = sit_down(open_page)

    page.get_by_label("then close").uncheck()
    page.locator("textarea.answer").fill("Wo genau stehen Sie?")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="Customer's turn")).to_be_visible()
    gateway.write_again("c1", "Gleis 3")

    expect(page.locator(".said").last).to_have_text("Gleis 3")
    assert heard(gateway, wire.SendReply, 1)[0].close is False


def test_a_case_is_closed_with_a_note_after_a_question(open_page: Open, gateway: StandIn) -> None:
    gateway.cases["c1"] = held(0)
    page = sit_down(open_page)

    page.keyboard.press("c")
    expect(page.get_by_role("group", name="Close without a further answer?")).to_be_visible()
    page.keyboard.type("duplicate")
    page.keyboard.press("Enter")

    expect(page.locator(".row")).to_have_count(0)
    assert heard(gateway, wire.Close, 1)[0].disposition == "duplicate"


def test_the_counter_tells_what_is_seen_and_what_the_platform_counts(open_page: Open, gateway: StandIn) -> None:
    gateway.cases["c1"] = held(0, text_max=10)
    page = sit_down(open_page)
    field, counter = page.locator("textarea.answer"), page.locator(".count")

    field.fill("Ja 👍🏽")
    expect(counter).to_have_text("5 / 10")
    expect(counter).to_have_attribute("title", re.compile("^4 visible characters. The platform counts 5 of at most 10"))
    field.fill("eleven char")
    expect(counter).to_have_class(re.compile("over"))
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
    page.keyboard.press("Control+Enter")

    field.fill("fits")
    page.keyboard.press("Control+Enter")
    until(lambda: len(heard(gateway, wire.SendReply)) > 0, "an answer that fits")
    assert [reply.text for reply in heard(gateway, wire.SendReply)] == ["fits"]


def test_a_draft_outlives_a_reload_and_belongs_to_its_case(open_page: Open, gateway: StandIn) -> None:
    gateway.cases.update(c1=held(0), c3=held(2))
    page = sit_down(open_page)
    field = page.locator("textarea.answer")

    field.fill("Halb fertig")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    expect(field).to_have_value("")
    page.reload()

    expect(page.locator(".row[aria-current] .author")).to_have_text("Katrin Vogel")
    expect(field).to_have_value("Halb fertig")


def test_an_offer_takes_neither_focus_nor_choice(open_page: Open, gateway: StandIn) -> None:
    gateway.cases["c1"] = held(0)
    page = sit_down(open_page)
    field = page.locator("textarea.answer")
    field.focus()
    page.keyboard.type("Ich sch")

    gateway.offer(view(SCENES[1], now_ms()))
    expect(page.locator(".row")).to_have_count(2)
    page.keyboard.type("reibe a x j")

    expect(field).to_have_value("Ich schreibe a x j")
    expect(field).to_be_focused()
    expect(page.locator("#spoken")).to_have_text("New case from Tom Okafor, urgent")


def test_presence_is_asked_for_and_shown_as_dispatch_holds_it(open_page: Open, gateway: StandIn) -> None:
    page = sit_down(open_page)

    page.locator("select.presence").select_option("away")

    expect(page.locator(".presence-is")).to_have_class(re.compile("away"))
    assert heard(gateway, wire.Presence, 1)[0].state == "away"


def test_a_rep_who_is_not_available_is_asked_to_be(open_page: Open, gateway: StandIn) -> None:
    gateway.presence = "offline"
    page = open_page("/desk")
    page.get_by_role("button", name="Mara Petersen").click()

    page.get_by_role("button", name="I am available").click()

    expect(page.get_by_text("Nothing to do.")).to_be_visible()
    assert heard(gateway, wire.Presence, 1)[0].state == "available"


def comes_with(gateway: StandIn, token: str) -> None:
    """Wait for a hello with a token: the desk that was cut off may stand among the others for a while yet."""
    until(lambda: heard(gateway, wire.Hello)[-1].token == token, f"a hello with {token}")


def test_an_expired_token_is_replaced_once_and_a_second_time_after_it_worked(open_page: Open, gateway: StandIn) -> None:
    page = sit_down(open_page)

    for number in (2, 3):
        gateway.expire()
        comes_with(gateway, f"stand-in-{number}")
        until(lambda: len(gateway.desks) == 1, "a desk with a new token")
        expect(page.get_by_text("Connection lost.")).to_have_count(0)

    assert gateway.tokens == 3


def test_a_token_that_is_refused_twice_ends_the_page_plainly(open_page: Open, gateway: StandIn) -> None:
    page = sit_down(open_page)
    gateway.close_hello = 4401

    gateway.cut()

    expect(page.get_by_role("alert")).to_contain_text("Your sign-in has expired.")
    assert gateway.tokens == 2


def test_who_leaves_the_seat_leaves_nothing_behind(open_page: Open, gateway: StandIn) -> None:
    gateway.cases["c1"] = held(0)
    page = sit_down(open_page)
    page.locator("textarea.answer").fill("Geheim")

    page.get_by_role("button", name="Leave this seat").click()

    expect(page.get_by_role("button", name="Mara Petersen")).to_be_visible()
    assert page.evaluate("Object.keys(sessionStorage)") == []


def test_a_refused_presence_is_not_shown(open_page: Open, gateway: StandIn) -> None:
    gateway.refuse["presence"] = wire.CommandError("unavailable", "no broker", temporary=True)
    page = sit_down(open_page)

    page.locator("select.presence").select_option("away")

    expect(page.get_by_text("Not possible right now.")).to_be_visible()
    expect(page.locator("select.presence")).to_have_value("available")


def test_a_command_that_was_cut_off_is_sent_again_by_the_same_id(open_page: Open, gateway: StandIn) -> None:
    page = sit_down(open_page, quiet=False)
    gateway.offer(view(SCENES[0], now_ms()))
    expect(page.locator(".row")).to_have_count(1)
    gateway.shut = True
    gateway.cut()
    expect(page.get_by_text("Connection lost.")).to_be_visible()

    page.keyboard.press("a")
    gateway.shut = False

    expect(page.locator("textarea.answer")).to_be_visible()
    assert len(heard(gateway, wire.AcceptOffer)) == 1


def test_a_seat_opened_elsewhere_ends_this_page_plainly(open_page: Open, gateway: StandIn) -> None:
    page = sit_down(open_page)

    gateway.cut(4409)

    expect(page.get_by_role("alert")).to_contain_text("This seat is now open in another window.")
    assert len(heard(gateway, wire.Hello)) == 1


def test_a_lapsed_offer_is_told(open_page: Open, gateway: StandIn) -> None:
    page = sit_down(open_page)
    gateway.offer(view(SCENES[0], now_ms()))
    expect(page.locator(".row")).to_have_count(1)

    gateway.revoke("c1")

    expect(page.get_by_text("Offer lapsed: Katrin Vogel")).to_be_visible()
    expect(page.get_by_text("The offer has lapsed.")).to_be_visible()


def test_german_and_english_follow_the_browser_and_the_switch(open_page: Open, gateway: StandIn) -> None:
    gateway.cases["c1"] = held(0)
    page = open_page("/desk", lang="de-AT")
    page.get_by_role("button", name="Mara Petersen").click()
    expect(page.get_by_role("button", name="Senden")).to_be_visible()
    expect(page.locator(".row .chip.at_once")).to_have_text("sofort")

    page.get_by_role("button", name="Switch to English").click()

    expect(page.get_by_role("button", name="Send")).to_be_visible()
    expect(page.locator(".row .chip.at_once")).to_have_text("at once")
    assert page.evaluate("document.documentElement.lang") == "en"


def test_the_theme_can_be_switched_and_is_kept(open_page: Open) -> None:
    page = open_page("/desk")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)

    page.get_by_role("button", name="Dark theme").click()
    dark = page.evaluate(ground)
    page.reload()

    assert light != dark
    assert page.evaluate(ground) == dark


def test_the_question_mark_shows_the_keys(open_page: Open) -> None:
    page = sit_down(open_page)

    page.keyboard.press("?")

    expect(page.get_by_role("dialog", name="show keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("lang", ["de", "en"])
def test_nothing_scrolls_sideways_at_360_pixels(open_page: Open, gateway: StandIn, lang: str) -> None:
    for number in range(5):
        gateway.cases[f"c{number + 1}"] = held(number)
    page = sit_down(open_page, lang=lang, width=360)
    wide = "document.documentElement.scrollWidth > innerWidth"
    assert page.evaluate(wide) is False

    for row in range(5):
        page.locator(".row").nth(row).click()
        expect(page.locator(".thread")).to_be_visible()
        page.locator("summary").click()
        assert page.evaluate(wide) is False
        page.locator(".case-head .narrow").click()
        expect(page.locator(".row").first).to_be_visible()


def test_a_rep_sees_what_is_known_of_an_author_from_before(open_page: Open, gateway: StandIn) -> None:
    page = sit_down(open_page, lang="de")
    known = Known(contacts=3, platforms=("x", "mastodon"), vip=True, crm_id="4711")
    gateway.offer(replace(view(SCENES[0], now_ms()), known=known))
    page.get_by_role("button", name="Katrin Vogel").click()

    expect(page.locator(".earlier")).to_contain_text("3 frühere Gespräche")
    expect(page.locator(".earlier")).to_contain_text("VIP · Kunde 4711")
