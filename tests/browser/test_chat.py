"""A customer's page and the start page in a real browser, before the stand-in gateway."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open, until
from tests.browser.standin import StandIn


def begin(page: Page, gateway: StandIn) -> None:
    page.get_by_text("Nordbahn").click()
    page.get_by_label("Your name").fill("Paul")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Hello Paul.")).to_be_visible()
    until(lambda: len(gateway.chatting) == 1, "a conversation")


def test_a_customer_writes_and_reads_the_answer(open_page: Open, gateway: StandIn) -> None:
    page = open_page("/chat")
    begin(page, gateway)

    page.get_by_label("Write a message").fill("Fährt der Zug?")
    page.keyboard.press("Enter")
    expect(page.locator("li.customer .state")).to_have_text("delivered")
    gateway.say("Ja, um 12:03.")

    expect(page.locator("li.brand").last).to_contain_text("Ja, um 12:03.")


def test_a_conversation_outlives_a_reload(open_page: Open, gateway: StandIn) -> None:
    page = open_page("/chat")
    begin(page, gateway)
    page.get_by_label("Write a message").fill("Noch da?")
    page.keyboard.press("Enter")
    expect(page.locator("li.customer .state")).to_have_text("delivered")

    page.reload()

    expect(page.locator("li.customer p")).to_have_text("Noch da?")
    assert list(gateway.chats) == ["talk-1"]
    gateway.say("Ja.")
    expect(page.locator("li.brand").last).to_contain_text("Ja.")


def test_a_line_written_while_cut_off_arrives_once(open_page: Open, gateway: StandIn) -> None:
    page = open_page("/chat", quiet=False)
    begin(page, gateway)
    gateway.shut = True
    gateway.hang_up()
    expect(page.get_by_text("Connection lost.")).to_be_visible()
    page.get_by_label("Write a message").fill("Hört mich wer?")
    page.keyboard.press("Enter")
    expect(page.locator("li.customer .state")).to_have_text("sending")

    gateway.shut = False

    expect(page.locator("li.customer .state")).to_have_text("delivered")
    assert [line.text for line in gateway.chats["talk-1"]] == ["Hört mich wer?"]


def test_a_refused_line_can_be_said_again(open_page: Open, gateway: StandIn) -> None:
    page = open_page("/chat")
    begin(page, gateway)
    gateway.chat_refuses = "too fast"
    page.get_by_label("Write a message").fill("Hallo")
    page.keyboard.press("Enter")
    expect(page.locator("li.refused .state")).to_have_text("not delivered: too fast")
    gateway.chat_refuses = ""

    page.get_by_role("button", name="Send again").click()

    expect(page.locator("li.customer .state")).to_have_text("delivered")


def test_a_brand_without_a_chat_leads_back_to_the_choice(open_page: Open, gateway: StandIn) -> None:
    gateway.no_chat = True
    page = open_page("/chat")
    page.get_by_text("Nordbahn").click()
    page.get_by_label("Your name").fill("Paul")
    page.keyboard.press("Enter")

    expect(page.get_by_role("alert")).to_have_text("This brand has no chat at the moment.")
    expect(page.get_by_role("button", name="Start the conversation")).to_be_visible()


def test_html_in_a_line_is_text(open_page: Open, gateway: StandIn) -> None:
    page = open_page("/chat")
    begin(page, gateway)

    gateway.say("<b>fett</b><script>1</script>")

    expect(page.locator("li.brand p").last).to_have_text("<b>fett</b><script>1</script>")
    assert page.locator(".log b, .log script").count() == 0


@pytest.mark.parametrize(("lang", "word"), [("de", "Gespräch beginnen"), ("en", "Start the conversation")])
def test_the_chat_speaks_both_languages_and_fits_a_phone(open_page: Open, lang: str, word: str) -> None:
    page = open_page("/chat", lang=lang, width=360)

    expect(page.get_by_role("button", name=word)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth > innerWidth") is False


@pytest.mark.parametrize(("lang", "word"), [("de", "Schreibtisch"), ("en", "Desk")])
def test_the_start_page_leads_to_the_three(open_page: Open, lang: str, word: str) -> None:
    page = open_page("/", lang=lang, width=360)

    expect(page.locator("nav strong").first).to_have_text(word)
    assert page.locator("nav a").evaluate_all("(all) => all.map((a) => a.getAttribute('href'))") == [
        "/desk",
        "/board",
        "/chat",
    ]
    assert page.evaluate("document.documentElement.scrollWidth > innerWidth") is False
