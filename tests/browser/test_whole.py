"""
Desks before the real thing: ``zuruf up`` as it is, its chat as the customer's side, two reps and a supervisor in a browser.

Who is available decides who is offered what, so each test says it first. All waiting is bounded; what is typed is what a
person would type.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

ROOT: Final = Path(__file__).parents[2]
WAIT_MS: Final = 60_000  # A case goes through the broker and back; a machine under load takes its time.
CONFIG: Final = """\
[[tenant]]
id = "main"
name = "Nordlicht"
[[tenant.account]]
id = "chat-nordbahn"
connector = "chat"
brand = "nordbahn"
[[tenant.brand]]
id = "nordbahn"
name = "Nordbahn"
[tenant.brand.service_level]
at_once_min = 60
urgent_min = 120
important_min = 240
less_min = 480
[[tenant.team]]
id = "night"
name = "Night"
[[tenant.rep]]
id = "ada"
name = "Ada Lund"
capacity = 20
approves = true
[[tenant.rep]]
id = "ben"
name = "Ben Roth"
capacity = 20
teams = ["night"]
approval = true
"""
QUESTION: Final = "Good morning, I was charged twice for my ticket last week. When do I get the money back?"
number = count(1)


class Up:
    """A running ``zuruf up``: where its gateway and its chat are."""

    def __init__(self, folder: Path) -> None:
        config = folder / "zuruf.toml"
        config.write_text(CONFIG, encoding="utf-8")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("ZURUF_")}
        ports = {f"ZURUF_{name}_PORT": "0" for name in ("GATEWAY", "HTTP", "HEALTH")}
        environment |= {"ZURUF_DATA": str(folder / "data"), "PYTHONPATH": str(ROOT), "ZURUF_SESSION_S": "10"} | ports
        self.log = folder / "stderr"
        command = [sys.executable, "-m", "agents.cli", "up", "--config", str(config), "--announce"]
        with self.log.open("wb") as errors:
            self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text("utf-8")
        facts = json.loads(line)
        self.gateway, self.connect = facts["gateway"], facts["connect"]

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One engine for all tests of this module: it takes longer to start than they take."""
    running = Up(tmp_path_factory.mktemp("up"))
    yield running
    running.close()


class House:
    """Opens pages as people would, and closes them at the end."""

    def __init__(self, browser: Browser, up: Up) -> None:
        self.browser, self.up = browser, up
        self.contexts: list[BrowserContext] = []
        self.faults: list[str] = []

    def page(self, address: str) -> Page:
        context = self.browser.new_context(viewport={"width": 1280, "height": 800}, locale="en")
        self.contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda fault: self.faults.append(str(fault)))
        page.goto(address)
        return page

    def desk(self, name: str, presence: str = "") -> Page:
        """Sit down; a seat that was left a moment ago is taken as soon as it is free."""
        page = self.page(f"{self.up.gateway}/desk")
        seat = page.get_by_role("button", name=name)
        expect(seat).to_be_visible(timeout=WAIT_MS)
        end = time.monotonic() + WAIT_MS / 1000
        while seat.is_disabled() and time.monotonic() < end:
            time.sleep(0.3)
            page.reload()
            expect(seat).to_be_visible(timeout=WAIT_MS)
        seat.click()
        expect(page.locator("select.presence")).to_be_enabled(timeout=WAIT_MS)
        if presence:
            page.locator("select.presence:enabled").select_option(presence)
            expect(page.locator(".presence-is")).to_have_class(f"presence-is {presence} ", timeout=WAIT_MS)
        return page

    def customer(self) -> tuple[Page, str]:
        """Write to the brand, and return the page and the name that the desk will show."""
        name = f"Customer {next(number)}"
        page = self.page(f"{self.up.connect}/chat")
        page.locator("label.brand").first.click()
        page.locator("input.name").fill(name)
        page.keyboard.press("Enter")
        page.locator(".say textarea").fill(QUESTION)
        page.keyboard.press("Enter")
        page.locator("li.customer.delivered").wait_for()
        return page, name


@pytest.fixture
def house(browser: Browser, up: Up) -> Iterator[House]:
    opened = House(browser, up)
    yield opened
    for context in opened.contexts:
        context.close()
    assert opened.faults == []


def row(page: Page, name: str) -> Locator:
    return page.locator(".row", has_text=name)


def in_hand(page: Page, name: str) -> None:
    """Wait for the offer of a customer's case, and take it by its key."""
    row(page, name).click(timeout=WAIT_MS)
    expect(page.get_by_role("button", name="Accept")).to_be_visible()
    page.keyboard.press("a")
    expect(page.locator("textarea.answer")).to_be_visible(timeout=WAIT_MS)


def group(page: Page, title: str) -> Locator:
    return page.locator(".inbox section", has=page.get_by_role("heading", name=title))


def shows(place: Locator) -> None:
    expect(place).to_be_visible(timeout=WAIT_MS)


def test_a_case_is_laid_aside_and_taken_up_by_one_key(house: House) -> None:
    ada = house.desk("Ada Lund", "available")
    _, name = house.customer()
    in_hand(ada, name)

    ada.keyboard.press("h")
    shows(ada.get_by_role("group", name="Put on hold"))
    ada.keyboard.press("3")
    shows(group(ada, "On hold").locator(".row", has_text=name))
    expect(group(ada, "On hold").locator(".row", has_text="on hold until")).to_be_visible()
    ada.keyboard.press("h")

    shows(group(ada, "In hand").locator(".row", has_text=name))


