"""A real browser: Debian's Chromium, driven by Playwright; without it these tests say so and are skipped."""

import shutil
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.standin import StandIn

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

Open = Callable[..., Page]
expect.set_options(timeout=10_000)


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds at the gateway."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if holds():
            return
        time.sleep(0.02)
    pytest.fail(f"did not happen within 10 s: {what}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser a module: Playwright's loop must have ended before other tests start loops of their own."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not here (on Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def gateway() -> Iterator[StandIn]:
    with StandIn() as gateway:
        yield gateway


@pytest.fixture
def open_page(browser: Browser, gateway: StandIn) -> Iterator[Open]:
    """Open a page; at the end, the console must have been silent in each."""
    faults: list[str] = []
    contexts = []

    def opened(path: str, lang: str = "en", width: int = 1280, theme: str = "light", quiet: bool = True) -> Page:
        size = {"width": width, "height": 800}
        context = browser.new_context(viewport=size, locale=lang, color_scheme=theme)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        if quiet:
            page.on("console", lambda line: faults.append(line.text) if line.type in ("error", "warning") else None)
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        page.goto(f"{gateway.base}{path}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []
