"""What a worker asks of the C library, and that it runs where there is no such thing."""

import ctypes
import platform
import subprocess
import sys

import pytest

from agents import worker

_ARENAS = """
import ctypes, threading
from agents.worker import _keep_one_arena
if {kept}:
    _keep_one_arena()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
at = []
thread = threading.Thread(target=lambda: at.append(libc.malloc(100)))
thread.start()
thread.join()
main = libc.malloc(100)
# glibc keeps the arenas of other threads at places of their own, 64 MB each.
print(at[0] >> 26 == main >> 26)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_threads_take_their_memory_from_one_arena() -> None:
    def shares(*, kept: bool) -> str:
        program = _ARENAS.replace("{kept}", str(kept))
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
        return done.stdout.strip()

    assert (shares(kept=False), shares(kept=True)) == ("False", "True")


def test_another_c_library_is_no_failure(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    caplog.set_level("DEBUG", worker.__name__)

    worker._keep_one_arena()
    assert caplog.messages == ["memory: this C library has no arenas to be kept"]
