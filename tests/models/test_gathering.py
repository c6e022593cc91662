import random
from collections import defaultdict

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from models.brands import IncidentRules
from models.gathering import BUCKET_MAX, MINUTE_MS, SEEN_MAX, Gathering, Leader, Seen, _numbers
from models.sketch import similarity, sketches_of

BRAND = ("alster", "fennkom")
RULES = IncidentRules(size=3, window_min=10)
OUTAGE = "Seit heute Morgen geht bei mir in {} kein Internet mehr, was ist da los bei euch?"
OTHER = "Wo finde ich die Bedingungen des neuen Tarifs auf eurer Seite, {}?"


def sketch(text: str) -> bytes:
    return sketches_of([text])[0]


def post(gathering: Gathering, text: str, author: str, at: int = 0, rules: IncidentRules = RULES) -> Leader:
    made = sketch(text)
    leader = gathering.find(BRAND, made, at, rules)
    return gathering.add(BRAND, made, Seen(at, f"c{author}", author), rules, leader)


def test_texts_that_say_the_same_gather_behind_the_first_of_them() -> None:
    gathering = Gathering()
    leaders = [post(gathering, OUTAGE.format(town), town) for town in ("Kiel", "Lübeck", "Bremen", "Husum")]
    other = post(gathering, OTHER.format("bitte"), "anna")

    assert len({leader.number for leader in leaders}) == 1
    assert (leaders[0].size(), other.size(), len(gathering)) == (4, 1, 2)


def test_one_author_with_many_posts_counts_once() -> None:
    gathering = Gathering()
    for _ in range(20):
        leader = post(gathering, OUTAGE.format("Kiel"), "anna")

    assert leader.size() == 1


def test_who_wrote_before_the_window_no_longer_counts() -> None:
    gathering = Gathering()
    for minute, author in ((0, "anna"), (6, "ben"), (11, "cem")):
        leader = post(gathering, OUTAGE.format("Kiel"), author, minute * MINUTE_MS)

    assert sorted(leader.authors) == ["ben", "cem"]


def test_a_leader_without_a_new_post_for_a_window_is_forgotten() -> None:
    gathering = Gathering()
    first = post(gathering, OUTAGE.format("Kiel"), "anna", 0)
    later = post(gathering, OUTAGE.format("Kiel"), "ben", 10 * MINUTE_MS + 1)

    assert later is not first
    assert len(gathering) == 1


def test_brands_do_not_share_a_group() -> None:
    gathering = Gathering()
    post(gathering, OUTAGE.format("Kiel"), "anna")

    assert gathering.find(("alster", "kranich"), sketch(OUTAGE.format("Kiel")), 0, RULES) is None


def test_memory_is_bounded_and_the_longest_silent_leave_first() -> None:
    gathering = Gathering(leaders_max=50)
    draw = random.Random(3)
    letters = "abcdefghijklmnopqrstuvwxyz     "
    texts = ["".join(draw.choices(letters, k=80)) for _ in range(400)]
    for text in texts:
        post(gathering, text, text[:8])

    assert len(gathering) == 50
    assert gathering.find(BRAND, sketch(texts[-1]), 0, RULES) is not None
    assert gathering.find(BRAND, sketch(texts[0]), 0, RULES) is None
    assert sum(len(_numbers(bucket)) for bucket in gathering._buckets[BRAND].values()) <= 50 * 16
    for leader in list(gathering.leaders()):
        gathering._forget(leader)
    assert gathering._buckets == {}


