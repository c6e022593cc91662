"""The desk's own reckoning, module by module: each function runs in the browser, on plain values, without a page."""

from collections.abc import Callable
from typing import Any

import pytest

from models.relabels import VALUES
from tests.browser.conftest import Open

Run = Callable[[str], Any]

CASE = """{case_id: "c1", state: "working", version: 3, received_at: 0, due_at: 600000, triage: "urgent", brand_id: "b",
    author: {name: "Kim"}, labels: {language: "en"}, thread: [{id: "p1", at: 0, by: "customer", text: "Hello"}]}"""


@pytest.fixture
def run(open_page: Open) -> Run:
    """Evaluate an expression with the page's modules at hand, in English."""
    page = open_page("/desk")

    def evaluate(body: str) -> Any:
        return page.evaluate(
            f"""async () => {{
                await (await import("/static/common/i18n.js")).setLanguage("en");
                const state = await import("/static/desk/state.js");
                const why = await import("/static/desk/why.js");
                const labels = await import("/static/desk/labels.js");
                const panels = await import("/static/desk/panels.js");
                const held = {CASE};
                const made = (...frames) => {{
                    const all = state.fresh();
                    state.fold(all, {{type: "snapshot", epoch: 1, seq: 0, page: 0, last: true, presence: "available", cases: [held]}});
                    frames.forEach((frame, at) => state.fold(all, {{epoch: 1, seq: at + 1, ts: 5, ...frame}}));
                    return all;
                }};
                return ({body});
            }}"""
        )

    return evaluate


# -- the fold ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "group"),
    [
        ("offered", "offered"),
        ("working", "working"),
        ("answered", "working"),
        ("awaiting_approval", "approval"),
        ("held", "held"),
        ("awaiting_customer", "waiting"),
    ],
)
def test_each_state_in_hand_has_its_group(run: Run, now: str, group: str) -> None:
    groups = run(f"""state.inbox(made({{type: "case", case: {{...held, state: "{now}"}}}}))""")

    assert [name for name, views in groups if views] == [group]


def test_a_case_that_was_handed_on_is_still_listed_apart(run: Run) -> None:
    groups = run("""state.inbox(made({type: "revoke", case_id: "c1", version: 4, reason: "transferred"}))""")

    assert [name for name, views in groups if views] == ["handed"]


def test_a_promise_that_was_warned_of_marks_its_case_until_the_customer_is_awaited(run: Run) -> None:
    notice = '{type: "notice", case_id: "c1", promise: "first_answer", stage: "warned", due_at: 600000}'
    breach = notice.replace("warned", "breached")
    waits = '{type: "publish", case_id: "c1", version: 5, state: "awaiting_customer", answer_id: "x", status: "sent"}'

    told = run(f"""[[{notice}], [{notice}, {breach}], [{notice}, {breach}, {waits}]].map((frames) =>
        state.told(made(...frames).cases.get("c1")))""")

    assert told == ["warned", "breached", ""]


def test_a_case_is_soon_due_from_its_warning_on(run: Run) -> None:
    promised = '{...held, promises: [{kind: "first_answer", due_at: 600000, warn_at: 450000}]}'

    assert run(f"[449999, 450000, 600001].map((at) => state.slack({promised}, at))") == ["fine", "soon", "late"]


def test_what_its_author_took_back_leaves_every_corner_of_the_page(run: Run) -> None:
    texts = run("""(() => {
        const all = made({type: "revoke", case_id: "c1", version: 4, reason: "closed"});
        state.foldAside(all, {type: "shown", case: {...held, version: 9}});
        state.foldAside(all, {type: "listed", what: "all", total: 1, cases: [{case_id: "c1", excerpt: "Hello"}]});
        state.fold(all, {type: "erased", epoch: 1, seq: 2, ts: 6, case_id: "c1", entry_id: "p1"});
        return [all.gone.get("c1").view.thread[0], all.shown.get("c1").thread[0], all.lists.get("all").cases[0].excerpt];
    })()""")

    assert [texts[0]["text"], texts[0]["deleted"], texts[1]["text"], texts[2]] == ["", True, "", ""]


def test_a_queued_presence_and_a_wrap_up_are_kept_with_their_time(run: Run) -> None:
    seen = run("""[[{type: "presence_is", state: "busy", next: "away"}], [{type: "presence_is", state: "wrapup", until: 99}],
        [{type: "presence_is", state: "busy", next: "away"}, {type: "presence_is", state: "away"}]].map((frames) => {
            const {presence, next, until} = made(...frames);
            return [presence, next, until];
        })""")

    assert seen == [["busy", "away", 0], ["wrapup", "", 99], ["away", "", 0]]


def test_messages_of_supervisors_are_bounded_and_the_latest_stay(run: Run) -> None:
    said = run("""made(...Array.from({length: 9}, (_, at) => ({type: "info", kind: "message", text: String(at), by: "x"})))
        .messages.map((one) => one.text)""")

    assert said == ["4", "5", "6", "7", "8"]


def test_who_looks_is_the_latest_word_and_nobody_is_nobody(run: Run) -> None:
    seen = run("""(() => {
        const all = made();
        const told = (viewers) => { state.foldAside(all, {type: "viewers", case_id: "c1", viewers}); return all.viewers.get("c1")?.length ?? 0; };
        return [told([{rep_id: "a"}, {rep_id: "b"}]), told([{rep_id: "a"}]), told([])];
    })()""")

    assert seen == [2, 1, 0]


