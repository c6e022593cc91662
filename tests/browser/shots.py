"""
Pictures for the README from a running ``make demo``: ``python -m tests.browser.shots [--out docs/img]``.

Sits down as a person would: a free seat, the first offer, a half-written answer; the board; a chat with an answer.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, TimeoutError, sync_playwright

from tests.browser.conftest import CHROMIUM, FLAGS

WORK_MS: Final = 120_000
"""A demo has its first posts within seconds; a machine under load may need longer."""

DRAFT: Final = {
    "en": "Hello, and thank you for telling us. I am looking into it right now and will be back within ten minutes.",
    "de": "Guten Tag und danke für den Hinweis. Ich sehe es mir gerade an und melde mich in zehn Minuten.",
}
QUESTION: Final = {"en": "Hello, is my order on its way?", "de": "Guten Tag, ist meine Bestellung unterwegs?"}


def desk(page: Page, base: str, lang: str) -> None:
    """Take a free seat, accept an offer, write half an answer."""
    page.goto(f"{base}/desk")
    page.locator("button.seat:enabled").first.click()
    page.locator(".row, .nothing .btn").first.wait_for(timeout=WORK_MS)
    if page.locator(".nothing .btn").count():
        page.locator(".nothing .btn").click()
    page.locator(".row").first.wait_for(timeout=WORK_MS)
    while not page.locator("textarea.answer").count():
        page.locator(".row.offered").first.click(timeout=WORK_MS)
        page.keyboard.press("a")
        page.wait_for_timeout(700)
    page.locator("textarea.answer").fill(DRAFT[lang])
    page.wait_for_timeout(8000)  # Notices leave; more work comes.


def board(page: Page, base: str, lang: str) -> None:
    """Open the first tenant's board and let it fill."""
    page.goto(f"{base}/board")
    page.locator(".tiles, button.tenant").first.wait_for(timeout=WORK_MS)
    if page.locator("button.tenant").count():
        page.locator("button.tenant").first.click()
    page.locator(".plot canvas").first.wait_for(timeout=WORK_MS)
    page.wait_for_timeout(3000)


def chat(page: Page, base: str, lang: str) -> None:
    """Write to the first brand; an answer is waited for, and the picture taken without one if none comes."""
    page.goto(f"{base}/chat")
    page.locator("label.brand").first.click(timeout=WORK_MS)
    page.locator("input.name").fill("Alex")
    page.keyboard.press("Enter")
    page.locator(".say textarea").fill(QUESTION[lang])
    page.keyboard.press("Enter")
    page.locator("li.customer.delivered").wait_for(timeout=WORK_MS)
    try:
        page.locator("li.brand").nth(1).wait_for(timeout=WORK_MS // 2)
    except TimeoutError:
        print("no answer came in the chat; its picture shows the question alone", file=sys.stderr)


def take(browser: Browser, args: argparse.Namespace) -> None:
    """Take the three pictures, each in a fresh context."""
    args.out.mkdir(parents=True, exist_ok=True)
    for show, base in ((desk, args.base), (board, args.base), (chat, args.chat_base or args.base)):
        context = browser.new_context(
            viewport={"width": 1280, "height": 800},
            device_scale_factor=1.5,
            locale=args.lang,
            color_scheme=args.theme,
        )
        page = context.new_page()
        show(page, base.rstrip("/"), args.lang)
        path = args.out / f"{show.__name__}.png"
        page.screenshot(path=path)
        print(path)
        context.close()


def main() -> int:
    """Return 0 when all pictures were taken."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.shots", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/img"), help="folder of the pictures")
    parser.add_argument("--base", default="http://127.0.0.1:8080", help="address of the gateway")
    parser.add_argument("--chat-base", default="", help="address of the chat, if another than the gateway's")
    parser.add_argument("--lang", choices=("en", "de"), default="en")
    parser.add_argument("--theme", choices=("light", "dark"), default="light")
    args = parser.parse_args()
    if CHROMIUM is None:
        print("Chromium is not here (on Debian: apt-get install chromium)", file=sys.stderr)
        return 1
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        take(browser, args)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
