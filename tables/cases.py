"""Cases by id: dispatch's rows, one a case, with all that was decided about it."""

from typing import Final

from models.cases import Case
from streams.rows import Kind

CASES: Final = Kind("case", Case)
