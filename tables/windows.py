"""Windows by brand and slot: measure's rows; only the slots that changed are written."""

from typing import Final

from models.windows import Bucket, LearnedLines, Standing
from streams.rows import Kind

MINUTES: Final = Kind("minute", Bucket)
QUARTERS: Final = Kind("quarter", Bucket)
STANDINGS: Final = Kind("standing", Standing)
LEARNED: Final = Kind("learned", LearnedLines)
"""By tenant."""
