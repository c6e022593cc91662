"""What a desk is shown: resuming, epochs, gaps, snapshots; and what its frames become."""

from typing import get_args

import msgspec
import pytest
from msgspec import Raw, convert

from models import records as r
from models import wire as w
from models.records import Accept, CloseCase, Reject, Reply, SetPresence
from models.wire import (
    AcceptOffer,
    Ack,
    Close,
    DeskEvent,
    DeskEventRaw,
    DeskFrame,
    Heartbeat,
    Hello,
    Presence,
    PresenceFrame,
    RejectOffer,
    Result,
    ResumePoint,
    SendReply,
    Snapshot,
)
from streams.gateway.boards import BoardHead, Boards, Watcher
from streams.gateway.metrics import frame_type
from streams.gateway.session import (
    RING_FRAMES_MAX,
    RING_KEPT_MS,
    Bucket,
    Drop,
    Refused,
    Ring,
    Send,
    Session,
    Sessions,
    decode,
    is_for,
    to_record,
)

ACME = "acme"
BY = (5, ACME, "anna", "c1", "i", "supervisor", ("fennkom",))
FIELDS = {"id": "i", "case_id": "k", "to": "rep:ben", "triage": "urgent", "text": "Hallo"} | {
    "incident_id": "i1",
    "version": 2,
    "act": "group",
    "author": "x:anna",
}


def an_event(
    frame: DeskFrame, *, epoch: int, seq: int = 0, to: str = "", tenant: str = ACME, rep: str = "anna"
) -> DeskEventRaw:
    """An event as it comes back from the log."""
    event = DeskEvent(tenant=tenant, rep_id=rep, epoch=epoch, frame=frame, seq=seq, connection=to)
    return msgspec.json.decode(msgspec.json.encode(event), type=DeskEventRaw)


def a_frame(epoch: int, seq: int, **where: str) -> DeskEventRaw:
    return an_event(PresenceFrame(epoch=epoch, seq=seq, ts=0, state="available"), epoch=epoch, seq=seq, **where)


def a_snapshot(epoch: int, seq: int, *, page: int = 0, last: bool = True, **where: str) -> DeskEventRaw:
    frame = Snapshot(epoch=epoch, seq=seq, ts=0, page=page, last=last, presence="available", cases=())
    return an_event(frame, epoch=epoch, **where)


def shown(actions: list[Send | Drop], session: Session) -> list[tuple[str, int, int]]:
    """Type, epoch and number of each frame that goes to a session."""
    frames = [msgspec.json.decode(one.frame) for one in actions if isinstance(one, Send) and one.session is session]
    return [(frame["type"], frame.get("epoch", -1), frame.get("seq", -1)) for frame in frames]


def codes(actions: list[Send | Drop]) -> list[int]:
    return [one.code for one in actions if isinstance(one, Drop)]


def joined(sessions: Sessions, connection: str, resume: ResumePoint | None = None, rep: str = "anna") -> Session:
    session = Session(ACME, rep, connection)
    sessions.join(session, resume)
    return session


def a_live_desk(sessions: Sessions, connection: str = "c1", *, epoch: int = 7, seq: int = 0) -> Session:
    session = joined(sessions, connection)
    sessions.fold(a_snapshot(epoch, seq, to=connection), 0)
    assert session.live
    return session


def sessions_with(*events: DeskEventRaw) -> Sessions:
    sessions = Sessions({ACME, "other"})
    for event in events:
        sessions.fold(event, 0)
    return sessions


def numbers(frames: list[bytes] | None) -> list[int] | None:
    return None if frames is None else [msgspec.json.decode(frame)["seq"] for frame in frames]


# -- resuming


@pytest.mark.parametrize(
    ("resume", "replayed"),
    [
        pytest.param(ResumePoint(7, 2), [3, 4], id="behind"),
        pytest.param(ResumePoint(7, 0), [1, 2, 3, 4], id="ring reaches back just so far"),
        pytest.param(ResumePoint(7, 4), [], id="nothing missed"),
        pytest.param(ResumePoint(7, 5), None, id="ahead of a gateway that lags"),
        pytest.param(ResumePoint(6, 2), None, id="older epoch"),
        pytest.param(ResumePoint(8, 2), None, id="newer epoch"),
        pytest.param(ResumePoint(7, -1), None, id="before the ring"),
        pytest.param(None, None, id="new page"),
    ],
)
def test_a_desk_is_given_what_it_missed_or_asks_for_a_snapshot(
    resume: ResumePoint | None, replayed: list[int] | None
) -> None:
    sessions = sessions_with(*(a_frame(7, seq) for seq in (1, 2, 3, 4)))
    session = Session(ACME, "anna", "c1")

    result = sessions.join(session, resume)

    assert numbers(result.replay) == replayed
    assert session.live is (replayed is not None)


