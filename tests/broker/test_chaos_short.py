"""The chaos suite in short: one kill -9, one worker that joins and one that leaves; ``make chaos`` has the long form."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.chaos.judge import judge
from tests.chaos.scenarios import FENCED_WITHIN_S
from tests.chaos.stage import flowing, stage
from tests.chaos.world import IDLE_TENANT

RATE = 200
SETTLE_S = 60.0


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_nothing_is_lost_and_nothing_counts_twice_over_a_kill_a_join_and_a_leave(tmp_path: Path) -> None:
    asyncio.run(_play(tmp_path))


async def _play(folder: Path) -> None:
    async with stage(folder, seed=11) as set_up:
        first, second = set_up.join(), set_up.join()
        await first.ready()
        await second.ready()
        async with flowing(set_up, RATE):
            await set_up.over(3)
            await set_up.leave(first, signal.SIGKILL)
            await set_up.over(3)
            third = set_up.join()
            await third.ready()
            await set_up.over(FENCED_WITHIN_S)
            await set_up.leave(second, signal.SIGTERM)
            await set_up.over(3)
        await set_up.finish(SETTLE_S)
        verdict = judge(await set_up.referee.evidence())
    assert set_up.notes + verdict.violations == []
    assert verdict.lost == verdict.doubled == 0
    # The run must have been about something: posts of every kind, answers, several owners of each partition.
    assert verdict.exact > 1000
    assert verdict.answers > 50
    assert verdict.epochs >= 8
    assert {"closed", "awaiting_customer", "queued"} <= verdict.cases.keys(), f"{IDLE_TENANT} has nobody to answer"
