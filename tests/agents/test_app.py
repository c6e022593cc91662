"""How the steps are put together."""

from collections.abc import Sequence
from pathlib import Path

from agents.app import create_app
from models.labels import Classification
from streams import topics
from streams.settings import Settings
from tests.builders import a_tenant


class NoClassifier:
    """Is never asked."""

    def classify(self, texts: Sequence[str]) -> list[Classification]:
        raise AssertionError(f"nothing is read here: {texts}")


def test_a_command_starts_no_rest_of_work_and_posts_rest_after_each_fetch(tmp_path: Path) -> None:
    settings = Settings(tenants=(a_tenant(),), broker=("127.0.0.1:1",), data=tmp_path, group_every_ms=20)
    engine = create_app(settings, NoClassifier(), {topic.name: 1 for topic in topics.ALL})
    rests = engine.carriers[0]._app.rests
    spacings = {carrier.step.name: carrier._spacing for carrier in engine.carriers}
    for spacing in (*rests.values(), *spacings.values()):
        spacing.took(8.0)

    assert {name: round(rest.until() - 8.0, 3) for name, rest in rests.items()} == {
        topics.POSTS.name: 0.04,
        topics.WORK.name: 0.0,
        topics.CASE_EVENTS.name: 0.2,
    }
    assert {name: round(spacing.until() - 8.0, 3) for name, spacing in spacings.items()} == {
        "understand": 0.02,
        "dispatch": 0.0,
        "measure": 0.2,
    }
    for spacing in (rests[topics.WORK.name], spacings["dispatch"]):
        spacing.took(8.0)
        assert round(spacing.until() - 8.0, 3) == 0.02