def test_a_resumed_desk_gets_the_very_next_frame() -> None:
    sessions = sessions_with(a_frame(7, 1), a_frame(7, 2))
    session = joined(sessions, "c1", ResumePoint(7, 1))

    assert shown(sessions.fold(a_frame(7, 3), 0), session) == [("presence_is", 7, 3)]


def test_a_ring_holds_256_frames_and_no_more() -> None:
    ring = Ring(7, 0)
    for _ in range(RING_FRAMES_MAX + 10):
        ring.append(b"x")

    assert ring.after(7, 10) == [b"x"] * RING_FRAMES_MAX
    assert ring.after(7, 9) is None


def test_a_ring_holds_a_megabyte_and_no_more() -> None:
    ring = Ring(7, 0)
    for _ in range(11):
        ring.append(b"x" * 100 * 1024)

    assert len(ring.after(7, 1) or []) == 10
    assert ring.after(7, 0) is None


def test_a_desk_cannot_resume_an_epoch_that_ended_for_another_rep_of_its_tenant() -> None:
    sessions = sessions_with(a_frame(7, 1), a_frame(9, 1, rep="ben"))
    session = Session(ACME, "anna", "c1")

    assert sessions.join(session, ResumePoint(7, 1)).replay is None


def test_a_gateway_without_a_ring_asks_for_a_snapshot() -> None:
    session = Session(ACME, "anna", "c1")

    assert Sessions({ACME}).join(session, ResumePoint(7, 4)).replay is None
    assert not session.live


def test_a_ring_that_began_with_a_snapshot_is_resumed_from_its_number() -> None:
    sessions = sessions_with(a_snapshot(7, 20), a_frame(7, 21))

    assert numbers(sessions.join(Session(ACME, "anna", "c1"), ResumePoint(7, 20)).replay) == [21]


# -- snapshots


def test_a_waiting_desk_sees_nothing_sequenced_before_its_snapshot_and_all_after_it() -> None:
    sessions = sessions_with(a_frame(7, 1))
    session = joined(sessions, "c1")

    before = sessions.fold(a_frame(7, 2), 0)
    at = sessions.fold(a_snapshot(7, 2, to="c1"), 0)
    after = sessions.fold(a_frame(7, 3), 0)

    assert before == []
    assert shown(at, session) == [("snapshot", 7, 2)]
    assert shown(after, session) == [("presence_is", 7, 3)]


def test_frames_that_came_during_a_snapshot_follow_its_last_page() -> None:
    sessions = sessions_with(a_frame(7, 1))
    session = joined(sessions, "c1")

    first = sessions.fold(a_snapshot(7, 1, last=False, to="c1"), 0)
    between = sessions.fold(a_frame(7, 2), 0)
    last = sessions.fold(a_snapshot(7, 1, page=1, to="c1"), 0)

    assert shown(first, session) == [("snapshot", 7, 1)]
    assert between == []
    assert shown(last, session) == [("snapshot", 7, 1), ("presence_is", 7, 2)]
    assert shown(sessions.fold(a_frame(7, 3), 0), session) == [("presence_is", 7, 3)]


def test_a_snapshot_for_one_connection_goes_to_no_other() -> None:
    sessions = Sessions({ACME})
    one, two = joined(sessions, "c1"), joined(sessions, "c2")

    actions = sessions.fold(a_snapshot(7, 0, to="c1"), 0)

    assert shown(actions, one) and not shown(actions, two)
    assert one.live and not two.live


def test_a_page_is_not_given_to_a_desk_that_missed_the_first_one() -> None:
    sessions = Sessions({ACME})
    early = joined(sessions, "c1")
    sessions.fold(a_snapshot(7, 0, last=False), 0)
    late = joined(sessions, "c2")

    actions = sessions.fold(a_snapshot(7, 0, page=1), 0)

    assert shown(actions, early) and early.live
    assert not shown(actions, late) and not late.live


