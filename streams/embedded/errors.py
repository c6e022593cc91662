"""What can go wrong with the embedded broker."""

import errno
import shutil
from pathlib import Path

FULL_BELOW_BYTES = 16 * 1024 * 1024  # A new segment with its indexes needs about 3 MB; below this a write fails soon.


class BrokerFailed(RuntimeError):
    """The embedded broker cannot start or has died; the message says why, with the last lines of its log."""


def is_full(folder: Path) -> bool:
    """Say whether the disk under ``folder`` has no room left for a segment."""
    return shutil.disk_usage(folder).free < FULL_BELOW_BYTES


def disk_failed(doing: str, folder: Path, cause: OSError) -> BrokerFailed:
    """Return the error for a write under ``folder`` that failed while ``doing``; a full disk is named as such."""
    if cause.errno == errno.ENOSPC:
        return BrokerFailed(f"{doing}: the disk that holds {folder} is full")
    return BrokerFailed(f"{doing}: {cause}")