def test_what_one_rep_hands_on_reaches_the_other_with_its_note_and_goes_out_when_approved(house: House) -> None:
    ada = house.desk("Ada Lund", "available")
    customer, name = house.customer()
    in_hand(ada, name)
    ben = house.desk("Ben Roth", "available")
    ada.locator("select.presence").select_option("busy")

    ada.keyboard.press("t")
    ada.keyboard.type("ben")
    ada.keyboard.press("Enter")
    expect(ada.locator(".panel .note")).to_be_focused()
    ada.keyboard.type("She was charged twice, please refund")
    ada.keyboard.press("Enter")
    shows(group(ada, "Handed on").locator(".row", has_text=name))

    row(ben, name).click(timeout=WAIT_MS)
    shows(ben.get_by_text("She was charged twice, please refund"))
    shows(ben.get_by_text("Ada Lund to Ben Roth"))
    ben.keyboard.press("a")
    ben.locator("textarea.answer").fill("We have sent it back today.")
    ben.keyboard.press("Control+Enter")
    shows(group(ben, "Awaiting approval").locator(".row", has_text=name))

    ada.keyboard.press("2")
    ada.keyboard.press("3")
    row(ada, name).click(timeout=WAIT_MS)
    expect(ada.locator("textarea.answer")).to_have_value("We have sent it back today.", timeout=WAIT_MS)
    ada.locator("textarea.answer").fill("We have sent it back today. Sorry!")
    ada.keyboard.press("Control+Enter")

    expect(customer.locator("li.brand").last).to_contain_text("Sorry!", timeout=WAIT_MS)


def test_an_answer_that_is_given_back_returns_to_its_writer_with_the_reason(house: House) -> None:
    ben = house.desk("Ben Roth", "available")
    _, name = house.customer()
    in_hand(ben, name)
    ada = house.desk("Ada Lund", "busy")
    ben.locator("textarea.answer").fill("No.")
    ben.keyboard.press("Control+Enter")

    ada.keyboard.press("3")
    row(ada, name).click(timeout=WAIT_MS)
    shows(ada.get_by_role("button", name="Give back"))
    ada.keyboard.press("x")
    ada.keyboard.type("Please be kind")
    ada.keyboard.press("Enter")

    shows(ben.get_by_text("Given back: Please be kind"))
    ben.get_by_role("button", name="Take the text again").click()
    expect(ben.locator("textarea.answer")).to_have_value("No.")


def test_who_is_busy_may_look_at_what_waits_and_take_it(house: House) -> None:
    ada = house.desk("Ada Lund", "busy")
    _, name = house.customer()

    ada.keyboard.press("2")
    shows(row(ada, name))
    row(ada, name).click()
    shows(ada.locator(".said", has_text=QUESTION))
    ada.keyboard.press("a")

    shows(group(ada, "In hand").locator(".row", has_text=name))
    shows(ada.locator("textarea.answer"))


def test_a_label_is_corrected_by_keys_and_stands(house: House) -> None:
    ada = house.desk("Ada Lund", "available")
    _, name = house.customer()
    in_hand(ada, name)

    ada.keyboard.press("l")
    subject = ada.locator("select[name=subject]")
    expect(subject).to_be_visible()
    wanted = "staff" if subject.input_value() != "staff" else "account"
    subject.select_option(wanted)
    subject.press("Enter")

    shows(ada.get_by_text("Labels saved."))
    expect(ada.locator(".labels").first).to_contain_text(wanted)


def test_a_supervisor_changes_the_urgency_and_gives_the_case_to_a_rep(house: House) -> None:
    ada = house.desk("Ada Lund", "busy")
    _, name = house.customer()
    chief = house.desk("Supervisor")

    row(chief, name).click(timeout=WAIT_MS)
    shows(chief.locator(".said", has_text=QUESTION))
    chief.keyboard.press("u")
    shows(chief.get_by_role("group", name="Change the urgency"))
    chief.keyboard.press("1")
    expect(row(chief, name).locator(".chip.at_once")).to_be_visible(timeout=WAIT_MS)
    chief.keyboard.press("t")
    chief.keyboard.type("ada")
    chief.keyboard.press("Enter")
    expect(chief.locator(".panel .note")).to_be_focused()
    chief.keyboard.press("Enter")

    shows(group(ada, "In hand").locator(".row", has_text=name))
    shows(group(ada, "In hand").locator(".row", has_text=name).locator(".chip.at_once"))
    row(ada, name).click()
    shows(ada.get_by_text("Supervisor set it to at once"))


def test_two_who_look_at_one_case_see_each_other(house: House) -> None:
    ada = house.desk("Ada Lund", "available")
    _, name = house.customer()
    in_hand(ada, name)
    chief = house.desk("Supervisor")

    row(chief, name).click(timeout=WAIT_MS)
    shows(chief.get_by_text("Ada Lund is looking"))
    ada.locator("textarea.answer").fill("Hello")

    shows(chief.get_by_text("Ada Lund is writing"))
    shows(ada.get_by_text("Supervisor is looking"))


def test_who_is_logged_out_by_a_supervisor_is_told_and_what_was_in_hand_goes_back(house: House) -> None:
    ben = house.desk("Ben Roth", "available")
    _, name = house.customer()
    in_hand(ben, name)
    chief = house.desk("Supervisor")

    chief.keyboard.press("m")
    chief.locator(".panel select").select_option("rep:ben")
    chief.locator(".panel .note").fill("Shift is over")
    chief.get_by_role("button", name="Log out Ben Roth").click()
    chief.get_by_role("button", name="Really log out Ben Roth").click()

    shows(ben.get_by_text("Supervisor has ended your work for now: Shift is over"))
    expect(row(chief, name)).to_contain_text("waiting", timeout=WAIT_MS)
