"""Who stands back: asked of the kernel, in processes of their own, since there is no way back. And how busy others are."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from streams.background import LOOK_S, NICENESS_MAX, Limit, Others, cores_allowed, limits_here

linux = pytest.mark.skipif(sys.platform != "linux", reason="the policies and groups of Linux")

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


@linux
def test_a_process_and_the_threads_that_it_starts_are_idle() -> None:
    assert asked(leads=True)[:2] == ["True", "True"]


@linux
@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel groups nothing by sessions")
def test_a_session_that_it_leads_stands_back_as_a_whole() -> None:
    assert asked(leads=True)[2:] == [str(NICENESS_MAX)]


@linux
@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel groups nothing by sessions")
def test_a_session_of_others_stays_as_it_is() -> None:
    # Nothing stands there for processes in a session that the kernel itself began, as in some containers.
    before = AUTOGROUP.read_text(encoding="ascii").split()[-1:]
    if before == [str(NICENESS_MAX)]:
        pytest.skip("these tests themselves run in a session that stands back")
    assert asked(leads=False)[2:] == before


@linux
def test_where_the_policy_is_refused_niceness_takes_its_place() -> None:
    refuse = "import os\ndef no(*_): raise PermissionError(1, 'refused')\nos.sched_setscheduler = no\n"
    say = "from streams.background import stand_back\nstand_back()\nprint(os.getpriority(os.PRIO_PROCESS, 0))"
    answer = subprocess.run(
        [sys.executable, "-c", refuse + say], capture_output=True, text=True, check=True, timeout=60
    )
    assert answer.stdout.split() == [str(NICENESS_MAX)]


def test_what_this_process_uses_itself_is_not_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    now, own_s, busy = 100.0, 7.0, 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "process_time", lambda: own_s)
    monkeypatch.setattr(psutil, "cpu_percent", lambda: busy)
    monkeypatch.setattr(psutil, "cpu_count", lambda: 4)
    others = Others()
    now, own_s, busy = now + 2, own_s + 1, 80.0

    assert others.share() == pytest.approx(0.8 - 1 / 8)
    now, busy = now + LOOK_S / 2, 10.0
    assert others.share() == pytest.approx(0.8 - 1 / 8)  # Too soon to look again.
    now, own_s = now + LOOK_S / 2, own_s + 2
    assert others.share() == 0  # Clocks differ in their grain.


def test_a_process_that_computes_is_seen() -> None:
    others = Others()
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(4 * LOOK_S)
        share = others.share()
    finally:
        busy.kill()
        busy.wait()

    assert share > 0.5 / others.cores


def test_where_the_system_does_not_say_others_count_as_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> float:
        raise PermissionError(13, "refused")

    monkeypatch.setattr(psutil, "cpu_percent", refused)
    now = time.monotonic()
    others = Others()
    monkeypatch.setattr(time, "monotonic", lambda: now + 10)

    assert others.share() == 0


@linux
def test_a_process_that_is_held_to_one_core_has_one() -> None:
    ask = "import os\nfrom streams.background import cores_allowed\nbefore = cores_allowed()\n"
    hold = "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nprint(before, cores_allowed())"
    answer = subprocess.run([sys.executable, "-c", ask + hold], capture_output=True, text=True, check=True, timeout=60)

    assert [float(cores) for cores in answer.stdout.split()] == [cores_allowed(), 1]


# -- limits of groups: files as the kernel documents them (admin-guide/cgroup-v2), for who may set limits differs by machine


def groups(folder: Path, own: str, limits: dict[str, str]) -> tuple[Path, Path]:
    """Write what the kernel shows of a process in the group ``own``, with ``cpu.max`` by group; return both places."""
    shown, process = folder / "cgroup", folder / "process"
    process.mkdir()
    (process / "cgroup").write_text(f"1:cpu:/elsewhere\n0::{own}\n", encoding="utf-8")
    for name, limit in limits.items():
        group = shown / name
        group.mkdir(parents=True, exist_ok=True)
        (group / "cpu.max").write_text(limit + "\n", encoding="ascii")
        (group / "cpu.stat").write_text("usage_usec 3500000\nuser_usec 3000000\nsystem_usec 500000\n", encoding="ascii")
    return shown, process


def test_all_limits_around_a_process_hold_and_the_tightest_says_how_many_cores_it_has(tmp_path: Path) -> None:
    shown, process = groups(
        tmp_path,
        "/pod/zuruf/deep",
        {"pod": "400000 100000", "pod/zuruf": "150000 100000", "pod/zuruf/deep": "max 100000"},
    )

    limits = limits_here(shown, process)

    assert limits == (Limit(shown / "pod" / "zuruf", 1.5), Limit(shown / "pod", 4.0))
    assert limits[0].used_s() == 3.5
    assert cores_allowed(limits) == min(1.5, cores_allowed())
    assert cores_allowed(()) == cores_allowed() >= 1


def test_a_container_sees_its_own_group_as_the_first(tmp_path: Path) -> None:
    shown, process = groups(tmp_path, "/", {"": "50000 100000"})
    assert limits_here(shown, process) == (Limit(shown, 0.5),)

    (process / "cgroup").write_text("0::/../../elsewhere\n", encoding="utf-8")
    assert limits_here(shown, process) == (Limit(shown, 0.5),)


@pytest.mark.parametrize("limit", ["max 100000", "", "twelve 100000", "1 2 3", "100000 0", "0 100000"])
def test_what_is_no_limit_limits_nothing(limit: str, tmp_path: Path) -> None:
    assert limits_here(*groups(tmp_path, "/", {"": limit})) == ()
    assert limits_here(tmp_path / "none", tmp_path / "nowhere") == ()


def test_who_uses_up_a_limit_is_seen_on_an_idle_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    now, own_s = 100.0, 7.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "process_time", lambda: own_s)
    monkeypatch.setattr(psutil, "cpu_percent", lambda: 10.0)
    monkeypatch.setattr(psutil, "cpu_count", lambda: 64)
    usage = {}
    for name in ("own", "all"):
        (tmp_path / name).mkdir()
        usage[name] = tmp_path / name / "cpu.stat"
        usage[name].write_text("usage_usec 1000000\n", encoding="ascii")
    others = Others((Limit(tmp_path / "own", 2.0), Limit(tmp_path / "all", 4.0)))

    now, own_s = now + 1, own_s + 0.2
    usage["own"].write_text("usage_usec 2600000\n", encoding="ascii")
    assert others.share() == pytest.approx((1.6 - 0.2) / 2)  # Of this second's 1.6 it had 0.2 itself.

    now += 1
    usage["all"].write_text("usage_usec 4600000\n", encoding="ascii")
    assert others.share() == pytest.approx(3.6 / 4)  # Its group rests, another one beside it does not.

    now += 1
    assert others.share() == pytest.approx(0.1)  # The groups rest, the machine does not.

    for file in usage.values():
        file.unlink()
    now += 1
    assert others.share() == pytest.approx(0.1)
    usage["own"].write_text("usage_usec 9600000\n", encoding="ascii")
    now += 1
    assert others.share() == pytest.approx(0.1)  # Since when is not known.
