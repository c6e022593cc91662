"""A work folder: stages that were learnt there are gone on from, but only with what they were learnt from."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from models.errors import Misconfigured
from models.training.deep import plans
from models.training.deep.data import Text

STAMP: Final = "made-of.txt"
"""The SHA-256 of texts and plans."""

PLANS: Final = (plans.FIRST, plans.TWEETS, plans.SECOND, plans.ANCHORS, plans.MET, plans.AGAIN)


def claim(work: Path, texts: Sequence[Text]) -> None:
    """
    Make an empty folder that of these texts and of the plans as they are, or see that it is.

    Raises:
        Misconfigured: If what is kept there came from others, or does not say from what.
    """
    made_of = hashlib.sha256(msgspec.json.encode((PLANS, texts))).hexdigest()
    stamp = work / STAMP
    if not stamp.exists():
        if any(work.iterdir()):
            raise Misconfigured(f"--work: {work} is not empty and has no {STAMP}; give an empty folder")
        stamp.write_text(made_of + "\n", encoding="utf-8")
    elif stamp.read_text(encoding="utf-8").strip() != made_of:
        raise Misconfigured(
            f"--work: what {work} keeps was learnt from other texts or by other plans; give an empty folder"
        )