def test_a_desk_whose_log_began_anew_takes_the_snapshot_made_for_it() -> None:
    sessions = Sessions({ACME})
    session = joined(sessions, "c1", ResumePoint(epoch=900, seq=12))

    actions = sessions.fold(a_snapshot(3, 0, to="c1"), 0)

    assert shown(actions, session) == [("snapshot", 3, 0)]
    assert shown(sessions.fold(a_frame(3, 1), 0), session) == [("presence_is", 3, 1)]


def test_a_waiting_desk_that_has_seen_more_is_not_led_back_by_a_snapshot_for_all() -> None:
    sessions = Sessions({ACME})
    session = joined(sessions, "c1", ResumePoint(epoch=9, seq=12))

    assert sessions.fold(a_snapshot(8, 0), 0) == []
    assert sessions.fold(a_snapshot(9, 3), 0) == []
    assert shown(sessions.fold(a_snapshot(10, 0), 0), session) == [("snapshot", 10, 0)]


# -- epochs and gaps


def test_a_new_epoch_goes_to_all_connections_of_the_rep_and_starts_a_new_ring() -> None:
    sessions = Sessions({ACME})
    one, two = a_live_desk(sessions, "c1"), a_live_desk(sessions, "c2")
    sessions.fold(a_frame(7, 1), 0)

    actions = sessions.fold(a_snapshot(9, 0), 0)

    assert shown(actions, one) == shown(actions, two) == [("snapshot", 9, 0)]
    assert sessions.join(Session(ACME, "anna", "c3"), ResumePoint(7, 1)).replay is None
    assert shown(sessions.fold(a_frame(9, 1), 0), two) == [("presence_is", 9, 1)]


@pytest.mark.parametrize(
    "late",
    [
        pytest.param(a_frame(7, 2), id="frame"),
        pytest.param(a_snapshot(7, 5), id="snapshot for all"),
        pytest.param(a_snapshot(7, 5, to="c1"), id="snapshot for the connection"),
        pytest.param(an_event(Result(re="x", ok=True), epoch=7, to="c1"), id="result"),
        pytest.param(a_frame(7, 2, rep="ben"), id="of another rep"),
    ],
)
def test_nothing_of_an_older_epoch_is_shown_after_a_newer_one(late: DeskEventRaw) -> None:
    sessions = Sessions({ACME})
    a_live_desk(sessions, "c1")
    joined(sessions, "b1", ResumePoint(7, 1), rep="ben")
    sessions.fold(a_snapshot(9, 0), 0)

    assert sessions.fold(late, 0) == []


def test_a_takeover_in_the_middle_of_a_snapshot_begins_it_anew() -> None:
    sessions = Sessions({ACME})
    session = joined(sessions, "c1")
    sessions.fold(a_snapshot(7, 4, last=False, to="c1"), 0)

    assert shown(sessions.fold(a_snapshot(9, 0, last=False), 0), session) == [("snapshot", 9, 0)]
    assert sessions.fold(a_snapshot(7, 4, page=1, to="c1"), 0) == []
    assert shown(sessions.fold(a_snapshot(9, 0, page=1), 0), session) == [("snapshot", 9, 0)]
    assert session.live and session.epoch == 9


def test_a_desk_that_was_not_shown_the_new_epochs_snapshot_must_come_again() -> None:
    sessions = Sessions({ACME})
    session = a_live_desk(sessions)

    assert codes(sessions.fold(a_frame(9, 1), 0)) == [4000]
    assert not sessions.seated(ACME, "anna")
    assert not session.live


def test_a_repeated_frame_is_shown_once() -> None:
    sessions = Sessions({ACME})
    session = a_live_desk(sessions)

    assert shown(sessions.fold(a_frame(7, 1), 0), session)
    assert sessions.fold(a_frame(7, 1), 0) == []


def test_a_gap_closes_the_reps_connections_and_no_others() -> None:
    sessions = Sessions({ACME})
    a_live_desk(sessions, "c1")
    a_live_desk(sessions, "c2")
    joined(sessions, "b1", rep="ben")
    sessions.fold(a_frame(7, 1), 0)

    assert codes(sessions.fold(a_frame(7, 3), 0)) == [4000, 4000]
    assert sessions.seated(ACME, "ben")


