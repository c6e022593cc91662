"""What happens to a case between its offer and its end, and what a rep is told meanwhile; before the stand-in gateway."""

import re

from msgspec.structs import replace
from playwright.sync_api import Page, expect

from models import wire
from models.cases import Entry, Note
from models.promises import Promise
from tests.browser.conftest import Open, until
from tests.browser.scenes import SCENES
from tests.browser.standin import StandIn, now_ms
from tests.browser.test_desk import heard, held, sit_down


def promised(view: wire.CaseView) -> wire.CaseView:
    """Return the case with a promise to answer whose warning lies ahead."""
    answer = Promise(
        "first_answer", view.received_at, view.due_at, view.due_at - 60_000, view.due_at - view.received_at
    )
    return replace(view, promises=(answer,))


def sit_down_in_charge(open_page: Open) -> Page:
    page = open_page("/desk")
    page.get_by_role("button", name="Supervisor").click()
    expect(page.get_by_role("tab", name="All")).to_have_attribute("aria-selected", "true")
    return page


def test_a_hold_names_its_end_and_one_key_ends_it(open_page: Open, gateway: StandIn) -> None:
    gateway.cases["c3"] = held(2)
    page = sit_down(open_page)

    page.keyboard.press("h")
    page.keyboard.press("2")
    expect(page.get_by_role("heading", name="On hold 1", exact=True)).to_be_visible()
    page.keyboard.press("h")
    expect(page.get_by_role("heading", name="In hand 1", exact=True)).to_be_visible()

    [hold] = heard(gateway, wire.HoldCase, 1)
    [resume] = heard(gateway, wire.ResumeCase, 1)
    assert 29 * 60_000 < hold.until - now_ms() < 31 * 60_000
    assert (hold.version, resume.version) == (2, 3)


def test_a_case_is_handed_on_by_keys_alone_and_the_next_is_chosen(open_page: Open, gateway: StandIn) -> None:
    gateway.cases.update(c2=held(1), c3=held(2))
    page = sit_down(open_page)

    page.keyboard.press("t")
    page.keyboard.type("nacht")
    page.keyboard.press("Enter")
    page.keyboard.type("kennt den Fall")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Handed on")).to_be_visible()
    expect(page.locator(".row[aria-current] .author")).to_have_text("Aylin")
    [transfer] = heard(gateway, wire.TransferCase, 1)
    assert (transfer.to, transfer.note, transfer.case_id) == ("team:night", "kennt den Fall", "c2")


def test_a_refused_transfer_gives_the_note_back(open_page: Open, gateway: StandIn) -> None:
    gateway.cases["c2"] = held(1)
    gateway.refuse["transfer"] = wire.CommandError("absent", "jonas is not there")
    page = sit_down(open_page)

    page.keyboard.press("t")
    page.keyboard.type("jonas")
    page.keyboard.press("Enter")
    page.keyboard.type("long note")
    page.keyboard.press("Enter")

    expect(page.get_by_text("Nobody is there.")).to_be_visible()
    expect(page.locator(".panel .note")).to_have_value("long note")


def test_notes_of_colleagues_stand_in_the_conversation(open_page: Open, gateway: StandIn) -> None:
    view = held(1)
    gateway.cases["c2"] = replace(view, notes=(Note(view.received_at + 1, "jonas", "<b>rang twice</b>", "rep:mara"),))
    page = sit_down(open_page)

    expect(page.locator(".entry.note")).to_contain_text("Jonas Adeyemi to Mara Petersen")
    expect(page.locator(".entry.note")).to_contain_text("<b>rang twice</b>")


def test_the_first_of_the_queue_is_taken_and_shown(open_page: Open, gateway: StandIn) -> None:
    gateway.others["c4"] = replace(held(3), state="queued")
    page = sit_down(open_page)

    page.keyboard.press("2")
    expect(page.locator(".row")).to_have_count(1)
    page.keyboard.press("g")

    expect(page.get_by_role("tab", name="Mine")).to_have_attribute("aria-selected", "true")
    expect(page.locator("textarea.answer")).to_be_visible()
    assert heard(gateway, wire.PullCase, 1)[0].case_id == ""


