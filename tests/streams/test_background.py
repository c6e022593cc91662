"""Who stands back: asked of the kernel, in processes of their own, since there is no way back."""

import subprocess
import sys
from pathlib import Path

import pytest

from streams.background import NICENESS_MAX

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the policies and groups of Linux")

AUTOGROUP = Path("/proc/self/autogroup")

ASK = """
import os, threading
from pathlib import Path
from streams.background import stand_back
stand_back()
found = [os.sched_getscheduler(0) == os.SCHED_IDLE]
thread = threading.Thread(target=lambda: found.append(os.sched_getscheduler(0) == os.SCHED_IDLE))
thread.start(); thread.join()
group = Path("/proc/self/autogroup")
print(*found, *(group.read_text().split() if group.exists() else [])[-1:])
"""


def asked(*, leads: bool) -> list[str]:
    answer = subprocess.run(
        [sys.executable, "-c", ASK], capture_output=True, text=True, check=True, start_new_session=leads, timeout=60
    )
    return answer.stdout.split()


def test_a_process_and_the_threads_that_it_starts_are_idle() -> None:
    assert asked(leads=True)[:2] == ["True", "True"]


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel groups nothing by sessions")
def test_a_session_that_it_leads_stands_back_as_a_whole() -> None:
    assert asked(leads=True)[2:] == [str(NICENESS_MAX)]


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel groups nothing by sessions")
def test_a_session_of_others_stays_as_it_is() -> None:
    # Nothing stands there for processes in a session that the kernel itself began, as in some containers.
    before = AUTOGROUP.read_text(encoding="ascii").split()[-1:]
    if before == [str(NICENESS_MAX)]:
        pytest.skip("these tests themselves run in a session that stands back")
    assert asked(leads=False)[2:] == before


def test_where_the_policy_is_refused_niceness_takes_its_place() -> None:
    refuse = "import os\ndef no(*_): raise PermissionError(1, 'refused')\nos.sched_setscheduler = no\n"
    say = "from streams.background import stand_back\nstand_back()\nprint(os.getpriority(os.PRIO_PROCESS, 0))"
    answer = subprocess.run(
        [sys.executable, "-c", refuse + say], capture_output=True, text=True, check=True, timeout=60
    )
    assert answer.stdout.split() == [str(NICENESS_MAX)]