# -- what may be done -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "now", "seat", "expected"),
    [
        (True, "offered", '{role: "rep"}', {"accept", "reject"}),
        (True, "working", '{role: "rep"}', {"reply", "hold", "transfer", "labels", "close"}),
        (True, "held", '{role: "rep"}', {"reply", "resume", "transfer", "labels", "close"}),
        (True, "awaiting_approval", '{role: "rep", approves: true, subject: "me"}', {"resume", "labels"}),
        (False, "queued", '{role: "rep"}', {"pull"}),
        (False, "queued", '{role: "rep", pulls: false}', set()),
        (False, "awaiting_approval", '{role: "rep", approves: true, subject: "you"}', {"approve", "return"}),
        (False, "awaiting_approval", '{role: "rep", approves: true, subject: "me"}', set()),
        (False, "closed", '{role: "rep", subject: "me"}', {"reopen"}),
        (False, "closed", '{role: "rep", subject: "you"}', set()),
        (False, "working", '{role: "supervisor", subject: "chief"}', {"take", "assign", "priority"}),
        (False, "automatic", '{role: "supervisor", subject: "chief"}', {"priority"}),
    ],
)
def test_what_may_be_done_follows_state_and_seat(run: Run, held: bool, now: str, seat: str, expected: set[str]) -> None:
    found = run(f"""[...state.acts({{...held, state: "{now}", rep_id: "me"}}, {str(held).lower()}, {seat})]""")

    assert set(found) == expected


def test_lines_are_sifted_by_each_filter_and_by_words(run: Run) -> None:
    lines = """[{case_id: "1", state: "queued", triage: "less", brand_id: "a", author: "kim", excerpt: "Where is it?"},
        {case_id: "2", state: "held", triage: "urgent", brand_id: "b", author: "lou", excerpt: "Refund", rep_id: "ada"}]"""
    none = {"text": "", "state": "", "triage": "", "brand": ""}
    wanted = [
        {"state": "held"},
        {"brand": "a"},
        {"triage": "urgent"},
        {"text": "ADA"},
        {"text": "where"},
        {"text": "x"},
    ]

    found = run(
        f"{[none | one for one in wanted]}.map((one) => state.sifted({lines}, one).map((line) => line.case_id))"
    )

    assert found == [["2"], ["1"], ["2"], ["2"], ["1"], []]


# -- reasons in words -------------------------------------------------------------------------------------------------


def test_the_order_of_dispatch_is_told_in_a_sentence(run: Run) -> None:
    from models.priority import Why

    told = {
        stage: Why(stage, 70, 60, -10 if stage != "savable" else 12, 4.25, 31).words()[0]
        for stage in ("rushed", "owed", "savable", "late")
    }

    words = run(f"Object.fromEntries(Object.entries({told}).map(([stage, reason]) => [stage, why.why(reason)]))")

    assert words["savable"].startswith("Goes first because it can still be in time: 12 min left of 60.")
    assert words["late"] == "Late: waited 70 min, promised were 60. Weight 4.3, 31 were waiting."
    assert words["rushed"].startswith("Beyond the longest wait allowed: 70 min")
    assert words["owed"].startswith("Long overdue")


def test_other_reasons_have_words_and_what_is_unknown_stays(run: Run) -> None:
    from models.brands import PeopleRules
    from models.people import raised
    from models.second import SECOND_READING

    [repeated] = raised("less", 2, PeopleRules(), wants_answer=True)[1]
    reasons = [
        "category: complaint",
        repeated,
        "ada: urgent, VIP",
        "ada: less",
        "something: new",
        "plain",
        SECOND_READING,
    ]

    words = run(f"{reasons}.map((one) => why.why(one, (id) => ({{ada: 'Ada L.'}})[id] ?? id))")

    assert words[0] == "Kind: complaint"
    assert words[1].startswith("Contact no. 3 within ")
    assert words[2:6] == ["Ada L. set it to urgent: VIP", "Ada L. set it to less", "something: new", "plain"]
    assert words[6] == "Only a second reading saw that it asks for somebody"


# -- labels and targets -----------------------------------------------------------------------------------------------


def test_the_page_offers_the_values_that_dispatch_takes(run: Run) -> None:
    assert run("labels.VALUES") == {name: list(values) for name, values in VALUES.items()}


def test_only_what_was_changed_is_said_unless_all_is_right(run: Run) -> None:
    mine = """{triage: "less", category: "faq", subject: "other", sentiment: "neutral", language: "en", answer: true, toxic: false}"""

    one, every = run(f"""[labels.chosen({mine}, {{subject: "billing", answer: "yes"}}),
        labels.chosen({mine}, {{subject: "billing"}}, {{all: true}})]""")

    assert one == {"subject": "billing"}
    assert len(every) == 7
    assert (every["subject"], every["answer"], every["toxicity"]) == ("billing", "yes", "no")


def test_a_target_is_found_by_the_beginning_of_a_word_first(run: Run) -> None:
    found = run("""panels.found(panels.targets({reps: {me: "Me", jo: "Jo Lund", an: "Anna Berg"},
        targets: {"team:night": "Night", "site:lund": "Lund"}}, "me"), "lu").map((one) => one.to)""")

    assert found == ["rep:jo", "site:lund"]