def test_a_case_that_waits_is_looked_at_before_it_is_taken(open_page: Open, gateway: StandIn) -> None:
    gateway.others["c4"] = replace(held(3), state="queued")
    page = sit_down(open_page)

    page.keyboard.press("2")
    expect(page.locator(".row")).to_have_count(1)
    page.keyboard.press("j")
    expect(page.locator(".said")).to_contain_text("Fahrrad")
    page.keyboard.press("a")

    expect(page.locator("textarea.answer")).to_be_visible()
    assert heard(gateway, wire.PullCase, 1)[0].case_id == "c4"


def test_a_label_is_changed_by_keys_and_the_rest_is_not_said(open_page: Open, gateway: StandIn) -> None:
    gateway.cases["c2"] = held(1)
    page = sit_down(open_page)

    page.keyboard.press("l")
    expect(page.locator("select[name=subject]")).to_be_focused()  # The one that the classifier was unsure of.
    page.locator("select[name=subject]").select_option("contract")
    page.keyboard.press("Enter")

    expect(page.locator(".labels").first).to_contain_text("contract")
    assert heard(gateway, wire.RelabelCase, 1)[0].labels == {"subject": "contract"}


def test_all_labels_are_confirmed_at_once(open_page: Open, gateway: StandIn) -> None:
    gateway.cases["c2"] = held(1)
    page = sit_down(open_page)

    page.keyboard.press("l")
    page.keyboard.press("Control+Enter")

    expect(page.locator(".unsure")).to_have_count(0)
    [relabel] = heard(gateway, wire.RelabelCase, 1)
    assert relabel.labels["toxicity"] == "no"
    assert len(relabel.labels) == 7


def test_somebody_elses_answer_goes_out_as_it_is_or_goes_back(open_page: Open, gateway: StandIn) -> None:
    gateway.approves = True
    view = held(1)
    answer = Entry("a1", view.received_at + 1, "rep", "We are sorry.", status="approval", rep_id="jonas")
    gateway.others["c2"] = replace(view, state="awaiting_approval", rep_id="jonas", thread=(*view.thread, answer))
    page = sit_down(open_page)

    page.keyboard.press("3")
    expect(page.locator(".row")).to_have_count(1)
    page.keyboard.press("j")
    expect(page.locator("textarea.answer")).to_have_value("We are sorry.")
    page.keyboard.press("x")
    page.keyboard.type("Say when")
    page.keyboard.press("Enter")
    until(lambda: len(heard(gateway, wire.ReturnAnswer)) == 1, "a return")
    expect(page.get_by_text("Given back.")).to_be_visible()
    page.keyboard.press("Control+Enter")
    until(lambda: len(heard(gateway, wire.ApproveAnswer)) == 1, "an approval")

    assert heard(gateway, wire.ReturnAnswer, 1)[0].note == "Say when"
    assert heard(gateway, wire.ApproveAnswer, 1)[0].text == ""  # As it is.


def test_a_warning_marks_the_row_and_the_title(open_page: Open, gateway: StandIn) -> None:
    view = promised(held(2))
    gateway.cases["c3"] = view
    page = sit_down(open_page)
    expect(page).to_have_title("Desk · Zuruf")

    gateway.frame(wire.Notice, case_id="c3", promise="first_answer", stage="warned", due_at=view.due_at)

    expect(page.locator(".row .told.warned")).to_be_visible()
    expect(page).to_have_title("! Desk · Zuruf")
    expect(page.locator("#spoken")).to_have_text("Aylin: First answer soon due")


def test_a_supervisors_word_stays_until_it_is_put_away(open_page: Open, gateway: StandIn) -> None:
    page = sit_down(open_page)

    gateway.frame(wire.Info, kind="message", text="Husum <i>first</i>", by="jonas")
    expect(page.get_by_text("Husum <i>first</i>").first).to_be_visible()
    page.keyboard.press("d")

    expect(page.locator(".said-to-all")).to_have_count(0)


def test_a_text_that_was_taken_back_is_gone_from_the_page(open_page: Open, gateway: StandIn) -> None:
    gateway.cases["c2"] = held(1)
    page = sit_down(open_page)
    expect(page.locator(".said")).to_contain_text("312 €")

    gateway.frame(wire.Erased, case_id="c2", entry_id="c2-p1")

    expect(page.locator(".said")).to_have_text("deleted by its author")
    expect(page.get_by_text("312 €")).to_have_count(0)