def test_after_a_gap_a_desk_cannot_resume_from_before_it() -> None:
    sessions = sessions_with(a_frame(7, 1), a_frame(7, 3))

    assert sessions.join(Session(ACME, "anna", "c1"), ResumePoint(7, 1)).replay is None
    assert numbers(sessions.join(Session(ACME, "anna", "c2"), ResumePoint(7, 2)).replay) == [3]


def test_a_stream_that_cannot_be_followed_sends_all_desks_away_and_forgets_its_rings() -> None:
    sessions = Sessions({ACME})
    a_live_desk(sessions)
    sessions.fold(a_frame(7, 1), 0)

    assert codes(sessions.reset()) == [4000]
    assert sessions.join(Session(ACME, "anna", "c2"), ResumePoint(7, 1)).replay is None
    assert sessions.fold(a_snapshot(2, 0, to="c2"), 0), "the new log's epochs may be lower"


# -- whose it is


def test_another_tenants_rep_of_the_same_name_sees_nothing() -> None:
    sessions = Sessions({ACME, "other"})
    a_live_desk(sessions)

    assert sessions.fold(a_frame(7, 1, tenant="other"), 0) == []
    assert sessions.fold(a_snapshot(9, 0, tenant="other"), 0) == []


def test_an_event_that_names_a_connection_of_another_tenant_is_not_shown() -> None:
    sessions = Sessions({ACME, "other"})
    a_live_desk(sessions, "c1")

    assert sessions.fold(an_event(Result(re="x", ok=True), epoch=7, to="c1", tenant="other"), 0) == []
    assert sessions.fold(a_snapshot(9, 0, to="c1", tenant="other"), 0) == []


def test_events_of_unknown_tenants_leave_no_trace() -> None:
    sessions = Sessions({ACME})

    assert sessions.fold(a_frame(7, 1, tenant="nobody"), 0) == []
    assert not sessions._reps


def test_a_result_goes_to_the_connection_that_asked_even_while_it_waits() -> None:
    sessions = Sessions({ACME})
    one, two = joined(sessions, "c1"), a_live_desk(sessions, "c2")

    actions = sessions.fold(an_event(Result(re="x", ok=True), epoch=7, to="c1"), 0)

    assert shown(actions, one) == [("result", -1, -1)]
    assert shown(actions, two) == []


def test_the_third_connection_takes_the_place_of_the_oldest() -> None:
    sessions = Sessions({ACME})
    one, two = joined(sessions, "c1"), joined(sessions, "c2")

    result = sessions.join(Session(ACME, "anna", "c3"), None)

    assert [(drop.session, drop.code) for drop in result.drops] == [(one, 4409)]
    assert shown(sessions.fold(a_snapshot(7, 0), 0), two)


def test_a_ring_is_forgotten_five_minutes_after_its_rep_has_gone() -> None:
    sessions = Sessions({ACME})
    session = a_live_desk(sessions)
    sessions.fold(a_frame(7, 1), 1000)

    sessions.forget(1001 + RING_KEPT_MS)
    assert sessions.seated(ACME, "anna"), "not while the rep is here"
    sessions.leave(session)
    sessions.forget(1000 + RING_KEPT_MS)
    assert numbers(sessions.join(Session(ACME, "anna", "c2"), ResumePoint(7, 0)).replay) == [1]
    sessions.leave(sessions._sessions["c2"])
    sessions.forget(1001 + RING_KEPT_MS)
    assert sessions.join(Session(ACME, "anna", "c3"), ResumePoint(7, 0)).replay is None


# -- frames from a desk


@pytest.mark.parametrize(
    ("data", "re", "code", "said"),
    [
        pytest.param('{"type":"dance","id":"1"}', "1", "unknown_type", "dance", id="unknown type"),
        pytest.param('{"type":"accept","id":"1"}', "1", "bad_request", "case_id", id="field missing"),
        pytest.param('{"type":"presence","id":"1","state":"asleep"}', "1", "bad_request", "asleep", id="wrong value"),
        pytest.param('{"type":"presence","id":7,"state":"away"}', "", "bad_request", "$.id", id="wrong type"),
        pytest.param('{"id":"1"}', "1", "bad_request", "type", id="no type"),
        pytest.param("[]", "", "bad_request", "object", id="no object"),
        pytest.param("{", "", "bad_request", "not JSON", id="no JSON"),
        pytest.param('{"x":' * 5000, "", "bad_request", "not JSON", id="deep"),
        pytest.param('{"type":"dance",', "", "bad_request", "not JSON", id="unknown type, then no JSON"),
        pytest.param('{"type":"dance","x":' + "[" * 5000, "", "bad_request", "not JSON", id="unknown type, then deep"),
        pytest.param('{"type":["hello"]}', "", "bad_request", "type", id="type is a list"),
    ],
)
def test_a_frame_that_is_no_good_is_refused_by_name(data: str, re: str, code: str, said: str) -> None:
    refused = decode(data)

    assert isinstance(refused, Refused)
    assert (refused.re, refused.code) == (re, code)
    assert said in refused.message