def test_a_bucket_and_what_a_leader_remembers_are_bounded() -> None:
    gathering = Gathering()
    strict = IncidentRules(similarity=1.0)
    for number in range(100):
        post(gathering, OUTAGE.format("Kiel" + "abcdefghij"[number % 10] * (1 + number // 10)), str(number), 0, strict)
    for number in range(SEEN_MAX + 10):
        leader = post(gathering, OTHER.format("bitte"), str(number))

    assert max(len(_numbers(bucket)) for bucket in gathering._buckets[BRAND].values()) <= BUCKET_MAX
    assert (len(leader.seen), leader.size()) == (SEEN_MAX, SEEN_MAX)


def test_a_copy_finds_its_leader_although_later_ones_have_filled_its_bands() -> None:
    gathering = Gathering()
    strict = IncidentRules(similarity=1.0)
    texts = [OUTAGE.format("Kiel" + "abcdefghij"[number % 10] * (1 + number // 10)) for number in range(100)]
    leaders = {text: post(gathering, text, text, 0, strict) for text in texts}

    assert all(gathering.find(BRAND, sketch(text), 0, RULES) is leader for text, leader in leaders.items())


def test_an_incidents_text_leads_although_its_leader_was_forgotten() -> None:
    gathering = Gathering()
    made = sketch(OUTAGE.format("Kiel"))
    leader = gathering.found(BRAND, made, 0, "i1")

    assert gathering.found(BRAND, made, 0, "i1") is leader is gathering.of("i1")
    assert post(gathering, OUTAGE.format("Husum"), "anna") is leader
    gathering.end("i1")
    assert gathering.of("i1") is None
    assert len(gathering) == 0


@pytest.mark.parametrize("share", [0.4, 0.6, 0.8, 1.0])
def test_a_post_joins_only_what_it_is_like_enough(share: float) -> None:
    gathering, rules = Gathering(), IncidentRules(similarity=share)
    draw = random.Random(7)
    words = "netz internet ausfall kiel heute morgen seit stunden router telefon leitung keine antwort hilfe".split()
    for number in range(300):
        text = " ".join(draw.choices(words, k=10))
        made = sketch(text)
        leader = gathering.find(BRAND, made, 0, rules)
        assert leader is None or similarity(leader.sketch, made) >= share
        gathering.add(BRAND, made, Seen(0, str(number), str(number)), rules, leader)


class Windows(RuleBasedStateMachine):
    """The index against a list of all posts that is searched from its beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.gathering = Gathering()
        self.now = 0
        self.number = 0
        self.posts: dict[int, list[Seen]] = defaultdict(list)

    @rule(text=st.sampled_from([OUTAGE, OTHER, "Die App stürzt seit dem Update {} beim Öffnen immer wieder ab"]),
          word=st.sampled_from(["Kiel", "Husum", "gestern"]), author=st.sampled_from("abcdefg"),
          wait_min=st.sampled_from([0, 0, 0, 1, 4, 11]))  # fmt: skip
    def posts_come(self, text: str, word: str, author: str, wait_min: int) -> None:
        self.now += wait_min * MINUTE_MS
        self.number += 1
        made = sketch(text.format(word))
        leader = self.gathering.find(BRAND, made, self.now, RULES)
        seen = Seen(self.now, str(self.number), author)
        leader = self.gathering.add(BRAND, made, seen, RULES, leader)
        self.posts[leader.number].append(seen)

    @invariant()
    def each_group_is_the_window_of_its_posts(self) -> None:
        for leader in self.gathering.leaders():
            window = [one for one in self.posts[leader.number] if one.at >= leader.last_at - 10 * MINUTE_MS]
            assert list(leader.seen) == window
            assert leader.size() == len({one.author for one in window})

    @invariant()
    def a_post_is_in_one_group_at_most(self) -> None:
        cases = [one.case_id for leader in self.gathering.leaders() for one in leader.seen]
        assert len(cases) == len(set(cases))

    @invariant()
    def a_copy_is_looked_for_among_the_living(self) -> None:
        alive = list(self.gathering.leaders())
        assert all(any(one is leader for one in alive) for leader in self.gathering._by_sketch.values())
        assert {leader.sketch for leader in alive} == {sketch for _, sketch in self.gathering._by_sketch}

    @invariant()
    def no_bucket_names_a_leader_that_is_gone(self) -> None:
        alive = {leader.number for leader in self.gathering.leaders()}
        for buckets in self.gathering._buckets.values():
            assert all(set(_numbers(bucket)) <= alive and bucket for bucket in buckets.values())


TestWindows = Windows.TestCase
TestWindows.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