def test_after_the_reply_window_an_answer_goes_only_anyway(open_page: Open, gateway: StandIn) -> None:
    gateway.cases["c2"] = held(1, reply_until=now_ms() - 1000)
    page = sit_down(open_page)

    expect(page.get_by_text("The platform takes no answer any more.")).to_be_visible()
    page.locator("textarea.answer").fill("Sorry")
    page.get_by_role("button", name="Send anyway").click()

    until(lambda: len(heard(gateway, wire.SendReply)) == 1, "an answer")
    assert heard(gateway, wire.SendReply, 1)[0].anyway is True


def test_who_else_looks_and_writes_is_seen_and_this_desk_says_so_too(open_page: Open, gateway: StandIn) -> None:
    gateway.cases["c2"] = held(1)
    page = sit_down(open_page)
    until(lambda: any(one.case_id == "c2" and one.on for one in heard(gateway, wire.ViewCase)), "a look")

    gateway.aside(wire.Viewers("c2", (wire.Viewer("mara"), wire.Viewer("jonas", "Jonas Adeyemi", True))))
    expect(page.locator(".others")).to_have_text("Jonas Adeyemi is writing")
    page.locator("textarea.answer").fill("H")

    until(lambda: heard(gateway, wire.ViewCase)[-1].writing, "the pen asked for")
    page.keyboard.press("Escape")
    until(lambda: not heard(gateway, wire.ViewCase)[-1].writing, "the pen put down")


def test_a_presence_for_later_and_a_wrap_up_are_shown(open_page: Open, gateway: StandIn) -> None:
    gateway.cases["c2"] = held(1)
    page = sit_down(open_page)

    page.locator("select.presence").select_option("away+")
    expect(page.locator(".presence-is")).to_have_class(re.compile("busy next"))
    expect(page.locator("select.presence")).to_have_value("away+")
    gateway.frame(wire.PresenceFrame, state="wrapup", until=now_ms() + 45_000)

    expect(page.locator(".presence-is .wrapup")).to_have_text(re.compile(r"0:4\d"))
    assert heard(gateway, wire.Presence, 1)[0] == replace(
        heard(gateway, wire.Presence, 1)[0], state="away", when_done=True
    )


def test_who_was_logged_out_is_told_why_and_does_not_come_back_by_itself(open_page: Open, gateway: StandIn) -> None:
    page = sit_down(open_page)

    gateway.aside(wire.LoggedOut("board", "Shift is over"))

    expect(page.get_by_role("alert")).to_contain_text("Supervisor has ended your work for now: Shift is over")
    page.wait_for_timeout(1000)
    assert len(heard(gateway, wire.Hello)) == 1


def test_a_supervisor_sifts_all_that_is_open_and_changes_what_is_urgent(open_page: Open, gateway: StandIn) -> None:
    for at, state in enumerate(("queued", "working", "held")):
        gateway.others[f"c{at + 1}"] = replace(held(at), state=state, rep_id="" if state == "queued" else "jonas")
    page = sit_down_in_charge(open_page)
    expect(page.locator(".row")).to_have_count(3)

    page.get_by_label("State").select_option("held")
    expect(page.locator(".row")).to_have_count(1)
    page.locator(".row").click()
    expect(page.locator(".said")).to_contain_text(SCENES[2].text[:20])
    page.keyboard.press("u")
    page.keyboard.press("1")
    until(lambda: len(heard(gateway, wire.SupPriority)) == 1, "another urgency")
    expect(page.get_by_role("button", name="Assign")).to_be_enabled()
    page.keyboard.press("t")
    page.keyboard.type("elif")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    until(lambda: len(heard(gateway, wire.SupAssign)) == 1, "an assignment")

    assert heard(gateway, wire.SupPriority, 1)[0].triage == "at_once"
    assert (heard(gateway, wire.SupAssign, 1)[0].to, heard(gateway, wire.SupAssign, 1)[0].case_id) == ("elif", "c3")


def test_a_log_out_is_asked_twice(open_page: Open, gateway: StandIn) -> None:
    page = sit_down_in_charge(open_page)

    page.keyboard.press("m")
    page.locator(".panel select").select_option("rep:jonas")
    page.get_by_role("button", name="Log out Jonas Adeyemi").click()
    assert heard(gateway, wire.SupLogout) == []
    page.get_by_role("button", name="Really log out Jonas Adeyemi").click()

    until(lambda: len(heard(gateway, wire.SupLogout)) == 1, "a log-out")
    assert heard(gateway, wire.SupLogout, 1)[0].to == "jonas"