def test_unknown_fields_are_passed_over() -> None:
    assert decode('{"type":"ack","seq":3,"mood":"good"}') == Ack(seq=3)


@pytest.mark.parametrize(
    ("frame", "record"),
    [
        (Presence("i", "away"), SetPresence(5, ACME, "anna", "c1", "i", "away")),
        (AcceptOffer("i", "k", "k.1", 2), Accept(5, ACME, "anna", "c1", "i", "k", "k.1", 2)),
        (RejectOffer("i", "k", "k.1", 2, "no"), Reject(5, ACME, "anna", "c1", "i", "k", "k.1", 2, "no")),
        (SendReply("i", "k", 2, "hi", False), Reply(5, ACME, "anna", "c1", "i", "k", 2, "hi", False)),
        (Close("i", "k", 2, "done"), CloseCase(5, ACME, "anna", "c1", "i", "k", 2, "done")),
        (Ack(3), None),
        (Heartbeat(), None),
        (Hello(1, "t"), None),
        (w.HoldCase("i", "k", 2, 9), r.Hold(*BY, "k", 2, 9)),
        (w.ResumeCase("i", "k", 2), r.Resume(*BY, "k", 2)),
        (w.TransferCase("i", "k", 2, "team:night", "bitte"), r.Transfer(*BY, "k", 2, "team:night", "bitte")),
        (w.PullCase("i", "k"), r.Pull(*BY, "k")),
        (w.ListThem("i", "approval"), r.ListCases(*BY, "approval")),
        (w.ViewCase("i", "k", False, True), r.View(*BY, "k", False, True)),
        (w.ApproveAnswer("i", "k", 2, "gern"), r.Approve(*BY, "k", 2, "gern")),
        (w.ReturnAnswer("i", "k", 2, "nein"), r.Return(*BY, "k", 2, "nein")),
        (w.ReopenCase("i", "k"), r.Reopen(*BY, "k")),
        (w.SupAssign("i", "k", "ben", "why"), r.Assign(*BY, "k", "ben", "why")),
        (w.SupTake("i", "k", "why"), r.Take(*BY, "k", "why")),
        (w.SupPriority("i", "k", "urgent", "why"), r.Prioritise(*BY, "k", "urgent", "why")),
        (w.SupMessage("i", "Hallo", "site:kiel"), r.Say(*BY, "site:kiel", "Hallo")),
        (w.SupLogout("i", "ben", "why"), r.LogOut(*BY, "ben", "why")),
        (w.SupIncident("i", "i1", 2, "group"), r.GroupIncident(*BY, "i1", 2)),
        (w.SupIncident("i", "i1", 2, "ungroup"), r.UngroupIncident(*BY, "i1", 2)),
        (w.SupIncident("i", "i1", 2, "close"), r.CloseIncident(*BY, "i1", 2)),
        (w.SupIncidentAnswer("i", "i1", 2, "{a|b}", False), r.AnswerIncident(*BY, "i1", 2, "{a|b}", False)),
        (w.SupIncidentApart("i", "i1", "k"), r.TakeOut(*BY, "i1", "k")),
        (w.SupIncidentCases("i", "i1"), r.ListIncident(*BY, "i1")),
        (w.SupForget("i", "x:anna"), r.Forget(*BY, "x:anna")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_command_becomes_a_record_of_its_own_rep(frame: object, record: object) -> None:
    session = Session(ACME, "anna", "c1", "supervisor", ("fennkom",))

    assert to_record(frame, session, 5) == record  # type: ignore[arg-type]  # every frame, one by one


def test_every_frame_of_a_desk_is_tried_above() -> None:
    tried = {type(frame) for frame, _ in test_a_command_becomes_a_record_of_its_own_rep.pytestmark[0].args[1]}  # type: ignore[attr-defined]

    assert set(get_args(w.ClientFrame)) - tried == {w.RelabelCase, w.Subscribe}


@pytest.mark.parametrize("kind", get_args(w.SupervisorFrame), ids=lambda kind: kind.__name__)
def test_what_supervisors_may_is_not_for_reps(kind: type) -> None:
    frame = convert({"type": kind.__struct_config__.tag} | FIELDS, w.ClientFrame)  # type: ignore[attr-defined]

    assert isinstance(frame, kind)
    assert is_for(frame, "supervisor") and not is_for(frame, "rep")


@pytest.mark.parametrize("target", ["anna", "rep:", "queue:x", ""])
def test_a_transfer_to_no_target_is_refused_at_the_door(target: str) -> None:
    refused = decode(f'{{"type":"transfer","id":"i","case_id":"k","version":1,"to":"{target}"}}')

    assert isinstance(refused, Refused) and refused.code == "bad_request"


def test_who_is_logged_out_is_told_and_closed_at_every_desk_here() -> None:
    sessions = Sessions([ACME])
    desks = [Session(ACME, "anna", name) for name in ("c1", "c2")]
    for one in desks:
        sessions.join(one, None)
    event = DeskEventRaw(ACME, "anna", 3, Raw(b'{"type":"logged_out","by":"sue"}'))
    actions = sessions.fold(event, 5)

    assert [type(action) for action in actions] == [Send, Drop, Send, Drop]
    assert {action.code for action in actions if isinstance(action, Drop)} == {4403}
    assert not sessions.seated(ACME, "anna")


def test_a_bucket_gives_its_burst_at_once_and_its_rate_after() -> None:
    bucket = Bucket(rate=20, burst=40)

    assert [bucket.take(100.0) for _ in range(40)] == [0.0] * 40
    assert bucket.take(100.0) == pytest.approx(0.05)
    assert bucket.take(100.05) == 0.0
    assert bucket.take(100.05) > 0
    assert [bucket.take(200.0) for _ in range(40)] == [0.0] * 40, "it fills up to its burst and no further"
    assert bucket.take(200.0) > 0


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (b'{"type":"offer","seq":1}', "offer"),
        (b'{"seq":1,"type":"offer"}', "offer"),
        (b'{"type":"made-up"}', "other"),
        (b"{}", "other"),
    ],
)
def test_a_frame_is_counted_under_a_known_type(frame: bytes, kind: str) -> None:
    assert frame_type(frame) == kind


# -- boards


def a_board(boards: Boards, *allowed: str, tenant: str = ACME) -> Watcher:
    watcher = Watcher(tenant, frozenset(allowed))
    boards.join(watcher)
    return watcher


def test_a_board_that_subscribes_is_shown_the_newest_frames_at_once() -> None:
    boards = Boards({ACME: ["a", "b", "c"]})
    for value in (b"1", b"2"):
        boards.fold(BoardHead(ACME, "a"), value)
    boards.fold(BoardHead(ACME, "c"), b"3")
    watcher = a_board(boards, "a", "b")

    assert boards.subscribe(watcher, ()) == ()
    assert watcher.slots == {"a": b'{"type":"board","frame":2}'}


def test_only_the_newest_frame_waits_in_a_slot() -> None:
    boards = Boards({ACME: ["a"]})
    watcher = a_board(boards, "a")
    boards.subscribe(watcher, ["a"])

    assert boards.fold(BoardHead(ACME, "a"), b"1") == [watcher]
    assert boards.fold(BoardHead(ACME, "a"), b"2") == [watcher]
    assert watcher.slots == {"a": b'{"type":"board","frame":2}'}


def test_a_board_sees_only_brands_of_its_tenant_that_it_may_see_and_asked_for() -> None:
    boards = Boards({ACME: ["a", "b"], "other": ["a"]})
    watcher, silent = a_board(boards, "a"), a_board(boards, "a")

    assert boards.subscribe(watcher, ["a", "b", "zzz"]) == ("b", "zzz")
    assert boards.subscribe(watcher, ["a"]) == ()
    assert boards.fold(BoardHead("other", "a"), b"1") == []
    assert boards.fold(BoardHead(ACME, "b"), b"1") == []
    assert boards.fold(BoardHead(ACME, "a"), b"1") == [watcher]
    assert boards.fold(BoardHead(ACME, "unknown"), b"1") == []
    assert not silent.slots
