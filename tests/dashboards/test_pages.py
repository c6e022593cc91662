"""The pages as bytes: complete, small, hashed, and nothing else readable."""

import gzip
import re
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

import dashboards
from dashboards.pages import POLICY, load

HOME = Path(dashboards.__file__).parent
ROOMS = ("desk", "board", "chat", "start")
LIBRARY = ("lit-html.js", "directive.js", "directive-helpers.js", "directives/repeat.js")
IMPORT = re.compile(r'from "(\.[^"]+)"|import "(\.[^"]+)"')
SPOKEN = re.compile(r'(?<![\w.])t\(\s*(?:[^()"`]*\? )?"([\w.]+)"|data-t="([\w.]+)"')


def strings(language: str) -> dict[str, str]:
    return msgspec.json.decode((HOME / "common" / f"{language}.json").read_bytes(), type=dict[str, str])


@pytest.mark.parametrize("path", ["/", "/desk", "/board", "/chat", "/favicon.svg", "/static/common/base.css"])
def test_a_page_is_served_with_its_policy(path: str) -> None:
    page = load()(path)

    assert page is not None
    headers = dict(page.headers)
    assert headers["Content-Security-Policy"] == POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert page.body


def test_a_query_does_not_change_the_page() -> None:
    page = load()

    assert page("/desk?lang=de") == page("/desk") is not None


@pytest.mark.parametrize(
    "path",
    [
        "/static/../pages.py",
        "/static/common/../../pages.py",
        "/static/common/..%2f..%2fpages.py",
        "/static//etc/passwd",
        "/static/pages.py",
        "/static/__init__.py",
        "/static/desk/index.html",
        "/static/vendor/VENDORED.md",
        "/static/",
        "/static",
        "/desk/",
        "..",
        "",
    ],
)
def test_nothing_else_is_readable(path: str) -> None:
    assert load()(path) is None


def test_the_policy_lets_no_foreign_or_inline_code_run() -> None:
    assert "unsafe" not in POLICY
    assert "http" not in POLICY
    assert "default-src 'none'" in POLICY
    assert "require-trusted-types-for 'script'" in POLICY
    for room in ROOMS:
        text = (HOME / room / "index.html").read_text(encoding="utf-8")
        assert not re.search(r"<script(?![^>]*src=)|\sstyle=|\son\w+=|https?://(?!www\.w3\.org)", text), room


@pytest.mark.parametrize("room", ROOMS)
def test_every_address_in_a_page_is_served(room: str) -> None:
    page = load()
    text = (HOME / room / "index.html").read_text(encoding="utf-8")

    for address in re.findall(r'(?:href|src)="([^"]+)"', text):
        assert page(address), address


def test_every_import_of_a_script_is_served() -> None:
    page = load()

    for script in own_scripts():
        for first, second in IMPORT.findall(script.read_text(encoding="utf-8")):
            target = (script.parent / (first or second)).resolve()
            assert page(f"/static/{target.relative_to(HOME).as_posix()}"), f"{script.name} imports {first or second}"


def own_scripts() -> list[Path]:
    return sorted(path for path in HOME.rglob("*.js") if "vendor" not in path.parts)


def test_german_and_english_have_the_same_strings() -> None:
    german, english = strings("de"), strings("en")

    assert german.keys() == english.keys()
    for key in german:
        assert set(re.findall(r"\{\w+\}", german[key])) == set(re.findall(r"\{\w+\}", english[key])), key


def test_every_string_that_a_page_says_is_there() -> None:
    keys = strings("en").keys()

    for path in [*own_scripts(), *HOME.glob("*/index.html")]:
        for found in SPOKEN.findall(path.read_text(encoding="utf-8")):
            key = found[0] or found[1]
            assert key in keys or f"{key}.other" in keys, f"{path.name} says {key}"


@pytest.mark.parametrize("group", ["triage", "category", "subject", "sentiment"])
def test_every_label_has_a_word(group: str) -> None:
    from models import labels

    values = {
        "triage": labels.TRIAGES,
        "category": labels.CATEGORIES,
        "subject": labels.SUBJECTS,
        "sentiment": labels.SENTIMENTS,
    }[group]
    for language in ("de", "en"):
        assert {f"{group}.{value}" for value in values} <= strings(language).keys()


def test_every_refusal_revocation_and_presence_has_words() -> None:
    from typing import get_args, get_type_hints

    from models import wire
    from models.records import PresenceState

    keys = strings("de").keys()
    reasons = set(get_args(get_type_hints(wire.Revoke)["reason"]))
    assert {f"error.{code}" for code in get_args(wire.ErrorCode)} <= keys
    assert {f"over.{reason}" for reason in reasons} <= keys
    assert {f"revoke.{reason}" for reason in reasons - {"closed", "rejected"}} <= keys
    assert {f"presence.{state}" for state in get_args(PresenceState)} <= keys


def test_what_was_vendored_is_unchanged() -> None:
    told = (HOME / "vendor" / "VENDORED.md").read_text(encoding="utf-8")
    hashes = dict(re.findall(r"^\| (\S+/\S+) \| ([0-9a-f]{64}) \|$", told, re.MULTILINE))
    there = {
        path.relative_to(HOME / "vendor").as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in (HOME / "vendor").rglob("*")
        if path.is_file() and path.name != "VENDORED.md"
    }

    assert there == hashes


@pytest.mark.parametrize("room", ROOMS)
def test_a_page_in_all_is_below_60_kb_as_it_is_sent(room: str) -> None:
    """Packed: all of its own files, the shared ones, one language and lit-html; uPlot, 22 KB, apart."""
    files = [path for folder in (room, "common") for path in (HOME / folder).iterdir() if path.name != "en.json"]
    files += [HOME / "vendor" / "lit-html-3.3.3" / name for name in LIBRARY]

    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < 60_000


def test_the_packed_body_is_the_body() -> None:
    page = load()("/static/desk/desk.js")

    assert page is not None
    assert gzip.decompress(page.packed) == page.body
    assert len(page.packed) < len(page.body)


def test_the_start_page_links_to_where_a_page_is_served() -> None:
    page = load({"/chat": 'http://127.0.0.1:8081/chat?a="b"'})("/")

    assert page is not None
    assert b'href="http://127.0.0.1:8081/chat?a=&quot;b&quot;"' in page.body
    assert b'href="/desk"' in page.body
